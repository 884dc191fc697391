//! A model at work: pictures in, predictions and maps out.

use crate::console::Console;
use crate::failure::Failure;
use crate::looking::{self, Looking};
use crate::maps::{Batch, OneMap};
use crate::picture::Picture;
use crate::report::Seconds;
use burn::tensor::Tensor;
use cam_core::{Explainer, Method, Target};
use cam_models::{Classifier, Prediction};
use indicatif::ProgressBar;
use std::time::Instant;

/// How many classes of each picture are told.
const TOLD: usize = 5;

/// The methods of so many passes that each gets a bar of its own.
pub const SLOW: [&str; 4] = ["ablationcam", "scorecam", "sscam", "iscam"];

/// A model and everything that is asked of it.
pub struct Studio<'a> {
    pub model: &'a Classifier,
    pub targets: &'a [Box<dyn Target>],
    /// The layers in the order of the command line.
    pub layers: &'a [String],
    pub methods: &'a [&'static dyn Method],
    pub lookings: &'a [Looking<'a>],
    pub seconds: Seconds,
}

/// A picture with what was found in it.
pub struct Explained {
    pub picture: Picture,
    /// Its likeliest classes.
    pub top: Vec<Prediction>,
    /// A target at a time, in it a layer, in it a method.
    pub maps: Vec<OneMap>,
}

/// A picture that could not be explained, and why.
pub struct Unexplained {
    pub picture: Picture,
    pub failure: Failure,
}

/// The maps of a picture, or why there are none.
type MapsOfOne = Result<Vec<OneMap>, Failure>;

/// The explainers for these methods: one for all that are quick, which share the passes, and one for each slow one.
pub fn explainers<'m>(
    look: &looking::Asked,
    model: &'m Classifier,
    layers: &[String],
    methods: &[&'static dyn Method],
    console: &Console,
) -> Vec<Explainer<'m, Classifier>> {
    let (slow, quick): (Vec<_>, Vec<_>) = methods.iter().partition(|method| SLOW.contains(&method.name()));
    let mut explainers = Vec::new();
    if !quick.is_empty() {
        explainers.push(look.explainer(model, layers, &quick, ProgressBar::hidden()));
    }
    for method in slow {
        explainers.push(look.explainer(model, layers, &[method], console.passes(method.name())));
    }
    explainers
}

impl Studio<'_> {
    /// Explains pictures of one size together. One that cannot be explained does not stop the others.
    pub fn explain(
        &mut self,
        mut pictures: Vec<Picture>,
    ) -> Result<Vec<Result<Explained, Box<Unexplained>>>, Failure> {
        let Some(first) = pictures.first() else { return Ok(Vec::new()) };
        let model = self.model;
        let (logits, maps) = match first.tried(model, || self.look_at(&pictures)) {
            Ok(found) => found,
            Err(failure) if !failure.is_of_one_picture() => return Err(failure),
            Err(failure) if pictures.len() == 1 => {
                return Ok(vec![Err(Box::new(Unexplained { picture: pictures.remove(0), failure }))]);
            }
            // It is not said of which, so each is looked at alone.
            Err(_) => {
                let alone = pictures.into_iter().map(|picture| Ok(self.explain(vec![picture])?.remove(0)));
                return alone.collect();
            }
        };
        let (classes, kind) = (logits.len() / pictures.len(), model.card().logits);
        let all = Prediction::of_numbers(&logits, classes, kind, model.labels(), classes);
        let found = pictures.into_iter().zip(all).zip(maps);
        Ok(found.map(|((picture, all), maps)| self.explained(picture, all, maps)).collect())
    }

    /// The logits of pictures of one size, row-major, and the maps of each.
    fn look_at(&mut self, pictures: &[Picture]) -> Result<(Vec<f32>, Vec<MapsOfOne>), Failure> {
        let input = Tensor::cat(pictures.iter().map(|picture| picture.input.clone()).collect(), 0);
        let input = input.to_device(self.model.device());
        let targets: Vec<&dyn Target> = self.targets.iter().map(Box::as_ref).collect();
        let mut logits = Vec::new();
        let mut maps: Vec<MapsOfOne> = pictures.iter().map(|_| Ok(Vec::new())).collect();
        for looking in self.lookings {
            let started = Instant::now();
            let found = looking.explain_each(input.clone(), &targets)?;
            let batch = Batch::read(&found)?;
            for (place, maps) in maps.iter_mut().enumerate() {
                match (batch.of(place), maps.as_mut()) {
                    (Ok(more), Ok(maps)) => maps.extend(more),
                    (Err(failure), Ok(_)) => *maps = Err(failure),
                    (_, Err(_)) => {}
                }
            }
            self.seconds.forward += found.forward.as_secs_f64();
            self.seconds.explain += started.elapsed().saturating_sub(found.forward).as_secs_f64();
            logits = batch.logits;
        }
        Ok((logits, maps))
    }

    /// Explains one picture.
    pub fn explain_one(&mut self, picture: Picture) -> Result<Explained, Failure> {
        let mut found = self.explain(vec![picture])?;
        found.remove(0).map_err(|unexplained| unexplained.failure)
    }

    fn explained(
        &self,
        picture: Picture,
        all: Vec<Prediction>,
        maps: MapsOfOne,
    ) -> Result<Explained, Box<Unexplained>> {
        if all.iter().any(|guess| !guess.logit.is_finite()) {
            let model = self.model.card().name.clone();
            let image = picture.source.name();
            let failure = Failure::NonFinite { model, image };
            return Err(Box::new(Unexplained { picture, failure }));
        }
        let mut maps = match maps {
            Ok(maps) => maps,
            Err(failure) => return Err(Box::new(Unexplained { picture, failure })),
        };
        for map in &mut maps {
            let guess = all.iter().find(|guess| guess.class == map.class);
            map.probability = guess.map_or(0.0, |guess| guess.probability);
            map.label = self.model.labels()[map.class].clone();
        }
        maps.sort_by_key(|map| self.order(map));
        let top = all.into_iter().take(TOLD).collect();
        Ok(Explained { picture, top, maps })
    }

    /// Where a map stands among all of its picture: those of the whole network come after those of layers.
    fn order(&self, map: &OneMap) -> [usize; 3] {
        let layer = self.layers.iter().position(|layer| *layer == map.layer).unwrap_or(0);
        let method = self.methods.iter().position(|method| method.name() == map.method).unwrap_or(0);
        [map.target, if map.is_of_whole() { usize::MAX } else { layer }, method]
    }
}
