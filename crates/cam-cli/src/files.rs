//! The files of a run.

use crate::console::Console;
use crate::failure::{Failure, folder};
use crate::format::Format;
use crate::reads::Reads;
use crate::sheet::Drawing;
use crate::source::Source;
use crate::{interrupt, manifest};
use clap::ValueEnum;
use image::ImageFormat;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Where pictures go, and as what.
pub enum Out {
    /// A picture a map, into a folder.
    Folder(Files),
    /// All on one picture, into this file.
    File(PathBuf, Format),
    /// All on one picture, to standard output.
    Stdout(Format),
}

impl Out {
    /// What `--out` and `--format` mean: `-` is standard output, a name that ends as a picture does that file, and any other a
    /// folder, which is made.
    pub fn of(path: &Path, asked: Option<Format>) -> Result<Self, Failure> {
        let format = asked.unwrap_or_default();
        if path == Path::new("-") {
            return Ok(Self::Stdout(format));
        }
        let refused =
            |reason: String| Failure::Usage(format!("`{}` cannot be written: {reason}", path.display()));
        match Format::of(path) {
            _ if path.is_dir() => {}
            Some(named) if asked.is_some_and(|asked| asked != named) => {
                return Err(refused(format!(
                    "it ends in {}, and `--format` says {}",
                    named.ending(),
                    format.ending()
                )));
            }
            Some(named) => {
                if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                    folder(parent)?;
                }
                return Ok(Self::File(path.into(), named));
            }
            None if ImageFormat::from_path(path).is_ok() => {
                let known: Vec<&str> =
                    Format::value_variants().iter().map(|format| format.ending()).collect();
                return Err(refused(format!("pictures end in {}", known.join(", "))));
            }
            None => {}
        }
        folder(path)?;
        Ok(Self::Folder(Files { folder: path.into(), format, taken: HashSet::new() }))
    }

    /// Makes sure that nothing that is written here overwrites a file that is read. What is found in a picture is called after it and
    /// one of these words.
    pub fn spares<'w>(
        &self,
        reads: &Reads,
        sources: &[Source],
        words: impl IntoIterator<Item = &'w str>,
    ) -> Result<(), Failure> {
        match self {
            Self::Stdout(_) => Ok(()),
            Self::File(path, _) => reads.spared_by(path),
            Self::Folder(files) => files.spare(reads, sources, &words.into_iter().collect::<Vec<_>>()),
        }
    }

    /// Writes the one picture that all is on, and says where; a folder has it already.
    pub fn deliver(&self, drawing: &Drawing, console: &Console) -> Result<(), Failure> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Stdout(format) => console.bytes(&drawing.encode(*format)?),
            Self::File(path, format) => {
                write(path.clone(), &drawing.encode(*format)?)?;
                console.say(path.display())
            }
        }
    }
}

/// The folder that a run writes to; no two files of a run have one name.
pub struct Files {
    pub folder: PathBuf,
    format: Format,
    /// Without their endings.
    taken: HashSet<PathBuf>,
}

impl Files {
    /// Holds the names of what has been written before, so that nothing else gets them.
    pub fn hold(&mut self, written: impl IntoIterator<Item = PathBuf>) {
        // A layer's name has dots: only the ending of the picture is cut off.
        self.taken.extend(written.into_iter().map(|path| path.with_extension("")));
    }

    /// Makes sure that no file that is there and may be written anew is one that is read. Which names there will be is not known before
    /// classes are, but how they begin and end.
    fn spare(&self, reads: &Reads, sources: &[Source], words: &[&str]) -> Result<(), Failure> {
        reads.spared_by(&self.folder.join(manifest::NAME))?;
        let mut stems: BTreeMap<&Path, HashSet<String>> = BTreeMap::new();
        for source in sources {
            stems.entry(&source.below).or_default().insert(source.stem().to_lowercase());
        }
        for (below, stems) in stems {
            let begins = |name: &str, word: &str| {
                name.match_indices(&format!("_{word}")).any(|(at, found)| {
                    stems.contains(&name[..at]) && name[at + found.len()..].starts_with(['.', '_'])
                })
            };
            // Where there is no folder yet, nothing can be overwritten.
            for entry in std::fs::read_dir(self.folder.join(below)).into_iter().flatten().flatten() {
                // Some file systems take capitals for small letters.
                let name = entry.file_name().to_string_lossy().to_lowercase();
                let ends = name.ends_with(&format!(".{}", self.format.ending())) || name.ends_with(".npy");
                if ends && words.iter().any(|word| begins(&name, word)) {
                    reads.spared_by(&entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// A name for files, with a number where another picture of the run has it.
    pub fn name(&mut self, below: &Path, name: &str) -> Result<Name, Failure> {
        let place = self.folder.join(below);
        folder(&place)?;
        let mut free = place.join(name);
        let mut number = 1;
        while !self.taken.insert(free.clone()) {
            number += 1;
            free = place.join(format!("{name}_{number}"));
        }
        Ok(Name { path: free, format: self.format })
    }
}

/// What the files of a map or a sheet are called.
pub struct Name {
    /// Without an ending.
    path: PathBuf,
    format: Format,
}

impl Name {
    /// Writes a file, whole or not at all; the ending is added to the name.
    pub fn write(&self, ending: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let mut path = self.path.clone().into_os_string();
        path.push(ending);
        write(path.into(), bytes)
    }

    /// Writes a picture; what it is of is added to the name.
    pub fn draw(&self, of: &str, drawing: &Drawing) -> Result<PathBuf, Failure> {
        self.write(&format!("{of}.{}", self.format.ending()), &drawing.encode(self.format)?)
    }
}

/// Writes a file, whole or not at all.
pub fn write(path: PathBuf, bytes: &[u8]) -> Result<PathBuf, Failure> {
    interrupt::whole(|| cam_viz::write(&path, bytes))?;
    Ok(path)
}
