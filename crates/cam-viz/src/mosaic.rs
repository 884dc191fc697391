//! Several maps over one photo, a color each: at every place the color of the hottest, as opaque as that is hot. The
//! photo is gray, so that what has a color is a map.

use crate::pixel::{blend, luma, unseen};
use crate::{Area, Error, Figure, HeatMap};
use image::{Rgb, RgbImage};

/// Okabe and Ito's colors (2008), which the color-blind tell apart, neighbours far apart.
const COLORS: [Rgb<u8>; 7] = [
    Rgb([230, 159, 0]),
    Rgb([86, 180, 233]),
    Rgb([204, 121, 167]),
    Rgb([0, 158, 115]),
    Rgb([213, 94, 0]),
    Rgb([240, 228, 66]),
    Rgb([0, 114, 178]),
];

/// Shows several maps over one photo, such as the concepts of a deep feature factorization or the maps of several
/// classes: each has a color, and a key says what it means. The maps are from 0 to 1.
///
/// After seven maps the colors begin anew.
///
/// ```
/// use cam_viz::{HeatMap, Mosaic, RgbImage};
///
/// let photo = RgbImage::new(64, 64);
/// let (head, legs) = (HeatMap::new(1, 2, [1.0, 0.0])?, HeatMap::new(1, 2, [0.0, 0.7])?);
/// let figure = Mosaic::new(&photo).map("bull mastiff 61 %", head).map("table 12 %", legs).draw()?;
/// assert_eq!(figure.picture().dimensions(), photo.dimensions());
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
    /// Over the whole photo.
    pub fn new(photo: &'a RgbImage) -> Self {
        Self { photo, maps: vec![], alpha: 0.7, area: Area::whole(photo) }
    }

    /// With one more map in the next color, and what the key says to it.
    pub fn map(mut self, meaning: impl Into<String>, map: HeatMap) -> Self {
        self.maps.push((meaning.into(), map));
        self
    }

    /// With this opacity, from 0 to 1, where a map is 1; at first 0.7.
    pub fn alpha(self, alpha: f32) -> Self {
        Self { alpha, ..self }
    }

    /// Over this area of the photo, the only part that the model saw.
    pub fn area(self, area: Area) -> Self {
        Self { area, ..self }
    }

    /// The color of the map that was given at this place, from 0.
    pub fn color(place: usize) -> Rgb<u8> {
        COLORS[place % COLORS.len()]
    }

    /// The photo under the maps, with a key of the colors.
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
        let picture = self.area.over(
            self.photo,
            |photo, at| {
                let (map, value) = hottest(at);
                blend(Rgb([luma(photo); 3]), Self::color(map), self.alpha * value.min(1.0))
            },
            unseen,
        );
        let key = self.maps.iter().map(|(meaning, _)| meaning).enumerate();
        Ok(key.fold(Figure::new(picture), |figure, (map, meaning)| figure.key(Self::color(map), meaning)))
    }
}
