//! A detector in ordinary Burn code with a head like CenterNet's (Zhou et al., *Objects as Points*, 2019), which no decoder of the library knows:
//! a small decoder makes predictions of its output, and each is explained. The network has not learned anything: its weights make it find
//! what is red.
//!
//! ```text
//! cargo run --release --example centernet [PHOTO]    # writes cam-out/centernet.png
//! ```

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig};
use burn::prelude::*;
use burn::tensor::activation::sigmoid;
use burn_cam::draw::{Figure, Sheet};
use burn_cam::{
    AnyTarget, Decoder, Error, ImageExplainer, ImageInput, Place, Prediction, Preprocess, Tensors,
    draw_predictions,
};
use std::borrow::Cow;

/// Pixels of a cell.
const STRIDE: f32 = 8.0;
const SIDE: usize = 128;

/// The output of the network: how likely each cell is the center of a thing, `[batch, 1, height, width]`, and the width and height of that
/// thing in cells, `[batch, 2, height, width]`.
#[derive(Clone, Tensors)]
struct Points {
    centers: Tensor<4>,
    sizes: Tensor<4>,
}

#[derive(Module, Debug)]
struct CenterNet {
    stem: Conv2d,
    pool: AvgPool2d,
    centers: Conv2d,
    sizes: Conv2d,
}

impl CenterNet {
    fn new(device: &Device) -> Self {
        let mut net = Self {
            stem: Conv2dConfig::new([3, 2], [1, 1]).with_bias(false).init(device),
            pool: AvgPool2dConfig::new([8, 8]).with_strides([8, 8]).init(),
            centers: Conv2dConfig::new([2, 1], [3, 3])
                .with_padding(burn::nn::PaddingConfig2d::Same)
                .init(device),
            sizes: Conv2dConfig::new([2, 2], [1, 1]).init(device),
        };
        let weights =
            |values: &[f32], shape: [usize; 4]| Tensor::<1>::from_floats(values, device).reshape(shape);
        // Red against green and blue, and all of them.
        let stem = weights(&[1.0, -0.5, -0.5, 0.3, 0.3, 0.3], [2, 3, 1, 1]);
        net.stem.weight = net.stem.weight.map(|_| stem);
        // A cell counts more than those around it.
        let mut around = [1.5; 18];
        around[4] = 8.0;
        around[9..].fill(0.0);
        let centers = weights(&around, [1, 2, 3, 3]);
        net.centers.weight = net.centers.weight.map(|_| centers);
        net.centers.bias = net.centers.bias.map(|bias| bias.map(|bias| bias.full_like(-4.0)));
        let sizes = Tensor::zeros([2, 2, 1, 1], device);
        net.sizes.weight = net.sizes.weight.map(|_| sizes);
        net.sizes.bias = net.sizes.bias.map(|bias| bias.map(|bias| bias.full_like(4.0)));
        net
    }

    fn forward(&self, images: Tensor<4>) -> Points {
        let features = self.pool.forward(self.stem.forward(images));
        Points {
            centers: sigmoid(self.centers.forward(features.clone())),
            sizes: self.sizes.forward(features),
        }
    }
}

/// The decoder: each cell that is likelier than its neighbors and than not is a thing.
#[derive(Clone)]
struct Centers;

/// The target that asks for one cell.
fn cell(row: usize) -> AnyTarget<Points> {
    AnyTarget::new(move |output: &Points| -> Tensor<1> {
        let [batch, _, height, width] = output.centers.dims();
        output.centers.clone().reshape([batch, height * width]).narrow(1, row, 1).squeeze_dim(1)
    })
}

impl Decoder<Points> for Centers {
    fn name(&self) -> &'static str {
        "centernet"
    }

    fn parts(&self, output: &Points) -> Result<Vec<Tensor<2>>, Error> {
        Ok([&output.centers, &output.sizes].map(|part| part.clone().inner().flatten(1, 3)).into())
    }

    fn predictions(&self, parts: &[&[f32]]) -> Vec<Prediction<Points>> {
        let (centers, sizes, cells) = (parts[0], parts[1], SIDE / STRIDE as usize);
        let is_peak = |row: usize| {
            let (x, y) = (row % cells, row / cells);
            let near = |at: usize| at.saturating_sub(1)..(at + 2).min(cells);
            near(y).all(|y| near(x).all(|x| centers[y * cells + x] <= centers[row]))
        };
        let mut found: Vec<usize> =
            (0..centers.len()).filter(|row| centers[*row] > 0.5 && is_peak(*row)).collect();
        found.sort_by(|a, b| centers[*b].total_cmp(&centers[*a]));
        let prediction = |row: usize| {
            let [x, y] = [row % cells, row / cells].map(|at| (at as f32 + 0.5) * STRIDE);
            let [width, height] = [sizes[row], sizes[centers.len() + row]].map(|cells| cells * STRIDE / 2.0);
            let bounds = [x - width, y - height, x + width, y + height];
            Prediction::new(0, "red", centers[row], centers[row], cell(row))
                .at(Place { bounds, row: Some(row) })
        };
        found.into_iter().map(prediction).collect()
    }

    fn target(&self, _name: &str) -> Result<AnyTarget<Points>, Error> {
        Ok(AnyTarget::new(|output: &Points| -> Tensor<1> {
            let [batch, ..] = output.centers.dims();
            output.centers.clone().reshape([batch as i32, -1]).max_dim(1).squeeze_dim(1)
        }))
    }

    fn ranked(&self, _rank: usize) -> AnyTarget<Points> {
        self.target("red").expect("there is one class")
    }

    fn label(&self, _class: usize) -> Cow<'_, str> {
        "red".into()
    }

    fn has_places(&self) -> bool {
        true
    }

    fn explained(&self, predictions: &[Prediction<Points>]) -> usize {
        predictions.len().min(5)
    }

    fn method(&self) -> Option<&'static str> {
        Some("hirescam")
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let image = match std::env::args().nth(1) {
        Some(photo) => ImageInput::open(photo)?,
        None => ImageInput::from(cam_scenes::Scene::draw(3, 256)?.image),
    };
    let net = CenterNet::new(&Device::flex());
    let plain =
        Preprocess { size: [SIDE; 2], mean: vec![0.0].into(), std: vec![1.0].into(), ..Preprocess::IMAGENET };
    let model = burn_cam::record_with(&net, Centers, CenterNet::forward)?.preprocess(plain).layer("pool");
    let found = ImageExplainer::new(&model).explain(&image)?;

    let mut figures = vec![Figure::new(draw_predictions(&image, &found.predictions)).above("all")];
    for map in &found.maps {
        println!("{} {:.2} at {:?}: hottest at {:?}", map.label, map.score, map.bounds, map.peak());
        figures.push(Figure::new(map.overlay()?).above(format!("{:.0} %", 100.0 * map.score)));
    }
    std::fs::create_dir_all("cam-out")?;
    Sheet::new("Things that are red").flow(3, figures).save("cam-out/centernet.png")?;
    println!("cam-out/centernet.png");
    Ok(())
}
