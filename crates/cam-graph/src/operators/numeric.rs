//! Arithmetic, reductions, comparisons and elementwise functions of numbers.

use super::{Kernel, Table};
use burn::backend::Dispatch;
use burn::backend::ir::{
    BinaryOpIr, BoolOperationIr, DimOpIr, FloatOperationIr, IntOperationIr, NumericOperationIr as Op,
    ReduceDimOpIr, ScalarOpIr, TensorIr, UnaryOpIr,
};
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{BoolDType, DispatchTensor, Scalar};

impl Table<'_> {
    fn of_one(&mut self, op: &UnaryOpIr, f: fn(DispatchTensor) -> DispatchTensor) -> Kernel {
        self.unary(&op.input, &op.out, f)
    }

    fn of_two(&mut self, op: &BinaryOpIr, f: fn(DispatchTensor, DispatchTensor) -> DispatchTensor) -> Kernel {
        self.binary([&op.lhs, &op.rhs], &op.out, f)
    }

    fn with_scalar(&mut self, op: &ScalarOpIr, f: fn(DispatchTensor, Scalar) -> DispatchTensor) -> Kernel {
        let rhs = op.rhs;
        self.unary(&op.lhs, &op.out, move |x| f(x, rhs.into()))
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

    fn along(&mut self, op: &ReduceDimOpIr, f: fn(DispatchTensor, usize) -> DispatchTensor) -> Kernel {
        let axis = op.axis;
        self.unary(&op.input, &op.out, move |x| f(x, axis))
    }

    fn running(&mut self, op: &DimOpIr, f: fn(DispatchTensor, usize) -> DispatchTensor) -> Kernel {
        let axis = op.axis;
        self.unary(&op.input, &op.out, move |x| f(x, axis))
    }
}

/// The operators that floats and integers share, under the names that they have for this kind.
macro_rules! numeric {
    (
        $table:ident, $op:ident;
        $pad:ident $full:ident
        [$($two:ident $two_fn:ident),*] [$($scalar:ident $scalar_fn:ident),*] [$($compare:ident $compare_fn:ident),*]
        [$($compare_scalar:ident $compare_scalar_fn:ident),*] [$($one:ident $one_fn:ident),*] [$($whole:ident $whole_fn:ident),*]
        [$($along:ident $along_fn:ident),*] [$($running:ident $running_fn:ident),*]
        $clamp:ident $sort:ident $topk:ident;
        $($rest:tt)*
    ) => {
        Some(match $op {
            Op::Pad(op) => {
                let (padding, mode) = (op.padding.clone(), op.mode.clone());
                $table.unary(&op.input, &op.out, move |x| Dispatch::$pad(x, &padding, mode.clone().into()))
            }
            Op::Full(op) => {
                let (shape, dtype, value, device) =
                    (op.out.shape.clone(), op.out.dtype, op.value, $table.device.clone());
                $table.create(&op.out, move || {
                    Dispatch::$full(shape.clone(), value.into(), device.as_dispatch(), dtype.into())
                })
            }
            $(Op::$two(op) => $table.of_two(op, Dispatch::$two_fn),)*
            $(Op::$scalar(op) => $table.with_scalar(op, Dispatch::$scalar_fn),)*
            $(Op::$compare(op) => $table.compare(op, Dispatch::$compare_fn),)*
            $(Op::$compare_scalar(op) => $table.compare_scalar(op, Dispatch::$compare_scalar_fn),)*
            $(Op::$one(op) => $table.of_one(op, Dispatch::$one_fn),)*
            $(Op::$whole(op) => $table.unary(&op.input, &op.out, Dispatch::$whole_fn),)*
            $(Op::$along(op) => $table.along(op, Dispatch::$along_fn),)*
            $(Op::$running(op) => $table.running(op, Dispatch::$running_fn),)*
            Op::Clamp(op) => {
                let (min, max) = (op.min, op.max);
                $table.unary(&op.tensor, &op.out, move |x| Dispatch::$clamp(x, min.into(), max.into()))
            }
            Op::Sort(op) => {
                let (dim, descending) = (op.dim, op.descending);
                $table.unary(&op.input, &op.out, move |x| Dispatch::$sort(x, dim, descending))
            }
            Op::TopK(op) => {
                let (axis, k) = (op.axis, op.accumulator_len);
                $table.unary(&op.input, &op.out, move |x| Dispatch::$topk(x, axis, k))
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
                let axes = op.axes.clone();
                self.unary(&op.input, &op.out, move |x| Dispatch::float_sum_dims(x, &axes))
            }
            Op::ArgMax(op) => {
                let (axis, dtype) = (op.axis, op.out.dtype);
                self.unary(&op.input, &op.out, move |x| Dispatch::float_argmax(x, axis, dtype.into()))
            }
            Op::ArgMin(op) => {
                let (axis, dtype) = (op.axis, op.out.dtype);
                self.unary(&op.input, &op.out, move |x| Dispatch::float_argmin(x, axis, dtype.into()))
            }
            Op::ArgTopK(op) => {
                let (axis, k, dtype) = (op.axis, op.accumulator_len, op.out.dtype);
                self.unary(&op.input, &op.out, move |x| Dispatch::float_argtopk(x, axis, k, dtype.into()))
            }
            Op::ArgSort(op) => {
                let (dim, descending, dtype) = (op.dim, op.descending, op.out.dtype);
                self.unary(&op.input, &op.out, move |x| Dispatch::float_argsort(x, dim, descending, dtype.into()))
            }
            Op::MaxDimWithIndices(op) => {
                let (dim, dtype) = (op.dim, op.out_indices.dtype);
                self.with_indices(&op.tensor, [&op.out, &op.out_indices], move |x| {
                    Dispatch::float_max_dim_with_indices(x, dim, dtype.into())
                })
            }
            Op::MinDimWithIndices(op) => {
                let (dim, dtype) = (op.dim, op.out_indices.dtype);
                self.with_indices(&op.tensor, [&op.out, &op.out_indices], move |x| {
                    Dispatch::float_min_dim_with_indices(x, dim, dtype.into())
                })
            }
            Op::TopKWithIndices(op) => {
                let (dim, k, dtype) = (op.dim, op.k, op.out_indices.dtype);
                self.with_indices(&op.tensor, [&op.out, &op.out_indices], move |x| {
                    Dispatch::float_topk_with_indices(x, dim, k, dtype.into())
                })
            }
            Op::SortWithIndices(op) => {
                let (dim, descending, dtype) = (op.dim, op.descending, op.out_indices.dtype);
                self.with_indices(&op.input, [&op.out, &op.out_indices], move |x| {
                    Dispatch::float_sort_with_indices(x, dim, descending, dtype.into())
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
            Op::SumDims(op) => {
                let axes = op.axes.clone();
                self.unary(&op.input, &op.out, move |x| axes.iter().fold(x, |x, axis| Dispatch::int_sum_dim(x, *axis)))
            }
            Op::ArgTopK(op) => {
                let (axis, k) = (op.axis, op.accumulator_len);
                self.unary(&op.input, &op.out, move |x| Dispatch::int_argtopk(x, axis, k))
            }
            Op::ArgSort(op) => {
                let (dim, descending) = (op.dim, op.descending);
                self.unary(&op.input, &op.out, move |x| Dispatch::int_argsort(x, dim, descending))
            }
            Op::MaxDimWithIndices(op) => {
                let dim = op.dim;
                self.with_indices(&op.tensor, [&op.out, &op.out_indices], move |x| {
                    Dispatch::int_max_dim_with_indices(x, dim)
                })
            }
            Op::MinDimWithIndices(op) => {
                let dim = op.dim;
                self.with_indices(&op.tensor, [&op.out, &op.out_indices], move |x| {
                    Dispatch::int_min_dim_with_indices(x, dim)
                })
            }
            Op::TopKWithIndices(op) => {
                let (dim, k) = (op.dim, op.k);
                self.with_indices(&op.tensor, [&op.out, &op.out_indices], move |x| {
                    Dispatch::int_topk_with_indices(x, dim, k)
                })
            }
            Op::SortWithIndices(op) => {
                let (dim, descending) = (op.dim, op.descending);
                self.with_indices(&op.input, [&op.out, &op.out_indices], move |x| {
                    Dispatch::int_sort_with_indices(x, dim, descending)
                })
            }
            Op::IntRandom(op) => {
                let (shape, distribution, dtype, device) =
                    (op.out.shape.clone(), op.distribution, op.out.dtype, self.device.clone());
                self.create(&op.out, move || {
                    Dispatch::int_random(shape.clone(), distribution, device.as_dispatch(), dtype.into())
                })
            }
        }
    }

    pub(super) fn float(&mut self, op: &FloatOperationIr) -> Option<Kernel> {
        use FloatOperationIr as F;
        Some(match op {
            F::Exp(op) => self.of_one(op, Dispatch::float_exp),
            F::Log(op) => self.of_one(op, Dispatch::float_log),
            F::Log1p(op) => self.of_one(op, Dispatch::float_log1p),
            F::Erf(op) => self.of_one(op, Dispatch::float_erf),
            F::PowfScalar(op) => self.with_scalar(op, Dispatch::float_powf_scalar),
            F::Sqrt(op) => self.of_one(op, Dispatch::float_sqrt),
            F::Cos(op) => self.of_one(op, Dispatch::float_cos),
            F::Cosh(op) => self.of_one(op, Dispatch::float_cosh),
            F::Sin(op) => self.of_one(op, Dispatch::float_sin),
            F::Sinh(op) => self.of_one(op, Dispatch::float_sinh),
            F::Tan(op) => self.of_one(op, Dispatch::float_tan),
            F::Tanh(op) => self.of_one(op, Dispatch::float_tanh),
            F::ArcCos(op) => self.of_one(op, Dispatch::float_acos),
            F::ArcCosh(op) => self.of_one(op, Dispatch::float_acosh),
            F::ArcSin(op) => self.of_one(op, Dispatch::float_asin),
            F::ArcSinh(op) => self.of_one(op, Dispatch::float_asinh),
            F::ArcTan(op) => self.of_one(op, Dispatch::float_atan),
            F::ArcTanh(op) => self.of_one(op, Dispatch::float_atanh),
            F::ArcTan2(op) => self.of_two(op, Dispatch::float_atan2),
            F::Hypot(op) => self.of_two(op, Dispatch::float_hypot),
            F::Powf(op) => self.of_two(op, Dispatch::float_powf),
            F::Round(op) => self.of_one(op, Dispatch::float_round),
            F::Floor(op) => self.of_one(op, Dispatch::float_floor),
            F::Ceil(op) => self.of_one(op, Dispatch::float_ceil),
            F::Trunc(op) => self.of_one(op, Dispatch::float_trunc),
            F::Recip(op) => self.of_one(op, Dispatch::float_recip),
            F::Matmul(op) => self.binary([&op.lhs, &op.rhs], &op.out, Dispatch::float_matmul),
            F::Cross(op) => {
                let dim = op.dim;
                self.binary([&op.lhs, &op.rhs], &op.out, move |a, b| Dispatch::float_cross(a, b, dim))
            }
            F::IntoInt(op) => {
                let dtype = op.out.dtype;
                self.unary(&op.input, &op.out, move |x| Dispatch::float_into_int(x, dtype.into()))
            }
            F::IsNan(op) => self.question(&op.input, &op.out, Dispatch::float_is_nan),
            F::IsInf(op) => self.question(&op.input, &op.out, Dispatch::float_is_inf),
            F::Random(op) => {
                let (shape, distribution, dtype, device) =
                    (op.out.shape.clone(), op.distribution, op.out.dtype, self.device.clone());
                self.create(&op.out, move || {
                    Dispatch::float_random(shape.clone(), distribution, device.as_dispatch(), dtype.into())
                })
            }
            F::GridSample2d(op) => {
                let options = op.options.clone();
                self.binary([&op.tensor, &op.grid], &op.out, move |x, grid| {
                    Dispatch::float_grid_sample_2d(x, grid, options.clone().into())
                })
            }
            F::Quantize(_) | F::Dequantize(_) => return None,
        })
    }

    fn question(
        &mut self,
        input: &TensorIr,
        out: &TensorIr,
        f: fn(DispatchTensor, BoolDType) -> DispatchTensor,
    ) -> Kernel {
        let dtype = out.dtype;
        self.unary(input, out, move |x| f(x, dtype.into()))
    }

    pub(super) fn int(&mut self, op: &IntOperationIr) -> Kernel {
        use IntOperationIr as I;
        match op {
            I::IntoFloat(op) => {
                let dtype = op.out.dtype;
                self.unary(&op.input, &op.out, move |x| Dispatch::int_into_float(x, dtype.into()))
            }
            I::Matmul(op) => self.binary([&op.lhs, &op.rhs], &op.out, Dispatch::int_matmul),
            I::BitwiseAnd(op) => self.of_two(op, Dispatch::bitwise_and),
            I::BitwiseAndScalar(op) => self.with_scalar(op, Dispatch::bitwise_and_scalar),
            I::BitwiseOr(op) => self.of_two(op, Dispatch::bitwise_or),
            I::BitwiseOrScalar(op) => self.with_scalar(op, Dispatch::bitwise_or_scalar),
            I::BitwiseXor(op) => self.of_two(op, Dispatch::bitwise_xor),
            I::BitwiseXorScalar(op) => self.with_scalar(op, Dispatch::bitwise_xor_scalar),
            I::BitwiseNot(op) => self.of_one(op, Dispatch::bitwise_not),
            I::BitwiseLeftShift(op) => self.of_two(op, Dispatch::bitwise_left_shift),
            I::BitwiseLeftShiftScalar(op) => self.with_scalar(op, Dispatch::bitwise_left_shift_scalar),
            I::BitwiseRightShift(op) => self.of_two(op, Dispatch::bitwise_right_shift),
            I::BitwiseRightShiftScalar(op) => self.with_scalar(op, Dispatch::bitwise_right_shift_scalar),
        }
    }

    pub(super) fn bool(&mut self, op: &BoolOperationIr) -> Kernel {
        use BoolOperationIr as B;
        match op {
            B::IntoFloat(op) => {
                let dtype = op.out.dtype;
                self.unary(&op.input, &op.out, move |x| Dispatch::bool_into_float(x, dtype.into()))
            }
            B::IntoInt(op) => {
                let dtype = op.out.dtype;
                self.unary(&op.input, &op.out, move |x| Dispatch::bool_into_int(x, dtype.into()))
            }
            B::Not(op) => self.of_one(op, Dispatch::bool_not),
            B::And(op) => self.of_two(op, Dispatch::bool_and),
            B::Or(op) => self.of_two(op, Dispatch::bool_or),
            B::Xor(op) => self.of_two(op, Dispatch::bool_xor),
        }
    }
}
