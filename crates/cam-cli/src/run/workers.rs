//! The workers of a run: one per device, each with a model of its own, and one queue from which they take images.
//!
//! A clone of a Burn module shares the statistics of its BatchNorms with the original, so each device gets a model that was loaded for
//! it. Results come back in the order of the images: names of files, the manifest and the report are the same whichever worker was
//! faster.

use crate::args::device::NamedDevice;
use crate::commands::explain::Args;
use crate::report::console::Console;
use crate::report::failure::Failure;
use crate::report::json::Seconds;
use crate::run::images::{Explained, Part, SourceImage, SourceReader};
use crate::run::npy;
use crate::run::panics;
use crate::run::run_state::Pending;
use crate::run::sources::Source;
use burn_cam::{AnyModel, AnyTarget, Device, ImageExplainer, ImageInput, Method, on_computing_thread};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::Instant;

/// What every worker does.
#[derive(Clone, Copy)]
pub struct WorkSpec<'a> {
    pub args: &'a Args,
    pub targets: &'a [AnyTarget],
    pub methods: &'a [&'static dyn Method],
    pub layers: &'a [String],
    pub reader: &'a SourceReader,
    pub console: &'a Console,
}

/// The result of one image.
pub enum ImageResult {
    Explained(Box<Explained>),
    Failed(Source, Part, Failure),
}

/// What a worker reports about the files that it has taken.
enum Event {
    Results(Vec<ImageResult>),
    /// The worker gives up.
    Lost(Failure),
    /// All of them are done.
    End(Seconds),
}

/// Files that one worker takes at a time, and where their events go.
struct Job<'a> {
    files: &'a [Pending],
    events: SyncSender<Event>,
}

/// The jobs that a worker may be ahead of what has been written.
const AHEAD: usize = 2;

/// The most pixels of the images that are held together, 100 MB; a larger image is alone.
const TOGETHER: u64 = 1 << 25;

/// The stack of a worker, as large as that of the main thread: networks are deep.
const STACK: usize = 8 << 20;

/// Explains images on all devices and passes the results to `on_result` in the order of the images. `first` is the model of the first
/// device; the others are opened here. Returns the time of all devices together.
pub fn explain(
    spec: WorkSpec<'_>,
    devices: &[NamedDevice],
    first: &AnyModel,
    pending: &[Pending],
    mut on_result: impl FnMut(Vec<ImageResult>) -> Result<(), Failure>,
) -> Result<Seconds, Failure> {
    let (queue, jobs) = channel();
    let jobs = Mutex::new(jobs);
    std::thread::scope(|scope| {
        for (number, device) in devices.iter().enumerate() {
            let (jobs, model) = (&jobs, (number == 0).then_some(first));
            let worker = Builder::new().name(device.name.clone()).stack_size(STACK);
            worker
                .spawn_scoped(scope, move || match device.device == Device::flex() {
                    true => on_computing_thread(|| work(spec, device, model, jobs)),
                    false => work(spec, device, model, jobs),
                })
                .map_err(|error| Failure::Lost { device: device.name.clone(), reason: error.to_string() })?;
        }
        let seconds = in_order(spec, devices.len(), pending, &queue, &mut on_result);
        // There are no more jobs: the workers end.
        drop(queue);
        seconds
    })
}

/// Hands out the jobs and receives their events, those of the first job first.
fn in_order<'a>(
    spec: WorkSpec<'_>,
    workers: usize,
    pending: &'a [Pending],
    queue: &Sender<Job<'a>>,
    on_result: &mut impl FnMut(Vec<ImageResult>) -> Result<(), Failure>,
) -> Result<Seconds, Failure> {
    let mut seconds = Seconds::default();
    let mut pending = pending.chunks(spec.args.batch_size as usize);
    let mut under_way: VecDeque<Receiver<Event>> = VecDeque::new();
    loop {
        while under_way.len() < AHEAD * workers
            && let Some(files) = pending.next()
        {
            // Nothing waits between a worker and what is written: a photo may take 100 MB.
            let (events, received) = sync_channel(0);
            // Without workers the queue loses its jobs, and their events end.
            let _ = queue.send(Job { files, events });
            under_way.push_back(received);
        }
        let Some(received) = under_way.pop_front() else { return Ok(seconds) };
        loop {
            match received.recv() {
                Ok(Event::Results(results)) => on_result(results)?,
                Ok(Event::Lost(failure)) => return Err(failure),
                Ok(Event::End(more)) => break seconds += more,
                Err(_) => {
                    let reason = "its worker has ended".into();
                    return Err(Failure::Lost { device: "the device".into(), reason });
                }
            }
        }
    }
}

/// Runs a worker, which takes jobs until there are no more. If its device fails or panics, its job receives the failure.
fn work(spec: WorkSpec<'_>, device: &NamedDevice, first: Option<&AnyModel>, jobs: &Mutex<Receiver<Job<'_>>>) {
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    let Some(job) = next() else { return };
    // Where a failure goes.
    let events = Mutex::new(job.events.clone());
    let send = |event| events.lock().unwrap_or_else(PoisonError::into_inner).send(event);
    let run = || -> Result<(), Failure> {
        let opened;
        let model = match first {
            Some(model) => model,
            None => {
                opened = spec.args.open(&device.device, spec.console)?;
                &opened
            }
        };
        let WorkSpec { args, targets, methods, layers, reader, console } = spec;
        let explainer = args.strategy.explainer(model, (&args.targets, targets), methods, layers, console);
        let mut explainer = explainer.preprocess(reader.preprocess.clone());
        explainer = args.targets.masked(explainer)?;
        if let Some(other) = &args.targets.like {
            explainer = match npy::vector(other)? {
                Some(vector) => explainer.like_vector(other.display().to_string(), vector),
                None => explainer.like(reader.one(other)?)?,
            };
        }
        let mut worker = Worker { spec, model, explainer, seconds: Seconds::default() };
        let mut job = Some(job);
        while let Some(Job { files, events: of_job }) = job {
            *events.lock().unwrap_or_else(PoisonError::into_inner) = of_job;
            worker.explain(files, &|results| send(Event::Results(results)).is_ok())?;
            // When the run has ended, nobody receives this.
            let _ = send(Event::End(std::mem::take(&mut worker.seconds)));
            job = next();
        }
        Ok(())
    };
    let lost = |reason| Failure::Lost { device: device.name.clone(), reason };
    let Err(failure) = panics::caught(run, lost) else { return };
    let _ = send(Event::Lost(failure.of_device(&device.name)));
}

/// An image, or a file that cannot be read and why.
type ReadImage = Result<SourceImage, (Source, Failure)>;

/// A worker with its explainer.
struct Worker<'a> {
    spec: WorkSpec<'a>,
    model: &'a AnyModel,
    explainer: ImageExplainer<'a, AnyModel>,
    seconds: Seconds,
}

impl Worker<'_> {
    /// Reads the images of some files and explains those of one size together, as many as the memory of pixels has room for; ends early
    /// when nobody receives the results.
    fn explain(&mut self, files: &[Pending], send: &dyn Fn(Vec<ImageResult>) -> bool) -> Result<(), Failure> {
        let mut batch: Vec<ReadImage> = Vec::new();
        for file in files {
            let started = Instant::now();
            let read = file.read(self.spec.reader);
            self.seconds.preprocess += started.elapsed().as_secs_f64();
            match read {
                Ok(images) => {
                    for image in images {
                        if self.is_full(&batch, &image) && !send(self.batch(std::mem::take(&mut batch))?) {
                            return Ok(());
                        }
                        batch.push(Ok(image));
                    }
                }
                Err(failure) => batch.push(Err((file.source.clone(), failure))),
            }
        }
        send(self.batch(batch)?);
        Ok(())
    }

    /// Returns whether a batch has no room for another image.
    fn is_full(&self, batch: &[ReadImage], image: &SourceImage) -> bool {
        let images = || batch.iter().flatten();
        let pixels = images().chain([image]).map(SourceImage::pixels).sum::<u64>();
        let size = |image: &SourceImage| image.image.input_size(&self.spec.reader.preprocess);
        images().count() == self.spec.args.batch_size as usize
            || (pixels > TOGETHER && images().next().is_some())
            || images().next().is_some_and(|first| size(first) != size(image))
    }

    /// Explains images of one size; files that cannot be read keep their place among them.
    fn batch(&mut self, batch: Vec<ReadImage>) -> Result<Vec<ImageResult>, Failure> {
        let images: Vec<ImageInput> = batch.iter().flatten().map(|image| image.image.clone()).collect();
        let mut found = self.explainer.explain_all(images)?.into_iter();
        let mut results = Vec::new();
        for read in batch {
            let image = match read {
                Ok(image) => image,
                Err((source, failure)) => {
                    results.push(ImageResult::Failed(source, Part::default(), failure));
                    continue;
                }
            };
            results.push(match found.next() {
                Some(Ok(mut found)) => {
                    self.spec.args.targets.set_probabilities(self.model, &mut found);
                    self.seconds += found.timings;
                    ImageResult::Explained(Box::new(image.explained(found)))
                }
                Some(Err(error)) => ImageResult::Failed(image.source, image.part, error.into()),
                None => return Err(Failure::Internal("an image has no result".into())),
            });
        }
        Ok(results)
    }
}
