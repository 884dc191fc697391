//! The console: results on standard output, messages on standard error, progress bars when that is a terminal.

use crate::report::failure::Failure;
use anstyle::{AnsiColor, Style};
use indicatif::{
    HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::time::Duration;

/// How much is printed.
#[derive(clap::Args)]
pub struct Verbosity {
    /// Print only errors and what was asked for by name (lists, JSON, images)
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print what runs, where, how long it takes and how much memory
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// Where the tool prints.
#[derive(Clone)]
pub struct Console {
    quiet: bool,
    verbose: bool,
    results: Results,
    bars: MultiProgress,
}

/// Where results for people go.
#[derive(Clone, Copy)]
enum Results {
    Stdout,
    /// Standard output is for an image.
    Stderr,
    /// Standard output is for JSON, which contains them.
    Nowhere,
}

const HEAD: Style = Style::new().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

impl Console {
    /// Creates a console that prints as much as is asked for.
    pub fn new(verbosity: &Verbosity) -> Self {
        let bars = MultiProgress::new();
        if verbosity.quiet {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let results = if verbosity.quiet { Results::Nowhere } else { Results::Stdout };
        Self { quiet: verbosity.quiet, verbose: verbosity.verbose, results, bars }
    }

    /// Returns the same console with results on standard error: standard output is for an image.
    pub fn diverted(&self) -> Self {
        let results = if self.quiet { Results::Nowhere } else { Results::Stderr };
        Self { results, ..self.clone() }
    }

    /// Returns the same console without results for people: standard output is for JSON.
    pub fn without_results(&self) -> Self {
        Self { results: Results::Nowhere, ..self.clone() }
    }

    /// Prints a line of results for people.
    pub fn result(&self, line: impl Display) -> Result<(), Failure> {
        match self.results {
            Results::Stdout => self.print(line),
            Results::Stderr => {
                self.message(line);
                Ok(())
            }
            Results::Nowhere => Ok(()),
        }
    }

    /// Prints a line for people with the results; on standard error when standard output is for JSON.
    pub fn state(&self, line: impl Display) -> Result<(), Failure> {
        match self.results {
            Results::Nowhere => {
                self.note(line);
                Ok(())
            }
            _ => self.result(line),
        }
    }

    /// Prints a line that was asked for on standard output.
    pub fn print(&self, line: impl Display) -> Result<(), Failure> {
        self.bars.suspend(|| written(writeln!(anstream::stdout().lock(), "{line}")))
    }

    /// Writes bytes that were asked for to standard output.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.write(|output| output.write_all(bytes))
    }

    /// Writes what `work` writes to standard output.
    pub fn write(&self, work: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), Failure> {
        let mut output = std::io::stdout().lock();
        written(work(&mut output).and_then(|()| output.flush()))
    }

    /// Runs work that writes to the terminal by itself.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bars.suspend(work)
    }

    /// Prints what a reader of the results should know.
    pub fn warn(&self, line: impl Display) {
        if !self.quiet {
            self.message(format_args!("{WARNING}cam:{WARNING:#} {}", plain(line)));
        }
    }

    /// Prints what a reader of the results should know, and can read without looking up.
    pub fn note(&self, line: impl Display) {
        if !self.quiet {
            self.message(plain(line));
        }
    }

    /// Returns whether `--verbose` was given.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Prints what is wrong.
    pub fn error(&self, line: impl Display) {
        self.message(format_args!("{ERROR}cam:{ERROR:#} {}", plain(line)));
    }

    /// Prints what is going on, with `--verbose`.
    pub fn detail(&self, line: impl Display) {
        if self.verbose {
            self.message(format_args!("cam: {}", plain(line)));
        }
    }

    fn message(&self, line: impl Display) {
        // When standard error is closed, nobody reads it.
        self.bars.suspend(|| _ = writeln!(anstream::stderr().lock(), "{line}"));
    }

    /// Shows a bar for the passes of a method, whose number is known when it starts.
    pub fn passes(&self, method: &str) -> ProgressBar {
        let style = style(&format!("{method:>12} {{bar:40}} {{pos}}/{{len}} passes{{left}}"));
        self.add(ProgressBar::no_length().with_style(style))
    }

    /// Shows a bar for a download, whose length is known when it starts.
    pub fn download(&self, what: &str) -> ProgressBar {
        let template = format!("{what} {{bar:40}} {{bytes}}/{{total_bytes}} {{bytes_per_sec}}{{left}}");
        let style = style(&template);
        self.add(ProgressBar::no_length().with_style(style))
    }

    /// Shows a bar below the others.
    pub fn add(&self, bar: ProgressBar) -> ProgressBar {
        self.bars.add(bar)
    }

    /// Shows a bar that counts things.
    pub fn bar(&self, what: &str, length: usize) -> ProgressBar {
        let style = style(&format!("{what:>12} {{bar:40}} {{pos}}/{{len}}{{left}}"));
        let bar = self.add(ProgressBar::new(length as u64).with_style(style));
        bar.enable_steady_tick(Duration::from_secs(1));
        bar
    }
}

/// Returns the style of a bar, in which `{left}` is how long it still takes, as soon as something is done.
fn style(template: &str) -> ProgressStyle {
    let left = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        if state.pos() > 0 {
            // When it cannot be written, the bar is drawn again soon.
            let _ = write!(text, ", {:#} left", HumanDuration(state.eta()));
        }
    };
    ProgressStyle::with_template(template).expect("the template is valid").with_key("left", left)
}

/// Returns a heading within results.
pub fn heading(text: impl Display) -> String {
    format!("{HEAD}{}{HEAD:#}", plain(text))
}

/// The most characters of a line. Names of files have fewer; names of classes and tensors may be any text of a file.
const LONGEST: usize = 5000;

/// Returns text from outside (names of files, classes and tensors) without what changes a terminal: control characters and those that
/// change the direction of text are escaped, and what is very long is cut.
pub fn plain(text: impl Display) -> String {
    let escaped = |c: char| if changes(c) { c.escape_default().to_string() } else { c.to_string() };
    let text = text.to_string();
    let mut shown: String = text.chars().take(LONGEST).map(escaped).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown += "..";
    }
    shown
}

/// Returns whether a character changes how those after it are shown.
fn changes(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn written(done: std::io::Result<()>) -> Result<(), Failure> {
    done.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::NoReader,
        _ => Failure::Stdout { reason: error.to_string() },
    })
}

/// Returns the peak memory of this process in bytes, where the system reports it.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_change_the_terminal() {
        assert_eq!(plain("a \x1b[2J\u{202e}b\nc"), "a \\u{1b}[2J\\u{202e}b\\nc");
        assert_eq!(plain("größe 1.png"), "größe 1.png");
        assert_eq!(plain("a".repeat(1 << 20)).len(), LONGEST + 2);
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_name_is_it_stays_in_its_line(name: Vec<char>) {
            let name: String = name.into_iter().collect();
            let shown = plain(&name);
            proptest::prop_assert!(shown.chars().all(|c| !changes(c)), "{:?}", shown);
            proptest::prop_assert!(name.chars().any(changes) || shown == name, "{:?}", shown);
        }
    }
}
