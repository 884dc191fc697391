//! Convolution of 3x3 places at stride 1 by Winograd's minimal filtering, $F(2 \times 2, 3 \times 3)$: 16 multiplications for
//! four outputs where the sum has 36.
//!
//! $$ Y = A^\top \big[ (G g G^\top) \odot (B^\top d B) \big] A $$
//!
//! Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016 (<https://arxiv.org/abs/1509.09308>), equation 8. A
//! tile $d$ of 4x4 pixels becomes 16 numbers a channel, each place of them is multiplied with its own matrix of weights, and what
//! comes out becomes 2x2 pixels. The matrices hold nothing but 0, 1 and a half, so that rounding stays that of the plain sum.

use crate::panel::{Panels, lanes};
use crate::share::{first_channels, shares};
use crate::tile::{Activation, Run, Tiles};
use crate::{Picture, Window};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;

/// Pixels of a side of what a tile becomes.
const OUT: usize = 2;
/// Pixels of a side of a tile.
const SIDE: usize = OUT + 2;
/// The places of a tile.
const PLACES: usize = SIDE * SIDE;
/// Tiles that are transformed together, so that they stay in the cache.
const TILES: usize = 60;

/// $G g$: a column of the kernel.
fn kernel([a, b, c]: [f32; 3]) -> [f32; SIDE] {
    [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c]
}

/// $B^\top d$: a column of a tile.
#[inline(always)]
fn before<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// $A^\top m$: a column of the products.
#[inline(always)]
fn after<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; SIDE]) -> [S::f32s; OUT] {
    [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

/// The fewest tiles of an image that are worth the weights, of which there are 16 where the plain sum reads 9. Whatever its batch, an
/// image is computed in the same way.
const WORTH: usize = 40;

/// A convolution of 3x3 places with transformed weights.
#[derive(Debug)]
pub(crate) struct Winograd {
    /// A matrix for each place of a tile.
    panels: Vec<Panels>,
    bias: Vec<f32>,
    from: usize,
}

impl Winograd {
    /// Whether such a convolution of one group can be computed so, and is faster for it.
    ///
    /// # Shapes
    /// - weight: `[to, from, kernel height, kernel width]`
    pub(crate) fn suits(weight: [usize; 4], window: Window, x: &Picture<'_>) -> bool {
        let [to, from, kernel @ ..] = weight;
        let tiles = window.output([x.height, x.width], kernel).map(|length| length.div_ceil(OUT));
        kernel == [3, 3]
            && Window { padding: [0, 0], ..window } == Window::default()
            && x.channels_last
            && [to, from].iter().all(|channels| channels.is_multiple_of(lanes()))
            && tiles[0] * tiles[1] >= WORTH
    }

    /// Transforms and packs the weights.
    ///
    /// # Shapes
    /// - weight: `[to, from, 3, 3]`
    /// - bias: `[to]`
    pub(crate) fn new(weight: &[f32], [to, from]: [usize; 2], bias: Option<&[f32]>) -> Self {
        let transformed: Vec<[f32; PLACES]> = weight.as_chunks::<9>().0.par_iter().map(transformed).collect();
        let of = |place: usize| {
            Panels::new(from, to, None, |input| {
                let transformed = &transformed;
                move |output| transformed[output * from + input][place]
            })
        };
        let bias = bias.map_or(vec![0.0; to], <[f32]>::to_vec);
        Self { panels: (0..PLACES).into_par_iter().map(of).collect(), bias, from }
    }

    pub(crate) fn forward(
        &self,
        x: Picture<'_>,
        padding: [usize; 2],
        size @ [height, width]: [usize; 2],
        residual: Option<&[f32]>,
        activation: Activation,
        mut out: &mut [f32],
    ) {
        let nothing = vec![0.0; self.from];
        let tiles @ [down, across] = [height.div_ceil(OUT), width.div_ceil(OUT)];
        let grid = Grid { x, size, tiles, padding, nothing: &nothing };
        let (to, count) = (self.bias.len(), self.panels[0].count());
        let (strip, parts) = shares(x.batch * down, across, count);
        let part = count.div_ceil(parts);

        // Strips of rows, and of each the channels of some panels.
        let mut tasks = Vec::new();
        for first in (0..x.batch * down).step_by(strip) {
            let rows = first..(first + strip).min(x.batch * down);
            let pixels = grid.pixel(rows.end) - grid.pixel(rows.start);
            let strip = out.split_off_mut(..pixels * to).expect("a strip is part of the output");
            let mut pixels: Vec<&mut [f32]> = strip.chunks_exact_mut(to).collect();
            for first in (0..count).step_by(part) {
                let panels = first..(first + part).min(count);
                let outputs = panels.clone().map(|number| self.panels[0].get(number).outputs).sum();
                tasks.push((rows.clone(), panels, first_channels(&mut pixels, outputs)));
            }
        }
        tasks.into_par_iter().for_each(|(rows, panels, pixels)| {
            self.task(&grid, rows, panels, residual, activation, pixels);
        });
    }

    /// Some channels of some rows of tiles.
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
        let strip = grid.pixel(rows.start);
        let across = grid.tiles[1];
        let all = rows.start * across..rows.end * across;
        let chunks = all.len().div_ceil(TILES);
        let (mut inputs, mut sums) = BUFFERS.take();
        for number in 0..chunks {
            let edge = |number| all.start + all.len() * number / chunks;
            let tiles = edge(number)..edge(number + 1);
            let count = tiles.len();
            grow(&mut inputs, PLACES * count * self.from);
            grow(&mut sums, PLACES * count * outputs);
            let (inputs, sums) =
                (&mut inputs[..PLACES * count * self.from], &mut sums[..PLACES * count * outputs]);
            Arch::new().dispatch(Before { grid, tiles: tiles.clone(), out: inputs });
            let bases: Vec<usize> = (0..count).map(|tile| tile * self.from).collect();
            let places = inputs.chunks_exact(count * self.from).zip(sums.chunks_exact_mut(count * outputs));
            for (all, (source, sums)) in self.panels.iter().zip(places) {
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
            Arch::new().dispatch(After {
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

/// $G g G^\top$
fn transformed(weight: &[f32; 9]) -> [f32; PLACES] {
    let columns: [[f32; SIDE]; 3] = std::array::from_fn(|x| kernel([0, 3, 6].map(|y| weight[y + x])));
    let mut out = [0.0; PLACES];
    for y in 0..SIDE {
        out[y * SIDE..][..SIDE].copy_from_slice(&kernel(columns.map(|column| column[y])));
    }
    out
}

fn grow(buffer: &mut Vec<f32>, floats: usize) {
    buffer.resize(buffer.len().max(floats), 0.0);
}

thread_local! {
    /// Transformed tiles and their products: who comes takes the buffers and leaves none.
    static BUFFERS: Cell<(Vec<f32>, Vec<f32>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// A batch of pictures in tiles, which overlap by two pixels.
struct Grid<'a> {
    x: Picture<'a>,
    /// Height and width of the output.
    size: [usize; 2],
    /// Tiles down and across an image.
    tiles: [usize; 2],
    padding: [usize; 2],
    /// A pixel of padding.
    nothing: &'a [f32],
}

impl Grid<'_> {
    /// The first pixel of the output that a row of tiles makes, rows counted over the batch.
    fn pixel(&self, row: usize) -> usize {
        let ([height, width], [down, _]) = (self.size, self.tiles);
        (row / down * height + row % down * OUT) * width
    }

    /// The image of a tile, and the first pixel that it makes.
    fn place(&self, tile: usize) -> (usize, [usize; 2]) {
        let [down, across] = self.tiles;
        let row = tile / across;
        (row / down, [row % down * OUT, tile % across * OUT])
    }

    /// What a tile reads.
    fn read(&self, tile: usize) -> [[&[f32]; SIDE]; SIDE] {
        let (image, [top, left]) = self.place(tile);
        let Picture { floats, height, width, channels, .. } = self.x;
        let inside =
            |at: usize, padding: usize, length: usize| at.checked_sub(padding).filter(|at| *at < length);
        std::array::from_fn(|y| {
            let y = inside(top + y, self.padding[0], height);
            std::array::from_fn(|x| match (y, inside(left + x, self.padding[1], width)) {
                (Some(y), Some(x)) => &floats[((image * height + y) * width + x) * channels..][..channels],
                _ => self.nothing,
            })
        })
    }

    /// The pixels that a tile makes, where they are within the output: counted over the batch.
    fn made(&self, tile: usize) -> [[Option<usize>; OUT]; OUT] {
        let (image, [top, left]) = self.place(tile);
        let [height, width] = self.size;
        std::array::from_fn(|y| {
            std::array::from_fn(|x| {
                let inside = top + y < height && left + x < width;
                inside.then(|| (image * height + top + y) * width + left + x)
            })
        })
    }
}

/// $B^\top d B$ of some tiles.
struct Before<'a> {
    grid: &'a Grid<'a>,
    tiles: Range<usize>,
    /// `[PLACES, tiles, from]`
    out: &'a mut [f32],
}

impl WithSimd for Before<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { grid, tiles, out } = self;
        let channels = grid.x.channels;
        let place = tiles.len() * channels;
        for (number, tile) in tiles.enumerate() {
            let read = grid.read(tile).map(|row| row.map(|pixel| S::as_simd_f32s(pixel).0));
            let mut places = out.chunks_exact_mut(place);
            let written: [&mut [S::f32s]; PLACES] = std::array::from_fn(|_| {
                let place = places.next().expect("there are as many");
                S::as_mut_simd_f32s(&mut place[number * channels..][..channels]).0
            });
            for v in 0..channels / S::F32_LANES {
                let mut half = [[simd.splat_f32s(0.0); SIDE]; SIDE];
                for x in 0..SIDE {
                    let mut column = [simd.splat_f32s(0.0); SIDE];
                    for y in 0..SIDE {
                        column[y] = read[y][x][v];
                    }
                    let column = before(simd, column);
                    for y in 0..SIDE {
                        half[y][x] = column[y];
                    }
                }
                for y in 0..SIDE {
                    let row = before(simd, half[y]);
                    for x in 0..SIDE {
                        written[y * SIDE + x][v] = row[x];
                    }
                }
            }
        }
    }
}

/// $A^\top m A$ of some tiles, with all that is done to an output.
struct After<'a, 'b> {
    grid: &'a Grid<'a>,
    tiles: Range<usize>,
    /// `[PLACES, tiles, outputs]`
    sums: &'a [f32],
    bias: &'a [f32],
    /// What is added, from the first of these channels on.
    residual: Option<&'a [f32]>,
    /// The channels of a pixel of the residual.
    channels: usize,
    activation: Activation,
    /// The first pixel of `out`.
    strip: usize,
    /// These channels of each pixel.
    out: &'a mut [&'b mut [f32]],
}

impl WithSimd for After<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { grid, tiles, sums, bias, residual, channels, activation, strip, out } = self;
        let outputs = bias.len();
        let place = tiles.len() * outputs;
        let bias = S::as_simd_f32s(bias).0;
        for (number, tile) in tiles.enumerate() {
            let mut places = sums.chunks_exact(place);
            let read: [&[S::f32s]; PLACES] = std::array::from_fn(|_| {
                S::as_simd_f32s(&places.next().expect("there are as many")[number * outputs..][..outputs]).0
            });
            let made = grid.made(tile);
            for v in 0..outputs / S::F32_LANES {
                let mut half = [[simd.splat_f32s(0.0); SIDE]; OUT];
                for x in 0..SIDE {
                    let mut column = [simd.splat_f32s(0.0); SIDE];
                    for y in 0..SIDE {
                        column[y] = read[y * SIDE + x][v];
                    }
                    let column = after(simd, column);
                    for y in 0..OUT {
                        half[y][x] = column[y];
                    }
                }
                for y in 0..OUT {
                    let row = after(simd, half[y]);
                    for x in 0..OUT {
                        let Some(pixel) = made[y][x] else { continue };
                        let mut sum = simd.add_f32s(row[x], bias[v]);
                        if let Some(residual) = residual {
                            let residual = &residual[pixel * channels + v * S::F32_LANES..][..S::F32_LANES];
                            sum = simd.add_f32s(sum, S::as_simd_f32s(residual).0[0]);
                        }
                        let [sum] = activation.of(simd, [sum]);
                        S::as_mut_simd_f32s(out[pixel - strip]).0[v] = sum;
                    }
                }
            }
        }
    }
}
