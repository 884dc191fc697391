//! The overlay modes. A new mode is a row here, its drawing in `paint.rs`, and its test.

use crate::{Error, HeatMap, Overlay, paint, table::table};
use image::RgbImage;

/// What is known about a mode.
struct ModeRow {
    name: &'static str,
    help: &'static str,
    /// The default opacity of what is drawn over the photo.
    alpha: f32,
    paint: Painter,
}

/// Draws a map that is resized to the area of the overlay, at an opacity from 0 to 1.
type Painter = fn(&Overlay<'_>, &HeatMap, f32) -> Result<RgbImage, Error>;

table! {
    /// How an [`Overlay`] shows a map over its photo.
    ///
    /// ```
    /// use cam_viz::Mode;
    ///
    /// let mode: Mode = "contour".parse()?;
    /// assert_eq!(mode, Mode::Contour);
    /// assert_eq!(
    ///     "lines".parse::<Mode>().unwrap_err().to_string(),
    ///     r#"unknown overlay mode "lines", expected one of blend, heat, mask, alpha, contour, box"#,
    /// );
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Mode: ModeRow, unknown: UnknownMode {
        /// The colors of the map over the photo, equally opaque everywhere.
        Blend => {
            name: "blend",
            help: "the colors of the heat over the photo",
            alpha: 0.5,
            paint: paint::colors,
        },
        /// The colors of the map alone.
        Heat => {
            name: "heat",
            help: "the colors of the heat alone",
            alpha: 1.0,
            paint: paint::colors,
        },
        /// The photo in hot regions, darkened elsewhere.
        Mask => {
            name: "mask",
            help: "the photo where it is hot, darkened elsewhere",
            alpha: 0.75,
            paint: paint::mask,
        },
        /// Colors whose opacity grows with the value, from the median of the map on, so that half of the photo is unchanged. The default.
        #[default]
        Alpha => {
            name: "alpha",
            help: "colors where it is hot, the photo where it is cold",
            alpha: 0.7,
            paint: paint::colors_by_value,
        },
        /// Lines of equal value on the photo, in the colors of their levels, which are written on them.
        Contour => {
            name: "contour",
            help: "lines of equal heat on the photo",
            alpha: 1.0,
            paint: paint::contours,
        },
        /// Boxes around the hot regions.
        Box => {
            name: "box",
            help: "boxes around the hot regions",
            alpha: 1.0,
            paint: paint::boxes,
        },
    }
}

impl Mode {
    /// Returns the default opacity of what is drawn over the photo.
    pub(crate) fn alpha(self) -> f32 {
        self.row().alpha
    }

    /// Returns the function that draws this mode.
    pub(crate) fn painter(self) -> Painter {
        self.row().paint
    }
}
