//! Which scores are explained.

use crate::registry;
use crate::report::console::Console;
use crate::report::failure::Failure;
use burn_cam::{
    AnyTarget, Ask, Error, ImageExplainer, ImageExplanation, ImageModel, Mask, Part, PhotoReader, TargetInfo,
};
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most classes that a network can have: the longest side of a tensor that is recognized.
pub const MOST_CLASSES: i64 = 1 << 17;

/// Which scores of each image are explained.
#[derive(clap::Args, Clone, Serialize)]
#[group(id = "targets")]
#[command(next_help_heading = "What to explain")]
pub struct TargetArgs {
    /// A class, by number or name, or several [default: the top class]
    ///
    /// The option may be given several times. A pattern such as '*dog*' stands for any of the classes that match: the log of their summed
    /// probability is explained. By default it is the top class of each image; of classes that do not exclude each other all with a probability of at least a half.
    #[arg(long = "class", value_name = "ID|NAME", allow_negative_numbers = true)]
    pub classes: Vec<String>,
    /// Explain the K most confident predictions [default: 1; of a detector 5]
    #[arg(long, value_name = "K", conflicts_with = "classes", value_parser = clap::value_parser!(u32).range(1..=MOST_CLASSES), allow_negative_numbers = true)]
    pub top: Option<u32>,
    /// Explain what is at a point of each image, in pixels: of a detector the most confident box there
    #[arg(long, hide_short_help = true, value_name = "X,Y", value_parser = point)]
    pub at: Option<Point>,
    /// Explain a box that a detector should find: a class, and left, top, width and height in pixels; may be given several times
    #[arg(long, hide_short_help = true, value_name = "CLASS:X,Y,W,H", value_parser = expected)]
    pub expect: Vec<Expected>,
    /// Explain the region of a segmentation that is white in this image, of the size of the photo; with `--class` for that class
    #[arg(long, hide_short_help = true, value_name = "FILE", conflicts_with_all = ["top", "at", "expect"])]
    pub mask: Option<PathBuf>,
    /// Explain why a box is of its class and not of this one
    #[arg(long, hide_short_help = true, value_name = "ID|NAME")]
    pub against: Option<String>,
    /// What of a box is explained: its score, or why an edge is where it is
    #[arg(long, hide_short_help = true, value_name = "NAME", value_parser = PossibleValuesParser::new(Part::ALL.map(|(name, _)| name)), conflicts_with = "against")]
    pub part: Option<String>,
    /// Explain how similar each image is to this one, or to the vector of a `.npy` file, of a network that ends in an embedding: the
    /// cosine of both
    #[arg(long, hide_short_help = true, value_name = "FILE", conflicts_with_all = ["classes", "top", "at", "expect", "mask", "against", "part"])]
    pub like: Option<PathBuf>,
    /// Which score of a class is explained
    #[arg(long, hide_short_help = true, value_name = "NAME", default_value = registry().targets()[0].name, value_parser = scores())]
    pub score: String,
}

/// A point, x and y in pixels.
#[derive(Clone, Copy, Serialize)]
pub struct Point([f32; 2]);

/// A box of a class: left, top, right, bottom in pixels.
#[derive(Clone, Serialize)]
pub struct Expected {
    class: String,
    bounds: [f32; 4],
}

/// Returns whether a name stands for any of the classes that match.
fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

fn numbers<const N: usize>(text: &str) -> Option<[f32; N]> {
    let numbers: Option<Vec<f32>> =
        text.split(',').map(|number| number.trim().parse().ok().filter(|x: &f32| x.is_finite())).collect();
    numbers?.try_into().ok()
}

fn point(text: &str) -> Result<Point, String> {
    numbers(text).map(Point).ok_or_else(|| "two numbers with a comma between, as in 120,85".into())
}

fn expected(text: &str) -> Result<Expected, String> {
    let parts =
        text.rsplit_once(':').and_then(|(class, numbers_of)| Some((class, numbers::<4>(numbers_of)?)));
    match parts {
        Some((class, [x, y, width, height])) if width > 0.0 && height > 0.0 => {
            Ok(Expected { class: class.into(), bounds: [x, y, x + width, y + height] })
        }
        _ => Err("a class and the left, top, width and height of its box, as in dog:120,85,60,40".into()),
    }
}

/// Returns the names of the scores, with their help.
fn scores() -> PossibleValuesParser {
    let value = |target: &burn_cam::TargetInfo| PossibleValue::new(target.name).help(target.about);
    PossibleValuesParser::new(registry().targets().iter().map(value))
}

impl TargetArgs {
    /// Returns the targets that are asked for; none for those that are explained by default.
    pub fn targets(&self, model: &impl ImageModel, console: &Console) -> Result<Vec<AnyTarget>, Error> {
        let decoder = model.decoder();
        if self.like.is_some() {
            return Ok(Vec::new());
        }
        if decoder.has_places() {
            let named = self.classes.iter().chain(self.expect.iter().map(|expected| &expected.class));
            named.chain(&self.against).try_for_each(|name| decoder.class(name).map(drop))?;
            return Ok(Vec::new());
        }
        let placed = [
            ("--at", self.at.is_some()),
            ("--expect", !self.expect.is_empty()),
            ("--mask", self.mask.is_some()),
            ("--against", self.against.is_some()),
            ("--part", self.part.is_some()),
        ];
        if let Some((option, _)) = placed.into_iter().find(|(_, is_given)| *is_given) {
            return Err(Error::NotAsked {
                decoder: decoder.name(),
                what: format!("what `{option}` names: it has no places"),
            });
        }
        if self.info().is_some_and(|score| score.exclusive) && decoder.explains_several() {
            console.warn(format_args!(
                "`--score {}` is for classes that exclude each other, and those of this model do not",
                self.score
            ));
        }
        if let Some(top) = self.top {
            let (top, classes) = (top as usize, decoder.classes().unwrap_or(usize::MAX));
            if top > classes {
                console.warn(format_args!(
                    "`--top {top}`: the model has {classes} classes, and all are explained"
                ));
            }
            return (0..top.min(classes)).map(|rank| self.scored(decoder.ranked(rank))).collect();
        }
        if let (Some(pattern), true) =
            (self.classes.iter().find(|name| is_pattern(name)), self.score != registry().targets()[0].name)
        {
            let what = format!("`--score {}` of several classes together, `{pattern}`", self.score);
            return Err(Error::NotAsked { decoder: decoder.name(), what });
        }
        self.classes.iter().map(|name| self.scored(decoder.target(name)?)).collect()
    }

    /// Adds to the maps of classes together how likely these are, as their score is the log of it.
    pub fn set_probabilities(&self, model: &impl ImageModel, found: &mut ImageExplanation) {
        if model.decoder().explains_several() {
            return;
        }
        for map in found.maps.iter_mut().filter(|map| map.class.is_none() && map.probability.is_none()) {
            if self.classes.get(map.target).is_some_and(|name| is_pattern(name)) {
                map.probability = Some(map.score.exp().min(1.0));
            }
        }
    }

    /// Returns whether it is left open which predictions are explained.
    pub fn asks_nothing(&self) -> bool {
        let places = [self.at.is_some(), !self.expect.is_empty(), self.mask.is_some()];
        self.classes.is_empty() && self.top.is_none() && !places.contains(&true)
    }

    fn info(&self) -> Option<&'static TargetInfo> {
        registry().targets().iter().find(|target| target.name == self.score)
    }

    /// Returns the score of a target that is asked for.
    pub fn scored(&self, target: AnyTarget) -> Result<AnyTarget, Error> {
        registry().target(&self.score, target)
    }

    /// Returns the files that are read beside the images.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.mask, &self.like].into_iter().flatten().map(PathBuf::as_path)
    }

    /// Returns an explainer that also asks for the region of the mask.
    pub fn masked<'m, M: ImageModel>(
        &self,
        explainer: ImageExplainer<'m, M>,
    ) -> Result<ImageExplainer<'m, M>, Failure> {
        let Some(path) = &self.mask else { return Ok(explainer) };
        let photo = PhotoReader::default().open(path).map_err(burn_cam::Error::from)?;
        let pixels = burn_cam::image::DynamicImage::ImageRgb8(photo.pixels).into_luma8();
        let inside = pixels.as_raw().iter().map(|gray| *gray >= 128).collect();
        let mask = Mask::new(pixels.width() as usize, pixels.height() as usize, inside);
        let mask = Arc::new(mask.expect("there is a value for each pixel"));
        let classes: Vec<Option<String>> = match &self.classes[..] {
            [] => vec![None],
            named => named.iter().cloned().map(Some).collect(),
        };
        let ask = |class| Ask::Within { mask: Arc::clone(&mask), class };
        Ok(classes.into_iter().map(ask).fold(explainer, ImageExplainer::ask))
    }

    /// Returns an explainer that explains this score by default.
    pub fn explainer<'m, M: ImageModel>(&self, explainer: ImageExplainer<'m, M>) -> ImageExplainer<'m, M> {
        let mut explainer = match self.info() {
            Some(target) => explainer.default_score(target.build),
            None => explainer,
        };
        if !explainer.has_places() {
            return explainer;
        }
        let classes = if self.mask.is_some() { &[] } else { &self.classes[..] };
        let asks = classes.iter().map(|class| Ask::Class(class.clone()));
        let asks = asks.chain(self.top.map(|top| Ask::Top(top as usize)));
        let asks = asks.chain(self.at.map(|Point(point)| Ask::At(point)));
        let asks = asks.chain(
            self.expect
                .iter()
                .map(|Expected { class, bounds }| Ask::Expect { class: class.clone(), bounds: *bounds }),
        );
        explainer = asks.fold(explainer, ImageExplainer::ask);
        if let Some((_, part)) = Part::ALL.iter().find(|(name, _)| Some(*name) == self.part.as_deref()) {
            explainer = explainer.part(*part);
        }
        match &self.against {
            Some(class) => explainer.against(class),
            None => explainer,
        }
    }
}
