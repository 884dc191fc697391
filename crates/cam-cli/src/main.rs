//! `cam`: shows where an image classifier looked.

mod album;
mod args;
mod array;
mod bench;
mod compare;
mod concepts;
mod console;
mod cost;
mod crew;
mod demo;
mod device;
mod explain;
mod failure;
mod files;
mod format;
mod guided;
mod interrupt;
mod list;
mod looking;
mod manifest;
mod maps;
mod model;
mod options;
mod page;
mod painting;
mod panics;
mod picture;
mod preview;
mod reads;
mod report;
mod serve;
mod sheet;
mod sheets;
mod shell;
mod source;
mod strip;
mod studio;
mod words;

use args::{Args, Command};
use clap::{CommandFactory, Parser};
use console::{Console, Loudness};
use failure::Failure;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return misunderstood(&error),
    };
    let console = Console::new(&args.loudness);
    // A panic of a server's thread ends nothing, and nobody else tells of it.
    if !args.loudness.verbose && !matches!(args.command, Command::Serve(_)) {
        panics::hush();
    }
    match panics::caught(|| run(args.command, &console), Failure::Unforeseen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console.fail(failure.told());
            failure.exit_code()
        }
    }
}

fn run(command: Command, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(&args, console),
        Command::Explain(args) => explain::run(&args, console),
        Command::Compare(args) => compare::run(&args, console),
        Command::Guided(args) => guided::run(&args, console),
        Command::Concepts(args) => concepts::run(&args, console),
        Command::Bench(args) => bench::run(&args, console),
        Command::Layers(args) => list::layers(&args, console),
        Command::Models => list::models(console),
        Command::Methods => list::methods(console),
        Command::Devices => list::devices(console),
        Command::Serve(args) => serve::run(&args, console),
        Command::Completions(args) => shell::completions(&args, console),
        Command::Man(args) => shell::man(&args, console),
    }
}

/// Help that was asked for, or one line that says what is wrong with the command line.
fn misunderstood(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    let help = !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if help {
        // A reader that has gone away (`| head`) has what it wants.
        let _ = error.print();
    } else {
        let rendered = error.render().to_string();
        let text = before(before(&rendered, "\nUsage:"), "\nFor more");
        let text = text.strip_prefix("error: ").unwrap_or(text);
        let paragraphs =
            text.trim().split("\n\n").map(|words| words.split_whitespace().collect::<Vec<_>>().join(" "));
        let line = paragraphs.collect::<Vec<_>>().join("; ");
        Console::new(&Loudness { quiet: false, verbose: false })
            .fail(format_args!("{line}; see `{} --help`", command_asked(std::env::args_os())));
    }
    u8::try_from(error.exit_code()).unwrap_or(2).into()
}

fn before<'t>(text: &'t str, end: &str) -> &'t str {
    text.split(end).next().unwrap_or(text)
}

/// The command that a command line asks for, as one would call it: `cam explain`, or `cam` where it names none.
fn command_asked(words: impl Iterator<Item = OsString>) -> String {
    let cam = Args::command();
    let mut plain = words.skip(1).filter(|word| !word.to_string_lossy().starts_with('-'));
    let named = plain.next().and_then(|word| cam.find_subcommand(word));
    named.map_or("cam".into(), |command| format!("cam {}", command.get_name()))
}
