//! Draws the gallery: a page of everything that `cam-viz` draws, from scenes that the project draws and the built-in model.
//!
//! ```text
//! cargo run --release --example gallery                  # writes examples/gallery
//! cargo run --release --example gallery -- --data photos_and_weights
//! cargo run --release --example gallery -- \
//!     --weights vit_tiny_patch16_224.safetensors --class 'bull mastiff' --class tabby dog_and_cat.jpg more.jpg
//! ```
//!
//! Where there is a folder with photos and weights (`--data`, or `../shared/data` beside the repository), the same page is made of
//! them too: to `cam-out/gallery`, as they are no part of the repository. The third command makes that page alone.

mod sections;

use burn::tensor::{Device, Tensor};
use cam_core::{Class, Cost, Error, Explain, Explainer, METHODS, Method, Model, Taps};
use cam_image::{Prediction, read_photo};
use cam_models::Classifier;
use cam_scenes::Scene;
use cam_viz::{HeatMap, Rgb, RgbImage, outline};
use clap::Parser;
use sections::{SECTIONS, Section};
use std::fmt::Write;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Draws a page of everything that cam-viz draws.
#[derive(Parser)]
struct Args {
    /// Photos; the first is the one of most pictures [default: drawn scenes]
    photos: Vec<PathBuf>,
    /// Weights of a model of the library [default: the built-in model]
    #[arg(long, value_name = "FILE", requires = "photos")]
    weights: Option<PathBuf>,
    /// A class of the first photo, by number or name; may be given several times [default: the two likeliest]
    #[arg(long = "class", value_name = "CLASS", requires = "photos")]
    classes: Vec<String>,
    /// The folder that the page goes to [default: examples/gallery, or cam-out/gallery where there are photos]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A folder with photos and weights, of which a page more is made for each file of weights [default: ../shared/data beside the
    /// repository, where it is there]
    #[arg(long, value_name = "DIR", conflicts_with = "photos")]
    data: Option<PathBuf>,
}

/// What the gallery is about: a model and pictures.
struct Subject {
    device: Device,
    model: Classifier,
    pictures: Vec<Picture>,
    /// Those that work with this model.
    methods: Vec<&'static dyn Method>,
}

/// A picture and the classes that are asked for.
struct Picture {
    photo: RgbImage,
    /// `[1, 3, height, width]`
    input: Tensor<4>,
    classes: Vec<Asked>,
}

/// A class of a picture.
struct Asked {
    class: usize,
    /// Its name and how sure the model is of it.
    caption: String,
    /// The photo, with the true border of the object where it is known.
    truth: RgbImage,
}

/// The scenes of the gallery.
const SEEDS: [u64; 3] = [1, 7, 20];
/// The side of a scene in pixels.
const SIDE: u32 = 384;
/// Whether a method runs the network so often that only the small built-in model is asked for its maps.
fn is_long(method: &dyn Method) -> bool {
    matches!(method.info().cost, Cost::PerChannel(passes) if passes > 1)
}

/// Where the pages of photos go: they are no part of the repository.
const OWN: &str = "cam-out/gallery";

fn main() -> Result<()> {
    let args = Args::parse();
    let device = Device::flex();
    if !args.photos.is_empty() {
        let (model, patient) = match &args.weights {
            Some(weights) => (Classifier::load_file(weights, &device)?, false),
            None => (Classifier::builtin(&device)?, true),
        };
        let subject = Subject::of_photos(model, &args.photos, &args.classes, patient)?;
        return subject.page(&args.out.unwrap_or_else(|| OWN.into()));
    }
    Subject::of_scenes(&device)?.page(&args.out.unwrap_or_else(|| "examples/gallery".into()))?;

    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let Some(data) = args.data.or_else(|| beside.is_dir().then_some(beside)) else { return Ok(()) };
    let photos = files(&data, &["jpg", "jpeg", "png", "webp"])?;
    for weights in files(&data, &["safetensors", "pth", "pt", "bpk"])? {
        match Classifier::load_file(&weights, &device) {
            Ok(model) => {
                let out = Path::new(OWN).join(weights.file_stem().unwrap_or_default());
                Subject::of_photos(model, &photos, &[], false)?.page(&out)?;
            }
            Err(error) => eprintln!("no page of {}: {error}", weights.display()),
        }
    }
    Ok(())
}

/// The files of a folder with these endings, in the order of their names.
fn files(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let ends = |path: &PathBuf| {
        path.extension().is_some_and(|ending| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
    };
    let all = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = all.into_iter().filter(ends).collect();
    files.sort();
    Ok(files)
}

impl Subject {
    /// The scenes of the gallery, and the built-in model.
    fn of_scenes(device: &Device) -> Result<Self> {
        let mut subject = Self::new(Classifier::builtin(device)?);
        subject.pictures = SEEDS.iter().map(|seed| subject.scene(*seed)).collect::<Result<_>>()?;
        subject.methods = subject.methods(true)?;
        Ok(subject)
    }

    /// Photos and a model; of the first photo these classes. A patient one tries the methods of many passes too.
    fn of_photos(model: Classifier, photos: &[PathBuf], classes: &[String], patient: bool) -> Result<Self> {
        let mut subject = Self::new(model);
        for (place, path) in photos.iter().enumerate() {
            let picture = subject.photo(path, if place == 0 { classes } else { &[] })?;
            subject.pictures.push(picture);
        }
        if subject.pictures.is_empty() {
            return Err("there are no photos".into());
        }
        subject.methods = subject.methods(patient)?;
        Ok(subject)
    }

    fn new(model: Classifier) -> Self {
        Self { device: model.device().clone(), model, pictures: vec![], methods: vec![] }
    }

    /// Draws everything, and writes the page into this folder.
    fn page(&self, out: &Path) -> Result<()> {
        std::fs::create_dir_all(out)?;
        let mut page = format!(
            "# Gallery\n\nEverything that `cam-viz` draws. The model is `{}`. The page is made by\n`cargo run --release --example gallery`, \
             see [`main.rs`](main.rs) and [`sections.rs`](sections.rs).\n",
            self.model.card().name
        );
        for Section { file, title, about, code, draw } in SECTIONS {
            eprintln!("{file}");
            match draw(self) {
                Ok(sheet) => {
                    sheet.save(out.join(file).with_extension("jpg"))?;
                    write!(
                        page,
                        "\n## {title}\n\n{about}\n\n![{title}]({file}.jpg)\n\n```rust,ignore\n{code}\n```\n"
                    )?;
                }
                Err(error) => write!(page, "\n## {title}\n\n{about}\n\nNot with this model: {error}.\n")?,
            }
        }
        cam_viz::write(out.join("README.md"), page.as_bytes())?;
        println!("{}", out.join("README.md").display());
        Ok(())
    }

    /// A drawn scene, asked for its objects.
    fn scene(&self, seed: u64) -> Result<Picture> {
        let scene = Scene::draw(seed, SIDE)?;
        let classes: Vec<usize> = scene.objects.iter().map(|object| object.class.index()).collect();
        let mut picture = self.picture(scene.image, &classes)?;
        for (asked, object) in picture.classes.iter_mut().zip(&scene.objects) {
            outline(&mut asked.truth, object.mask.as_slice(), Rgb([255; 3]))?;
        }
        Ok(picture)
    }

    /// A photo, asked for these classes or for the two likeliest.
    fn photo(&self, path: &Path, classes: &[String]) -> Result<Picture> {
        let photo = read_photo(path)?;
        let named = classes
            .iter()
            .map(|class| self.model.class(class))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        self.picture(photo, &named)
    }

    fn picture(&self, photo: RgbImage, classes: &[usize]) -> Result<Picture> {
        let (input, _) = self.model.card().preprocess().apply(&photo, &self.device)?;
        let logits = self.model.forward(input.clone(), &Taps::off());
        let all = &self.model.predictions(logits, self.model.labels().len())?[0];
        let likeliest: Vec<usize> = all.iter().map(|guess| guess.class).take(2).collect();
        let asked = if classes.is_empty() { &likeliest } else { classes };
        let asked = asked.iter().filter_map(|class| all.iter().find(|guess| guess.class == *class));
        let classes =
            asked.map(|guess| Asked { class: guess.class, caption: told(guess), truth: photo.clone() });
        Ok(Picture { classes: classes.collect(), photo, input })
    }

    fn methods(&self, patient: bool) -> Result<Vec<&'static dyn Method>> {
        let first = &self.pictures[0];
        let mut methods: Vec<&'static dyn Method> = Vec::new();
        for method in METHODS.iter().copied().filter(|method| patient || !is_long(*method)) {
            let found = Explainer::new(&self.model)
                .layer(&self.model.card().layer)
                .method(method)
                .explain(first.input.clone(), &Class(first.classes[0].class));
            match found {
                Ok(_) => methods.push(method),
                Err(reason @ (Error::NoAttention | Error::NoBiases | Error::NotLinear { .. })) => {
                    eprintln!("{} is left out: {reason}", method.name());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(methods)
    }
}

/// A class and how sure the model is of it.
fn told(Prediction { label, probability, .. }: &Prediction) -> String {
    match 100.0 * probability {
        percent if percent < 1.0 => format!("{label} {percent:.1} %"),
        percent => format!("{label} {percent:.0} %"),
    }
}

/// The numbers of a map of one picture.
fn numbers(map: &Tensor<3>) -> Result<HeatMap> {
    let [_, height, width] = map.dims();
    Ok(HeatMap::new(width as u32, height as u32, map.try_to_vec_as::<f32>()?)?)
}
