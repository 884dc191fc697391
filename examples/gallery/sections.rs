//! The sections of the gallery: what each shows, how it is drawn, and the lines that matter.

use crate::{Result, Subject, numbers, told};
use cam_core::{
    AttributionMaps, Class, Explain, Explainer, Explanation, Method, Smooth, Target, Wrapped, concepts,
    guided_backprop, layers, method_named,
};
use cam_models::Classifier;
use cam_viz::{
    ColorBar, ColorMap, Figure, Gradient, HeatMap, Mode, Mosaic, Overlay, Rgb, RgbImage, Sheet, Threshold,
};
use image::imageops;

/// A picture of the gallery.
pub struct Section {
    pub file: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub code: &'static str,
    pub draw: fn(&Subject) -> Result<Sheet>,
}

/// All of them, in the order of the page.
pub const SECTIONS: [Section; 9] = [
    Section {
        file: "modes",
        title: "Overlay modes",
        about: "One map in every mode. Masks and boxes use Otsu's threshold here; the default threshold is 0.5.",
        code: "let picture = Overlay::new(&photo).mode(Mode::Contour).draw(&heat)?;",
        draw: modes,
    },
    Section {
        file: "methods",
        title: "Methods and classes",
        about: "Every method for the classes of one picture; they share one forward pass. Those that ask for no class are shown once.",
        code: "let sheet = Sheet::new(\"Methods\").row(\"fish 100 %\", [Figure::new(picture).above(\"gradcam\")]);",
        draw: methods,
    },
    Section {
        file: "layers",
        title: "Layers, from shallow to deep",
        about: "Shallow layers see edges, deep ones objects.",
        code: "let sheet = Sheet::new(\"Layers\").columns(layers).row(\"gradcam\", pictures).color_bar(ColorMap::default());",
        draw: strip,
    },
    Section {
        file: "pictures",
        title: "Several pictures",
        about: "The likeliest class of each picture.",
        code: "let sheet = Sheet::new(\"Several pictures\").columns([\"picture\", \"layercam\"]).row(\"a fish\", [photo, picture]);",
        draw: pictures,
    },
    Section {
        file: "signed",
        title: "Evidence for and against",
        about: "Raw maps have a sign. White is zero, and the bar has the numbers of the model, not those of a picture.",
        code: "let bar = ColorBar::from(ColorMap::RedBlue).range(-raw.max_abs(), raw.max_abs());\n\
               let picture = Overlay::new(&photo).colors(ColorMap::RedBlue).draw(&raw.balanced())?;\n\
               Figure::new(picture).color_bar(bar).sheet().save(\"signed.png\")?;",
        draw: signed,
    },
    Section {
        file: "concepts",
        title: "Concepts",
        about: "Deep feature factorization: what a layer sees, one color per concept, with the class that the rest of the network predicts for it, where one is likely.",
        code: "let figure = Mosaic::new(&photo).map(\"fish 98 %\", first).map(\"clock 71 %\", second).draw()?;",
        draw: mosaic,
    },
    Section {
        file: "guided",
        title: "Guided backpropagation",
        about: "Guided backpropagation hardly depends on the class. Multiplied by a map of the class, it is Guided Grad-CAM.",
        code: "let gradient = Gradient::new(width, height, values)?;\n\
               let (before, after) = (gradient.color(), gradient.times(&heat)?.color());",
        draw: guided,
    },
    Section {
        file: "spread",
        title: "How sure is a map?",
        about: "The mean over noisy views of the picture, and the standard deviation beside it. \
                The tool draws it with `--noise 16 --show-std --sheet`.",
        code: "let highest = spread.peak().2;\n\
               let picture = Overlay::new(&photo).colors(ColorMap::Magma).draw(&spread.scaled(0.0, highest))?;\n\
               let figure = Figure::new(picture).color_bar(ColorBar::from(ColorMap::Magma).range(0.0, highest));",
        draw: spread,
    },
    Section {
        file: "colors",
        title: "Color maps",
        about: "All but turbo and jet are safe for the color-blind; the last two are for signed maps.",
        code: "let picture = Overlay::new(&photo).colors(ColorMap::Inferno).draw(&heat)?;",
        draw: colors,
    },
];

/// The longer side of a picture on a sheet.
const TILE: u32 = 200;

fn modes(subject: &Subject) -> Result<Sheet> {
    let photo = &subject.pictures[0].photo;
    let heat = numbers(&subject.ask(0, "layercam", 0)?.heatmap)?;
    let overlay = Overlay::new(photo).threshold(Threshold::Otsu);
    let figures = Mode::ALL.into_iter().map(|mode| {
        Ok(Figure::new(overlay.clone().mode(mode).draw(&heat)?).above(mode.name()).below(mode.help()))
    });
    let figures = figures.collect::<Result<Vec<_>>>()?;
    Ok(Sheet::new(subject.title("Overlay modes")).tile(240).flow(3, figures))
}

fn methods(subject: &Subject) -> Result<Sheet> {
    let picture = &subject.pictures[0];
    let targets: Vec<Class> = picture.classes.iter().map(|asked| Class(asked.class)).collect();
    let targets: Vec<&dyn Target> = targets.iter().map(|class| class as &dyn Target).collect();
    let layer = &subject.model.card().layer;
    let explainer =
        subject.methods.iter().fold(subject.explainer().layer(layer), |all, method| all.method(*method));
    let found: Explanation = explainer.explain_each(picture.input.clone(), &targets)?;

    let mut sheet = Sheet::new(subject.title(&format!("Methods at {layer}"))).tile(160);
    let mut add = |caption: &str, first: &RgbImage, maps: Vec<&AttributionMaps>| {
        let mut first = Some(Figure::new(first.clone()).above("picture"));
        for (place, some) in maps.chunks(8).enumerate() {
            let mut row = vec![first.take().unwrap_or_else(blank)];
            for maps in some {
                let overlay = Overlay::new(&picture.photo).draw(&numbers(&maps.heatmap)?)?;
                row.push(Figure::new(overlay).above(maps.method.name));
            }
            sheet =
                std::mem::replace(&mut sheet, Sheet::new("")).row(if place == 0 { caption } else { "" }, row);
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    let of = |target: usize, is_of_class: bool| {
        let maps = found.maps.iter().filter(move |maps| maps.target == target);
        maps.filter(move |maps| maps.method.needs.class == is_of_class).collect::<Vec<_>>()
    };
    for (target, asked) in picture.classes.iter().enumerate().take(2) {
        add(&asked.caption, &asked.truth, of(target, true))?;
    }
    add("any class", &picture.photo, of(0, false))?;
    Ok(sheet.color_bar(ColorMap::default()))
}

/// Returns a figure that is not seen on a sheet.
fn blank() -> Figure {
    Figure::new(RgbImage::from_pixel(1, 1, Rgb([255; 3])))
}

fn strip(subject: &Subject) -> Result<Sheet> {
    let picture = &subject.pictures[0];
    let all = layers(&subject.model, picture.input.clone())?;
    let all: Vec<String> = all
        .into_iter()
        .filter(|layer| !layer.attention && layer.grid.iter().product::<usize>() > 1)
        .map(|layer| layer.name)
        .collect();
    let all = blocks(all, &subject.model.card().layer);
    let count = all.len().min(7);
    let some: Vec<&String> = (1..=count).map(|place| &all[place * all.len() / count - 1]).collect();
    let sheet =
        Sheet::new(subject.title("Layers")).columns(some.iter().map(|layer| layer.as_str())).tile(TILE);
    let rows = ["gradcam", "layercam"];
    let sheet = rows.into_iter().try_fold(sheet, |sheet, method| {
        let explainer = subject.explainer().method(method_named(method)?);
        let explainer = some.iter().fold(explainer, |all, layer| all.layer(layer.as_str()));
        let found: Explanation =
            explainer.explain(picture.input.clone(), &Class(picture.classes[0].class))?;
        let overlays =
            found.maps.iter().map(|maps| Ok(Overlay::new(&picture.photo).draw(&numbers(&maps.heatmap)?)?));
        Ok::<_, Box<dyn std::error::Error>>(sheet.row(method, overlays.collect::<Result<Vec<RgbImage>>>()?))
    })?;
    Ok(sheet.color_bar(ColorMap::default()))
}

/// The blocks among layers, the last of them where it is looked at by default; all layers where there are no blocks.
fn blocks(all: Vec<String>, default: &str) -> Vec<String> {
    let numbered = |name: &str| name.rsplit('.').next().is_some_and(|part| part.parse::<u32>().is_ok());
    let whole =
        |name: &str| all.iter().any(|part| part.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
    let mut blocks: Vec<String> = all.iter().filter(|name| numbered(name) && whole(name)).cloned().collect();
    match blocks.last_mut() {
        None => return all,
        Some(last) if default.starts_with(last.as_str()) => *last = default.into(),
        Some(_) => {}
    }
    blocks
}

fn pictures(subject: &Subject) -> Result<Sheet> {
    let methods = ["gradcam", "layercam"];
    let columns = ["picture"].into_iter().chain(methods).chain(["mask", "box"]);
    let sheet = Sheet::new(subject.title("Several pictures")).columns(columns).tile(TILE);
    (0..subject.pictures.len()).try_fold(sheet, |sheet, place| {
        let picture = &subject.pictures[place];
        let asked = &picture.classes[0];
        let overlay = Overlay::new(&picture.photo).threshold(Threshold::Otsu);
        let heats = methods.map(|method| numbers(&subject.ask(place, method, 0)?.heatmap));
        let heats = heats.into_iter().collect::<Result<Vec<HeatMap>>>()?;
        let mut row = vec![asked.truth.clone()];
        for heat in &heats {
            row.push(overlay.draw(heat)?);
        }
        for mode in [Mode::Mask, Mode::Box] {
            row.push(overlay.clone().mode(mode).draw(&heats[0])?);
        }
        Ok(sheet.row(&asked.caption, row))
    })
}

fn signed(subject: &Subject) -> Result<Sheet> {
    let picture = &subject.pictures[0];
    let colors = ColorMap::RedBlue;
    let methods = ["gradcam", "hirescam", "ablationcam"];
    let sheet = Sheet::new(subject.title("Evidence for and against")).columns(methods).tile(TILE);
    picture.classes.iter().take(2).enumerate().try_fold(sheet, |sheet, (place, asked)| {
        let figures = methods.map(|method| {
            let raw = numbers(&subject.ask(0, method, place)?.raw)?;
            let overlay = Overlay::new(&picture.photo).colors(colors).alpha(0.7);
            let bar = ColorBar::from(colors).range(-raw.max_abs(), raw.max_abs());
            Ok(Figure::new(overlay.draw(&raw.balanced())?).color_bar(bar))
        });
        Ok(sheet.row(&asked.caption, figures.into_iter().collect::<Result<Vec<_>>>()?))
    })
}

fn mosaic(subject: &Subject) -> Result<Sheet> {
    let layer = &subject.model.card().layer;
    let sheet = Sheet::new(subject.title(&format!("Concepts of {layer}"))).tile(240);
    let figures = subject.pictures.iter().take(3).map(|picture| {
        let found = concepts(&subject.model, layer, picture.input.clone(), 4, 0)?;
        let classes = subject.model.predictions(found.output, 2)?;
        let mut mosaic = Mosaic::new(&picture.photo);
        for (heat, classes) in found.heatmaps.iter().zip(classes) {
            let caption = match &classes[..] {
                [first, ..] if first.probability >= 0.5 => told(first),
                [first, second, ..] if first.probability + second.probability >= 0.25 => {
                    format!("{} or {}", told(first), told(second))
                }
                _ => "no likely name".into(),
            };
            mosaic = mosaic.map(caption, numbers(heat)?);
        }
        Ok([Figure::new(picture.photo.clone()), mosaic.draw()?])
    });
    let figures = figures.collect::<Result<Vec<_>>>()?;
    Ok(sheet.flow(6, figures.into_iter().flatten().take(6)))
}

fn guided(subject: &Subject) -> Result<Sheet> {
    let picture = &subject.pictures[0];
    let [_, _, height, width] = picture.input.dims();
    // Pixels are whole pixels here: those of a small input are shown larger.
    let factor = TILE.div_ceil(width as u32);
    let large = |picture: &RgbImage| {
        imageops::resize(
            picture,
            factor * width as u32,
            factor * height as u32,
            imageops::FilterType::Nearest,
        )
    };
    let sheet = Sheet::new(subject.title("Before and after"))
        .columns(["picture", "guided gradient", "in gray", "gradcam", "guided times gradcam"])
        .tile(factor * width.max(height) as u32);
    picture.classes.iter().take(2).enumerate().try_fold(sheet, |sheet, (place, asked)| {
        let gradient = guided_backprop(&subject.model, &picture.input, &Class(asked.class))?;
        let gradient = Gradient::new(width as u32, height as u32, gradient.try_to_vec_as::<f32>()?)?;
        let heat = numbers(&subject.ask(0, "gradcam", place)?.heatmap)?;
        let overlay = Overlay::new(&picture.photo).draw(&heat)?;
        let [before, gray] = [gradient.color(), gradient.gray()].map(|picture| large(&picture));
        let after = large(&gradient.times(&heat)?.color());
        Ok(sheet.row(&asked.caption, [asked.truth.clone(), before, gray, overlay, after]))
    })
}

fn spread(subject: &Subject) -> Result<Sheet> {
    let sheet =
        Sheet::new(subject.title("Over 16 noisy views")).columns(["mean", "standard deviation"]).tile(TILE);
    subject.pictures.iter().take(2).try_fold(sheet, |sheet, picture| {
        let asked = &picture.classes[0];
        let layer = &subject.model.card().layer;
        let explainer = subject.explainer().layer(layer).method(method_named("layercam")?);
        let smooth = Wrapped::new(&explainer, Smooth::noisy(16, 0.5, 0));
        let found = smooth.explain(picture.input.clone(), &Class(asked.class))?;
        let overlay = |colors| Overlay::new(&picture.photo).colors(colors);
        let (heat, magma) = (ColorMap::default(), ColorMap::Magma);
        let mean = overlay(heat).draw(&numbers(&found.maps[0].heatmap)?)?;
        let Some(spread) = &found.maps[0].std else { return Err("there is no spread".into()) };
        let spread = numbers(spread)?;
        let highest = spread.peak().2;
        let shown = overlay(magma).draw(&spread.scaled(0.0, highest))?;
        let bar = ColorBar::from(magma).range(0.0, highest);
        Ok(sheet.row(&asked.caption, [Figure::new(mean).color_bar(heat), Figure::new(shown).color_bar(bar)]))
    })
}

fn colors(subject: &Subject) -> Result<Sheet> {
    let picture = &subject.pictures[0];
    let maps = subject.ask(0, "gradcam", 0)?;
    let (heat, raw) = (numbers(&maps.heatmap)?, numbers(&maps.raw)?.balanced());
    let figures = ColorMap::ALL.into_iter().map(|colors| {
        let map = if colors.is_diverging() { &raw } else { &heat };
        let overlay = Overlay::new(&picture.photo).colors(colors).draw(map)?;
        Ok(Figure::new(overlay).above(colors.name()).color_bar(colors))
    });
    Ok(Sheet::new("Color maps").tile(150).flow(5, figures.collect::<Result<Vec<_>>>()?))
}

impl Subject {
    fn title(&self, title: &str) -> String {
        format!("{title} – {}", self.model.card().name)
    }

    /// An explainer that enlarges maps before they are cut at zero, as the tool does.
    fn explainer(&self) -> Explainer<'_, Classifier> {
        Explainer::new(&self.model).rectify_last(true)
    }

    /// One map of a picture: by its place, the method, and the place of the class.
    fn ask(&self, picture: usize, method: &str, class: usize) -> Result<AttributionMaps> {
        let picture = &self.pictures[picture];
        let method: &'static dyn Method = method_named(method)?;
        let explainer = self.explainer().layer(&self.model.card().layer).method(method);
        let found: Explanation =
            explainer.explain(picture.input.clone(), &Class(picture.classes[class].class))?;
        found.maps.into_iter().next().ok_or_else(|| "there is no map".into())
    }
}
