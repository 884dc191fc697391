//! ONNX files as models of images.

use crate::detect::flat;
use crate::heads::{self, Head, RawOutput};
use crate::{
    AnyModel, Classify, Decoder, Detect, Device, Embed, Error, ImageModel, Inspect, Logits, Model, ModelInfo,
    ModelRequest, OpenModel, Opener, Precision, Preprocess, RecordedModel, Regress, Segment, Suppression,
    Taps,
};
use burn::Tensor;
use burn::tensor::Int;
use cam_core::{Explain, Explainer, Top, choose_layer};
use cam_graph::{Fallible, Recorded};
use cam_image::{InputLayout, foreign};
use cam_models::{Facts, FileFacts, Labels, ModelCard, class_names};
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
        open(model, device)
    }
}

/// A forward pass that is found out when the file is opened.
type Forward = Box<dyn Fn(&OnnxModule, Tensor<4>) -> Result<Tensor<2>, cam_onnx::Error> + Send + Sync>;
type Passed = Recorded<OnnxModule, Fallible<Forward>, Tensor<4>, Tensor<2>>;

/// A network of an ONNX file, and what its output means.
struct OnnxModel<D = Classify> {
    model: RecordedModel<OnnxModule, Fallible<Forward>, Tensor<2>, D>,
    file: PathBuf,
    /// The last layer that can show where, if the card names none. It is found when it is first asked for.
    layer: OnceLock<Option<String>>,
    /// Whether the file mixes the images of a batch.
    takes_one: bool,
}

/// What a network does, and how its output is decoded.
enum Task {
    Classify,
    Embed,
    Regress,
    /// The scores of classes on a grid.
    Segment([usize; 3]),
    Detect(&'static dyn Head, usize),
}

/// A file that is being opened.
struct Opening<'a> {
    request: &'a ModelRequest,
    device: &'a Device,
    file: PathBuf,
    module: OnnxModule,
    facts: FileFacts,
}

impl Opening<'_> {
    fn failed(&self, source: cam_onnx::Error) -> Error {
        Error::Onnx { path: self.file.clone(), source }
    }

    fn signature(&self, reason: String) -> Error {
        self.failed(cam_onnx::Error::Signature { reason })
    }

    /// Returns that the file cannot be opened, because of what fails when it is recorded.
    fn refused(&self, error: &cam_graph::Error) -> Error {
        Error::NotOpened { asked: self.file.display().to_string(), reason: error.to_string() }
    }

    /// Returns the shapes of the outputs for one image.
    fn shapes(&self, card: &ModelCard) -> Result<Vec<Vec<usize>>, Error> {
        let recorded = cam_graph::record_fallible(&self.module, OnnxModule::forward)?;
        let [height, width] = card.size;
        let blank = Tensor::zeros([1, card.channels, height, width], self.device);
        Ok(recorded.output(&blank).map_err(|error| self.refused(&error))?.shapes())
    }

    /// Finds out what the network does: as stated, or by the shapes of its outputs.
    fn task(&self, card: &ModelCard) -> Result<Task, Error> {
        let (task, decoder) = (card.task.as_deref(), card.decoder.as_deref());
        match task {
            Some("embed") => return Ok(Task::Embed),
            Some("regress") => return Ok(Task::Regress),
            None | Some("classify" | "detect" | "segment") => {}
            Some(other) => {
                let reason =
                    format!("`{other}` is no task: there are classify, detect, segment, embed and regress");
                return Err(self.signature(reason));
            }
        }
        if task == Some("classify") || self.module.outputs_rows() {
            return Ok(Task::Classify);
        }
        let shapes = self.shapes(card)?;
        let is_row = |shape: &Vec<usize>| shape.iter().skip(1).filter(|length| **length > 1).count() <= 1;
        if task.is_none() && decoder.is_none() && shapes.first().is_some_and(is_row) {
            return Ok(Task::Classify);
        }
        let names = match &card.labels {
            Labels::Names(names) => Some(names.len()),
            _ => None,
        };
        let about =
            self.module.metadata().get("description").map(|text| text.to_lowercase()).unwrap_or_default();
        let outputs = heads::Outputs { shapes: &shapes, input: card.size, names, about: &about };
        if let Some(name) = decoder {
            let head = heads::HEADS.iter().find(|head| head.name() == name);
            let head = head
                .ok_or_else(|| self.signature(format!("no decoder is called `{name}`; {}", known_heads())))?;
            let classes = head.classes(outputs).ok_or_else(|| {
                self.signature(format!(
                    "the decoder `{name}` takes {}, and its outputs are {shapes:?}",
                    head.shapes()
                ))
            })?;
            return Ok(Task::Detect(*head, classes));
        }
        if task.is_none_or(|task| task == "detect")
            && let Some((head, classes)) = heads::head_of(outputs)
        {
            return Ok(Task::Detect(head, classes));
        }
        let [height, width] = card.size;
        if task.is_none_or(|task| task == "segment")
            && let Some([_, classes, rows, columns]) = shapes.first().map(Vec::as_slice)
            && *rows > 1
            && *columns > 1
        {
            return Ok(Task::Segment([*classes, *rows, *columns]));
        }
        Err(self.signature(format!(
            "no decoder takes its outputs, {shapes:?} for an image of {height} x {width} pixels; {}",
            known_heads()
        )))
    }

    fn open(mut self) -> Result<AnyModel, Error> {
        let card = self.facts.card()?;
        if let Some(reason) = card.too_large() {
            return Err(self.signature(reason));
        }
        self.module = self.module.clone().with_channels_last(card.layout == InputLayout::Nhwc);
        match self.task(&card)? {
            task @ (Task::Classify | Task::Embed | Task::Regress) => {
                let recorded = self.recorded(Box::new(OnnxModule::classify))?;
                let [height, width] = card.size;
                let blank = Tensor::zeros([1, card.channels, height, width], self.device);
                let [_, classes] = recorded.output(&blank).map_err(|error| self.refused(&error))?.dims();
                let takes_one = self.mixes_images(&recorded, &card)?;
                let logits = self.request.logits;
                match task {
                    Task::Embed => self.model(recorded, classes, about, |_, _| Embed::default(), takes_one),
                    Task::Regress => {
                        let decoder = |labels: Vec<String>, card: &ModelCard| {
                            Regress::new(labels).unit(card.unit.clone().unwrap_or_default())
                        };
                        self.model(recorded, classes, about, decoder, takes_one)
                    }
                    _ => {
                        let decoder = |labels: Vec<String>, card: &ModelCard| {
                            Classify::new(labels).logits(logits.unwrap_or(card.logits))
                        };
                        self.model(recorded, classes, about, decoder, takes_one)
                    }
                }
            }
            Task::Segment([classes, rows, columns]) => {
                let mut facts = Facts::default();
                facts.task = Some("segment".into());
                self.facts = self.facts.of_package("a segmentation", &facts);
                let recorded = self.recorded(Box::new(|module, images| {
                    let batch = images.dims()[0];
                    Ok(module.scores(images)?.rows(batch)?.swap_remove(0))
                }))?;
                // Files that were exported for one image may have its shape in any operator.
                let takes_one = self.mixes_images(&recorded, &card).unwrap_or(true);
                let about = |module: &OnnxModule| format!("{}, a segmentation", about(module));
                let decoder = |mut labels: Vec<String>, card: &ModelCard| {
                    if labels == ["0"] {
                        labels = vec!["region".into()];
                    }
                    Segment::new(labels, card.size, [rows, columns]).logits(card.logits)
                };
                self.model(recorded, classes, about, decoder, takes_one)
            }
            Task::Detect(head, classes) => {
                let mut facts = Facts::default();
                facts.preprocess = Some(head.preprocess());
                facts.task = Some("detect".into());
                facts.decoder = Some(head.name().into());
                self.facts = self.facts.of_package(head.package(), &facts);
                let recorded = self.recorded(Box::new(move |module, images| {
                    let ([batch, _, height, width], outputs) = (images.dims(), module.forward(images)?);
                    let shapes = outputs.shapes();
                    let rows = outputs.rows(batch)?.into_iter().zip(shapes);
                    let outputs: Vec<_> = rows.map(|(values, shape)| RawOutput { shape, values }).collect();
                    Ok(flat(head.detections(&outputs, [height, width], classes)))
                }))?;
                // Files that were exported for one image may have its shape in any operator.
                let takes_one = self.mixes_images(&recorded, &card).unwrap_or(true);
                let about = |module: &OnnxModule| {
                    format!("{}, a detector like those of {}", about(module), head.package())
                };
                let decoder = |labels: Vec<String>, card: &ModelCard| {
                    let own = head.suppression();
                    let min_score = card.min_score.unwrap_or(own.min_score);
                    let suppression = Suppression { min_score, overlap: card.overlap.or(own.overlap), ..own };
                    Detect::new(labels).suppression(suppression).sorted(head.is_sorted())
                };
                self.model(recorded, classes, about, decoder, takes_one)
            }
        }
    }

    fn recorded(&self, forward: Forward) -> Result<Passed, Error> {
        Ok(cam_graph::record_fallible(&self.module, forward)?)
    }

    /// Reports whether the images of a batch have other outputs than apart.
    fn mixes_images(&self, recorded: &Passed, card: &ModelCard) -> Result<bool, Error> {
        Ok(self.module.may_be_of_one_batch_size()
            && mixes_images(recorded, card.channels, card.size, self.device)?)
    }

    fn model<D: Decoder + Clone + 'static>(
        self,
        recorded: Passed,
        classes: usize,
        about: impl Fn(&OnnxModule) -> String,
        decoder: impl Fn(Vec<String>, &ModelCard) -> D,
        takes_one: bool,
    ) -> Result<AnyModel, Error> {
        let mut known = self.facts.with_classes(classes, &self.file)?;
        if self.module.is_quantized() {
            known.assumed.push("gradients that pass the rounding of quantized values unchanged".into());
        }
        if takes_one {
            known.assumed.push("one image at a time, as the file is made for".into());
        }
        let labels = match &self.request.labels {
            Some(labels) => class_names(labels, classes)?,
            None => known.labels,
        };
        let decoder = decoder(labels, &known.card);
        let info = ModelInfo {
            about: about(&self.module),
            weights: Some(self.file.clone()),
            assumed: known.assumed,
            card: Some(known.text),
            ..ModelInfo::new(&known.card.name)
        };
        let mut model = RecordedModel::new(recorded, decoder, info).preprocess(known.card.preprocess());
        if !known.card.layer.is_empty() {
            model = model.layer(&known.card.layer);
        }
        Ok(AnyModel::new(OnnxModel { model, file: self.file, layer: OnceLock::new(), takes_one }))
    }
}

/// Returns which decoders there are, and what they take.
fn known_heads() -> String {
    let heads = heads::HEADS.iter().map(|head| format!("{} ({})", head.name(), head.shapes()));
    format!("there are {}", heads.collect::<Vec<_>>().join(", "))
}

fn open(model: &OpenModel<'_>, device: &Device) -> Result<AnyModel, Error> {
    let request = model.request();
    let file = request.file.clone().unwrap_or_default();
    let failed = |source| Error::Onnx { path: file.clone(), source };
    if request.precision != Precision::F32 {
        let reason = "ONNX files are computed in f32 only".into();
        return Err(Error::NotOpened { asked: file.display().to_string(), reason });
    }
    let mut module = OnnxModule::open(&file, device).map_err(failed)?;
    if let Some(output) = &request.output {
        module = module.with_output(output).map_err(failed)?;
    }
    for (name, value) in &request.inputs {
        module = module.with_input(name, value.clone()).map_err(failed)?;
    }
    let tensors = facts_of_tensors(&module).map_err(failed)?;
    let facts = FileFacts::new(model.stated()?, &file, &facts_of_metadata(&module), &tensors)?;
    Opening { request, device, file, module, facts }.open()
}

/// Returns images of no object, whose pixels have all values from -1 to 1.
fn waves(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let count = shape.iter().product::<usize>() as i64;
    Tensor::<1, Int>::arange(0..count, device).float().sin().reshape(shape)
}

/// Reports whether two images have other scores together than apart. Exporters that know one image only may write that into the file.
fn mixes_images(
    recorded: &Passed,
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
        facts.labels = metadata.get("names").and_then(|names| numbered_names(names)).map(Labels::Names);
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

impl<D: Decoder + Clone + 'static> Model for OnnxModel<D> {
    fn module(&self) -> &dyn Inspect {
        Model::module(&self.model)
    }

    fn prepare(&self, images: &Tensor<4>) -> Result<(), cam_core::Error> {
        let count = images.dims()[0];
        if self.takes_one && count > 1 {
            let reason = format!(
                "the file was exported for one image at a time, and {count} are needed: export it with a free batch size"
            );
            return Err(cam_core::Error::Recording { reason });
        }
        Model::prepare(&self.model, images)
    }

    fn has_class_attention(&self, images: &Tensor<4>) -> bool {
        Model::has_class_attention(&self.model, images)
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        Model::forward(&self.model, images, taps)
    }
}

impl<D: Decoder + Clone + 'static> ImageModel for OnnxModel<D> {
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
        // Each box has layers of its own.
        if self.decoder().has_places() {
            return self.model.default_layer();
        }
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
