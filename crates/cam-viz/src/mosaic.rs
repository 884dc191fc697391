//! Several maps over one photo, each in its own color. A pixel has the color of the map that is largest there, with an opacity that
//! grows with the value. The photo is gray, so that all colors are those of maps.

use crate::pixel::{blend, dim, luma};
use crate::{Area, Error, Figure, HeatMap};
use image::{Rgb, RgbImage};

/// The colors of Okabe and Ito (2008), which color-blind readers can distinguish, ordered so that neighbors differ strongly.
const COLORS: [Rgb<u8>; 7] = [
    Rgb([230, 159, 0]),
    Rgb([86, 180, 233]),
    Rgb([204, 121, 167]),
    Rgb([0, 158, 115]),
    Rgb([213, 94, 0]),
    Rgb([240, 228, 66]),
    Rgb([0, 114, 178]),
];

/// Shows several maps over one photo, such as the concepts of a deep feature factorization or the maps of several classes. Each has a
/// color, and a key shows its meaning. The values of the maps are from 0 to 1.
///
/// After seven maps the colors repeat.
///
/// ```
/// use cam_viz::{HeatMap, Mosaic, RgbImage};
///
/// let photo = RgbImage::new(64, 64);
/// let (head, legs) = (HeatMap::new(1, 2, [1.0, 0.0])?, HeatMap::new(1, 2, [0.0, 0.7])?);
/// let figure = Mosaic::new(&photo).map("bull mastiff 61 %", head).map("table 12 %", legs).draw()?;
/// assert_eq!(figure.image().dimensions(), photo.dimensions());
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mosaic<'a> {
    photo: &'a RgbImage,
    maps: Vec<(String, HeatMap)>,
    alpha: f32,
    area: Area,
}

impl<'a> Mosaic<'a> {
    /// Makes a mosaic over the whole photo.
    pub fn new(photo: &'a RgbImage) -> Self {
        Self { photo, maps: vec![], alpha: 0.7, area: Area::whole(photo) }
    }

    /// Adds a map in the next color, with its meaning for the key.
    pub fn map(mut self, meaning: impl Into<String>, map: HeatMap) -> Self {
        self.maps.push((meaning.into(), map));
        self
    }

    /// Sets the opacity where a map is 1, from 0 to 1. The default is 0.7.
    pub fn alpha(self, alpha: f32) -> Self {
        Self { alpha, ..self }
    }

    /// Sets the area of the photo that the maps cover, which is the part that the model saw. The default is the whole photo.
    pub fn area(self, area: Area) -> Self {
        Self { area, ..self }
    }

    /// Returns the color of the map with this index.
    pub fn color(index: usize) -> Rgb<u8> {
        COLORS[index % COLORS.len()]
    }

    /// Draws the maps over the photo, with a key of the colors.
    pub fn draw(&self) -> Result<Figure, Error> {
        if !(0.0..=1.0).contains(&self.alpha) {
            return Err(Error::Alpha { alpha: self.alpha });
        }
        let fit = |(_, map): &(String, HeatMap)| self.area.fit(map, self.photo);
        let maps: Vec<HeatMap> = self.maps.iter().map(fit).collect::<Result<_, _>>()?;
        let hottest = |at: usize| {
            let values = maps.iter().map(|map| map.values()[at]).enumerate();
            values.fold((0, 0.0), |best, one| if one.1 > best.1 { one } else { best })
        };
        let image = self.area.map_pixels(
            self.photo,
            |photo, at| {
                let (map, value) = hottest(at);
                blend(Rgb([luma(photo); 3]), Self::color(map), self.alpha * value.min(1.0))
            },
            dim,
        );
        let key = self.maps.iter().map(|(meaning, _)| meaning).enumerate();
        Ok(key.fold(Figure::new(image), |figure, (map, meaning)| figure.key(Self::color(map), meaning)))
    }
}
