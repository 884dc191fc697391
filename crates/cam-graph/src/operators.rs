//! The table of operators: the kernel of each recorded operator, for any device, with or without a tape.
//!
//! Operators become [`Kernel`]s when a graph is built, so an operator that is not in the table is reported then, and not in the middle of a
//! run. The table has no backward operators, which do not occur in a forward pass, and no quantized, distributed and custom ones.

mod base;
mod module;
mod numeric;

use crate::values::{Slot, Values};
use burn::backend::ir::{BinaryOpIr, OperationIr, ScalarOpIr, TensorId, TensorIr};
use burn::backend::{BoolDType, DispatchDevice, DispatchTensor, Scalar};
use burn::tensor::Device;
use std::collections::HashMap;

/// Reads the inputs of an operator, computes, and writes its outputs.
pub(crate) type Kernel = Box<dyn Fn(&mut Values<'_>) + Send + Sync>;

/// The slots of the tensors of a recording.
#[derive(Default)]
pub(crate) struct Slots {
    slots: HashMap<TensorId, Slot>,
}

impl Slots {
    /// Returns the slot of a tensor; a new one if it has none yet.
    pub fn get_or_insert(&mut self, tensor: TensorId) -> Slot {
        let next = self.slots.len();
        *self.slots.entry(tensor).or_insert(next)
    }

    /// Returns the slot of a tensor that has one.
    pub fn get(&self, tensor: TensorId) -> Slot {
        self.slots[&tensor]
    }

    /// Returns the number of slots.
    pub fn len(&self) -> usize {
        self.slots.len()
    }
}

/// Makes kernels of operators.
pub(crate) struct Table<'a> {
    pub slots: &'a mut Slots,
    /// The device of tensors that do not depend on an input.
    pub device: &'a Device,
}

impl Table<'_> {
    /// Returns the kernel of an operator; `None` if the table has none.
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
        self.slots.get_or_insert(tensor.id)
    }

    /// Makes the kernel of an operator without inputs. `f` gets the operator and the device.
    fn create<P: Clone + Send + Sync + 'static>(
        &mut self,
        out: &TensorIr,
        op: &P,
        f: fn(&P, &DispatchDevice) -> DispatchTensor,
    ) -> Kernel {
        let (out, op, device) = (self.slot(out), op.clone(), self.device.clone());
        Box::new(move |values| values.write(out, f(&op, device.as_dispatch())))
    }

    /// Makes the kernel of an operator. `f` gets the inputs and the operator, from which it reads its parameters.
    fn apply<const N: usize, P: Clone + Send + Sync + 'static>(
        &mut self,
        inputs: [&TensorIr; N],
        out: &TensorIr,
        op: &P,
        f: fn([DispatchTensor; N], &P) -> DispatchTensor,
    ) -> Kernel {
        self.apply_optional(inputs, [], out, op, move |inputs, [], op| f(inputs, op))
    }

    /// Makes the kernel of an operator with inputs that may be absent, such as a bias or a mask.
    fn apply_optional<const N: usize, const O: usize, P: Clone + Send + Sync + 'static>(
        &mut self,
        inputs: [&TensorIr; N],
        options: [&Option<TensorIr>; O],
        out: &TensorIr,
        op: &P,
        f: impl Fn([DispatchTensor; N], [Option<DispatchTensor>; O], &P) -> DispatchTensor + Send + Sync + 'static,
    ) -> Kernel {
        let inputs = inputs.map(|input| self.slot(input));
        let options = options.map(|input| input.as_ref().map(|input| self.slot(input)));
        let (out, op) = (self.slot(out), op.clone());
        Box::new(move |values| {
            let inputs = inputs.map(|slot| values.read(slot));
            let options = options.map(|slot| slot.map(|slot| values.read(slot)));
            values.write(out, f(inputs, options, &op));
        })
    }

    /// Makes the kernel of an operator with a list of inputs.
    fn apply_list<P: Clone + Send + Sync + 'static>(
        &mut self,
        inputs: &[TensorIr],
        out: &TensorIr,
        op: &P,
        f: fn(Vec<DispatchTensor>, &P) -> DispatchTensor,
    ) -> Kernel {
        let inputs: Vec<Slot> = inputs.iter().map(|input| self.slot(input)).collect();
        let (out, op) = (self.slot(out), op.clone());
        Box::new(move |values| {
            let inputs = inputs.iter().map(|slot| values.read(*slot)).collect();
            values.write(out, f(inputs, &op));
        })
    }

    /// Makes the kernel of an operator with two outputs, the second of indices.
    fn apply_with_indices<P: Clone + Send + Sync + 'static>(
        &mut self,
        input: &TensorIr,
        outputs: [&TensorIr; 2],
        op: &P,
        f: fn(DispatchTensor, &P) -> (DispatchTensor, DispatchTensor),
    ) -> Kernel {
        let (input, [out, indices], op) = (self.slot(input), outputs.map(|out| self.slot(out)), op.clone());
        Box::new(move |values| {
            let x = values.read(input);
            let (first, second) = f(x, &op);
            values.write(out, first);
            values.write(indices, second);
        })
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
        inputs: [&TensorIr; 2],
        out: &TensorIr,
        f: impl Fn(DispatchTensor, DispatchTensor) -> DispatchTensor + Send + Sync + 'static,
    ) -> Kernel {
        let (inputs, out) = (inputs.map(|input| self.slot(input)), self.slot(out));
        Box::new(move |values| {
            let [lhs, rhs] = inputs.map(|slot| values.read(slot));
            values.write(out, f(lhs, rhs));
        })
    }

    fn with_scalar(&mut self, op: &ScalarOpIr, f: fn(DispatchTensor, Scalar) -> DispatchTensor) -> Kernel {
        let rhs = op.rhs;
        self.unary(&op.lhs, &op.out, move |x| f(x, rhs.into()))
    }

    /// Makes the kernel of a predicate of one input, whose output has the bool type of the recording.
    fn predicate(
        &mut self,
        input: &TensorIr,
        out: &TensorIr,
        f: fn(DispatchTensor, BoolDType) -> DispatchTensor,
    ) -> Kernel {
        let dtype = out.dtype;
        self.unary(input, out, move |x| f(x, dtype.into()))
    }

    fn compare(
        &mut self,
        op: &BinaryOpIr,
        f: fn(DispatchTensor, DispatchTensor, BoolDType) -> DispatchTensor,
    ) -> Kernel {
        let dtype = op.out.dtype;
        self.binary([&op.lhs, &op.rhs], &op.out, move |a, b| f(a, b, dtype.into()))
    }

    fn compare_scalar(
        &mut self,
        op: &ScalarOpIr,
        f: fn(DispatchTensor, Scalar, BoolDType) -> DispatchTensor,
    ) -> Kernel {
        let (rhs, dtype) = (op.rhs, op.out.dtype);
        self.unary(&op.lhs, &op.out, move |x| f(x, rhs.into(), dtype.into()))
    }
}

/// Returns the name of an operator in Burn's intermediate representation: `Conv2d`, `Softmax`, `Add`.
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
