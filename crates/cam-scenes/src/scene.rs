//! Scenes: images with ground truth.

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

/// The minimum side of a scene in pixels: below it, small objects have almost no pixels.
pub const MIN_SIDE: u32 = 16;
/// The maximum side of a scene in pixels.
pub const MAX_SIDE: u32 = 4096;
/// The maximum number of objects in a scene.
pub const MAX_OBJECTS: usize = 4;

/// The streams of random numbers of a seed. Changing a number changes every scene.
mod stream {
    pub(super) const CLASSES: u64 = 0;
    pub(super) const LAYOUT: u64 = 1;
    pub(super) const BACKDROP: u64 = 2;
    pub(super) const CLUTTER: u64 = 3;
    pub(super) const GRAIN: u64 = 4;
    /// The stream of the first object; those of the others follow.
    pub(super) const OBJECTS: u64 = 16;
}

/// One object of a scene.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Object {
    /// The class.
    pub class: Class,
    /// The visible pixels of the object; those that another object hides are not included.
    pub mask: Mask,
    /// The visible fraction of the object, in `[0, 1]`: 1 if no other object hides part of it.
    pub visible: f32,
}

/// A square image of objects over clutter, with the class and mask of each object.
///
/// A scene is determined by its seed, its classes and its side, on any thread. It is laid out in fractions of its side, so that another
/// side shows the same scene at another size.
///
/// ```
/// use cam_scenes::Scene;
///
/// let scene = Scene::draw(7, 128)?;
/// assert_eq!(scene.image.dimensions(), (128, 128));
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
    /// The seed.
    pub seed: u64,
    /// The image, `side` by `side` pixels.
    pub image: RgbImage,
    /// The objects from the bottom to the top; their masks are disjoint.
    pub objects: Vec<Object>,
}

impl Scene {
    /// Draws the scene of `seed` as an image of `side` by `side` pixels.
    ///
    /// It has two or three objects, rarely one, of different classes.
    ///
    /// # Errors
    ///
    /// [`Error::Side`] if `side` is not in [`MIN_SIDE`]`..=`[`MAX_SIDE`].
    pub fn draw(seed: u64, side: u32) -> Result<Self, Error> {
        Self::with_classes(seed, side, &choose_classes(seed))
    }

    /// Draws the scene of `seed` with one object per class, the first at the bottom.
    ///
    /// A class may occur more than once. The background does not depend on the classes, and the positions of the objects depend only on
    /// their number.
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
    /// [`Error::Side`] if `side` is not in [`MIN_SIDE`]`..=`[`MAX_SIDE`], [`Error::Objects`] if `classes` is empty or longer than
    /// [`MAX_OBJECTS`].
    pub fn with_classes(seed: u64, side: u32, classes: &[Class]) -> Result<Self, Error> {
        if !(1..=MAX_OBJECTS).contains(&classes.len()) {
            return Err(Error::Objects { count: classes.len() });
        }
        let mut canvas = draw_background(seed, side)?;
        let placements = layout::place_objects(&mut Dice::new(seed, stream::LAYOUT), classes.len());
        let mut objects: Vec<Object> = Vec::with_capacity(classes.len());
        let mut areas = Vec::with_capacity(classes.len());
        for ((number, &class), placement) in (0..).zip(classes).zip(placements) {
            let mut dice = Dice::new(seed, stream::OBJECTS + number);
            let layer = Layer::new(class, placement, side, &mut dice).ok_or(Error::Side { side })?;
            layer.draw_on(&mut canvas);
            objects.iter_mut().for_each(|below| layer.hide(&mut below.mask));
            let mask = layer.mask(side);
            areas.push(mask.area());
            objects.push(Object { class, mask, visible: 1.0 });
        }
        for (object, area) in objects.iter_mut().zip(areas) {
            object.visible = object.mask.area() as f32 / area.max(1) as f32;
        }
        Ok(Self { seed, image: add_grain(seed, canvas), objects })
    }

    /// Draws the background of `seed` as an image of `side` by `side` pixels: its scene without the objects.
    ///
    /// # Errors
    ///
    /// [`Error::Side`] if `side` is not in [`MIN_SIDE`]`..=`[`MAX_SIDE`].
    pub fn background(seed: u64, side: u32) -> Result<RgbImage, Error> {
        Ok(add_grain(seed, draw_background(seed, side)?))
    }

    /// Reports which classes the scene contains, by [`Class::index`].
    #[must_use]
    pub fn labels(&self) -> [bool; Class::ALL.len()] {
        Class::ALL.map(|class| self.objects.iter().any(|object| object.class == class))
    }

    /// Returns the pixels of all objects of `class`; empty if the scene has none.
    #[must_use]
    pub fn mask_of(&self, class: Class) -> Mask {
        let (width, height) = self.image.dimensions();
        let of_class = || self.objects.iter().filter(|object| object.class == class);
        Mask::from_fn(width, height, |x, y| of_class().any(|object| object.mask.contains(x, y)))
    }
}

/// Returns the classes of the scene of `seed`, all different.
fn choose_classes(seed: u64) -> Vec<Class> {
    let mut dice = Dice::new(seed, stream::CLASSES);
    let count = dice.pick([1, 2, 2, 2, 2, 3, 3, 3]);
    let mut left = Class::ALL.to_vec();
    (0..count).map(|_| left.swap_remove(dice.below(left.len() as u32) as usize)).collect()
}

/// Draws the backdrop with its clutter.
fn draw_background(seed: u64, side: u32) -> Result<Pixmap, Error> {
    let canvas = if (MIN_SIDE..=MAX_SIDE).contains(&side) { Pixmap::new(side, side) } else { None };
    let mut canvas = canvas.ok_or(Error::Side { side })?;
    let mut dice = Dice::new(seed, stream::BACKDROP);
    let palette = Palette::new(&mut dice);
    backdrop::draw(&mut canvas, &palette, &mut dice);
    let mut pen = Pen::new(&mut canvas, Transform::from_scale(side as f32, side as f32));
    clutter::draw(&mut pen, &palette, &mut Dice::new(seed, stream::CLUTTER));
    Ok(canvas)
}

/// Returns the image on `canvas` with grain added.
fn add_grain(seed: u64, mut canvas: Pixmap) -> RgbImage {
    let grain = Lattice::new(&mut Dice::new(seed, stream::GRAIN), 96, 6.0);
    noise::add(&[grain], &mut canvas);
    let mut image = RgbImage::new(canvas.width(), canvas.height());
    for (to, from) in image.pixels_mut().zip(canvas.data().chunks_exact(4)) {
        to.0.copy_from_slice(&from[..3]);
    }
    image
}
