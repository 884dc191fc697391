//! The files that a command reads: nothing that it writes takes the place of one of them.

use crate::failure::Failure;
use crate::manifest::Stamp;
use crate::model;
use crate::source::Source;
use same_file::is_same_file;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Files, told apart by what they are and not by their names: a link is the file that it leads to.
#[derive(Default)]
pub struct FileSet(HashMap<Stamp, Vec<PathBuf>>);

impl FileSet {
    /// Adds a file that is there.
    pub fn add(&mut self, path: &Path) {
        if path.exists() {
            // One file has one length and age under all its names, so few have to be opened to be compared.
            self.0.entry(Stamp::of(path)).or_default().push(path.into());
        }
    }

    /// The name by which it has a file.
    pub fn get(&self, path: &Path) -> Option<&Path> {
        let alike = self.0.get(&Stamp::of(path))?;
        alike.iter().find(|known| is_same_file(known, path).unwrap_or(false)).map(PathBuf::as_path)
    }
}

/// The files that a command reads.
pub struct Reads(FileSet);

impl Reads {
    /// The pictures, and what the command line names of the model.
    pub fn of(sources: &[Source], model: &model::Asked) -> Self {
        // What comes on standard input may come from a file, which Unix has a name for.
        let name =
            |source: &Source| if source.is_stdin() { "/dev/stdin".into() } else { source.path.clone() };
        let mut reads = Self(FileSet::default());
        sources.iter().map(name).for_each(|path| reads.add(&path));
        model.weights.iter().chain(&model.labels).for_each(|path| reads.add(path));
        reads
    }

    /// Adds a file.
    pub fn add(&mut self, path: &Path) {
        self.0.add(path);
    }

    /// Makes sure that writing to a file overwrites none of them.
    pub fn spared_by(&self, output: &Path) -> Result<(), Failure> {
        match self.0.get(output) {
            None => Ok(()),
            Some(input) => Err(Failure::Overwrites { output: output.into(), input: input.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_known_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("photo.png"), "a").unwrap();
        fs::write(path("copy.png"), "a").unwrap();
        fs::hard_link(path("photo.png"), path("hard.png")).unwrap();
        let mut reads = Reads(FileSet::default());
        reads.add(&path("photo.png"));
        reads.add(&path("none.png"));
        let mut same = vec!["photo.png", "hard.png", "./photo.png"];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("hard.png", path("soft.png")).unwrap();
            same.push("soft.png");
        }
        for name in same {
            let said = reads.spared_by(&path(name)).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains("photo.png"), "{said}");
        }
        for name in ["copy.png", "none.png", "new/none.png"] {
            assert!(reads.spared_by(&path(name)).is_ok(), "{name}");
        }
    }
}
