//! ONNX files as models of images.

use crate::{
    AnyModel, Classify, Decoder, Device, Error, ImageModel, Inspect, Logits, Model, ModelInfo, ModelRequest,
    OpenModel, Opener, Precision, Preprocess, RecordedModel, Taps,
};
use burn::Tensor;
use burn::tensor::Int;
use cam_core::{Explain, Explainer, Top, choose_layer};
use cam_graph::{Fallible, Recorded};
use cam_image::{InputLayout, foreign};
use cam_models::{Facts, FileFacts, class_names};
use cam_onnx::{OnnxModule, OutputActivation};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::OnceLock;

/// ONNX files, by their extension or their first bytes.
pub(crate) struct OnnxFiles;

impl Opener for OnnxFiles {
    fn kind(&self) -> &'static str {
        "ONNX files"
    }

    fn opens(&self, request: &ModelRequest, head: &[u8]) -> bool {
        let Some(file) = &request.file else { return false };
        let is_named = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
        // The version of the format, then the name of the exporter, the graph or the operators. Other formats begin so, too.
        let is_model = matches!(head, [0x08, 1..=20, 0x12 | 0x3a | 0x42, ..]);
        request.name.is_none() && (is_named || (is_model && foreign::named_by_extension(file).is_none()))
    }

    fn open(&self, model: &OpenModel<'_>, device: &Device) -> Result<AnyModel, Error> {
        Ok(AnyModel::new(OnnxModel::open(model, device)?))
    }
}

type Forward = fn(&OnnxModule, Tensor<4>) -> Result<Tensor<2>, cam_onnx::Error>;

/// A classifier of an ONNX file.
struct OnnxModel {
    model: RecordedModel<OnnxModule, Fallible<Forward>>,
    file: PathBuf,
    /// The last layer that can show where, if the card names none. It is found when it is first asked for.
    layer: OnceLock<Option<String>>,
}

impl OnnxModel {
    fn open(model: &OpenModel<'_>, device: &Device) -> Result<Self, Error> {
        let request = model.request();
        let file = request.file.clone().unwrap_or_default();
        let failed = |source| Error::Onnx { path: file.clone(), source };
        let refused = |reason: String| Error::NotOpened { asked: file.display().to_string(), reason };
        if request.precision != Precision::F32 {
            return Err(refused("ONNX files are computed in f32 only".into()));
        }
        let module = OnnxModule::open(&file, device).map_err(failed)?;
        let facts = FileFacts::new(
            model.stated()?,
            &file,
            &facts_of_metadata(&module),
            &facts_of_tensors(&module).map_err(failed)?,
        )?;
        let card = facts.card()?;
        let module = module.with_channels_last(card.layout == InputLayout::Nhwc);
        let recorded = cam_graph::record_fallible(&module, OnnxModule::classify as Forward)?;
        // Recorded once to know that it can be, and for the number of classes.
        let [height, width] = card.size;
        let blank = Tensor::zeros([1, card.channels, height, width], device);
        let [_, classes] = recorded.output(&blank)?.dims();
        if module.may_be_of_one_batch_size() && mixes_images(&recorded, card.channels, card.size, device)? {
            return Err(failed(cam_onnx::Error::Signature {
                reason: "the file mixes the images of a batch: export it with a free batch size".into(),
            }));
        }
        let known = facts.with_classes(classes, &file)?;
        let labels = match &request.labels {
            Some(labels) => class_names(labels, classes)?,
            None => known.labels,
        };
        let decoder = Classify::new(labels).logits(request.logits.unwrap_or(known.card.logits));
        let info = ModelInfo {
            about: about(&module),
            weights: Some(file.clone()),
            assumed: known.assumed,
            card: Some(known.text),
            ..ModelInfo::new(&known.card.name)
        };
        let mut model = RecordedModel::new(recorded, decoder, info).preprocess(known.card.preprocess());
        if !known.card.layer.is_empty() {
            model = model.layer(&known.card.layer);
        }
        Ok(Self { model, file, layer: OnceLock::new() })
    }
}

/// Returns images of no object, whose pixels have all values from -1 to 1.
fn waves(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let count = shape.iter().product::<usize>() as i64;
    Tensor::<1, Int>::arange(0..count, device).float().sin().reshape(shape)
}

/// Reports whether two images have other scores together than apart. Exporters that know one image only may write that into the file.
fn mixes_images(
    recorded: &Recorded<OnnxModule, Fallible<Forward>, Tensor<4>, Tensor<2>>,
    channels: usize,
    [height, width]: [usize; 2],
    device: &Device,
) -> Result<bool, Error> {
    let images = waves([2, channels, height, width], device);
    let explainer = Explainer::new(recorded);
    let scores = |images: Tensor<4>| Ok::<_, Error>(explainer.inference().forward(images)?.0);
    let together = scores(images.clone())?;
    let apart =
        Tensor::cat(vec![scores(images.clone().narrow(0, 0, 1))?, scores(images.narrow(0, 1, 1))?], 0);
    if together.dims() != apart.dims() {
        return Ok(true);
    }
    let difference = (together - apart.clone()).abs().max().into_scalar::<f32>();
    let scale = apart.abs().max().into_scalar::<f32>();
    Ok(difference > 1e-3 * scale)
}

fn about(module: &OnnxModule) -> String {
    match module.producer() {
        "" => "an ONNX file".into(),
        producer => format!("an ONNX file by {producer}"),
    }
}

/// Returns what the inputs and outputs of a model state.
fn facts_of_tensors(module: &OnnxModule) -> Result<Facts, cam_onnx::Error> {
    let shape = module.image_input()?.shape.unwrap_or_default();
    let [_, first, second, third] = shape[..] else { return Ok(Facts::default()) };
    let (channels, height, width) =
        if module.has_channels_last() { (third, first, second) } else { (first, second, third) };
    let mut facts = Facts::default();
    facts.channels = channels;
    facts.size = height.zip(width).map(|(height, width)| [height, width]);
    facts.layout = Some(if module.has_channels_last() { InputLayout::Nhwc } else { InputLayout::Nchw });
    facts.logits = module.activation().map(|activation| match activation {
        OutputActivation::Softmax => Logits::Softmax,
        OutputActivation::Sigmoid => Logits::Sigmoid,
    });
    Ok(facts)
}

/// Returns what the exporter wrote of the model. Ultralytics writes names of classes, the size of images and the task.
fn facts_of_metadata(module: &OnnxModule) -> Facts {
    let metadata = module.metadata();
    let mut facts = Facts::default();
    let is_ultralytics = metadata.get("author").is_some_and(|author| author.contains("Ultralytics"));
    if is_ultralytics {
        facts.is_unnormalized = true;
        facts.labels = metadata.get("names").and_then(|names| numbered_names(names));
        facts.size = metadata.get("imgsz").and_then(|size| {
            let sides: Vec<usize> =
                size.split(|c: char| !c.is_ascii_digit()).filter_map(|side| side.parse().ok()).collect();
            <[usize; 2]>::try_from(sides).ok()
        });
    }
    facts
}

/// Reads a Python dictionary of names by numbers: `{0: 'person', 1: "driver's license"}`.
fn numbered_names(text: &str) -> Option<Vec<String>> {
    let mut names = BTreeMap::new();
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    while let Some((number, after)) = rest.split_once(':') {
        let number: usize = number.trim_start_matches([',', ' ']).trim().parse().ok()?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
        let (mut name, mut is_escaped, mut end) = (String::new(), false, None);
        for (place, c) in after.char_indices().skip(1) {
            match c {
                '\\' if !is_escaped => is_escaped = true,
                c if c == quote && !is_escaped => {
                    end = Some(place + 1);
                    break;
                }
                c => {
                    is_escaped = false;
                    name.push(c);
                }
            }
        }
        rest = &after[end?..];
        names.insert(number, name);
    }
    let is_complete = names.keys().copied().eq(0..names.len());
    (is_complete && !names.is_empty()).then(|| names.into_values().collect())
}

impl Model for OnnxModel {
    fn module(&self) -> &dyn Inspect {
        Model::module(&self.model)
    }

    fn prepare(&self, images: &Tensor<4>) -> Result<(), cam_core::Error> {
        Model::prepare(&self.model, images)
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        Model::forward(&self.model, images, taps)
    }
}

impl ImageModel for OnnxModel {
    fn device(&self) -> Device {
        self.model.device()
    }

    fn preprocess(&self) -> Preprocess {
        ImageModel::preprocess(&self.model)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        self.model.decoder()
    }

    fn default_layer(&self) -> Option<&str> {
        let find = || {
            let Preprocess { channels, size: [height, width], .. } = ImageModel::preprocess(&self.model);
            choose_layer(&self.model, &waves([1, channels, height, width], &self.device()), &Top).ok()
        };
        self.model.default_layer().or_else(|| self.layer.get_or_init(find).as_deref())
    }

    fn info(&self) -> ModelInfo {
        ImageModel::info(&self.model)
    }

    fn randomized(&self, part: std::ops::Range<f64>) -> Option<Box<dyn Model + '_>> {
        self.model.randomized(part)
    }

    fn sha256(&self) -> Result<Option<String>, Error> {
        let unreadable = |error: std::io::Error| cam_models::Error::UnreadableWeights {
            path: self.file.clone(),
            reason: error.to_string(),
        };
        Ok(Some(File::open(&self.file).and_then(cam_models::sha256).map_err(unreadable)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_classes_are_read_from_a_python_dictionary() {
        let names = numbered_names(r#"{0: 'person', 1: "driver's license", 2: 'a, b: c', 3: 'it\'s'}"#);
        assert_eq!(names.unwrap(), ["person", "driver's license", "a, b: c", "it's"]);
        assert_eq!(numbered_names("{0: 'a', 2: 'b'}"), None);
        assert_eq!(numbered_names("{0: 'a"), None);
        assert_eq!(numbered_names("['a', 'b']"), None);
    }
}
