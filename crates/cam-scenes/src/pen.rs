//! A pen that fills and strokes outlines on a pixmap, in units of the drawing.

use tiny_skia::{
    BlendMode, Color, FillRule, GradientStop, LineCap, LineJoin, LinearGradient, Paint, Pixmap, Point,
    RadialGradient, Shader, SpreadMode, Stroke, Transform,
};

use crate::shapes::Outline;

/// The paint of an outline.
#[derive(Clone)]
pub(crate) struct Ink(Shader<'static>);

impl From<Color> for Ink {
    fn from(color: Color) -> Self {
        Self(Shader::SolidColor(color))
    }
}

impl Ink {
    /// Makes a linear gradient from `first` at point `from` to `last` at point `to`.
    pub(crate) fn fade(from: (f32, f32), to: (f32, f32), first: Color, last: Color) -> Self {
        let (from, to) = (Point::from_xy(from.0, from.1), Point::from_xy(to.0, to.1));
        LinearGradient::new(from, to, stops(first, last), SpreadMode::Pad, Transform::identity())
            .map_or_else(|| last.into(), Self)
    }

    /// Makes a radial gradient from `inner` at (`x`, `y`) to `outer` at distance `r`.
    pub(crate) fn glow(x: f32, y: f32, r: f32, inner: Color, outer: Color) -> Self {
        let at = Point::from_xy(x, y);
        RadialGradient::new(at, 0.0, at, r, stops(inner, outer), SpreadMode::Pad, Transform::identity())
            .map_or_else(|| outer.into(), Self)
    }
}

fn stops(first: Color, last: Color) -> Vec<GradientStop> {
    vec![GradientStop::new(0.0, first), GradientStop::new(1.0, last)]
}

/// The pixels that a stroke or fill may change.
#[derive(Clone, Copy)]
pub(crate) enum Clip {
    /// All pixels.
    None,
    /// Only pixels that are already drawn on this pixmap, so that a pattern stays within its object.
    Drawn,
}

/// A pen on a pixmap, with a transform from drawing units to pixels.
pub(crate) struct Pen<'a> {
    canvas: &'a mut Pixmap,
    to_pixels: Transform,
}

impl<'a> Pen<'a> {
    /// Makes a pen that draws point `p` at pixel `to_pixels(p)` of `canvas`.
    pub(crate) fn new(canvas: &'a mut Pixmap, to_pixels: Transform) -> Self {
        Self { canvas, to_pixels }
    }

    /// Returns the pen translated by (`dx`, `dy`).
    pub(crate) fn translated(&mut self, dx: f32, dy: f32) -> Pen<'_> {
        self.transformed(Transform::from_translate(dx, dy))
    }

    /// Returns the pen with its origin at (`x`, `y`), rotated by `angle`.
    pub(crate) fn rotated(&mut self, x: f32, y: f32, angle: f32) -> Pen<'_> {
        let (sin, cos) = angle.sin_cos();
        self.transformed(Transform::from_row(cos, sin, -sin, cos, x, y))
    }

    fn transformed(&mut self, by: Transform) -> Pen<'_> {
        Pen { canvas: self.canvas, to_pixels: self.to_pixels.pre_concat(by) }
    }

    /// Fills `outline`.
    pub(crate) fn fill(&mut self, outline: &Outline, ink: impl Into<Ink>) {
        self.fill_clipped(Clip::None, outline, ink.into());
    }

    /// Fills the part of `outline` that is on already drawn pixels.
    pub(crate) fn fill_inside(&mut self, outline: &Outline, ink: impl Into<Ink>) {
        self.fill_clipped(Clip::Drawn, outline, ink.into());
    }

    /// Strokes `outline` with a line of this width.
    pub(crate) fn stroke(&mut self, outline: &Outline, width: f32, ink: impl Into<Ink>) {
        self.stroke_clipped(Clip::None, outline, width, ink.into());
    }

    /// Strokes the part of `outline` that is on already drawn pixels.
    pub(crate) fn stroke_inside(&mut self, outline: &Outline, width: f32, ink: impl Into<Ink>) {
        self.stroke_clipped(Clip::Drawn, outline, width, ink.into());
    }

    fn fill_clipped(&mut self, clip: Clip, outline: &Outline, ink: Ink) {
        if let Some(path) = outline {
            self.canvas.fill_path(path, &paint(clip, ink), FillRule::Winding, self.to_pixels, None);
        }
    }

    fn stroke_clipped(&mut self, clip: Clip, outline: &Outline, width: f32, ink: Ink) {
        if let Some(path) = outline {
            let stroke =
                Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
            self.canvas.stroke_path(path, &paint(clip, ink), &stroke, self.to_pixels, None);
        }
    }
}

fn paint(clip: Clip, ink: Ink) -> Paint<'static> {
    let blend_mode = match clip {
        Clip::None => BlendMode::SourceOver,
        Clip::Drawn => BlendMode::SourceAtop,
    };
    Paint { shader: ink.0, blend_mode, anti_alias: true, ..Paint::default() }
}
