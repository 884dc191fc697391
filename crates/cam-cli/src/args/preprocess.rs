//! How images become the input of a model.

use burn_cam::{ImageModel, Preprocess, Resize};
use clap::ValueEnum;
use serde::Serialize;

/// How images become the input of a model.
#[derive(clap::Args, Serialize)]
#[group(id = "preprocess")]
#[command(next_help_heading = "Preprocessing")]
pub struct PreprocessArgs {
    /// How an image of another shape becomes the input of the model: squeezed whole, or its center cut out
    #[arg(long, value_name = "squash|crop", default_value = "squash")]
    pub resize: ResizeArg,
    /// The mean of each color, of values in 0..1 [default: from the model card]
    #[arg(long, value_name = "R,G,B", value_parser = color)]
    pub mean: Option<[f32; 3]>,
    /// The standard deviation of each color [default: from the model card]
    #[arg(long, value_name = "R,G,B", value_parser = deviation)]
    pub std: Option<[f32; 3]>,
}

impl PreprocessArgs {
    /// Returns how images become the input of this model.
    pub fn preprocess(&self, model: &impl ImageModel) -> Preprocess {
        let default = model.preprocess(self.resize.into());
        Preprocess {
            mean: self.mean.unwrap_or(default.mean),
            std: self.std.unwrap_or(default.std),
            ..default
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

fn deviation(text: &str) -> Result<[f32; 3], String> {
    color(text).and_then(|std| {
        if std.iter().all(|x| *x > 0.0) { Ok(std) } else { Err("a standard deviation is above 0".into()) }
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
