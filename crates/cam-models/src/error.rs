//! Errors of models, weights and images, with what there is to choose from.

use crate::weights::Shapes;
use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no model of this name.
    #[error("no model is called `{asked}`; {}", cam_core::choices(.asked, .known))]
    UnknownModel {
        /// The name asked for.
        asked: String,
        /// The models that there are.
        known: Vec<String>,
    },
    /// The model needs a weight file.
    #[error("`{model}` needs its weights: name a .pth, .pt or .safetensors file{}", published(.url))]
    NoWeights {
        /// The model.
        model: String,
        /// Where they are published; may be empty.
        url: String,
    },
    /// The weights of a model are not in the cache, and downloads are off.
    #[error(
        "offline, and the weights of `{model}` are not in the cache: download {url} and put it at `{}`", .place.display()
    )]
    Offline {
        /// The model.
        model: String,
        /// The file that is needed.
        url: String,
        /// Where it is expected.
        place: PathBuf,
    },
    /// The weights of a model could not be downloaded.
    #[error(
        "cannot download the weights of `{model}`: {reason}; you can download {url} yourself and put it at `{}`",
        .place.display()
    )]
    Fetch {
        /// The model.
        model: String,
        /// The file that is needed.
        url: String,
        /// Where it is expected.
        place: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// No repository of the hub can be called so.
    #[error(
        "`{asked}` is no name of a repository: hf:OWNER/NAME, or hf:OWNER/NAME@REVISION with a branch, a tag or a commit"
    )]
    UnknownRepository {
        /// The name asked for.
        asked: String,
    },
    /// A weight file is not the published one.
    #[error("the weights `{}` are not the published ones: their sha256 is {found}, not {expected}", .path.display())]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// The hash that was published.
        expected: String,
        /// The hash of the file.
        found: String,
    },
    /// A weight file could not be read.
    #[error("cannot read the weights `{}`: {reason}", .path.display())]
    UnreadableWeights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A weight file has other tensors than the model.
    #[error("the weights `{}` are not those of `{model}`:{mismatch}", .path.display())]
    WrongWeights {
        /// The file.
        path: PathBuf,
        /// The model.
        model: String,
        /// What differs.
        mismatch: Box<Mismatch>,
    },
    /// A weight file has nearly the tensors of a model.
    #[error("the weights `{}` look like those of `{model}`, but:{mismatch}", .path.display())]
    NearMiss {
        /// The file.
        path: PathBuf,
        /// The model.
        model: String,
        /// What differs.
        mismatch: Box<Mismatch>,
    },
    /// A weight file has the tensors of no known network.
    #[error("unrecognized weights `{}`: {}; recognized families are {}; a variant of these families is opened by its name (`--model NAME`), and any other network as ONNX: `torch.onnx.export(model, image, \"net.onnx\")` writes it, and `--model net.onnx` opens it", .path.display(), contents(.found), .known.join(", "))]
    UnknownNetwork {
        /// The file.
        path: PathBuf,
        /// The names of its tensors.
        found: Vec<String>,
        /// The families of networks that there are.
        known: Vec<String>,
    },
    /// A folder has no model, or several.
    #[error("no model in the folder `{}`: {reason}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder has a network that is not known here.
    #[error("the folder `{}` has a `{network}`, which is no network here (there are {}); any network is opened as ONNX: `optimum-cli export onnx --task image-classification --model {0} {0}/onnx` writes it, and it is found there", .path.display(), .known.join(", "))]
    UnknownModelType {
        /// The folder.
        path: PathBuf,
        /// What its configuration calls the network.
        network: String,
        /// The families of networks that there are.
        known: Vec<String>,
    },
    /// A configuration beside weights cannot be read, or asks for what is not known here.
    #[error("the configuration `{}` cannot be followed: {reason}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tokens of a text are not what a network takes.
    #[error("{reason}")]
    Tokens {
        /// What is wrong with them.
        reason: String,
    },
    /// No tensors of a weight file have names that start with this prefix.
    #[error("no tensor of `{}` starts with `{asked}`; there are {}", .path.display(), first(.known))]
    UnknownPrefix {
        /// The file.
        path: PathBuf,
        /// The prefix asked for.
        asked: String,
        /// The prefixes that there are.
        known: Vec<String>,
    },
    /// A weight file has the body of a known network, and a head that is not understood.
    #[error(
        "the weights `{}` are of a {family} {}; a head is a sequence of linear layers, norms and PReLUs that ends with a linear layer, \
         and `head_layers` states it; of several heads, state one as the `classifier`", .path.display(), head(.found)
    )]
    UnknownHead {
        /// The file.
        path: PathBuf,
        /// The family of its body.
        family: &'static str,
        /// What is beside the body: names and shapes.
        found: Vec<(String, Vec<usize>)>,
    },
    /// No head of a weight file is called so.
    #[error("no head in `{}` is called `{asked}`; beside the body there are {}", .path.display(), first(.known))]
    UnknownClassifier {
        /// The file.
        path: PathBuf,
        /// The head asked for.
        asked: String,
        /// The tensors that there are beside the body.
        known: Vec<String>,
    },
    /// What is stated of a model does not fit its tensors.
    #[error("the weights `{}`, of {model}: {reason}", .path.display())]
    Stated {
        /// The file.
        path: PathBuf,
        /// The model.
        model: String,
        /// What does not fit.
        reason: String,
    },
    /// A model card could not be read.
    #[error("cannot read the model card `{}`: {reason}", .path.display())]
    ModelCard {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A list of model cards could not be read.
    #[error("cannot read the model cards: {reason}")]
    ModelCards {
        /// What is wrong with it.
        reason: String,
    },
    /// A family cannot be added to a registry.
    #[error("cannot add the family `{family}`: {reason}")]
    Family {
        /// The name of the family.
        family: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A list of class names could not be read.
    #[error("cannot read the class names `{}`: {reason}", .path.display())]
    UnreadableLabels {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A list of class names has the wrong length for a model.
    #[error("`{}` names {names} classes, and the model has {classes}", .path.display())]
    LabelCount {
        /// The file.
        path: PathBuf,
        /// Names of the list.
        names: usize,
        /// Classes of the model.
        classes: usize,
    },
    /// An error of an image, or of the name of a class.
    #[error(transparent)]
    Image(#[from] cam_image::Error),
    /// An error of recording a network, or of its precision.
    #[error(transparent)]
    Graph(#[from] cam_graph::Error),
}

impl Error {
    /// Returns whether weights are of another network than those that are known, which an ONNX file would have with it.
    pub fn is_of_another_network(&self) -> bool {
        matches!(
            self,
            Self::UnknownNetwork { .. }
                | Self::NearMiss { .. }
                | Self::UnknownHead { .. }
                | Self::Config { .. }
        )
    }
}

/// Returns what there is of a head, by the names and shapes of its tensors.
fn head(found: &[(String, Vec<usize>)]) -> String {
    match found {
        [] => "without a head".into(),
        _ => {
            let found = found.iter().map(|(name, shape)| format!("{name} {shape:?}"));
            format!("whose head is not recognized: {}", first(&found.collect::<Vec<_>>()))
        }
    }
}

/// Returns the first names of a list.
fn first(names: &[String]) -> String {
    const FEW: usize = 8;
    let shown = names.iter().take(FEW).cloned().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "none".into(),
        all if all > FEW => format!("{shown} and {} more", all - FEW),
        _ => shown,
    }
}

fn published(url: &str) -> String {
    if url.is_empty() { String::new() } else { format!(" (they are published at {url})") }
}

fn contents(names: &[String]) -> String {
    match names {
        [] => "it has no tensors".into(),
        [first, ..] => format!("it has {} tensors, `{first}` first", names.len()),
    }
}

/// How the tensors of a file differ from those of a model. Names and shapes are those of the checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Tensors of the model that are not in the file: name and expected shape.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Tensors of the file that the model does not have: name and found shape.
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// Tensors of another shape: name, expected and found shape.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Mismatch {
    /// Compares the tensors found with those expected.
    pub(crate) fn between(expected: &Shapes, found: &Shapes) -> Self {
        let mut mismatch = Self::default();
        for (name, shape) in expected {
            match found.get(name) {
                None => mismatch.missing.push((name.clone(), shape.clone())),
                Some(other) if other != shape => {
                    mismatch.misshapen.push((name.clone(), shape.clone(), other.clone()));
                }
                Some(_) => {}
            }
        }
        let left = found.iter().filter(|(name, _)| !expected.contains_key(*name));
        mismatch.unexpected = left.map(|(name, shape)| (name.clone(), shape.clone())).collect();
        mismatch
    }

    /// Returns how many tensors differ.
    pub(crate) fn count(&self) -> usize {
        self.missing.len() + self.unexpected.len() + self.misshapen.len()
    }

    /// Returns whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
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
