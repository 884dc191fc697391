//! Options that several commands have: what is asked, how it is looked at, how photos are brought to the model.

use crate::failure::Failure;
use cam_core::{Class, Finer, Fusion, LogOdds, Ranked, Rectify, Softmax, Target};
use cam_models::{Classifier, Preprocess, Resize};
use clap::ValueEnum;
use serde::Serialize;

/// What is asked of each picture.
#[derive(clap::Args, Serialize)]
#[group(id = "options")]
pub struct Asked {
    /// A class, by number or name; may be given several times [default: the top class of each picture]
    #[arg(long = "class", value_name = "ID|NAME")]
    pub classes: Vec<String>,
    /// Explain the K likeliest classes of each picture
    #[arg(long, value_name = "K", default_value_t = 1, conflicts_with = "classes", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
    /// Which score of a class is explained
    #[arg(long, value_name = "NAME", default_value = "logit")]
    pub score: ScoreArg,
}

impl Asked {
    pub fn targets(&self, model: &Classifier) -> Result<Vec<Box<dyn Target>>, Failure> {
        if self.classes.is_empty() {
            return Ok((0..self.top as usize).map(|place| self.scored(Ranked(place))).collect());
        }
        self.classes.iter().map(|asked| Ok(self.scored(Class(model.class(asked)?)))).collect()
    }

    /// The score of a class that is asked for.
    fn scored(&self, class: impl Target + 'static) -> Box<dyn Target> {
        match self.score {
            ScoreArg::Logit => Box::new(class),
            ScoreArg::Softmax => Box::new(Softmax(class)),
            ScoreArg::LogOdds => Box::new(LogOdds(class)),
            ScoreArg::Finer => Box::new(Finer::paper(class)),
        }
    }
}

/// How photos are brought to the model.
#[derive(clap::Args, Serialize)]
pub struct Preparing {
    /// How a photo of another shape is brought to the model: squeezed whole, or its middle cut out
    #[arg(long, value_name = "squash|crop", default_value = "squash")]
    pub resize: ResizeArg,
    /// The mean of each color, of values in 0..1 [default: from the model's card]
    #[arg(long, value_name = "R,G,B", value_parser = color)]
    pub mean: Option<[f32; 3]>,
    /// The deviation of each color [default: from the model's card]
    #[arg(long, value_name = "R,G,B", value_parser = deviation)]
    pub std: Option<[f32; 3]>,
}

impl Preparing {
    pub fn of(&self, model: &Classifier) -> Preprocess {
        let card = model.card().preprocess(self.resize.into());
        Preprocess { mean: self.mean.unwrap_or(card.mean), std: self.std.unwrap_or(card.std), ..card }
    }
}

/// Which score of a class is explained.
#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreArg {
    /// The output of the network for the class
    Logit,
    /// Its probability
    Softmax,
    /// The logit plus the log-probability, which does not saturate
    LogOdds,
    /// What sets the class apart from the three that are most like it (Finer-CAM)
    Finer,
}

/// Which evidence is shown.
#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignArg {
    /// What speaks for the class
    Positive,
    /// What speaks against it
    Negative,
    /// How much there is of either
    Absolute,
    /// What speaks for it and what speaks against it, in two colors
    Both,
}

impl SignArg {
    /// Whether maps have values below zero.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Both)
    }
}

impl From<SignArg> for Rectify {
    fn from(sign: SignArg) -> Self {
        match sign {
            SignArg::Positive => Rectify::Positive,
            SignArg::Negative => Rectify::Negative,
            SignArg::Absolute => Rectify::Absolute,
            SignArg::Both => Rectify::Signed,
        }
    }
}

/// How the maps of several layers become one.
#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FuseArg {
    Mean,
    Max,
    /// What all layers agree on (RefineCAM)
    Product,
    /// The largest, with weak evidence of shallow layers lifted (LayerCAM)
    Tanh,
}

impl From<FuseArg> for Fusion {
    fn from(fuse: FuseArg) -> Self {
        match fuse {
            FuseArg::Mean => Fusion::Mean,
            FuseArg::Max => Fusion::Max,
            FuseArg::Product => Fusion::Product,
            FuseArg::Tanh => Fusion::TanhMax(2.0),
        }
    }
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeArg {
    Squash,
    Crop,
}

impl From<ResizeArg> for Resize {
    fn from(resize: ResizeArg) -> Self {
        match resize {
            ResizeArg::Squash => Resize::Squash,
            ResizeArg::Crop => Resize::Crop,
        }
    }
}

fn color(text: &str) -> Result<[f32; 3], String> {
    let numbers: Vec<f32> = text
        .split(',')
        .map(|number| number.trim().parse().ok().filter(|x: &f32| x.is_finite()))
        .collect::<Option<_>>()
        .ok_or("three numbers with commas between, as in 0.485,0.456,0.406")?;
    numbers.try_into().map_err(|_| "one number for each of red, green and blue".into())
}

pub fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0).ok_or_else(|| "a number above 0".into())
}

fn deviation(text: &str) -> Result<[f32; 3], String> {
    color(text).and_then(|std| {
        if std.iter().all(|x| *x > 0.0) { Ok(std) } else { Err("a deviation is above 0".into()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_three_numbers() {
        assert_eq!(color("0.5, 0.25,1"), Ok([0.5, 0.25, 1.0]));
        assert!(color("0.5,0.25").is_err() && color("a,b,c").is_err() && color("nan,0,0").is_err());
        assert!(deviation("0.5,0,1").is_err());
    }
}
