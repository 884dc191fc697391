//! `cam explain`: pictures in, maps out.

use crate::args::{self, ScoreArg, methods};
use crate::failure::{Failure, folder};
use crate::report::{Guess, Map, Predictions, Report, Seconds};
use crate::{array, device, model};
use burn::tensor::{Device, Tensor};
use cam_core::{
    Class, Explainer, Explanation, Finer, LogOdds, MapNumbers, Maps, Ranked, Smooth, Softmax, Target,
};
use cam_models::{Classifier, Preprocess, View, read_photo};
use cam_viz::{Area, ColourMap, HeatMap, Overlay, RgbImage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many classes of each picture are told.
const TOLD: usize = 5;

pub fn run(args: &args::Explain) -> Result<(), Failure> {
    let methods = methods(&args.methods)?;
    let (device, device_name) = device::named(&args.device)?;
    folder(&args.out)?;
    let mut seconds = Seconds::default();

    let started = Instant::now();
    let mut model = model::load(&args.model, &device)?.in_precision(args.precision)?;
    if let Some(labels) = &args.labels {
        model = model.with_labels(labels)?;
    }
    seconds.load = started.elapsed().as_secs_f64();

    let targets = targets(args, &model)?;
    let targets: Vec<&dyn Target> = targets.iter().map(Box::as_ref).collect();
    let default_layer = [model.card().layer.clone()];
    let layers = match &args.layers[..] {
        [] => &default_layer[..],
        [auto] if auto == "auto" => &[],
        named => named,
    };
    let bars = Bars::new(args.photos.len());
    let mut explainer = Explainer::new(&model).eigen_smooth(args.eigen_smooth).on_progress({
        let passes = bars.passes.clone();
        move |progress| {
            passes.set_length(progress.total as u64);
            passes.set_position(progress.done as u64);
        }
    });
    explainer = explainer.rectify(args.sign.into());
    if let Some(fuse) = args.fuse {
        explainer = explainer.fuse(fuse.into());
    }
    for layer in layers {
        explainer = explainer.layer(layer);
    }
    for method in methods {
        explainer = explainer.method(method);
    }

    let sigma = args.sigma;
    let looking = match (args.aug_smooth, args.noise) {
        (true, _) => Looking::Over(Smooth::augmented(&explainer)),
        (_, Some(samples)) => Looking::Over(Smooth::noisy(&explainer, samples as usize, sigma, 0)),
        _ => Looking::Once(&explainer),
    };

    let mut preprocess = model.card().preprocess(args.resize.into());
    preprocess.mean = args.mean.unwrap_or(preprocess.mean);
    preprocess.std = args.std.unwrap_or(preprocess.std);

    let mut run = Run {
        args,
        model: &model,
        files: Files { folder: &args.out, taken: HashSet::new() },
        report: Report {
            model: model.card().name.clone(),
            device: device_name,
            predictions: Vec::new(),
            maps: Vec::new(),
            seconds,
        },
    };
    let mut batch: Vec<Picture> = Vec::new();
    for path in &args.photos {
        let started = Instant::now();
        let pictures = Picture::read(path, &preprocess, &device)?;
        run.report.seconds.preprocess += started.elapsed().as_secs_f64();
        for picture in pictures {
            let full = batch.len() == args.batch_size as usize;
            if full || batch.first().is_some_and(|first| first.input.dims() != picture.input.dims()) {
                run.batch(std::mem::take(&mut batch), &looking, &targets)?;
            }
            batch.push(picture);
        }
        // Those that wait for a batch are not done yet.
        bars.pictures.set_position(run.report.predictions.len() as u64);
    }
    run.batch(batch, &looking, &targets)?;
    bars.clear();
    run.tell();
    Ok(())
}

/// What is asked of each picture.
fn targets(args: &args::Explain, model: &Classifier) -> Result<Vec<Box<dyn Target>>, Failure> {
    if args.classes.is_empty() {
        return Ok((0..args.top as usize).map(|place| scored(args.score, Ranked(place))).collect());
    }
    args.classes.iter().map(|asked| Ok(scored(args.score, Class(model.class(asked)?)))).collect()
}

/// The score of a class that is asked for.
fn scored(score: ScoreArg, class: impl Target + 'static) -> Box<dyn Target> {
    match score {
        ScoreArg::Logit => Box::new(class),
        ScoreArg::Softmax => Box::new(Softmax(class)),
        ScoreArg::LogOdds => Box::new(LogOdds(class)),
        ScoreArg::Finer => Box::new(Finer::paper(class)),
    }
}

/// How often each picture is looked at.
enum Looking<'e, 'm> {
    Once(&'e Explainer<'m, Classifier>),
    Over(Smooth<'e, 'm, Classifier, Tensor<4>>),
}

impl Looking<'_, '_> {
    fn explain_each(
        &self,
        input: Tensor<4>,
        targets: &[&dyn Target],
    ) -> Result<Explanation, cam_core::Error> {
        match self {
            Self::Once(explainer) => explainer.explain_each(input, targets),
            Self::Over(smooth) => smooth.explain_each(input, targets),
        }
    }
}

/// A picture, as the model and as a person sees it.
struct Picture {
    /// The file.
    path: PathBuf,
    /// `[1, 3, height, width]`
    input: Tensor<4>,
    photo: RgbImage,
    /// The part of the photo that the input shows.
    area: Area,
}

impl Picture {
    /// The pictures of a file: one of a photo, any number of an array.
    fn read(path: &Path, preprocess: &Preprocess, device: &Device) -> Result<Vec<Self>, Failure> {
        if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("npy")) {
            let photo = read_photo(path)?;
            let (input, view) = preprocess.apply(&photo, device);
            let area = area(view, &photo);
            return Ok(vec![Self { path: path.into(), input, photo, area }]);
        }
        let inputs = array::read(path, device)?;
        let pictures = (0..inputs.dims()[0]).map(|place| {
            let input = inputs.clone().narrow(0, place, 1);
            let photo = preprocess.picture(input.clone());
            Self { path: path.into(), input, area: Area::whole(&photo), photo }
        });
        Ok(pictures.collect())
    }
}

/// The whole pixels of a view.
fn area(view: View, photo: &RgbImage) -> Area {
    let (x, y) = (view.x.round() as u32, view.y.round() as u32);
    let width = (view.width.round() as u32).clamp(1, photo.width() - x);
    let height = (view.height.round() as u32).clamp(1, photo.height() - y);
    Area { x, y, width, height }
}

/// A run under way.
struct Run<'a> {
    args: &'a args::Explain,
    model: &'a Classifier,
    files: Files<'a>,
    report: Report,
}

impl Run<'_> {
    /// Explains pictures of one size together.
    fn batch(
        &mut self,
        pictures: Vec<Picture>,
        looking: &Looking<'_, '_>,
        targets: &[&dyn Target],
    ) -> Result<(), Failure> {
        if pictures.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let input = Tensor::cat(pictures.iter().map(|picture| picture.input.clone()).collect(), 0);
        let found = looking.explain_each(input, targets)?;
        let maps: Vec<Numbers> = found.maps.iter().map(Numbers::read).collect::<Result<_, _>>()?;
        self.report.seconds.forward += found.forward.as_secs_f64();
        self.report.seconds.explain += (started.elapsed().saturating_sub(found.forward)).as_secs_f64();

        let first = self.report.predictions.len();
        for (picture, top) in pictures.iter().zip(self.model.predictions(found.output, TOLD)) {
            let image = picture.path.display().to_string();
            if top.iter().any(|guess| !guess.logit.is_finite()) {
                return Err(Failure::NonFinite { model: self.report.model.clone(), image });
            }
            let top = top
                .into_iter()
                .map(|p| Guess { class: p.class, label: p.label, logit: p.logit, probability: p.probability })
                .collect();
            self.report.predictions.push(Predictions { image, top });
        }
        let started = Instant::now();
        for (place, picture) in pictures.iter().enumerate() {
            for numbers in &maps {
                let map = self.write(picture, first + place, numbers.of(place))?;
                self.report.maps.push(map);
            }
        }
        self.report.seconds.write += started.elapsed().as_secs_f64();
        Ok(())
    }

    /// Writes the files of one map.
    fn write(&mut self, picture: &Picture, index: usize, map: OneMap<'_>) -> Result<Map, Failure> {
        let stem = picture.path.file_stem().unwrap_or_default().to_string_lossy();
        let name =
            self.files.name(format!("{stem}_{}_{}_{}", map.method, map.layer.replace(" + ", "+"), map.class));
        let [height, width] = map.size;
        let heat = HeatMap::new(width as u32, height as u32, map.heat)?;
        let colours = ColourMap::ALL.into_iter().find(|c| c.name() == self.args.colormap).unwrap_or_default();
        let overlay = Overlay::new(&picture.photo).colours(colours).area(picture.area).draw(&heat)?;
        let npy = match self.args.npy {
            true => Some(self.files.write(&format!("{name}.npy"), &array::encode(map.heat, map.size))?),
            false => None,
        };
        let raw = match self.args.raw {
            true => {
                Some(self.files.write(&format!("{name}_raw.npy"), &array::encode(map.raw, map.raw_size))?)
            }
            false => None,
        };
        let png = self.files.write(&format!("{name}.png"), &cam_viz::encode(&overlay, "png")?)?;
        let (x, y) = picture.area.peak(&heat);
        Ok(Map {
            image: picture.path.display().to_string(),
            index,
            class: map.class,
            label: self.model.labels()[map.class].clone(),
            score: map.score,
            layer: map.layer.into(),
            method: map.method,
            png,
            npy,
            raw,
            peak: [x, y],
            warnings: map.warnings.iter().map(ToString::to_string).collect(),
        })
    }

    /// Says what was found, to a person or as JSON.
    fn tell(&self) {
        for map in &self.report.maps {
            for warning in &map.warnings {
                eprintln!("cam: {}, {}, {} at {}: {warning}", map.image, map.label, map.method, map.layer);
            }
        }
        if self.args.json {
            println!("{}", serde_json::to_string_pretty(&self.report).expect("a report is plain data"));
            return;
        }
        if self.args.model.name.is_none() && self.args.model.weights.is_some() {
            println!("recognised {}", self.report.model);
        }
        for (index, predictions) in self.report.predictions.iter().enumerate() {
            println!("{}", predictions.image);
            for guess in &predictions.top {
                println!("    {:5.1} %  {} ({})", 100.0 * guess.probability, guess.label, guess.class);
            }
            for map in self.report.maps.iter().filter(|map| map.index == index) {
                let [x, y] = map.peak;
                println!(
                    "  {} by {} at {}: hottest at {x}, {y}: {}",
                    map.label,
                    map.method,
                    map.layer,
                    map.png.display()
                );
            }
        }
    }
}

/// The maps of a batch, read from the device.
struct Numbers<'a> {
    maps: &'a Maps,
    heat: Vec<f32>,
    raw: Vec<f32>,
    scores: Vec<f32>,
    classes: Vec<usize>,
    warnings: Vec<Vec<cam_core::Warning>>,
}

/// One map of a batch.
struct OneMap<'a> {
    method: &'static str,
    layer: &'a str,
    class: usize,
    score: f32,
    heat: &'a [f32],
    size: [usize; 2],
    raw: &'a [f32],
    raw_size: [usize; 2],
    warnings: &'a [cam_core::Warning],
}

impl<'a> Numbers<'a> {
    fn read(maps: &'a Maps) -> Result<Self, cam_core::Error> {
        let MapNumbers { heat, raw, scores, classes, warnings, .. } = maps.read()?;
        Ok(Self { maps, heat, raw, scores, classes: classes.unwrap_or_default(), warnings })
    }

    /// The map of one image of the batch.
    fn of(&self, place: usize) -> OneMap<'_> {
        let ([_, height, width], [_, raw_height, raw_width]) = (self.maps.heat.dims(), self.maps.raw.dims());
        let (many, few) = (height * width, raw_height * raw_width);
        OneMap {
            method: self.maps.method,
            layer: &self.maps.layer,
            class: self.classes[place],
            score: self.scores[place],
            heat: &self.heat[place * many..(place + 1) * many],
            size: [height, width],
            raw: &self.raw[place * few..(place + 1) * few],
            raw_size: [raw_height, raw_width],
            warnings: &self.warnings[place],
        }
    }
}

/// The folder that a run writes to; no two files of a run have one name.
struct Files<'a> {
    folder: &'a Path,
    taken: HashSet<String>,
}

impl Files<'_> {
    /// The name, with a number where another picture of the run has it.
    fn name(&mut self, name: String) -> String {
        let numbered = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}_{number}")));
        let free = numbered.into_iter().find(|name| !self.taken.contains(name)).unwrap_or(name);
        self.taken.insert(free.clone());
        free
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        cam_viz::write(&path, bytes)?;
        Ok(path)
    }
}

/// Progress on a terminal; elsewhere nothing is shown.
struct Bars {
    pictures: ProgressBar,
    passes: ProgressBar,
}

impl Bars {
    fn new(pictures: usize) -> Self {
        let bars = MultiProgress::new();
        let styled = |bar: ProgressBar, what: &str| {
            let template = format!("{what:>8} {{bar:40}} {{pos}}/{{len}} {{eta}} left");
            bars.add(bar.with_style(ProgressStyle::with_template(&template).expect("a template of ours")))
        };
        let bars = Self {
            pictures: styled(ProgressBar::new(pictures as u64), "pictures"),
            passes: styled(ProgressBar::no_length(), "passes"),
        };
        bars.pictures.enable_steady_tick(Duration::from_secs(1));
        bars
    }

    fn clear(&self) {
        self.pictures.finish_and_clear();
        self.passes.finish_and_clear();
    }
}
