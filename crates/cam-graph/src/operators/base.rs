//! Operators of all kinds of tensors: reshape, permute, slice, select, concatenate, compare with a value.

use super::{Kernel, Table};
use burn::backend::Dispatch;
use burn::backend::ir::BaseOperationIr as Op;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::tensor::IndexingUpdateOp;

/// Matches the operators that all kinds of tensors have, with the functions of one kind; `$rest` are the arms of the others.
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
                $table.apply([&op.input], &op.out, op, |[x], op| Dispatch::$reshape(x, op.out.shape.clone()))
            }
            Op::SwapDims(op) => {
                $table.apply([&op.input], &op.out, op, |[x], op| Dispatch::$swap_dims(x, op.dim1, op.dim2))
            }
            Op::Permute(op) => $table.apply([&op.input], &op.out, op, |[x], op| Dispatch::$permute(x, &op.axes)),
            Op::Flip(op) => $table.apply([&op.input], &op.out, op, |[x], op| Dispatch::$flip(x, &op.axes)),
            Op::Expand(op) => {
                $table.apply([&op.input], &op.out, op, |[x], op| Dispatch::$expand(x, op.out.shape.clone()))
            }
            Op::Unfold(op) => $table.apply([&op.input], &op.out, op, |[x], op| {
                Dispatch::$unfold(x, op.dim, op.size, op.step)
            }),
            Op::Slice(op) => $table.apply([&op.tensor], &op.out, op, |[x], op| Dispatch::$slice(x, &op.ranges)),
            Op::SliceAssign(op) => $table.apply([&op.tensor, &op.value], &op.out, op, |[x, value], op| {
                Dispatch::$slice_assign(x, &op.ranges, value)
            }),
            Op::Gather(op) => $table.apply([&op.tensor, &op.indices], &op.out, op, |[x, indices], op| {
                Dispatch::$gather(op.dim, x, indices)
            }),
            Op::Select(op) => $table.apply([&op.tensor, &op.indices], &op.out, op, |[x, indices], op| {
                Dispatch::$select(x, op.dim, indices)
            }),
            Op::MaskWhere(op) => {
                $table.apply([&op.tensor, &op.mask, &op.value], &op.out, op, |[x, mask, value], _| {
                    Dispatch::$mask_where(x, mask, value)
                })
            }
            Op::MaskFill(op) => $table.apply([&op.tensor, &op.mask], &op.out, op, |[x, mask], op| {
                Dispatch::$mask_fill(x, mask, op.value.into())
            }),
            Op::RepeatDim(op) => {
                $table.apply([&op.tensor], &op.out, op, |[x], op| Dispatch::$repeat_dim(x, op.dim, op.times))
            }
            Op::Cat(op) => $table.apply_list(&op.tensors, &op.out, op, |all, op| Dispatch::$cat(all, op.dim)),
            Op::Empty(op) => $table.create(&op.out, op, |op, device| {
                Dispatch::$empty(op.out.shape.clone(), device, op.out.dtype.into())
            }),
            Op::Zeros(op) => $table.create(&op.out, op, |op, device| {
                Dispatch::$zeros(op.out.shape.clone(), device, op.out.dtype.into())
            }),
            Op::Ones(op) => $table.create(&op.out, op, |op, device| {
                Dispatch::$ones(op.out.shape.clone(), device, op.out.dtype.into())
            }),
            $($rest)*
        })
    };
}

/// Matches the operators of numbers that `base!` leaves out, with the functions of one kind of numbers.
macro_rules! base_of_numbers {
    (
        $table:ident, $op:ident;
        $scatter:ident $select_assign:ident $gather_nd:ident $cast:ident;
        $equal:ident $equal_elem:ident $not_equal:ident $not_equal_elem:ident $all:ident $any:ident $all_dim:ident $any_dim:ident
    ) => {
        match $op {
            Op::Scatter(op) => {
                $table.apply([&op.tensor, &op.indices, &op.value], &op.out, op, |[x, indices, value], op| {
                    Dispatch::$scatter(op.dim, x, indices, value, op.update)
                })
            }
            Op::SelectAssign(op) => {
                $table.apply([&op.tensor, &op.indices, &op.value], &op.out, op, |[x, indices, value], op| {
                    Dispatch::$select_assign(x, op.dim, indices, value, op.update)
                })
            }
            Op::GatherNd(op) => $table.binary([&op.data, &op.indices], &op.out, Dispatch::$gather_nd),
            Op::Cast(op) => {
                $table.apply([&op.input], &op.out, op, |[x], op| Dispatch::$cast(x, op.out.dtype.into()))
            }
            Op::Equal(op) => $table.compare(op, Dispatch::$equal),
            Op::EqualElem(op) => $table.compare_scalar(op, Dispatch::$equal_elem),
            Op::NotEqual(op) => $table.compare(op, Dispatch::$not_equal),
            Op::NotEqualElem(op) => $table.compare_scalar(op, Dispatch::$not_equal_elem),
            Op::All(op) => $table.predicate(&op.input, &op.out, Dispatch::$all),
            Op::Any(op) => $table.predicate(&op.input, &op.out, Dispatch::$any),
            Op::AllDim(op) => $table.apply([&op.input], &op.out, op, |[x], op| {
                Dispatch::$all_dim(x, op.axis, op.out.dtype.into())
            }),
            Op::AnyDim(op) => $table.apply([&op.input], &op.out, op, |[x], op| {
                Dispatch::$any_dim(x, op.axis, op.out.dtype.into())
            }),
            _ => return None,
        }
    };
}

impl Table<'_> {
    pub(super) fn float_base(&mut self, op: &Op) -> Option<Kernel> {
        base! {
            self, op;
            float_reshape float_swap_dims float_permute float_flip float_expand float_unfold float_slice float_slice_assign
            float_gather float_select float_mask_where float_mask_fill float_repeat_dim float_cat float_empty float_zeros
            float_ones;
            _ => base_of_numbers! {
                self, op;
                float_scatter float_select_assign float_gather_nd float_cast;
                float_equal float_equal_elem float_not_equal float_not_equal_elem float_all float_any float_all_dim float_any_dim
            },
        }
    }

    pub(super) fn int_base(&mut self, op: &Op) -> Option<Kernel> {
        base! {
            self, op;
            int_reshape int_swap_dims int_permute int_flip int_expand int_unfold int_slice int_slice_assign
            int_gather int_select int_mask_where int_mask_fill int_repeat_dim int_cat int_empty int_zeros
            int_ones;
            _ => base_of_numbers! {
                self, op;
                int_scatter int_select_assign int_gather_nd int_cast;
                int_equal int_equal_elem int_not_equal int_not_equal_elem int_all int_any int_all_dim int_any_dim
            },
        }
    }

    pub(super) fn bool_base(&mut self, op: &Op) -> Option<Kernel> {
        base! {
            self, op;
            bool_reshape bool_swap_dims bool_permute bool_flip bool_expand bool_unfold bool_slice bool_slice_assign
            bool_gather bool_select bool_mask_where bool_mask_fill bool_repeat_dim bool_cat bool_empty bool_zeros
            bool_ones;
            Op::Scatter(op) if op.update == IndexingUpdateOp::Add => {
                self.apply([&op.tensor, &op.indices, &op.value], &op.out, op, |[x, indices, value], op| {
                    Dispatch::bool_scatter_or(op.dim, x, indices, value)
                })
            }
            Op::SelectAssign(op) if op.update == IndexingUpdateOp::Add => {
                self.apply([&op.tensor, &op.indices, &op.value], &op.out, op, |[x, indices, value], op| {
                    Dispatch::bool_select_or(x, op.dim, indices, value)
                })
            }
            Op::Equal(op) => self.binary([&op.lhs, &op.rhs], &op.out, Dispatch::bool_equal),
            Op::NotEqual(op) => self.binary([&op.lhs, &op.rhs], &op.out, Dispatch::bool_not_equal),
            Op::EqualElem(op) => self.with_scalar(op, Dispatch::bool_equal_elem),
            Op::NotEqualElem(op) => self.with_scalar(op, Dispatch::bool_not_equal_elem),
            Op::All(op) => self.unary(&op.input, &op.out, Dispatch::bool_all),
            Op::Any(op) => self.unary(&op.input, &op.out, Dispatch::bool_any),
            Op::AllDim(op) => self.apply([&op.input], &op.out, op, |[x], op| Dispatch::bool_all_dim(x, op.axis)),
            Op::AnyDim(op) => self.apply([&op.input], &op.out, op, |[x], op| Dispatch::bool_any_dim(x, op.axis)),
            _ => return None,
        }
    }
}
