//! The index of weights in several files, as transformers saves large ones: `model.safetensors.index.json`.

use super::TABLE;
use crate::{Error, text_file};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The most files of an index. The largest networks that are known have some hundred.
const FILES: usize = 1024;

/// The index of weights in several files, which lie beside it.
pub(crate) struct Index {
    path: PathBuf,
    /// The file of each tensor.
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Returns whether a file is an index, by its name.
    pub fn is(path: &Path) -> bool {
        path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".index.json"))
    }

    /// Reads an index.
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`] for a file that is no index, is too long, or names files elsewhere than beside it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Text {
            weight_map: BTreeMap<String, String>,
        }
        let refuse = |reason: String| Error::UnreadableWeights { path: path.into(), reason };
        let text = text_file::read(path, TABLE).map_err(|error| refuse(error.to_string()))?;
        let Text { weight_map } = serde_json::from_str(&text)
            .map_err(|error| refuse(format!("it is no index of weights: {error}")))?;
        if let Some(name) = weight_map.values().find(|name| !is_plain(name)) {
            return Err(refuse(format!("it names a file elsewhere than beside it: {name:?}")));
        }
        let index = Self { path: path.into(), weight_map };
        match index.names().len() {
            0 => Err(refuse("it names no file".into())),
            many if many > FILES => Err(refuse(format!("it names {many} files, more than {FILES}"))),
            _ => Ok(index),
        }
    }

    fn names(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// Returns its files, in the order of their names.
    pub fn files(&self) -> Vec<PathBuf> {
        self.names().into_iter().map(|name| self.path.with_file_name(name)).collect()
    }

    /// Returns the tensors that a file has to have.
    pub fn tensors_of(&self, file: &Path) -> impl Iterator<Item = &str> {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        self.weight_map.iter().filter(move |(_, file)| *file == name).map(|(tensor, _)| tensor.as_str())
    }
}

/// Returns whether a name is that of a file, and nothing else in a path, on any system.
fn is_plain(name: &str) -> bool {
    let is_of_names = |c: char| c.is_alphanumeric() || "-_.+= ".contains(c);
    !name.is_empty() && name.len() < 256 && !name.starts_with('.') && name.chars().all(is_of_names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_an_index_lie_beside_it() {
        for name in ["model-00001-of-00002.safetensors", "pytorch_model-00001-of-00002.bin"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "..", "../a", "/a", "a/b", "a\\b", "C:a", ".hidden", "a\0b", "a\nb"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
