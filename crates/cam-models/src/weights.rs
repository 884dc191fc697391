//! Weights from torchvision and timm files, strictly: every tensor of the model is in the file, in its shape, and none
//! is left over.
//!
//! A training script may wrap the tensors (`state_dict.`, `model.`, `module.`, one in the other): the prefix under which
//! most tensors of the model are found is taken, and what lies beside it (an optimizer, an epoch) is not looked at.

use crate::Error;
use crate::error::Mismatch;
use burn::module::Module;
use burn::store::{
    BurnToPyTorchAdapter, FloatCastAdapter, ModuleAdapter, ModuleSnapshot, ModuleStore, PyTorchToBurnAdapter,
    PytorchStore, SafetensorsStore,
};
use burn::tensor::DType;
use std::collections::BTreeMap;
use std::path::Path;

/// The tensors of a weight file, by their names; nothing of the file is executed, and data is read when it is used.
pub struct Weights {
    source: std::path::PathBuf,
    tensors: BTreeMap<String, PackTensor>,
}

type PackTensor = burn::store::burn_pack::Tensor;

/// Counters of training that inference has no use for.
const IGNORED: &str = "num_batches_tracked";

impl Weights {
    /// Opens a `.pth`, `.pt` or `.safetensors` file.
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`] for a file that is not there, of another kind, or corrupt.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let unreadable = |reason: String| Error::UnreadableWeights { path: path.into(), reason };
        std::fs::File::open(path).map_err(|e| unreadable(e.to_string()))?;
        let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let tensors = match kind.as_str() {
            "safetensors" => {
                let mut store = SafetensorsStore::from_file(path).map_indices_contiguous(false);
                store.get_all_tensors().cloned().map_err(|e| unreadable(e.to_string()))
            }
            "pth" | "pt" | "bin" => {
                let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
                store.get_all_tensors().cloned().map_err(|e| unreadable(e.to_string()))
            }
            _ => Err(unreadable("weights end in .pth, .pt or .safetensors".into())),
        }?;
        Ok(Self { source: path.into(), tensors })
    }

    /// Weights that lie in memory in the safetensors format.
    pub(crate) fn from_safetensors(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let mut store = SafetensorsStore::from_bytes(Some(bytes.to_vec())).map_indices_contiguous(false);
        let tensors = store
            .get_all_tensors()
            .cloned()
            .map_err(|e| Error::UnreadableWeights { path: name.into(), reason: e.to_string() })?;
        Ok(Self { source: name.into(), tensors })
    }

    /// The shape of the tensor of this name, under whatever prefix.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors
            .iter()
            .find(|(key, _)| under_prefix(key, name).is_some())
            .map(|(_, tensor)| tensor.shape.to_vec())
    }

    /// The module with its parameters taken from the file, cast to f32.
    ///
    /// # Errors
    /// [`Error::WrongWeights`] with every missing, unexpected and misshapen tensor.
    pub fn load<M: Module>(&self, model: &str, mut module: M) -> Result<M, Error> {
        let expected: BTreeMap<String, Vec<usize>> = module
            .collect(None, Some(Box::new(BurnToPyTorchAdapter)), true)
            .into_iter()
            .map(|tensor| (tensor.name.clone(), tensor.shape.to_vec()))
            .collect();
        let prefix = self.prefix(&expected);
        let found: BTreeMap<&str, &PackTensor> = self
            .tensors
            .iter()
            .filter_map(|(key, tensor)| Some((key.strip_prefix(&prefix)?, tensor)))
            .filter(|(name, _)| !name.ends_with(IGNORED))
            .collect();

        let mut mismatch = Mismatch::default();
        for (name, shape) in &expected {
            match found.get(name.as_str()) {
                None => mismatch.missing.push((name.clone(), shape.clone())),
                Some(tensor) if tensor.shape.to_vec() != *shape => {
                    mismatch.misshapen.push((name.clone(), shape.clone(), tensor.shape.to_vec()));
                }
                Some(_) => {}
            }
        }
        for (name, tensor) in &found {
            if !expected.contains_key(*name) {
                mismatch.unexpected.push((name.to_string(), tensor.shape.to_vec()));
            }
        }
        if !mismatch.is_empty() {
            return Err(Error::WrongWeights { path: self.source.clone(), model: model.into(), mismatch });
        }

        let unreadable = |reason: String| Error::UnreadableWeights { path: self.source.clone(), reason };
        let mut tensors = Vec::with_capacity(found.len());
        for (name, tensor) in found {
            let mut tensor = tensor.clone();
            tensor.name = name.into();
            // Read here, where a truncated file is an error; inside the module it would be a panic.
            let (name, dtype, shape, id, bytes) =
                tensor.into_parts().map_err(|e| unreadable(format!("tensor `{name}`: {e}")))?;
            tensors.push(PackTensor::new(name, dtype, shape, id, bytes));
        }
        let adapter = PyTorchToBurnAdapter.chain(FloatCastAdapter::to(DType::F32));
        let result = module.apply(tensors, None, Some(Box::new(adapter)), true);
        match result.errors.first() {
            Some(error) => Err(unreadable(error.to_string())),
            None => Ok(module),
        }
    }

    /// The prefix under which most of the expected tensors are.
    fn prefix(&self, expected: &BTreeMap<String, Vec<usize>>) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for key in self.tensors.keys() {
            // `a.b.conv1.weight` can be `conv1.weight` under `a.b.`, `b.conv1.weight` under `a.`, or itself.
            let dots = key.match_indices('.').map(|(dot, _)| dot + 1);
            for start in std::iter::once(0).chain(dots) {
                if expected.contains_key(&key[start..]) {
                    *counts.entry(&key[..start]).or_default() += 1;
                }
            }
        }
        counts
            .into_iter()
            .max_by_key(|(prefix, count)| (*count, usize::MAX - prefix.len()))
            .map_or("", |best| best.0)
            .into()
    }
}

/// The prefix of a key that ends in a name.
fn under_prefix<'a>(key: &'a str, name: &str) -> Option<&'a str> {
    key.strip_suffix(name).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
}
