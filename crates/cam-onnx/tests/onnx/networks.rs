//! Exported networks beside onnxruntime and pytorch-grad-cam.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use cam_core::{Class, Explain, Explainer, GradCam};
use cam_onnx::{OnnxModule, OutputActivation};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// A network with the numbers of the references, made by `tests/golden/generate_onnx.py`.
pub struct Case {
    name: String,
    file: PathBuf,
    numbers: Vec<u8>,
}

/// Returns the path of a small network in the repository.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.onnx"))
}

impl Case {
    pub fn open(file: &Path) -> Self {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self { name, numbers: numbers_of(file), file: file.into() }
    }

    fn all(folder: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let mut cases: Vec<Self> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
            .map(|file| Self::open(&file))
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        cases
    }

    pub fn tensor(&self, name: &str) -> Option<(Vec<f32>, Vec<usize>)> {
        let tensors = SafeTensors::deserialize(&self.numbers).expect("safetensors");
        let view = tensors.tensor(name).ok()?;
        let numbers = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Some((numbers, view.shape().to_vec()))
    }

    fn is_quantized(&self) -> bool {
        ["_qdq", "_qoperator"].iter().any(|form| self.name.ends_with(form))
    }

    fn names(&self) -> Vec<String> {
        let tensors = SafeTensors::deserialize(&self.numbers).expect("safetensors");
        tensors.names().into_iter().map(String::from).collect()
    }

    /// Compares outputs and maps. Returns a line on what was found.
    fn compare(&self, device: &Device) -> Result<String, String> {
        let module = OnnxModule::open(&self.file, device).map_err(|error| error.to_string())?;
        let recorded =
            cam_graph::record_fallible(&module, OnnxModule::classify).map_err(|error| error.to_string())?;
        let mut worst: f32 = 0.0;
        let mut report = String::new();
        for batch in [1, 3] {
            let Some((input, shape)) = self.tensor(&format!("input{batch}")) else { continue };
            let (expected, _) = self.tensor(&format!("output{batch}")).ok_or("there is no output")?;
            let images = || images(&module, &input, &shape, device);
            let (found, _) =
                Explainer::new(&recorded).inference().forward(images()).map_err(|error| error.to_string())?;
            // The file ends with what is seen through.
            let found = match module.activation() {
                Some(OutputActivation::Softmax) => softmax(found, 1),
                Some(OutputActivation::Sigmoid) => sigmoid(found),
                None => found,
            };
            let found = found.into_data().iter::<f32>().collect::<Vec<_>>();
            let error = distance(&found, &expected);
            worst = worst.max(error);
            report += &format!(" b{batch} {error:.1e}");
        }
        for name in self.names().iter().filter_map(|name| name.strip_prefix("map:")) {
            let (expected, _) = self.tensor(&format!("map:{name}")).expect("it is there");
            let (input, shape) = self.tensor("input1").ok_or("there is no input")?;
            let images = images(&module, &input, &shape, device);
            let explainer = Explainer::new(&recorded).method(GradCam).layer(name);
            let found = explainer.explain(images, &Class(1)).map_err(|error| error.to_string())?;
            let map = found.maps[0].heatmap.clone().into_data().iter::<f32>().collect::<Vec<_>>();
            let mean = expected.iter().sum::<f32>() / expected.len() as f32;
            assert!(expected.iter().any(|x| (x - mean).abs() > 0.1), "{}: the map is blank", self.name);
            let error = map.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            report += &format!(" {name} {error:.1e}");
            if error > 1e-3 {
                return Err(format!("the map differs: {report}"));
            }
        }
        let (input, shape) = self.tensor("input1").ok_or("there is no input")?;
        let images = images(&module, &input, &shape, device);
        let layers = recorded.layers(&images).map_err(|error| error.to_string())?;
        let names = layers.names();
        report += &format!(" | {} layers, last {:?}", names.len(), names.last());
        if worst > 1e-4 { Err(format!("differs: {report}")) } else { Ok(report) }
    }
}

/// Returns images in the order of axes that a module takes, from those of its file.
fn images(module: &OnnxModule, input: &[f32], shape: &[usize], device: &Device) -> Tensor<4> {
    let images = Tensor::from_data(TensorData::new(input.to_vec(), shape.to_vec()), device);
    if module.has_channels_last() { images.permute([0, 3, 1, 2]) } else { images }
}

/// Reads the numbers of a file, or those that all exporters of its network share: `vit.safetensors` for `vit_dynamo.onnx`.
fn numbers_of(file: &Path) -> Vec<u8> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let shared = name.rsplit_once('_').map_or(&*name, |(network, _)| network);
    let own = std::fs::read(file.with_extension("safetensors"));
    own.or_else(|_| std::fs::read(file.with_file_name(format!("{shared}.safetensors")))).expect("the numbers")
}

/// Returns max |a - b| / max |b|; infinity where that says nothing, because b is blank or something is no number.
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let most = b.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let is_number = |x: &f32| x.is_finite();
    if most == 0.0 || !a.iter().chain(b).all(is_number) {
        return f32::INFINITY;
    }
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / most
}

/// Small networks of all kinds, by both exporters of PyTorch: their logits are those of onnxruntime to 1e-4 of the largest (two orders of
/// single precision above what rounding adds up to in so few layers), and Grad-CAM is that of pytorch-grad-cam to 1e-3 of full scale.
#[test]
fn small_networks_are_those_of_the_references() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let cases = Case::all(&folder);
    assert!(cases.len() >= 14, "{} networks", cases.len());
    for case in cases.iter().filter(|case| !case.is_quantized()) {
        match case.compare(&Device::flex()) {
            Ok(report) => println!("{}: {report}", case.name),
            Err(error) => panic!("{}: {error}", case.name),
        }
    }
}

/// A network with two more inputs, one of them of integers, and a second output that ends with a sigmoid.
#[test]
fn inputs_and_outputs_are_stated_by_name() {
    let case = Case::open(&golden("ports/ports"));
    let device = Device::flex();
    let value = |name: &str| {
        let (numbers, shape) = case.tensor(name).expect("it is there");
        TensorData::new(numbers, shape)
    };
    let plain = OnnxModule::open(&case.file, &device).unwrap();
    let refused = |module: Result<OnnxModule, cam_onnx::Error>| module.unwrap_err().to_string();
    let images = Tensor::<4>::zeros([1, 3, 32, 32], &device);
    let missing = plain.classify(images).unwrap_err().to_string();
    assert!(missing.contains(": `scale` [?, 5], `offset` [1]"), "{missing}");
    let unknown = refused(plain.clone().with_input("mask", value("scale")));
    assert!(unknown.contains("no input `mask`; there are `scale`"), "{unknown}");
    let other_shape = refused(plain.clone().with_input("scale", value("offset")));
    assert!(other_shape.contains("`scale` [?, 5] was given the shape [1]"), "{other_shape}");
    let unknown = refused(plain.clone().with_output("boxes"));
    assert!(unknown.contains("no output `boxes`; there are `logits` [?, 5], `others`"), "{unknown}");

    let whole = plain.with_input("scale", value("scale")).unwrap();
    let whole = whole.with_input("offset", value("offset")).unwrap();
    let others = whole.clone().with_output("others").unwrap();
    assert_eq!((whole.activation(), others.activation()), (None, Some(OutputActivation::Sigmoid)));
    for batch in [1, 3] {
        let images = || Tensor::<4>::from_data(value(&format!("input{batch}")), &device);
        for (name, module) in [("logits", &whole), ("others", &others)] {
            let recorded = cam_graph::record_fallible(module, OnnxModule::classify).unwrap();
            let found = Explainer::new(&recorded).inference().forward(images()).unwrap().0;
            let found = if name == "others" { sigmoid(found) } else { found };
            let (expected, _) = case.tensor(&format!("{name}{batch}")).unwrap();
            let found = found.into_data().iter::<f32>().collect::<Vec<_>>();
            assert!(distance(&found, &expected) < 1e-4, "{name} of {batch}");
        }
    }
}

/// The networks of the folder `CAM_ONNX_NETWORKS`.
#[test]
#[ignore = "takes minutes: set CAM_ONNX_NETWORKS to a folder that tests/golden/generate_onnx.py has made"]
fn exported_networks_are_those_of_the_references() {
    let folder = std::env::var_os("CAM_ONNX_NETWORKS").expect("CAM_ONNX_NETWORKS is set");
    let device = Device::flex();
    let mut failed = Vec::new();
    for case in Case::all(Path::new(&folder)) {
        match case.compare(&device) {
            Ok(report) => println!("{}: {report}", case.name),
            Err(error) => {
                println!("{}: FAILED {error}", case.name);
                failed.push(case.name);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
