//! The command-line tool `cam` as a library: shows where an image classifier looked.
//!
//! A program of a few lines is the same tool with your own methods, scores and model families in it:
//!
//! ```no_run
//! use burn_cam::{Evidence, LayerContext, Method, MethodInfo, Registry};
//!
//! struct MaxGradCam;
//!
//! impl Method for MaxGradCam {
//!     fn info(&self) -> MethodInfo {
//!         MethodInfo::new("maxgradcam", "Max Grad-CAM", "https://example.org").gradient()
//!     }
//!
//!     fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
//!         Box::pin(async move { Ok(layer.gradient()?.max_dim(2) * layer.activation()) })
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     cam_cli::run(Registry::default().with_method(MaxGradCam))
//! }
//! ```

mod args;
mod commands;
mod report;
mod run;
#[doc(hidden)]
pub mod testing;

use args::{Args, Command};
use burn_cam::Registry;
use clap::{CommandFactory, Parser};
use commands::{bench, card, compare, concepts, demo, evaluate, explain, guided, list, serve, shell, tune};
use report::console::{Console, Verbosity};
use report::failure::Failure;
use run::panics;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::OnceLock;

/// The code of the documents is tested here.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/cli.md")]
struct Cli;

/// What this program knows by name.
static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// Returns what this program knows by name.
fn registry() -> &'static Registry {
    REGISTRY.get_or_init(Registry::default)
}

/// Runs the command line of the process. The methods, scores and model families of the registry are in its help and its commands.
///
/// The registry of the first call in a process is that of all later ones.
pub fn run(registry: Registry) -> ExitCode {
    REGISTRY.get_or_init(|| registry);
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return report_usage(&error),
    };
    let console = Console::new(&args.verbosity);
    // Before anything else computes. `cam explain` and `cam serve` compute in threads of their own.
    match args.command {
        Command::Explain(_) | Command::Serve(_) => burn_cam::on_computing_thread(|| {}),
        _ => _ = burn_cam::use_this_thread(),
    }
    // A panic in a thread of a server ends nothing, and nothing else reports it.
    if !args.verbosity.verbose && !matches!(args.command, Command::Serve(_)) {
        panics::silence_panics();
    }
    match panics::caught(|| dispatch(args.command, &console), Failure::Internal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure @ Failure::NoReader) => failure.exit_code(),
        Err(failure) => {
            console.error(failure.message());
            failure.exit_code()
        }
    }
}

fn dispatch(command: Command, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(&args, console),
        Command::Explain(args) => explain::run(&args, console),
        Command::Compare(args) => compare::run(&args, console),
        Command::Guided(args) => guided::run(&args, console),
        Command::Concepts(args) => concepts::run(&args, console),
        Command::Evaluate(args) => evaluate::run(&args, console),
        Command::Tune(args) => tune::run(&args, console),
        Command::Bench(args) => bench::run(&args, console),
        Command::Layers(args) => list::layers(&args, console),
        Command::Card(args) => card::run(&args, console),
        Command::Models => list::models(console),
        Command::Methods => list::methods(console),
        Command::Metrics => list::metrics(console),
        Command::Devices => list::devices(console),
        Command::Serve(args) => serve::run(&args, console),
        Command::Completions(args) => shell::completions(&args, console),
        Command::Man(args) => shell::man(&args, console),
    }
}

/// Prints the help that was asked for, or one line that says what is wrong with the command line.
fn report_usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    let help = !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if help {
        // A reader that has closed the pipe (`| head`) has read enough.
        let _ = error.print();
    } else {
        let rendered = error.render().to_string();
        let text = before(before(&rendered, "\nUsage:"), "\nFor more");
        let text = text.strip_prefix("error: ").unwrap_or(text);
        let paragraphs =
            text.trim().split("\n\n").map(|words| words.split_whitespace().collect::<Vec<_>>().join(" "));
        let line = paragraphs.collect::<Vec<_>>().join("; ");
        Console::new(&Verbosity { quiet: false, verbose: false })
            .error(format_args!("{line}; see `{} --help`", command_name(std::env::args_os())));
    }
    u8::try_from(error.exit_code()).unwrap_or(2).into()
}

fn before<'t>(text: &'t str, end: &str) -> &'t str {
    text.split(end).next().unwrap_or(text)
}

/// Returns the command that a command line names, as it is typed: `cam explain`, or `cam` without one.
fn command_name(words: impl Iterator<Item = OsString>) -> String {
    let cam = Args::command();
    let mut plain = words.skip(1).filter(|word| !word.to_string_lossy().starts_with('-'));
    let named = plain.next().and_then(|word| cam.find_subcommand(word));
    named.map_or("cam".into(), |command| format!("cam {}", command.get_name()))
}
