//! Three networks in plain Burn code, none of which knows of this library: a MobileNetV2 of nested modules, a vision transformer, and one
//! of two inputs. Each is explained by every method of the registry while it is in training, and is found unchanged.
//!
//! ```text
//! cargo run --release --example your_model    # writes cam-out/your_model.png
//! ```

mod mobilenet;
mod two_inputs;
mod vit;

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::TensorData;
use burn_cam::draw::{Figure, Overlay, RgbImage, Sheet, enlarged};
use burn_cam::{
    At, Explain, Explainer, ImageExplainer, Method, Preprocess, Registry, Top, cam_graph, heat_maps,
};
use cam_scenes::Scene;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Pixels on each side of a picture.
const SIDE: usize = 64;
const CLASSES: usize = 10;

type Failure = Box<dyn std::error::Error>;
/// A map that a method made: an overlay.
type Made = Result<RgbImage, Failure>;

// The lines that explaining takes, for each of the three.
// explaining: MobileNetV2
fn of_mobilenet(net: &mobilenet::MobileNet, image: &RgbImage, method: &'static dyn Method) -> Made {
    let recorded = burn_cam::record(net, |net, images| net.forward(images))?.preprocess(preprocess());
    let found = ImageExplainer::new(&recorded).method(method).explain(image)?;
    Ok(found.maps[0].overlay()?)
}
// explaining: vision transformer
fn of_vit(net: &vit::Vit, image: &RgbImage, method: &'static dyn Method) -> Made {
    let recorded = burn_cam::record(net, |net, images| net.forward(images))?.preprocess(preprocess());
    let found = ImageExplainer::new(&recorded).method(method).explain(image)?;
    Ok(found.maps[0].overlay()?)
}
// explaining: colors of two inputs
fn of_colors(net: &two_inputs::ColorAndDepth, scene: &Inputs, method: &'static dyn Method) -> Made {
    let recorded = cam_graph::record(net, |net, (color, depth)| net.forward(color, depth))?;
    let found = Explainer::new(&recorded).method(method).explain(scene.tensors.clone(), &Top)?;
    Ok(Overlay::new(&scene.color).draw(&heat_maps(&found.maps[0].heatmap)?[0])?)
}
// explaining: depth of two inputs
fn of_depth(net: &two_inputs::ColorAndDepth, scene: &Inputs, method: &'static dyn Method) -> Made {
    let recorded = cam_graph::record(net, |net, (color, depth)| net.forward(color, depth))?;
    let of_depth = recorded.at::<1>()?;
    let found = Explainer::new(&of_depth).method(method).explain(At(scene.tensors.clone()), &Top)?;
    Ok(Overlay::new(&scene.depth).draw(&heat_maps(&found.maps[0].heatmap)?[0])?)
}
// end

/// A picture in colors and how far away each of its pixels is, as they are drawn, and both as tensors.
struct Inputs {
    color: RgbImage,
    depth: RgbImage,
    tensors: (Tensor<4>, Tensor<4>),
}

/// How pictures become the input of the networks: -1 to 1.
fn preprocess() -> Preprocess {
    let half = || vec![0.5].into();
    Preprocess { size: [SIDE; 2], mean: half(), std: half(), ..Preprocess::IMAGENET }
}

/// Parameters and running statistics of a module.
fn numbers<M: Module>(module: &M) -> Vec<TensorData> {
    struct All(Vec<TensorData>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.0.push(parameter.val().to_data());
        }
    }
    let mut all = All(Vec::new());
    module.visit(&mut all);
    all.0
}

/// The largest difference between the numbers of two lists of tensors.
fn change(before: &[TensorData], after: &[TensorData]) -> f32 {
    let differences = |(before, after): (&TensorData, &TensorData)| {
        before.iter::<f32>().zip(after.iter::<f32>()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    before.iter().zip(after).map(differences).fold(0.0, f32::max)
}

/// Explains a network by all methods, and prints what came of it. Returns a row of pictures.
fn explained<M: Module>(
    name: &str,
    net: &M,
    logits: impl Fn(&M) -> Tensor<2>,
    explain: impl Fn(&M, &'static dyn Method) -> Made,
) -> Vec<Figure> {
    let state = |net: &M| {
        // First: a copy in inference adds what training has found of the statistics to them.
        let logits = logits(&net.valid()).into_data();
        [numbers(net), vec![logits]].concat()
    };
    let before = state(net);
    let (mut figures, mut refusals, mut panics) = (Vec::new(), Vec::new(), 0);
    for method in Registry::default().methods() {
        match catch_unwind(AssertUnwindSafe(|| explain(net, *method))) {
            Ok(Ok(overlay)) => figures.push(Figure::new(overlay).above(method.name())),
            Ok(Err(refusal)) => refusals.push(format!("{}: {refusal}", method.name())),
            Err(_) => panics += 1,
        }
    }
    println!("{name}");
    println!("    largest change of a parameter, a statistic or a logit: {}", change(&before, &state(net)));
    println!("    {} methods gave a map, {} a refusal, {panics} panicked", figures.len(), refusals.len());
    println!("    explaining took {} lines", lines(name));
    for refusal in refusals {
        println!("      {refusal}");
    }
    figures
}

/// Counts the lines of this file that explain a network: the body of the function below its mark.
fn lines(name: &str) -> usize {
    let below = include_str!("main.rs").lines().skip_while(|line| *line != format!("// explaining: {name}"));
    below.skip(2).take_while(|line| *line != "}").count()
}

fn main() -> Result<(), Failure> {
    let device = Device::flex().autodiff();
    device.seed(0);
    let image = Scene::draw(7, SIDE as u32)?.image;
    let (input, _) = preprocess().apply(&image, &device)?;
    // What is low in a picture is near.
    let depth = RgbImage::from_fn(32, 32, |_, y| burn_cam::draw::Rgb([(y * 8) as u8; 3]));
    let near = Preprocess { size: [32; 2], channels: 1, ..preprocess() };
    let plain = Device::flex();
    let tensors = (preprocess().apply(&image, &plain)?.0, near.apply(&depth, &plain)?.0);
    let scene = Inputs {
        color: enlarged(&image).0.into_owned(),
        depth: enlarged(&depth).0.into_owned(),
        tensors: tensors.clone(),
    };

    // In training, with running statistics of something.
    let net = mobilenet::MobileNet::new(CLASSES, &device);
    net.forward(input.clone());
    let rows = [
        (
            "MobileNetV2",
            explained(
                "MobileNetV2",
                &net,
                |net| net.forward(tensors.0.clone()),
                |net, method| of_mobilenet(net, &image, method),
            ),
        ),
        {
            let net = vit::Vit::new(CLASSES, &device);
            let logits = |net: &vit::Vit| net.forward(tensors.0.clone());
            (
                "vision transformer",
                explained("vision transformer", &net, logits, |net, method| of_vit(net, &image, method)),
            )
        },
    ];
    let net = two_inputs::ColorAndDepth::new(CLASSES, &device);
    net.forward(input, near.apply(&depth, &device)?.0);
    let logits = |net: &two_inputs::ColorAndDepth| net.forward(tensors.0.clone(), tensors.1.clone());
    let of_two = [
        (
            "colors of two inputs",
            of_colors as fn(&two_inputs::ColorAndDepth, &Inputs, &'static dyn Method) -> Made,
        ),
        ("depth of two inputs", of_depth),
    ]
    .map(|(name, explain)| (name, explained(name, &net, logits, |net, method| explain(net, &scene, method))));

    let sheet = rows.into_iter().chain(of_two).fold(
        Sheet::new("Networks that know of no methods, before they have learned anything"),
        |sheet, (name, figures)| {
            let mut parts = figures.chunks(8).map(<[Figure]>::to_vec);
            let sheet = sheet.row(name, parts.next().unwrap_or_default());
            parts.fold(sheet, |sheet, part| sheet.row("", part))
        },
    );
    let out = Path::new("cam-out/your_model.png");
    std::fs::create_dir_all("cam-out")?;
    sheet.save(out)?;
    println!("{}", out.display());
    Ok(())
}
