//! Completions and manual pages for shells, generated from the command line.

use crate::args::Args;
use crate::report::console::Console;
use crate::report::failure::{Failure, create_folder};
use crate::run::outputs;
use clap::builder::Resettable;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::path::PathBuf;

pub const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  cam completions bash > ~/.local/share/bash-completion/completions/cam
  cam completions zsh > ~/.zfunc/_cam
  cam completions fish > ~/.config/fish/completions/cam.fish";

pub const MAN_EXAMPLES: &str = "\
Examples:
  cam man | man -l -
  cam man explain | man -l -
  cam man --out ~/.local/share/man/man1
      One page per command";

#[derive(clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

#[derive(clap::Args)]
pub struct ManArgs {
    /// The command of the page [default: all of them]
    pub command: Option<String>,
    /// Write one page per command into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub out: Option<PathBuf>,
}

pub fn completions(args: &CompletionsArgs, console: &Console) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "cam", &mut script);
    console.bytes(&script)
}

pub fn man(args: &ManArgs, console: &Console) -> Result<(), Failure> {
    let mut all = Args::command().disable_help_subcommand(true);
    all.build();
    let commands: Vec<&Command> = std::iter::once(&all).chain(all.get_subcommands()).collect();
    if let Some(out) = &args.out {
        create_folder(out)?;
        for command in commands {
            let name = command.get_display_name().unwrap_or(command.get_name());
            console.result(outputs::write(out.join(format!("{name}.1")), &page(command))?.display())?;
        }
        return Ok(());
    }
    let name = args.command.as_deref().unwrap_or("cam");
    match commands.iter().find(|command| command.get_name() == name) {
        Some(command) => console.bytes(&page(command)),
        None => {
            let known: Vec<&str> = commands.iter().map(|command| command.get_name()).collect();
            Err(Failure::Usage(format!("no command is called `{name}`; there are {}", known.join(", "))))
        }
    }
}

/// Returns the manual page of a command. The end of its help, examples or exit codes, becomes a section of its own.
fn page(command: &Command) -> Vec<u8> {
    let end = command.get_after_long_help().or(command.get_after_help());
    let end = end.map(ToString::to_string).unwrap_or_default();
    let (title, lines) = end.split_once(":\n").unwrap_or_default();
    let mut page = Vec::new();
    // A page has what `--help` has.
    let command = command.clone().mut_args(|option| option.hide_short_help(false));
    let man = Man::new(command.after_help(Resettable::Reset).after_long_help(Resettable::Reset));
    man.render(&mut page).expect("memory can be written");
    let mut section = Roff::new();
    section.control("SH", [title.to_uppercase().as_str()]).control("nf", []);
    for line in lines.lines() {
        section.text([roman(line)]);
    }
    page.extend(section.control("fi", []).to_roff().into_bytes());
    page
}
