//! The best and the worst map of each method, drawn.

use super::table::{Question, is_baseline};
use crate::report::contact_sheet::Drawing;
use crate::report::failure::Failure;
use crate::report::format::Format;
use crate::run::images::SourceReader;
use crate::run::interrupt;
use crate::run::manifest::MeasuredLine;
use crate::run::sources::Source;
use burn_cam::draw::{self, Figure, Sheet};
use burn_cam::metrics::{Group, Metric};
use burn_cam::{AnyModel, ImageExplainer, ImageModel, Method, Reads};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An image and a class of it.
#[derive(Clone)]
struct Place {
    path: PathBuf,
    class: usize,
    label: String,
    value: f64,
}

/// The best and the worst of a method.
struct Extremes {
    layer: String,
    best: Place,
    worst: Place,
}

/// Draws for each method the image whose map has the best value of a metric, and that with the worst: of localization, if there is a truth. Returns the file;
/// nothing if no map has a value.
pub fn write(
    lines: impl Iterator<Item = Result<MeasuredLine, Failure>>,
    metrics: &[&'static dyn Metric],
    (model, reader): (&AnyModel, &SourceReader),
    methods: &[&'static dyn Method],
    folder: &Path,
) -> Result<Option<PathBuf>, Failure> {
    const BY: [&str; 4] = ["energy", "road", "insertion", "deletion"];
    let named = BY.iter().find_map(|name| metrics.iter().find(|metric| metric.name() == *name));
    let Some(metric) = named.or_else(|| metrics.iter().find(|metric| metric.info().group != Group::Sanity))
    else {
        return Ok(None);
    };
    let mut found: BTreeMap<String, Extremes> = BTreeMap::new();
    for line in lines {
        let line = line?;
        for question in Question::of(&line) {
            for (method, layer, value) in question.values_of(metric.name()) {
                let Some(class) = question.class() else { continue };
                let place =
                    Place { path: line.input.to_path_buf(), class, label: question.label().into(), value };
                let better = metric.info().better;
                let first = || Extremes { layer: layer.into(), best: place.clone(), worst: place.clone() };
                let known = found.entry(method.into()).or_insert_with(first);
                // Of several layers the first.
                if known.layer == layer && better.prefers(value, known.best.value) {
                    known.best = place;
                } else if known.layer == layer && better.prefers(known.worst.value, value) {
                    known.worst = place;
                }
            }
        }
    }
    let title = format!("The best and the worst maps of {} by {}", model.info().name, metric.info().title);
    let mut sheet = Sheet::new(title).columns(["best", "worst"]);
    let mut drawn = false;
    for (name, extremes) in found.iter().filter(|(name, _)| !is_baseline(name)) {
        let Some(method) = methods.iter().find(|method| method.name() == name) else { continue };
        let mut figures = Vec::new();
        for place in [&extremes.best, &extremes.worst] {
            let source = Source { path: place.path.clone(), below: PathBuf::new() };
            let Some(image) = reader.read(&source)?.into_iter().next() else { continue };
            let explainer = ImageExplainer::new(model).preprocess(reader.preprocess.clone()).method(*method);
            let explainer = if method.info().reads == Reads::Layer {
                explainer.layer(&extremes.layer)
            } else {
                explainer
            };
            let map = explainer.class(place.class)?.explain(&image.image)?.maps.into_iter().next();
            let file = place.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(map) = map {
                figures.push(
                    Figure::new(map.overlay()?)
                        .above(file)
                        .below(format!("{}: {:.3}", place.label, place.value)),
                );
            }
        }
        drawn |= !figures.is_empty();
        sheet = sheet.row(name.as_str(), figures);
    }
    if !drawn {
        return Ok(None);
    }
    let path = folder.join("extremes.png");
    let bytes = Drawing::Sheet(sheet).encode(Format::from_path(&path).unwrap_or_default())?;
    interrupt::whole(|| draw::write(&path, &bytes))?;
    Ok(Some(path))
}
