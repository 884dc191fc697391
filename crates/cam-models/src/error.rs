//! What can go wrong with a model, its weights or a photo, said with what there is.

use std::path::PathBuf;

/// Everything the crate refuses to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no card of this name.
    #[error("no model is called `{asked}`; there are {}", .known.join(", "))]
    UnknownModel {
        /// The name asked for.
        asked: String,
        /// The models that there are.
        known: Vec<String>,
    },
    /// The model needs a weight file.
    #[error(
        "`{model}` needs its weights: name a .pth, .pt or .safetensors file of it (its card names {url})"
    )]
    NoWeights {
        /// The model.
        model: String,
        /// Where they are published.
        url: String,
    },
    /// A weight file could not be read.
    #[error("cannot read the weights `{}`: {reason}", .path.display())]
    UnreadableWeights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A weight file holds other tensors than the model.
    #[error("the weights `{}` are not those of `{model}`:{mismatch}", .path.display())]
    WrongWeights {
        /// The file.
        path: PathBuf,
        /// The model.
        model: String,
        /// What differs.
        mismatch: Mismatch,
    },
    /// A photo could not be read.
    #[error("cannot read the picture `{}`: {reason}", .path.display())]
    UnreadablePhoto {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A photo of a size that cannot be explained.
    #[error("the picture `{}` has {width} x {height} pixels; each side needs {least} to {most}", .path.display())]
    PhotoSize {
        /// The file.
        path: PathBuf,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The least side in pixels.
        least: u32,
        /// The longest side in pixels.
        most: u32,
    },
    /// There is no class of this name.
    #[error("no class is called `{asked}`{}", suggestion(.close))]
    UnknownLabel {
        /// The name asked for.
        asked: String,
        /// Labels that are near it.
        close: Vec<String>,
    },
}

fn suggestion(close: &[String]) -> String {
    if close.is_empty() { String::new() } else { format!("; near it are {}", close.join(", ")) }
}

/// How the tensors of a file differ from those of a model. Names and shapes are those of the checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Tensors of the model that the file lacks: name and expected shape.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Tensors of the file that the model lacks: name and found shape.
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// Tensors of another shape: name, expected and found shape.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Mismatch {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = |what: &str, rows: Vec<String>| match rows.len() {
            0 => Ok(()),
            count => {
                let shown = rows.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
                let more = if count > 8 { format!(" and {} more", count - 8) } else { String::new() };
                write!(f, " {count} {what}: {shown}{more};")
            }
        };
        list("missing", self.missing.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect())?;
        list(
            "unexpected",
            self.unexpected.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect(),
        )?;
        list(
            "misshapen",
            self.misshapen
                .iter()
                .map(|(name, expected, found)| format!("{name} is {found:?} and should be {expected:?}"))
                .collect(),
        )
    }
}
