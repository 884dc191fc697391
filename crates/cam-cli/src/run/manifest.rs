//! The manifest of a folder: `manifest.jsonl`, one line per image, from which an interrupted run continues.
//!
//! An image is done when there is a line for it with the same options, its file has not changed since, and all its outputs still
//! exist; a file is done when all its images are. Lines of failures are dropped when a run starts, because those images are tried again,
//! and so is what is no line: the end of one that was cut off, or damage.

use crate::report::failure::Failure;
use crate::report::json::MapReport;
use crate::report::json_path::JsonPath;
use crate::run::images::Part;
use crate::run::inputs::FileSet;
use crate::run::interrupt;
use burn_cam::{Prediction, draw};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Its name in the folder of outputs.
pub const NAME: &str = "manifest.jsonl";

/// The most bytes of a line. Those of thousands of maps have less, and what is read of a longer one would not fit into memory.
const LINE: u64 = 8 << 20;

/// How deep below a folder of outputs files are looked for that its manifest names from another folder.
const DEEPEST: usize = 32;

/// One image.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// The file.
    pub input: JsonPath,
    /// Which image of the file; of an array with several.
    #[serde(skip_serializing_if = "Part::is_all")]
    pub part: Part,
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Its most confident predictions.
    pub predictions: &'a [Prediction],
    /// Its maps and their files.
    pub maps: &'a [MapReport],
    /// What was measured of its maps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<&'a serde_json::Value>,
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
    input: JsonPath,
    #[serde(default)]
    part: Part,
    bytes: u64,
    modified: u64,
    options: serde_json::Value,
    maps: Vec<MapFiles>,
    error: Option<String>,
}

/// The files of a map.
#[derive(Deserialize)]
struct MapFiles {
    png: Option<JsonPath>,
    npy: Option<JsonPath>,
    raw: Option<JsonPath>,
    std: Option<StdFiles>,
}

/// The files of a standard deviation.
#[derive(Deserialize)]
struct StdFiles {
    png: Option<JsonPath>,
    npy: Option<JsonPath>,
}

impl MapFiles {
    fn files(&self) -> impl Iterator<Item = &JsonPath> {
        let std = self.std.iter().flat_map(|std| [&std.png, &std.npy]);
        [&self.png, &self.npy, &self.raw].into_iter().chain(std).flatten()
    }
}

impl Entry {
    fn files(&self) -> impl Iterator<Item = &JsonPath> {
        self.maps.iter().flat_map(MapFiles::files)
    }

    /// Returns whether nothing is left to do, if its files are as they were.
    fn finished(&self) -> bool {
        self.error.is_none()
            && Stamp { bytes: self.bytes, modified: self.modified } == Stamp::of_file(&self.input)
            && self.files().all(|file| file.exists())
    }
}

/// A manifest that lines are added to.
pub struct Manifest {
    path: PathBuf,
    file: File,
    options: serde_json::Value,
    /// The files with images that are done, and which of their images those are.
    done: HashMap<PathBuf, HashSet<Part>>,
    /// The overlays that its lines name.
    pub taken: HashSet<PathBuf>,
}

impl Manifest {
    /// Opens the manifest of a folder, with what has been done with these options; with `fresh` nothing counts as done.
    pub fn open(folder: &Path, options: serde_json::Value, fresh: bool) -> Result<Self, Failure> {
        let path = folder.join(NAME);
        let failed = |error: io::Error| Failure::Output { path: path.clone(), reason: error.to_string() };
        // Names would take several times the length of a manifest in which they are short.
        let (mut last, names) = (HashMap::<u64, usize>::new(), RandomState::new());
        for (number, line) in lines(&path).map_err(failed)?.enumerate() {
            let found = read(&line.map_err(failed)?);
            last.extend(found.iter().flat_map(Entry::files).map(|file| (names.hash_one(file), number)));
        }
        // A file that a later line names holds the output of that line.
        let own = |number, found: &Entry| {
            found.files().all(|file| last.get(&names.hash_one(file)) == Some(&number))
        };
        let keeps = |number: usize, found: &Entry| {
            found.options != options || (!fresh && found.finished() && own(number, found))
        };
        let (mut done, mut taken, mut dropped) = (HashMap::<_, HashSet<_>>::new(), HashSet::new(), false);
        for (number, line) in lines(&path).map_err(failed)?.enumerate() {
            match read(&line.map_err(failed)?).filter(|found| keeps(number, found)) {
                Some(found) if found.options == options => {
                    taken.extend(
                        found.maps.iter().filter_map(|map| map.png.as_deref()).map(Path::to_path_buf),
                    );
                    done.entry(found.input.to_path_buf()).or_default().insert(found.part);
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
            let mut bytes = Vec::new();
            kept.for_each(|(_, line)| bytes.extend([&line[..], b"\n"].concat()));
            interrupt::whole(|| draw::write(&path, &bytes))?;
        }
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
        Ok(Self { path, file, options, done, taken })
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the images of a file that are done.
    pub fn done(&self, input: &Path) -> HashSet<Part> {
        self.done.get(input).cloned().unwrap_or_default()
    }

    /// Adds a line, whole or not at all.
    pub fn add(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        let line = Written { line, options: &self.options };
        let mut text = serde_json::to_string(&line).expect("a line is plain data");
        text.push('\n');
        let failed =
            |error: io::Error| Failure::Output { path: self.path.clone(), reason: error.to_string() };
        interrupt::whole(|| self.file.write_all(text.as_bytes())).map_err(failed)
    }
}

/// Returns the images that a manifest names, each once, in the order of its lines.
pub fn inputs(manifest: &Path) -> Result<Vec<PathBuf>, Failure> {
    #[derive(Deserialize)]
    struct Input {
        input: JsonPath,
    }
    let failed = |error: io::Error| Failure::Folder { path: manifest.into(), reason: error.to_string() };
    if !manifest.is_file() {
        return Err(failed(io::Error::from(io::ErrorKind::NotFound)));
    }
    let (mut known, mut inputs) = (HashSet::new(), Vec::new());
    for line in lines(manifest).map_err(failed)? {
        if let Ok(Input { input }) = serde_json::from_slice(&line.map_err(failed)?)
            && known.insert(input.to_path_buf())
        {
            inputs.push(input.to_path_buf());
        }
    }
    Ok(inputs)
}

/// What any line of a manifest says of its image.
#[derive(Deserialize)]
pub struct Recorded {
    pub input: JsonPath,
    pub options: serde_json::Value,
}

/// Reads all lines of the manifest of a folder, and what each says.
pub fn recorded(
    folder: &Path,
) -> Result<impl Iterator<Item = Result<(Vec<u8>, Recorded), Failure>>, Failure> {
    let path = folder.join(NAME);
    let failed = move |error: io::Error| Failure::Folder { path: path.clone(), reason: error.to_string() };
    let all = lines(&folder.join(NAME)).map_err(&failed)?.map(move |line| {
        let line = line.map_err(&failed)?;
        Ok(serde_json::from_slice::<Recorded>(&line).ok().map(|recorded| (line, recorded)))
    });
    Ok(all.filter_map(Result::transpose))
}

/// What was measured of the maps of one image.
#[derive(Deserialize)]
pub struct MeasuredLine {
    pub input: JsonPath,
    #[serde(default)]
    pub part: Part,
    pub measured: serde_json::Value,
    options: serde_json::Value,
}

/// Reads what was measured with these options, one image at a time.
pub fn measured(
    folder: &Path,
    options: &serde_json::Value,
) -> Result<impl Iterator<Item = Result<MeasuredLine, Failure>>, Failure> {
    let path = folder.join(NAME);
    let failed = move |error: io::Error| Failure::Folder { path: path.clone(), reason: error.to_string() };
    let all = lines(&folder.join(NAME)).map_err(&failed)?.map(move |line| {
        let line = line.map_err(&failed)?;
        Ok(serde_json::from_slice::<MeasuredLine>(&line).ok().filter(|line| line.options == *options))
    });
    Ok(all.filter_map(Result::transpose))
}

/// Reads the lines of a manifest, of a longer one than any of ours the beginning; there are none when there is no file.
fn lines(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>> + use<>> {
    let mut file = match File::open(path) {
        Ok(file) => Some(BufReader::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut next = move || {
        let Some(file) = &mut file else { return Ok(None) };
        let mut line = Vec::new();
        if file.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.pop_if(|byte| *byte == b'\n').is_none() {
            file.skip_until(b'\n')?;
        }
        Ok(Some(line))
    };
    Ok(std::iter::from_fn(move || next().transpose()))
}

/// Returns the files that the manifest of a folder names.
pub fn written(folder: &Path) -> FileSet {
    let (mut written, mut seen, names) = (FileSet::default(), HashSet::new(), RandomState::new());
    let manifest = folder.join(NAME);
    for found in lines(&manifest).into_iter().flatten().map_while(Result::ok).filter_map(|line| read(&line)) {
        for file in found.files().filter(|file| seen.insert(names.hash_one(file))) {
            written.add(file);
            // A manifest names files as its run did, maybe from another folder or by another way: they lie beside it or below.
            let parts: Vec<_> = file.components().collect();
            let places = parts.len().saturating_sub(DEEPEST)..parts.len();
            let ends = places.map(|first| parts[first..].iter().collect::<PathBuf>());
            ends.filter(|end| end.is_relative()).for_each(|end| written.add(&folder.join(end)));
        }
    }
    written
}

/// Parses a line; there is nothing in one that ends in the middle, as in a run that was killed.
fn read(line: &[u8]) -> Option<Entry> {
    serde_json::from_slice(line).ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    proptest::proptest! {
        /// A file that is done stays done, and its outputs are known, whatever bytes their names are.
        #[test]
        fn any_file_is_found_again(name: Vec<u8>, other: Vec<u8>, place in 0usize..3) {
            let folder = tempfile::tempdir().unwrap();
            let file = |bytes: &[u8], end: &str| {
                let legal = |byte: &u8| !matches!(byte, 0 | b'/');
                let bytes = b"x".iter().chain(bytes).copied().filter(legal).take(200).chain(end.bytes()).collect();
                folder.path().join(OsString::from_vec(bytes))
            };
            let (input, stranger, png) = (file(&name, ".png"), file(&other, ".jpg"), file(&other, "_map.png"));
            for path in [&input, &png] {
                std::fs::write(path, "some").unwrap();
            }
            let (stamp, part) = (Stamp::of_file(&input), Part { place, of: 3 });
            let line = serde_json::json!({
                "input": JsonPath::from(input.clone()), "part": part, "bytes": stamp.bytes, "modified": stamp.modified,
                "options": 1, "maps": [{ "png": JsonPath::from(png.clone()) }],
            });
            std::fs::write(folder.path().join(NAME), format!("{line}\n")).unwrap();
            let manifest = Manifest::open(folder.path(), 1.into(), false).unwrap();
            proptest::prop_assert_eq!(manifest.done(&input), HashSet::from([part]));
            proptest::prop_assert!(manifest.done(&stranger).is_empty());
            proptest::prop_assert_eq!(&manifest.taken, &HashSet::from([png.clone()]));
            proptest::prop_assert!(written(folder.path()).get(&png).is_some());
            // With the output, the image is to be done again.
            std::fs::remove_file(&png).unwrap();
            let manifest = Manifest::open(folder.path(), 1.into(), false).unwrap();
            proptest::prop_assert!(manifest.done(&input).is_empty());
        }
    }

    /// Each part of a path would be the start of another path to look for.
    #[test]
    fn a_path_of_many_parts_takes_no_time() {
        let folder = tempfile::tempdir().unwrap();
        let line = serde_json::json!({
            "input": "a", "bytes": 0, "modified": 0, "options": 1, "maps": [{ "png": "a/".repeat(2 << 20) }],
        });
        std::fs::write(folder.path().join(NAME), format!("{line}\n")).unwrap();
        let started = std::time::Instant::now();
        assert!(written(folder.path()).get(folder.path()).is_none());
        assert!(started.elapsed().as_secs_f64() < 10.0, "{:?}", started.elapsed());
    }
}
