//! The table of operators: what each recorded operator computes, on any device, with or without a tape.
//!
//! An operator becomes a [`Kernel`] when a program is built. One that is not in the table is reported then, by its name, and not in
//! the middle of a run. Left out are the backward operators, which no forward pass holds, and quantized, distributed and custom ones.

mod base;
mod module;
mod numeric;

use crate::values::{Slot, Values};
use burn::backend::DispatchTensor;
use burn::backend::ir::{OperationIr, TensorId, TensorIr};
use burn::tensor::Device;
use std::collections::HashMap;

/// Reads the inputs of an operator, computes, and writes its outputs.
pub(crate) type Kernel = Box<dyn Fn(&mut Values<'_>) + Send + Sync>;

/// Where the values of a recording are in a run.
#[derive(Default)]
pub(crate) struct Slots {
    slots: HashMap<TensorId, Slot>,
}

impl Slots {
    /// The slot of a tensor, a new one where it has none yet.
    pub fn of(&mut self, tensor: TensorId) -> Slot {
        let next = self.slots.len();
        *self.slots.entry(tensor).or_insert(next)
    }

    /// The slot of a tensor that has one.
    pub fn get(&self, tensor: TensorId) -> Slot {
        self.slots[&tensor]
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }
}

/// What it takes to make kernels.
pub(crate) struct Table<'a> {
    pub slots: &'a mut Slots,
    /// Where tensors are made that depend on no input.
    pub device: &'a Device,
}

impl Table<'_> {
    /// The kernel of an operator; `None` where the table has none.
    pub fn kernel(&mut self, operator: &OperationIr) -> Option<Kernel> {
        Some(match operator {
            OperationIr::BaseFloat(op) => self.float_base(op)?,
            OperationIr::BaseInt(op) => self.int_base(op)?,
            OperationIr::BaseBool(op) => self.bool_base(op)?,
            OperationIr::NumericFloat(_, op) => self.float_numeric(op)?,
            OperationIr::NumericInt(_, op) => self.int_numeric(op)?,
            OperationIr::Bool(op) => self.bool(op),
            OperationIr::Int(op) => self.int(op),
            OperationIr::Float(_, op) => self.float(op)?,
            OperationIr::Module(op) => self.module(op)?,
            OperationIr::Activation(op) => self.activation(op)?,
            OperationIr::Init(_) | OperationIr::Drop(_) => return None,
            OperationIr::Custom(_) | OperationIr::Distributed(_) => return None,
        })
    }

    fn slot(&mut self, tensor: &TensorIr) -> Slot {
        self.slots.of(tensor.id)
    }

    fn create(&mut self, out: &TensorIr, f: impl Fn() -> DispatchTensor + Send + Sync + 'static) -> Kernel {
        let out = self.slot(out);
        Box::new(move |values| values.write(out, f()))
    }

    fn unary(
        &mut self,
        input: &TensorIr,
        out: &TensorIr,
        f: impl Fn(DispatchTensor) -> DispatchTensor + Send + Sync + 'static,
    ) -> Kernel {
        let (input, out) = (self.slot(input), self.slot(out));
        Box::new(move |values| {
            let x = values.read(input);
            values.write(out, f(x));
        })
    }

    fn binary(
        &mut self,
        [lhs, rhs]: [&TensorIr; 2],
        out: &TensorIr,
        f: impl Fn(DispatchTensor, DispatchTensor) -> DispatchTensor + Send + Sync + 'static,
    ) -> Kernel {
        self.many([lhs, rhs], out, move |[lhs, rhs]| f(lhs, rhs))
    }

    fn many<const N: usize>(
        &mut self,
        inputs: [&TensorIr; N],
        out: &TensorIr,
        f: impl Fn([DispatchTensor; N]) -> DispatchTensor + Send + Sync + 'static,
    ) -> Kernel {
        let (inputs, out) = (inputs.map(|input| self.slot(input)), self.slot(out));
        Box::new(move |values| {
            let inputs = inputs.map(|slot| values.read(slot));
            values.write(out, f(inputs));
        })
    }

    /// An operator with inputs that may be absent: a bias, a mask.
    fn optional<const N: usize, const O: usize>(
        &mut self,
        inputs: [&TensorIr; N],
        options: [&Option<TensorIr>; O],
        out: &TensorIr,
        f: impl Fn([DispatchTensor; N], [Option<DispatchTensor>; O]) -> DispatchTensor + Send + Sync + 'static,
    ) -> Kernel {
        let inputs = inputs.map(|input| self.slot(input));
        let options = options.map(|input| input.as_ref().map(|input| self.slot(input)));
        let out = self.slot(out);
        Box::new(move |values| {
            let inputs = inputs.map(|slot| values.read(slot));
            let options = options.map(|slot| slot.map(|slot| values.read(slot)));
            values.write(out, f(inputs, options));
        })
    }

    /// An operator with two outputs, the second of indices.
    fn with_indices(
        &mut self,
        input: &TensorIr,
        outs: [&TensorIr; 2],
        f: impl Fn(DispatchTensor) -> (DispatchTensor, DispatchTensor) + Send + Sync + 'static,
    ) -> Kernel {
        let (input, [out, indices]) = (self.slot(input), outs.map(|out| self.slot(out)));
        Box::new(move |values| {
            let x = values.read(input);
            let (first, second) = f(x);
            values.write(out, first);
            values.write(indices, second);
        })
    }

    fn list(
        &mut self,
        inputs: &[TensorIr],
        out: &TensorIr,
        f: impl Fn(Vec<DispatchTensor>) -> DispatchTensor + Send + Sync + 'static,
    ) -> Kernel {
        let inputs: Vec<Slot> = inputs.iter().map(|input| self.slot(input)).collect();
        let out = self.slot(out);
        Box::new(move |values| {
            let inputs = inputs.iter().map(|slot| values.read(*slot)).collect();
            values.write(out, f(inputs));
        })
    }
}

/// The name of an operator, as Burn's intermediate representation has it: `Conv2d`, `Softmax`, `Add`.
pub(crate) fn name(operator: &OperationIr) -> String {
    // `BaseFloat(Reshape(ShapeOpIr { .. }))`, `NumericFloat(F32, Add(BinaryOpIr { .. }))`, `Module(Conv2d(Conv2dOpIr { .. }))`
    let text = format!("{operator:?}");
    let head = text.split('{').next().unwrap_or_default();
    let mut words = head.split(['(', ',', ' ']).filter(|word| !word.is_empty());
    match operator {
        OperationIr::NumericFloat(..) | OperationIr::NumericInt(..) | OperationIr::Float(..) => words.nth(2),
        _ => words.nth(1),
    }
    .unwrap_or("unknown")
    .to_string()
}
