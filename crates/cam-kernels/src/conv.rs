//! Convolution.
//!
//! $$ y_{oij} = b_o + \sum_{crs} w_{ocrs} x_{c, i t + r d - p, j t + s d - p} $$
//!
//! with stride $t$, dilation $d$ and padding $p$. Padded input is copied, a strip of rows at a time, into a buffer that stays in the
//! cache: then no edge needs care, and the pixels under a row of the kernel are contiguous. Input without padding is read in place.

use crate::depthwise::Depthwise;
use crate::normed::Normed;
use crate::packing::{PackedMatrix, lanes};
use crate::partition::{partition, split_channels};
use crate::tile::{Activation, Run, Tiles};
use crate::winograd::Winograd;
use crate::{ImageView, Window};
use pulp::Arch;
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;

/// A convolution or a linear layer with packed weights.
#[derive(Debug)]
pub struct Conv {
    algorithm: Algorithm,
    from: usize,
    to: usize,
    kernel: [usize; 2],
    window: Window,
}

#[derive(Debug)]
enum Algorithm {
    /// A matrix product for each group of channels.
    Gemm(Vec<PackedMatrix>),
    /// Each channel is convolved by itself.
    Depthwise(Depthwise),
    /// Winograd's minimal filtering, with fewer multiplications.
    Winograd(Winograd),
}

/// What a convolution reads.
#[derive(Clone, Copy)]
enum Input<'a> {
    Plain(ImageView<'a>),
    Normed(&'a Normed<'a>),
}

impl Conv {
    /// Makes a convolution and packs its weights.
    ///
    /// # Shapes
    /// - weight: `[out_channels, in_channels / groups, kernel height, kernel width]`
    /// - bias: `[out_channels]`
    ///
    /// # Panics
    /// Panics if a slice does not have its shape, or the channels cannot be divided into the groups.
    pub fn new(
        weight: &[f32],
        [to, inputs, height, width]: [usize; 4],
        bias: Option<&[f32]>,
        window: Window,
        groups: usize,
    ) -> Self {
        let taps = height * width;
        assert_eq!(weight.len(), to * inputs * taps, "length of the weight");
        assert!(groups > 0 && to.is_multiple_of(groups), "{to} channels in {groups} groups");
        assert!(bias.is_none_or(|bias| bias.len() == to), "length of the bias");
        let from = inputs * groups;
        let algorithm = if inputs == 1 && to == groups && groups > 1 {
            Algorithm::Depthwise(Depthwise::new(weight, [height, width], bias, to))
        } else {
            // Several small groups are computed together, with zeros between them, so that they fill a vector.
            let outputs = to / groups;
            let fits = |together: &usize| groups.is_multiple_of(*together) && outputs * together <= lanes();
            let together = (1..=groups).rev().find(fits).unwrap_or(1);
            let (all_inputs, all_outputs) = (inputs * together, outputs * together);
            let panels = (0..groups / together).map(|number| {
                let first = number * all_outputs;
                let bias = bias.map(|bias| &bias[first..][..all_outputs]);
                PackedMatrix::new(taps * all_inputs, all_outputs, bias, |k| {
                    let (tap, input) = (k / all_inputs, k % all_inputs);
                    let (group, at) = (input / inputs, input % inputs * taps + tap);
                    move |output| match together == 1 || group == output / outputs {
                        true => weight[(first + output) * inputs * taps + at],
                        false => 0.0,
                    }
                })
            });
            Algorithm::Gemm(panels.collect())
        };
        Self { algorithm, from, to, kernel: [height, width], window }
    }

    /// Reports whether Winograd's minimal filtering can compute a convolution of this image and is faster than the plain sum.
    ///
    /// # Shapes
    /// - weight: `[out_channels, in_channels / groups, kernel height, kernel width]`
    pub fn prefers_winograd(weight: [usize; 4], window: Window, groups: usize, x: &ImageView<'_>) -> bool {
        groups == 1 && Winograd::is_preferred(weight, window, x)
    }

    /// Makes a 3x3 convolution by Winograd's minimal filtering and packs its weights. It takes images in channels-last order.
    ///
    /// # Shapes
    /// - weight: `[out_channels, in_channels, 3, 3]`
    /// - bias: `[out_channels]`
    ///
    /// # Panics
    /// Panics if a slice does not have its shape, the channels do not fill whole vectors of this machine, or the window has a stride or
    /// a dilation.
    pub fn winograd(weight: &[f32], [to, from]: [usize; 2], bias: Option<&[f32]>, window: Window) -> Self {
        assert_eq!(weight.len(), to * from * 9, "length of the weight");
        assert!(bias.is_none_or(|bias| bias.len() == to), "length of the bias");
        assert!(
            [to, from].iter().all(|channels| channels.is_multiple_of(lanes())),
            "{from} input channels, {to} output channels"
        );
        assert_eq!(Window { padding: [0, 0], ..window }, Window::default(), "a window");
        Self {
            algorithm: Algorithm::Winograd(Winograd::new(weight, [to, from], bias)),
            from,
            to,
            kernel: [3, 3],
            window,
        }
    }

    /// Makes a linear layer and packs its weights. It is applied to each pixel of an image.
    ///
    /// # Shapes
    /// - weight: `[in_features, out_features]`
    /// - bias: `[out_features]`
    ///
    /// # Panics
    /// Panics if a slice does not have its shape.
    pub fn linear(weight: &[f32], [from, to]: [usize; 2], bias: Option<&[f32]>) -> Self {
        assert_eq!(weight.len(), from * to, "length of the weight");
        assert!(bias.is_none_or(|bias| bias.len() == to), "length of the bias");
        let panels = PackedMatrix::from_rows(from, to, bias, |k| &weight[k * to..][..to]);
        let algorithm = Algorithm::Gemm(vec![panels]);
        Self { algorithm, from, to, kernel: [1, 1], window: Window::default() }
    }

    /// Makes a linear layer like [`linear`](Self::linear) from weights in output-major order. The same memory, taken as `[in_features,
    /// out_features]` of another layer, gives the backward pass of that layer: from the gradient of its output to that of its input.
    ///
    /// # Shapes
    /// - weight: `[out_features, in_features]`
    /// - bias: `[out_features]`
    ///
    /// # Panics
    /// Panics if a slice does not have its shape.
    pub fn linear_output_major(weight: &[f32], [to, from]: [usize; 2], bias: Option<&[f32]>) -> Self {
        assert_eq!(weight.len(), to * from, "length of the weight");
        let panels =
            PackedMatrix::from_columns(from, to, bias, 1.0, |output| &weight[output * from..][..from]);
        let algorithm = Algorithm::Gemm(vec![panels]);
        Self { algorithm, from, to, kernel: [1, 1], window: Window::default() }
    }

    /// Returns the shape of the output for an image, `[batch, height, width, channels]`.
    pub fn output_shape(&self, x: &ImageView<'_>) -> [usize; 4] {
        let [height, width] = self.window.output_size([x.height, x.width], self.kernel);
        [x.batch, height, width, self.to]
    }

    /// Returns the convolution of images, plus a residual, through an activation. The result is written into `out`, whose memory is
    /// reused and whose contents are ignored.
    ///
    /// # Shapes
    /// - residual, output: `[batch, height, width, channels]`, see [`output_shape`](Self::output_shape)
    ///
    /// # Panics
    /// Panics if the image has another number of channels, the residual has another shape, or an image for
    /// [`winograd`](Self::winograd) is not in channels-last order.
    pub fn forward(
        &self,
        x: ImageView<'_>,
        residual: Option<&[f32]>,
        activation: Activation,
        mut out: Vec<f32>,
    ) -> Vec<f32> {
        assert_eq!(x.channels, self.from, "channels of the image");
        let [batch, height, width, to] = self.output_shape(&x);
        let floats = batch * height * width * to;
        assert!(residual.is_none_or(|residual| residual.len() == floats), "length of the residual");
        out.resize(floats, 0.0);
        if floats > 0 {
            match &self.algorithm {
                Algorithm::Depthwise(depthwise) => {
                    depthwise.forward(x, self.window, [height, width], residual, activation, &mut out);
                }
                Algorithm::Winograd(winograd) => {
                    assert!(x.channels_last, "channels last");
                    winograd.forward(x, self.window.padding, [height, width], residual, activation, &mut out);
                }
                Algorithm::Gemm(panels) => {
                    self.gemm(panels, Input::Plain(x), [height, width], residual, activation, &mut out);
                }
            }
        }
        out
    }

    /// Returns the convolution of normalized images like [`forward`](Self::forward), for a kernel of one pixel without groups, stride and
    /// padding.
    ///
    /// # Panics
    /// Panics if the convolution is another one, the images have another number of channels, or the residual has another shape.
    pub fn forward_normed(
        &self,
        x: &Normed<'_>,
        residual: Option<&[f32]>,
        activation: Activation,
        mut out: Vec<f32>,
    ) -> Vec<f32> {
        let Algorithm::Gemm(panels) = &self.algorithm else { panic!("a convolution of single pixels") };
        assert!(self.is_pointwise() && panels.len() == 1, "a convolution of single pixels");
        let [batch, height, width, channels] = x.shape();
        assert_eq!(channels, self.from, "channels of the images");
        let floats = batch * height * width * self.to;
        assert!(residual.is_none_or(|residual| residual.len() == floats), "length of the residual");
        out.resize(floats, 0.0);
        if floats > 0 {
            self.gemm(panels, Input::Normed(x), [height, width], residual, activation, &mut out);
        }
        out
    }

    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.window == Window::default()
    }

    fn gemm(
        &self,
        panels: &[PackedMatrix],
        x: Input<'_>,
        size @ [height, width]: [usize; 2],
        residual: Option<&[f32]>,
        activation: Activation,
        out: &mut [f32],
    ) {
        let batch = out.len() / (height * width * self.to);
        let is_in_place = |x: ImageView<'_>| x.channels_last && self.window.padding == [0, 0];
        // In a pointwise convolution each pixel is a row.
        let (is_pointwise, line) = match x {
            Input::Normed(_) => (true, self.from),
            Input::Plain(x) if is_in_place(x) => (self.is_pointwise(), self.from * x.width),
            Input::Plain(x) => (false, self.from * (x.width + 2 * self.window.padding[1])),
        };
        let (rows, row) = if is_pointwise { (batch * height * width, 1) } else { (batch * height, width) };
        let runs: Vec<Vec<Run>> =
            (0..panels.len()).map(|group| self.runs(group, panels.len(), line)).collect();
        let panels_of_group =
            |(group, panels): (usize, &PackedMatrix)| (0..panels.count()).map(move |number| (group, number));
        let all: Vec<(usize, usize)> = panels.iter().enumerate().flat_map(panels_of_group).collect();
        let (strip, parts) = partition(rows, row, all.len());
        let strip_floats = strip * row * self.to;

        out.par_chunks_mut(strip_floats).enumerate().for_each(|(number, out)| {
            let residual = residual.map(|residual| &residual[number * strip_floats..][..out.len()]);
            let rows = number * strip..number * strip + out.len() / (row * self.to);
            let mut buffer = BUFFER.take();
            let pixels = |pixels: Range<usize>| pixels.map(|pixel| pixel * self.from).collect();
            let (source, bases) = match x {
                Input::Normed(normed) => {
                    let floats = rows.len() * self.from;
                    buffer.resize(buffer.len().max(floats), 0.0);
                    normed.copy(rows.clone(), &mut buffer[..floats]);
                    (buffer.as_slice(), pixels(0..rows.len()))
                }
                Input::Plain(x) if is_pointwise => (x.floats, pixels(rows)),
                Input::Plain(x) if is_in_place(x) => (x.floats, self.bases(x, rows, size)),
                Input::Plain(x) => {
                    let bases = self.copy_padded(x, rows, size, &mut buffer);
                    (buffer.as_slice(), bases)
                }
            };
            let compute = |panels_of: &[(usize, usize)], first: usize, out: &mut [&mut [f32]]| {
                let panels = panels_of.iter().map(|&(group, number)| {
                    let mut panel = panels[group].get(number);
                    panel.first += group * (self.to / panels.len());
                    (panel, runs[group].as_slice())
                });
                Arch::new().dispatch(Tiles {
                    source,
                    bases: &bases,
                    panels: panels.collect(),
                    residual,
                    channels: self.to,
                    first,
                    activation,
                    out,
                });
            };
            let mut pixels: Vec<&mut [f32]> = out.chunks_mut(self.to).collect();
            if parts == 1 {
                compute(&all, 0, &mut pixels);
            } else {
                // Each part writes its own channels of every pixel.
                let mut first = 0;
                let mut part = |panels_of| {
                    let outputs =
                        |&(group, number): &(usize, usize)| PackedMatrix::get(&panels[group], number).outputs;
                    let outputs = <[(usize, usize)]>::iter(panels_of).map(outputs).sum();
                    let mine = split_channels(&mut pixels, outputs);
                    first += outputs;
                    (panels_of, first - outputs, mine)
                };
                let tasks: Vec<_> = all.chunks(all.len().div_ceil(parts)).map(&mut part).collect();
                tasks
                    .into_par_iter()
                    .for_each(|(panels_of, first, mut mine)| compute(panels_of, first, &mut mine));
            }
            BUFFER.set(buffer);
        });
    }

    /// Returns the runs of input that an output of a group reads, relative to its first pixel. `line` is the number of floats in a row
    /// of the input.
    fn runs(&self, group: usize, groups: usize, line: usize) -> Vec<Run> {
        let [height, width] = self.kernel;
        let [down, across] = self.window.dilation;
        let length = self.from / groups;
        if groups == 1 && across == 1 {
            return (0..height).map(|y| Run { offset: y * down * line, length: width * length }).collect();
        }
        let offset = |y, x| y * down * line + x * across * self.from + group * length;
        (0..height).flat_map(|y| (0..width).map(move |x| Run { offset: offset(y, x), length })).collect()
    }

    /// Returns the offset of the first input pixel of each output of some rows, for an image that needs no padding.
    fn bases(&self, x: ImageView<'_>, rows: Range<usize>, [height, width]: [usize; 2]) -> Vec<usize> {
        let [down, across] = self.window.stride;
        let top = |row: usize| row / height * x.height + row % height * down;
        rows.flat_map(|row| (0..width).map(move |column| (top(row) * x.width + column * across) * self.from))
            .collect()
    }

    /// Copies the padded input of some rows of outputs. Returns the offset of the first input pixel of each output.
    fn copy_padded(
        &self,
        x: ImageView<'_>,
        rows: Range<usize>,
        [height, width]: [usize; 2],
        buffer: &mut Vec<f32>,
    ) -> Vec<usize> {
        let ([down, across], [above, left]) = (self.window.stride, self.window.padding);
        let reach = self.window.dilation[0] * (self.kernel[0] - 1) + 1;
        let line = (x.width + 2 * left) * self.from;
        let mut bases = Vec::with_capacity(rows.len() * width);
        let mut copied = 0;
        let mut row = rows.start;
        // The rows of an image are copied together.
        while row < rows.end {
            let (image, first) = (row / height, row % height);
            let count = (height - first).min(rows.end - row);
            for y in 0..count {
                let top = (copied + y * down) * line;
                bases.extend((0..width).map(|column| top + column * across * self.from));
            }
            let needed = (count - 1) * down + reach;
            buffer.resize(buffer.len().max((copied + needed) * line), 0.0);
            let lines = buffer[copied * line..][..needed * line].chunks_exact_mut(line);
            for (y, line) in (first * down..).zip(lines) {
                self.copy_padded_line(x, image, y.checked_sub(above).filter(|y| *y < x.height), line);
            }
            copied += needed;
            row += count;
        }
        bases
    }

    /// Copies a row of an image with its padding; `None` gives a row of padding.
    fn copy_padded_line(&self, x: ImageView<'_>, image: usize, y: Option<usize>, line: &mut [f32]) {
        let Some(y) = y else { return line.fill(0.0) };
        let edge = self.window.padding[1] * self.from;
        let end = line.len() - edge;
        line[..edge].fill(0.0);
        line[end..].fill(0.0);
        let line = &mut line[edge..end];
        if x.channels_last {
            line.copy_from_slice(&x.floats[(image * x.height + y) * line.len()..][..line.len()]);
        } else {
            for channel in 0..self.from {
                let from = &x.floats[((image * self.from + channel) * x.height + y) * x.width..][..x.width];
                for (pixel, &value) in line.chunks_exact_mut(self.from).zip(from) {
                    pixel[channel] = value;
                }
            }
        }
    }
}

thread_local! {
    /// Padded input. A thread that waits for the parts of a strip may be given another strip meanwhile, so a task takes the buffer and
    /// leaves an empty one.
    static BUFFER: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}
