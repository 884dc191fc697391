//! Weights from torchvision and timm files and from Burn's own, strictly: every tensor of the model is in the file, in its
//! shape, and none is left over.
//!
//! A training script may wrap the tensors (`state_dict.`, `model.`, `module.`, one in the other): the prefix under which
//! most tensors of the model are found is taken, and what lies beside it (an optimizer, an epoch) is not looked at.
//!
//! Nothing of a file is executed, and what it says of itself is believed only as far as its bytes go: a file that declares
//! more than it holds is refused before memory is taken for it.

mod archive;
mod parameters;

use crate::Error;
use crate::error::Mismatch;
use crate::zoo::{Config, TensorShapes};
use burn::module::Module;
use burn::store::{
    BurnToPyTorchAdapter, BurnpackStore, ModuleAdapter, ModuleStore, PytorchStore, SafetensorsStore,
    burn_pack,
};
use burn::tensor::Bytes;
pub(crate) use parameters::Outline;
use parameters::fill;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// The tensors of a weight file, by their names; nothing of the file is executed, and data is read when it is used.
pub struct Weights {
    source: PathBuf,
    /// Bytes of the file, or of what stands for one in memory.
    length: u64,
    spelling: Spelling,
    tensors: BTreeMap<String, PackTensor>,
    /// The copy that the numbers are read from, where the file itself cannot be.
    _copy: Option<TempPath>,
}

type PackTensor = burn_pack::Tensor;

/// Tensors of a file by the names that a module has for them, and the shapes that it gives them.
type Found<'a> = BTreeMap<String, (&'a PackTensor, Vec<usize>)>;

/// Names and shapes of tensors, in the order of their names.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

/// Who wrote the file, and so how norms are called and how linear layers lie.
#[derive(Clone, Copy, PartialEq)]
enum Spelling {
    /// `weight` and `bias` of a norm, linear layers `[out, in]`.
    PyTorch,
    /// `gamma` and `beta` of a norm, linear layers `[in, out]`.
    Burn,
}

impl Spelling {
    /// What makes a tensor of a module one of the file.
    fn adapter(self) -> Option<&'static dyn ModuleAdapter> {
        match self {
            Self::PyTorch => Some(&BurnToPyTorchAdapter),
            Self::Burn => None,
        }
    }
}

/// What a file is, as its first bytes tell.
#[derive(Clone, Copy)]
enum Format {
    Burnpack,
    Safetensors,
    /// What is neither of the others is left to the reader of PyTorch's formats, which have no mark in common.
    PyTorch,
}

impl Format {
    /// The format of a file of this name that starts so.
    fn of(path: &Path, head: &[u8]) -> Self {
        let named = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors"));
        if head.starts_with(b"NRUB") {
            Self::Burnpack
        } else if named || head.get(8) == Some(&b'{') {
            Self::Safetensors
        } else {
            Self::PyTorch
        }
    }

    fn spelling(self) -> Spelling {
        match self {
            Self::Burnpack => Spelling::Burn,
            Self::Safetensors | Self::PyTorch => Spelling::PyTorch,
        }
    }
}

/// Counters of training that inference has no use for.
const IGNORED: &str = "num_batches_tracked";

/// The least bytes that a file has for a number.
const NARROWEST: u128 = 2;

impl Weights {
    /// Opens a weight file: safetensors, PyTorch's `.pth` and `.pt` in all its formats, or Burn's burnpack. Which it is, is
    /// told by its first bytes, whatever its name.
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`] for a file that is not there, of another kind, or corrupt.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let unreadable = |reason: String| Error::UnreadableWeights { path: path.into(), reason };
        let (length, head) = head(path).map_err(unreadable)?;
        let format = Format::of(path, &head);
        let mut copy = None;
        let tensors = match format {
            Format::Burnpack => all(BurnpackStore::from_file(path).auto_extension(false)),
            Format::Safetensors => all(SafetensorsStore::from_file(path).map_indices_contiguous(false)),
            Format::PyTorch => {
                if head.starts_with(b"PK") {
                    copy = archive::checked(path, length).map_err(unreadable)?;
                }
                let path = copy.as_deref().unwrap_or(path);
                all(PytorchStore::from_file(path).map_indices_contiguous(false))
            }
        };
        Ok(Self { _copy: copy, ..Self::new(path.into(), length, format, tensors.map_err(unreadable)?) })
    }

    /// Weights that lie in memory, where there are no files: safetensors or Burn's burnpack. Errors call them by `name`.
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`] for those of another kind, PyTorch's own among them, and for corrupt ones.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        let unreadable = |reason: String| Error::UnreadableWeights { path: name.into(), reason };
        let length = bytes.len() as u64;
        let format = Format::of(Path::new(name), &bytes);
        let tensors = match format {
            Format::Burnpack => all(BurnpackStore::from_bytes(Some(Bytes::from_bytes_vec(bytes)))),
            Format::Safetensors => {
                all(SafetensorsStore::from_bytes(Some(bytes)).map_indices_contiguous(false))
            }
            Format::PyTorch => {
                Err("in memory, safetensors and Burn's burnpack can be read; PyTorch's only from a file"
                    .into())
            }
        };
        Ok(Self::new(name.into(), length, format, tensors.map_err(unreadable)?))
    }

    fn new(source: PathBuf, length: u64, format: Format, mut tensors: BTreeMap<String, PackTensor>) -> Self {
        let spelling = format.spelling();
        if spelling == Spelling::Burn {
            // Burn writes the variant of an enum into the path of what it holds; a checkpoint has no such part.
            let variant = |part: &&str| part.starts_with(|first: char| first.is_ascii_uppercase());
            let plain =
                |key: String| key.split('.').filter(|part| !variant(part)).collect::<Vec<_>>().join(".");
            tensors = tensors.into_iter().map(|(key, tensor)| (plain(key), tensor)).collect();
        }
        Self { source, length, spelling, tensors, _copy: None }
    }

    /// The file, or what those in memory are called.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    /// The names of the tensors.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Which network the tensors are of.
    ///
    /// The shallowest prefix is taken under which there is one; of several, averaged weights (`state_dict_ema`), as timm does.
    pub(crate) fn detect(&self) -> Option<Config> {
        self.prefixes().into_iter().find_map(|prefix| {
            let shapes: &TensorShapes<'_> = &|name| self.shape(&format!("{prefix}{name}"));
            Config::detect(shapes)
        })
    }

    /// The shape of the tensor of this name, as PyTorch would have it.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let shape = |name: &str| self.tensors.get(name).map(|tensor| tensor.shape.to_vec());
        let as_norm = || match name.strip_suffix("weight") {
            Some(layer) => shape(&format!("{layer}gamma")),
            None => shape(&format!("{}beta", name.strip_suffix("bias")?)),
        };
        match self.spelling {
            Spelling::PyTorch => shape(name),
            Spelling::Burn => shape(name).or_else(as_norm).map(|mut shape| {
                if shape.len() == 2 && name.ends_with(".weight") {
                    shape.reverse();
                }
                shape
            }),
        }
    }

    /// The prefixes of up to three parts that tensors have, the shallowest first and averaged weights before others.
    fn prefixes(&self) -> Vec<&str> {
        let mut prefixes = BTreeSet::from([(0, false, "")]);
        for key in self.tensors.keys() {
            for (depth, (dot, _)) in key.match_indices('.').take(3).enumerate() {
                let prefix = &key[..=dot];
                prefixes.insert((depth + 1, !averaged(prefix), prefix));
            }
        }
        prefixes.into_iter().map(|(_, _, prefix)| prefix).collect()
    }

    /// The module with its parameters taken from the file, cast to f32.
    ///
    /// # Errors
    /// [`Error::WrongWeights`] with every missing, unexpected and misshapen tensor; [`Error::UnreadableWeights`] where the
    /// numbers of a tensor cannot be read.
    pub fn load<M: Module>(&self, model: &str, module: M) -> Result<M, Error> {
        self.load_as(model, module, &|name, shape| Some((name.into(), shape.to_vec())))
    }

    /// Like [`load`](Self::load), for tensors that the file calls and shapes otherwise than the module: see [`Config::own`].
    pub(crate) fn load_as<M: Module>(&self, model: &str, module: M, own: &Own<'_>) -> Result<M, Error> {
        let Comparison { expected, found, mismatch } = self.compare(&module, own);
        if !mismatch.is_empty() {
            let (path, model) = (self.source.clone(), model.into());
            return Err(Error::WrongWeights { path, model, mismatch: mismatch.into() });
        }
        let unreadable = |reason: String| Error::UnreadableWeights { path: self.source.clone(), reason };
        let numbers = count(&expected);
        if numbers * NARROWEST > u128::from(self.length) {
            let length = self.length;
            return Err(unreadable(format!(
                "it has {length} bytes, which do not hold the {numbers} numbers of its tensors"
            )));
        }
        if let Some((tensor, _)) = found.values().find(|(tensor, _)| !tensor.dtype.is_float()) {
            let PackTensor { name, dtype, .. } = tensor;
            return Err(unreadable(format!("the numbers of `{name}` are {dtype:?}; floats are needed")));
        }
        fill(module, self.spelling.adapter(), found).map_err(unreadable)
    }

    /// The tensors of the file beside those of a module.
    pub(crate) fn compare<M: Module>(&self, module: &M, own: &Own<'_>) -> Comparison<'_> {
        // What Burn wrote is called and shaped as the module has it.
        let same: &Own<'_> = &|name, shape| Some((name.into(), shape.to_vec()));
        let own = if self.spelling == Spelling::Burn { same } else { own };
        let expected = Outline::of(module, self.spelling.adapter());
        let prefix = self.prefix(&expected, own);
        let found: Found<'_> = self
            .tensors
            .iter()
            .filter(|(key, _)| !key.ends_with(IGNORED))
            .filter_map(|(key, tensor)| {
                let (name, shape) = own(key.strip_prefix(&prefix)?, &tensor.shape)?;
                Some((name, (tensor, shape)))
            })
            .collect();
        let shapes = found.iter().map(|(name, (_, shape))| (name.clone(), shape.clone())).collect();
        Comparison { mismatch: Mismatch::between(&expected, &shapes), expected, found }
    }

    /// The prefix under which most of the expected tensors are.
    fn prefix(&self, expected: &Shapes, own: &Own<'_>) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for (key, tensor) in &self.tensors {
            // `a.b.conv1.weight` can be `conv1.weight` under `a.b.`, `b.conv1.weight` under `a.`, or itself.
            let dots = key.match_indices('.').map(|(dot, _)| dot + 1);
            for start in std::iter::once(0).chain(dots) {
                if own(&key[start..], &tensor.shape).is_some_and(|(name, _)| expected.contains_key(&name)) {
                    *counts.entry(&key[..start]).or_default() += 1;
                }
            }
        }
        let best = counts
            .into_iter()
            .max_by_key(|(prefix, count)| (*count, averaged(prefix), Reverse(prefix.len())));
        best.map_or("", |(prefix, _)| prefix).into()
    }
}

/// How a module calls and shapes a tensor of a file; `None` for one that it has no use for.
pub(crate) type Own<'a> = dyn Fn(&str, &[usize]) -> Option<(String, Vec<usize>)> + 'a;

/// The tensors of a file beside those of a module, all by the module's names.
pub(crate) struct Comparison<'a> {
    /// What the module needs.
    pub expected: Shapes,
    /// What the file has, and the shape that the module gives it.
    found: Found<'a>,
    /// How they differ.
    pub mismatch: Mismatch,
}

/// How many numbers tensors of these shapes hold.
pub(crate) fn count(shapes: &Shapes) -> u128 {
    let numbers = |shape: &Vec<usize>| shape.iter().map(|side| *side as u128).product::<u128>();
    shapes.values().map(numbers).sum()
}

/// Whether a prefix says that the weights are averaged over the steps of training, as in `state_dict_ema.`.
fn averaged(prefix: &str) -> bool {
    prefix.split(['.', '_']).any(|word| word == "ema")
}

/// The length of a file and its first bytes.
fn head(path: &Path) -> Result<(u64, Vec<u8>), String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let about = file.metadata().map_err(|e| e.to_string())?;
    if !about.is_file() {
        return Err("it is no file".into());
    }
    let mut head = Vec::new();
    file.take(9).read_to_end(&mut head).map_err(|e| e.to_string())?;
    Ok((about.len(), head))
}

/// All tensors of a store; their numbers are not read.
fn all<S: ModuleStore>(mut store: S) -> Result<BTreeMap<String, PackTensor>, String> {
    store.get_all_tensors().cloned().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use std::cell::RefCell;

    /// Whatever a file says, a network that is detected in it can be built; an odd shape is found when tensors are compared.
    #[test]
    fn odd_shapes_are_detected_as_nothing_or_as_a_network_that_can_be() {
        let device = Device::flex();
        let mut panics = Vec::new();
        for (variant, config) in Config::variants() {
            let shapes = Outline::of(&config.init(&device), Some(&BurnToPyTorchAdapter));
            let asked = RefCell::new(BTreeSet::new());
            let look = |name: &str| {
                asked.borrow_mut().insert(name.to_string());
                shapes.get(name).cloned()
            };
            assert_eq!(Config::detect(&look).as_ref(), Some(&config), "{variant}");
            for name in asked.into_inner().iter().filter(|name| shapes.contains_key(*name)) {
                let shape = &shapes[name];
                let sides = (0..shape.len()).flat_map(|place| {
                    [0, 1, 3, 7, 32, 1000, usize::MAX].map(|side| {
                        let mut shape = shape.clone();
                        shape[place] = side;
                        Some(shape)
                    })
                });
                let ranks = [None, Some(vec![]), Some(vec![2; 5]), Some(shape[1..].to_vec())];
                for odd in sides.chain(ranks) {
                    let look =
                        |other: &str| if other == name { odd.clone() } else { shapes.get(other).cloned() };
                    let built = std::panic::catch_unwind(|| {
                        Config::detect(&look).map(|found| Outline::of(&found.init(&device), None).len())
                    });
                    if built.is_err() {
                        panics.push(format!("{variant}: {name} {odd:?}"));
                    }
                }
            }
        }
        assert!(panics.is_empty(), "{}", panics.join("\n"));
    }
}
