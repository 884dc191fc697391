//! Convolutions, pooling and resizing.

mod resize;

use super::Operator::{self, Many, One};
use super::{Call, lengths};
use crate::array::Array;
use crate::error::Reason;
use burn::backend::ops::{
    ConvOptions, ConvTransposeOptions, FloatTensorOps, GridSampleOptions, GridSamplePaddingMode,
    InterpolateMode, ModuleOps, PadMode,
};
use burn::backend::{Dispatch, DispatchTensor};

pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("AveragePool", One(average_pool)),
    ("Conv", One(conv)),
    ("ConvTranspose", One(conv_transpose)),
    ("GlobalAveragePool", One(global_average_pool)),
    ("GlobalMaxPool", One(global_max_pool)),
    ("GridSample", One(grid_sample)),
    ("MaxPool", Many(|call| Ok(vec![max_pool(call)?]))),
    ("Resize", One(resize::resize)),
    ("Upsample", One(resize::resize)),
];

/// The largest stride, dilation, padding and window.
const LONGEST: usize = 1 << 20;

/// Returns lengths of windows.
fn sides(list: &[i64]) -> Result<Vec<usize>, Reason> {
    let sides = lengths(list)?;
    match sides.iter().all(|side| *side <= LONGEST) {
        true => Ok(sides),
        false => Err(format!("its window of {sides:?} is too large")),
    }
}

/// The window of a convolution or pooling, along each spatial axis.
struct Window {
    size: Vec<usize>,
    stride: Vec<usize>,
    dilation: Vec<usize>,
    padding: Vec<(usize, usize)>,
}

impl Window {
    /// - size: of the window
    /// - space: the lengths of the spatial axes of the input
    fn new(call: &Call<'_>, size: &[usize], space: &[usize]) -> Result<Self, Reason> {
        let count = space.len();
        let list = |name: &str| match call.attribute_ints(name).filter(|list| !list.is_empty()) {
            Some(list) => sides(list),
            None => Ok(vec![1; count]),
        };
        let (stride, dilation) = (list("strides")?, list("dilations")?);
        let lists = [size.len(), stride.len(), dilation.len()];
        if lists != [count; 3] || stride.contains(&0) || dilation.contains(&0) || size.contains(&0) {
            return Err(format!("its window does not fit {count} spatial axes"));
        }
        let extents: Vec<usize> = (0..count).map(|axis| dilation[axis] * (size[axis] - 1) + 1).collect();
        let padding = match call.attribute_text("auto_pad", "NOTSET") {
            "NOTSET" | "" => match call.attribute_ints("pads").filter(|pads| !pads.is_empty()) {
                Some(pads) => {
                    let pads = sides(pads)?;
                    if pads.len() != 2 * count {
                        return Err(format!("{} pads do not fit {count} spatial axes", pads.len()));
                    }
                    (0..count).map(|axis| (pads[axis], pads[axis + count])).collect()
                }
                None => vec![(0, 0); count],
            },
            "VALID" => vec![(0, 0); count],
            mode => (0..count)
                .map(|axis| {
                    let steps = space[axis].div_ceil(stride[axis]);
                    let total =
                        (steps.saturating_sub(1) * stride[axis] + extents[axis]).saturating_sub(space[axis]);
                    let (less, more) = (total / 2, total - total / 2);
                    if mode == "SAME_LOWER" { (more, less) } else { (less, more) }
                })
                .collect(),
        };
        let window = Self { size: size.to_vec(), stride, dilation, padding };
        let fits = |axis: usize| {
            let (before, behind) = window.padding[axis];
            space[axis] + before + behind >= extents[axis]
        };
        if !(0..count).all(fits) {
            return Err(format!("its window of {size:?} is larger than the input of {space:?}"));
        }
        call.input(0)?.check_size(&[&call.shape(0)?[..2], &window.padded_lengths(space)].concat())?;
        Ok(window)
    }

    /// Returns the lengths of the spatial axes with the padding.
    fn padded_lengths(&self, space: &[usize]) -> Vec<usize> {
        space.iter().zip(&self.padding).map(|(length, (before, behind))| length + before + behind).collect()
    }

    fn is_symmetric(&self) -> bool {
        self.padding.iter().all(|(before, behind)| before == behind)
    }

    /// Pads an image with a value where the padding differs between sides, which pooling cannot do.
    fn padded(&mut self, x: Array, value: f32) -> Array {
        let sides = [vec![(0, 0); x.rank() - self.padding.len()], self.padding.clone()].concat();
        self.padding.fill((0, 0));
        x.map(|x| Dispatch::float_pad(x, &sides, PadMode::Constant(value)))
    }
}

/// Returns a list as an array of the number of spatial axes.
fn axes<T: Copy, const N: usize>(list: &[T]) -> [T; N] {
    list.try_into().expect("the number of axes was checked")
}

/// Returns the spatial axes of an input `[batch, channels, space ...]`.
fn space(call: &Call<'_>) -> Result<Vec<usize>, Reason> {
    let shape = call.shape(0)?;
    match shape.get(2..) {
        Some(space) if !space.is_empty() => Ok(space.to_vec()),
        _ => Err(format!("the shape {shape:?} has no spatial axes")),
    }
}

fn conv(call: &Call<'_>) -> Result<Array, Reason> {
    convolve(call, call.float(0)?, call.float(1)?, call.optional(2))
}

/// Computes a convolution with the window of a node.
pub(super) fn convolve(
    call: &Call<'_>,
    x: Array,
    weight: Array,
    bias: Option<Array>,
) -> Result<Array, Reason> {
    let (space, of_weight) = (space(call)?, weight.shape());
    let size = of_weight.get(2..).ok_or("its weight has no spatial axes")?;
    let window = Window::new(call, size, &space)?;
    let groups = usize::try_from(call.attribute_int("group", 1)).unwrap_or(0);
    if groups == 0 || x.shape()[1] != of_weight[1] * groups || of_weight[0] % groups != 0 {
        return Err(format!(
            "a weight of the shape {of_weight:?} in {groups} groups does not fit {} channels",
            x.shape()[1]
        ));
    }
    x.check_size(&[&[x.shape()[0], of_weight[0]], &window.padded_lengths(&space)[..]].concat())?;
    let bias = bias.map(Array::tensor);
    macro_rules! conv {
        ($conv:ident) => {{
            let options = ConvOptions {
                stride: axes(&window.stride),
                padding: axes(&window.padding),
                dilation: axes(&window.dilation),
                groups,
            };
            x.combine(weight, |x, weight| Dispatch::$conv(x, weight, bias, options))
        }};
    }
    match space.len() {
        1 => conv!(conv1d),
        2 => conv!(conv2d),
        3 => conv!(conv3d),
        count => Err(format!("convolutions of {count} spatial axes are not supported")),
    }
}

fn conv_transpose(call: &Call<'_>) -> Result<Array, Reason> {
    let (x, weight) = (call.float(0)?, call.float(1)?);
    let (space, of_weight) = (space(call)?, weight.shape());
    let count = space.len();
    let size = of_weight.get(2..).ok_or("its weight has no spatial axes")?;
    let list = |name: &str, default: usize| match call.attribute_ints(name).filter(|list| !list.is_empty()) {
        Some(list) => sides(list),
        None => Ok(vec![default; count]),
    };
    let (stride, dilation, extra) = (list("strides", 1)?, list("dilations", 1)?, list("output_padding", 0)?);
    if [size.len(), stride.len(), dilation.len(), extra.len()] != [count; 4]
        || stride.contains(&0)
        || dilation.contains(&0)
        || size.contains(&0)
    {
        return Err(format!("its window does not fit {count} spatial axes"));
    }
    let groups = usize::try_from(call.attribute_int("group", 1)).unwrap_or(0);
    if groups == 0 || x.shape()[1] != of_weight[0] {
        return Err(format!("a weight of the shape {of_weight:?} does not fit {} channels", x.shape()[1]));
    }
    let mut extra = extra;
    let full =
        |axis: usize| stride[axis] * space[axis].saturating_sub(1) + dilation[axis] * (size[axis] - 1) + 1;
    let stated =
        call.attribute_ints("output_shape").map(sides).transpose()?.filter(|shape| shape.len() >= count);
    let mode = call.attribute_text("auto_pad", "NOTSET");
    let padding: Vec<(usize, usize)> = if stated.is_some() || mode.starts_with("SAME") {
        let wanted = |axis: usize| match &stated {
            Some(shape) => shape[shape.len() - count + axis],
            None => space[axis] * stride[axis],
        };
        (0..count)
            .map(|axis| {
                let (own, wanted) = (full(axis) + extra[axis], wanted(axis));
                extra[axis] += wanted.saturating_sub(own);
                let total = own.saturating_sub(wanted);
                let (less, more) = (total / 2, total - total / 2);
                if mode == "SAME_UPPER" { (less, more) } else { (more, less) }
            })
            .collect()
    } else {
        let pads = list("pads", 0)?;
        match pads.len() {
            length if length == 2 * count => {
                (0..count).map(|axis| (pads[axis], pads[axis + count])).collect()
            }
            _ => vec![(0, 0); count],
        }
    };
    let is_symmetric = padding.iter().all(|(before, behind)| before == behind);
    let inside: Vec<usize> =
        padding.iter().map(|(before, _)| if is_symmetric { *before } else { 0 }).collect();
    let whole: Vec<usize> = (0..count).map(|axis| full(axis) + extra[axis]).collect();
    x.check_size(&[&[x.shape()[0], of_weight.get(1).copied().unwrap_or(0) * groups], &whole[..]].concat())?;
    let bias = call.optional(2).map(Array::tensor);
    macro_rules! conv {
        ($conv:ident) => {{
            let options = ConvTransposeOptions {
                stride: axes(&stride),
                padding: axes(&inside),
                padding_out: axes(&extra),
                dilation: axes(&dilation),
                groups,
            };
            x.combine(weight, |x, weight| Dispatch::$conv(x, weight, bias, options))?
        }};
    }
    let mut y = match count {
        1 => conv!(conv_transpose1d),
        2 => conv!(conv_transpose2d),
        3 => conv!(conv_transpose3d),
        count => return Err(format!("convolutions of {count} spatial axes are not supported")),
    };
    if !is_symmetric {
        for (axis, (before, behind)) in padding.into_iter().enumerate() {
            let length = y.shape()[axis + 2];
            if before + behind >= length {
                return Err("its padding removes everything".into());
            }
            y = y.narrow(axis + 2, before..length - behind);
        }
    }
    Ok(y)
}

/// Returns the window of a pooling.
fn pooling(call: &Call<'_>) -> Result<Window, Reason> {
    let size = sides(call.attribute_ints("kernel_shape").ok_or("its window is missing")?)?;
    Window::new(call, &size, &space(call)?)
}

fn max_pool(call: &Call<'_>) -> Result<Array, Reason> {
    if call.node.outputs.get(1).is_some_and(|name| !name.is_empty()) {
        return Err("the indices of maxima are not supported".into());
    }
    let mut window = pooling(call)?;
    let ceil = call.attribute_int("ceil_mode", 0) == 1;
    let x = call.float(0)?;
    let x = if window.is_symmetric() { x } else { window.padded(x, f32::NEG_INFINITY) };
    let pads: Vec<usize> = window.padding.iter().map(|(before, _)| *before).collect();
    let Window { size, stride, dilation, .. } = window;
    let shape = x.shape();
    match size.len() {
        1 => Ok(x.map(|x| Dispatch::max_pool1d(x, size[0], stride[0], pads[0], dilation[0], ceil))),
        2 => Ok(x.map(|x| {
            Dispatch::max_pool2d(x, axes(&size), axes(&stride), axes(&pads), axes(&dilation), ceil)
        })),
        // A maximum over a volume is one over slices, then along the axis of slices.
        3 => {
            let [n, c, d, h, w] = axes(&shape);
            let x = x.reshape(&[n, c * d, h, w])?;
            let x = x.map(|x| {
                let [size, stride, pads, dilation] =
                    [&size, &stride, &pads, &dilation].map(|list| axes(&list[1..]));
                Dispatch::max_pool2d(x, size, stride, pads, dilation, ceil)
            });
            let [_, _, h, w] = axes(&x.shape());
            let x = x.reshape(&[n, c, d, h * w])?.map(|x| {
                let [size, stride, pads, dilation] = [(&size, 1), (&stride, 1), (&pads, 0), (&dilation, 1)]
                    .map(|(list, none)| [list[0], none]);
                Dispatch::max_pool2d(x, size, stride, pads, dilation, ceil)
            });
            let d = x.shape()[2];
            x.reshape(&[n, c, d, h, w])
        }
        count => Err(format!("pooling of {count} spatial axes is not supported")),
    }
}

fn average_pool(call: &Call<'_>) -> Result<Array, Reason> {
    let mut window = pooling(call)?;
    let ceil = call.attribute_int("ceil_mode", 0) == 1;
    let counts_padding = call.attribute_int("count_include_pad", 0) == 1;
    if window.dilation.iter().any(|dilation| *dilation != 1) {
        return Err("dilated averages are not supported".into());
    }
    let x = call.float(0)?;
    if window.is_symmetric() {
        return average(x, &window, counts_padding, ceil);
    }
    if counts_padding {
        let x = window.padded(x, 0.0);
        return average(x, &window, true, ceil);
    }
    // The average over what is not padding: that of the padded image over that of a mask.
    let mut shape = x.shape();
    shape[..2].fill(1);
    let mask = Array::floats(vec![1.0; shape.iter().product()], &shape);
    let mask = mask.beside(&x, call.device);
    let sides = window.padding.clone();
    let mask = window.padded(mask, 0.0);
    window.padding = sides;
    let x = window.padded(x, 0.0);
    average(x, &window, true, ceil)?.zip(average(mask, &window, true, ceil)?, Dispatch::float_div)
}

fn average(x: Array, window: &Window, counts_padding: bool, ceil: bool) -> Result<Array, Reason> {
    let pads: Vec<usize> = window.padding.iter().map(|(before, _)| *before).collect();
    let Window { size, stride, .. } = window;
    match size.len() {
        1 => Ok(x.map(|x| Dispatch::avg_pool1d(x, size[0], stride[0], pads[0], counts_padding, ceil))),
        2 => {
            Ok(x.map(|x| {
                Dispatch::avg_pool2d(x, axes(size), axes(stride), axes(&pads), counts_padding, ceil)
            }))
        }
        count => Err(format!("averages over {count} spatial axes are not supported")),
    }
}

fn global_average_pool(call: &Call<'_>) -> Result<Array, Reason> {
    let x = call.float(0)?;
    match space(call)?.len() {
        1 => Ok(x.map(|x| Dispatch::adaptive_avg_pool1d(x, 1))),
        2 => Ok(x.map(|x| Dispatch::adaptive_avg_pool2d(x, [1, 1]))),
        3 => Ok(x.map(|x| Dispatch::adaptive_avg_pool3d(x, [1, 1, 1]))),
        count => Err(format!("averages over {count} spatial axes are not supported")),
    }
}

fn global_max_pool(call: &Call<'_>) -> Result<Array, Reason> {
    let rank = space(call)?.len() + 2;
    let most = |x: DispatchTensor| (2..rank).fold(x, Dispatch::float_max_dim);
    Ok(call.float(0)?.map(most))
}

fn grid_sample(call: &Call<'_>) -> Result<Array, Reason> {
    if space(call)?.len() != 2 {
        return Err("sampling of other arrays than images is not supported".into());
    }
    let mode = match call.attribute_text("mode", "linear") {
        "linear" | "bilinear" => InterpolateMode::Bilinear,
        "nearest" => InterpolateMode::Nearest,
        other => return Err(format!("the mode `{}` is not supported", other.escape_debug())),
    };
    let padding = match call.attribute_text("padding_mode", "zeros") {
        "border" => GridSamplePaddingMode::Border,
        "reflection" => GridSamplePaddingMode::Reflection,
        _ => GridSamplePaddingMode::Zeros,
    };
    let options = GridSampleOptions::new(mode)
        .with_padding_mode(padding)
        .with_align_corners(call.attribute_int("align_corners", 0) == 1);
    call.float(0)?.combine(call.float(1)?, |x, grid| Dispatch::float_grid_sample_2d(x, grid, options))
}
