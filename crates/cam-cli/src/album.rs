//! The pictures of a run: which are left to do, and which could not be done.
//!
//! One that cannot be read or explained does not stop the others. Where a folder is asked for, a manifest says what was found in
//! each picture, and from it an interrupted run goes on.

use crate::console::Console;
use crate::failure::Failure;
use crate::files::Out;
use crate::interrupt;
use crate::manifest::{Line, Manifest, Stamp};
use crate::picture::{Part, Picture};
use crate::report::{Failed, Map};
use crate::source::Source;
use cam_models::{Prediction, Preprocess};
use std::collections::HashSet;
use std::path::PathBuf;

/// The pictures of a run.
pub struct Album {
    sources: Vec<Source>,
    manifest: Option<Manifest>,
    /// Pictures done in this run.
    done: usize,
    /// Pictures that could not be done.
    pub failures: Vec<Failed>,
}

/// A file with pictures that are left to do.
pub struct Left {
    pub source: Source,
    /// Its pictures that are done.
    done: HashSet<Part>,
}

impl Left {
    /// Reads the pictures that are left to do.
    pub fn read(&self, preprocess: &Preprocess) -> Result<Vec<Picture>, Failure> {
        let mut pictures = Picture::read(&self.source, preprocess)?;
        pictures.retain(|picture| !self.done.contains(&picture.part));
        Ok(pictures)
    }
}

impl Album {
    /// The pictures of these sources, done with these options; with `fresh` none of them counts as done. A manifest is kept where
    /// one of those that the command line names is a folder, and outputs go to a folder.
    pub fn open(
        named: &[PathBuf],
        sources: Vec<Source>,
        out: &mut Out,
        options: serde_json::Value,
        fresh: bool,
    ) -> Result<Self, Failure> {
        let mut manifest = None;
        if let (Out::Folder(files), true) = (out, named.iter().any(|path| path.is_dir())) {
            let opened = Manifest::open(&files.folder, options, fresh)?;
            files.hold(opened.taken.iter().cloned());
            manifest = Some(opened);
        }
        interrupt::watch(match manifest {
            Some(_) => "all files are whole, and the same command goes on",
            None => "all files are whole",
        });
        Ok(Self { sources, manifest, done: 0, failures: Vec::new() })
    }

    /// The files that are left to do. How many are done already is said.
    pub fn left(&self, console: &Console) -> Result<Vec<Left>, Failure> {
        let all = self.sources.len();
        let left: Vec<Left> = self.sources.iter().filter_map(|source| self.left_of(source)).collect();
        if left.len() < all {
            console.say(format_args!("{} of {all} pictures are done already", all - left.len()))?;
        }
        Ok(left)
    }

    fn left_of(&self, source: &Source) -> Option<Left> {
        let done = self.done_before(source);
        let whole = done.iter().any(|part| done.len() >= part.of);
        (!whole).then(|| Left { source: source.clone(), done })
    }

    /// The pictures of a file that runs before this one have done.
    fn done_before(&self, source: &Source) -> HashSet<Part> {
        let manifest = self.manifest.as_ref().filter(|_| !source.is_stdin());
        manifest.map(|manifest| manifest.done(&source.name())).unwrap_or_default()
    }

    /// How many pictures are behind this run, done or failed.
    pub fn behind(&self) -> usize {
        self.done + self.failures.len()
    }

    /// What was found in a picture.
    pub fn done(
        &mut self,
        source: &Source,
        part: Part,
        predictions: &[Prediction],
        maps: &[Map],
    ) -> Result<(), Failure> {
        self.add(source, part, predictions, maps, None)?;
        self.done += 1;
        Ok(())
    }

    /// A picture that cannot be done does not stop the others; what concerns all of them does.
    pub fn failed(&mut self, source: &Source, part: Part, failure: Failure) -> Result<(), Failure> {
        let alone = self.sources.len() < 2 && part.is_all();
        if alone || !failure.is_of_one_picture() {
            return Err(failure);
        }
        let error = failure.told();
        self.add(source, part, &[], &[], Some(&error))?;
        self.failures.push(Failed { image: source.name(), part, error });
        Ok(())
    }

    /// Says where the manifest is, and which pictures could not be done.
    pub fn end(self, console: &Console) -> Result<(), Failure> {
        if let Some(manifest) = &self.manifest {
            console.say(manifest.path().display())?;
        }
        for failure in &self.failures {
            console.fail(&failure.error);
        }
        match self.failures.len() {
            0 => Ok(()),
            failed => {
                let before: usize = self.sources.iter().map(|source| self.done_before(source).len()).sum();
                Err(Failure::Some { failed, all: before + self.behind() })
            }
        }
    }

    fn add(
        &mut self,
        source: &Source,
        part: Part,
        predictions: &[Prediction],
        maps: &[Map],
        error: Option<&str>,
    ) -> Result<(), Failure> {
        let Some(manifest) = &mut self.manifest else { return Ok(()) };
        let stamp = Stamp::of(&source.path);
        manifest.add(&Line { input: source.name(), part, stamp, predictions, maps, error })
    }
}
