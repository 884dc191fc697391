//! Paints maps over their images.

use crate::report::failure::Failure;
use burn_cam::draw::{ColorBar, Mode, RgbImage, Threshold, enlarged};
use burn_cam::{ColorMap, HeatMap, ImageMap, Overlay};

/// The colors of standard deviations, which no map has.
pub const STD_COLORS: ColorMap = ColorMap::Magma;

/// Returns the color bar of standard deviations up to this one.
pub fn std_color_bar(largest: f32) -> ColorBar {
    ColorBar::from(STD_COLORS).range(0.0, largest)
}

/// How maps are painted.
pub struct Painter {
    mode: Mode,
    pub colors: ColorMap,
    alpha: Option<f32>,
    threshold: Threshold,
}

impl Painter {
    /// Creates a painter. Without an opacity each mode has its own.
    pub fn new(mode: Mode, colors: ColorMap, alpha: Option<f32>, threshold: Threshold) -> Self {
        Self { mode, colors, alpha, threshold }
    }

    /// Returns the image with a map over it.
    pub fn paint(&self, map: &ImageMap) -> Result<RgbImage, Failure> {
        Ok(map.paint(|overlay| self.style(overlay))?)
    }

    /// Returns the image with the standard deviation of a map over it, in colors that go up to this value.
    pub fn paint_std(&self, map: &ImageMap, std: &HeatMap, largest: f32) -> Result<RgbImage, Failure> {
        let (image, factor) = enlarged(map.source.pixels());
        let overlay = Overlay::new(&image).colors(STD_COLORS).area(map.area.times(factor));
        Ok(overlay.draw(&std.scaled(0.0, largest))?)
    }

    /// Returns the boxes that the overlay shows, the largest first: left, top, width and height in pixels of the image.
    pub fn boxes(&self, map: &ImageMap) -> Result<Option<Vec<[u32; 4]>>, Failure> {
        if self.mode != Mode::Box {
            return Ok(None);
        }
        let overlay = self.style(Overlay::new(map.source.pixels()).area(map.area));
        let regions = overlay.regions(&map.heatmap)?;
        let areas = regions.iter().map(|region| region.area);
        Ok(Some(areas.map(|area| [area.x, area.y, area.width, area.height]).collect()))
    }

    fn style<'a>(&self, overlay: Overlay<'a>) -> Overlay<'a> {
        let overlay = overlay.mode(self.mode).colors(self.colors).threshold(self.threshold);
        match self.alpha {
            Some(alpha) => overlay.alpha(alpha),
            None => overlay,
        }
    }
}
