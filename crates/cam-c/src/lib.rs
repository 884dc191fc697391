//! Class activation maps for programs in C: a model file and an RGB buffer in, predictions, maps and overlays out.
//!
//! The interface is `cam.h`, which a test compares with this file. The functions are called from C; Rust has
//! [`burn-cam`](https://docs.rs/burn-cam).

#![allow(clippy::missing_safety_doc, reason = "cam.h says for all functions what callers have to keep")]

mod raw;

use burn_cam::draw::Overlay;
use burn_cam::{AnyModel, Device, ErrorKind, ImageExplainer, ImageExplanation, OpenModel, Registry, image};
use raw::Caller;
use std::ffi::{CString, c_char};
use std::ptr;

/// What a failure is about.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Nothing failed.
    Ok = 0,
    /// An argument is NULL, not UTF-8, or out of range.
    Argument = 1,
    /// A model file that cannot be read, or that is not of a known model.
    Model = 2,
    /// An image that the model cannot take.
    Image = 3,
    /// An unknown class.
    Class = 4,
    /// An unknown method, or one that does not apply to the model.
    Method = 5,
    /// An unknown layer, or no layer that can be explained.
    Layer = 6,
    /// NaN or infinity in weights or input.
    NonFinite = 7,
    /// A device that fails.
    Device = 8,
    /// Anything else.
    Other = 9,
    /// A fault of the library.
    Panic = 10,
}

/// Why a function failed.
struct Failure {
    code: Code,
    text: String,
}

impl Failure {
    fn null(name: &str) -> Self {
        Self { code: Code::Argument, text: format!("`{name}` is NULL") }
    }

    fn range(what: &str, asked: usize, count: usize) -> Self {
        Self { code: Code::Argument, text: format!("there is no {what} {asked}: there are {count}") }
    }
}

impl From<burn_cam::Error> for Failure {
    fn from(error: burn_cam::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Model
            | ErrorKind::Weights
            | ErrorKind::WrongWeights
            | ErrorKind::Card
            | ErrorKind::Labels => Code::Model,
            ErrorKind::Image | ErrorKind::ImageSize => Code::Image,
            ErrorKind::Class => Code::Class,
            ErrorKind::Method => Code::Method,
            ErrorKind::Layer => Code::Layer,
            ErrorKind::NonFinite => Code::NonFinite,
            ErrorKind::Device => Code::Device,
            _ => Code::Other,
        };
        Self { code, text: error.to_string() }
    }
}

/// A model of images, on the CPU.
pub struct Model(AnyModel);

/// What a model predicts for an image, and where it looked.
pub struct Explanation {
    found: ImageExplanation,
    /// The names of the predictions, and the labels and layers of the maps.
    names: Vec<CString>,
    labels: Vec<[CString; 2]>,
}

/// What is explained, and how. All of it may be zero, and so may be the pointer to it.
#[repr(C)]
#[derive(Debug)]
pub struct Options {
    /// The class, by its name or its number; NULL for the most likely ones.
    pub class_name: *const c_char,
    /// How many of the most likely classes are explained where none is named; 0 for the default, which is one.
    pub top: usize,
    /// The method, `gradcam` by default (NULL).
    pub method: *const c_char,
    /// The layer; NULL for that of the model.
    pub layer: *const c_char,
}

/// The map of one class. It is a part of its explanation and is gone when that is freed.
#[repr(C)]
#[derive(Debug)]
pub struct Map {
    /// The name of the class.
    pub label: *const c_char,
    /// How confident the model is of the class, 0 to 1; NaN if it does not say.
    pub probability: f32,
    /// The layer.
    pub layer: *const c_char,
    /// `height` rows of `width` numbers from 0 to 1.
    pub values: *const f32,
    /// Numbers of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The hottest pixel of the image: its column.
    pub peak_x: usize,
    /// Its row.
    pub peak_y: usize,
}

/// A prediction. It is a part of its explanation and is gone when that is freed.
#[repr(C)]
#[derive(Debug)]
pub struct Prediction {
    /// The number of the class.
    pub class_index: usize,
    /// The name of the class.
    pub label: *const c_char,
    /// The output of the model for it.
    pub score: f32,
    /// How confident the model is, 0 to 1.
    pub probability: f32,
}

/// Opens the model of a file; the small built-in one for NULL. `cam_model_free` frees it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cam_model_open(
    path: *const c_char,
    model: *mut *mut Model,
    text: *mut c_char,
    length: usize,
) -> Code {
    // SAFETY: as `cam.h` requires.
    let caller = unsafe { Caller::new() };
    caller.run(text, length, || {
        let opened = match caller.string(path, "path")? {
            Some(path) => burn_cam::open(path, &Device::flex())?,
            None => OpenModel::new().open(&Device::flex())?,
        };
        caller.put(model, Model(opened), "model")
    })
}

/// Frees a model; nothing for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cam_model_free(model: *mut Model) {
    // SAFETY: as `cam.h` requires.
    unsafe { Caller::new() }.free(model);
}

/// Explains an image of `height` rows of `width` pixels, each three bytes: red, green, blue. `options` may be NULL. `cam_explanation_free`
/// frees the explanation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cam_explain(
    model: *const Model,
    rgb: *const u8,
    width: usize,
    height: usize,
    options: *const Options,
    explanation: *mut *mut Explanation,
    text: *mut c_char,
    length: usize,
) -> Code {
    // SAFETY: as `cam.h` requires.
    let caller = unsafe { Caller::new() };
    caller.run(text, length, || {
        let model = caller.get(model, "model")?;
        let size = |side: usize| {
            u32::try_from(side).ok().filter(|_| width.saturating_mul(height) as u64 <= burn_cam::MOST_PIXELS)
        };
        let (Some(columns), Some(rows)) = (size(width), size(height)) else {
            return Err(Failure {
                code: Code::Image,
                text: format!("an image of {width} x {height} pixels is too large"),
            });
        };
        let pixels = caller.list(rgb, 3 * width * height, "rgb")?.to_vec();
        let pixels = image::RgbImage::from_raw(columns, rows, pixels).expect("three bytes for each pixel");
        let found = explained(caller, &model.0, pixels, caller.get(options, "options").ok())?;
        caller.put(explanation, Explanation::new(found), "explanation")
    })
}

fn explained(
    caller: Caller,
    model: &AnyModel,
    pixels: image::RgbImage,
    options: Option<&Options>,
) -> Result<ImageExplanation, Failure> {
    let mut explainer = ImageExplainer::new(model);
    if let Some(options) = options {
        if let Some(class) = caller.string(options.class_name, "class_name")? {
            explainer = explainer.class(class)?;
        } else if options.top > 0 {
            explainer = explainer.top(options.top);
        }
        if let Some(method) = caller.string(options.method, "method")? {
            explainer = explainer.method(Registry::default().method(method)?);
        }
        if let Some(layer) = caller.string(options.layer, "layer")? {
            explainer = explainer.layer(layer);
        }
    }
    Ok(explainer.explain(pixels)?)
}

impl Explanation {
    fn new(found: ImageExplanation) -> Self {
        // A zero ends a name in C.
        let c = |name: &str| CString::new(name.replace('\0', " ")).unwrap_or_default();
        let names = found.predictions.iter().map(|prediction| c(&prediction.label)).collect();
        let labels = found.maps.iter().map(|map| [c(&map.label), c(&map.layer)]).collect();
        Self { found, names, labels }
    }
}

/// Frees an explanation and what `cam_prediction` and `cam_map` gave of it; nothing for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cam_explanation_free(explanation: *mut Explanation) {
    // SAFETY: as `cam.h` requires.
    unsafe { Caller::new() }.free(explanation);
}

/// Returns how many predictions there are, the most confident first; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cam_prediction_count(explanation: *const Explanation) -> usize {
    // SAFETY: as `cam.h` requires.
    let explanation = unsafe { Caller::new() }.get(explanation, "explanation");
    explanation.map_or(0, |explanation| explanation.found.predictions.len())
}

/// Returns how many maps there are, one for each class that is explained; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cam_map_count(explanation: *const Explanation) -> usize {
    // SAFETY: as `cam.h` requires.
    let explanation = unsafe { Caller::new() }.get(explanation, "explanation");
    explanation.map_or(0, |explanation| explanation.found.maps.len())
}

/// Writes a prediction to `prediction`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cam_prediction(
    explanation: *const Explanation,
    index: usize,
    prediction: *mut Prediction,
    text: *mut c_char,
    length: usize,
) -> Code {
    // SAFETY: as `cam.h` requires.
    let caller = unsafe { Caller::new() };
    caller.run(text, length, || {
        let Explanation { found, names, .. } = caller.get(explanation, "explanation")?;
        let (Some(one), Some(name)) = (found.predictions.get(index), names.get(index)) else {
            return Err(Failure::range("prediction", index, names.len()));
        };
        let (class_index, label) = (one.class, name.as_ptr());
        let value = Prediction { class_index, label, score: one.score, probability: one.probability };
        caller.list_mut(prediction, 1, "prediction")?[0] = value;
        Ok(())
    })
}

/// Writes a map to `map`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cam_map(
    explanation: *const Explanation,
    index: usize,
    map: *mut Map,
    text: *mut c_char,
    length: usize,
) -> Code {
    // SAFETY: as `cam.h` requires.
    let caller = unsafe { Caller::new() };
    caller.run(text, length, || {
        let Explanation { found, labels, .. } = caller.get(explanation, "explanation")?;
        let (Some(one), Some([label, layer])) = (found.maps.get(index), labels.get(index)) else {
            return Err(Failure::range("map", index, labels.len()));
        };
        let (x, y) = one.peak();
        caller.list_mut(map, 1, "map")?[0] = Map {
            label: label.as_ptr(),
            probability: one.probability.unwrap_or(f32::NAN),
            layer: layer.as_ptr(),
            values: one.heatmap.values().as_ptr(),
            width: one.heatmap.width() as usize,
            height: one.heatmap.height() as usize,
            peak_x: x as usize,
            peak_y: y as usize,
        };
        Ok(())
    })
}

/// Draws a map over its image, into `rgb`, which has three bytes for each pixel of the image, `bytes` in all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cam_overlay(
    explanation: *const Explanation,
    index: usize,
    rgb: *mut u8,
    bytes: usize,
    text: *mut c_char,
    length: usize,
) -> Code {
    // SAFETY: as `cam.h` requires.
    let caller = unsafe { Caller::new() };
    caller.run(text, length, || {
        let Explanation { found, .. } = caller.get(explanation, "explanation")?;
        let Some(map) = found.maps.get(index) else {
            return Err(Failure::range("map", index, found.maps.len()));
        };
        let overlay = Overlay::new(map.source.pixels()).area(map.area);
        let overlay = overlay.draw(&map.heatmap).map_err(burn_cam::Error::from)?.into_raw();
        if overlay.len() != bytes {
            let text = format!("the overlay takes {} bytes, and there are {bytes}", overlay.len());
            return Err(Failure { code: Code::Argument, text });
        }
        caller.list_mut(rgb, bytes, "rgb")?.copy_from_slice(&overlay);
        Ok(())
    })
}

/// Returns the version of the library.
#[unsafe(no_mangle)]
pub extern "C" fn cam_version() -> *const c_char {
    const VERSION: &std::ffi::CStr =
        match std::ffi::CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

impl Options {
    /// Options that say nothing.
    pub const DEFAULT: Self =
        Self { class_name: ptr::null(), top: 0, method: ptr::null(), layer: ptr::null() };
}
