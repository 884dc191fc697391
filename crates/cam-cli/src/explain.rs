//! `cam explain`: pictures in, maps out.

mod args;

pub use args::{Args, EXAMPLES};

use crate::album::Album;
use crate::console::{Console, head, peak_memory};
use crate::crew::{self, Found, Order};
use crate::failure::{Failure, folder};
use crate::files::{self, Name, Out};
use crate::page::{self, Page};
use crate::painting::{self, Painter};
use crate::picture::{Part, Picture};
use crate::reads::Reads;
use crate::report::{About, Json, Line, Map, MapOf, Predictions, Report, Seconds, Spread};
use crate::sheet::{self, Drawing};
use crate::source::{Source, sources};
use crate::studio::{Explained, Studio};
use crate::{array, device, model};
use cam_models::Prediction;
use cam_viz::{Figure, HeatMap};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What the sheet of a picture is called beside it.
const SHEET: &str = "sheet";

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let methods = args.look.cost.methods(&args.methods)?;
    let painter = args.painting.painter(args.look.sign.is_signed())?;
    let devices = device::all(&args.place.device, console)?;
    let device = &devices[0].device;
    let device_name = device::names(&devices);
    let sources = sources(&args.photos, &args.out)?;
    let mut reads = Reads::of(&sources, &args.model);
    let mut out = Out::of(&args.out, args.format)?;
    let spared = |out: &Out, reads: &Reads| {
        args.html.iter().try_for_each(|html| reads.spared_by(html))?;
        out.spares(reads, &sources, methods.iter().map(|method| method.name()).chain([SHEET]))
    };
    spared(&out, &reads)?;
    if !matches!(out, Out::Folder(_)) && (args.npy || args.raw) {
        return Err(Failure::Usage("`--npy` and `--raw` need a folder to write to: `--out DIR`".into()));
    }
    if matches!(out, Out::Stdout(_)) && (args.json.is_some() || args.preview.is_some()) {
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
        let absolute = |path: &Path| std::path::absolute(path).ok();
        if matches!(&out, Out::File(path, _) if absolute(path) == absolute(html)) {
            return Err(Failure::Usage("`--out` and `--html` name one file".into()));
        }
        folder(html.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    }
    let console = &match (args.json, &out) {
        (Some(_), _) => console.without_results(),
        (_, Out::Stdout(_)) => console.diverted(),
        _ => console.clone(),
    };

    let started = Instant::now();
    let model = model::load(&args.model, device, console)?;
    let load = started.elapsed().as_secs_f64();
    model.weights().into_iter().for_each(|weights| reads.add(weights));
    spared(&out, &reads)?;
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
        page = Some(Page::new(&model, &device_name, &methods, &options, painter.colors)?);
    }
    let album = Album::open(&args.photos, sources, &mut out, options, args.fresh)?;

    let mut run = Run {
        args,
        console,
        painter,
        studio,
        out,
        album,
        page,
        kept: Vec::new(),
        lines: Vec::new(),
        doubted: false,
        count: 0,
        report: Report::new(&model, device_name),
    };
    run.say_model()?;
    let left = run.album.left(console)?;
    let bar = console.bar("pictures", left.len());
    let order = Order { args, methods: &methods, layers: &layers, preprocess: &preprocess, console };
    let seconds = crew::explain(order, &devices, &model, &left, |found| {
        for found in found {
            match found {
                Found::Explained(explained) => run.found(*explained)?,
                Found::Failed(source, part, failure) => run.failed(&source, part, failure)?,
            }
        }
        bar.set_position(run.album.behind() as u64);
        Ok(())
    })?;
    run.studio.seconds += seconds;
    bar.finish_and_clear();
    run.end()
}

/// A run under way.
struct Run<'a> {
    args: &'a Args,
    console: &'a Console,
    painter: Painter,
    studio: Studio<'a>,
    out: Out,
    album: Album,
    /// What `--html` writes.
    page: Option<Page>,
    /// What waits for the one picture that all go on.
    kept: Vec<Explained>,
    /// The lines of JSON that name it.
    lines: Vec<String>,
    /// Whether it is said that the built-in model is not for such pictures.
    doubted: bool,
    /// Pictures explained.
    count: usize,
    /// What `--json` prints at the end.
    report: Report,
}

impl Run<'_> {
    /// Whose weights these are, where only the file says.
    fn say_model(&self) -> Result<(), Failure> {
        if self.args.model.name.is_none() && self.args.model.weights.is_some() {
            self.console.say(format_args!("recognized {}", self.studio.model.card().name))?;
        }
        Ok(())
    }

    /// Writes and tells what was found in a picture.
    fn found(&mut self, explained: Explained) -> Result<(), Failure> {
        let started = Instant::now();
        let written = self.write(&explained);
        self.studio.seconds.write += started.elapsed().as_secs_f64();
        let Picture { source, part, .. } = &explained.picture;
        let maps = match written {
            Ok(maps) => maps,
            Err(failure) => return self.failed(source, *part, failure),
        };
        self.album.done(source, *part, &explained.top, &maps)?;
        if let Some(page) = &mut self.page {
            page.add(&explained)?;
        }
        let image = source.name();
        for map in &maps {
            let About { label, method, layer, warnings, .. } = &map.about;
            for warning in warnings {
                self.console.warn(format_args!("{image}, {label}, {method} at {layer}: {warning}"));
            }
        }
        match self.args.json {
            Some(Json::Object) => {
                let index = self.count;
                for map in maps {
                    self.report.maps.add(&MapOf { image: &image, index, map })?;
                }
                self.report.predictions.add(&Predictions { image: &image, top: &explained.top })?;
            }
            Some(Json::Lines) => {
                let line = Line {
                    image: &image,
                    part: *part,
                    predictions: &explained.top,
                    maps: &maps,
                    error: None,
                };
                self.line(line.text())?;
            }
            None => self.say(&image, &explained, &maps)?,
        }
        self.doubt(&image, &explained.top);
        self.count += 1;
        if !matches!(self.out, Out::Folder(_)) {
            self.kept.push(explained);
        }
        Ok(())
    }

    /// Says, once, that a photo wants another model, where nobody named one and the built-in one is sure of nothing.
    fn doubt(&mut self, image: &str, top: &[Prediction]) {
        const SURE: f32 = 0.5;
        let named = self.args.model.name.is_some() || self.args.model.weights.is_some();
        if !named && !self.doubted && top.iter().all(|guess| guess.probability < SURE) {
            self.doubted = true;
            self.console.warn(format_args!(
                "the built-in model is sure of nothing in `{image}`: it knows what `cam demo` draws, and photos want `--model` or `--weights`"
            ));
        }
    }

    /// Notes a picture that could not be explained.
    fn failed(&mut self, source: &Source, part: Part, failure: Failure) -> Result<(), Failure> {
        self.album.failed(source, part, failure)?;
        match (self.args.json, self.album.failures.last()) {
            (Some(Json::Lines), Some(failed)) => self.line(Line::failed(failed).text()),
            _ => Ok(()),
        }
    }

    /// Prints a line of JSON, when the files that it names are there.
    fn line(&mut self, line: String) -> Result<(), Failure> {
        if let Out::File(..) = self.out {
            self.lines.push(line);
            return Ok(());
        }
        self.console.print(line)
    }

    /// Says what was found in a picture to a person.
    fn say(&self, image: &str, explained: &Explained, maps: &[Map]) -> Result<(), Failure> {
        let mut text = head(image);
        for guess in &explained.top {
            text += &format!("\n    {:5.1} %  {} ({})", 100.0 * guess.probability, guess.label, guess.class);
        }
        for (map, numbers) in maps.iter().zip(&explained.maps) {
            let About { label, method, layer, .. } = &map.about;
            text += &format!("\n  {label} by {method} at {layer}: {}", numbers.hottest(&explained.picture));
            if let Some(png) = map.png.as_ref().filter(|_| !self.args.sheet) {
                text += &format!(": {}", png.display());
            }
            if let Some(spread) = &map.spread {
                let ([x, y], most) = (spread.peak, spread.most);
                text += &format!("\n    spread up to {most:.2}, at {x}, {y}");
                if let Some(png) = spread.png.as_ref().filter(|_| !self.args.sheet) {
                    text += &format!(": {}", png.display());
                }
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
                let name = files.name(below, &format!("{stem}_{SHEET}"))?;
                self.show(&drawn)?;
                Some(name.draw("", &drawn)?)
            }
            _ => None,
        };
        maps.iter()
            .map(|map| {
                let mut told = Map::of(picture, map, &self.painter)?;
                let files = match &mut self.out {
                    Out::Folder(files) => files,
                    Out::File(path, _) => return Ok(told.on(path)),
                    Out::Stdout(_) => return Ok(told),
                };
                let layer = map.layer_of_file();
                let name = files.name(below, &format!("{stem}_{}_{layer}_{}", map.method, map.class))?;
                if self.args.npy {
                    told.npy = Some(name.write(".npy", &array::of(&map.heat))?);
                }
                if self.args.raw {
                    told.raw = Some(name.write("_raw.npy", &array::encode(&map.raw, map.raw_size))?);
                }
                told.png = match &sheet {
                    Some(sheet) => Some(sheet.clone()),
                    None => {
                        let overlay = Drawing::Picture(self.painter.paint(picture, map)?);
                        self.show(&overlay)?;
                        Some(name.draw("", &overlay)?)
                    }
                };
                if let Some(spread) = &map.spread {
                    told.spread = Some(self.write_spread(picture, spread, &name, sheet.as_ref())?);
                }
                Ok(told)
            })
            .collect()
    }

    /// Writes a spread beside the map of this name; its picture where that is not on a sheet.
    fn write_spread(
        &self,
        picture: &Picture,
        spread: &HeatMap,
        name: &Name,
        sheet: Option<&PathBuf>,
    ) -> Result<Spread, Failure> {
        let mut told = Spread::of(picture, spread);
        if self.args.npy {
            told.npy = Some(name.write("_spread.npy", &array::of(spread))?);
        }
        told.png = match sheet {
            Some(sheet) => Some(sheet.clone()),
            None => {
                let most = spread.peak().2;
                let drawn = Figure::new(self.painter.paint_spread(picture, spread, most)?);
                let drawing =
                    Drawing::Sheet(drawn.above("spread").color_bar(painting::spread_bar(most)).sheet());
                self.show(&drawing)?;
                Some(name.draw("_spread", &drawing)?)
            }
        };
        Ok(told)
    }

    /// Shows a picture in the terminal, where that is asked for.
    fn show(&self, drawing: &Drawing) -> Result<(), Failure> {
        self.args.preview.map_or(Ok(()), |preview| preview.show(drawing, self.console))
    }

    /// Writes what waits for the end, and says what is left to say.
    fn end(mut self) -> Result<(), Failure> {
        self.write_one()?;
        self.lines.iter().try_for_each(|line| self.console.print(line))?;
        if let (Some(page), Some(html)) = (&self.page, &self.args.html) {
            let html = files::write(html.clone(), page.html().as_bytes())?;
            self.console.say(html.display())?;
        }
        self.console.detail(&self.studio.seconds);
        if let Some(bytes) = peak_memory() {
            self.console.detail(format_args!("{:.2} GB of memory at most", bytes as f64 / 1e9));
        }
        if let Some(Json::Object) = self.args.json {
            self.report.print(&self.album.failures, &self.studio.seconds, self.console)?;
        }
        self.album.end(self.console)
    }

    /// Writes the one picture that all maps are on.
    fn write_one(&mut self) -> Result<(), Failure> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let drawn = sheet::of(&self.kept, &self.studio, &self.painter)?;
        self.show(&drawn)?;
        self.out.deliver(&drawn, self.console)
    }
}
