//! The names of classes.

use crate::{Error, Labels, text_file};
use std::path::Path;

/// The most bytes of a file of class names.
const LONGEST: u64 = 16 << 20;

/// Returns the names of so many classes in a file, one per line.
///
/// # Errors
/// [`Error::UnreadableLabels`], and [`Error::LabelCount`] for more or fewer names than classes.
pub fn class_names(path: &Path, classes: usize) -> Result<Vec<String>, Error> {
    let text = text_file::read(path, LONGEST)
        .map_err(|e| Error::UnreadableLabels { path: path.into(), reason: e.to_string() })?;
    let text = text.trim_start_matches('\u{feff}').trim_end();
    match text.lines().count() {
        names if names != classes => Err(Error::LabelCount { path: path.into(), names, classes }),
        _ => Ok(text.lines().map(|line| line.trim().to_string()).collect()),
    }
}

/// Returns the names of a list if it fits the number of classes, numbers otherwise.
pub(crate) fn labels(list: &Labels, classes: usize) -> Vec<String> {
    let lines = |names: &str| names.lines().map(String::from).collect();
    let names: Vec<String> = match list {
        Labels::Imagenet => lines(include_str!("../models/imagenet.txt")),
        Labels::Coco => lines(include_str!("../models/coco.txt")),
        Labels::Scenes => lines(include_str!("../models/scenes.txt")),
        Labels::Names(names) => names.clone(),
        Labels::Numbers => Vec::new(),
    };
    if names.len() == classes { names } else { (0..classes).map(|class| class.to_string()).collect() }
}
