//! Convolution.
//!
//! $$ y_{oij} = b_o + \sum_{crs} w_{ocrs}\, x_{c,\; i t + r d - p,\; j t + s d - p} $$
//!
//! with stride $t$, dilation $d$ and padding $p$. Padded input is copied, a strip of rows at a time, into a buffer that stays in the
//! cache: there is no edge to mind after that, and the pixels that a row of the kernel sees lie side by side. Input without padding is
//! read where it is.

use crate::depthwise::Depthwise;
use crate::panel::{Panels, lanes};
use crate::share::{first_channels, shares};
use crate::tile::{Activation, Run, Tiles};
use crate::winograd::Winograd;
use crate::{Picture, Window};
use pulp::Arch;
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;

/// A convolution with packed weights.
#[derive(Debug)]
pub struct Conv {
    work: Work,
    from: usize,
    to: usize,
    kernel: [usize; 2],
    window: Window,
}

#[derive(Debug)]
enum Work {
    /// One matrix for each group of channels.
    Products(Vec<Panels>),
    /// Each channel by itself.
    Depthwise(Depthwise),
    /// Tiles, with fewer multiplications.
    Winograd(Winograd),
}

impl Conv {
    /// Packs the weights.
    ///
    /// # Shapes
    /// - weight: `[to, from / groups, kernel height, kernel width]`
    /// - bias: `[to]`
    ///
    /// # Panics
    /// Where the slices are not of these shapes, or the channels do not divide into the groups.
    pub fn new(
        weight: &[f32],
        [to, inputs, height, width]: [usize; 4],
        bias: Option<&[f32]>,
        window: Window,
        groups: usize,
    ) -> Self {
        let taps = height * width;
        assert_eq!(weight.len(), to * inputs * taps, "floats of a weight");
        assert!(groups > 0 && to.is_multiple_of(groups), "{to} channels in {groups} groups");
        assert!(bias.is_none_or(|bias| bias.len() == to), "floats of a bias");
        let from = inputs * groups;
        let work = if inputs == 1 && to == groups && groups > 1 {
            Work::Depthwise(Depthwise::new(weight, [height, width], bias, to))
        } else {
            // Small groups are computed some at a time, with zeros between them, so that they fill a vector.
            let outputs = to / groups;
            let fits = |together: &usize| groups.is_multiple_of(*together) && outputs * together <= lanes();
            let together = (1..=groups).rev().find(fits).unwrap_or(1);
            let (all_inputs, all_outputs) = (inputs * together, outputs * together);
            let panels = (0..groups / together).map(|number| {
                let first = number * all_outputs;
                let bias = bias.map(|bias| &bias[first..][..all_outputs]);
                Panels::new(taps * all_inputs, all_outputs, bias, |k| {
                    let (tap, input) = (k / all_inputs, k % all_inputs);
                    let (group, at) = (input / inputs, input % inputs * taps + tap);
                    move |output| match together == 1 || group == output / outputs {
                        true => weight[(first + output) * inputs * taps + at],
                        false => 0.0,
                    }
                })
            });
            Work::Products(panels.collect())
        };
        Self { work, from, to, kernel: [height, width], window }
    }

    /// Whether Winograd's minimal filtering can compute such a convolution of this picture, and is faster.
    ///
    /// # Shapes
    /// - weight: `[to, from / groups, kernel height, kernel width]`
    pub fn winograd_suits(weight: [usize; 4], window: Window, groups: usize, x: &Picture<'_>) -> bool {
        groups == 1 && Winograd::suits(weight, window, x)
    }

    /// Packs the weights for Winograd's minimal filtering: of pictures whose channels lie side by side.
    ///
    /// # Shapes
    /// - weight: `[to, from, 3, 3]`
    /// - bias: `[to]`
    ///
    /// # Panics
    /// Where the slices are not of these shapes, the channels are not whole vectors of this machine, or the window has a stride or a
    /// dilation.
    pub fn winograd(weight: &[f32], [to, from]: [usize; 2], bias: Option<&[f32]>, window: Window) -> Self {
        assert_eq!(weight.len(), to * from * 9, "floats of a weight");
        assert!(bias.is_none_or(|bias| bias.len() == to), "floats of a bias");
        assert!(
            [to, from].iter().all(|channels| channels.is_multiple_of(lanes())),
            "{from} channels to {to}"
        );
        assert_eq!(Window { padding: [0, 0], ..window }, Window::default(), "a window");
        Self {
            work: Work::Winograd(Winograd::new(weight, [to, from], bias)),
            from,
            to,
            kernel: [3, 3],
            window,
        }
    }

    /// Packs the weights of a linear layer: to it a picture is as many rows as it has pixels.
    ///
    /// # Shapes
    /// - weight: `[from, to]`
    /// - bias: `[to]`
    ///
    /// # Panics
    /// Where the slices are not of these shapes.
    pub fn linear(weight: &[f32], [from, to]: [usize; 2], bias: Option<&[f32]>) -> Self {
        assert_eq!(weight.len(), from * to, "floats of a weight");
        assert!(bias.is_none_or(|bias| bias.len() == to), "floats of a bias");
        let panels = Panels::rows(from, to, bias, |k| &weight[k * to..][..to]);
        let work = Work::Products(vec![panels]);
        Self { work, from, to, kernel: [1, 1], window: Window::default() }
    }

    /// As [`linear`](Self::linear), of weights that lie output by output. Those of a layer that lie input by input make its way back: of
    /// gradients at its output those at its input.
    ///
    /// # Shapes
    /// - weight: `[to, from]`
    /// - bias: `[to]`
    ///
    /// # Panics
    /// Where the slices are not of these shapes.
    pub fn linear_by_outputs(weight: &[f32], [to, from]: [usize; 2], bias: Option<&[f32]>) -> Self {
        assert_eq!(weight.len(), to * from, "floats of a weight");
        let panels = Panels::columns(from, to, bias, 1.0, |output| &weight[output * from..][..from]);
        let work = Work::Products(vec![panels]);
        Self { work, from, to, kernel: [1, 1], window: Window::default() }
    }

    /// The shape of what it makes of a picture, `[batch, height, width, channels]`.
    pub fn output(&self, x: &Picture<'_>) -> [usize; 4] {
        let [height, width] = self.window.output([x.height, x.width], self.kernel);
        [x.batch, height, width, self.to]
    }

    /// The convolution of a picture, plus a residual, through an activation. It is written into `out`, whatever that held: its memory
    /// is used again.
    ///
    /// # Shapes
    /// - residual, output: `[batch, height, width, channels]`, as [`output`](Self::output) says
    ///
    /// # Panics
    /// Where the picture has other channels, or the residual is of another shape, or the channels of a picture for
    /// [`winograd`](Self::winograd) do not lie side by side.
    pub fn forward(
        &self,
        x: Picture<'_>,
        residual: Option<&[f32]>,
        activation: Activation,
        mut out: Vec<f32>,
    ) -> Vec<f32> {
        assert_eq!(x.channels, self.from, "channels of a picture");
        let [batch, height, width, to] = self.output(&x);
        let floats = batch * height * width * to;
        assert!(residual.is_none_or(|residual| residual.len() == floats), "floats of a residual");
        out.resize(floats, 0.0);
        if floats > 0 {
            match &self.work {
                Work::Depthwise(depthwise) => {
                    depthwise.forward(x, self.window, [height, width], residual, activation, &mut out);
                }
                Work::Winograd(winograd) => {
                    assert!(x.channels_last, "channels lie side by side");
                    winograd.forward(x, self.window.padding, [height, width], residual, activation, &mut out);
                }
                Work::Products(panels) => {
                    self.products(panels, x, [height, width], residual, activation, &mut out);
                }
            }
        }
        out
    }

    fn products(
        &self,
        panels: &[Panels],
        x: Picture<'_>,
        size @ [height, width]: [usize; 2],
        residual: Option<&[f32]>,
        activation: Activation,
        out: &mut [f32],
    ) {
        let pointwise = x.channels_last && self.kernel == [1, 1] && self.window == Window::default();
        let in_place = x.channels_last && self.window.padding == [0, 0];
        // A pointwise convolution knows no rows: each pixel is one.
        let (rows, row) = if pointwise { (x.batch * height * width, 1) } else { (x.batch * height, width) };
        let line = self.from * if in_place { x.width } else { x.width + 2 * self.window.padding[1] };
        let runs: Vec<Vec<Run>> =
            (0..panels.len()).map(|group| self.runs(group, panels.len(), line)).collect();
        let numbers =
            |(group, panels): (usize, &Panels)| (0..panels.count()).map(move |number| (group, number));
        let all: Vec<(usize, usize)> = panels.iter().enumerate().flat_map(numbers).collect();
        let (strip, parts) = shares(rows, row, all.len());
        let strip_floats = strip * row * self.to;

        out.par_chunks_mut(strip_floats).enumerate().for_each(|(number, out)| {
            let residual = residual.map(|residual| &residual[number * strip_floats..][..out.len()]);
            let rows = number * strip..number * strip + out.len() / (row * self.to);
            let mut buffer = BUFFER.take();
            let (source, bases) = if pointwise {
                (x.floats, rows.map(|pixel| pixel * self.from).collect())
            } else if in_place {
                (x.floats, self.bases(x, rows, size))
            } else {
                let bases = self.padded(x, rows, size, &mut buffer);
                (buffer.as_slice(), bases)
            };
            let work = |panels_of: &[(usize, usize)], first: usize, out: &mut [&mut [f32]]| {
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
                work(&all, 0, &mut pixels);
            } else {
                // Each part has its own channels of every pixel.
                let mut first = 0;
                let mut part = |panels_of| {
                    let outputs =
                        |&(group, number): &(usize, usize)| Panels::get(&panels[group], number).outputs;
                    let outputs = <[(usize, usize)]>::iter(panels_of).map(outputs).sum();
                    let mine = first_channels(&mut pixels, outputs);
                    first += outputs;
                    (panels_of, first - outputs, mine)
                };
                let tasks: Vec<_> = all.chunks(all.len().div_ceil(parts)).map(&mut part).collect();
                tasks
                    .into_par_iter()
                    .for_each(|(panels_of, first, mut mine)| work(panels_of, first, &mut mine));
            }
            BUFFER.set(buffer);
        });
    }

    /// What an output of a group reads, from its first pixel on. `line` are the floats of a row of the input.
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

    /// Where the outputs of some rows start to read in a picture that needs no padding.
    fn bases(&self, x: Picture<'_>, rows: Range<usize>, [height, width]: [usize; 2]) -> Vec<usize> {
        let [down, across] = self.window.stride;
        let top = |row: usize| row / height * x.height + row % height * down;
        rows.flat_map(|row| (0..width).map(move |column| (top(row) * x.width + column * across) * self.from))
            .collect()
    }

    /// Copies what some rows of outputs read, with its padding, and says where each starts to read.
    fn padded(
        &self,
        x: Picture<'_>,
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
                self.padded_line(x, image, y.checked_sub(above).filter(|y| *y < x.height), line);
            }
            copied += needed;
            row += count;
        }
        bases
    }

    /// A row of a picture with its padding; nothing but padding where there is no row.
    fn padded_line(&self, x: Picture<'_>, image: usize, y: Option<usize>, line: &mut [f32]) {
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
    /// Padded input. A thread that waits for the parts of a strip can be given another strip meanwhile: who comes takes the buffer
    /// and leaves none.
    static BUFFER: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}
