//! What the tool says: results on standard output, news on standard error, progress where that is a terminal.

use crate::failure::Failure;
use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::time::Duration;

/// How much is said.
#[derive(clap::Args)]
pub struct Loudness {
    /// Say nothing but errors and what is asked for by name (lists, JSON, pictures)
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say what is run, where, how long it takes and how much memory
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// Where the tool speaks.
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
    /// Standard output is for a picture.
    Stderr,
    /// Standard output is for JSON, which has them.
    Nowhere,
}

const HEAD: Style = Style::new().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

impl Console {
    pub fn new(loudness: &Loudness) -> Self {
        let bars = MultiProgress::new();
        if loudness.quiet {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let results = if loudness.quiet { Results::Nowhere } else { Results::Stdout };
        Self { quiet: loudness.quiet, verbose: loudness.verbose, results, bars }
    }

    /// The same console, with results on standard error: standard output is for a picture.
    pub fn diverted(&self) -> Self {
        let results = if self.quiet { Results::Nowhere } else { Results::Stderr };
        Self { results, ..self.clone() }
    }

    /// The same console, without results for people: standard output is for JSON.
    pub fn without_results(&self) -> Self {
        Self { results: Results::Nowhere, ..self.clone() }
    }

    /// A line of results, for a person.
    pub fn say(&self, line: impl Display) -> Result<(), Failure> {
        match self.results {
            Results::Stdout => self.print(line),
            Results::Stderr => {
                self.tell(line);
                Ok(())
            }
            Results::Nowhere => Ok(()),
        }
    }

    /// A line that is asked for, on standard output.
    pub fn print(&self, line: impl Display) -> Result<(), Failure> {
        self.bars.suspend(|| written(writeln!(anstream::stdout().lock(), "{line}")))
    }

    /// Bytes that are asked for, on standard output.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.write(|output| output.write_all(bytes))
    }

    /// What this work writes, on standard output.
    pub fn write(&self, work: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), Failure> {
        let mut output = std::io::stdout().lock();
        written(work(&mut output).and_then(|()| output.flush()))
    }

    /// Does what writes to the terminal by itself.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bars.suspend(work)
    }

    /// What a reader of the results should know.
    pub fn warn(&self, line: impl Display) {
        if !self.quiet {
            self.tell(format_args!("{WARNING}cam:{WARNING:#} {line}"));
        }
    }

    /// What is wrong.
    pub fn fail(&self, line: impl Display) {
        self.tell(format_args!("{ERROR}cam:{ERROR:#} {line}"));
    }

    /// What is going on, where that is asked for.
    pub fn detail(&self, line: impl Display) {
        if self.verbose {
            self.tell(format_args!("cam: {line}"));
        }
    }

    fn tell(&self, line: impl Display) {
        // Where standard error is closed there is nobody to tell.
        self.bars.suspend(|| _ = writeln!(anstream::stderr().lock(), "{line}"));
    }

    /// A bar for the passes of a method, whose number is told when it starts.
    pub fn passes(&self, method: &str) -> ProgressBar {
        let template = format!("{method:>12} {{bar:40}} {{pos}}/{{len}} passes, {{eta}} left");
        let style = ProgressStyle::with_template(&template).expect("a template of ours");
        self.add(ProgressBar::no_length().with_style(style))
    }

    /// Shows a bar below the others.
    pub fn add(&self, bar: ProgressBar) -> ProgressBar {
        self.bars.add(bar)
    }

    /// A bar that counts things.
    pub fn bar(&self, what: &str, length: usize) -> ProgressBar {
        let template = format!("{what:>12} {{bar:40}} {{pos}}/{{len}} {{eta}} left");
        let style = ProgressStyle::with_template(&template).expect("a template of ours");
        let bar = self.add(ProgressBar::new(length as u64).with_style(style));
        bar.enable_steady_tick(Duration::from_secs(1));
        bar
    }
}

/// A heading within results.
pub fn head(text: impl Display) -> String {
    format!("{HEAD}{text}{HEAD:#}")
}

/// A reader of standard output that has gone away (`| head`) has what it wants.
fn written(done: std::io::Result<()>) -> Result<(), Failure> {
    match done {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Stdout { reason: error.to_string() })
        }
        _ => Ok(()),
    }
}

/// The most memory that this process has had, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
