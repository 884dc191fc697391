//! From an image to the input of a network, as in Python: resized by the filters of Pillow, its channels put in
//! order, scaled to the range that the network was trained with, and normalized by the mean and the deviation of each channel.

use crate::{Bands, Error, linear, pillow};
use burn::tensor::{Device, Tensor, TensorData};
use image::{Rgb, RgbImage};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// What a channel is of a pixel.
type Band = fn(&Rgb<u8>) -> u8;

/// How an image becomes the square that a network needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// The whole image is squeezed: the map covers all of it.
    #[default]
    Squash,
    /// The shorter side is resized and the center is cut out, as networks are evaluated: the map covers the center.
    Crop,
    /// The whole image is squeezed to a larger input, whose center is cut out.
    SquashCrop,
    /// The whole image is scaled to fit, and bars of gray (114 of 255, as in YOLO) fill the rest: the map covers the image.
    Letterbox,
    /// The shorter side is resized, and the input is as long as the image is, up to [`Preprocess::longest`]: the map covers all of it.
    ShortSide,
    /// The whole image is scaled to fit into the upper left corner, and gray fills the rest, as in YOLOX: the map covers the image.
    Corner,
}

impl Resize {
    /// Returns whether gray fills what the image leaves of the input.
    pub fn has_bars(self) -> bool {
        matches!(self, Self::Letterbox | Self::Corner)
    }
}

/// The filter a network was trained with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Pillow's `BILINEAR`.
    #[default]
    Bilinear,
    /// Pillow's `BICUBIC`.
    Bicubic,
    /// Pillow's `LANCZOS`.
    Lanczos,
    /// Pillow's `NEAREST`.
    Nearest,
    /// Pillow's `BOX`: the mean.
    Box,
    /// Pillow's `HAMMING`.
    Hamming,
    /// OpenCV's `INTER_LINEAR`: four pixels are mixed, however much the image is reduced.
    Linear,
}

/// Whose rules a center crop follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cropping {
    /// timm's and torchvision's: a crop that would begin between two pixels begins at the even one. For an input that is no square, the
    /// image is resized to cover both of its sides.
    #[default]
    Timm,
    /// Those of transformers: a crop that would begin between two pixels begins at the first one. For an input that is no square, the
    /// shorter side of the image is resized to the shorter one of the input.
    Transformers,
}

impl Cropping {
    /// Returns where the middle part of a length begins.
    fn begin(self, length: u32, part: u32) -> u32 {
        let left = length.saturating_sub(part);
        match self {
            Self::Timm => (f64::from(left) / 2.0).round_ties_even() as u32,
            Self::Transformers => left / 2,
        }
    }

    /// Returns where a length begins in the middle of a longer one.
    fn indent(self, length: u32, whole: u32) -> u32 {
        let free = whole.saturating_sub(length);
        match self {
            Self::Timm => free / 2,
            Self::Transformers => free.div_ceil(2),
        }
    }
}

/// The order in which a network of three channels gets the colors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red, green, blue: PyTorch, timm, Keras.
    #[default]
    Rgb,
    /// Blue, green, red: OpenCV, Caffe.
    Bgr,
}

/// The range of pixel values before the mean is subtracted; the mean and the deviation are in its units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueRange {
    /// 0 to 1: PyTorch's `ToTensor`.
    #[default]
    #[serde(rename = "0..1")]
    Unit,
    /// 0 to 255: Caffe and some of Keras.
    #[serde(rename = "0..255")]
    Byte,
}

impl ValueRange {
    /// Returns how many gray levels of a byte are one unit.
    fn unit(self) -> f32 {
        match self {
            Self::Unit => 255.0,
            Self::Byte => 1.0,
        }
    }
}

/// The order of the axes of a network's input, and so of arrays (`.npy`) whose shape fits both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputLayout {
    /// Nothing is said: the networks here compute in `nchw`, and an array whose shape fits both is refused.
    #[default]
    Auto,
    /// `[batch, channels, height, width]`: PyTorch.
    Nchw,
    /// `[batch, height, width, channels]`: TensorFlow.
    Nhwc,
}

/// How the input of a network is made of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Height and width of the input in pixels.
    pub size: [usize; 2],
    /// Channels: 1 (gray), 3 (colors), or any number of bands, as TIFF and arrays have them.
    pub channels: usize,
    /// The order of three channels.
    pub order: ChannelOrder,
    /// The range of pixel values.
    pub range: ValueRange,
    /// The mean of each channel, in the order and the units of the network. The last one is that of all further channels; without any it is 0.
    pub mean: Cow<'static, [f32]>,
    /// The deviation of each channel, in the order and the units of the network. The last one is that of all further channels; without any it
    /// is 1.
    pub std: Cow<'static, [f32]>,
    /// The share of the shorter side that [`Resize::Crop`] and [`Resize::SquashCrop`] keep. Beyond 1, black surrounds the image.
    pub crop: f32,
    /// Whose rules a crop follows.
    pub cropping: Cropping,
    /// The most pixels of the longer side of [`Resize::ShortSide`].
    pub longest: Option<usize>,
    /// How an image of another shape is resized.
    pub resize: Resize,
    /// The filter.
    pub filter: Filter,
    /// The order of the axes of arrays whose shape fits both.
    pub layout: InputLayout,
}

impl Preprocess {
    /// The preprocessing of torchvision's weights: 224 x 224 pixels, ImageNet's mean and deviation. The whole image is squeezed.
    pub const IMAGENET: Self = Self {
        size: [224, 224],
        channels: 3,
        order: ChannelOrder::Rgb,
        range: ValueRange::Unit,
        mean: Cow::Borrowed(&[0.485, 0.456, 0.406]),
        std: Cow::Borrowed(&[0.229, 0.224, 0.225]),
        crop: 0.875,
        cropping: Cropping::Timm,
        longest: None,
        resize: Resize::Squash,
        filter: Filter::Bilinear,
        layout: InputLayout::Auto,
    };
}

/// The part of an image that a network sees, in pixels of the image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

impl From<View> for [f32; 4] {
    fn from(View { x, y, width, height }: View) -> Self {
        [x, y, width, height]
    }
}

/// The color of the bars of [`Resize::Letterbox`].
const BARS: u8 = 114;

impl fmt::Display for Preprocess {
    /// Writes how an image becomes the input, in one line: `squeezed whole to 224 x 224 pixels (bilinear), RGB in 0..1, mean 0.5, deviation
    /// 0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.size;
        match self.resize {
            Resize::Squash => write!(f, "squeezed whole to {height} x {width} pixels")?,
            Resize::Crop => {
                let share = 100.0 * self.crop;
                write!(
                    f,
                    "cropped to the central {share:.1} % of the shorter side, {height} x {width} pixels"
                )?;
            }
            Resize::SquashCrop => {
                let share = 100.0 * self.crop;
                write!(f, "squeezed and cropped to the central {share:.1} %, {height} x {width} pixels")?;
            }
            Resize::Letterbox => write!(f, "scaled whole into {height} x {width} pixels with gray bars")?,
            Resize::ShortSide => write!(f, "scaled whole to a shorter side of {} pixels", height.min(width))?,
            Resize::Corner => {
                write!(f, "scaled whole into the upper left corner of {height} x {width} pixels of gray")?;
            }
        }
        let filter = match self.filter {
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => "bicubic",
            Filter::Lanczos => "Lanczos",
            Filter::Nearest => "nearest",
            Filter::Box => "box",
            Filter::Hamming => "Hamming",
            Filter::Linear => "linear",
        };
        let colors = match (self.channels, self.order) {
            (1, _) => "gray",
            (3, ChannelOrder::Rgb) => "RGB",
            (3, ChannelOrder::Bgr) => "BGR",
            (bands, _) => return write!(f, " ({filter}), {bands} bands"),
        };
        let range = match self.range {
            ValueRange::Unit => "0..1",
            ValueRange::Byte => "0..255",
        };
        if self.mean == Self::IMAGENET.mean && self.std == Self::IMAGENET.std {
            return write!(f, " ({filter}), {colors} in {range}, normalized as ImageNet's");
        }
        let list = |numbers: &[f32]| numbers.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
        let (mean, std) = (list(&self.mean), list(&self.std));
        write!(f, " ({filter}), {colors} in {range}, mean {mean}, deviation {std}")
    }
}

impl Preprocess {
    /// Returns the shape of the input of one image: `[1, channels, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        let [height, width] = self.size;
        [1, self.channels, height, width]
    }

    /// Returns the input of the network and the part of the image that it shows.
    ///
    /// # Shapes
    /// - output: `[1, channels, height, width]`
    ///
    /// # Errors
    /// [`Error::Channels`] if the network needs other channels than gray or three colors.
    pub fn apply(&self, photo: &RgbImage, device: &Device) -> Result<(Tensor<4>, View), Error> {
        let (input, views) = self.apply_all([photo], device)?;
        Ok((input, views[0]))
    }

    /// Returns the input of the network for several images, in one upload, and the part of each that it shows.
    ///
    /// # Shapes
    /// - output: `[images, channels, height, width]`
    ///
    /// # Errors
    /// As [`apply`](Self::apply), and [`Error::InputSizes`] if the inputs have several sizes, which only [`Resize::ShortSide`] makes.
    pub fn apply_all<'a>(
        &self,
        photos: impl IntoIterator<Item = &'a RgbImage>,
        device: &Device,
    ) -> Result<(Tensor<4>, Vec<View>), Error> {
        let bands = self.bands()?;
        let mut size = None;
        let (mut planes, mut views) = (Vec::new(), Vec::new());
        for photo in photos {
            let (pixels, view) = self.resized(photo);
            let [height, width] = [pixels.height() as usize, pixels.width() as usize];
            if *size.get_or_insert([height, width]) != [height, width] {
                return Err(Error::InputSizes);
            }
            planes.reserve(bands.len() * height * width);
            for (channel, band) in bands.iter().enumerate() {
                let (unit, mean, std) = (self.range.unit(), self.mean_of(channel), self.std_of(channel));
                planes.extend(pixels.pixels().map(|pixel| (f32::from(band(pixel)) / unit - mean) / std));
            }
            views.push(view);
        }
        let [height, width] = size.unwrap_or(self.size);
        let shape = [views.len(), bands.len(), height, width];
        Ok((Tensor::from_data(TensorData::new(planes, shape), device), views))
    }

    /// Returns what each channel is of a pixel.
    fn bands(&self) -> Result<&'static [Band], Error> {
        match (self.channels, self.order) {
            (1, _) => Ok(&[luma]),
            (3, ChannelOrder::Rgb) => Ok(&[|p| p.0[0], |p| p.0[1], |p| p.0[2]]),
            (3, ChannelOrder::Bgr) => Ok(&[|p| p.0[2], |p| p.0[1], |p| p.0[0]]),
            (needed, _) => Err(Error::Channels { needed, found: 3 }),
        }
    }

    /// Returns the mean of a channel: 0 without any.
    pub fn mean_of(&self, channel: usize) -> f32 {
        self.mean.get(channel).or(self.mean.last()).copied().unwrap_or(0.0)
    }

    /// Returns the deviation of a channel: 1 without any.
    pub fn std_of(&self, channel: usize) -> f32 {
        self.std.get(channel).or(self.std.last()).copied().unwrap_or(1.0)
    }

    /// Returns the image of an input that is preprocessed already: the inverse of [`apply`](Self::apply). Of more than three channels,
    /// the first three are taken for colors.
    ///
    /// # Shapes
    /// - input: `[1, channels, height, width]`
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn to_image(&self, input: Tensor<4>) -> Result<RgbImage, Error> {
        let [_, channels, height, width] = input.dims();
        let planes: Vec<f32> = input.try_into_vec_as()?;
        let colors = match self.order {
            ChannelOrder::Rgb => [0, 1, 2],
            ChannelOrder::Bgr => [2, 1, 0],
        };
        let colors = colors.map(|color: usize| color.min(channels.saturating_sub(1)));
        Ok(RgbImage::from_fn(width as u32, height as u32, |x, y| {
            image::Rgb(colors.map(|channel| {
                let value = planes[(channel * height + y as usize) * width + x as usize];
                let value = value * self.std_of(channel) + self.mean_of(channel);
                (value * self.range.unit()).round() as u8
            }))
        }))
    }

    /// Returns the height and width of the input for an image of this width and height.
    pub fn input_size(&self, width: u32, height: u32) -> [usize; 2] {
        if self.resize != Resize::ShortSide {
            return self.size;
        }
        let short = self.size[0].min(self.size[1]) as u32;
        let sides = match self.longest {
            Some(longest) => within(short, longest as u32, [height, width]),
            None => to_short_side(short, [height, width]),
        };
        sides.map(|side| side as usize)
    }

    /// Returns the part of the input that shows an image of this width and height: left, top, width and height, in pixels of the input.
    pub fn inner(&self, width: u32, height: u32) -> [u32; 4] {
        let [rows, columns] = self.input_size(width, height).map(|side| side as u32);
        if !self.resize.has_bars() {
            let Placement { scaled, to, size, .. } = self.placement([width, height]);
            return [to[0], to[1], scaled[0].min(size[0]), scaled[1].min(size[1])];
        }
        let gain = gain([columns, rows], [width, height]);
        let scaled = |side: u32, most: u32| {
            let side = f64::from(side) * gain;
            // Rounded as in Ultralytics, by Python's rule, truncated as in YOLOX.
            let whole = if self.resize == Resize::Corner { side + 1e-6 } else { side.round_ties_even() };
            (whole as u32).clamp(1, most)
        };
        let (width, height) = (scaled(width, columns), scaled(height, rows));
        match self.resize {
            Resize::Corner => [0, 0, width, height],
            _ => [(columns - width) / 2, (rows - height) / 2, width, height],
        }
    }

    /// Returns a point of the input, x and y in pixels, as a point of an image of this width and height. Both may lie outside.
    pub fn to_photo(&self, point: [f32; 2], size: [u32; 2]) -> [f32; 2] {
        let ([zero, factor], [x, y]) = (self.in_photo(size), point);
        [zero[0] + x * factor[0], zero[1] + y * factor[1]]
    }

    /// Returns a point of an image of this width and height as a point of the input: the inverse of [`to_photo`](Self::to_photo).
    pub fn to_input(&self, point: [f32; 2], size: [u32; 2]) -> [f32; 2] {
        let ([zero, factor], [x, y]) = (self.in_photo(size), point);
        [(x - zero[0]) / factor[0], (y - zero[1]) / factor[1]]
    }

    /// Returns where the upper left corner of the input is in an image of this width and height, and how many of its pixels are one of the
    /// input.
    fn in_photo(&self, [width, height]: [u32; 2]) -> [[f32; 2]; 2] {
        if self.resize.has_bars() {
            let [rows, columns] = self.input_size(width, height).map(|side| side as u32);
            let [left, top, inner_width, inner_height] = self.inner(width, height);
            let factor = match self.resize {
                // As in YOLOX, whatever was truncated.
                Resize::Corner => [(1.0 / gain([columns, rows], [width, height])) as f32; 2],
                _ => [width as f32 / inner_width as f32, height as f32 / inner_height as f32],
            };
            return [[-(left as f32) * factor[0], -(top as f32) * factor[1]], factor];
        }
        let Placement { scaled, to, size, view, .. } = self.placement([width, height]);
        let factor =
            [view.width / scaled[0].min(size[0]) as f32, view.height / scaled[1].min(size[1]) as f32];
        [[view.x - to[0] as f32 * factor[0], view.y - to[1] as f32 * factor[1]], factor]
    }

    /// Returns the part of an image of this width and height that the network sees.
    pub fn view(&self, width: u32, height: u32) -> View {
        self.placement([width, height]).view
    }

    /// Returns the image that the network sees, before its colors are normalized, and the part of the image that it shows.
    pub fn resized(&self, photo: &RgbImage) -> (RgbImage, View) {
        let Placement { scaled, from, to, size, view } = self.placement([photo.width(), photo.height()]);
        let resized = match self.filter {
            Filter::Linear => linear::resize(photo, scaled[0], scaled[1]),
            filter => pillow::resize(photo, scaled[0], scaled[1], filter),
        };
        if scaled == size {
            return (resized, view);
        }
        let [width, height] = [0, 1].map(|axis| scaled[axis].min(size[axis]));
        let part = image::imageops::crop_imm(&resized, from[0], from[1], width, height);
        let mut input = RgbImage::from_pixel(size[0], size[1], Rgb([self.surround(); 3]));
        image::imageops::replace(&mut input, &part.to_image(), to[0].into(), to[1].into());
        (input, view)
    }

    /// Returns where an image of this width and height is in the input.
    fn placement(&self, [photo_width, photo_height]: [u32; 2]) -> Placement {
        let [height, width] = self.input_size(photo_width, photo_height).map(|side| side as u32);
        let size = [width, height];
        let whole = View { x: 0.0, y: 0.0, width: photo_width as f32, height: photo_height as f32 };
        let placed = Placement { scaled: size, from: [0, 0], to: [0, 0], size, view: whole };
        match self.resize {
            Resize::Squash | Resize::ShortSide => placed,
            Resize::Letterbox | Resize::Corner => {
                let [left, top, width, height] = self.inner(photo_width, photo_height);
                Placement { scaled: [width, height], to: [left, top], ..placed }
            }
            Resize::Crop | Resize::SquashCrop => {
                // All sides truncated, as in torchvision, timm and transformers: 224 / 0.9 is 248.
                let target = size.map(|side| (f64::from(side) / f64::from(self.crop) + 1e-3).max(1.0) as u32);
                let own = [photo_width, photo_height];
                let scaled = match self.resize {
                    Resize::SquashCrop => target,
                    _ if target[0] == target[1] || self.cropping == Cropping::Transformers => {
                        to_short_side(target[0].min(target[1]), own)
                    }
                    _ => {
                        let ratio = [0, 1].map(|axis| f64::from(own[axis]) / f64::from(target[axis]));
                        let ratio = ratio[0].min(ratio[1]);
                        own.map(|side| (f64::from(side) / ratio).round_ties_even().max(1.0) as u32)
                    }
                };
                let from = [0, 1].map(|axis| self.cropping.begin(scaled[axis], size[axis]));
                let to = [0, 1].map(|axis| self.cropping.indent(scaled[axis], size[axis]));
                let [across, down] = [0, 1].map(|axis| own[axis] as f32 / scaled[axis] as f32);
                let view = View {
                    x: from[0] as f32 * across,
                    y: from[1] as f32 * down,
                    width: scaled[0].min(width) as f32 * across,
                    height: scaled[1].min(height) as f32 * down,
                };
                Placement { scaled, from, to, view, ..placed }
            }
        }
    }

    /// Returns the gray around an image that does not fill the input.
    fn surround(&self) -> u8 {
        if self.resize.has_bars() { BARS } else { 0 }
    }

    /// Returns the input of the network for bands, and the part of the image that it shows.
    ///
    /// # Shapes
    /// - output: `[1, channels, height, width]`
    ///
    /// # Errors
    /// [`Error::Channels`] if the network needs another number of bands.
    pub fn apply_bands(&self, bands: &Bands, device: &Device) -> Result<(Tensor<4>, View), Error> {
        if bands.count != self.channels {
            return Err(Error::Channels { needed: self.channels, found: bands.count });
        }
        let own = [bands.width as u32, bands.height as u32];
        let Placement { scaled, from, to, size, view } = self.placement(own);
        let [scaled_width, left, column, width] =
            [scaled[0], from[0], to[0], size[0]].map(|side| side as usize);
        let [top, row, height] = [from[1], to[1], size[1]].map(|side| side as usize);
        let shown = scaled_width.min(width);
        let mut planes = vec![f32::from(self.surround()) / 255.0; self.channels * height * width];
        let inputs = planes.chunks_exact_mut(height * width);
        let sources = bands.values.chunks_exact(bands.width * bands.height);
        for (channel, (input, band)) in inputs.zip(sources).enumerate() {
            let resized = pillow::resize_band(band, own, scaled, self.filter);
            let rows =
                input.chunks_exact_mut(width).skip(row).zip(resized.chunks_exact(scaled_width).skip(top));
            for (to, from) in rows {
                to[column..column + shown].copy_from_slice(&from[left..left + shown]);
            }
            let (unit, mean, std) = (self.range.unit() / 255.0, self.mean_of(channel), self.std_of(channel));
            input.iter_mut().for_each(|value| *value = (*value / unit - mean) / std);
        }
        let shape = [1, self.channels, height, width];
        Ok((Tensor::from_data(TensorData::new(planes, shape), device), view))
    }
}

/// Returns by how much an image of this width and height is scaled to fit into a width and a height.
fn gain(into: [u32; 2], size: [u32; 2]) -> f64 {
    let [across, down] = [0, 1].map(|axis| f64::from(into[axis]) / f64::from(size[axis].max(1)));
    across.min(down)
}

/// Returns the sides of an image whose shorter one is resized to this. Truncated, as in torchvision.
fn to_short_side(short: u32, sides: [u32; 2]) -> [u32; 2] {
    let least = u64::from(sides[0].min(sides[1]).max(1));
    sides.map(|side| u32::try_from(u64::from(short) * u64::from(side) / least).unwrap_or(u32::MAX).max(1))
}

/// Returns the sides of an image whose shorter one is resized to this if its longer one does not exceed a length then, and whose longer
/// one is resized to that length otherwise. Rounded as in DETR and transformers.
fn within(short: u32, longest: u32, sides: [u32; 2]) -> [u32; 2] {
    let [least, most] = [sides[0].min(sides[1]), sides[0].max(sides[1])].map(|side| f64::from(side.max(1)));
    if most / least * f64::from(short) <= f64::from(longest) {
        return to_short_side(short, sides);
    }
    let exact = f64::from(longest) * least / most;
    let short = exact.round_ties_even();
    let scaled =
        |side: u32| if f64::from(side) == least { short } else { (exact * f64::from(side) / least).floor() };
    // Of a square both sides are the shorter one.
    sides.map(|side| scaled(side).max(1.0) as u32)
}

/// Where an image is in the input of a network. All are of columns, and then of rows.
struct Placement {
    /// What the whole image is resized to.
    scaled: [u32; 2],
    /// The corner from which on it is shown.
    from: [u32; 2],
    /// Where that corner is in the input.
    to: [u32; 2],
    /// The input.
    size: [u32; 2],
    /// The part of the image that is seen.
    view: View,
}

/// Returns the brightness of a pixel, as Pillow's `convert("L")`.
fn luma(Rgb([red, green, blue]): &Rgb<u8>) -> u8 {
    let sum = 19595 * u32::from(*red) + 38470 * u32::from(*green) + 7471 * u32::from(*blue);
    ((sum + (1 << 15)) >> 16) as u8
}
