//! Norms and softmax.

use super::Operator::{self, Many, One};
use super::{Call, axis_of};
use crate::array::Array;
use crate::error::Reason;
use burn::backend::ops::{ActivationOps, FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor};

pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("BatchNormalization", One(batch_norm)),
    ("GroupNormalization", One(group_norm)),
    ("Hardmax", One(hardmax)),
    ("InstanceNormalization", One(instance_norm)),
    ("LRN", One(local_response_norm)),
    ("LayerNormalization", Many(layer_norm)),
    ("LogSoftmax", One(|call| softmax(call, Dispatch::log_softmax))),
    ("LpNormalization", One(lp_norm)),
    ("MeanVarianceNormalization", One(mean_variance_norm)),
    ("RMSNormalization", One(rms_norm)),
    ("Softmax", One(|call| softmax(call, Dispatch::softmax))),
];

/// $\gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$ with the statistics of training, for each channel.
fn batch_norm(call: &Call<'_>) -> Result<Array, Reason> {
    if call.attribute_int("training_mode", 0) == 1 {
        return Err("training mode is not supported: export the model in inference mode".into());
    }
    if call.attribute_int("spatial", 1) == 0 {
        return Err("statistics of each position (`spatial = 0`) are not supported".into());
    }
    let x = call.float(0)?;
    let channels = *x.shape().get(1).ok_or("its input has no channels")?;
    let mut parameters = Vec::new();
    for index in 1..5 {
        let parameter = call.float(index)?;
        if parameter.shape() != [channels] {
            return Err(format!("input {index} has the shape {:?} and not [{channels}]", parameter.shape()));
        }
        parameters.push(parameter.tensor());
    }
    let Ok([gamma, beta, mean, variance]) = <[DispatchTensor; 4]>::try_from(parameters) else {
        return Err("its parameters are missing".into());
    };
    let epsilon = f64::from(call.attribute_float("epsilon", 1e-5));
    Ok(x.map(|x| Dispatch::batch_norm(x, gamma, beta, mean, variance, epsilon)))
}

/// Returns an array of ones beside another array.
fn ones(beside: &Array, count: usize, call: &Call<'_>) -> Array {
    let ones = Array::floats(vec![1.0; count], &[count]);
    if beside.is_known() { ones } else { ones.on(call.device) }
}

/// $\gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$ over the axes from one on; the mean and the reciprocal deviation, if they are
/// asked for.
fn layer_norm(call: &Call<'_>) -> Result<Vec<Array>, Reason> {
    let x = call.float(0)?;
    let shape = x.shape();
    let axis = call.axis(call.attribute_int("axis", -1))?;
    let width: usize = shape[axis..].iter().product();
    let scale = call.float(1)?;
    let bias = call.optional(2);
    let fits = |array: &Array| array.len() == width;
    if !fits(&scale) || !bias.as_ref().is_none_or(fits) {
        return Err("its scale and bias do not have the shape of what is normalized".into());
    }
    let epsilon = f64::from(call.attribute_float("epsilon", 1e-5));
    let (scale, bias) =
        (scale.reshape(&[width])?.tensor(), bias.map(|bias| bias.reshape(&[width])).transpose()?);
    let rows = [&shape[..axis], &[width]].concat();
    let bias = bias.map(Array::tensor);
    let rows = x.reshape(&rows)?;
    let mut outputs =
        vec![rows.clone().map(|x| Dispatch::layer_norm(x, scale, bias, epsilon)).reshape(&shape)?];
    if call.node.outputs.iter().skip(1).any(|name| !name.is_empty()) {
        let of_rows = [&shape[..axis], &vec![1; shape.len() - axis]].concat();
        let mean = rows.clone().map(|x| Dispatch::float_mean_dim(x, axis));
        let centered = rows.zip(mean.clone(), Dispatch::float_sub)?;
        let deviation = centered.map(|x| {
            let variance = Dispatch::float_mean_dim(Dispatch::float_mul(x.clone(), x), axis);
            Dispatch::float_recip(Dispatch::float_sqrt(Dispatch::float_add_scalar(variance, epsilon.into())))
        });
        outputs.extend([mean.reshape(&of_rows)?, deviation.reshape(&of_rows)?]);
    }
    Ok(outputs)
}

/// Normalizes groups of channels of each image, without parameters.
fn normalized_groups(call: &Call<'_>, x: Array, groups: usize) -> Result<Array, Reason> {
    let shape = x.shape();
    let [batch, channels, ..] = shape[..] else { return Err("its input has no channels".into()) };
    if groups == 0 || channels % groups != 0 {
        return Err(format!("{channels} channels cannot be split into {groups} groups"));
    }
    let width = x.len() / (batch * groups).max(1);
    let epsilon = f64::from(call.attribute_float("epsilon", 1e-5));
    let scale = ones(&x, width, call).tensor();
    x.reshape(&[batch, groups, width])?.map(|x| Dispatch::layer_norm(x, scale, None, epsilon)).reshape(&shape)
}

/// Applies a scale and a bias for each channel.
fn affine(x: Array, scale: Array, bias: Array) -> Result<Array, Reason> {
    let mut shape = vec![1; x.rank()];
    shape[1] = x.shape()[1];
    x.zip(scale.reshape(&shape)?, Dispatch::float_mul)?.zip(bias.reshape(&shape)?, Dispatch::float_add)
}

fn instance_norm(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.float(0)?;
    let channels = *x.shape().get(1).ok_or("its input has no channels")?;
    affine(normalized_groups(call, x, channels)?, call.float(1)?, call.float(2)?)
}

fn group_norm(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.float(0)?;
    let groups = usize::try_from(call.attribute_int("num_groups", 0)).unwrap_or(0);
    let channels = *x.shape().get(1).ok_or("its input has no channels")?;
    let y = normalized_groups(call, x, groups)?;
    let (scale, bias) = (call.float(1)?, call.float(2)?);
    if call.opset >= 21 {
        return affine(y, scale, bias);
    }
    // Before version 21 there is one parameter for each group.
    let of_channels = |array: Array| {
        let (rows, width) = (groups, channels / groups);
        array.reshape(&[rows, 1])?.expand(&[rows, width])?.reshape(&[channels])
    };
    affine(y, of_channels(scale)?, of_channels(bias)?)
}

/// $x / \sqrt{\mathrm{mean}(x^2) + \epsilon} \cdot \gamma$
fn rms_norm(call: &Call<'_>) -> Result<Array, Reason> {
    let (x, scale) = (call.float(0)?, call.float(1)?);
    let shape = x.shape();
    let axis = call.axis(call.attribute_int("axis", -1))?;
    let epsilon = call.attribute_float("epsilon", 1e-5);
    let mean = x.clone().map(|x| {
        let squares = Dispatch::float_mul(x.clone(), x);
        (axis..shape.len()).fold(squares, Dispatch::float_mean_dim)
    });
    let root = mean.map(|mean| Dispatch::float_sqrt(Dispatch::float_add_scalar(mean, epsilon.into())));
    x.zip(root, Dispatch::float_div)?.zip(scale, Dispatch::float_mul)
}

/// $x / \left(k + \frac{\alpha}{n} \sum x^2\right)^\beta$ over neighboring channels.
fn local_response_norm(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.float(0)?;
    let shape = x.shape();
    let channels = *shape.get(1).ok_or("its input has no channels")?;
    let size = usize::try_from(call.attribute_int("size", 1))
        .ok()
        .filter(|size| (1..=channels.max(1) * 2).contains(size));
    let size = size.ok_or("its size is not valid")?;
    let (alpha, beta, bias) = (
        call.attribute_float("alpha", 1e-4),
        call.attribute_float("beta", 0.75),
        call.attribute_float("bias", 1.0),
    );
    let before = (size - 1) / 2;
    let mut padding = vec![(0, 0); shape.len()];
    padding[1] = (before, size - 1 - before);
    let squares = x.clone().map(|x| {
        let squares = Dispatch::float_mul(x.clone(), x);
        Dispatch::float_pad(squares, &padding, burn::backend::ops::PadMode::Constant(0.0))
    });
    let sum = (1..size).try_fold(squares.clone().narrow(1, 0..channels), |sum, shift| {
        sum.zip(squares.clone().narrow(1, shift..shift + channels), Dispatch::float_add)
    })?;
    let divisor = sum.map(|sum| {
        let scaled = Dispatch::float_mul_scalar(sum, (alpha / size as f32).into());
        Dispatch::float_powf_scalar(Dispatch::float_add_scalar(scaled, bias.into()), beta.into())
    });
    x.zip(divisor, Dispatch::float_div)
}

fn lp_norm(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.float(0)?;
    let axis = call.axis(call.attribute_int("axis", -1))?;
    let norm = x.clone().map(|x| match call.attribute_int("p", 2) {
        1 => Dispatch::float_sum_dim(Dispatch::float_abs(x), axis),
        _ => Dispatch::float_sqrt(Dispatch::float_sum_dim(Dispatch::float_mul(x.clone(), x), axis)),
    });
    // Zeros stay zeros.
    let norm = norm.map(|norm| Dispatch::float_clamp_min(norm, f32::MIN_POSITIVE.into()));
    x.zip(norm, Dispatch::float_div)
}

fn mean_variance_norm(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.float(0)?;
    let axes = call.attribute_ints("axes").unwrap_or(&[0, 2, 3]);
    let axes = axes.iter().map(|axis| axis_of(*axis, x.rank())).collect::<Result<Vec<_>, _>>()?;
    let mean = |x: DispatchTensor| axes.iter().fold(x, |x, axis| Dispatch::float_mean_dim(x, *axis));
    let centered = x.clone().zip(x.map(mean), Dispatch::float_sub)?;
    let deviation = centered.clone().map(|x| Dispatch::float_sqrt(mean(Dispatch::float_mul(x.clone(), x))));
    let deviation = deviation.map(|x| Dispatch::float_add_scalar(x, 1e-9.into()));
    centered.zip(deviation, Dispatch::float_div)
}

/// Applies a function along an axis. Before version 13 all axes from this one on count as one.
fn softmax(call: &Call<'_>, f: fn(DispatchTensor, usize) -> DispatchTensor) -> Result<Array, Reason> {
    let x = call.float(0)?;
    let shape = x.shape();
    let axis = call.axis(call.attribute_int("axis", if call.opset >= 13 { -1 } else { 1 }))?;
    if call.opset >= 13 || axis + 1 == shape.len() {
        return Ok(x.map(|x| f(x, axis)));
    }
    let flat = [shape[..axis].iter().product(), shape[axis..].iter().product()];
    x.reshape(&flat)?.map(|x| f(x, 1)).reshape(&shape)
}

/// 1 at the first maximum along an axis, else 0.
fn hardmax(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.float(0)?;
    let axis = call.axis(call.attribute_int("axis", if call.opset >= 13 { -1 } else { 1 }))?;
    let shape = x.shape();
    let dtype = x.int_dtype();
    let best = x.clone().map(|x| Dispatch::float_argmax(x, axis, dtype));
    let mut places = vec![1; shape.len()];
    places[axis] = shape[axis];
    let places_of_axis = Array::ints((0..shape[axis] as i64).collect()).reshape(&places)?;
    let places_of_axis = places_of_axis.beside(&x, call.device);
    let bool_dtype = x.bool_dtype();
    let is_best = best.zip(places_of_axis, |a, b| {
        use burn::backend::ops::IntTensorOps;
        Dispatch::int_equal(a, b, bool_dtype)
    })?;
    Ok(is_best.cast(crate::array::Kind::Float))
}
