//! Resizing.
//!
//! Along each axis, an output is a weighted sum of inputs. Where Burn's interpolation has the same weights, it is used; otherwise the
//! weights are a matrix.

use super::Call;
use crate::array::Array;
use crate::error::Reason;
use crate::operators::{axis_of, lengths, matrix};
use burn::backend::Dispatch;
use burn::backend::ops::{InterpolateMode, InterpolateOptions, ModuleOps};

/// How an axis is resized.
struct Resized {
    axis: usize,
    from: usize,
    to: usize,
    /// The factor by which coordinates are divided; with rounded lengths it differs from `to / from`.
    scale: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

pub(super) fn resize(call: &Call<'_>) -> Result<Array, Reason> {
    let mut x = call.float(0)?;
    let resized = resized(call, &x.shape())?;
    let mode = match call.attribute_text("mode", "nearest") {
        "nearest" => Mode::Nearest,
        "linear" | "bilinear" => Mode::Linear,
        "cubic" => Mode::Cubic,
        other => return Err(format!("the mode `{}` is not supported", other.escape_debug())),
    };
    let mut shape = x.shape();
    resized.iter().for_each(|axis| shape[axis.axis] = axis.to);
    x.check_size(&shape)?;
    if resized.is_empty() {
        return Ok(x);
    }
    let weights: Vec<Vec<Vec<(usize, f64)>>> =
        resized.iter().map(|axis| weights(call, mode, axis)).collect::<Result<_, _>>()?;
    if let Some((own, align_corners)) = burn_mode(mode, &resized, &weights, x.rank()) {
        let options = InterpolateOptions::new(own).with_align_corners(align_corners);
        return Ok(x.map(|x| Dispatch::interpolate(x, [shape[2], shape[3]], options)));
    }
    for (axis, weights) in resized.iter().zip(weights) {
        x = with_weights(call, x, axis, &weights)?;
    }
    Ok(x)
}

/// Returns the axes whose length changes, with their scales.
fn resized(call: &Call<'_>, shape: &[usize]) -> Result<Vec<Resized>, Reason> {
    let is_old = call.opset < 11;
    let (scales, sizes) = match call.node.operator.as_str() {
        "Upsample" if call.opset < 9 => (call.attribute("scales").map(|scales| scales.floats.clone()), None),
        _ if is_old => (call.floats(1)?, None),
        _ => (call.floats(2)?, call.ints(3)?),
    };
    let axes = match call.attribute_ints("axes") {
        Some(axes) => axes.iter().map(|axis| axis_of(*axis, shape.len())).collect::<Result<_, _>>()?,
        None => (0..shape.len()).collect::<Vec<_>>(),
    };
    let scales = scales.filter(|scales| !scales.is_empty());
    let mut all = Vec::new();
    match (scales, sizes.filter(|sizes| !sizes.is_empty())) {
        (Some(scales), _) if scales.len() == axes.len() => {
            for (axis, scale) in axes.into_iter().zip(scales) {
                let to = (shape[axis] as f64 * f64::from(scale)).floor();
                if !(1.0..1e6).contains(&to) {
                    return Err(format!("a scale of {scale} is not valid"));
                }
                all.push(Resized { axis, from: shape[axis], to: to as usize, scale: f64::from(scale) });
            }
        }
        (None, Some(sizes)) if sizes.len() == axes.len() => {
            let sizes = lengths(&sizes)?;
            let ratio = |place: usize| sizes[place] as f64 / shape[axes[place]] as f64;
            let ratios = (0..axes.len()).map(ratio);
            let common = match call.attribute_text("keep_aspect_ratio_policy", "stretch") {
                "not_larger" => Some(ratios.fold(f64::INFINITY, f64::min)),
                "not_smaller" => Some(ratios.fold(0.0, f64::max)),
                _ => None,
            };
            for (place, axis) in axes.iter().enumerate() {
                let (axis, from) = (*axis, shape[*axis]);
                let to = common.map_or(sizes[place], |common| (common * from as f64).round() as usize);
                if to == 0 {
                    return Err("it resizes to nothing".into());
                }
                all.push(Resized { axis, from, to, scale: common.unwrap_or(to as f64 / from as f64) });
            }
        }
        _ => return Err("its scales or sizes are missing or do not fit its input".into()),
    }
    all.retain(|axis| axis.from != axis.to || (axis.scale - 1.0).abs() > 1e-9);
    Ok(all)
}

/// Returns the coordinate of the input at each output.
fn coordinates(call: &Call<'_>, axis: &Resized) -> Result<Vec<f64>, Reason> {
    let default = if call.opset < 11 { "asymmetric" } else { "half_pixel" };
    let name = if call.opset < 11 {
        default
    } else {
        call.attribute_text("coordinate_transformation_mode", default)
    };
    // The length of the output before it is rounded.
    let (from, to, scale) = (axis.from as f64, axis.from as f64 * axis.scale, axis.scale);
    let coordinate = |x: f64| match name {
        "half_pixel" => Some((x + 0.5) / scale - 0.5),
        "half_pixel_symmetric" => {
            let adjustment = axis.to as f64 / to;
            let center = from / 2.0;
            Some(center * (1.0 - adjustment) + (x + 0.5) / scale - 0.5)
        }
        "pytorch_half_pixel" => Some(if to > 1.0 { (x + 0.5) / scale - 0.5 } else { 0.0 }),
        "align_corners" => Some(if to > 1.0 { x * (from - 1.0) / (to - 1.0) } else { 0.0 }),
        "asymmetric" => Some(x / scale),
        "tf_half_pixel_for_nn" => Some((x + 0.5) / scale),
        _ => None,
    };
    (0..axis.to)
        .map(|x| coordinate(x as f64))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("the coordinates `{}` are not supported", name.escape_debug()))
}

/// Returns the inputs and their weights of each output along an axis.
fn weights(call: &Call<'_>, mode: Mode, axis: &Resized) -> Result<Vec<Vec<(usize, f64)>>, Reason> {
    let last = axis.from as i64 - 1;
    let inside = |index: i64| index.clamp(0, last) as usize;
    let rounding = match call.opset {
        ..11 => "floor",
        _ => call.attribute_text("nearest_mode", "round_prefer_floor"),
    };
    let antialias = call.attribute_int("antialias", 0) == 1 && axis.scale < 1.0;
    let stretch = if antialias { 1.0 / axis.scale } else { 1.0 };
    let a = f64::from(call.attribute_float("cubic_coeff_a", -0.75));
    let excludes = call.attribute_int("exclude_outside", 0) == 1;
    let at = |x: f64| match mode {
        Mode::Nearest => {
            let index = match rounding {
                "floor" => x.floor(),
                "ceil" => x.ceil(),
                "round_prefer_ceil" => (x + 0.5).floor(),
                _ => (x - 0.5).ceil(),
            };
            vec![(inside(index as i64), 1.0)]
        }
        _ => {
            let reach = if mode == Mode::Linear { 1.0 } else { 2.0 } * stretch;
            let (first, end) = ((x - reach).floor() as i64, (x + reach).ceil() as i64);
            let kernel = |distance: f64| match mode {
                Mode::Linear => (1.0 - distance).max(0.0),
                _ => cubic(distance, a),
            };
            let mut all: Vec<(usize, f64)> = Vec::new();
            for index in first..=end {
                let weight = kernel(((index as f64 - x) / stretch).abs());
                if weight == 0.0 || (excludes && !(0..=last).contains(&index)) {
                    continue;
                }
                match all.last_mut() {
                    Some((before, sum)) if *before == inside(index) => *sum += weight,
                    _ => all.push((inside(index), weight)),
                }
            }
            let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
            if (excludes || antialias) && sum != 0.0 {
                all.iter_mut().for_each(|(_, weight)| *weight /= sum);
            }
            all
        }
    };
    Ok(coordinates(call, axis)?.into_iter().map(at).collect())
}

/// Keys' cubic convolution kernel (IEEE TASSP 29, 1981).
fn cubic(x: f64, a: f64) -> f64 {
    match x {
        x if x <= 1.0 => (a + 2.0) * x.powi(3) - (a + 3.0) * x.powi(2) + 1.0,
        x if x < 2.0 => a * x.powi(3) - 5.0 * a * x.powi(2) + 8.0 * a * x - 4.0 * a,
        _ => 0.0,
    }
}

/// Returns Burn's mode with these weights for images, and whether corners are aligned.
fn burn_mode(
    mode: Mode,
    resized: &[Resized],
    weights: &[Vec<Vec<(usize, f64)>>],
    rank: usize,
) -> Option<(InterpolateMode, bool)> {
    if rank != 4 || resized.iter().any(|axis| axis.axis < 2) {
        return None;
    }
    let is_like = |own: &dyn Fn(&Resized, usize) -> f64| {
        resized.iter().zip(weights).all(|(axis, weights)| {
            weights.iter().enumerate().all(|(x, weights)| {
                let place: f64 = weights.iter().map(|(index, weight)| *index as f64 * weight).sum();
                (place - own(axis, x).clamp(0.0, axis.from as f64 - 1.0)).abs() < 1e-6
            })
        })
    };
    let ratio = |axis: &Resized| axis.from as f64 / axis.to as f64;
    match mode {
        Mode::Nearest => is_like(&|axis, x| (x as f64 * ratio(axis) + 1e-9).floor())
            .then_some((InterpolateMode::Nearest, false)),
        Mode::Linear => {
            let half = |axis: &Resized, x: usize| (x as f64 + 0.5) * ratio(axis) - 0.5;
            let corners = |axis: &Resized, x: usize| match axis.to {
                1 => 0.0,
                to => x as f64 * (axis.from as f64 - 1.0) / (to as f64 - 1.0),
            };
            // More than two inputs are an antialiased average.
            let is_plain = weights.iter().flatten().all(|weights| weights.len() <= 2);
            match is_plain {
                true if is_like(&half) => Some((InterpolateMode::Bilinear, false)),
                true if is_like(&corners) => Some((InterpolateMode::Bilinear, true)),
                _ => None,
            }
        }
        Mode::Cubic => None,
    }
}

/// Multiplies an axis by a matrix of weights.
fn with_weights(
    call: &Call<'_>,
    x: Array,
    axis: &Resized,
    weights: &[Vec<(usize, f64)>],
) -> Result<Array, Reason> {
    let mut matrix = vec![0.0; axis.from * axis.to];
    for (to, weights) in weights.iter().enumerate() {
        for (from, weight) in weights {
            matrix[from * axis.to + to] += *weight as f32;
        }
    }
    let matrix = Array::floats(matrix, &[axis.from, axis.to]);
    let matrix = matrix.beside(&x, call.device);
    let rank = x.rank();
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(axis.axis, rank - 1);
    matrix::product(x.permute(&order)?, matrix)?.permute(&order)
}
