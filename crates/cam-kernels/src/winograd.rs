//! 3x3 convolution at stride 1 by Winograd's minimal filtering, $F(2 \times 2, 3 \times 3)$: 16 multiplications for four outputs instead
//! of 36.
//!
//! $$ Y = A^\top \big[ (G g G^\top) \odot (B^\top d B) \big] A $$
//!
//! Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016 (<https://arxiv.org/abs/1509.09308>), equation 8. A
//! tile $d$ of 4x4 pixels is transformed to 16 values per channel, each of the 16 positions is multiplied with its own matrix of weights,
//! and the products are transformed to 2x2 pixels. The matrices hold only 0, 1 and 1/2, so that rounding is that of the plain sum.

use crate::packing::{PackedMatrix, lanes};
use crate::partition::{partition, split_channels};
use crate::tile::{Activation, Run, Tiles};
use crate::{ImageView, Window};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;

/// The side of the output of a tile, in pixels.
const OUT: usize = 2;
/// The side of a tile, in pixels.
const SIDE: usize = OUT + 2;
/// The number of positions in a tile.
const POSITIONS: usize = SIDE * SIDE;
/// The number of tiles that are transformed together, so that they stay in the cache.
const TILES: usize = 60;

/// Returns $G g$ for a column of the kernel.
fn transform_kernel([a, b, c]: [f32; 3]) -> [f32; SIDE] {
    [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c]
}

/// Returns $B^\top d$ for a column of a tile.
#[inline(always)]
fn transform_input<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// Returns $A^\top m$ for a column of the products.
#[inline(always)]
fn transform_output<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; SIDE]) -> [S::f32s; OUT] {
    [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

/// The smallest number of tiles per image that pays for reading 16 weights where the plain sum reads 9. It does not depend on the batch,
/// so an image is computed the same way in any batch.
const MIN_TILES: usize = 40;

/// A 3x3 convolution with transformed weights.
#[derive(Debug)]
pub(crate) struct Winograd {
    /// A matrix for each position of a tile.
    panels: Vec<PackedMatrix>,
    bias: Vec<f32>,
    from: usize,
}

impl Winograd {
    /// Reports whether a convolution of one group can be computed by tiles and is faster that way.
    ///
    /// # Shapes
    /// - weight: `[out_channels, in_channels, kernel height, kernel width]`
    pub(crate) fn is_preferred(weight: [usize; 4], window: Window, x: &ImageView<'_>) -> bool {
        let [to, from, kernel @ ..] = weight;
        let tiles = window.output_size([x.height, x.width], kernel).map(|length| length.div_ceil(OUT));
        kernel == [3, 3]
            && Window { padding: [0, 0], ..window } == Window::default()
            && x.channels_last
            && [to, from].iter().all(|channels| channels.is_multiple_of(lanes()))
            && tiles[0] * tiles[1] >= MIN_TILES
    }

    /// Transforms and packs the weights.
    ///
    /// # Shapes
    /// - weight: `[out_channels, in_channels, 3, 3]`
    /// - bias: `[out_channels]`
    pub(crate) fn new(weight: &[f32], [to, from]: [usize; 2], bias: Option<&[f32]>) -> Self {
        let transformed: Vec<[f32; POSITIONS]> =
            weight.as_chunks::<9>().0.par_iter().map(transform_weight).collect();
        let pack = |position: usize| {
            PackedMatrix::new(from, to, None, |input| {
                let transformed = &transformed;
                move |output| transformed[output * from + input][position]
            })
        };
        let bias = bias.map_or(vec![0.0; to], <[f32]>::to_vec);
        Self { panels: (0..POSITIONS).into_par_iter().map(pack).collect(), bias, from }
    }

    pub(crate) fn forward(
        &self,
        x: ImageView<'_>,
        padding: [usize; 2],
        size @ [height, width]: [usize; 2],
        residual: Option<&[f32]>,
        activation: Activation,
        mut out: &mut [f32],
    ) {
        let zero_pixel = vec![0.0; self.from];
        let tiles @ [down, across] = [height.div_ceil(OUT), width.div_ceil(OUT)];
        let grid = Grid { x, size, tiles, padding, zero_pixel: &zero_pixel };
        let (to, count) = (self.bias.len(), self.panels[0].count());
        let (strip, parts) = partition(x.batch * down, across, count);
        let part = count.div_ceil(parts);

        // Each task has a strip of rows and the channels of some panels.
        let mut tasks = Vec::new();
        for first in (0..x.batch * down).step_by(strip) {
            let rows = first..(first + strip).min(x.batch * down);
            let pixels = grid.first_pixel(rows.end) - grid.first_pixel(rows.start);
            let strip = out.split_off_mut(..pixels * to).expect("a strip is part of the output");
            let mut pixels: Vec<&mut [f32]> = strip.chunks_exact_mut(to).collect();
            for first in (0..count).step_by(part) {
                let panels = first..(first + part).min(count);
                let outputs = panels.clone().map(|number| self.panels[0].get(number).outputs).sum();
                tasks.push((rows.clone(), panels, split_channels(&mut pixels, outputs)));
            }
        }
        tasks.into_par_iter().for_each(|(rows, panels, pixels)| {
            self.task(&grid, rows, panels, residual, activation, pixels);
        });
    }

    /// Computes some channels of some rows of tiles.
    fn task(
        &self,
        grid: &Grid<'_>,
        rows: Range<usize>,
        panels: Range<usize>,
        residual: Option<&[f32]>,
        activation: Activation,
        mut pixels: Vec<&mut [f32]>,
    ) {
        let first = self.panels[0].get(panels.start).first;
        let outputs = pixels[0].len();
        let strip = grid.first_pixel(rows.start);
        let across = grid.tiles[1];
        let all = rows.start * across..rows.end * across;
        let chunks = all.len().div_ceil(TILES);
        let (mut inputs, mut sums) = BUFFERS.take();
        for number in 0..chunks {
            let edge = |number| all.start + all.len() * number / chunks;
            let tiles = edge(number)..edge(number + 1);
            let count = tiles.len();
            grow(&mut inputs, POSITIONS * count * self.from);
            grow(&mut sums, POSITIONS * count * outputs);
            let (inputs, sums) =
                (&mut inputs[..POSITIONS * count * self.from], &mut sums[..POSITIONS * count * outputs]);
            Arch::new().dispatch(InputTransform { grid, tiles: tiles.clone(), out: inputs });
            let bases: Vec<usize> = (0..count).map(|tile| tile * self.from).collect();
            let positions =
                inputs.chunks_exact(count * self.from).zip(sums.chunks_exact_mut(count * outputs));
            for (all, (source, sums)) in self.panels.iter().zip(positions) {
                let runs = [Run { offset: 0, length: self.from }];
                Arch::new().dispatch(Tiles {
                    source,
                    bases: &bases,
                    panels: panels.clone().map(|number| (all.get(number), runs.as_slice())).collect(),
                    residual: None,
                    channels: outputs,
                    first,
                    activation: Activation::None,
                    out: &mut sums.chunks_exact_mut(outputs).collect::<Vec<_>>(),
                });
            }
            Arch::new().dispatch(OutputTransform {
                grid,
                tiles,
                sums,
                bias: &self.bias[first..][..outputs],
                residual: residual.map(|residual| &residual[first..]),
                channels: self.bias.len(),
                activation,
                strip,
                out: &mut pixels,
            });
        }
        BUFFERS.set((inputs, sums));
    }
}

/// Returns $G g G^\top$.
fn transform_weight(weight: &[f32; 9]) -> [f32; POSITIONS] {
    let columns: [[f32; SIDE]; 3] =
        std::array::from_fn(|x| transform_kernel([0, 3, 6].map(|y| weight[y + x])));
    let mut out = [0.0; POSITIONS];
    for y in 0..SIDE {
        out[y * SIDE..][..SIDE].copy_from_slice(&transform_kernel(columns.map(|column| column[y])));
    }
    out
}

fn grow(buffer: &mut Vec<f32>, floats: usize) {
    buffer.resize(buffer.len().max(floats), 0.0);
}

thread_local! {
    /// Transformed tiles and their products. A task takes the buffers and leaves empty ones.
    static BUFFERS: Cell<(Vec<f32>, Vec<f32>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// A batch of images split into tiles, which overlap by two pixels.
struct Grid<'a> {
    x: ImageView<'a>,
    /// The height and width of the output.
    size: [usize; 2],
    /// The number of tiles down and across an image.
    tiles: [usize; 2],
    padding: [usize; 2],
    /// A pixel of padding.
    zero_pixel: &'a [f32],
}

impl Grid<'_> {
    /// Returns the first output pixel of a row of tiles, rows counted over the batch.
    fn first_pixel(&self, row: usize) -> usize {
        let ([height, width], [down, _]) = (self.size, self.tiles);
        (row / down * height + row % down * OUT) * width
    }

    /// Returns the image of a tile, and its first output pixel.
    fn position(&self, tile: usize) -> (usize, [usize; 2]) {
        let [down, across] = self.tiles;
        let row = tile / across;
        (row / down, [row % down * OUT, tile % across * OUT])
    }

    /// Returns the input pixels of a tile.
    fn inputs(&self, tile: usize) -> [[&[f32]; SIDE]; SIDE] {
        let (image, [top, left]) = self.position(tile);
        let ImageView { floats, height, width, channels, .. } = self.x;
        let inside =
            |at: usize, padding: usize, length: usize| at.checked_sub(padding).filter(|at| *at < length);
        std::array::from_fn(|y| {
            let y = inside(top + y, self.padding[0], height);
            std::array::from_fn(|x| match (y, inside(left + x, self.padding[1], width)) {
                (Some(y), Some(x)) => &floats[((image * height + y) * width + x) * channels..][..channels],
                _ => self.zero_pixel,
            })
        })
    }

    /// Returns the indices, over the batch, of the output pixels of a tile; `None` outside of the output.
    fn outputs(&self, tile: usize) -> [[Option<usize>; OUT]; OUT] {
        let (image, [top, left]) = self.position(tile);
        let [height, width] = self.size;
        std::array::from_fn(|y| {
            std::array::from_fn(|x| {
                let inside = top + y < height && left + x < width;
                inside.then(|| (image * height + top + y) * width + left + x)
            })
        })
    }
}

/// Computes $B^\top d B$ of some tiles.
struct InputTransform<'a> {
    grid: &'a Grid<'a>,
    tiles: Range<usize>,
    /// `[POSITIONS, tiles, in_channels]`
    out: &'a mut [f32],
}

impl WithSimd for InputTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { grid, tiles, out } = self;
        let channels = grid.x.channels;
        let stride = tiles.len() * channels;
        for (number, tile) in tiles.enumerate() {
            let read = grid.inputs(tile).map(|row| row.map(|pixel| S::as_simd_f32s(pixel).0));
            let mut positions = out.chunks_exact_mut(stride);
            let written: [&mut [S::f32s]; POSITIONS] = std::array::from_fn(|_| {
                let position = positions.next().expect("16 positions");
                S::as_mut_simd_f32s(&mut position[number * channels..][..channels]).0
            });
            for v in 0..channels / S::F32_LANES {
                let mut half = [[simd.splat_f32s(0.0); SIDE]; SIDE];
                for x in 0..SIDE {
                    let mut column = [simd.splat_f32s(0.0); SIDE];
                    for y in 0..SIDE {
                        column[y] = read[y][x][v];
                    }
                    let column = transform_input(simd, column);
                    for y in 0..SIDE {
                        half[y][x] = column[y];
                    }
                }
                for y in 0..SIDE {
                    let row = transform_input(simd, half[y]);
                    for x in 0..SIDE {
                        written[y * SIDE + x][v] = row[x];
                    }
                }
            }
        }
    }
}

/// Computes $A^\top m A$ of some tiles, then adds bias and residual and applies the activation.
struct OutputTransform<'a, 'b> {
    grid: &'a Grid<'a>,
    tiles: Range<usize>,
    /// `[POSITIONS, tiles, outputs]`
    sums: &'a [f32],
    bias: &'a [f32],
    /// The residual, from the first of these channels on.
    residual: Option<&'a [f32]>,
    /// The number of channels per pixel of the residual.
    channels: usize,
    activation: Activation,
    /// The first pixel of `out`.
    strip: usize,
    /// These channels of each pixel.
    out: &'a mut [&'b mut [f32]],
}

impl WithSimd for OutputTransform<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { grid, tiles, sums, bias, residual, channels, activation, strip, out } = self;
        let outputs = bias.len();
        let stride = tiles.len() * outputs;
        let bias = S::as_simd_f32s(bias).0;
        for (number, tile) in tiles.enumerate() {
            let mut positions = sums.chunks_exact(stride);
            let read: [&[S::f32s]; POSITIONS] = std::array::from_fn(|_| {
                S::as_simd_f32s(&positions.next().expect("16 positions")[number * outputs..][..outputs]).0
            });
            let pixels = grid.outputs(tile);
            for v in 0..outputs / S::F32_LANES {
                let mut half = [[simd.splat_f32s(0.0); SIDE]; OUT];
                for x in 0..SIDE {
                    let mut column = [simd.splat_f32s(0.0); SIDE];
                    for y in 0..SIDE {
                        column[y] = read[y * SIDE + x][v];
                    }
                    let column = transform_output(simd, column);
                    for y in 0..OUT {
                        half[y][x] = column[y];
                    }
                }
                for y in 0..OUT {
                    let row = transform_output(simd, half[y]);
                    for x in 0..OUT {
                        let Some(pixel) = pixels[y][x] else { continue };
                        let mut sum = simd.add_f32s(row[x], bias[v]);
                        if let Some(residual) = residual {
                            let residual = &residual[pixel * channels + v * S::F32_LANES..][..S::F32_LANES];
                            sum = simd.add_f32s(sum, S::as_simd_f32s(residual).0[0]);
                        }
                        let [sum] = activation.apply(simd, [sum]);
                        S::as_mut_simd_f32s(out[pixel - strip]).0[v] = sum;
                    }
                }
            }
        }
    }
}
