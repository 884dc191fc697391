//! Pictures for class activation maps: heat maps, color maps, overlays, contact sheets.
//!
//! This crate knows no tensors and no models. A map is numbers in a [`HeatMap`], a photo is an
//! [`RgbImage`], and everything it makes is an [`RgbImage`] again:
//!
//! * [`HeatMap`]: values with a width and a height, resized bilinearly,
//! * [`ColorMap`]: a value becomes a color,
//! * [`Overlay`]: a heat map over the photo it explains, at the photo's own resolution, in one of several [`Mode`]s,
//! * [`Mosaic`]: several maps over one photo, a color each,
//! * [`Gradient`]: a signed picture around mid-gray, as guided backpropagation makes it,
//! * [`Threshold`] and [`Region`]: from which value on a place is hot, and which places are hot together,
//! * [`outline`] and [`Marker`]: the border of a true mask, the peak of a map,
//! * [`Figure`]: a picture with captions, a key and a [`ColorBar`],
//! * [`Sheet`]: many pictures or figures with a title and captions, in pixels or as SVG,
//! * [`save`]: a PNG, JPEG or WebP file, written whole or not at all; [`write()`] for other bytes.
//!
//! Pixels are counted from the top left corner, `x` to the right and `y` down, row by row. What can go wrong is
//! an [`Error`]; nothing panics and nothing is printed.
//!
//! ```
//! use cam_viz::{Area, ColorMap, HeatMap, Overlay, RgbImage, Sheet, save};
//!
//! let photo = RgbImage::new(60, 40);
//! let heat = HeatMap::new(2, 2, [0.0, 0.25, 0.5, 1.0])?;
//! let seen = Area { x: 10, y: 0, width: 40, height: 40 };
//! let picture = Overlay::new(&photo).colors(ColorMap::Viridis).alpha(0.5).area(seen).draw(&heat)?;
//! assert_eq!(picture.dimensions(), photo.dimensions());
//!
//! let sheet = Sheet::new("Two pictures").columns(["photo", "CAM"]).row("dog", [photo, picture]).draw()?;
//! let folder = tempfile::tempdir()?;
//! save(&sheet, folder.path().join("sheet.png"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The font
//!
//! Text is set in Hack Regular, which is compiled into the program. Hack is © Source Foundry Authors under the MIT
//! license and derives from Bitstream Vera under its own, as permissive, license; `FONT-LICENSE.txt` beside this
//! crate's manifest holds both texts, and they go along with programs that carry the font.

#![deny(missing_docs)]

mod area;
mod bar;
mod color;
mod contour;
mod error;
mod figure;
mod file;
mod gradient;
mod layout;
mod line;
mod map;
mod marker;
mod mode;
mod mosaic;
mod outline;
mod overlay;
mod page;
mod pixel;
mod region;
mod sheet;
mod text;
mod threshold;

pub use area::Area;
pub use bar::ColorBar;
pub use color::ColorMap;
pub use error::Error;
pub use figure::Figure;
pub use file::{encode, save, write};
pub use gradient::Gradient;
pub use image::{Rgb, RgbImage};
pub use map::{HeatMap, MOST_PIXELS};
pub use marker::Marker;
pub use mode::Mode;
pub use mosaic::Mosaic;
pub use outline::outline;
pub use overlay::Overlay;
pub use region::Region;
pub use sheet::{Background, Sheet};
pub use threshold::Threshold;
