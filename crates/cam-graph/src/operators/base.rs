//! What all kinds of tensors can do: reshape, permute, slice, select, join, compare with a value.

use super::{Kernel, Table};
use burn::backend::Dispatch;
use burn::backend::ir::BaseOperationIr as Op;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::tensor::IndexingUpdateOp;

/// The operators that are the same for each kind of tensor, under the names that they have for this kind.
macro_rules! base {
    (
        $table:ident, $op:ident;
        $reshape:ident $swap_dims:ident $permute:ident $flip:ident $expand:ident $unfold:ident $slice:ident $slice_assign:ident
        $gather:ident $select:ident $mask_where:ident $mask_fill:ident $repeat_dim:ident $cat:ident $empty:ident $zeros:ident
        $ones:ident;
        $($rest:tt)*
    ) => {
        Some(match $op {
            Op::Reshape(op) => {
                let shape = op.out.shape.clone();
                $table.unary(&op.input, &op.out, move |x| Dispatch::$reshape(x, shape.clone()))
            }
            Op::SwapDims(op) => {
                let (a, b) = (op.dim1, op.dim2);
                $table.unary(&op.input, &op.out, move |x| Dispatch::$swap_dims(x, a, b))
            }
            Op::Permute(op) => {
                let axes = op.axes.clone();
                $table.unary(&op.input, &op.out, move |x| Dispatch::$permute(x, &axes))
            }
            Op::Flip(op) => {
                let axes = op.axes.clone();
                $table.unary(&op.input, &op.out, move |x| Dispatch::$flip(x, &axes))
            }
            Op::Expand(op) => {
                let shape = op.out.shape.clone();
                $table.unary(&op.input, &op.out, move |x| Dispatch::$expand(x, shape.clone()))
            }
            Op::Unfold(op) => {
                let (dim, size, step) = (op.dim, op.size, op.step);
                $table.unary(&op.input, &op.out, move |x| Dispatch::$unfold(x, dim, size, step))
            }
            Op::Slice(op) => {
                let ranges = op.ranges.clone();
                $table.unary(&op.tensor, &op.out, move |x| Dispatch::$slice(x, &ranges))
            }
            Op::SliceAssign(op) => {
                let ranges = op.ranges.clone();
                $table.binary([&op.tensor, &op.value], &op.out, move |x, value| {
                    Dispatch::$slice_assign(x, &ranges, value)
                })
            }
            Op::Gather(op) => {
                let dim = op.dim;
                $table.binary([&op.tensor, &op.indices], &op.out, move |x, indices| Dispatch::$gather(dim, x, indices))
            }
            Op::Select(op) => {
                let dim = op.dim;
                $table.binary([&op.tensor, &op.indices], &op.out, move |x, indices| Dispatch::$select(x, dim, indices))
            }
            Op::MaskWhere(op) => $table.many([&op.tensor, &op.mask, &op.value], &op.out, |[x, mask, value]| {
                Dispatch::$mask_where(x, mask, value)
            }),
            Op::MaskFill(op) => {
                let value = op.value;
                $table.binary([&op.tensor, &op.mask], &op.out, move |x, mask| {
                    Dispatch::$mask_fill(x, mask, value.into())
                })
            }
            Op::RepeatDim(op) => {
                let (dim, times) = (op.dim, op.times);
                $table.unary(&op.tensor, &op.out, move |x| Dispatch::$repeat_dim(x, dim, times))
            }
            Op::Cat(op) => {
                let dim = op.dim;
                $table.list(&op.tensors, &op.out, move |all| Dispatch::$cat(all, dim))
            }
            Op::Empty(op) => {
                let (shape, dtype, device) = (op.out.shape.clone(), op.out.dtype, $table.device.clone());
                $table.create(&op.out, move || Dispatch::$empty(shape.clone(), device.as_dispatch(), dtype.into()))
            }
            Op::Zeros(op) => {
                let (shape, dtype, device) = (op.out.shape.clone(), op.out.dtype, $table.device.clone());
                $table.create(&op.out, move || Dispatch::$zeros(shape.clone(), device.as_dispatch(), dtype.into()))
            }
            Op::Ones(op) => {
                let (shape, dtype, device) = (op.out.shape.clone(), op.out.dtype, $table.device.clone());
                $table.create(&op.out, move || Dispatch::$ones(shape.clone(), device.as_dispatch(), dtype.into()))
            }
            $($rest)*
        })
    };
}

/// Comparisons and questions of numbers, whose answers are of the kind of bools that the recording says.
macro_rules! questions {
    ($table:ident, $op:ident; $equal:ident $equal_elem:ident $not_equal:ident $not_equal_elem:ident $all:ident $any:ident $all_dim:ident $any_dim:ident) => {
        Some(match $op {
            Op::Equal(op) => {
                let dtype = op.out.dtype;
                $table.binary([&op.lhs, &op.rhs], &op.out, move |a, b| Dispatch::$equal(a, b, dtype.into()))
            }
            Op::EqualElem(op) => {
                let (rhs, dtype) = (op.rhs, op.out.dtype);
                $table.unary(&op.lhs, &op.out, move |x| Dispatch::$equal_elem(x, rhs.into(), dtype.into()))
            }
            Op::NotEqual(op) => {
                let dtype = op.out.dtype;
                $table
                    .binary([&op.lhs, &op.rhs], &op.out, move |a, b| Dispatch::$not_equal(a, b, dtype.into()))
            }
            Op::NotEqualElem(op) => {
                let (rhs, dtype) = (op.rhs, op.out.dtype);
                $table
                    .unary(&op.lhs, &op.out, move |x| Dispatch::$not_equal_elem(x, rhs.into(), dtype.into()))
            }
            Op::All(op) => {
                let dtype = op.out.dtype;
                $table.unary(&op.input, &op.out, move |x| Dispatch::$all(x, dtype.into()))
            }
            Op::Any(op) => {
                let dtype = op.out.dtype;
                $table.unary(&op.input, &op.out, move |x| Dispatch::$any(x, dtype.into()))
            }
            Op::AllDim(op) => {
                let (axis, dtype) = (op.axis, op.out.dtype);
                $table.unary(&op.input, &op.out, move |x| Dispatch::$all_dim(x, axis, dtype.into()))
            }
            Op::AnyDim(op) => {
                let (axis, dtype) = (op.axis, op.out.dtype);
                $table.unary(&op.input, &op.out, move |x| Dispatch::$any_dim(x, axis, dtype.into()))
            }
            _ => return None,
        })
    };
}

impl Table<'_> {
    pub(super) fn float_base(&mut self, op: &Op) -> Option<Kernel> {
        base! {
            self, op;
            float_reshape float_swap_dims float_permute float_flip float_expand float_unfold float_slice float_slice_assign
            float_gather float_select float_mask_where float_mask_fill float_repeat_dim float_cat float_empty float_zeros
            float_ones;
            Op::Scatter(op) => {
                let (dim, update) = (op.dim, op.update);
                self.many([&op.tensor, &op.indices, &op.value], &op.out, move |[x, indices, value]| {
                    Dispatch::float_scatter(dim, x, indices, value, update)
                })
            }
            Op::SelectAssign(op) => {
                let (dim, update) = (op.dim, op.update);
                self.many([&op.tensor, &op.indices, &op.value], &op.out, move |[x, indices, value]| {
                    Dispatch::float_select_assign(x, dim, indices, value, update)
                })
            }
            Op::GatherNd(op) => self.binary([&op.data, &op.indices], &op.out, Dispatch::float_gather_nd),
            Op::Cast(op) => {
                let dtype = op.out.dtype;
                self.unary(&op.input, &op.out, move |x| Dispatch::float_cast(x, dtype.into()))
            }
            _ => questions! {
                self, op;
                float_equal float_equal_elem float_not_equal float_not_equal_elem float_all float_any float_all_dim float_any_dim
            }?,
        }
    }

    pub(super) fn int_base(&mut self, op: &Op) -> Option<Kernel> {
        base! {
            self, op;
            int_reshape int_swap_dims int_permute int_flip int_expand int_unfold int_slice int_slice_assign
            int_gather int_select int_mask_where int_mask_fill int_repeat_dim int_cat int_empty int_zeros
            int_ones;
            Op::Scatter(op) => {
                let (dim, update) = (op.dim, op.update);
                self.many([&op.tensor, &op.indices, &op.value], &op.out, move |[x, indices, value]| {
                    Dispatch::int_scatter(dim, x, indices, value, update)
                })
            }
            Op::SelectAssign(op) => {
                let (dim, update) = (op.dim, op.update);
                self.many([&op.tensor, &op.indices, &op.value], &op.out, move |[x, indices, value]| {
                    Dispatch::int_select_assign(x, dim, indices, value, update)
                })
            }
            Op::GatherNd(op) => self.binary([&op.data, &op.indices], &op.out, Dispatch::int_gather_nd),
            Op::Cast(op) => {
                let dtype = op.out.dtype;
                self.unary(&op.input, &op.out, move |x| Dispatch::int_cast(x, dtype.into()))
            }
            _ => questions! {
                self, op;
                int_equal int_equal_elem int_not_equal int_not_equal_elem int_all int_any int_all_dim int_any_dim
            }?,
        }
    }

    pub(super) fn bool_base(&mut self, op: &Op) -> Option<Kernel> {
        base! {
            self, op;
            bool_reshape bool_swap_dims bool_permute bool_flip bool_expand bool_unfold bool_slice bool_slice_assign
            bool_gather bool_select bool_mask_where bool_mask_fill bool_repeat_dim bool_cat bool_empty bool_zeros
            bool_ones;
            Op::Scatter(op) if op.update == IndexingUpdateOp::Add => {
                let dim = op.dim;
                self.many([&op.tensor, &op.indices, &op.value], &op.out, move |[x, indices, value]| {
                    Dispatch::bool_scatter_or(dim, x, indices, value)
                })
            }
            Op::SelectAssign(op) if op.update == IndexingUpdateOp::Add => {
                let dim = op.dim;
                self.many([&op.tensor, &op.indices, &op.value], &op.out, move |[x, indices, value]| {
                    Dispatch::bool_select_or(x, dim, indices, value)
                })
            }
            Op::Equal(op) => self.binary([&op.lhs, &op.rhs], &op.out, Dispatch::bool_equal),
            Op::NotEqual(op) => self.binary([&op.lhs, &op.rhs], &op.out, Dispatch::bool_not_equal),
            Op::EqualElem(op) => {
                let rhs = op.rhs;
                self.unary(&op.lhs, &op.out, move |x| Dispatch::bool_equal_elem(x, rhs.into()))
            }
            Op::NotEqualElem(op) => {
                let rhs = op.rhs;
                self.unary(&op.lhs, &op.out, move |x| Dispatch::bool_not_equal_elem(x, rhs.into()))
            }
            Op::All(op) => self.unary(&op.input, &op.out, Dispatch::bool_all),
            Op::Any(op) => self.unary(&op.input, &op.out, Dispatch::bool_any),
            Op::AllDim(op) => {
                let axis = op.axis;
                self.unary(&op.input, &op.out, move |x| Dispatch::bool_all_dim(x, axis))
            }
            Op::AnyDim(op) => {
                let axis = op.axis;
                self.unary(&op.input, &op.out, move |x| Dispatch::bool_any_dim(x, axis))
            }
            _ => return None,
        }
    }
}
