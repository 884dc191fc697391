//! The names of classes.

use crate::Labels;

/// Returns the names of a list if it fits the number of classes, numbers otherwise.
pub(crate) fn labels(list: &Labels, classes: usize) -> Vec<String> {
    let lines = |names: &str| names.lines().map(String::from).collect();
    let names: Vec<String> = match list {
        Labels::Imagenet => lines(include_str!("../models/imagenet.txt")),
        Labels::Scenes => lines(include_str!("../models/scenes.txt")),
        Labels::Names(names) => names.clone(),
        Labels::Numbers => Vec::new(),
    };
    if names.len() == classes { names } else { (0..classes).map(|class| class.to_string()).collect() }
}
