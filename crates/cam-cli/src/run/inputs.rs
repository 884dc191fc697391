//! The files that a command reads: none of its outputs may replace one of them.

use crate::args::model::ModelArgs;
use crate::report::failure::Failure;
use crate::run::manifest::Stamp;
use crate::run::sources::Source;
use same_file::is_same_file;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A set of files, which are identified by their contents on disk and not by their names: a link is the file that it leads to.
#[derive(Default)]
pub struct FileSet(HashMap<Stamp, Vec<PathBuf>>);

impl FileSet {
    /// Adds a file that exists.
    pub fn add(&mut self, path: &Path) {
        if path.exists() {
            // A file has one length and age under all its names, so few have to be opened and compared.
            self.0.entry(Stamp::of_file(path)).or_default().push(path.into());
        }
    }

    /// Adds the files of another set.
    pub fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|(stamp, paths)| self.0.entry(stamp).or_default().extend(paths));
    }

    /// Returns the name under which it has a file.
    pub fn get(&self, path: &Path) -> Option<&Path> {
        let candidates = self.0.get(&Stamp::of_file(path))?;
        candidates.iter().find(|known| is_same_file(known, path).unwrap_or(false)).map(PathBuf::as_path)
    }
}

/// The endings of files that can be a part of a model.
const PARTS: [&str; 10] = ["bin", "bpk", "data", "json", "onnx", "pt", "pth", "safetensors", "toml", "txt"];

/// The files that a command reads.
pub struct Inputs(FileSet);

impl Inputs {
    /// Returns the images, and the files of the model that the command line names.
    pub fn new(sources: &[Source], model: &ModelArgs) -> Self {
        // Standard input may be a file, for which Unix has a name.
        let name =
            |source: &Source| if source.is_stdin() { "/dev/stdin".into() } else { source.path.clone() };
        let mut inputs = Self(FileSet::default());
        sources.iter().map(name).for_each(|path| inputs.add(&path));
        let (_, file) = model.source();
        let beside = [&model.labels, &model.card].into_iter().flat_map(Option::as_deref);
        beside.for_each(|path| inputs.add(path));
        file.into_iter().for_each(|path| inputs.add_model(path));
        model.inputs.iter().for_each(|input| inputs.add(&input.path));
        inputs
    }

    /// Adds a model, by its file or its folder, with the files there that can be a part of it: configurations, cards, further weights.
    pub fn add_model(&mut self, path: &Path) {
        self.add(path);
        let folder = if path.is_dir() { Some(path) } else { path.parent() };
        let folder = folder.map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
        let folders = folder.into_iter().flat_map(|folder| [folder.into(), folder.join("onnx")]);
        let entries = folders.filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
        let is_part =
            |path: &PathBuf| path.extension().is_some_and(|ending| PARTS.iter().any(|part| ending == *part));
        entries.map(|entry| entry.path()).filter(is_part).for_each(|path| self.add(&path));
    }

    /// Adds a file.
    pub fn add(&mut self, path: &Path) {
        self.0.add(path);
    }

    /// Makes sure that writing to a file overwrites none of them.
    pub fn check_output(&self, output: &Path) -> Result<(), Failure> {
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
        let mut inputs = Inputs(FileSet::default());
        inputs.add(&path("photo.png"));
        inputs.add(&path("none.png"));
        let mut same = vec!["photo.png", "hard.png", "./photo.png"];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("hard.png", path("soft.png")).unwrap();
            same.push("soft.png");
        }
        for name in same {
            let said = inputs.check_output(&path(name)).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains("photo.png"), "{said}");
        }
        for name in ["copy.png", "none.png", "new/none.png"] {
            assert!(inputs.check_output(&path(name)).is_ok(), "{name}");
        }
    }
}
