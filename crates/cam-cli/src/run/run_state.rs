//! The state of a run: which images are left to do, and which failed.
//!
//! An image that cannot be read or explained does not stop the others. When a folder is explained, a manifest records the results of
//! each image, and an interrupted run continues from it.

use crate::report::console::{Console, plain};
use crate::report::failure::Failure;
use crate::report::json::{FailedImage, MapReport};
use crate::run::images::{Part, SourceImage, SourceReader};
use crate::run::interrupt;
use crate::run::manifest::{Line, Manifest, Stamp};
use crate::run::outputs::Output;
use crate::run::sources::Source;
use burn_cam::Prediction;
use std::collections::HashSet;
use std::path::PathBuf;

/// The state of a run.
pub struct RunState {
    sources: Vec<Source>,
    manifest: Option<Manifest>,
    /// Images that this run has done.
    done: usize,
    /// Images that failed.
    pub failures: Vec<FailedImage>,
}

/// A file with images that are left to do.
pub struct Pending {
    pub source: Source,
    /// Its images that are done.
    done: HashSet<Part>,
}

impl Pending {
    /// Reads the images that are left to do.
    pub fn read(&self, reader: &SourceReader) -> Result<Vec<SourceImage>, Failure> {
        let mut images = reader.read(&self.source)?;
        images.retain(|image| !self.done.contains(&image.part));
        Ok(images)
    }
}

impl RunState {
    /// Starts a run over these sources with these options; with `fresh` none of them counts as done. There is a manifest when the
    /// command line names a folder of images and a folder for outputs.
    pub fn open(
        named: &[PathBuf],
        sources: Vec<Source>,
        output: &mut Output,
        options: serde_json::Value,
        fresh: bool,
    ) -> Result<Self, Failure> {
        let mut manifest = None;
        if let (Output::Folder(folder), true) = (output, named.iter().any(|path| path.is_dir())) {
            let opened = Manifest::open(folder.path(), options, fresh)?;
            folder.reserve(opened.taken.iter().cloned());
            manifest = Some(opened);
        }
        Ok(Self::with_manifest(sources, manifest))
    }

    /// Starts a run whose results are in a manifest.
    pub fn with_manifest(sources: Vec<Source>, manifest: Option<Manifest>) -> Self {
        interrupt::watch(match manifest {
            Some(_) => "all files are complete, and the same command continues",
            None => "all files are complete",
        });
        Self { sources, manifest, done: 0, failures: Vec::new() }
    }

    /// Returns the files that are left to do, and prints how many are done already.
    pub fn pending(&self, console: &Console) -> Result<Vec<Pending>, Failure> {
        let all = self.sources.len();
        let pending: Vec<Pending> =
            self.sources.iter().filter_map(|source| self.pending_of(source)).collect();
        if pending.len() < all {
            console.result(format_args!("{} of {all} images are done already", all - pending.len()))?;
        }
        Ok(pending)
    }

    fn pending_of(&self, source: &Source) -> Option<Pending> {
        let done = self.done_before(source);
        let whole = done.iter().any(|part| done.len() >= part.of);
        (!whole).then(|| Pending { source: source.clone(), done })
    }

    /// Returns the images of a file that earlier runs have done.
    fn done_before(&self, source: &Source) -> HashSet<Part> {
        let manifest = self.manifest.as_ref().filter(|_| !source.is_stdin());
        manifest.map(|manifest| manifest.done(&source.path)).unwrap_or_default()
    }

    /// Returns how many files there are.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Returns how many images this run has done or failed at.
    pub fn finished(&self) -> usize {
        self.done + self.failures.len()
    }

    /// Records the results of an image.
    pub fn done(
        &mut self,
        source: &Source,
        part: Part,
        predictions: &[Prediction],
        maps: &[MapReport],
    ) -> Result<(), Failure> {
        self.add(source, part, predictions, maps, None, None)?;
        self.done += 1;
        Ok(())
    }

    /// Records what was measured of the maps of an image.
    pub fn measured(
        &mut self,
        source: &Source,
        part: Part,
        measured: &serde_json::Value,
    ) -> Result<(), Failure> {
        self.add(source, part, &[], &[], Some(measured), None)?;
        self.done += 1;
        Ok(())
    }

    /// Records that an image failed. Returns the failure if it concerns all images.
    pub fn failed(&mut self, source: &Source, part: Part, failure: Failure) -> Result<(), Failure> {
        let alone = self.sources.len() < 2 && part.is_all();
        if alone || !failure.is_of_one_image() {
            return Err(failure);
        }
        let error = failure.message();
        self.add(source, part, &[], &[], None, Some(&error))?;
        self.failures.push(FailedImage { image: source.path.as_path().into(), part, error });
        Ok(())
    }

    /// Prints where the manifest is, and which images failed.
    pub fn end(self, console: &Console) -> Result<(), Failure> {
        if let Some(manifest) = &self.manifest {
            console.result(plain(manifest.path().display()))?;
        }
        for failure in &self.failures {
            console.error(&failure.error);
        }
        match self.failures.len() {
            0 => Ok(()),
            failed => {
                let before: usize = self.sources.iter().map(|source| self.done_before(source).len()).sum();
                Err(Failure::Some { failed, all: before + self.finished() })
            }
        }
    }

    fn add(
        &mut self,
        source: &Source,
        part: Part,
        predictions: &[Prediction],
        maps: &[MapReport],
        measured: Option<&serde_json::Value>,
        error: Option<&str>,
    ) -> Result<(), Failure> {
        let Some(manifest) = &mut self.manifest else { return Ok(()) };
        let stamp = Stamp::of_file(&source.path);
        manifest.add(&Line {
            input: source.path.as_path().into(),
            part,
            stamp,
            predictions,
            maps,
            measured,
            error,
        })
    }
}
