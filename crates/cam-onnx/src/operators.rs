//! The operators of ONNX, in terms of Burn's.
//!
//! Each operator is written once, for arrays whose numbers are known (shapes, constants) and for those of a recording.
//! Definitions: <https://onnx.ai/onnx/operators/>.

mod attention;
mod convolution;
mod elementwise;
mod matrix;
mod microsoft;
mod norm;
pub(crate) mod quantized;
mod reduction;
mod shape;
mod structure;

pub(crate) use quantized::rounds;

use crate::array::{Array, Kind};
use crate::error::Reason;
use crate::program::{Attribute, Node};
use burn::tensor::Device;
use std::collections::HashMap;
use std::sync::Arc;

/// Computes the outputs of a node.
#[derive(Clone, Copy)]
pub(crate) enum Operator {
    One(fn(&Call<'_>) -> Result<Array, Reason>),
    Many(fn(&Call<'_>) -> Result<Vec<Array>, Reason>),
}

/// Returns an operator by its domain and name; `None` if it is not supported.
pub(crate) fn find(domain: &str, name: &str) -> Option<Operator> {
    let tables: &[&[(&str, Operator)]] = match domain {
        "" => &[
            elementwise::OPERATORS,
            structure::OPERATORS,
            shape::OPERATORS,
            reduction::OPERATORS,
            matrix::OPERATORS,
            convolution::OPERATORS,
            norm::OPERATORS,
            attention::OPERATORS,
            quantized::OPERATORS,
        ],
        "com.microsoft" => &[microsoft::OPERATORS, quantized::OPERATORS],
        _ => return None,
    };
    tables
        .iter()
        .flat_map(|table| table.iter())
        .find(|(known, _)| *known == name)
        .map(|(_, operator)| *operator)
}

/// A value of a running graph.
#[derive(Clone)]
pub(crate) enum Value {
    /// Its numbers are known, on the CPU.
    Known(Array),
    /// It is on the device of the recording.
    Recorded(Array),
    /// It is recorded and quantized. The array has the numbers that the integers stand for.
    Quantized(Array),
    /// A parameter of the module, on the device of the recording, and its numbers if there are few.
    Weight(Array, Option<Arc<Array>>),
}

impl Value {
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Known(array) | Self::Recorded(array) | Self::Quantized(array) | Self::Weight(array, _) => {
                array.shape()
            }
        }
    }

    /// Returns the array with known numbers, if it has them.
    fn known(&self) -> Option<&Array> {
        match self {
            Self::Known(array) => Some(array),
            Self::Weight(_, known) => known.as_deref(),
            _ => None,
        }
    }

    /// Returns the array on a device; a known one is left on the CPU if that is the device.
    pub fn here(&self, device: &Device) -> Array {
        match self {
            Self::Known(array) if *device == Device::flex() => array.clone(),
            value => value.on(device),
        }
    }

    /// Returns the array on the device of a recording.
    pub fn on(&self, device: &Device) -> Array {
        match self {
            Self::Known(array) => array.on(device),
            Self::Recorded(array) | Self::Quantized(array) | Self::Weight(array, _) => array.clone(),
        }
    }
}

/// A node with the values of its inputs.
pub(crate) struct Call<'a> {
    pub node: &'a Node,
    pub inputs: Vec<Option<Value>>,
    /// The version of ONNX's operators.
    pub opset: i64,
    /// The device of the recording.
    pub device: &'a Device,
    /// The batch of the export, if this run has another.
    pub batch: Option<&'a Rebatched>,
}

/// A run of another batch size than that of the export.
pub(crate) struct Rebatched {
    /// The batch size of the export.
    pub exported: usize,
    /// That of this run.
    pub batch: usize,
    /// The values at the batch size of the export.
    pub values: HashMap<String, Value>,
}

impl Call<'_> {
    /// Computes the node.
    pub fn run(&self, operator: Operator) -> Result<Vec<Value>, Reason> {
        let arrays = match operator {
            Operator::One(compute) => vec![compute(self)?],
            Operator::Many(compute) => compute(self)?,
        };
        let is_quantized = quantized::gives_quantized(&self.node.operator)
            .unwrap_or_else(|| (0..self.inputs.len()).any(|index| self.is_quantized(index)));
        let value = |array: Array| match (array.is_known(), is_quantized) {
            (true, _) => Value::Known(array),
            (false, true) => Value::Quantized(array),
            (false, false) => Value::Recorded(array),
        };
        Ok(arrays.into_iter().map(value).collect())
    }

    /// Reports whether the numbers of all inputs are known, so that the node is computed on the CPU.
    pub fn is_known(&self) -> bool {
        self.inputs.iter().flatten().all(|value| matches!(value, Value::Known(_)))
    }

    /// Reports whether an input is quantized and recorded.
    pub fn is_quantized(&self, index: usize) -> bool {
        matches!(self.inputs.get(index), Some(Some(Value::Quantized(_))))
    }

    /// Returns an input that may be missing.
    pub fn optional(&self, index: usize) -> Option<Array> {
        let value = self.inputs.get(index)?.as_ref()?;
        Some(match (value, self.is_known()) {
            (Value::Known(array), true) => array.clone(),
            (value, _) => value.on(self.device),
        })
    }

    pub fn input(&self, index: usize) -> Result<Array, Reason> {
        self.optional(index).ok_or_else(|| format!("input {index} is missing"))
    }

    /// Returns an input that has elements.
    pub fn filled(&self, index: usize) -> Result<Array, Reason> {
        let array = self.input(index)?;
        if array.len() == 0 {
            Err(format!("input {index} is empty, which is not supported"))
        } else {
            Ok(array)
        }
    }

    /// Returns an input of floats.
    pub fn float(&self, index: usize) -> Result<Array, Reason> {
        let array = self.filled(index)?;
        match array.kind() {
            Kind::Float => Ok(array),
            _ => Err(format!("input {index} has no floats, and other numbers are not supported")),
        }
    }

    /// Returns all inputs that are there.
    pub fn all_inputs(&self) -> Vec<Array> {
        (0..self.inputs.len()).filter_map(|index| self.optional(index)).collect()
    }

    /// Returns the shape of an input.
    pub fn shape(&self, index: usize) -> Result<Vec<usize>, Reason> {
        let value = self.inputs.get(index).and_then(Option::as_ref);
        value.map(Value::shape).ok_or_else(|| format!("input {index} is missing"))
    }

    /// Returns an input whose numbers must be known; `None` if it is missing.
    pub fn numbers(&self, index: usize) -> Result<Option<&Array>, Reason> {
        let Some(value) = self.inputs.get(index).and_then(Option::as_ref) else { return Ok(None) };
        let known = value.known().ok_or_else(|| {
            format!("input {index} must be constant, and it depends on the image or is a large weight")
        });
        known.map(Some)
    }

    /// Returns the integers of an input, if it is there.
    pub fn ints(&self, index: usize) -> Result<Option<Vec<i64>>, Reason> {
        Ok(self.numbers(index)?.map(Array::to_ints))
    }

    /// Returns the floats of an input, if it is there.
    pub fn floats(&self, index: usize) -> Result<Option<Vec<f32>>, Reason> {
        Ok(self.numbers(index)?.map(Array::to_floats))
    }

    /// Returns the only number of an input, if it is there and known.
    pub fn known_scalar(&self, index: usize) -> Option<f32> {
        let array = self.inputs.get(index)?.as_ref()?.known()?;
        (array.len() == 1).then(|| array.to_floats()[0])
    }

    /// Returns integers that are an input since some version, and an attribute before.
    pub fn ints_since(&self, opset: i64, index: usize, name: &str) -> Result<Option<Vec<i64>>, Reason> {
        if self.opset >= opset {
            self.ints(index)
        } else {
            Ok(self.attribute_ints(name).map(<[i64]>::to_vec))
        }
    }

    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.node.attributes.get(name)
    }

    pub fn attribute_int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.int)
    }

    pub fn attribute_float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.float)
    }

    pub fn attribute_text(&self, name: &str, default: &'static str) -> &str {
        self.attribute(name).map_or(default, |attribute| &attribute.text)
    }

    pub fn attribute_ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// Returns the shape to which an array is reshaped, if that of the file is for the batch size of the export: the batch of this run takes
    /// its place. One that the file computes and that differs between the runs has the batch already.
    ///
    /// Rows keep their order, so the batch joins the axis at whose start its rows begin: `[197, 2, 768]` becomes `[197, 24, 64]` where
    /// `[197, 1, 768]` became `[197, 12, 64]`, and `[2, 64, 40, 40]` becomes `[2, 64, 1600]` where the file has `[1, 64, -1]`.
    ///
    /// - own: the shape of the array
    /// - target: that of the file
    pub fn with_batch(&self, own: &[usize], target: &[i64]) -> Option<Vec<usize>> {
        let Rebatched { exported, batch, values } = self.batch?;
        let (exported, batch) = (*exported, *batch);
        let before = |name: Option<&String>| name.and_then(|name| values.get(name));
        let follows =
            before(self.node.inputs.get(1)).and_then(Value::known).is_some_and(|was| was.to_ints() != target);
        let own_before = before(self.node.inputs.first())?.shape();
        let mut shape = before(self.node.outputs.first())?.shape();
        let count = |shape: &[usize]| shape.iter().product::<usize>();
        if follows || own.len() != own_before.len() || count(own) * exported != count(&own_before) * batch {
            return None;
        }
        let axis = own.iter().zip(&own_before).position(|(now, before)| now != before)?;
        let rows = count(&own_before[axis..]);
        let axis = (0..shape.len()).find(|axis| count(&shape[*axis..]) == rows)?;
        shape[axis] = shape[axis] / exported * batch;
        Some(shape)
    }

    /// Returns an axis of the first input.
    pub fn axis(&self, axis: i64) -> Result<usize, Reason> {
        axis_of(axis, self.shape(0)?.len())
    }
}

/// Returns an axis that may count from the end.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, Reason> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_start)
        .ok()
        .filter(|axis| *axis < rank)
        .ok_or_else(|| format!("there is no axis {axis} in an array of {rank} axes"))
}

/// Returns integers as lengths.
pub(crate) fn lengths(ints: &[i64]) -> Result<Vec<usize>, Reason> {
    let lengths: Option<_> = ints.iter().map(|int| usize::try_from(*int).ok()).collect();
    lengths.ok_or_else(|| format!("{ints:?} has negative lengths"))
}
