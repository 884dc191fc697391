//! The files of a run.

use crate::console::Console;
use crate::failure::{Failure, folder};
use crate::interrupt;
use crate::sheet::Drawing;
use image::ImageFormat;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Where pictures go.
pub enum Out {
    /// A picture a map, into a folder.
    Folder(Files),
    /// All on one picture, into this file.
    File(PathBuf),
    /// All on one picture, to standard output.
    Stdout,
}

/// The endings of pictures that can be written.
const PICTURES: [&str; 5] = ["png", "jpg", "jpeg", "webp", "svg"];

impl Out {
    /// What `--out` means: `-` standard output, a name that ends as a picture does that file, and any other a folder, which is made.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        let ending = path.extension().unwrap_or_default();
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        if PICTURES.iter().any(|known| ending.eq_ignore_ascii_case(known)) && !path.is_dir() {
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                folder(parent)?;
            }
            return Ok(Self::File(path.into()));
        }
        if ImageFormat::from_extension(ending).is_some() && !path.is_dir() {
            let (path, known) = (path.display(), PICTURES.join(", "));
            return Err(Failure::Usage(format!("`{path}` cannot be written: pictures end in {known}")));
        }
        folder(path)?;
        Ok(Self::Folder(Files { folder: path.into(), taken: HashSet::new() }))
    }

    /// Writes the one picture that all is on, and says where; a folder has it already.
    pub fn deliver(&self, drawing: &Drawing, console: &Console) -> Result<(), Failure> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Stdout => console.bytes(&drawing.encode("png")?),
            Self::File(path) => {
                let ending = path.extension().unwrap_or_default().to_string_lossy();
                write_to(path.clone(), &drawing.encode(&ending)?)?;
                console.say(path.display())
            }
        }
    }
}

/// The folder that a run writes to; no two files of a run have one name.
pub struct Files {
    pub folder: PathBuf,
    /// Without their endings.
    taken: HashSet<PathBuf>,
}

impl Files {
    /// Holds the names of what has been written before, so that nothing else gets them.
    pub fn hold(&mut self, written: impl IntoIterator<Item = PathBuf>) {
        // A layer's name has dots: only the ending of the picture is cut off.
        self.taken.extend(written.into_iter().map(|path| path.with_extension("")));
    }

    /// A path without its ending, with a number where another picture of the run has it.
    pub fn name(&mut self, below: &Path, name: &str) -> Result<PathBuf, Failure> {
        let place = self.folder.join(below);
        folder(&place)?;
        let mut free = place.join(name);
        let mut number = 1;
        while !self.taken.insert(free.clone()) {
            number += 1;
            free = place.join(format!("{name}_{number}"));
        }
        Ok(free)
    }
}

/// Writes a file, whole or not at all; the ending is added to the name.
pub fn write(name: &Path, ending: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
    let mut path = name.as_os_str().to_owned();
    path.push(ending);
    write_to(path.into(), bytes)
}

/// Writes a file, whole or not at all.
pub fn write_to(path: PathBuf, bytes: &[u8]) -> Result<PathBuf, Failure> {
    interrupt::whole(|| cam_viz::write(&path, bytes))?;
    Ok(path)
}
