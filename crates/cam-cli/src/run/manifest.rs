//! The manifest of a folder: `manifest.jsonl`, one line per image, from which an interrupted run continues.
//!
//! An image is done when there is a line for it with the same options, its file has not changed since, and all its outputs still
//! exist; a file is done when all its images are. Lines of failures are dropped when a run starts, because those images are tried again.

use crate::report::failure::Failure;
use crate::report::json::MapReport;
use crate::run::images::Part;
use crate::run::inputs::FileSet;
use crate::run::interrupt;
use burn_cam::{Prediction, draw};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Its name in the folder of outputs.
pub const NAME: &str = "manifest.jsonl";

/// One image.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// The file.
    pub input: String,
    /// Which image of the file; of an array with several.
    #[serde(skip_serializing_if = "Part::is_all")]
    pub part: Part,
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Its most confident predictions.
    pub predictions: &'a [Prediction],
    /// Its maps and their files.
    pub maps: &'a [MapReport],
    /// Why there are none.
    pub error: Option<&'a str>,
}

/// A line as it is written.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    line: &'a Line<'a>,
    /// What the image was explained with.
    options: &'a serde_json::Value,
}

/// What shows that a file has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Its length.
    pub bytes: u64,
    /// When it was last changed, in seconds since 1970.
    pub modified: u64,
}

impl Stamp {
    /// Returns the length and age of a file; of a missing file zeros.
    pub fn of_file(path: &Path) -> Self {
        let Ok(data) = path.metadata() else { return Self::default() };
        let modified = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self { bytes: data.len(), modified: modified.map_or(0, |since| since.as_secs()) }
    }
}

/// What is read back of a line.
#[derive(Deserialize)]
struct Entry {
    input: String,
    #[serde(default)]
    part: Part,
    #[serde(flatten)]
    stamp: Stamp,
    options: serde_json::Value,
    maps: Vec<MapFiles>,
    error: Option<String>,
}

/// The files of a map.
#[derive(Deserialize)]
struct MapFiles {
    png: Option<PathBuf>,
    npy: Option<PathBuf>,
    raw: Option<PathBuf>,
    std: Option<StdFiles>,
}

/// The files of a standard deviation.
#[derive(Deserialize)]
struct StdFiles {
    png: Option<PathBuf>,
    npy: Option<PathBuf>,
}

impl MapFiles {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let std = self.std.iter().flat_map(|std| [&std.png, &std.npy]);
        [&self.png, &self.npy, &self.raw].into_iter().chain(std).flatten()
    }
}

impl Entry {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.maps.iter().flat_map(MapFiles::files)
    }

    /// Returns whether nothing is left to do, if its files are as they were.
    fn finished(&self) -> bool {
        self.error.is_none()
            && self.stamp == Stamp::of_file(Path::new(&self.input))
            && self.files().all(|file| file.exists())
    }
}

/// A manifest that lines are added to.
pub struct Manifest {
    path: PathBuf,
    file: File,
    options: serde_json::Value,
    /// The files with images that are done, and which of their images those are.
    done: HashMap<String, HashSet<Part>>,
    /// The overlays that its lines name.
    pub taken: Vec<PathBuf>,
}

impl Manifest {
    /// Opens the manifest of a folder, with what has been done with these options; with `fresh` nothing counts as done.
    pub fn open(folder: &Path, options: serde_json::Value, fresh: bool) -> Result<Self, Failure> {
        let path = folder.join(NAME);
        let failed =
            |error: std::io::Error| Failure::Output { path: path.clone(), reason: error.to_string() };
        let mut last = HashMap::new();
        for (number, line) in lines(&path).map_err(failed)?.enumerate() {
            let found = read(&line.map_err(failed)?);
            last.extend(found.iter().flat_map(Entry::files).map(|file| (file.clone(), number)));
        }
        // A file that a later line names holds the output of that line.
        let own = |number, found: &Entry| found.files().all(|file| last.get(file) == Some(&number));
        let keeps = |number: usize, found: &Entry| {
            found.options != options || (!fresh && found.finished() && own(number, found))
        };
        let (mut done, mut taken, mut dropped) = (HashMap::<_, HashSet<_>>::new(), Vec::new(), false);
        for (number, line) in lines(&path).map_err(failed)?.enumerate() {
            match read(&line.map_err(failed)?).filter(|found| keeps(number, found)) {
                Some(found) if found.options == options => {
                    taken.extend(found.maps.into_iter().filter_map(|map| map.png));
                    done.entry(found.input).or_default().insert(found.part);
                }
                Some(_) => {}
                None => dropped = true,
            }
        }
        if dropped {
            let kept = lines(&path)
                .map_err(failed)?
                .map_while(Result::ok)
                .enumerate()
                .filter(|(number, line)| read(line).is_some_and(|found| keeps(*number, &found)));
            let kept: String = kept.flat_map(|(_, line)| [line, "\n".into()]).collect();
            interrupt::whole(|| draw::write(&path, kept.as_bytes()))?;
        }
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
        Ok(Self { path, file, options, done, taken })
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the images of a file that are done.
    pub fn done(&self, input: &str) -> HashSet<Part> {
        self.done.get(input).cloned().unwrap_or_default()
    }

    /// Adds a line, whole or not at all.
    pub fn add(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        let line = Written { line, options: &self.options };
        let mut text = serde_json::to_string(&line).expect("a line is plain data");
        text.push('\n');
        let failed =
            |error: std::io::Error| Failure::Output { path: self.path.clone(), reason: error.to_string() };
        interrupt::whole(|| self.file.write_all(text.as_bytes())).map_err(failed)
    }
}

/// Reads the lines of a manifest; there are none when there is no file.
fn lines(path: &Path) -> std::io::Result<impl Iterator<Item = std::io::Result<String>>> {
    let file = match File::open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(file.into_iter().flat_map(|file| BufReader::new(file).lines()))
}

/// Returns the files that the manifest of a folder names.
pub fn written(folder: &Path) -> FileSet {
    let mut written = FileSet::default();
    let manifest = folder.join(NAME);
    for found in lines(&manifest).into_iter().flatten().map_while(Result::ok).filter_map(|line| read(&line)) {
        found.files().for_each(|file| written.add(file));
    }
    written
}

/// Parses a line; there is nothing in one that ends in the middle, as in a run that was killed.
fn read(line: &str) -> Option<Entry> {
    serde_json::from_str(line).ok()
}
