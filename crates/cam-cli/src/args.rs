//! The command line: its commands, and the options that several of them have. The options of one command are in its file.

pub mod budget;
pub mod candidates;
pub mod completion;
pub mod device;
pub mod model;
pub mod overlay;
pub mod preprocess;
pub mod strategy;
pub mod target;

use crate::commands::{
    bench, card, compare, concepts, demo, evaluate, explain, guided, list, serve, shell, tune,
};
use crate::report::console::Verbosity;
use crate::report::failure::EXIT_CODES;
use clap::{Parser, Subcommand};

/// What `cam -h` ends with: the way in.
const START: &str = "\
Start with:
  cam demo
  cam explain photo.jpg --model net.onnx --open
  cam explain -h       the options used most; `--help` has all of them, with examples
Exit codes: `cam --help`";

/// Show where an image classifier looked: class activation maps over an image.
#[derive(Parser)]
#[command(name = "cam", version, after_help = START, after_long_help = EXIT_CODES, max_term_width = 100)]
pub struct Args {
    #[command(flatten)]
    pub verbosity: Verbosity,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Draw a scene, explain its two objects with the built-in model, and write the scene and a contact sheet
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Args),
    /// Explain what a model predicts for images
    #[command(after_help = explain::SHORT_EXAMPLES, after_long_help = explain::EXAMPLES)]
    Explain(Box<explain::Args>),
    /// Compare methods, layers and classes on one sheet
    #[command(after_help = compare::SHORT_EXAMPLES, after_long_help = compare::EXAMPLES)]
    Compare(Box<compare::Args>),
    /// Show which pixels matter: guided backpropagation and Guided Grad-CAM
    #[command(after_help = guided::EXAMPLES)]
    Guided(Box<guided::Args>),
    /// Show what a layer sees, as a few concepts: deep feature factorization
    #[command(after_help = concepts::EXAMPLES)]
    Concepts(Box<concepts::Args>),
    /// Measure how good maps are: faithfulness, localization, form, sanity
    #[command(after_help = evaluate::SHORT_EXAMPLES, after_long_help = evaluate::EXAMPLES)]
    Evaluate(Box<evaluate::Args>),
    /// Find the method and the layer whose maps explain a model best, on a few photos
    #[command(after_help = tune::EXAMPLES)]
    Tune(Box<tune::Args>),
    /// Measure what explanations cost compared with plain inference
    #[command(after_help = bench::SHORT_EXAMPLES, after_long_help = bench::EXAMPLES)]
    Bench(Box<bench::Args>),
    /// List the layers of a model that can be explained
    #[command(after_help = list::LAYERS_EXAMPLES)]
    Layers(Box<list::LayersArgs>),
    /// Print what is known of a model, as a card that can be edited
    #[command(after_help = card::EXAMPLES)]
    Card(Box<card::Args>),
    /// List the models
    #[command(after_help = "Examples:\n  cam models\n  cam models | grep resnet")]
    Models,
    /// List the methods: what they cost, and their papers
    #[command(after_help = "Examples:\n  cam methods\n  cam explain dog.jpg --method layercam")]
    Methods,
    /// List the metrics of maps: which direction is better, what they need, and their papers
    #[command(after_help = "Examples:\n  cam metrics\n  cam evaluate photos --metrics insertion,deletion")]
    Metrics,
    /// List the devices of this build
    #[command(after_help = "Examples:\n  cam devices\n  cam explain dog.jpg --device cpu")]
    Devices,
    /// Lend devices to other machines, in builds with the feature `remote`
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Args),
    /// Print a script that completes command lines
    #[command(after_help = shell::COMPLETIONS_EXAMPLES)]
    Completions(shell::CompletionsArgs),
    /// Print a manual page
    #[command(after_help = shell::MAN_EXAMPLES)]
    Man(shell::ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
