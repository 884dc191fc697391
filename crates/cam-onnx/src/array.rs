//! Arrays of any rank and kind, known or recorded: what operators read and write.

use crate::data;
use crate::error::Reason;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Slice, TensorMetadata};
use burn::tensor::{Bool, BoolDType, DType, Device, DeviceSettings, Int, IntDType, Tensor, TensorData};
use std::cell::Cell;

/// The kind of the elements of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Float,
    Int,
    Bool,
}

impl Kind {
    /// Returns the kind of an element type of ONNX.
    pub fn of_type(kind: i64) -> Result<Self, Reason> {
        match kind {
            1 | 10 | 11 | 16 => Ok(Self::Float),
            2..=7 | 12 | 13 => Ok(Self::Int),
            9 => Ok(Self::Bool),
            other => Err(format!("elements of type {} are not supported", data::type_name(other))),
        }
    }
}

/// The maximum number of elements of a value.
const MAX_ELEMENTS: usize = 1 << 31;

/// The bytes that constants may take which are computed, beside a multiple of those that are given.
pub(crate) const ROOM: usize = 64 << 20;

thread_local! {
    /// The bytes that constants may still take which are computed on this thread.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Computes constants of so many bytes at most.
pub(crate) fn within<T>(bytes: usize, compute: impl FnOnce() -> T) -> T {
    let around = LEFT.replace(bytes);
    let computed = compute();
    LEFT.set(around);
    computed
}

/// Makes sure that a constant of so many elements may be computed.
pub(crate) fn check_known(count: usize) -> Result<(), Reason> {
    match count.checked_mul(size_of::<i64>()).is_some_and(|bytes| bytes <= LEFT.get()) {
        true => Ok(()),
        false => Err(format!("a constant of {count} numbers is too large")),
    }
}

/// An array on the CPU, whose numbers are known, or on the device of a recording, where nothing is computed.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    tensor: DispatchTensor,
    /// Whether its rank is 0. Burn's tensors have a rank of at least 1.
    is_scalar: bool,
}

/// Calls the function of Burn for the kind of an array, with its tensor as the first argument.
macro_rules! by_kind {
    ($array:expr, $float:ident, $int:ident, $bool:ident $(, $argument:expr)*) => {{
        let array = $array;
        let kind = array.kind();
        let tensor = array.tensor;
        match kind {
            Kind::Float => Dispatch::$float(tensor $(, $argument)*),
            Kind::Int => Dispatch::$int(tensor $(, $argument)*),
            Kind::Bool => Dispatch::$bool(tensor $(, $argument)*),
        }
    }};
}

impl From<DispatchTensor> for Array {
    fn from(tensor: DispatchTensor) -> Self {
        Self { tensor, is_scalar: false }
    }
}

impl Array {
    /// Makes an array of numbers on the CPU.
    pub fn known(numbers: TensorData) -> Self {
        let shape = numbers.shape().as_slice().to_vec();
        let tensor = upload(numbers, &Device::flex(), IntDType::I64);
        Self { is_scalar: shape.is_empty(), tensor }
    }

    /// Makes integers on the CPU.
    pub fn ints(numbers: Vec<i64>) -> Self {
        let length = numbers.len();
        Self::known(TensorData::new(numbers, [length]))
    }

    /// Makes floats on the CPU.
    pub fn floats(numbers: Vec<f32>, shape: &[usize]) -> Self {
        Self::known(TensorData::new(numbers, shape.to_vec()))
    }

    /// Makes an array of one number on the CPU, of rank 0.
    pub fn scalar(number: f32) -> Self {
        Self::known(TensorData::new(vec![number], [0; 0]))
    }

    /// Makes an integer on the CPU, of rank 0.
    pub fn int(number: i64) -> Self {
        Self::known(TensorData::new(vec![number], [0; 0]))
    }

    /// Returns the array on the device of a recording.
    pub fn on(&self, device: &Device) -> Self {
        let tensor = upload(self.data(), device, device.settings().int_dtype);
        Self { tensor, is_scalar: self.is_scalar }
    }

    pub fn kind(&self) -> Kind {
        let dtype = self.tensor.dtype();
        if dtype.is_float() {
            Kind::Float
        } else if dtype.is_bool() {
            Kind::Bool
        } else {
            Kind::Int
        }
    }

    pub fn shape(&self) -> Vec<usize> {
        if self.is_scalar { Vec::new() } else { self.tensor.shape().as_slice().to_vec() }
    }

    pub fn rank(&self) -> usize {
        self.shape().len()
    }

    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    pub fn tensor(self) -> DispatchTensor {
        self.tensor
    }

    /// Returns the numbers of an array on the CPU, in its shape.
    pub fn data(&self) -> TensorData {
        let tensor = self.tensor.clone();
        let shape = self.shape();
        let count = self.len();
        if count == 0 {
            return match self.kind() {
                Kind::Float => TensorData::new(Vec::<f32>::new(), shape),
                Kind::Int => TensorData::new(Vec::<i64>::new(), shape),
                Kind::Bool => TensorData::new(Vec::<bool>::new(), shape),
            };
        }
        let data = match self.kind() {
            Kind::Float => {
                Tensor::<1>::from_dispatch(Dispatch::float_reshape(tensor, [count].into())).into_data()
            }
            Kind::Int => {
                Tensor::<1, Int>::from_dispatch(Dispatch::int_reshape(tensor, [count].into())).into_data()
            }
            Kind::Bool => {
                Tensor::<1, Bool>::from_dispatch(Dispatch::bool_reshape(tensor, [count].into())).into_data()
            }
        };
        with_shape(data, &shape)
    }

    /// Returns the numbers of an array on the CPU as integers.
    pub fn to_ints(&self) -> Vec<i64> {
        self.data().iter::<i64>().collect()
    }

    /// Returns the numbers of an array on the CPU as floats.
    pub fn to_floats(&self) -> Vec<f32> {
        self.data().iter::<f32>().collect()
    }

    /// Returns the array in another shape with as many elements.
    pub fn reshape(self, shape: &[usize]) -> Result<Self, Reason> {
        let own = self.shape();
        if data::count(shape) != data::count(&own) {
            return Err(format!("an array of the shape {own:?} does not fit into {shape:?}"));
        }
        let is_scalar = shape.is_empty();
        let full = if is_scalar { &[1][..] } else { shape };
        if self.tensor.shape().as_slice() == full {
            return Ok(Self { is_scalar, ..self });
        }
        let tensor = by_kind!(self, float_reshape, int_reshape, bool_reshape, full.to_vec().into());
        Ok(Self { tensor, is_scalar })
    }

    /// Adds axes of length 1 in front, up to this rank.
    pub fn with_rank(self, rank: usize) -> Result<Self, Reason> {
        let shape = self.shape();
        let missing = rank.saturating_sub(shape.len());
        self.reshape(&[vec![1; missing], shape].concat())
    }

    pub fn permute(self, axes: &[usize]) -> Result<Self, Reason> {
        let rank = self.rank();
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if sorted != (0..rank).collect::<Vec<_>>() {
            return Err(format!("the axes {axes:?} are no order of {rank} axes"));
        }
        if axes.is_sorted() {
            return Ok(self);
        }
        Ok(by_kind!(self, float_permute, int_permute, bool_permute, axes).into())
    }

    pub fn slice(self, ranges: &[Slice]) -> Self {
        let is_full = |(range, length): (&Slice, usize)| {
            range.start == 0 && range.step == 1 && range.end.is_none_or(|end| end == length as isize)
        };
        if ranges.iter().zip(self.shape()).all(is_full) {
            return self;
        }
        by_kind!(self, float_slice, int_slice, bool_slice, ranges).into()
    }

    /// Returns a range of one axis.
    pub fn narrow(self, axis: usize, range: std::ops::Range<usize>) -> Self {
        let mut ranges = vec![Slice::full(); self.rank()];
        ranges[axis] = Slice::new(range.start as isize, Some(range.end as isize), 1);
        self.slice(&ranges)
    }

    /// Joins arrays along an axis. Empty ones are left out.
    pub fn concat(arrays: Vec<Self>, axis: usize) -> Result<Self, Reason> {
        let shapes: Vec<Vec<usize>> = arrays.iter().map(Self::shape).collect();
        let first = shapes.first().ok_or("there is nothing to concatenate")?;
        let fits = |shape: &Vec<usize>| {
            shape.len() == first.len()
                && shape.iter().zip(first).enumerate().all(|(dim, (a, b))| dim == axis || a == b)
        };
        if axis >= first.len() || !shapes.iter().all(fits) {
            return Err(format!("arrays of the shapes {shapes:?} cannot be concatenated along axis {axis}"));
        }
        let kind = arrays[0].kind();
        if arrays.iter().any(|array| array.kind() != kind) {
            return Err("arrays of different types cannot be concatenated".into());
        }
        let mut whole: Vec<Self> = arrays.into_iter().filter(|array| array.shape()[axis] > 0).collect();
        if whole.len() < 2 {
            return whole.pop().ok_or_else(|| "there is nothing to concatenate".into());
        }
        let tensors = whole.into_iter().map(Self::tensor).collect();
        Ok(match kind {
            Kind::Float => Dispatch::float_cat(tensors, axis),
            Kind::Int => Dispatch::int_cat(tensors, axis),
            Kind::Bool => Dispatch::bool_cat(tensors, axis),
        }
        .into())
    }

    /// Selects positions of an axis.
    pub fn select(self, axis: usize, indices: Self) -> Result<Self, Reason> {
        let kind = self.kind();
        let mut shape = self.shape();
        shape[axis] = indices.len();
        self.check_size(&shape)?;
        let (tensor, indices) = (self.tensor, indices.tensor);
        Ok(match kind {
            Kind::Float => Dispatch::float_select(tensor, axis, indices),
            Kind::Int => Dispatch::int_select(tensor, axis, indices),
            Kind::Bool => Dispatch::bool_select(tensor, axis, indices),
        }
        .into())
    }

    /// Gathers elements along an axis, one for each index.
    pub fn gather(self, axis: usize, indices: Self) -> Self {
        let kind = self.kind();
        let (tensor, indices) = (self.tensor, indices.tensor);
        match kind {
            Kind::Float => Dispatch::float_gather(axis, tensor, indices),
            Kind::Int => Dispatch::int_gather(axis, tensor, indices),
            Kind::Bool => Dispatch::bool_gather(axis, tensor, indices),
        }
        .into()
    }

    pub fn flip(self, axes: &[usize]) -> Self {
        by_kind!(self, float_flip, int_flip, bool_flip, axes).into()
    }

    /// Repeats axes of length 1, after adding axes in front where needed.
    pub fn expand(self, shape: &[usize]) -> Result<Self, Reason> {
        let own = self.shape();
        let lead = shape.len().checked_sub(own.len());
        let fits = lead
            .is_some_and(|lead| own.iter().zip(&shape[lead..]).all(|(from, to)| from == to || *from == 1));
        if !fits {
            return Err(format!("an array of the shape {own:?} cannot be expanded to {shape:?}"));
        }
        self.check_size(shape)?;
        if own == shape {
            return Ok(self);
        }
        let array = self.with_rank(shape.len())?;
        if array.shape() == shape {
            return Ok(array);
        }
        Ok(by_kind!(array, float_expand, int_expand, bool_expand, shape.to_vec().into()).into())
    }

    /// Reports whether an array like this one may have this many elements.
    pub fn check_size(&self, shape: &[usize]) -> Result<(), Reason> {
        match data::count(shape) {
            Some(count) if self.is_known() => check_known(count),
            Some(count) if count <= MAX_ELEMENTS => Ok(()),
            _ => Err(format!("a value of the shape {shape:?} is too large")),
        }
    }

    /// Counts a constant that was computed.
    pub fn take_room(&self) -> Result<(), Reason> {
        check_known(self.len())?;
        let bytes = if self.kind() == Kind::Float { size_of::<f32>() } else { size_of::<i64>() };
        LEFT.set(LEFT.get() - bytes * self.len());
        Ok(())
    }

    /// Reports whether it is on the CPU.
    pub fn is_known(&self) -> bool {
        self.tensor.device() == *Device::flex().as_dispatch()
    }

    /// Returns an array on the CPU on the device of another array.
    pub fn beside(self, other: &Self, device: &Device) -> Self {
        if other.is_known() { self } else { self.on(device) }
    }

    /// Returns an array of no elements.
    pub fn empty(&self, shape: &[usize]) -> Result<Self, Reason> {
        if !self.is_known() {
            return Err("a part of the image that is empty is not supported".into());
        }
        Ok(Self::known(match self.kind() {
            Kind::Float => TensorData::new(Vec::<f32>::new(), shape.to_vec()),
            Kind::Int => TensorData::new(Vec::<i64>::new(), shape.to_vec()),
            Kind::Bool => TensorData::new(Vec::<bool>::new(), shape.to_vec()),
        }))
    }

    fn settings(&self) -> DeviceSettings {
        Device::from(self.tensor.device()).settings()
    }

    /// Returns the type of integers on its device. Known ones are those of ONNX.
    pub fn int_dtype(&self) -> IntDType {
        if self.is_known() { IntDType::I64 } else { self.settings().int_dtype }
    }

    /// Returns the type of bools on its device.
    pub fn bool_dtype(&self) -> BoolDType {
        self.settings().bool_dtype
    }

    /// Converts the elements.
    pub fn cast(self, kind: Kind) -> Self {
        let settings = self.settings();
        let (float, int, bool) = (settings.float_dtype, self.int_dtype(), settings.bool_dtype);
        let is_scalar = self.is_scalar;
        let tensor = self.tensor.clone();
        let tensor = match (self.kind(), kind) {
            (Kind::Float, Kind::Int) => Dispatch::float_into_int(tensor, int),
            (Kind::Float, Kind::Bool) => Dispatch::float_not_equal_elem(tensor, 0.0.into(), bool),
            (Kind::Int, Kind::Float) => Dispatch::int_into_float(tensor, float),
            (Kind::Int, Kind::Bool) => Dispatch::int_not_equal_elem(tensor, 0.into(), bool),
            (Kind::Bool, Kind::Float) => Dispatch::bool_into_float(tensor, float),
            (Kind::Bool, Kind::Int) => Dispatch::bool_into_int(tensor, int),
            _ => return self,
        };
        Self { tensor, is_scalar }
    }

    /// Applies a function of floats to each element.
    pub fn map(self, f: impl FnOnce(DispatchTensor) -> DispatchTensor) -> Self {
        Self { is_scalar: self.is_scalar, tensor: f(self.tensor) }
    }

    /// Applies a function of two arrays that determines the shape of its result.
    pub fn combine(
        self,
        other: Self,
        f: impl FnOnce(DispatchTensor, DispatchTensor) -> DispatchTensor,
    ) -> Result<Self, Reason> {
        Ok(f(self.tensor, other.tensor).into())
    }

    /// Applies a function to the elements of two arrays, which are broadcast to each other.
    pub fn zip(
        self,
        other: Self,
        f: impl FnOnce(DispatchTensor, DispatchTensor) -> DispatchTensor,
    ) -> Result<Self, Reason> {
        let (a, b) = (self.shape(), other.shape());
        self.check_size(&broadcast(&a, &b)?)?;
        let rank = a.len().max(b.len());
        let is_scalar = rank == 0;
        let (a, b) = (self.with_rank(rank)?, other.with_rank(rank)?);
        Ok(Self { tensor: f(a.tensor, b.tensor), is_scalar })
    }
}

/// Returns the shape to which two arrays are broadcast.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Reason> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], dim: usize| (dim + shape.len()).checked_sub(rank).map_or(1, |dim| shape[dim]);
    let length = |dim: usize| match (at(a, dim), at(b, dim)) {
        (x, y) if x == y => Ok(x),
        (1, y) => Ok(y),
        (x, 1) => Ok(x),
        _ => Err(format!("arrays of the shapes {a:?} and {b:?} do not fit each other")),
    };
    (0..rank).map(length).collect()
}

/// Returns numbers in another shape.
fn with_shape(numbers: TensorData, shape: &[usize]) -> TensorData {
    let (bytes, _, dtype) = numbers.into_parts();
    TensorData::from_bytes(bytes, shape.to_vec(), dtype)
}

/// Moves numbers to a device, as integers of this type and bools of its own type. Integers that do not fit become the nearest ones.
fn upload(numbers: TensorData, device: &Device, ints: IntDType) -> DispatchTensor {
    let shape = numbers.shape().as_slice().to_vec();
    let numbers = if shape.is_empty() { with_shape(numbers, &[1]) } else { numbers };
    let (bools, dtype, device) = (device.settings().bool_dtype, numbers.dtype(), device.as_dispatch());
    if dtype.is_float() {
        Dispatch::float_from_data(numbers, device)
    } else if dtype.is_bool() {
        Dispatch::bool_from_data(numbers.convert_dtype(bools.into()), device)
    } else if ints == IntDType::I64 {
        Dispatch::int_from_data(numbers.convert_dtype(DType::I64), device)
    } else {
        let shape = numbers.shape().clone();
        let fitting = numbers.iter::<i64>().map(|x| x.clamp(i32::MIN.into(), i32::MAX.into()) as i32);
        let fitting = TensorData::new(fitting.collect::<Vec<_>>(), shape);
        Dispatch::int_from_data(fitting.convert_dtype(ints.into()), device)
    }
}
