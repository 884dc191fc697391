//! What the tool has beside the built-in methods, scores and models.

use burn_cam::burn;
use burn_cam::burn::nn::conv::{Conv2d, Conv2dConfig};
use burn_cam::burn::nn::{Linear, LinearConfig};
use burn_cam::burn::prelude::*;
use burn_cam::burn::tensor::activation::relu;
use burn_cam::{
    AnyArchitecture, Architecture, Error, Evidence, Family, Goal, LayerContext, Method, MethodInfo,
    ModelCard, Registry, Target, TargetInfo, TensorShapes,
};

/// Returns the built-in registry with the method, the score and the family of this file.
pub fn registry() -> Result<Registry, Error> {
    Registry::default().with_method(MaxGradCam).with_target(MARGIN).with_family(Toys)
}

/// The weight of a channel is the largest gradient in it.
struct MaxGradCam;

impl Method for MaxGradCam {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("maxgradcam", "Max Grad-CAM", "https://example.org/max").gradient()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move { Ok(layer.gradient()?.max_dim(2) * layer.activation()) })
    }
}

/// The score `margin`.
const MARGIN: TargetInfo =
    TargetInfo::new("margin", "Margin", "the logit of the class minus the mean of all logits", "", |class| {
        Box::new(Margin(class))
    });

/// The logit of a class minus the mean of all logits.
struct Margin<T>(T);

impl<T: Target> Target for Margin<T> {
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, burn_cam::cam_core::Error> {
        let class = self.0.resolve(output)?;
        Ok(class.map(|output, score| score - output.clone().mean_dim(1).squeeze_dim(1)))
    }
}

/// A small network.
#[derive(Module, Debug)]
pub struct Toy {
    stem: Conv2d,
    body: Conv2d,
    head: Linear,
}

impl Toy {
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.stem.forward(images));
        let x = relu(self.body.forward(x));
        self.head.forward(x.mean_dims(&[2, 3]).flatten(1, 3))
    }
}

/// Its sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct ToyConfig {
    pub width: usize,
    pub classes: usize,
}

impl Architecture for ToyConfig {
    type Network = Toy;

    fn build(&self, device: &Device) -> Toy {
        let conv = |from, to| Conv2dConfig::new([from, to], [3, 3]).with_stride([2, 2]).init(device);
        Toy {
            stem: conv(3, self.width),
            body: conv(self.width, 2 * self.width),
            head: LinearConfig::new(2 * self.width, self.classes).init(device),
        }
    }

    fn forward(toy: &Toy, images: Tensor<4>) -> Tensor<2> {
        toy.forward(images)
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn with_classes(self, classes: usize) -> Self {
        Self { classes, ..self }
    }
}

/// The family.
struct Toys;

impl Family for Toys {
    fn name(&self) -> &'static str {
        "Toy"
    }

    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
        AnyArchitecture::table(&[("toy_small", ToyConfig { width: 4, classes: 3 })])
    }

    fn cards(&self) -> Result<Vec<ModelCard>, burn_cam::cam_models::Error> {
        Ok(vec![ModelCard::new("toy_small", [64, 64], "body")])
    }

    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        let (width, classes) = (*shapes("body.weight")?.get(1)?, *shapes("head.weight")?.first()?);
        shapes("stem.weight").map(|_| ToyConfig { width, classes }.into())
    }
}
