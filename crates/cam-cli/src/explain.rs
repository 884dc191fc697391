//! `cam explain`: pictures in, maps out.

use crate::console::{Console, head, peak_memory};
use crate::crew::{self, Found, Order};
use crate::failure::{Failure, folder};
use crate::files::{self, Out};
use crate::manifest::{Line, Manifest, Stamp};
use crate::maps::OneMap;
use crate::options::{Asked, Preparing};
use crate::page::{self, Page};
use crate::painting::{self, Painter};
use crate::picture::Picture;
use crate::report::{Failed, Map, MapOf, Predictions, Report, Seconds};
use crate::sheet::{self, Drawing};
use crate::source::{Source, sources};
use crate::studio::{Explained, Studio};
use crate::{array, device, interrupt, looking, model, preview};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub const EXAMPLES: &str = "\
Examples:
  cam explain scene.png
      The top class of the built-in model, by Grad-CAM
  cam explain dog.jpg --model resnet50 --class 'bull mastiff' --class tabby
      Two classes of one photo; the weights are fetched on first use
  cam explain leaf.jpg --weights my_finetuned.pth --labels my_classes.txt
      A model of one's own: its architecture, size and number of classes are recognised from the file
  cam explain photos --weights resnet18.safetensors --method gradcam,layercam --top 3
      Two methods for the three likeliest classes of every photo in a folder and below. When it is interrupted, the same
      command goes on; photos/../cam-out/manifest.jsonl says what was found in each
  cam explain dog.jpg --model resnet50 --layer all --sheet
      From shallow to deep on one sheet
  cam explain dog.jpg --model resnet50 --layer layer3.5,layer4.2 --fuse product --aug-smooth
      One map of two layers, averaged over six views
  cam explain dog.jpg --model resnet50 --method gradcam,layercam --html dog.html
      A page to hand to a colleague
  cam explain dog.jpg --overlay box --threshold otsu --sign both --preview
      Other ways to see it
  cam explain input.npy --weights resnet50.pth --class 243 --npy --json
      An array that is preprocessed already; the numbers of the maps beside the pictures
  curl -s https://example.org/dog.jpg | cam explain - --out - > where.png
      In a pipe";

#[derive(clap::Args)]
pub struct Args {
    /// Pictures (PNG, JPEG, WebP), folders of them, `-` for standard input, or .npy arrays (3,H,W) or (N,3,H,W) of float32
    /// that are preprocessed already
    #[arg(required = true, value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,
    #[command(flatten)]
    pub model: model::Asked,
    /// A method: see `cam methods`; several with commas between, or given several times [default: gradcam]
    #[arg(long = "method", value_name = "NAME", value_delimiter = ',')]
    pub methods: Vec<String>,
    #[command(flatten)]
    pub look: looking::Asked,
    #[command(flatten)]
    pub asked: Asked,
    #[command(flatten)]
    pub preparing: Preparing,
    #[command(flatten)]
    pub painting: painting::Asked,
    #[command(flatten)]
    pub place: device::Place,
    /// Pictures in one pass
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: u32,
    /// The folder that pictures and arrays go to, as the photos lie in their folder; or one picture for all, as a file (.png,
    /// .jpg, .webp, of several maps .svg) or `-` for standard output
    #[arg(long, value_name = "DIR|FILE|-", default_value = "cam-out")]
    pub out: PathBuf,
    /// One sheet of all maps of a picture, in place of a picture a map
    #[arg(long)]
    pub sheet: bool,
    /// Write each map beside its picture as a float32 .npy (H,W): input-sized, 0 to 1
    #[arg(long)]
    pub npy: bool,
    /// Write each map as a float32 .npy (h,w): signed, unscaled, of the layer's resolution
    #[arg(long)]
    pub raw: bool,
    /// Explain again what the manifest of a folder says is done
    #[arg(long)]
    pub fresh: bool,
    /// Print one JSON object on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
    /// One page of all that was found, whole in one file, to hand to a colleague: photos, maps, values under the pointer, and how
    /// they were made
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show the pictures in the terminal
    #[arg(long, conflicts_with = "json")]
    pub preview: bool,
}

/// All that decides what is found: pictures with the same are not explained again.
#[derive(Serialize)]
struct Options<'a> {
    model: &'a str,
    weights: Option<(&'a Path, Stamp)>,
    labels: Option<(&'a Path, Stamp)>,
    precision: String,
    methods: Vec<&'a str>,
    layers: &'a [String],
    #[serde(flatten)]
    asked: &'a Asked,
    #[serde(flatten)]
    look: &'a looking::Asked,
    #[serde(flatten)]
    preparing: &'a Preparing,
    #[serde(flatten)]
    painting: &'a painting::Asked,
    sheet: bool,
    npy: bool,
    raw: bool,
}

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let methods = args.look.cost.methods(&args.methods)?;
    let painter = args.painting.painter(args.look.sign.is_signed())?;
    let devices = device::all(&args.place.device, console)?;
    let device = &devices[0].device;
    let device_name = device::names(&devices);
    let sources = sources(&args.photos, &args.out)?;
    let mut out = Out::of(&args.out)?;
    if !matches!(out, Out::Folder(_)) && (args.npy || args.raw) {
        return Err(Failure::Usage("`--npy` and `--raw` need a folder to write to: `--out DIR`".into()));
    }
    if matches!(out, Out::Stdout) && (args.json || args.preview) {
        return Err(Failure::Usage(
            "standard output is for the picture: leave `--json` and `--preview` away".into(),
        ));
    }
    if let Some(html) = &args.html {
        if sources.len() > page::MOST {
            let (count, most) = (sources.len(), page::MOST);
            return Err(Failure::Usage(format!(
                "`--html` takes up to {most} pictures on a page, not {count}"
            )));
        }
        folder(html.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    }
    let console = &match (args.json, &out) {
        (true, _) => console.without_results(),
        (_, Out::Stdout) => console.diverted(),
        _ => console.clone(),
    };

    let started = Instant::now();
    let model = model::load(&args.model, device, console)?;
    let load = started.elapsed().as_secs_f64();
    let targets = args.asked.targets(&model)?;
    let layers = args.look.layers(&model, device)?;
    let preprocess = args.preparing.of(&model);
    console.detail(format_args!(
        "{} on {device_name}, by {} at {}",
        model.card().name,
        methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(", "),
        if layers.is_empty() { "the layer that is chosen".into() } else { layers.join(", ") },
    ));

    let studio = Studio {
        model: &model,
        targets: &targets,
        layers: &layers,
        methods: &methods,
        // The workers look.
        lookings: &[],
        seconds: Seconds { load, ..Seconds::default() },
    };
    let options = serde_json::to_value(args.options(&studio)).expect("options are plain data");
    let mut page = None;
    if args.html.is_some() {
        page = Some(Page::new(&model, &device_name, &methods, &options, painter.colours)?);
    }
    let mut manifest = None;
    if let (Out::Folder(files), true) = (&mut out, args.photos.iter().any(|path| path.is_dir())) {
        let opened = Manifest::open(&files.folder, options, args.fresh)?;
        files.hold(opened.taken.iter().cloned());
        manifest = Some(opened);
    }
    interrupt::watch(match manifest {
        Some(_) => "all files are whole, and the same command goes on",
        None => "all files are whole",
    });

    let mut run = Run {
        args,
        console,
        painter,
        many: sources.len() > 1,
        studio,
        out,
        manifest,
        page,
        kept: Vec::new(),
        failures: Vec::new(),
        count: 0,
        report: Report {
            model: model.card().name.clone(),
            device: device_name,
            predictions: Vec::new(),
            maps: Vec::new(),
            failures: Vec::new(),
            seconds: Seconds::default(),
        },
    };
    run.say_model()?;
    let left: Vec<&Source> = sources.iter().filter(|source| !run.is_done(source)).collect();
    if left.len() < sources.len() {
        console.say(format_args!(
            "{} of {} pictures are done already",
            sources.len() - left.len(),
            sources.len()
        ))?;
    }
    let bar = console.bar("pictures", left.len());
    let order = Order { args, methods: &methods, layers: &layers, preprocess: &preprocess, console };
    let seconds = crew::explain(order, &devices, &model, &left, |found| {
        for found in found {
            match found {
                Found::Explained(explained) => run.found(*explained)?,
                Found::Failed(source, failure) => run.failed(&source, failure)?,
            }
        }
        bar.set_position((run.count + run.failures.len()) as u64);
        Ok(())
    })?;
    run.studio.seconds += seconds;
    bar.finish_and_clear();
    run.end()
}

impl Args {
    fn options<'a>(&'a self, studio: &Studio<'a>) -> Options<'a> {
        let stamped = |path: &'a Option<PathBuf>| path.as_deref().map(|path| (path, Stamp::of(path)));
        Options {
            model: &studio.model.card().name,
            weights: stamped(&self.model.weights),
            labels: stamped(&self.model.labels),
            precision: self.model.precision.to_string(),
            methods: studio.methods.iter().map(|method| method.name()).collect(),
            layers: studio.layers,
            asked: &self.asked,
            look: &self.look,
            preparing: &self.preparing,
            painting: &self.painting,
            sheet: self.sheet,
            npy: self.npy,
            raw: self.raw,
        }
    }
}

/// A run under way.
struct Run<'a> {
    args: &'a Args,
    console: &'a Console,
    painter: Painter,
    /// Whether one picture that fails leaves others to be explained.
    many: bool,
    studio: Studio<'a>,
    out: Out,
    manifest: Option<Manifest>,
    /// What `--html` writes.
    page: Option<Page>,
    /// What waits for the one picture that all go on.
    kept: Vec<Explained>,
    failures: Vec<Failed>,
    /// Pictures explained.
    count: usize,
    /// What `--json` prints.
    report: Report,
}

impl Run<'_> {
    fn is_done(&self, source: &Source) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.has(&source.name()))
    }

    /// Whose weights these are, where only the file says.
    fn say_model(&self) -> Result<(), Failure> {
        if self.args.model.name.is_none() && self.args.model.weights.is_some() {
            self.console.say(format_args!("recognised {}", self.report.model))?;
        }
        Ok(())
    }

    /// Writes and tells what was found in a picture.
    fn found(&mut self, explained: Explained) -> Result<(), Failure> {
        let started = Instant::now();
        let maps = self.write(&explained)?;
        self.studio.seconds.write += started.elapsed().as_secs_f64();
        if let Some(manifest) = &mut self.manifest {
            let options = manifest.options.clone();
            manifest.add(&Line {
                input: explained.picture.source.name(),
                stamp: Stamp::of(&explained.picture.source.path),
                options: &options,
                predictions: &explained.top,
                maps: &maps,
                error: None,
            })?;
        }
        if let Some(page) = &mut self.page {
            page.add(&explained)?;
        }
        let image = explained.picture.source.name();
        for map in &maps {
            for warning in &map.warnings {
                self.console
                    .warn(format_args!("{image}, {}, {} at {}: {warning}", map.label, map.method, map.layer));
            }
        }
        if self.args.json {
            let index = self.count;
            let maps = maps.into_iter().map(|map| MapOf { image: image.clone(), index, map });
            self.report.maps.extend(maps);
            self.report.predictions.push(Predictions { image, top: explained.top.clone() });
        } else {
            self.say(&image, &explained, &maps)?;
        }
        self.count += 1;
        if !matches!(self.out, Out::Folder(_)) {
            self.kept.push(explained);
        }
        Ok(())
    }

    /// Says what was found in a picture to a person.
    fn say(&self, image: &str, explained: &Explained, maps: &[Map]) -> Result<(), Failure> {
        let mut text = head(image);
        for guess in &explained.top {
            text += &format!("\n    {:5.1} %  {} ({})", 100.0 * guess.probability, guess.label, guess.class);
        }
        for map in maps {
            let [x, y] = map.peak;
            text += &format!("\n  {} by {} at {}: hottest at {x}, {y}", map.label, map.method, map.layer);
            if let Some(png) = map.png.as_ref().filter(|_| !self.args.sheet) {
                text += &format!(": {}", png.display());
            }
        }
        if let Some(sheet) = maps.first().and_then(|map| map.png.as_ref()).filter(|_| self.args.sheet) {
            text += &format!("\n  {}", sheet.display());
        }
        self.console.say(text)
    }

    /// Writes the files of a picture, where they go into a folder.
    fn write(&mut self, explained: &Explained) -> Result<Vec<Map>, Failure> {
        let Explained { picture, maps, .. } = explained;
        let stem = picture.source.stem();
        let below = &picture.source.below;
        let sheet = match &mut self.out {
            Out::Folder(files) if self.args.sheet => {
                let drawn = sheet::of(std::slice::from_ref(explained), &self.studio, &self.painter)?;
                let name = files.name(below, &format!("{stem}_sheet"))?;
                self.show(&drawn)?;
                Some(files::write(&name, ".png", &drawn.encode("png")?)?)
            }
            _ => None,
        };
        maps.iter()
            .map(|map| {
                let mut told = self.told(picture, map)?;
                let Out::Folder(files) = &mut self.out else { return Ok(told) };
                let layer = map.layer.replace(" + ", "+");
                let name = files.name(below, &format!("{stem}_{}_{layer}_{}", map.method, map.class))?;
                if self.args.npy {
                    let size = [map.heat.height(), map.heat.width()].map(|side| side as usize);
                    told.npy = Some(files::write(&name, ".npy", &array::encode(map.heat.values(), size))?);
                }
                if self.args.raw {
                    told.raw = Some(files::write(&name, "_raw.npy", &array::encode(&map.raw, map.raw_size))?);
                }
                told.png = match &sheet {
                    Some(sheet) => Some(sheet.clone()),
                    None => {
                        let overlay = Drawing::Picture(self.painter.paint(picture, map)?);
                        self.show(&overlay)?;
                        Some(files::write(&name, ".png", &overlay.encode("png")?)?)
                    }
                };
                Ok(told)
            })
            .collect()
    }

    /// What is told of a map, before any file is written.
    fn told(&self, picture: &Picture, map: &OneMap) -> Result<Map, Failure> {
        let (x, y) = picture.area.peak(&map.heat);
        Ok(Map {
            class: map.class,
            label: map.label.clone(),
            probability: map.probability,
            score: map.score,
            layer: map.layer.clone(),
            method: map.method,
            png: None,
            npy: None,
            raw: None,
            peak: [x, y],
            boxes: self.painter.boxes(picture, map)?,
            warnings: map.warnings.clone(),
        })
    }

    /// Shows a picture in the terminal, where that is asked for.
    fn show(&self, drawing: &Drawing) -> Result<(), Failure> {
        if self.args.preview { preview::show(drawing, self.console) } else { Ok(()) }
    }

    /// A picture that cannot be explained does not stop the others; what concerns all of them does.
    fn failed(&mut self, source: &Source, failure: Failure) -> Result<(), Failure> {
        if !self.many || !failure.is_of_one_picture() {
            return Err(failure);
        }
        let error = failure.told();
        if let Some(manifest) = &mut self.manifest {
            let options = manifest.options.clone();
            manifest.add(&Line {
                input: source.name(),
                stamp: Stamp::of(&source.path),
                options: &options,
                predictions: &[],
                maps: &[],
                error: Some(error.clone()),
            })?;
        }
        self.failures.push(Failed { image: source.name(), error });
        Ok(())
    }

    /// Writes what waits for the end, and says what is left to say.
    fn end(mut self) -> Result<(), Failure> {
        self.write_one()?;
        if let (Some(page), Some(html)) = (&self.page, &self.args.html) {
            let html = files::write_to(html.clone(), page.html().as_bytes())?;
            self.console.say(html.display())?;
        }
        if let Some(manifest) = &self.manifest {
            self.console.say(manifest.path().display())?;
        }
        self.report.seconds = self.studio.seconds;
        self.console.detail(&self.report.seconds);
        if let Some(bytes) = peak_memory() {
            self.console.detail(format_args!("{:.2} GB of memory at most", bytes as f64 / 1e9));
        }
        let failed = self.failures.len();
        for failure in &self.failures {
            self.console.fail(&failure.error);
        }
        if self.args.json {
            self.report.failures = self.failures;
            self.console
                .print(serde_json::to_string_pretty(&self.report).expect("a report is plain data"))?;
        }
        match failed {
            0 => Ok(()),
            _ => Err(Failure::Some { failed, all: failed + self.count }),
        }
    }

    /// Writes the one picture that all maps are on.
    fn write_one(&mut self) -> Result<(), Failure> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let drawn = sheet::of(&self.kept, &self.studio, &self.painter)?;
        self.show(&drawn)?;
        self.out.deliver(&drawn, self.console)?;
        if let Out::File(path) = &self.out {
            for map in &mut self.report.maps {
                map.map.png = Some(path.clone());
            }
        }
        Ok(())
    }
}
