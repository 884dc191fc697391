//! Exported networks beside onnxruntime and pytorch-grad-cam.

use burn::tensor::{Device, Tensor, TensorData};
use cam_core::{Class, Explain, Explainer, GradCam};
use cam_onnx::OnnxModule;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// A network with the numbers of the references, made by `tests/golden/generate_onnx.py`.
struct Case {
    name: String,
    file: PathBuf,
    numbers: Vec<u8>,
}

impl Case {
    fn all(folder: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let mut cases: Vec<Self> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
            .map(|file| Self {
                name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                numbers: std::fs::read(file.with_extension("safetensors"))
                    .expect("the numbers of the references"),
                file,
            })
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        cases
    }

    fn tensor(&self, name: &str) -> Option<(Vec<f32>, Vec<usize>)> {
        let tensors = SafeTensors::deserialize(&self.numbers).expect("safetensors");
        let view = tensors.tensor(name).ok()?;
        let numbers = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Some((numbers, view.shape().to_vec()))
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
            let images = || Tensor::<4>::from_data(TensorData::new(input.clone(), shape.clone()), device);
            let (found, _) =
                Explainer::new(&recorded).inference().forward(images()).map_err(|error| error.to_string())?;
            let found = found.into_data().iter::<f32>().collect::<Vec<_>>();
            let error = distance(&found, &expected);
            worst = worst.max(error);
            report += &format!(" b{batch} {error:.1e}");
        }
        for name in self.names().iter().filter_map(|name| name.strip_prefix("map:")) {
            let (expected, _) = self.tensor(&format!("map:{name}")).expect("it is there");
            let (input, shape) = self.tensor("input1").ok_or("there is no input")?;
            let images = Tensor::<4>::from_data(TensorData::new(input, shape), device);
            let explainer = Explainer::new(&recorded).method(GradCam).layer(name);
            let found = explainer.explain(images, &Class(1)).map_err(|error| error.to_string())?;
            let map = found.maps[0].heatmap.clone().into_data().iter::<f32>().collect::<Vec<_>>();
            let error = map.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            report += &format!(" {name} {error:.1e}");
        }
        let (input, shape) = self.tensor("input1").ok_or("there is no input")?;
        let images = Tensor::<4>::from_data(TensorData::new(input, shape), device);
        let layers = recorded.layers(&images).map_err(|error| error.to_string())?;
        let names = layers.names();
        report += &format!(" | {} layers, last {:?}", names.len(), names.last());
        if worst > 1e-4 { Err(format!("differs: {report}")) } else { Ok(report) }
    }
}

/// Returns max |a - b| / max |b|.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let most = b.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / most
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
