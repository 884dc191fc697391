//! A picture with its truth.

use image::RgbImage;
use tiny_skia::{Pixmap, Transform};

use crate::backdrop::{self, Palette};
use crate::class::Class;
use crate::clutter;
use crate::dice::Dice;
use crate::error::Error;
use crate::layer::Layer;
use crate::layout;
use crate::mask::Mask;
use crate::noise::{self, Lattice};
use crate::pen::Pen;

/// The least side of a scene in pixels: below it, small objects have next to no pixels.
pub const MIN_SIDE: u32 = 16;
/// The greatest side of a scene in pixels.
pub const MAX_SIDE: u32 = 4096;
/// The most objects a scene has room for.
pub const MAX_OBJECTS: usize = 4;

/// What each stream of random numbers of a seed is for. Their numbers are part of every scene.
mod stream {
    pub(super) const CLASSES: u64 = 0;
    pub(super) const LAYOUT: u64 = 1;
    pub(super) const BACKDROP: u64 = 2;
    pub(super) const CLUTTER: u64 = 3;
    pub(super) const GRAIN: u64 = 4;
    /// The first object; the others follow.
    pub(super) const OBJECTS: u64 = 16;
}

/// One object of a scene.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Object {
    /// What it is.
    pub class: Class,
    /// The pixels of the picture where it is seen; those that another object hides are not in it.
    pub mask: Mask,
    /// The share of the object that is seen, in `[0, 1]`: 1 when no other object hides part of it.
    pub visible: f32,
}

/// A square picture of objects over clutter, with the truth about what is where.
///
/// A scene is made of nothing but its seed, its classes and its side: the same three give the same scene,
/// on any thread. All of a scene is laid out in shares of its side, so that two sides show one scene at
/// two sizes.
///
/// ```
/// use cam_scenes::Scene;
///
/// let scene = Scene::draw(7, 128)?;
/// assert_eq!(scene.picture.dimensions(), (128, 128));
/// for object in &scene.objects {
///     assert_eq!((object.mask.width(), object.mask.height()), (128, 128));
///     assert!(object.mask.area() > 0 && object.visible >= 0.7);
///     assert!(scene.labels()[object.class.index()]);
/// }
/// assert_eq!(Scene::draw(7, 128)?, scene);
/// # Ok::<(), cam_scenes::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Scene {
    /// The seed it was drawn from.
    pub seed: u64,
    /// The picture, `side` by `side` pixels.
    pub picture: RgbImage,
    /// The objects from the lowest to the topmost; their masks share no pixel.
    pub objects: Vec<Object>,
}

impl Scene {
    /// The scene of `seed` on a picture of `side` by `side` pixels.
    ///
    /// It holds two or three objects, seldom one, each of another class.
    ///
    /// # Errors
    ///
    /// [`Error::Side`] when `side` is not in [`MIN_SIDE`]`..=`[`MAX_SIDE`].
    pub fn draw(seed: u64, side: u32) -> Result<Self, Error> {
        Self::with_classes(seed, side, &chosen(seed))
    }

    /// The scene of `seed` with one object for each of `classes`, the first the lowest.
    ///
    /// A class may be named more than once. The classes change neither the background nor, for the same
    /// number of them, the places of the objects.
    ///
    /// ```
    /// use cam_scenes::{Class, Error, Scene};
    ///
    /// let scene = Scene::with_classes(3, 96, &[Class::Fish, Class::Clock])?;
    /// assert_eq!(scene.objects[1].class, Class::Clock);
    /// assert_eq!(Scene::with_classes(3, 96, &[]), Err(Error::Objects { count: 0 }));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Side`] when `side` is not in [`MIN_SIDE`]`..=`[`MAX_SIDE`], [`Error::Objects`] when
    /// `classes` is empty or longer than [`MAX_OBJECTS`].
    pub fn with_classes(seed: u64, side: u32, classes: &[Class]) -> Result<Self, Error> {
        if !(1..=MAX_OBJECTS).contains(&classes.len()) {
            return Err(Error::Objects { count: classes.len() });
        }
        let mut canvas = ground(seed, side)?;
        let places = layout::places(&mut Dice::new(seed, stream::LAYOUT), classes.len());
        let mut objects: Vec<Object> = Vec::with_capacity(classes.len());
        let mut areas = Vec::with_capacity(classes.len());
        for ((number, &class), place) in (0..).zip(classes).zip(places) {
            let mut dice = Dice::new(seed, stream::OBJECTS + number);
            let layer = Layer::new(class, place, side, &mut dice).ok_or(Error::Side { side })?;
            layer.lay_on(&mut canvas);
            objects.iter_mut().for_each(|below| layer.hide(&mut below.mask));
            let mask = layer.mask(side);
            areas.push(mask.area());
            objects.push(Object { class, mask, visible: 1.0 });
        }
        for (object, area) in objects.iter_mut().zip(areas) {
            object.visible = object.mask.area() as f32 / area.max(1) as f32;
        }
        Ok(Self { seed, picture: finished(seed, canvas), objects })
    }

    /// The background of `seed` on a picture of `side` by `side` pixels: its scene without its objects.
    ///
    /// # Errors
    ///
    /// [`Error::Side`] when `side` is not in [`MIN_SIDE`]`..=`[`MAX_SIDE`].
    pub fn background(seed: u64, side: u32) -> Result<RgbImage, Error> {
        Ok(finished(seed, ground(seed, side)?))
    }

    /// Which classes the scene holds, by [`Class::index`].
    #[must_use]
    pub fn labels(&self) -> [bool; Class::ALL.len()] {
        Class::ALL.map(|class| self.objects.iter().any(|object| object.class == class))
    }

    /// The pixels of all objects of `class`; empty when the scene holds none.
    #[must_use]
    pub fn mask_of(&self, class: Class) -> Mask {
        let (width, height) = self.picture.dimensions();
        let of_class = || self.objects.iter().filter(|object| object.class == class);
        Mask::from_fn(width, height, |x, y| of_class().any(|object| object.mask.contains(x, y)))
    }
}

/// The classes of the scene of `seed`, all different.
fn chosen(seed: u64) -> Vec<Class> {
    let mut dice = Dice::new(seed, stream::CLASSES);
    let count = dice.pick([1, 2, 2, 2, 2, 3, 3, 3]);
    let mut left = Class::ALL.to_vec();
    (0..count).map(|_| left.swap_remove(dice.below(left.len() as u32) as usize)).collect()
}

/// The backdrop with its clutter.
fn ground(seed: u64, side: u32) -> Result<Pixmap, Error> {
    let canvas = if (MIN_SIDE..=MAX_SIDE).contains(&side) { Pixmap::new(side, side) } else { None };
    let mut canvas = canvas.ok_or(Error::Side { side })?;
    let mut dice = Dice::new(seed, stream::BACKDROP);
    let palette = Palette::new(&mut dice);
    backdrop::draw(&mut canvas, &palette, &mut dice);
    let mut pen = Pen::new(&mut canvas, Transform::from_scale(side as f32, side as f32));
    clutter::draw(&mut pen, &palette, &mut Dice::new(seed, stream::CLUTTER));
    Ok(canvas)
}

/// The picture on `canvas` with the grain of its paper.
fn finished(seed: u64, mut canvas: Pixmap) -> RgbImage {
    let grain = Lattice::new(&mut Dice::new(seed, stream::GRAIN), 96, 6.0);
    noise::add(&[grain], &mut canvas);
    let mut picture = RgbImage::new(canvas.width(), canvas.height());
    for (to, from) in picture.pixels_mut().zip(canvas.data().chunks_exact(4)) {
        to.0.copy_from_slice(&from[..3]);
    }
    picture
}
