//! Images of class activation maps: heat maps, color maps, overlays, contact sheets.
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.
//!
//! It knows no tensors and no models. A map is a [`HeatMap`], a photo is an [`RgbImage`], and all results are [`RgbImage`]s:
//!
//! * [`HeatMap`]: values with a width and a height, resized bilinearly,
//! * [`ColorMap`]: colors for values,
//! * [`Overlay`]: a heat map over the photo it explains, at the resolution of the photo, in one of several [`Mode`]s,
//! * [`Mosaic`]: several maps over one photo, each in its own color,
//! * [`Gradient`]: a signed image around mid-gray, such as that of guided backpropagation,
//! * [`Threshold`] and [`Region`]: the value from which on pixels are hot, and connected hot regions,
//! * [`outline`] and [`Marker`]: the border of a mask, the peak of a map,
//! * [`Figure`]: an image with captions, a key and a [`ColorBar`],
//! * [`Sheet`]: images or figures in a grid with a title and captions, in pixels or as SVG,
//! * [`save`]: writes a PNG, JPEG or WebP file atomically; [`write()`] does so for other bytes.
//!
//! Pixels are counted row by row from the top left corner, `x` to the right and `y` down. Failures are [`Error`]s; nothing panics and
//! nothing is printed.
//!
//! ```
//! use cam_viz::{Area, ColorMap, HeatMap, Overlay, RgbImage, Sheet, save};
//!
//! let photo = RgbImage::new(60, 40);
//! let heat = HeatMap::new(2, 2, [0.0, 0.25, 0.5, 1.0])?;
//! let crop = Area { x: 10, y: 0, width: 40, height: 40 };
//! let image = Overlay::new(&photo).colors(ColorMap::Viridis).alpha(0.5).area(crop).draw(&heat)?;
//! assert_eq!(image.dimensions(), photo.dimensions());
//!
//! let sheet = Sheet::new("Two images").columns(["photo", "CAM"]).row("dog", [photo, image]).draw()?;
//! let folder = tempfile::tempdir()?;
//! save(&sheet, folder.path().join("sheet.png"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The font
//!
//! Text is set in Hack Regular, which is compiled into the program. Hack is © Source Foundry Authors under the MIT license and derives from
//! Bitstream Vera, whose license is permissive as well. `FONT-LICENSE.txt` in this package holds both texts, which must accompany programs
//! that contain the font.

#![deny(missing_docs)]

mod area;
mod bar;
mod boxes;
mod color;
mod contour;
mod enlarge;
mod error;
mod figure;
mod file;
mod gradient;
mod labels;
mod layout;
mod line;
mod map;
mod marker;
mod mode;
mod mosaic;
mod outline;
mod overlay;
mod page;
mod paint;
mod pixel;
mod region;
mod sheet;
mod table;
mod text;
mod threshold;

pub use area::Area;
pub use bar::ColorBar;
pub use boxes::{class_color, draw_box};
pub use color::ColorMap;
pub use enlarge::enlarged;
pub use error::Error;
pub use figure::Figure;
pub use file::{encode, png_text, remove_stale, save, with_png_text, write};
pub use gradient::Gradient;
pub use image::{Rgb, RgbImage};
pub use map::{HeatMap, MAX_PIXELS};
pub use marker::Marker;
pub use mode::Mode;
pub use mosaic::Mosaic;
pub use outline::outline;
pub use overlay::Overlay;
pub use region::Region;
pub use sheet::{Background, Sheet};
pub use threshold::Threshold;
