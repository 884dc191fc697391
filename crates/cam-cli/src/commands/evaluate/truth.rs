//! Where objects are in images: COCO JSON, Pascal VOC XML, masks, boxes in CSV.

use crate::report::failure::Failure;
use crate::run::sources::Source;
use burn_cam::PhotoReader;
use burn_cam::metrics::ImageTruth;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The objects of images, by the name of their files without extension.
#[derive(Debug, Default)]
pub struct TruthSet {
    images: HashMap<String, Vec<Object>>,
    /// The pixels of the images that boxes are of, where the truth states them.
    sizes: HashMap<String, [u32; 2]>,
}

/// An object of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What the truth calls it; nothing in a folder of masks without names.
    pub class: Option<String>,
    pub shape: Shape,
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Left, top, right, bottom in pixels of the image.
    Box([f32; 4]),
    /// A file of the size of the image, black where the object is not.
    Mask(PathBuf),
}

impl TruthSet {
    /// Reads a file of boxes, or a folder of VOC files or of masks.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let found = match extension.as_deref() {
            _ if path.is_dir() => Self::folder(path),
            Some("json") => Self::coco(path),
            Some("xml") => Self::voc(std::iter::once(path.into())),
            Some("csv") => Self::csv(path),
            _ => Err(
                "it is not COCO's JSON, Pascal VOC's XML, boxes in CSV, or a folder of VOC files or masks"
                    .into(),
            ),
        };
        let found = found.map_err(|reason| Failure::Truth { path: path.into(), reason })?;
        match found.images.is_empty() {
            true => Err(Failure::Truth { path: path.into(), reason: "there is no object in it".into() }),
            false => Ok(found),
        }
    }

    /// Returns the objects of an image; `None` if the truth does not know it.
    pub fn of(&self, source: &Source) -> Option<&[Object]> {
        self.images.get(&stem(&source.path)).map(Vec::as_slice)
    }

    /// Returns the width and height that the truth states of an image.
    pub fn size_of(&self, source: &Source) -> Option<[u32; 2]> {
        self.sizes.get(&stem(&source.path)).copied()
    }

    /// Returns whether an object has a class.
    pub fn has_names(&self) -> bool {
        self.images.values().flatten().any(|object| object.class.is_some())
    }

    fn add(&mut self, image: &str, object: Object) {
        self.images.entry(stem(Path::new(image))).or_default().push(object);
    }

    fn coco(path: &Path) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Coco {
            images: Vec<Image>,
            annotations: Vec<Annotation>,
            categories: Vec<Category>,
        }
        #[derive(Deserialize)]
        struct Image {
            id: u64,
            file_name: String,
            width: Option<u32>,
            height: Option<u32>,
        }
        #[derive(Deserialize)]
        struct Annotation {
            image_id: u64,
            category_id: u64,
            bbox: [f32; 4],
            #[serde(default)]
            iscrowd: u8,
        }
        #[derive(Deserialize)]
        struct Category {
            id: u64,
            name: String,
        }
        let file = File::open(path).map_err(|error| error.to_string())?;
        let coco: Coco = serde_json::from_reader(BufReader::new(file)).map_err(|error| error.to_string())?;
        let names: HashMap<u64, &str> =
            coco.categories.iter().map(|one| (one.id, one.name.as_str())).collect();
        let images: HashMap<u64, &Image> = coco.images.iter().map(|image| (image.id, image)).collect();
        let mut found = Self::default();
        for image in &coco.images {
            found.images.insert(stem(Path::new(&image.file_name)), Vec::new());
            if let (Some(width), Some(height)) = (image.width, image.height) {
                found.sizes.insert(stem(Path::new(&image.file_name)), [width, height]);
            }
        }
        // A box around a crowd is not that of an object.
        for one in coco.annotations.iter().filter(|one| one.iscrowd == 0) {
            let image =
                images.get(&one.image_id).ok_or_else(|| format!("there is no image {}", one.image_id))?;
            let class = names.get(&one.category_id);
            let class = class.ok_or_else(|| format!("there is no category {}", one.category_id))?;
            let [x, y, width, height] = one.bbox;
            let shape = boxed([x, y, x + width, y + height])?;
            found.add(&image.file_name, Object { class: Some((*class).into()), shape });
        }
        Ok(found)
    }

    fn voc(files: impl Iterator<Item = PathBuf>) -> Result<Self, String> {
        let mut found = Self::default();
        for path in files {
            let failed = |reason: String| format!("{}: {reason}", path.display());
            let text = std::fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
            let document = roxmltree::Document::parse(&text).map_err(|error| failed(error.to_string()))?;
            let text_of = |node: roxmltree::Node<'_, '_>, name: &str| {
                let child = node.children().find(|child| child.has_tag_name(name))?;
                Some(child.text()?.trim().to_string())
            };
            let root = document.root_element();
            let image = text_of(root, "filename").unwrap_or_else(|| path.display().to_string());
            found.images.entry(stem(Path::new(&image))).or_default();
            if let Some(size) = root.children().find(|child| child.has_tag_name("size")) {
                let side = |name| text_of(size, name).and_then(|side| side.parse().ok());
                if let (Some(width), Some(height)) = (side("width"), side("height")) {
                    found.sizes.insert(stem(Path::new(&image)), [width, height]);
                }
            }
            for object in root.children().filter(|child| child.has_tag_name("object")) {
                let bounds = object.children().find(|child| child.has_tag_name("bndbox"));
                let bounds = bounds.ok_or_else(|| failed("an object has no bndbox".into()))?;
                let side = |name: &str| -> Result<f32, String> {
                    let text =
                        text_of(bounds, name).ok_or_else(|| failed(format!("a bndbox has no {name}")))?;
                    text.parse().map_err(|_| failed(format!("`{text}` is no number")))
                };
                // Pixels are counted from 1, and the last one is inside.
                let sides = [side("xmin")? - 1.0, side("ymin")? - 1.0, side("xmax")?, side("ymax")?];
                let shape = boxed(sides).map_err(failed)?;
                found.add(&image, Object { class: text_of(object, "name"), shape });
            }
        }
        Ok(found)
    }

    fn csv(path: &Path) -> Result<Self, String> {
        const COLUMNS: &str = "its columns are image, class, left, top, right, bottom";
        #[derive(Deserialize)]
        struct Row {
            image: String,
            class: Option<String>,
            left: f32,
            top: f32,
            right: f32,
            bottom: f32,
        }
        let mut found = Self::default();
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|e| e.to_string())?;
        for row in reader.deserialize() {
            let Row { image, class, left, top, right, bottom } =
                row.map_err(|error| format!("{error}; {COLUMNS}"))?;
            let shape = boxed([left, top, right, bottom])?;
            found.add(&image, Object { class: class.filter(|class| !class.is_empty()), shape });
        }
        Ok(found)
    }

    /// Reads a folder: VOC files if there is one, else masks, in folders with the names of classes or without names.
    fn folder(path: &Path) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        list(path, None, &mut files).map_err(|error| error.to_string())?;
        let is_xml =
            |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"));
        if files.keys().any(|path| is_xml(path)) {
            return Self::voc(files.into_keys().filter(|path| is_xml(path)));
        }
        let mut found = Self::default();
        for (path, class) in files {
            found.add(&path.display().to_string(), Object { class, shape: Shape::Mask(path.clone()) });
        }
        Ok(found)
    }
}

/// Lists the files of a folder and of those in it, whose names are those of classes.
fn list(
    folder: &Path,
    class: Option<&str>,
    files: &mut BTreeMap<PathBuf, Option<String>>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            if class.is_none() {
                list(&entry.path(), Some(&name), files)?;
            }
        } else {
            files.insert(entry.path(), class.map(String::from));
        }
    }
    Ok(())
}

/// Returns the name of an image without its folder and its extension.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn boxed(sides: [f32; 4]) -> Result<Shape, String> {
    match sides.iter().all(|side| side.is_finite()) {
        true => Ok(Shape::Box(sides)),
        false => Err("a box holds NaN or infinity".into()),
    }
}

/// Returns where the asked objects are, and the others.
pub fn truth_of(size: [u32; 2], asked: &[&Object], others: &[&Object]) -> Result<ImageTruth, Failure> {
    let [width, height] = size;
    let is_mask = |object: &&Object| matches!(object.shape, Shape::Mask(_));
    let boxes = |objects: &[&Object]| -> Vec<[f32; 4]> {
        let sides = objects.iter().filter_map(|object| match object.shape {
            Shape::Box(sides) => Some(sides),
            Shape::Mask(_) => None,
        });
        sides.collect()
    };
    if !asked.iter().any(is_mask) {
        return Ok(ImageTruth::boxes(width, height, boxes(asked), boxes(others)));
    }
    let mask = |objects: &[&Object]| -> Result<Vec<bool>, Failure> {
        let mut inside = vec![false; width as usize * height as usize];
        for object in objects {
            let Shape::Mask(path) = &object.shape else { continue };
            let mask = PhotoReader::default().open(path).map_err(burn_cam::Error::from)?;
            if mask.pixels.dimensions() != (width, height) {
                let (w, h) = mask.pixels.dimensions();
                let reason = format!("it has {w} x {h} pixels, and its image has {width} x {height}");
                return Err(Failure::Truth { path: path.clone(), reason });
            }
            let pixels = inside.iter_mut().zip(mask.pixels.pixels());
            pixels.for_each(|(inside, pixel)| *inside |= pixel.0 != [0; 3]);
        }
        Ok(inside)
    };
    let wrong = |error: burn_cam::metrics::Error| Failure::Cam(error.into());
    let truth = ImageTruth::mask(width, height, mask(asked)?).map_err(wrong)?;
    match others.is_empty() {
        true => Ok(truth),
        false => truth.other_mask(mask(others)?).map_err(wrong),
    }
}
