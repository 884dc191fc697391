//! Which images a command line names: files, folders, standard input.

use crate::report::failure::Failure;
use crate::run::inputs::FileSet;
use crate::run::manifest;
use burn_cam::PHOTO_EXTENSIONS;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The name of standard input.
const STDIN: &str = "-";

/// The extension of arrays.
const ARRAY: &str = "npy";

/// The extensions of images that are not read: each is refused by name, and not skipped.
const UNREAD: [&str; 6] = ["heic", "heif", "avif", "jxl", "jp2", "dcm"];

/// The most bytes that are read of standard input, a pipe or a device.
const LONGEST: u64 = 1 << 30;

/// A file of one image or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file, or `-`.
    pub path: PathBuf,
    /// The folder that it is in, relative to the folder that the command line names; empty for a file that is named itself.
    pub below: PathBuf,
}

impl Source {
    /// Returns whether it is standard input.
    pub fn is_stdin(&self) -> bool {
        self.path == Path::new(STDIN)
    }

    /// Reads its contents; what has no length, such as a pipe, may end with [`LONGEST`] at the latest.
    pub fn bytes(&self) -> std::io::Result<Vec<u8>> {
        match self.is_stdin() {
            true => bounded(std::io::stdin().lock()),
            false => match File::open(&self.path)? {
                file if file.metadata()?.is_file() => std::fs::read(&self.path),
                device => bounded(device),
            },
        }
    }

    /// Returns its name for people.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Returns its name on a contact sheet.
    pub fn title(&self) -> String {
        match self.is_stdin() {
            true => "standard input".into(),
            false => self.below.join(self.path.file_name().unwrap_or_default()).display().to_string(),
        }
    }

    /// Returns what the names of its outputs start with: of a long name the beginning, so that there is room for the rest.
    pub fn stem(&self) -> String {
        const LONGEST: usize = 100;
        if self.is_stdin() {
            return "stdin".into();
        }
        let mut stem = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        stem.truncate(stem.floor_char_boundary(LONGEST));
        stem
    }
}

/// Returns the files that are named, and those in and below the folders that are named, in the order of their names. Hidden files are
/// skipped, and so are outputs of this tool: what is in the folder `out` within another, and what a manifest there or in a folder that is
/// walked names.
pub fn sources(named: &[PathBuf], out: &Path) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let mut outputs = Outputs { folder: out.canonicalize().ok(), written: manifest::written(out) };
    for path in named {
        let before = sources.len();
        if !path.is_dir()
            || walk(path, Path::new(""), &mut outputs, &mut sources).is_err()
            || sources.len() == before
        {
            if path.is_dir() && named.len() == 1 {
                return Err(no_images(path));
            }
            // A folder without images is reported in its turn, with whatever else cannot be read.
            sources.push(Source { path: path.clone(), below: PathBuf::new() });
        }
    }
    Ok(sources)
}

/// Reads all that comes.
fn bounded(stream: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match stream.take(LONGEST + 1).read_to_end(&mut bytes)? as u64 > LONGEST {
        true => Err(std::io::Error::other(format!("it does not end within {LONGEST} bytes"))),
        false => Ok(bytes),
    }
}

/// Returns why there is no image in a folder.
pub fn no_images(folder: &Path) -> Failure {
    match std::fs::read_dir(folder) {
        Ok(_) => {
            Failure::NoImages { path: folder.into(), known: [PHOTO_EXTENSIONS, &[ARRAY]].concat().join(", ") }
        }
        Err(error) => Failure::Folder { path: folder.into(), reason: error.to_string() },
    }
}

/// Outputs of this tool.
struct Outputs {
    /// The folder that it writes to, without links, if it exists.
    folder: Option<PathBuf>,
    /// The files that manifests name.
    written: FileSet,
}

impl Outputs {
    /// Returns whether this is the folder that is written to, by whatever name.
    fn is_folder(&self, path: &Path) -> bool {
        self.folder.is_some() && path.canonicalize().ok() == self.folder
    }
}

fn walk(
    folder: &Path,
    below: &Path,
    outputs: &mut Outputs,
    sources: &mut Vec<Source>,
) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    outputs.written.extend(manifest::written(folder));
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        // A link to a folder is not followed, as it may lead back here.
        if entry.file_type()?.is_dir() {
            if !outputs.is_folder(&path) && walk(&path, &below.join(name), outputs, sources).is_err() {
                sources.push(Source { path, below: below.into() });
            }
        } else if is_image(&path) && path.is_file() && outputs.written.get(&path).is_none() {
            sources.push(Source { path, below: below.into() });
        }
    }
    Ok(())
}

fn is_image(path: &Path) -> bool {
    let known = || PHOTO_EXTENSIONS.iter().chain(&[ARRAY]).chain(&UNREAD);
    path.extension().is_some_and(|extension| known().any(|known| extension.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_in_order_and_what_was_written_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for sub in ["b", "cam-out", ".hidden"] {
            std::fs::create_dir(root.join(sub)).unwrap();
        }
        let skipped = ["b/notes.txt", "cam-out/a.png", ".hidden/x.png", ".y.png"];
        for file in ["c.JPG", "a.png", "b/d.jpeg", "e.heic", "f.npy", "g.TIFF"].iter().chain(&skipped) {
            std::fs::write(root.join(file), "").unwrap();
        }
        let found = sources(&[root.into()], &root.join("cam-out")).unwrap();
        let found: Vec<(&Path, &Path)> = found
            .iter()
            .map(|source| (source.path.strip_prefix(root).unwrap(), source.below.as_path()))
            .collect();
        let below =
            [("a.png", ""), ("b/d.jpeg", "b"), ("c.JPG", ""), ("e.heic", ""), ("f.npy", ""), ("g.TIFF", "")];
        let want = below.map(|(a, b)| (Path::new(a), Path::new(b)));
        assert_eq!(found, want);
        assert!(
            sources(&[root.join(".hidden").join("x.png")], root).is_ok(),
            "what is named itself is taken"
        );
        std::fs::remove_file(root.join("b/d.jpeg")).unwrap();
        let none = sources(&[root.join("b")], root).unwrap_err();
        assert!(none.to_string().contains("no images"), "{none}");
    }
}
