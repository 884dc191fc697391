//! How the files of images are read, and how images become the input of a model.

use crate::report::console::Console;
use crate::report::failure::Failure;
use crate::run::images::SourceReader;
use burn_cam::{ImageModel, PhotoReader, Preprocess, Resize};
use clap::ValueEnum;
use serde::Serialize;

/// How the files of images are read.
#[derive(clap::Args, Serialize)]
#[group(id = "preprocess")]
#[command(next_help_heading = "Model")]
pub struct PreprocessArgs {
    /// The color behind transparent pixels: white, gray, black, or #rrggbb
    #[arg(long, hide_short_help = true, value_name = "COLOR", default_value = "white", value_parser = background)]
    pub background: [u8; 3],
    /// The values of an image that are shown as black and white: `0,4095` for 12 bits [default: the range of its type]
    #[arg(long, hide_short_help = true, value_name = "LOW,HIGH", value_parser = window, allow_hyphen_values = true)]
    pub window: Option<[f32; 2]>,
}

/// Numbers, one for each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers(pub Vec<f32>);

impl PreprocessArgs {
    /// Says how images become the input of a model, and how else they could.
    pub fn announce(preprocess: &Preprocess, console: &Console) -> Result<(), Failure> {
        let other = match preprocess.resize {
            Resize::Squash => "`--resize crop` shows it the center",
            Resize::Crop | Resize::SquashCrop => "`--resize squash` shows it all",
            Resize::Letterbox | Resize::ShortSide | Resize::Corner => "`--resize squash` squeezes it",
        };
        console.state(format_args!("images are {preprocess}; {other}"))
    }

    /// Returns how the files of images are read for this model.
    pub fn reader(&self, model: &impl ImageModel) -> SourceReader {
        let photos = PhotoReader { background: self.background, window: self.window };
        SourceReader { preprocess: model.preprocess(), photos }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum ResizeArg {
    Squash,
    Crop,
    SquashCrop,
    Letterbox,
    ShortSide,
    Corner,
}

impl From<ResizeArg> for Resize {
    fn from(resize: ResizeArg) -> Self {
        match resize {
            ResizeArg::Squash => Resize::Squash,
            ResizeArg::Crop => Resize::Crop,
            ResizeArg::SquashCrop => Resize::SquashCrop,
            ResizeArg::Letterbox => Resize::Letterbox,
            ResizeArg::ShortSide => Resize::ShortSide,
            ResizeArg::Corner => Resize::Corner,
        }
    }
}

pub fn numbers(text: &str) -> Result<Numbers, String> {
    let number = |number: &str| number.trim().parse().ok().filter(|x: &f32| x.is_finite());
    let numbers: Option<Vec<f32>> = text.split(',').map(number).collect();
    let numbers =
        numbers.ok_or("numbers with commas between, one for each channel, as in 0.485,0.456,0.406")?;
    Ok(Numbers(numbers))
}

fn window(text: &str) -> Result<[f32; 2], String> {
    match numbers(text).as_ref().map(|numbers| &numbers.0[..]) {
        Ok([low, high]) if low < high => Ok([*low, *high]),
        _ => Err("two numbers with a comma between, the lower first, as in 0,4095".into()),
    }
}

fn background(text: &str) -> Result<[u8; 3], String> {
    let hexadecimal = |digits: &str| match (digits.len(), u32::from_str_radix(digits, 16)) {
        (6, Ok(color)) => Some(color.to_be_bytes()),
        _ => None,
    };
    match text {
        "white" => Ok([255; 3]),
        "gray" => Ok([128; 3]),
        "black" => Ok([0; 3]),
        _ => match text.strip_prefix('#').and_then(hexadecimal) {
            Some([_, color @ ..]) => Ok(color),
            None => Err("white, gray, black, or six hexadecimal digits, as in #ff8800".into()),
        },
    }
}

pub fn deviations(text: &str) -> Result<Numbers, String> {
    numbers(text).and_then(|std| {
        if std.0.iter().all(|x| *x > 0.0) { Ok(std) } else { Err("a standard deviation is above 0".into()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_a_number() {
        assert_eq!(numbers("0.5, 0.25,1"), Ok(Numbers(vec![0.5, 0.25, 1.0])));
        assert_eq!(numbers("0.5"), Ok(Numbers(vec![0.5])));
        assert!(numbers("a,b,c").is_err() && numbers("nan,0,0").is_err() && numbers("").is_err());
        assert!(deviations("0.5,0,1").is_err());
    }

    #[test]
    fn windows_and_backgrounds_are_parsed() {
        assert_eq!(window("-5, 4095"), Ok([-5.0, 4095.0]));
        assert!(window("1,1").is_err() && window("1").is_err() && window("0,nan").is_err());
        assert_eq!(background("#0180ff"), Ok([1, 128, 255]));
        assert!(background("#0180fg").is_err() && background("#018").is_err() && background("red").is_err());
    }
}
