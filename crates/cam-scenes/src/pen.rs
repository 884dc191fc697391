//! A pen over a pixmap: fills and strokes outlines given in the drawer's own units.

use tiny_skia::{
    BlendMode, Color, FillRule, GradientStop, LineCap, LineJoin, LinearGradient, Paint, Pixmap, Point,
    RadialGradient, Shader, SpreadMode, Stroke, Transform,
};

use crate::shapes::Outline;

/// What an outline is filled with.
#[derive(Clone)]
pub(crate) struct Ink(Shader<'static>);

impl From<Color> for Ink {
    fn from(color: Color) -> Self {
        Self(Shader::SolidColor(color))
    }
}

impl Ink {
    /// From `first` at point `from` to `last` at point `to`.
    pub(crate) fn fade(from: (f32, f32), to: (f32, f32), first: Color, last: Color) -> Self {
        let (from, to) = (Point::from_xy(from.0, from.1), Point::from_xy(to.0, to.1));
        LinearGradient::new(from, to, stops(first, last), SpreadMode::Pad, Transform::identity())
            .map_or_else(|| last.into(), Self)
    }

    /// From `inner` at (`x`, `y`) to `outer` at distance `r`.
    pub(crate) fn glow(x: f32, y: f32, r: f32, inner: Color, outer: Color) -> Self {
        let at = Point::from_xy(x, y);
        RadialGradient::new(at, 0.0, at, r, stops(inner, outer), SpreadMode::Pad, Transform::identity())
            .map_or_else(|| outer.into(), Self)
    }
}

fn stops(first: Color, last: Color) -> Vec<GradientStop> {
    vec![GradientStop::new(0.0, first), GradientStop::new(1.0, last)]
}

/// Where a stroke or fill may leave ink.
#[derive(Clone, Copy)]
pub(crate) enum Where {
    /// Anywhere.
    Over,
    /// Only on what is already drawn on this pixmap, so that a pattern cannot leave its object.
    Inside,
}

/// Draws on a pixmap in units of its own.
pub(crate) struct Pen<'a> {
    canvas: &'a mut Pixmap,
    to_pixels: Transform,
}

impl<'a> Pen<'a> {
    /// A pen whose point `p` lands on pixel `to_pixels(p)` of `canvas`.
    pub(crate) fn new(canvas: &'a mut Pixmap, to_pixels: Transform) -> Self {
        Self { canvas, to_pixels }
    }

    /// The same pen with everything moved by (`dx`, `dy`).
    pub(crate) fn moved(&mut self, dx: f32, dy: f32) -> Pen<'_> {
        self.changed(Transform::from_translate(dx, dy))
    }

    /// The same pen about (`x`, `y`), turned by `angle`.
    pub(crate) fn turned(&mut self, x: f32, y: f32, angle: f32) -> Pen<'_> {
        let (sin, cos) = angle.sin_cos();
        self.changed(Transform::from_row(cos, sin, -sin, cos, x, y))
    }

    fn changed(&mut self, by: Transform) -> Pen<'_> {
        Pen { canvas: self.canvas, to_pixels: self.to_pixels.pre_concat(by) }
    }

    /// Fills `outline`.
    pub(crate) fn fill(&mut self, outline: &Outline, ink: impl Into<Ink>) {
        self.fill_where(Where::Over, outline, ink.into());
    }

    /// Fills the part of `outline` that lies on what is already drawn.
    pub(crate) fn fill_inside(&mut self, outline: &Outline, ink: impl Into<Ink>) {
        self.fill_where(Where::Inside, outline, ink.into());
    }

    /// Strokes `outline`, `width` wide.
    pub(crate) fn stroke(&mut self, outline: &Outline, width: f32, ink: impl Into<Ink>) {
        self.stroke_where(Where::Over, outline, width, ink.into());
    }

    /// Strokes the part of `outline` that lies on what is already drawn.
    pub(crate) fn stroke_inside(&mut self, outline: &Outline, width: f32, ink: impl Into<Ink>) {
        self.stroke_where(Where::Inside, outline, width, ink.into());
    }

    fn fill_where(&mut self, place: Where, outline: &Outline, ink: Ink) {
        if let Some(path) = outline {
            self.canvas.fill_path(path, &paint(place, ink), FillRule::Winding, self.to_pixels, None);
        }
    }

    fn stroke_where(&mut self, place: Where, outline: &Outline, width: f32, ink: Ink) {
        if let Some(path) = outline {
            let stroke =
                Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
            self.canvas.stroke_path(path, &paint(place, ink), &stroke, self.to_pixels, None);
        }
    }
}

fn paint(place: Where, ink: Ink) -> Paint<'static> {
    let blend_mode = match place {
        Where::Over => BlendMode::SourceOver,
        Where::Inside => BlendMode::SourceAtop,
    };
    Paint { shader: ink.0, blend_mode, anti_alias: true, ..Paint::default() }
}
