//! Several inputs, several outputs, shared weights, and control flow by the shape of the input.

use crate::support::{case, device, images, pooled, random};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::*;
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn::tensor::{DType, Distribution, FloatDType};
use cam_core::{At, Class, Explain, Explainer, Nchw};
use cam_graph::{Input, Tensors, record};

#[derive(Module, Debug)]
pub struct Net {
    pub conv: Conv2d,
    pub norm: BatchNorm,
    pub drop: Dropout,
    pub fc: Linear,
    pub numbers: Linear,
}

pub fn net() -> Net {
    let device = device();
    Net {
        conv: Conv2dConfig::new([3, 8], [3, 3]).with_padding(PaddingConfig2d::Same).init(&device),
        norm: BatchNormConfig::new(8).init(&device),
        drop: DropoutConfig::new(0.5).init(),
        fc: LinearConfig::new(8, 5).init(&device),
        numbers: LinearConfig::new(4, 8).init(&device),
    }
}

impl Net {
    pub fn features(&self, x: Tensor<4>) -> Tensor<4> {
        relu(self.norm.forward(self.conv.forward(x)))
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        self.fc.forward(self.drop.forward(pooled(self.features(x))))
    }
}

pub const LAYERS: [&str; 3] = ["conv 8 @ 16x12", "norm 8 @ 16x12", "relu 8 @ 16x12"];

/// Inputs of several tensors, of which the first is explained.
#[derive(Clone, Tensors, Input)]
#[tensors(crate = cam_graph)]
struct Pair {
    left: Tensor<4>,
    right: Tensor<4>,
}

#[derive(Clone, Tensors, Input)]
#[tensors(crate = cam_graph)]
struct WithNumbers {
    image: Tensor<4>,
    numbers: Tensor<2>,
    #[tensors(skip)]
    factor: f32,
}

#[derive(Clone, Tensors, Input)]
#[tensors(crate = cam_graph)]
struct WithClass(Tensor<4>, Tensor<1, Int>);

fn pairs(batch: usize) -> Pair {
    Pair { left: images(batch), right: random([batch, 3, 16, 12]) * 0.7 + 0.1 }
}

#[test]
fn two_images_with_the_same_weights() {
    case(net(), pairs, |net, pair| {
        let (left, right) = (net.features(pair.left), net.features(pair.right));
        net.fc.forward(pooled((left - right).abs()))
    })
    // Those that depend on the image that is explained.
    .has_layers(&["conv 8 @ 16x12", "norm 8 @ 16x12", "relu 8 @ 16x12", "add 8 @ 16x12"])
    .tapped(&["norm", "add"], |net, pair, taps| {
        let left = relu(taps.layer("norm", Nchw, || net.norm.forward(net.conv.forward(pair.left))));
        net.fc.forward(pooled(taps.layer("add", Nchw, || left - net.features(pair.right)).abs()))
    });
}

#[test]
fn each_of_two_images_has_layers_and_maps_of_its_own() {
    // The second one is smaller. Calls of a module are counted over both; an operator without one, among those that can be layers.
    let net = net();
    let recorded = record(&net, |net: &Net, (left, right): (Tensor<4>, Tensor<4>)| {
        net.fc.forward(pooled(net.features(left)) - pooled(net.features(right)))
    });
    let of_left = recorded.unwrap();
    let of_right = of_left.at::<1>().unwrap();
    let inputs = (images(2), random([2, 3, 8, 10]));
    assert_eq!(of_left.layers(&inputs).unwrap().names(), ["conv", "norm", "relu"]);
    assert_eq!(of_right.layers(&At(inputs.clone())).unwrap().names(), ["conv#2", "norm#2", "relu"]);

    let left = Explainer::new(&of_left).explain(inputs.clone(), &Class(1)).unwrap();
    let right = Explainer::new(&of_right).explain(At(inputs.clone()), &Class(1)).unwrap();
    assert_eq!((left.maps[0].layer.as_str(), left.maps[0].heatmap.dims()), ("relu", [2, 16, 12]));
    assert_eq!((right.maps[0].layer.as_str(), right.maps[0].heatmap.dims()), ("relu", [2, 8, 10]));
    // The map of the second is that of a network which has it first and subtracts the other way round.
    let swapped = record(&net, |net: &Net, (right, left): (Tensor<4>, Tensor<4>)| {
        net.fc.forward(pooled(net.features(left)) - pooled(net.features(right)))
    });
    let swapped = swapped.unwrap();
    let expected = Explainer::new(&swapped).explain((inputs.1, inputs.0), &Class(1)).unwrap();
    let numbers = |maps: &Tensor<3>| maps.to_data().try_to_vec::<f32>().unwrap();
    assert_eq!(numbers(&right.maps[0].raw), numbers(&expected.maps[0].raw));
    assert!(numbers(&right.maps[0].raw).iter().any(|x| *x != 0.0));
}

#[test]
fn an_image_and_numbers() {
    let input = |batch| WithNumbers { image: images(batch), numbers: random([batch, 4]), factor: 0.5 };
    case(net(), input, |net, input: WithNumbers| {
        let [batch, _] = input.numbers.dims();
        let scale = net.numbers.forward(input.numbers * input.factor).reshape([batch, 8, 1, 1]);
        net.fc.forward(pooled(relu(net.norm.forward(net.conv.forward(input.image)) * scale)))
    })
    .has_layers(&["conv 8 @ 16x12", "norm 8 @ 16x12", "mul 8 @ 16x12", "relu 8 @ 16x12"])
    .tapped(&["norm", "mul"], |net, input, taps| {
        let [batch, _] = input.numbers.dims();
        let scale = net.numbers.forward(input.numbers * input.factor).reshape([batch, 8, 1, 1]);
        let x = taps.layer("norm", Nchw, || net.norm.forward(net.conv.forward(input.image)));
        net.fc.forward(pooled(relu(taps.layer("mul", Nchw, || x * scale))))
    });
}

#[test]
fn an_image_and_a_class() {
    #[derive(Module, Debug)]
    struct ImageAndClass {
        net: Net,
        classes: Embedding,
    }
    let model = ImageAndClass { net: net(), classes: EmbeddingConfig::new(7, 8).init(&device()) };
    let input =
        |batch: usize| WithClass(images(batch), Tensor::<1, Int>::arange(2..2 + batch as i64, &device()));
    case(model, input, |model, WithClass(image, class)| {
        let [batch] = class.dims();
        let question = model.classes.forward(class.reshape([batch, 1])).squeeze_dim::<2>(1);
        model.net.fc.forward(pooled(model.net.features(image)) * question)
    })
    .has_layers(&["net.conv 8 @ 16x12", "net.norm 8 @ 16x12", "net.relu 8 @ 16x12"]);
}

#[test]
fn several_heads() {
    case(net(), images, |net, x| {
        let x = net.features(x);
        let classes = net.fc.forward(pooled(x.clone()));
        (classes, vec![x.clone().mean_dim(1), x.max_dim(1)], None::<Tensor<2>>)
    })
    .has_layers(&LAYERS)
    .tapped(&["conv", "relu"], |net, x, taps| {
        let x = taps.layer("conv", Nchw, || net.conv.forward(x));
        let x = taps.layer("relu", Nchw, || relu(net.norm.forward(x)));
        let classes = net.fc.forward(pooled(x.clone()));
        (classes, vec![x.clone().mean_dim(1), x.max_dim(1)], None)
    });
}

/// An output as a custom struct, with tensors that are not floats.
#[derive(Clone, Tensors)]
#[tensors(crate = cam_graph)]
struct Detections {
    boxes: Tensor<3>,
    scores: [Tensor<2>; 2],
    best: Tensor<2, Int>,
    is_seen: Tensor<2, Bool>,
    #[tensors(skip)]
    stride: usize,
    rest: [Rest<Tensor<2>>; 2],
}

/// An enum with a variant without tensors.
#[derive(Clone, Tensors)]
#[tensors(crate = cam_graph)]
enum Rest<T> {
    Few(T, Unit),
    Nothing,
}

#[derive(Clone, Tensors)]
#[tensors(crate = cam_graph)]
struct Unit;

#[test]
fn a_custom_struct() {
    case(net(), images, |net, x| {
        let x = net.features(x);
        let scores = net.fc.forward(pooled(x.clone()));
        let boxes = x.mean_dim(3).squeeze_dim::<3>(3).swap_dims(1, 2).narrow(2, 0, 4);
        Detections {
            boxes,
            best: scores.clone().argmax(1),
            is_seen: scores.clone().greater_elem(0.0),
            rest: [Rest::Few(scores.clone().sum_dim(1), Unit), Rest::Nothing],
            scores: [scores.clone(), scores * 2.0],
            stride: 8,
        }
    })
    .has_layers(&LAYERS);
}

/// The input itself, a feature and the same feature again are outputs.
#[test]
fn outputs_with_readers_and_repeated_outputs() {
    case(net(), images, |net, x| {
        let y = net.conv.forward(x.clone());
        let classes = net.fc.forward(pooled(relu(net.norm.forward(y.clone()))));
        (classes.clone(), x, y, classes)
    })
    .has_layers(&LAYERS);
}

#[test]
fn half_precision_inside() {
    // Half precision has 11 bits: two orders of a sum may round to neighboring numbers, which differ by 2^-11.
    case(net(), images, |net, x| {
        let x = net.conv.forward(x).cast(FloatDType::F16);
        let x = (x * 1.5 + 0.25).cast(FloatDType::F32);
        net.fc.forward(pooled(relu(net.norm.forward(x))))
    })
    .within(2e-3)
    .has_layers(&["conv 8 @ 16x12", "norm 8 @ 16x12", "relu 8 @ 16x12"])
    .tapped(&["conv", "norm"], |net, x, taps| {
        let x = taps.layer("conv", Nchw, || net.conv.forward(x)).cast(DType::F16);
        let x = (x * 1.5 + 0.25).cast(FloatDType::F32);
        net.fc.forward(pooled(relu(taps.layer("norm", Nchw, || net.norm.forward(x)))))
    });
}

/// No layer of a loop over the images is a layer of the batch; those before it are.
#[test]
fn a_loop_over_the_batch() {
    case(net(), images, |net, x| {
        let x = net.conv.forward(x);
        let each = (0..x.dims()[0]).map(|n| net.fc.forward(pooled(relu(x.clone().narrow(0, n, 1)))));
        Tensor::cat(each.collect(), 0)
    })
    .computed();
}

#[test]
fn chunks_of_the_batch() {
    case(net(), images, |net, x| {
        let parts = x.chunk(2, 0).into_iter().map(|x| net.forward(x)).collect();
        Tensor::cat(parts, 0)
    })
    .computed();
}

/// Constants that depend on the batch: an arange, a scalar, a mask.
#[test]
fn constants_made_for_the_batch() {
    case(net(), images, |net, x| {
        let batch = x.dims()[0];
        let y = net.forward(x);
        let numbers = Tensor::<1, Int>::arange(0..batch as i64, &y.device()).float().reshape([batch, 1]);
        (y + numbers * 0.1) / batch as f32
    })
    .computed();
}

/// Control flow by the size of the input is recorded for each size.
#[test]
fn control_flow_by_shape() {
    case(
        net(),
        |batch| random([batch, 3, 8 * batch, 12]),
        |net, x| {
            let rows = x.dims()[2];
            let x = net.features(x);
            net.fc.forward(pooled(if rows > 16 { x.clone() - x.mean_dim(1) } else { x * 2.0 }))
        },
    )
    .computed();
}

/// Noise differs in each pass; here it is smaller than the tolerance.
#[test]
fn noise_in_the_pass() {
    case(net(), images, |net, x| {
        let x = net.conv.forward(x);
        let noise = x.random_like(Distribution::Normal(0.0, 1e-9));
        net.fc.forward(pooled(relu(net.norm.forward(x + noise))))
    })
    .has_layers(&["conv 8 @ 16x12", "add 8 @ 16x12", "norm 8 @ 16x12", "relu 8 @ 16x12"]);
}
