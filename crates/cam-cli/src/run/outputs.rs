//! Where the results of a run go: files in a folder, one file, or standard output.

use crate::report::console::{Console, plain};
use crate::report::contact_sheet::Drawing;
use crate::report::failure::{Failure, create_folder};
use crate::report::format::Format;
use crate::run::inputs::Inputs;
use crate::run::sources::Source;
use crate::run::{interrupt, manifest};
use burn_cam::draw;
use burn_cam::image::ImageFormat;
use clap::ValueEnum;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Where images go, and in which format.
pub enum Output {
    /// One image per map, into a folder.
    Folder(OutputFolder),
    /// One image of all maps, into this file.
    File(PathBuf, Format),
    /// One image of all maps, to standard output.
    Stdout(Format),
}

impl Output {
    /// Opens what `--out` and `--format` name: `-` is standard output, a name with the extension of an image is that file, and any
    /// other name is a folder, which is created.
    pub fn open(path: &Path, asked: Option<Format>) -> Result<Self, Failure> {
        let format = asked.unwrap_or_default();
        if path == Path::new("-") {
            return Ok(Self::Stdout(format));
        }
        let refused =
            |reason: String| Failure::Usage(format!("`{}` cannot be written: {reason}", path.display()));
        match Format::from_path(path) {
            _ if path.is_dir() => {}
            Some(named) if asked.is_some_and(|asked| asked != named) => {
                return Err(refused(format!(
                    "its extension is {}, but `--format` is {}",
                    named.extension(),
                    format.extension()
                )));
            }
            Some(named) => {
                if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                    create_folder(parent)?;
                }
                return Ok(Self::File(path.into(), named));
            }
            None if ImageFormat::from_path(path).is_ok() => {
                let known: Vec<&str> =
                    Format::value_variants().iter().map(|format| format.extension()).collect();
                return Err(refused(format!("the extensions of images are {}", known.join(", "))));
            }
            None => {}
        }
        create_folder(path)?;
        Ok(Self::Folder(OutputFolder {
            folder: path.into(),
            format,
            taken: HashSet::new(),
            swept: HashSet::new(),
        }))
    }

    /// Makes sure that no output overwrites an input. The outputs of an image are named after it and one of these words.
    pub fn check<'w>(
        &self,
        inputs: &Inputs,
        sources: &[Source],
        words: impl IntoIterator<Item = &'w str>,
    ) -> Result<(), Failure> {
        match self {
            Self::Stdout(_) => Ok(()),
            Self::File(path, _) => inputs.check_output(path),
            Self::Folder(folder) => folder.check(inputs, sources, &words.into_iter().collect::<Vec<_>>()),
        }
    }

    /// Writes the one image of all maps, with the record of what made it, and prints where; a folder has its files already.
    pub fn deliver(&self, drawing: &Drawing, record: &str, console: &Console) -> Result<(), Failure> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Stdout(format) => console.bytes(&drawing.encode_with_record(*format, record)?),
            Self::File(path, format) => {
                write(path.clone(), &drawing.encode_with_record(*format, record)?)?;
                console.result(plain(path.display()))
            }
        }
    }
}

/// The folder that a run writes to; no two files of a run have the same name.
pub struct OutputFolder {
    folder: PathBuf,
    format: Format,
    /// Without their extensions.
    taken: HashSet<PathBuf>,
    /// The folders without files of runs that were killed.
    swept: HashSet<PathBuf>,
}

impl OutputFolder {
    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Reserves the names of what has been written before, so that nothing else gets them.
    pub fn reserve(&mut self, written: impl IntoIterator<Item = PathBuf>) {
        // The name of a layer has dots: only the extension of the image is removed.
        self.taken.extend(written.into_iter().map(|path| path.with_extension("")));
    }

    /// Makes sure that no file that may be overwritten is an input. The names of outputs are not known before their classes are, but how
    /// they begin and end is.
    fn check(&self, inputs: &Inputs, sources: &[Source], words: &[&str]) -> Result<(), Failure> {
        inputs.check_output(&self.folder.join(manifest::NAME))?;
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
            // In a folder that does not exist yet nothing can be overwritten.
            for entry in std::fs::read_dir(self.folder.join(below)).into_iter().flatten().flatten() {
                // Some file systems ignore case.
                let name = entry.file_name().to_string_lossy().to_lowercase();
                let ends = name.ends_with(&format!(".{}", self.format.extension())) || name.ends_with(".npy");
                if ends && words.iter().any(|word| begins(&name, word)) {
                    inputs.check_output(&entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Returns a name for files, with a number when another image of the run has it.
    pub fn name(&mut self, below: &Path, name: &str) -> Result<OutputName, Failure> {
        let place = self.folder.join(below);
        create_folder(&place)?;
        if self.swept.insert(place.clone()) {
            draw::remove_stale(&place);
        }
        let mut free = place.join(name);
        let mut number = 1;
        while !self.taken.insert(free.clone()) {
            number += 1;
            free = place.join(format!("{name}_{number}"));
        }
        Ok(OutputName { path: free, format: self.format })
    }
}

/// The name of the files of a map or a sheet.
pub struct OutputName {
    /// Without an extension.
    path: PathBuf,
    format: Format,
}

impl OutputName {
    /// Writes a file, whole or not at all; the suffix is added to the name.
    pub fn write(&self, suffix: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        write(path.into(), bytes)
    }

    /// Writes a drawing, with the record of what made it; the suffix is added to the name.
    pub fn draw(&self, suffix: &str, drawing: &Drawing, record: &str) -> Result<PathBuf, Failure> {
        self.write(
            &format!("{suffix}.{}", self.format.extension()),
            &drawing.encode_with_record(self.format, record)?,
        )
    }
}

/// Writes a file, whole or not at all.
pub fn write(path: PathBuf, bytes: &[u8]) -> Result<PathBuf, Failure> {
    interrupt::whole(|| draw::write(&path, bytes))?;
    Ok(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    proptest::proptest! {
        /// What a file may be called, twice, in a folder of another such name.
        #[test]
        fn outputs_of_any_files_have_names_of_their_own_in_their_folder(names: [Vec<u8>; 4], below: Vec<u8>) {
            let root = tempfile::tempdir().unwrap();
            let name = |bytes: Vec<u8>| {
                let legal = |byte: &u8| !matches!(byte, 0 | b'/');
                let bytes: Vec<u8> = b"x".iter().copied().chain(bytes).filter(legal).take(255).collect();
                PathBuf::from(OsString::from_vec(bytes))
            };
            let below = name(below);
            let Output::Folder(mut folder) = Output::open(root.path(), None).unwrap() else { unreachable!() };
            let mut taken = HashSet::new();
            for path in names.clone().into_iter().chain(names).map(|bytes| Path::new("photos").join(name(bytes))) {
                let source = Source { path, below: below.clone() };
                let written = folder.name(&below, &format!("{}_gradcam_layer4_3", source.stem())).unwrap();
                let path = written.write(".png", b"").unwrap();
                proptest::prop_assert_eq!(path.parent().unwrap(), root.path().join(&below));
                proptest::prop_assert!(path.file_name().unwrap().as_bytes().starts_with(b"x"));
                proptest::prop_assert!(taken.insert(path));
            }
            proptest::prop_assert_eq!(std::fs::read_dir(root.path().join(&below)).unwrap().count(), 8);
        }
    }
}
