//! Checkpoints of PyTorch: the tensors in the values of their pickle, and where their numbers are in the file.
//!
//! What a checkpoint holds beside tensors is passed over, whatever it is. A tensor of a kind that is not read (quantized, sparse, complex,
//! of 8-bit floats) has its name and shape, and is an error when its numbers are needed.

use super::pickle::{self, Id, Object, Value, Values};
use super::{NAME, PackTensor, TABLE, archive, burn_pack, unread, unreadable};
use burn::tensor::{Bytes, DType};
use cam_image::foreign;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempPath;
use zip::ZipArchive;

/// The most values that are looked at, and how deep, in search of tensors: more than any checkpoint has.
const MOST: usize = 1 << 20;
const DEEPEST: usize = 64;

/// The most bytes of all names of what is looked at, and the most axes of a tensor.
const NAMES: usize = 64 << 20;
const AXES: usize = 64;

/// The number that the files of PyTorch before 1.6 start with, as protocols from 2 on write it.
const MAGIC: &[u8] = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19";

/// The tensors of a checkpoint by name, and the copy that their numbers are read from if it is not the file itself.
pub(super) type Checkpoint = (BTreeMap<String, PackTensor>, Option<TempPath>);

/// Opens a checkpoint of this length that starts with these bytes, in any format but the TAR archives of PyTorch before 0.1.10.
pub(super) fn open(path: &Path, head: &[u8], length: u64) -> Result<Checkpoint, String> {
    if !head.starts_with(b"PK") {
        return Ok((legacy(path, head)?, None));
    }
    let copy = archive::check(path, length)?;
    Ok((zipped(copy.as_deref().unwrap_or(path))?, copy))
}

/// Reads an archive, as PyTorch and TorchScript write them.
fn zipped(path: &Path) -> Result<BTreeMap<String, PackTensor>, String> {
    let mut archive = archive::open(path)?;
    let (mut table, mut storages) = (None, HashMap::new());
    for place in 0..archive.len() {
        let entry = archive.by_index_raw(place).map_err(|e| e.to_string())?;
        let name = entry.name().map_err(|e| e.to_string())?.into_owned();
        let inside = name.split_once('/').map_or(&*name, |(_, inside)| inside);
        if inside == "data.pkl" {
            table = Some(name);
        } else if let Some(key) = inside.strip_prefix("data/") {
            storages.insert(key.to_string(), Span { place, size: entry.size() });
        }
    }
    let table = table.ok_or("it is an archive without the `data.pkl` that PyTorch writes")?;
    let folder = table.trim_end_matches("data.pkl");
    if let Ok(mut order) = archive.by_name(&format!("{folder}byteorder")) {
        let mut text = String::new();
        order.by_ref().take(16).read_to_string(&mut text).map_err(|e| e.to_string())?;
        if text.trim() == "big" {
            return Err("its numbers have their highest byte first".into());
        }
    }
    let entry = archive.by_name(&table).map_err(|e| e.to_string())?;
    let values = pickle::read(&mut BufReader::new(entry), TABLE)?;
    let source = Source { path: path.into(), place: Places::Zip(Mutex::new(archive), storages) };
    Tensors::of(&values, Arc::new(source))
}

/// Reads a file of PyTorch before 1.6: five pickles, the last of which lists the storages that follow.
fn legacy(path: &Path, head: &[u8]) -> Result<BTreeMap<String, PackTensor>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    let mut reader = BufReader::new(file);
    if !head.windows(MAGIC.len()).any(|bytes| bytes == MAGIC) {
        return plain(&mut reader, head);
    }
    let [_, version, system] = [(); 3].map(|()| pickle::read(&mut reader, TABLE));
    let (version, system) = (version?, system?);
    if *version.get(version.root) != Value::Int(1001) {
        return Err("it is of an unknown version of PyTorch's old format".into());
    }
    if system.entry(system.root, "little_endian").is_some_and(|id| *system.get(id) == Value::Bool(false)) {
        return Err("its numbers have their highest byte first".into());
    }
    let values = pickle::read(&mut reader, TABLE)?;
    let keys = pickle::read(&mut reader, TABLE)?;
    let sizes = element_sizes(&values);
    let mut spans = HashMap::new();
    let mut start = reader.stream_position().map_err(|e| e.to_string())?;
    for key in keys.sequence(keys.root) {
        let key = keys.key(*key).ok_or("a storage has no name")?.into_owned();
        reader.seek(SeekFrom::Start(start)).map_err(|e| e.to_string())?;
        let mut count = [0; 8];
        reader.read_exact(&mut count).map_err(|e| e.to_string())?;
        let size = u64::from_le_bytes(count).checked_mul(sizes.get(&key).copied().unwrap_or(1));
        let end = size.and_then(|size| (start + 8).checked_add(size)).filter(|end| *end <= length);
        let end = end.ok_or_else(|| format!("its storage {key} is cut short"))?;
        spans.insert(key, (start + 8)..end);
        start = end;
    }
    Tensors::of(&values, Arc::new(Source { path: path.into(), place: Places::File(spans) }))
}

/// Reads a pickle that PyTorch did not write, which holds no tensors, to say what it is.
fn plain(reader: &mut impl BufRead, head: &[u8]) -> Result<BTreeMap<String, PackTensor>, String> {
    let not_torch = || foreign::unread(head, "weights are read from .safetensors, .pth, .pt and .bpk files");
    if !matches!(head.first(), Some(0x80 | b'(' | b'}' | b']' | b'c')) {
        return Err(not_torch());
    }
    let values = pickle::read(reader, TABLE)?;
    let root = if values.globals().any(|name| name.starts_with("numpy")) {
        "it is a pickle of NumPy arrays, as Detectron2 writes: save them as tensors, with `torch.save`"
    } else {
        "it is a pickle without tensors: save the `state_dict()` of the model, with `torch.save`"
    };
    Err(root.into())
}

/// Returns how many bytes a number of each storage has.
fn element_sizes(values: &Values) -> HashMap<String, u64> {
    let storages = (0..values.len()).filter_map(|id| match values.get(id) {
        Value::Persistent(id) => storage(values, *id),
        _ => None,
    });
    storages.map(|storage| (storage.key, storage.kind.map_or(1, |kind| kind.size() as u64))).collect()
}

/// The types of storages and of tensors that are read, and the bytes of a number of those that are not.
const KINDS: &[(&str, Kind)] = &[
    ("Float", Kind::Read(DType::F32)),
    ("float32", Kind::Read(DType::F32)),
    ("Double", Kind::Read(DType::F64)),
    ("float64", Kind::Read(DType::F64)),
    ("Half", Kind::Read(DType::F16)),
    ("float16", Kind::Read(DType::F16)),
    ("BFloat16", Kind::Read(DType::BF16)),
    ("bfloat16", Kind::Read(DType::BF16)),
    ("Long", Kind::Read(DType::I64)),
    ("int64", Kind::Read(DType::I64)),
    ("Int", Kind::Read(DType::I32)),
    ("int32", Kind::Read(DType::I32)),
    ("Short", Kind::Read(DType::I16)),
    ("int16", Kind::Read(DType::I16)),
    ("Char", Kind::Read(DType::I8)),
    ("int8", Kind::Read(DType::I8)),
    ("Byte", Kind::Read(DType::U8)),
    ("uint8", Kind::Read(DType::U8)),
    ("Bool", Kind::Read(DType::U8)),
    ("bool", Kind::Read(DType::U8)),
    ("ComplexFloat", Kind::Unread(8)),
    ("ComplexDouble", Kind::Unread(16)),
    ("QInt32", Kind::Unread(4)),
];

/// Whether numbers are read.
#[derive(Clone, Copy)]
enum Kind {
    Read(DType),
    /// They have so many bytes each.
    Unread(usize),
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix("torch.")?;
        let name = name.strip_suffix("Storage").unwrap_or(name);
        KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    fn size(self) -> usize {
        match self {
            Self::Read(dtype) => dtype.size(),
            Self::Unread(size) => size,
        }
    }
}

/// A storage that tensors are views of.
struct Storage {
    key: String,
    /// The type of its numbers; `None` if the tensor says it, or if it is unknown.
    kind: Option<Kind>,
    class: Arc<str>,
    /// Where it begins in the one that it is a view of.
    start: usize,
}

/// Reads a persistent id: `('storage', torch.FloatStorage, '0', 'cpu', 64)`.
fn storage(values: &Values, id: Id) -> Option<Storage> {
    let &[_, class, key, ..] = values.sequence(id) else { return None };
    let Value::Global(class) = values.get(class) else { return None };
    // Early files have views of storages: their names, beginnings and lengths.
    let view = values.sequence(id).get(5).map(|view| values.sequence(*view)).unwrap_or_default();
    let start = match view.get(1).map(|start| values.get(*start)) {
        Some(Value::Int(start)) => usize::try_from(*start).ok()?,
        _ => 0,
    };
    let key = values.key(key).filter(|key| key.len() <= NAME)?.into_owned();
    Some(Storage { key, kind: Kind::named(class), class: Arc::clone(class), start })
}

/// Where storages are.
struct Source {
    path: PathBuf,
    place: Places,
}

enum Places {
    Zip(Mutex<ZipArchive<BufReader<File>>>, HashMap<String, Span>),
    File(HashMap<String, std::ops::Range<u64>>),
}

/// An entry of an archive.
#[derive(Clone, Copy)]
struct Span {
    place: usize,
    size: u64,
}

impl Source {
    /// Returns the bytes of a storage.
    fn size(&self, key: &str) -> Option<u64> {
        match &self.place {
            Places::Zip(_, spans) => spans.get(key).map(|span| span.size),
            Places::File(spans) => spans.get(key).map(|span| span.end - span.start),
        }
    }

    /// Reads some bytes of a storage, which are within its size.
    fn read(&self, key: &str, start: u64, length: usize) -> std::io::Result<Vec<u8>> {
        let missing = || std::io::Error::other("a storage is missing");
        let mut bytes = vec![0; length];
        match &self.place {
            Places::File(spans) => {
                let mut file = File::open(&self.path)?;
                file.seek(SeekFrom::Start(spans.get(key).ok_or_else(missing)?.start + start))?;
                file.read_exact(&mut bytes)?;
            }
            Places::Zip(archive, spans) => {
                let span = spans.get(key).ok_or_else(missing)?;
                let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                let mut entry = archive.by_index(span.place)?;
                std::io::copy(&mut entry.by_ref().take(start), &mut std::io::sink())?;
                entry.read_exact(&mut bytes)?;
                if start + length as u64 == span.size {
                    // At its end the checksum of an entry is compared.
                    std::io::copy(&mut entry, &mut std::io::sink())?;
                }
            }
        }
        Ok(bytes)
    }
}

/// The tensors that are found.
struct Tensors<'v> {
    values: &'v Values,
    source: Arc<Source>,
    found: BTreeMap<String, PackTensor>,
    /// How many more values are looked at, and how many more bytes of names.
    left: usize,
    names_left: usize,
}

impl<'v> Tensors<'v> {
    /// Returns the tensors in some values, by the names under which they are in them.
    fn of(values: &'v Values, source: Arc<Source>) -> Result<BTreeMap<String, PackTensor>, String> {
        let mut tensors = Self { values, source, found: BTreeMap::new(), left: MOST, names_left: NAMES };
        tensors.walk(values.root, "", 0)?;
        Ok(tensors.found)
    }

    fn walk(&mut self, id: Id, name: &str, depth: usize) -> Result<(), String> {
        self.left = self.left.checked_sub(1).ok_or("it holds more values than any checkpoint")?;
        let names_left = self.names_left.checked_sub(name.len()).filter(|_| name.len() <= NAME);
        self.names_left = names_left.ok_or("it has longer names than any checkpoint")?;
        if depth > DEEPEST {
            return Ok(());
        }
        let below = |key: &str| if name.is_empty() { key.to_string() } else { format!("{name}.{key}") };
        let values = self.values;
        match values.get(id) {
            Value::Tuple(items) | Value::List(items) => {
                for (place, item) in items.iter().enumerate() {
                    self.walk(*item, &below(&place.to_string()), depth + 1)?;
                }
            }
            Value::Dict(items) => self.walk_all(items, &below, depth)?,
            Value::Object(object) => match self.tensor(object, name)? {
                Some(tensor) => drop(self.found.insert(name.into(), tensor)),
                None => self.walk_object(object, name, &below, depth)?,
            },
            _ => {}
        }
        Ok(())
    }

    fn walk_all(
        &mut self,
        items: &[(Id, Id)],
        below: &dyn Fn(&str) -> String,
        depth: usize,
    ) -> Result<(), String> {
        for (key, value) in items {
            if let Some(key) = self.values.key(*key) {
                self.walk(*value, &below(&key), depth + 1)?;
            }
        }
        Ok(())
    }

    /// Looks into an object that is no tensor: a dictionary of some kind, or a module.
    fn walk_object(
        &mut self,
        object: &'v Object,
        name: &str,
        below: &dyn Fn(&str) -> String,
        depth: usize,
    ) -> Result<(), String> {
        let values = self.values;
        let args = object.args.map(|args| values.sequence(args)).unwrap_or_default();
        if object.class.starts_with("torch._utils._rebuild_parameter") {
            return args.first().map_or(Ok(()), |data| self.walk(*data, name, depth + 1));
        }
        self.walk_all(&object.items, below, depth)?;
        if let ("collections.OrderedDict", [items]) = (&*object.class, args) {
            let pair = |item: &Id| match values.sequence(*item) {
                &[key, value] => Some((key, value)),
                _ => None,
            };
            let items: Vec<(Id, Id)> = values.sequence(*items).iter().filter_map(pair).collect();
            self.walk_all(&items, below, depth)?;
        }
        let Some(state) = object.state else { return Ok(()) };
        // A module has its tensors in three tables; one of TorchScript has them as attributes.
        let tables = ["_parameters", "_buffers", "_modules"].map(|table| values.entry(state, table));
        if let [Some(_), Some(_), Some(_)] = tables {
            for table in tables.into_iter().flatten() {
                self.walk_all(values.entries(table), below, depth)?;
            }
        } else if object.class.starts_with("__torch__") {
            self.walk_all(values.entries(state), below, depth)?;
        }
        Ok(())
    }

    /// Returns the tensor that an object is; `None` if it is none.
    fn tensor(&self, object: &Object, name: &str) -> Result<Option<PackTensor>, String> {
        let values = self.values;
        let Some(args) = object.args else { return Ok(None) };
        let args = values.sequence(args);
        let class = object.class.strip_prefix("torch._utils._rebuild_").unwrap_or(&object.class);
        match (class, args) {
            // A subclass of tensors: the function that makes one, its type, and its arguments.
            ("torch._tensor._rebuild_from_type_v2", &[function, _, args, ..]) => {
                let Value::Global(class) = values.get(function) else { return Ok(None) };
                self.tensor(&Object::new(Arc::clone(class), args), name)
            }
            ("tensor" | "tensor_v2" | "tensor_v3", &[data, offset, shape, strides, ..]) => {
                let Value::Persistent(id) = values.get(data) else { return Ok(None) };
                let storage =
                    storage(values, *id).ok_or_else(|| format!("the storage of `{name}` has no type"))?;
                let stated = args.get(6).and_then(|dtype| match values.get(*dtype) {
                    Value::Global(dtype) if class == "tensor_v3" => Some(&**dtype),
                    _ => None,
                });
                let (kind, kind_name) = match stated {
                    Some(stated) => (Kind::named(stated), stated),
                    None => (storage.kind, &*storage.class),
                };
                let shape = self.numbers(shape, name)?;
                let Some(Kind::Read(dtype)) = kind else {
                    return Ok(Some(unread(name, shape, kind_name)));
                };
                let view = View {
                    start: self.number(offset, name)?.saturating_add(storage.start),
                    strides: self.numbers(strides, name)?,
                    shape,
                    dtype,
                    storage: storage.key,
                };
                Ok(Some(view.tensor(name, &self.source)))
            }
            ("qtensor", &[_, _, shape, ..]) => {
                Ok(Some(unread(name, self.numbers(shape, name)?, "quantized numbers")))
            }
            ("sparse_tensor" | "sparse_csr_tensor" | "nested_tensor" | "wrapper_subclass", args) => {
                let stated =
                    args.iter().flat_map(|arg| values.sequence(*arg)).find_map(|arg| self.size(*arg));
                let shape = stated.or_else(|| args.iter().find_map(|arg| self.size(*arg)));
                let shape = shape.map_or(Ok(Vec::new()), |shape| self.numbers(shape, name))?;
                Ok(Some(unread(name, shape, &format!("`{class}`"))))
            }
            _ => Ok(None),
        }
    }

    /// Returns the sides of a `torch.Size`.
    fn size(&self, id: Id) -> Option<Id> {
        match self.values.get(id) {
            Value::Object(size) if &*size.class == "torch.Size" => {
                size.args.and_then(|args| self.values.sequence(args).first().copied())
            }
            _ => None,
        }
    }

    fn numbers(&self, id: Id, name: &str) -> Result<Vec<usize>, String> {
        let numbers = Some(self.values.sequence(id)).filter(|numbers| numbers.len() <= AXES);
        let numbers = numbers.ok_or_else(|| format!("`{name}` has more than {AXES} axes"))?;
        numbers.iter().map(|id| self.number(*id, name)).collect()
    }

    fn number(&self, id: Id, name: &str) -> Result<usize, String> {
        match self.values.get(id) {
            Value::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
        .ok_or_else(|| format!("the shape of `{name}` is not one of numbers"))
    }
}

/// Which numbers of a storage a tensor has.
struct View {
    storage: String,
    dtype: DType,
    /// The first number.
    start: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl View {
    /// Returns the tensor, whose numbers are read when they are used. One whose numbers are not there is an error then.
    fn tensor(self, name: &str, source: &Arc<Source>) -> PackTensor {
        let size = self.dtype.size();
        let within = self.extent().filter(|(count, extent)| {
            let end = self.start.checked_add(*extent).and_then(|end| end.checked_mul(size));
            let available = source.size(&self.storage);
            let is_there = end.zip(available).is_some_and(|(end, available)| end as u64 <= available);
            is_there && count.checked_mul(size).is_some()
        });
        let Some((count, extent)) = within else {
            return unreadable(
                name,
                self.shape,
                format!("the numbers of `{name}` are not within its storage"),
            );
        };
        let (source, dtype, shape) = (Arc::clone(source), self.dtype, self.shape.clone());
        PackTensor::deferred(name.into(), dtype, shape, None, count * size, move || {
            let bytes = source.read(&self.storage, (self.start * size) as u64, extent * size);
            let bytes = bytes.map_err(|e| burn_pack::Error::ValidationError(e.to_string()))?;
            Ok(Bytes::from_bytes_vec(if self.is_contiguous() { bytes } else { self.gathered(&bytes, count) }))
        })
    }

    /// Returns how many numbers the tensor has, and how many lie from its first to its last in the storage.
    fn extent(&self) -> Option<(usize, usize)> {
        if self.strides.len() != self.shape.len() {
            return None;
        }
        let count = self.shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side))?;
        if count == 0 {
            return Some((0, 0));
        }
        let steps = self.shape.iter().zip(&self.strides);
        let last = steps
            .map(|(side, stride)| (side - 1).checked_mul(*stride))
            .try_fold(0usize, |a, b| a.checked_add(b?))?;
        let extent = last.checked_add(1)?;
        Some((count, extent))
    }

    fn is_contiguous(&self) -> bool {
        let mut next = 1usize;
        self.shape.iter().zip(&self.strides).rev().all(|(side, stride)| {
            let fits = *side == 1 || *stride == next;
            next = usize::wrapping_mul(next, *side);
            fits
        })
    }

    /// Returns the numbers in the order of the tensor's axes.
    fn gathered(&self, bytes: &[u8], count: usize) -> Vec<u8> {
        let size = self.dtype.size();
        let mut gathered = Vec::with_capacity(count * size);
        for mut place in 0..count {
            let mut at = 0;
            for (side, stride) in self.shape.iter().zip(&self.strides).rev() {
                at += place % side * stride;
                place /= side;
            }
            gathered.extend_from_slice(&bytes[at * size..][..size]);
        }
        gathered
    }
}
