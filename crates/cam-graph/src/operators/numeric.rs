//! Operators of numbers: arithmetic, reductions, comparisons, elementwise functions.

use super::{Kernel, Table};
use burn::backend::ir::{
    BinaryOpIr, BoolOperationIr, DimOpIr, FloatOperationIr, IntOperationIr, NumericOperationIr as Op,
    ReduceDimOpIr, UnaryOpIr,
};
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor};

impl Table<'_> {
    fn elementwise(&mut self, op: &UnaryOpIr, f: fn(DispatchTensor) -> DispatchTensor) -> Kernel {
        self.unary(&op.input, &op.out, f)
    }

    fn elementwise_pair(
        &mut self,
        op: &BinaryOpIr,
        f: fn(DispatchTensor, DispatchTensor) -> DispatchTensor,
    ) -> Kernel {
        self.binary([&op.lhs, &op.rhs], &op.out, f)
    }

    fn reduce_dim(&mut self, op: &ReduceDimOpIr, f: fn(DispatchTensor, usize) -> DispatchTensor) -> Kernel {
        let axis = op.axis;
        self.unary(&op.input, &op.out, move |x| f(x, axis))
    }

    fn cumulate(&mut self, op: &DimOpIr, f: fn(DispatchTensor, usize) -> DispatchTensor) -> Kernel {
        let axis = op.axis;
        self.unary(&op.input, &op.out, move |x| f(x, axis))
    }
}

/// Matches the operators that floats and integers share, with the functions of one kind; `$rest` are the arms of the others.
macro_rules! numeric {
    (
        $table:ident, $op:ident;
        $pad:ident $full:ident
        [$($pair:ident $pair_fn:ident),*] [$($scalar:ident $scalar_fn:ident),*] [$($compare:ident $compare_fn:ident),*]
        [$($compare_scalar:ident $compare_scalar_fn:ident),*] [$($unary:ident $unary_fn:ident),*] [$($total:ident $total_fn:ident),*]
        [$($dim:ident $dim_fn:ident),*] [$($cumulative:ident $cumulative_fn:ident),*]
        $clamp:ident $sort:ident $topk:ident;
        $($rest:tt)*
    ) => {
        Some(match $op {
            Op::Pad(op) => $table.apply([&op.input], &op.out, op, |[x], op| {
                Dispatch::$pad(x, &op.padding, op.mode.clone().into())
            }),
            Op::Full(op) => $table.create(&op.out, op, |op, device| {
                Dispatch::$full(op.out.shape.clone(), op.value.into(), device, op.out.dtype.into())
            }),
            $(Op::$pair(op) => $table.elementwise_pair(op, Dispatch::$pair_fn),)*
            $(Op::$scalar(op) => $table.with_scalar(op, Dispatch::$scalar_fn),)*
            $(Op::$compare(op) => $table.compare(op, Dispatch::$compare_fn),)*
            $(Op::$compare_scalar(op) => $table.compare_scalar(op, Dispatch::$compare_scalar_fn),)*
            $(Op::$unary(op) => $table.elementwise(op, Dispatch::$unary_fn),)*
            $(Op::$total(op) => $table.unary(&op.input, &op.out, Dispatch::$total_fn),)*
            $(Op::$dim(op) => $table.reduce_dim(op, Dispatch::$dim_fn),)*
            $(Op::$cumulative(op) => $table.cumulate(op, Dispatch::$cumulative_fn),)*
            Op::Clamp(op) => $table.apply([&op.tensor], &op.out, op, |[x], op| {
                Dispatch::$clamp(x, op.min.into(), op.max.into())
            }),
            Op::Sort(op) => {
                $table.apply([&op.input], &op.out, op, |[x], op| Dispatch::$sort(x, op.dim, op.descending))
            }
            Op::TopK(op) => {
                $table.apply([&op.input], &op.out, op, |[x], op| Dispatch::$topk(x, op.axis, op.accumulator_len))
            }
            $($rest)*
        })
    };
}

impl Table<'_> {
    pub(super) fn float_numeric(&mut self, op: &Op) -> Option<Kernel> {
        numeric! {
            self, op;
            float_pad float_full
            [Add float_add, Sub float_sub, Div float_div, Rem float_remainder, Mul float_mul, Powi float_powi]
            [
                AddScalar float_add_scalar, SubScalar float_sub_scalar, DivScalar float_div_scalar,
                RemScalar float_remainder_scalar, MulScalar float_mul_scalar, PowiScalar float_powi_scalar,
                ClampMin float_clamp_min, ClampMax float_clamp_max
            ]
            [
                Greater float_greater, GreaterEqual float_greater_equal, Lower float_lower, LowerEqual float_lower_equal
            ]
            [
                GreaterElem float_greater_elem, GreaterEqualElem float_greater_equal_elem, LowerElem float_lower_elem,
                LowerEqualElem float_lower_equal_elem
            ]
            [Abs float_abs, Neg float_neg, Sign float_sign]
            [
                Mean float_mean, Sum float_sum, Prod float_prod, Max float_max, Min float_min, MaxAbs float_max_abs
            ]
            [
                MeanDim float_mean_dim, SumDim float_sum_dim, ProdDim float_prod_dim, MaxDim float_max_dim,
                MinDim float_min_dim, MaxAbsDim float_max_abs_dim
            ]
            [CumSum float_cumsum, CumProd float_cumprod, CumMin float_cummin, CumMax float_cummax]
            float_clamp float_sort float_topk;
            Op::SumDims(op) => {
                self.apply([&op.input], &op.out, op, |[x], op| Dispatch::float_sum_dims(x, &op.axes))
            }
            Op::ArgMax(op) => self.apply([&op.input], &op.out, op, |[x], op| {
                Dispatch::float_argmax(x, op.axis, op.out.dtype.into())
            }),
            Op::ArgMin(op) => self.apply([&op.input], &op.out, op, |[x], op| {
                Dispatch::float_argmin(x, op.axis, op.out.dtype.into())
            }),
            Op::ArgTopK(op) => self.apply([&op.input], &op.out, op, |[x], op| {
                Dispatch::float_argtopk(x, op.axis, op.accumulator_len, op.out.dtype.into())
            }),
            Op::ArgSort(op) => self.apply([&op.input], &op.out, op, |[x], op| {
                Dispatch::float_argsort(x, op.dim, op.descending, op.out.dtype.into())
            }),
            Op::MaxDimWithIndices(op) => {
                self.apply_with_indices(&op.tensor, [&op.out, &op.out_indices], op, |x, op| {
                    Dispatch::float_max_dim_with_indices(x, op.dim, op.out_indices.dtype.into())
                })
            }
            Op::MinDimWithIndices(op) => {
                self.apply_with_indices(&op.tensor, [&op.out, &op.out_indices], op, |x, op| {
                    Dispatch::float_min_dim_with_indices(x, op.dim, op.out_indices.dtype.into())
                })
            }
            Op::TopKWithIndices(op) => {
                self.apply_with_indices(&op.tensor, [&op.out, &op.out_indices], op, |x, op| {
                    Dispatch::float_topk_with_indices(x, op.dim, op.k, op.out_indices.dtype.into())
                })
            }
            Op::SortWithIndices(op) => {
                self.apply_with_indices(&op.input, [&op.out, &op.out_indices], op, |x, op| {
                    Dispatch::float_sort_with_indices(x, op.dim, op.descending, op.out_indices.dtype.into())
                })
            }
            Op::IntRandom(_) => return None,
        }
    }

    pub(super) fn int_numeric(&mut self, op: &Op) -> Option<Kernel> {
        numeric! {
            self, op;
            int_pad int_full
            [Add int_add, Sub int_sub, Div int_div, Rem int_remainder, Mul int_mul, Powi int_powi]
            [
                AddScalar int_add_scalar, SubScalar int_sub_scalar, DivScalar int_div_scalar,
                RemScalar int_remainder_scalar, MulScalar int_mul_scalar, PowiScalar int_powi_scalar,
                ClampMin int_clamp_min, ClampMax int_clamp_max
            ]
            [Greater int_greater, GreaterEqual int_greater_equal, Lower int_lower, LowerEqual int_lower_equal]
            [
                GreaterElem int_greater_elem, GreaterEqualElem int_greater_equal_elem, LowerElem int_lower_elem,
                LowerEqualElem int_lower_equal_elem
            ]
            [Abs int_abs, Neg int_neg, Sign int_sign]
            [Mean int_mean, Sum int_sum, Prod int_prod, Max int_max, Min int_min, MaxAbs int_max_abs]
            [
                MeanDim int_mean_dim, SumDim int_sum_dim, ProdDim int_prod_dim, MaxDim int_max_dim, MinDim int_min_dim,
                MaxAbsDim int_max_abs_dim, ArgMax int_argmax, ArgMin int_argmin
            ]
            [CumSum int_cumsum, CumProd int_cumprod, CumMin int_cummin, CumMax int_cummax]
            int_clamp int_sort int_topk;
            Op::SumDims(op) => self.apply([&op.input], &op.out, op, |[x], op| {
                op.axes.iter().fold(x, |x, axis| Dispatch::int_sum_dim(x, *axis))
            }),
            Op::ArgTopK(op) => {
                self.apply([&op.input], &op.out, op, |[x], op| Dispatch::int_argtopk(x, op.axis, op.accumulator_len))
            }
            Op::ArgSort(op) => {
                self.apply([&op.input], &op.out, op, |[x], op| Dispatch::int_argsort(x, op.dim, op.descending))
            }
            Op::MaxDimWithIndices(op) => {
                self.apply_with_indices(&op.tensor, [&op.out, &op.out_indices], op, |x, op| {
                    Dispatch::int_max_dim_with_indices(x, op.dim)
                })
            }
            Op::MinDimWithIndices(op) => {
                self.apply_with_indices(&op.tensor, [&op.out, &op.out_indices], op, |x, op| {
                    Dispatch::int_min_dim_with_indices(x, op.dim)
                })
            }
            Op::TopKWithIndices(op) => {
                self.apply_with_indices(&op.tensor, [&op.out, &op.out_indices], op, |x, op| {
                    Dispatch::int_topk_with_indices(x, op.dim, op.k)
                })
            }
            Op::SortWithIndices(op) => {
                self.apply_with_indices(&op.input, [&op.out, &op.out_indices], op, |x, op| {
                    Dispatch::int_sort_with_indices(x, op.dim, op.descending)
                })
            }
            Op::IntRandom(op) => self.create(&op.out, op, |op, device| {
                Dispatch::int_random(op.out.shape.clone(), op.distribution, device, op.out.dtype.into())
            }),
        }
    }

    pub(super) fn float(&mut self, op: &FloatOperationIr) -> Option<Kernel> {
        use FloatOperationIr as F;
        Some(match op {
            F::Exp(op) => self.elementwise(op, Dispatch::float_exp),
            F::Log(op) => self.elementwise(op, Dispatch::float_log),
            F::Log1p(op) => self.elementwise(op, Dispatch::float_log1p),
            F::Erf(op) => self.elementwise(op, Dispatch::float_erf),
            F::PowfScalar(op) => self.with_scalar(op, Dispatch::float_powf_scalar),
            F::Sqrt(op) => self.elementwise(op, Dispatch::float_sqrt),
            F::Cos(op) => self.elementwise(op, Dispatch::float_cos),
            F::Cosh(op) => self.elementwise(op, Dispatch::float_cosh),
            F::Sin(op) => self.elementwise(op, Dispatch::float_sin),
            F::Sinh(op) => self.elementwise(op, Dispatch::float_sinh),
            F::Tan(op) => self.elementwise(op, Dispatch::float_tan),
            F::Tanh(op) => self.elementwise(op, Dispatch::float_tanh),
            F::ArcCos(op) => self.elementwise(op, Dispatch::float_acos),
            F::ArcCosh(op) => self.elementwise(op, Dispatch::float_acosh),
            F::ArcSin(op) => self.elementwise(op, Dispatch::float_asin),
            F::ArcSinh(op) => self.elementwise(op, Dispatch::float_asinh),
            F::ArcTan(op) => self.elementwise(op, Dispatch::float_atan),
            F::ArcTanh(op) => self.elementwise(op, Dispatch::float_atanh),
            F::ArcTan2(op) => self.elementwise_pair(op, Dispatch::float_atan2),
            F::Hypot(op) => self.elementwise_pair(op, Dispatch::float_hypot),
            F::Powf(op) => self.elementwise_pair(op, Dispatch::float_powf),
            F::Round(op) => self.elementwise(op, Dispatch::float_round),
            F::Floor(op) => self.elementwise(op, Dispatch::float_floor),
            F::Ceil(op) => self.elementwise(op, Dispatch::float_ceil),
            F::Trunc(op) => self.elementwise(op, Dispatch::float_trunc),
            F::Recip(op) => self.elementwise(op, Dispatch::float_recip),
            F::Matmul(op) => self.binary([&op.lhs, &op.rhs], &op.out, Dispatch::float_matmul),
            F::Cross(op) => {
                self.apply([&op.lhs, &op.rhs], &op.out, op, |[a, b], op| Dispatch::float_cross(a, b, op.dim))
            }
            F::IntoInt(op) => self
                .apply([&op.input], &op.out, op, |[x], op| Dispatch::float_into_int(x, op.out.dtype.into())),
            F::IsNan(op) => self.predicate(&op.input, &op.out, Dispatch::float_is_nan),
            F::IsInf(op) => self.predicate(&op.input, &op.out, Dispatch::float_is_inf),
            F::Random(op) => self.create(&op.out, op, |op, device| {
                Dispatch::float_random(op.out.shape.clone(), op.distribution, device, op.out.dtype.into())
            }),
            F::GridSample2d(op) => self.apply([&op.tensor, &op.grid], &op.out, op, |[x, grid], op| {
                Dispatch::float_grid_sample_2d(x, grid, op.options.clone().into())
            }),
            F::Quantize(_) | F::Dequantize(_) => return None,
        })
    }

    pub(super) fn int(&mut self, op: &IntOperationIr) -> Kernel {
        use IntOperationIr as I;
        match op {
            I::IntoFloat(op) => self
                .apply([&op.input], &op.out, op, |[x], op| Dispatch::int_into_float(x, op.out.dtype.into())),
            I::Matmul(op) => self.binary([&op.lhs, &op.rhs], &op.out, Dispatch::int_matmul),
            I::BitwiseAnd(op) => self.elementwise_pair(op, Dispatch::bitwise_and),
            I::BitwiseAndScalar(op) => self.with_scalar(op, Dispatch::bitwise_and_scalar),
            I::BitwiseOr(op) => self.elementwise_pair(op, Dispatch::bitwise_or),
            I::BitwiseOrScalar(op) => self.with_scalar(op, Dispatch::bitwise_or_scalar),
            I::BitwiseXor(op) => self.elementwise_pair(op, Dispatch::bitwise_xor),
            I::BitwiseXorScalar(op) => self.with_scalar(op, Dispatch::bitwise_xor_scalar),
            I::BitwiseNot(op) => self.elementwise(op, Dispatch::bitwise_not),
            I::BitwiseLeftShift(op) => self.elementwise_pair(op, Dispatch::bitwise_left_shift),
            I::BitwiseLeftShiftScalar(op) => self.with_scalar(op, Dispatch::bitwise_left_shift_scalar),
            I::BitwiseRightShift(op) => self.elementwise_pair(op, Dispatch::bitwise_right_shift),
            I::BitwiseRightShiftScalar(op) => self.with_scalar(op, Dispatch::bitwise_right_shift_scalar),
        }
    }

    pub(super) fn bool(&mut self, op: &BoolOperationIr) -> Kernel {
        use BoolOperationIr as B;
        match op {
            B::IntoFloat(op) => self
                .apply([&op.input], &op.out, op, |[x], op| Dispatch::bool_into_float(x, op.out.dtype.into())),
            B::IntoInt(op) => self
                .apply([&op.input], &op.out, op, |[x], op| Dispatch::bool_into_int(x, op.out.dtype.into())),
            B::Not(op) => self.elementwise(op, Dispatch::bool_not),
            B::And(op) => self.elementwise_pair(op, Dispatch::bool_and),
            B::Or(op) => self.elementwise_pair(op, Dispatch::bool_or),
            B::Xor(op) => self.elementwise_pair(op, Dispatch::bool_xor),
        }
    }
}
