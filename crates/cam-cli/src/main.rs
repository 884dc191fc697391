//! `cam`: shows where an image classifier looked.

mod args;
mod array;
mod bench;
mod cost;
mod demo;
mod device;
mod explain;
mod failure;
mod list;
mod model;
mod report;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Demo(args) => demo::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Layers(args) => list::layers(&args),
        Command::Models => list::models(),
        Command::Methods => list::methods(),
        Command::Devices => list::devices(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cam: {}", failure.told());
            failure.exit_code()
        }
    }
}
