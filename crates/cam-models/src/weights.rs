//! Weights from torchvision and timm files and from Burn's own, loaded strictly: every tensor of the model is in the file, in the right
//! shape, and none is left over.
//!
//! A training script may wrap the tensors (`state_dict.`, `model.`, `module.`, one in another), and save several networks (a student and its
//! teacher). The prefix of one is taken, and anything beside it (an optimizer, an epoch) is ignored: see [`Weights::under`].
//!
//! Nothing in a file is executed, and what it declares is checked against its length: a file that declares more than it holds is
//! refused before memory is allocated for it.

mod archive;
mod heads;
mod index;
mod metadata;
mod params;
mod pickle;
mod publishers;
mod safetensors;
mod staged;
mod torch;

use crate::Error;
use crate::error::Mismatch;
use crate::family::TensorShapes;
use burn::module::Module;
use burn::store::{BurnpackStore, KeyRemapper, ModuleAdapter, ModuleStore, burn_pack};
use burn::tensor::{Bytes, DType};
use cam_image::foreign;
pub(crate) use heads::{Heads, StatedHead, is_own as is_own_head};
pub(crate) use index::Index;
use params::load_params;
pub(crate) use params::{ParamShapes, PyTorchAdapter};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// The tensors of a weight file by name. Nothing in the file is executed, and numbers are read when they are used.
pub struct Weights {
    source: PathBuf,
    /// Bytes of the file, or of its contents in memory.
    length: u64,
    naming: Naming,
    tensors: BTreeMap<String, PackTensor>,
    /// What the file says beside its tensors, as fields of a model card.
    metadata: toml::Table,
    /// What norms add to a variance, if the names of its tensors tell.
    epsilon: Option<f64>,
    /// What the names of the tensors start with that are used, if it is known.
    prefix: Option<String>,
    /// The heads of the networks in it, where they were looked for.
    heads: Vec<Heads>,
    /// The copies that the numbers are read from where files themselves cannot be used.
    _copies: Vec<TempPath>,
}

type PackTensor = burn_pack::Tensor;

/// Tensors of a file by the names that a module has for them, with the shapes that it gives them.
type FileTensors<'a> = BTreeMap<String, (&'a PackTensor, Vec<usize>)>;

/// Shapes of tensors by name.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// The conventions of the library that wrote a file: the names of a norm's tensors, and the order of a linear layer's axes.
#[derive(Clone, Copy, PartialEq)]
enum Naming {
    /// `weight` and `bias` of a norm, linear layers `[out, in]`.
    PyTorch,
    /// `gamma` and `beta` of a norm, linear layers `[in, out]`.
    Burn,
}

impl Naming {
    /// Returns what converts a tensor of a module to one of the file.
    fn adapter(self) -> Option<&'static dyn ModuleAdapter> {
        match self {
            Self::PyTorch => Some(&PyTorchAdapter),
            Self::Burn => None,
        }
    }
}

/// The format of a file, by its first bytes.
#[derive(Clone, Copy)]
enum Format {
    Burnpack,
    Safetensors,
    /// Everything else: PyTorch's formats have no signature in common, so their reader decides.
    PyTorch,
}

impl Format {
    /// Returns the format of a file with this name and these first bytes.
    fn detect(path: &Path, head: &[u8]) -> Self {
        let named = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors"));
        if head.starts_with(b"NRUB") {
            Self::Burnpack
        } else if named || head.get(8) == Some(&b'{') {
            Self::Safetensors
        } else {
            Self::PyTorch
        }
    }

    /// Makes sure that the table of tensors, whose length these first bytes declare, is not too long. PyTorch declares none.
    fn check_table(self, head: &[u8]) -> Result<(), String> {
        let length = match self {
            Self::Burnpack => {
                head.get(6..10).and_then(|length| Some(u32::from_le_bytes(length.try_into().ok()?).into()))
            }
            Self::Safetensors => head.first_chunk().map(|length| u64::from_le_bytes(*length)),
            Self::PyTorch => None,
        };
        match length {
            Some(length) if length > TABLE => {
                Err(format!("its table of tensors has {length} bytes, more than {TABLE}"))
            }
            _ => Ok(()),
        }
    }

    fn naming(self) -> Naming {
        match self {
            Self::Burnpack => Naming::Burn,
            Self::Safetensors | Self::PyTorch => Naming::PyTorch,
        }
    }
}

/// Training counters, which inference does not need.
const IGNORED: &str = "num_batches_tracked";

/// The fewest bytes that a file uses for a number.
const NARROWEST: u128 = 2;

/// The most bytes of the table of tensors in a file. It has some hundred bytes for each, and takes up to thirty times as many to read.
const TABLE: u64 = 8 << 20;

/// The most tensors of a file. The largest networks that are known have some thousand.
const TENSORS: usize = 100_000;

/// The most bytes in the name of a tensor.
const NAME: usize = 1000;

/// How much longer than in the network the name of a tensor may be in a file.
const REMAPPED: usize = 64;

/// The most prefixes that a network is looked for under.
const PREFIXES: usize = 4096;

impl Weights {
    /// Opens a weight file: safetensors, PyTorch's `.pth` and `.pt` in all their formats, or Burn's burnpack. Its first bytes determine
    /// the format, not its name. Of an index (`model.safetensors.index.json`) the files are opened that it names.
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`] for a file that is missing, corrupt, or of another format.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if Index::is(path) { Self::open_all(&Index::open(path)?, path) } else { Self::open_one(path) }
    }

    /// Opens the files of an index, which have the tensors that it says, and each tensor once.
    fn open_all(index: &Index, path: &Path) -> Result<Self, Error> {
        let refuse =
            |path: &Path, reason: String| Err(Error::UnreadableWeights { path: path.into(), reason });
        let mut all: Option<Self> = None;
        for file in index.files() {
            let part = Self::open_one(&file)?;
            if let Some(missing) = index.tensors_of(&file).find(|tensor| !part.tensors.contains_key(*tensor))
            {
                return refuse(&file, format!("it does not have `{missing}`, which the index has in it"));
            }
            let Some(whole) = &mut all else {
                all = Some(Self { source: path.into(), ..part });
                continue;
            };
            if part.naming != whole.naming {
                return refuse(&file, "it is of another format than the files before".into());
            }
            if let Some(twice) = part.tensors.keys().find(|name| whole.tensors.contains_key(*name)) {
                return refuse(&file, format!("another file has `{twice}`, too"));
            }
            whole.length = whole.length.saturating_add(part.length);
            whole.tensors.extend(part.tensors);
            whole._copies.extend(part._copies);
            if whole.tensors.len() > TENSORS {
                return refuse(path, format!("its files have more than {TENSORS} tensors"));
            }
        }
        all.ok_or_else(|| Error::UnreadableWeights { path: path.into(), reason: "it names no file".into() })
    }

    fn open_one(path: &Path) -> Result<Self, Error> {
        let unreadable = |reason: String| Error::UnreadableWeights { path: path.into(), reason };
        let (length, head) = head(path).map_err(unreadable)?;
        // The length that a safetensors file starts with can be any bytes.
        if let Some(what) = foreign::named(&head).filter(|_| head.get(8) != Some(&b'{')) {
            return Err(unreadable(format!("it is {what}")));
        }
        let format = Format::detect(path, &head);
        format.check_table(&head).map_err(unreadable)?;
        let (mut copy, mut metadata) = (None, toml::Table::new());
        let tensors = match format {
            Format::Burnpack => all(BurnpackStore::from_file(path).auto_extension(false)),
            Format::Safetensors => {
                metadata =
                    File::open(path).and_then(metadata::card).map_err(|e| unreadable(e.to_string()))?;
                safetensors::open(&safetensors::Source::of(path), length)
            }
            Format::PyTorch => torch::open(path, &head, length).map(|(tensors, copied)| {
                copy = copied;
                tensors
            }),
        };
        let tensors = tensors.and_then(few).map_err(|reason| match foreign::named_by_extension(path) {
            Some(what) => unreadable(format!("it is {what}")),
            None => unreadable(reason),
        })?;
        Ok(Self {
            _copies: copy.into_iter().collect(),
            ..Self::new(path.into(), length, format, tensors, metadata)
        })
    }

    /// Opens weights in memory: safetensors or Burn's burnpack. Errors call them `name`.
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`] for corrupt weights and for other formats, including PyTorch's.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        let unreadable = |reason: String| Error::UnreadableWeights { path: name.into(), reason };
        let length = bytes.len() as u64;
        let format = Format::detect(Path::new(name), &bytes);
        format.check_table(&bytes).map_err(unreadable)?;
        let mut metadata = toml::Table::new();
        let tensors = match format {
            Format::Burnpack => all(BurnpackStore::from_bytes(Some(Bytes::from_bytes_vec(bytes)))),
            Format::Safetensors => {
                metadata = metadata::card(&bytes[..]).map_err(|e| unreadable(e.to_string()))?;
                safetensors::open(&safetensors::Source::Memory(bytes.into()), length)
            }
            Format::PyTorch => Err(
                "safetensors and Burn's burnpack can be read from memory; PyTorch's formats only from a file"
                    .into(),
            ),
        };
        Ok(Self::new(name.into(), length, format, tensors.and_then(few).map_err(unreadable)?, metadata))
    }

    fn new(
        source: PathBuf,
        length: u64,
        format: Format,
        mut tensors: BTreeMap<String, PackTensor>,
        metadata: toml::Table,
    ) -> Self {
        let naming = format.naming();
        if naming == Naming::Burn {
            // Burn writes the variant of an enum into the paths of its contents; a checkpoint has no such part.
            let variant = |part: &&str| part.starts_with(|first: char| first.is_ascii_uppercase());
            let plain =
                |key: String| key.split('.').filter(|part| !variant(part)).collect::<Vec<_>>().join(".");
            tensors = tensors.into_iter().map(|(key, tensor)| (plain(key), tensor)).collect();
        }
        Self {
            source,
            length,
            naming,
            tensors,
            metadata,
            epsilon: None,
            prefix: None,
            heads: Vec::new(),
            _copies: Vec::new(),
        }
    }

    /// Returns the weights with other names for their tensors: a module of your own may have other names for its fields than the network
    /// whose weights it gets.
    ///
    /// - names: regular expressions and what replaces their matches. They are applied to whole names, prefixes included, one after another.
    ///
    /// ```no_run
    /// use burn::nn::conv::{Conv2d, Conv2dConfig};
    /// use burn::nn::{PRelu, PReluConfig};
    /// use burn::prelude::*;
    /// use cam_models::Weights;
    ///
    /// #[derive(Module, Debug)]
    /// struct Net {
    ///     conv: Conv2d,
    ///     act: PRelu, // its `alpha` is PyTorch's `weight`
    /// }
    ///
    /// # let device = Device::flex();
    /// let net = Net { conv: Conv2dConfig::new([3, 8], [3, 3]).init(&device), act: PReluConfig::new().init(&device) };
    /// // An `nn.Sequential(nn.Conv2d(3, 8, 3), nn.PReLU())`.
    /// let net = Weights::open("net.pth".as_ref())?.remap([(r"\b0\.", "conv."), (r"\b1\.", "act.")])?.load("net", net)?;
    /// # Ok::<(), cam_models::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`] for a pattern that is no regular expression, and if two tensors get one name.
    pub fn remap<'n>(mut self, names: impl IntoIterator<Item = (&'n str, &'n str)>) -> Result<Self, Error> {
        let names = match KeyRemapper::from_patterns(names.into_iter().collect()) {
            Ok(names) => names,
            Err(error) => {
                let reason = format!("what renames its tensors is no regular expression: {error}");
                return Err(Error::UnreadableWeights { path: self.source, reason });
            }
        };
        let named = |(name, mut tensor): (String, PackTensor)| {
            tensor.name = name;
            tensor
        };
        let (tensors, renamed) =
            names.remap(std::mem::take(&mut self.tensors).into_iter().map(named).collect());
        for (tensor, (name, old)) in tensors.into_iter().zip(renamed) {
            if self.tensors.insert(name.clone(), tensor).is_some() {
                let reason = format!("`{old}` and another tensor are renamed to `{name}`");
                return Err(Error::UnreadableWeights { path: self.source, reason });
            }
        }
        Ok(self)
    }

    /// Returns the weights under the names of the first publisher of each network in them, with one head for each: the `stated` one, or
    /// that which comes first.
    ///
    /// # Errors
    /// [`Error::UnknownClassifier`] if nothing is called as the stated head.
    pub(crate) fn translated(mut self, stated: &StatedHead) -> Result<Self, Error> {
        if self.naming == Naming::PyTorch {
            let (tensors, epsilon) = publishers::translated(self.tensors);
            (self.tensors, self.heads) = heads::named(tensors, stated);
            self.epsilon = epsilon;
        }
        let Some(asked) = &stated.name else { return Ok(self) };
        // A network of no body that is known here, and one that Burn wrote, have the name as it is.
        let layer = format!("{}.", asked.trim_end_matches('.'));
        let is_known = match &self.heads[..] {
            [] => self.tensors.keys().any(|name| name.starts_with(&layer)),
            heads => heads.iter().any(|heads| heads.used.is_some()),
        };
        match is_known {
            true => Ok(self),
            false => {
                let left = self.heads.into_iter().flat_map(|heads| heads.left).map(|(name, _)| name);
                let (asked, known) = (asked.into(), left.collect());
                Err(Error::UnknownClassifier { path: self.source, asked, known })
            }
        }
    }

    /// Returns the heads of the networks in it.
    pub(crate) fn heads(&self) -> &[Heads] {
        &self.heads
    }

    /// Returns the weights with only the tensors whose names start with this prefix, in which a last dot may be missing, to be used without
    /// it.
    ///
    /// Without it, the tensors of a network are looked for under every prefix. Of those that lack the fewest of its tensors, averaged
    /// weights (`state_dict_ema.`), a `teacher.` and MoCo's `encoder_q.` come first, and then the shortest prefix.
    ///
    /// # Errors
    /// [`Error::UnknownPrefix`] with the prefixes that there are.
    pub fn under(mut self, prefix: &str) -> Result<Self, Error> {
        let dotted =
            if prefix.is_empty() || prefix.ends_with('.') { prefix.into() } else { format!("{prefix}.") };
        if !self.tensors.keys().any(|name| name.starts_with(&dotted)) {
            let known = self.prefixes().into_iter().filter(|prefix| !prefix.is_empty());
            let known: Vec<String> = known.map(String::from).collect();
            return Err(Error::UnknownPrefix { path: self.source, asked: prefix.into(), known });
        }
        self.prefix = Some(dotted);
        Ok(self)
    }

    /// Returns the path of the file, or the name of weights in memory.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    /// Returns the names of the tensors.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Returns what the file says beside its tensors, as fields of a model card.
    pub(crate) fn metadata(&self) -> &toml::Table {
        &self.metadata
    }

    /// Returns what the names of its tensors say, as fields of a model card.
    pub(crate) fn of_names(&self) -> toml::Table {
        let epsilon =
            self.epsilon.map(|epsilon| toml::Table::from_iter([("epsilon".into(), epsilon.into())]));
        epsilon.map(|options| ("architecture".into(), options.into())).into_iter().collect()
    }

    /// Returns what is detected under each prefix, the preferred prefixes first.
    pub(crate) fn under_prefixes<T>(
        &self,
        detect: &dyn Fn(&TensorShapes<'_>) -> Option<T>,
    ) -> Vec<(String, T)> {
        let found = |prefix: &str| {
            let found = detect(&|name| self.shape(&format!("{prefix}{name}")))?;
            Some((prefix.to_string(), found))
        };
        self.prefixes().into_iter().filter_map(found).collect()
    }

    /// Returns the shape of the tensor of this name, in PyTorch's order of axes; `None` if there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let shape = |name: &str| self.tensors.get(name).map(|tensor| tensor.shape.to_vec());
        let as_norm = || match name.strip_suffix("weight") {
            Some(layer) => shape(&format!("{layer}gamma")),
            None => shape(&format!("{}beta", name.strip_suffix("bias")?)),
        };
        match self.naming {
            Naming::PyTorch => shape(name),
            Naming::Burn => shape(name).or_else(as_norm).map(|mut shape| {
                if shape.len() == 2 && name.ends_with(".weight") {
                    shape.reverse();
                }
                shape
            }),
        }
    }

    /// Returns the prefixes that tensors have, the preferred ones first; only the one that is set, if it is.
    fn prefixes(&self) -> Vec<&str> {
        if let Some(prefix) = &self.prefix {
            return vec![prefix];
        }
        let dots =
            |key: &'_ str| key.match_indices('.').take(DEEPEST).map(|(dot, _)| dot + 1).collect::<Vec<_>>();
        let all = self.tensors.keys().flat_map(|key| dots(key).into_iter().map(move |end| &key[..end]));
        let mut prefixes: Vec<&str> = all.chain([""]).collect::<BTreeSet<_>>().into_iter().collect();
        prefixes.sort_by_key(|prefix| preference(prefix));
        prefixes.truncate(PREFIXES);
        prefixes
    }

    /// Loads the parameters of a module from the file, cast to f32. Errors call the module `model`.
    ///
    /// # Errors
    /// [`Error::WrongWeights`] with every missing, unexpected and misshapen tensor; [`Error::UnreadableWeights`] if the numbers of a
    /// tensor cannot be read.
    pub fn load<M: Module>(&self, model: &str, module: M) -> Result<M, Error> {
        self.load_remapped(model, module, &|name, shape| Some((name.into(), shape.to_vec())))
    }

    /// Like [`load`](Self::load), for a file with other names and shapes than the module: see
    /// [`Architecture::remap_key`](crate::Architecture::remap_key).
    pub(crate) fn load_remapped<M: Module>(
        &self,
        model: &str,
        module: M,
        key_map: &KeyMap<'_>,
    ) -> Result<M, Error> {
        let Comparison { expected, found, mismatch } = self.compare(&module, None, key_map);
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
        load_params(module, self.naming.adapter(), found).map_err(unreadable)
    }

    /// Compares the tensors of the file with those of a module: those under a prefix, or under the one that fits best.
    pub(crate) fn compare<M: Module>(
        &self,
        module: &M,
        prefix: Option<&str>,
        key_map: &KeyMap<'_>,
    ) -> Comparison<'_> {
        // A file that Burn wrote has the names and shapes of the module.
        let same: &KeyMap<'_> = &|name, shape| Some((name.into(), shape.to_vec()));
        let key_map = if self.naming == Naming::Burn { same } else { key_map };
        let expected = ParamShapes::list(module, self.naming.adapter());
        let known = prefix.or(self.prefix.as_deref());
        let prefix = known.map_or_else(|| self.prefix(&expected, key_map), String::from);
        let found: FileTensors<'_> = self
            .tensors
            .iter()
            .filter(|(key, _)| !key.ends_with(IGNORED))
            .filter_map(|(key, tensor)| {
                let (name, shape) = key_map(key.strip_prefix(&prefix)?, &tensor.shape)?;
                Some((name, (tensor, shape)))
            })
            .collect();
        let shapes = found.iter().map(|(name, (_, shape))| (name.clone(), shape.clone())).collect();
        Comparison { mismatch: Mismatch::between(&expected, &shapes), expected, found }
    }

    /// Returns the prefix under which most of the expected tensors are.
    fn prefix(&self, expected: &Shapes, key_map: &KeyMap<'_>) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        let longest = expected.keys().map(String::len).max().unwrap_or(0) + REMAPPED;
        for (key, tensor) in &self.tensors {
            // `a.b.conv1.weight` can be `conv1.weight` under `a.b.`, `b.conv1.weight` under `a.`, or itself.
            let dots = key.match_indices('.').take(DEEPEST).map(|(dot, _)| dot + 1);
            for start in std::iter::once(0).chain(dots).filter(|start| key.len() - start <= longest) {
                if key_map(&key[start..], &tensor.shape).is_some_and(|(name, _)| expected.contains_key(&name))
                {
                    *counts.entry(&key[..start]).or_default() += 1;
                }
            }
        }
        let best = counts.into_iter().max_by_key(|(prefix, count)| (*count, Reverse(preference(prefix))));
        best.map_or("", |(prefix, _)| prefix).into()
    }
}

/// The most parts of a prefix.
const DEEPEST: usize = 16;

/// Returns what prefixes are sorted by, the preferred ones first: those of weights that are averaged over the steps of training, as in
/// `state_dict_ema.` and timm's loader, of a teacher, whose weights are averaged too, and of MoCo's `encoder_q`, whose weights are those
/// that are trained; then the shortest.
fn preference(prefix: &str) -> (bool, usize) {
    let is_preferred = |word| matches!(word, "ema" | "teacher" | "q");
    (!prefix.split(['.', '_']).any(is_preferred), prefix.matches('.').count())
}

/// Returns the name and shape that a module has for a tensor of a file; `None` for a tensor that it does not need.
pub(crate) type KeyMap<'a> = dyn Fn(&str, &[usize]) -> Option<(String, Vec<usize>)> + 'a;

/// The tensors of a file and those of a module, all by the module's names.
pub(crate) struct Comparison<'a> {
    /// The tensors that the module needs.
    pub expected: Shapes,
    /// The tensors that the file has, with the shapes that the module gives them.
    found: FileTensors<'a>,
    /// How they differ.
    pub mismatch: Mismatch,
}

/// Returns how many numbers tensors of these shapes hold.
fn count(shapes: &Shapes) -> u128 {
    let numbers = |shape: &Vec<usize>| shape.iter().map(|side| *side as u128).product::<u128>();
    shapes.values().map(numbers).sum()
}

/// The first bytes of a file that its format is known by.
const HEAD: u64 = 512;

/// Returns a tensor that has a shape, and numbers of a kind that is not read.
fn unread(name: &str, shape: Vec<usize>, kind: &str) -> PackTensor {
    unreadable(name, shape, format!("the tensor `{name}` is of {kind}, which is not read"))
}

/// Returns a tensor that has a shape, and a reason for which its numbers cannot be read when they are needed.
fn unreadable(name: &str, shape: Vec<usize>, reason: String) -> PackTensor {
    let length = shape.iter().fold(4usize, |size, side| size.saturating_mul(*side));
    PackTensor::deferred(name.into(), DType::F32, shape, None, length, move || {
        Err(burn_pack::Error::ValidationError(reason.clone()))
    })
}

/// Returns the length of a file and its first bytes.
fn head(path: &Path) -> Result<(u64, Vec<u8>), String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let metadata = file.metadata().map_err(|e| e.to_string())?;
    if !metadata.is_file() {
        return Err(match path.is_dir() {
            true => "it is a folder: name the file in it, such as `model.safetensors`".into(),
            false => "it is not a file".into(),
        });
    }
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head).map_err(|e| e.to_string())?;
    Ok((metadata.len(), head))
}

/// Makes sure that there are no more tensors, and no longer names, than networks have.
fn few(tensors: BTreeMap<String, PackTensor>) -> Result<BTreeMap<String, PackTensor>, String> {
    if tensors.len() > TENSORS {
        return Err(format!("it has {} tensors, more than {TENSORS}", tensors.len()));
    }
    if let Some(name) = tensors.keys().find(|name| name.len() > NAME) {
        return Err(format!("the name of a tensor has {} bytes, more than {NAME}", name.len()));
    }
    Ok(tensors)
}

/// Returns all tensors of a store, without reading their numbers.
fn all<S: ModuleStore>(mut store: S) -> Result<BTreeMap<String, PackTensor>, String> {
    store.get_all_tensors().cloned().map_err(|e| e.to_string())
}
