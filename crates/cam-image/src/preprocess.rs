//! From an image to the input of a network, as in Python: resized by an antialiased filter that matches Pillow, its channels put in
//! order, scaled to the range that the network was trained with, and normalized by the mean and the deviation of each channel.

use crate::{Bands, Error, linear};
use burn::tensor::{Device, Tensor, TensorData};
use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
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
    /// The whole image is scaled to fit, and bars of gray (114 of 255, as in YOLO) fill the rest: the map covers the image.
    Letterbox,
    /// The shorter side is resized, and the input is as long as the image is: the map covers all of it.
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
    /// OpenCV's `INTER_LINEAR`: four pixels are mixed, however much the image is reduced.
    Linear,
}

impl Filter {
    fn options(self) -> ResizeOptions {
        ResizeOptions::new().resize_alg(match self {
            Self::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Self::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
            Self::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
            Self::Linear => ResizeAlg::Interpolation(FilterType::Bilinear),
        })
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
    /// The share of the shorter side that [`Resize::Crop`] keeps.
    pub crop: f32,
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
        match self.resize {
            Resize::Squash | Resize::Crop | Resize::Letterbox | Resize::Corner => self.size,
            Resize::ShortSide => {
                let short = self.size[0].min(self.size[1]);
                let factor = short as f64 / f64::from(width.min(height).max(1));
                // Truncated, as in torchvision.
                [height, width].map(|side| ((f64::from(side) * factor + 1e-6) as usize).max(short))
            }
        }
    }

    /// Returns the part of the input that shows an image of this width and height: left, top, width and height, in pixels of the input.
    pub fn inner(&self, width: u32, height: u32) -> [u32; 4] {
        let [rows, columns] = self.input_size(width, height).map(|side| side as u32);
        if !self.resize.has_bars() {
            return [0, 0, columns, rows];
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
        let Placement { size, view, .. } = self.placement([width, height]);
        [[view.x, view.y], [view.width / size[0] as f32, view.height / size[1] as f32]]
    }

    /// Returns the part of an image of this width and height that the network sees.
    pub fn view(&self, width: u32, height: u32) -> View {
        self.placement([width, height]).view
    }

    /// Returns the image that the network sees, before its colors are normalized, and the part of the image that it shows.
    pub fn resized(&self, photo: &RgbImage) -> (RgbImage, View) {
        let Placement { scaled, from, to, size, view } = self.placement([photo.width(), photo.height()]);
        let resized = resize(photo, scaled[0], scaled[1], self.filter);
        if scaled == size {
            return (resized, view);
        }
        let [width, height] = [0, 1].map(|axis| scaled[axis].min(size[axis]));
        let part = image::imageops::crop_imm(&resized, from[0], from[1], width, height);
        let mut input = RgbImage::from_pixel(size[0], size[1], Rgb([BARS; 3]));
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
            Resize::Crop => {
                // As in torchvision and timm: the shorter side first, all sides truncated (224 / 0.9 is 248), the center rounded.
                let target = [height, width].map(|side| (side as f32 / self.crop + 1e-3).floor().max(1.0));
                let factor = (target[0] / whole.height).max(target[1] / whole.width);
                let full_width = ((whole.width * factor + 1e-3) as u32).max(width);
                let full_height = ((whole.height * factor + 1e-3) as u32).max(height);
                let left = ((full_width - width) as f32 / 2.0).round_ties_even() as u32;
                let top = ((full_height - height) as f32 / 2.0).round_ties_even() as u32;
                let (across, down) = (whole.width / full_width as f32, whole.height / full_height as f32);
                let view = View {
                    x: left as f32 * across,
                    y: top as f32 * down,
                    width: width as f32 * across,
                    height: height as f32 * down,
                };
                Placement { scaled: [full_width, full_height], from: [left, top], view, ..placed }
            }
        }
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
        let mut planes = vec![f32::from(BARS) / 255.0; self.channels * height * width];
        let inputs = planes.chunks_exact_mut(height * width);
        let sources = bands.values.chunks_exact(bands.width * bands.height);
        for (channel, (input, band)) in inputs.zip(sources).enumerate() {
            let resized = resize_band(band, own, scaled, self.filter);
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

/// Resizes as Pillow does: a convolution whose support grows with the reduction, along rows first, and rounded before it goes along
/// columns, which determines where a bicubic overshoot is clipped.
fn resize(photo: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    let options = filter.options();
    if filter == Filter::Linear {
        return linear::resize(photo, width, height);
    }
    let mut image = photo.clone();
    for (width, height) in [(width, photo.height()), (width, height)] {
        if image.dimensions() == (width, height) {
            continue;
        }
        let source = Image::from_vec_u8(image.width(), image.height(), image.into_raw(), PixelType::U8x3)
            .expect("an RGB image has three bytes per pixel");
        let mut target = Image::new(width, height, PixelType::U8x3);
        Resizer::new()
            .resize(&source, &mut target, &options)
            .expect("both images have three bytes per pixel");
        image = RgbImage::from_raw(width, height, target.into_vec()).expect("an image of the requested size");
    }
    image
}

/// Resizes a band, as [`resize`] does but without rounding.
fn resize_band(band: &[f32], [width, height]: [u32; 2], full: [u32; 2], filter: Filter) -> Vec<f32> {
    let bytes = band.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let source =
        Image::from_vec_u8(width, height, bytes, PixelType::F32).expect("a band has a float per pixel");
    let mut target = Image::new(full[0], full[1], PixelType::F32);
    let resized = Resizer::new().resize(&source, &mut target, &filter.options());
    resized.expect("both have a float per pixel");
    let (floats, _) = target.buffer().as_chunks();
    floats.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect()
}
