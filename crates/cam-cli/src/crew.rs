//! The workers of a run: one a device, each with a model of its own, and one queue from which they take pictures.
//!
//! A clone of a Burn module shares the statistics of its BatchNorms with the first, so every device gets a model that was loaded
//! for it. What the workers find comes back in the order of the pictures: names of files, the manifest and the report are the same
//! whatever worker was faster.

use crate::album::Left;
use crate::explain::Args;
use crate::failure::Failure;
use crate::picture::{Part, Picture};
use crate::report::Seconds;
use crate::source::Source;
use crate::studio::{Explained, Studio, Unexplained, explainers};
use crate::{console::Console, device, model, panics};
use cam_core::Method;
use cam_models::{Classifier, MOST_PIXELS, Preprocess};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;

/// What is asked of every worker.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    pub args: &'a Args,
    pub methods: &'a [&'static dyn Method],
    pub layers: &'a [String],
    pub preprocess: &'a Preprocess,
    pub console: &'a Console,
}

/// What was found in a picture, or why nothing was.
pub enum Found {
    Explained(Box<Explained>),
    Failed(Source, Part, Failure),
}

/// What a worker says of the pictures that it has taken.
enum News {
    Found(Vec<Found>),
    /// The worker gives up.
    Lost(Failure),
    /// All of them have been looked at.
    End(Seconds),
}

/// Pictures that one worker takes at a time, and where their news go.
struct Job<'a> {
    files: &'a [Left],
    news: SyncSender<News>,
}

/// The jobs a worker may be ahead of what has been written.
const AHEAD: usize = 2;

/// As much as the main thread has: networks are deep.
const STACK: usize = 8 << 20;

/// Explains pictures on all devices and hands over what was found in their order. `first` is the model of the first device; the
/// others are loaded here. Says where the time went, that of all devices together.
pub fn explain(
    order: Order<'_>,
    devices: &[device::Named],
    first: &Classifier,
    left: &[Left],
    mut hand_over: impl FnMut(Vec<Found>) -> Result<(), Failure>,
) -> Result<Seconds, Failure> {
    let (queue, jobs) = channel();
    let jobs = Mutex::new(jobs);
    std::thread::scope(|scope| {
        for (number, device) in devices.iter().enumerate() {
            let (jobs, model) = (&jobs, (number == 0).then_some(first));
            let worker = Builder::new().name(device.name.clone()).stack_size(STACK);
            worker
                .spawn_scoped(scope, move || work(order, device, model, jobs))
                .map_err(|error| Failure::Lost { device: device.name.clone(), reason: error.to_string() })?;
        }
        let seconds = in_order(order, devices.len(), left, &queue, &mut hand_over);
        // Nothing more is to be done: the workers go home.
        drop(queue);
        seconds
    })
}

/// Hands out the jobs and takes their news, the first job's first.
fn in_order<'a>(
    order: Order<'_>,
    workers: usize,
    left: &'a [Left],
    queue: &Sender<Job<'a>>,
    hand_over: &mut impl FnMut(Vec<Found>) -> Result<(), Failure>,
) -> Result<Seconds, Failure> {
    let mut seconds = Seconds::default();
    let mut left = left.chunks(order.args.batch_size as usize);
    let mut under_way: VecDeque<Receiver<News>> = VecDeque::new();
    loop {
        while under_way.len() < AHEAD * workers
            && let Some(files) = left.next()
        {
            let (news, heard) = sync_channel(1);
            // A queue without workers loses its jobs, which is told by the news that end.
            let _ = queue.send(Job { files, news });
            under_way.push_back(heard);
        }
        let Some(heard) = under_way.pop_front() else { return Ok(seconds) };
        loop {
            match heard.recv() {
                Ok(News::Found(found)) => hand_over(found)?,
                Ok(News::Lost(failure)) => return Err(failure),
                Ok(News::End(more)) => break seconds += more,
                Err(_) => {
                    let reason = "its worker has ended".into();
                    return Err(Failure::Lost { device: "the device".into(), reason });
                }
            }
        }
    }
}

/// A worker: takes jobs until there are no more. Where its device fails, or panics, its job hears of it.
fn work(
    order: Order<'_>,
    device: &device::Named,
    first: Option<&Classifier>,
    jobs: &Mutex<Receiver<Job<'_>>>,
) {
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    let Some(job) = next() else { return };
    // Whom to tell of a failure.
    let told = Mutex::new(job.news.clone());
    let tell = |news| told.lock().unwrap_or_else(PoisonError::into_inner).send(news);
    let at_work = || -> Result<(), Failure> {
        let loaded;
        let model = match first {
            Some(model) => model,
            None => {
                loaded = model::load(&order.args.model, &device.device, order.console)?;
                &loaded
            }
        };
        let look = &order.args.look;
        let targets = order.args.asked.targets(model)?;
        let explainers = explainers(look, model, order.layers, order.methods, order.console);
        let lookings: Vec<_> = explainers.iter().map(|explainer| look.looking(explainer)).collect();
        let (layers, methods) = (order.layers, order.methods);
        let seconds = Seconds::default();
        let mut studio = Studio { model, targets: &targets, layers, methods, lookings: &lookings, seconds };
        let mut job = Some(job);
        while let Some(Job { files, news }) = job {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = news;
            look_at(order, &mut studio, files, &|found| tell(News::Found(found)).is_ok())?;
            // Nobody listens any more where the run has ended.
            let _ = tell(News::End(std::mem::take(&mut studio.seconds)));
            job = next();
        }
        Ok(())
    };
    let lost = |reason| Failure::Lost { device: device.name.clone(), reason };
    let Err(failure) = panics::caught(at_work, lost) else { return };
    let _ = tell(News::Lost(failure.of_device(&device.name)));
}

/// Reads the pictures of a job and explains those of one size together, of large photos as many as have the pixels of the largest;
/// ends early where nobody listens.
fn look_at(
    order: Order<'_>,
    studio: &mut Studio<'_>,
    files: &[Left],
    tell: &dyn Fn(Vec<Found>) -> bool,
) -> Result<(), Failure> {
    let mut batch: Vec<Read> = Vec::new();
    for file in files {
        let started = std::time::Instant::now();
        let read = file.read(order.preprocess);
        studio.seconds.preprocess += started.elapsed().as_secs_f64();
        match read {
            Ok(pictures) => {
                for picture in pictures {
                    let of_batch = || batch.iter().flatten();
                    let pixels = of_batch().chain([&picture]).map(Picture::pixels).sum::<u64>();
                    let full = of_batch().count() == order.args.batch_size as usize || pixels > MOST_PIXELS;
                    let other = |first: &Picture| first.input.dims() != picture.input.dims();
                    if (full || of_batch().next().is_some_and(other))
                        && !tell(found(studio, std::mem::take(&mut batch))?)
                    {
                        return Ok(());
                    }
                    batch.push(Ok(picture));
                }
            }
            Err(failure) => batch.push(Err((file.source.clone(), failure))),
        }
    }
    tell(found(studio, batch)?);
    Ok(())
}

/// A picture, or a file that none can be read from and why.
type Read = Result<Picture, (Source, Failure)>;

/// What is found in pictures of one size; files that cannot be read keep their place among them.
fn found(studio: &mut Studio<'_>, batch: Vec<Read>) -> Result<Vec<Found>, Failure> {
    let mut pictures = Vec::new();
    let unread: Vec<Option<Found>> = batch
        .into_iter()
        .map(|read| match read {
            Ok(picture) => {
                pictures.push(picture);
                None
            }
            Err((source, failure)) => Some(Found::Failed(source, Part::default(), failure)),
        })
        .collect();
    let mut found = studio.explain(pictures)?.into_iter().map(|found| match found {
        Ok(explained) => Found::Explained(Box::new(explained)),
        Err(unexplained) => {
            let Unexplained { picture, failure } = *unexplained;
            Found::Failed(picture.source, picture.part, failure)
        }
    });
    Ok(unread.into_iter().filter_map(|unread| unread.or_else(|| found.next())).collect())
}
