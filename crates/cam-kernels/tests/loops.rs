//! Compares the kernels with their formulas, written with loops.

use cam_kernels::{
    Activation, Attention, Conv, Gemv, ImageView, Normed, Window, gate, gelu, gelu_backward, layer_norm,
    layer_norm_backward, max_pool, mean, mean_pool,
};
use proptest::prelude::*;

/// Rounding of a sum of `depth` products of numbers up to 1: a unit in the last place of a partial sum, which is a random walk that
/// comes as far as 4 sqrt(depth) / 3, as a random walk itself.
fn rounding(depth: usize) -> f32 {
    1e-6 + 1.6e-7 * depth as f32
}

/// Pseudorandom numbers from -1 to 1 (splitmix64).
fn floats(count: usize, seed: usize) -> Vec<f32> {
    let mixed = |n: usize| {
        let z = ((seed << 32 | n) as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(mixed).collect()
}

#[derive(Debug, Clone)]
struct Case {
    batch: usize,
    size: [usize; 2],
    groups: usize,
    inputs: usize,
    outputs: usize,
    kernel: [usize; 2],
    window: Window,
    bias: bool,
    residual: bool,
    activation: Activation,
    channels_last: bool,
    seed: usize,
}

/// All activations but GELU, which has tests of its own.
const ACTIVATIONS: [Activation; 8] = [
    Activation::None,
    Activation::Relu,
    Activation::LeakyRelu(0.1),
    Activation::Clamp([-0.5, 0.5]),
    Activation::Sigmoid,
    Activation::Silu,
    Activation::HardSigmoid,
    Activation::HardSwish,
];

fn activations() -> impl Strategy<Value = Activation> {
    (0..ACTIVATIONS.len()).prop_map(|number| ACTIVATIONS[number])
}

fn activated(activation: Activation, x: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    let hard_sigmoid = (x / 6.0 + 0.5).clamp(0.0, 1.0);
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu(slope) => x.max(0.0) + f64::from(slope) * x.min(0.0),
        Activation::Clamp([least, most]) => x.clamp(least.into(), most.into()),
        Activation::Sigmoid => sigmoid,
        Activation::Silu => x * sigmoid,
        Activation::HardSigmoid => hard_sigmoid,
        Activation::HardSwish => x * hard_sigmoid,
        Activation::Gelu => unreachable!("it has tests of its own"),
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (1..4_usize, [1..24_usize, 1..24_usize], 1..6_usize, 1..40_usize, 1..80_usize);
    let windows = (
        [1..8_usize, 1..8_usize],
        [1..4_usize, 1..4_usize],
        [0..4_usize, 0..4_usize],
        [1..4_usize, 1..4_usize],
    );
    let flags = (any::<bool>(), any::<bool>(), activations(), any::<bool>(), 0..1000_usize, any::<bool>());
    (sizes, windows, flags).prop_map(|(sizes, windows, flags)| {
        let (batch, size, groups, inputs, outputs) = sizes;
        let (kernel, stride, padding, dilation) = windows;
        let (bias, residual, activation, channels_last, seed, depthwise) = flags;
        let (groups, inputs, outputs) = if depthwise { (inputs, 1, 1) } else { (groups, inputs, outputs) };
        let window = Window { stride, padding, dilation };
        Case {
            batch,
            size,
            groups,
            inputs,
            outputs,
            kernel,
            window,
            bias,
            residual,
            activation,
            channels_last,
            seed,
        }
    })
}

fn nchw(x: &[f32], [batch, height, width, channels]: [usize; 4]) -> Vec<f32> {
    let area = height * width;
    let at = |at: usize| (at / (area * channels) * area + at % area) * channels + at / area % channels;
    (0..batch * area * channels).map(|place| x[at(place)]).collect()
}

fn reference(case: &Case, x: &[f32], weight: &[f32], bias: &[f32], residual: &[f32]) -> Vec<f32> {
    let Case { batch, size: [height, width], groups, inputs, outputs, kernel, window, .. } = case.clone();
    let (from, to) = (inputs * groups, outputs * groups);
    let [rows, columns] = window.output_size([height, width], kernel);
    let mut y = vec![0.0; batch * rows * columns * to];
    for n in 0..batch {
        for i in 0..rows {
            for j in 0..columns {
                for o in 0..to {
                    let mut sum = if case.bias { f64::from(bias[o]) } else { 0.0 };
                    for c in 0..inputs {
                        for r in 0..kernel[0] {
                            for s in 0..kernel[1] {
                                let row = (i * window.stride[0] + r * window.dilation[0])
                                    .wrapping_sub(window.padding[0]);
                                let column = (j * window.stride[1] + s * window.dilation[1])
                                    .wrapping_sub(window.padding[1]);
                                if row < height && column < width {
                                    let channel = o / outputs * inputs + c;
                                    let x = x[((n * height + row) * width + column) * from + channel];
                                    let w = weight[((o * inputs + c) * kernel[0] + r) * kernel[1] + s];
                                    sum += f64::from(w) * f64::from(x);
                                }
                            }
                        }
                    }
                    let at = ((n * rows + i) * columns + j) * to + o;
                    if case.residual {
                        sum += f64::from(residual[at]);
                    }
                    y[at] = activated(case.activation, sum) as f32;
                }
            }
        }
    }
    y
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let Case { batch, size: [height, width], groups, inputs, outputs, kernel, window, seed, .. } =
        case.clone();
    let (from, to) = (inputs * groups, outputs * groups);
    let shape = [batch, height, width, from];
    let x = floats(shape.iter().product(), seed);
    let weight = floats(to * inputs * kernel[0] * kernel[1], seed + 1);
    let bias = floats(to, seed + 2);
    let conv =
        Conv::new(&weight, [to, inputs, kernel[0], kernel[1]], case.bias.then_some(&bias), window, groups);
    check_against_the_sum(case, &conv, &x, &weight, &bias)
}

fn check_against_the_sum(
    case: &Case,
    conv: &Conv,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
) -> Result<(), TestCaseError> {
    let Case { batch, size: [height, width], groups, inputs, kernel, seed, .. } = case.clone();
    let from = inputs * groups;
    let shape = [batch, height, width, from];
    let transposed = nchw(x, shape);
    let image = match case.channels_last {
        true => ImageView::nhwc(x, shape),
        false => ImageView::nchw(&transposed, [batch, from, height, width]),
    };
    let residual = floats(conv.output_shape(&image).iter().product(), seed + 3);
    // The contents of the buffer must not matter.
    let fast = conv.forward(image, case.residual.then_some(&residual), case.activation, vec![f32::NAN; 7]);
    let expected = reference(case, x, weight, bias, &residual);
    prop_assert_eq!(fast.len(), expected.len());
    // The slope of a hard swish is 1.5 at most, and that of the others less.
    let tolerance = 1.5 * rounding(inputs * kernel[0] * kernel[1]);
    for (place, (fast, reference)) in fast.iter().zip(&expected).enumerate() {
        prop_assert!((fast - reference).abs() <= tolerance, "{} instead of {} at {}", fast, reference, place);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_convolution_is_its_sum(case in cases()) {
        check(&case)?;
    }

    #[test]
    fn a_pool_is_its_maximum(
        batch in 1..3_usize, height in 1..20_usize, width in 1..20_usize, channels in 1..40_usize,
        kernel in [2..4_usize, 2..4_usize], stride in [1..4_usize, 1..4_usize], pad in 0..2_usize, seed in 0..100_usize,
    ) {
        let window = Window { stride, padding: [pad; 2], ..Window::default() };
        let shape = [batch, height, width, channels];
        let x = floats(shape.iter().product(), seed);
        let fast = max_pool(ImageView::nhwc(&x, shape), kernel, window, vec![f32::NAN; 3]);
        let means = mean_pool(ImageView::nhwc(&x, shape), kernel, Window { padding: [0, 0], ..window }, vec![f32::NAN; 3]);
        let [_, across] = Window { padding: [0, 0], ..window }.output_size([height, width], kernel);
        for (at, &fast) in means.iter().enumerate() {
            let (c, j, row) = (at % channels, at / channels % across, at / channels / across);
            let down = means.len() / (batch * across * channels);
            let (i, n) = (row % down, row / down);
            let pixel = |r, s| x[((n * height + i * stride[0] + r) * width + j * stride[1] + s) * channels + c];
            let sum: f32 = (0..kernel[0]).flat_map(|r| (0..kernel[1]).map(move |s| (r, s))).map(|(r, s)| pixel(r, s)).sum();
            prop_assert!((fast - sum / (kernel[0] * kernel[1]) as f32).abs() < 1e-6);
        }
        let [rows, columns] = window.output_size([height, width], kernel);
        prop_assert_eq!(fast.len(), batch * rows * columns * channels);
        for (at, &fast) in fast.iter().enumerate() {
            let (c, j, i, n) = (at % channels, at / channels % columns, at / channels / columns % rows, at / channels / columns / rows);
            let mut largest = f32::NEG_INFINITY;
            for r in 0..kernel[0] {
                for s in 0..kernel[1] {
                    let (row, column) = ((i * stride[0] + r).wrapping_sub(pad), (j * stride[1] + s).wrapping_sub(pad));
                    if row < height && column < width {
                        largest = largest.max(x[((n * height + row) * width + column) * channels + c]);
                    }
                }
            }
            prop_assert_eq!(fast, largest);
        }
    }
}

#[test]
fn the_mean_of_each_channel_of_each_image_is_that_of_its_pixels() {
    // More than a task of channels, more than are summed at once, channels that fill no vector, and nothing.
    for shape @ [batch, height, width, channels] in [[2, 9, 15, 300], [3, 1, 1, 1], [1, 2, 3, 0]] {
        let x = floats(shape.iter().product(), 1);
        let means = mean(ImageView::nhwc(&x, shape), vec![f32::NAN; 3]);
        assert_eq!(means.len(), batch * channels);
        for (at, mean) in means.into_iter().enumerate() {
            let image = &x[at / channels * height * width * channels..][..height * width * channels];
            let of_channel = image.iter().skip(at % channels).step_by(channels);
            let expected = of_channel.map(|x| f64::from(*x)).sum::<f64>() / (height * width) as f64;
            assert!((f64::from(mean) - expected).abs() < 1e-6, "{shape:?} {at}: {mean} {expected}");
        }
    }
}

#[test]
fn a_convolution_of_normalized_images_is_that_of_their_concatenation() {
    // Channels that fill vectors and that do not, strips of several pixels, and parts of the outputs.
    for (channels, [height, width], to) in
        [(vec![64, 32, 32], [9, 17], 48), (vec![5], [40, 30], 3), (vec![1, 19], [2, 2], 70)]
    {
        let (batch, from) = (2, channels.iter().sum::<usize>());
        let images: Vec<Vec<f32>> =
            channels.iter().map(|count| floats(batch * height * width * count, *count)).collect();
        let views: Vec<ImageView<'_>> = images
            .iter()
            .zip(&channels)
            .map(|(image, count)| ImageView::nhwc(image, [batch, height, width, *count]))
            .collect();
        let (scale, shift) = (floats(from, 2), floats(from, 3));
        let normed = Normed::new(&views, [&scale, &shift], Activation::Relu);
        let mut expected = Vec::new();
        for pixel in 0..batch * height * width {
            let all =
                images.iter().zip(&channels).flat_map(|(image, count)| &image[pixel * count..][..*count]);
            let y = all.zip(&scale).zip(&shift).map(|((x, scale), shift)| x.mul_add(*scale, *shift).max(0.0));
            expected.extend(y);
        }
        let whole = normed.forward(vec![f32::NAN; 3]);
        assert!(whole.iter().zip(&expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-6));

        let (weight, residual) = (floats(to * from, 4), floats(batch * height * width * to, 5));
        let conv = Conv::new(&weight, [to, from, 1, 1], None, Window::default(), 1);
        let ours = conv.forward_normed(&normed, Some(&residual), Activation::Relu, vec![f32::NAN; 3]);
        let plain = ImageView::nhwc(&whole, normed.shape());
        assert_eq!(ours, conv.forward(plain, Some(&residual), Activation::Relu, Vec::new()));
    }
}

#[test]
fn a_gate_multiplies_each_channel_of_each_image() {
    // More than a task of pixels, channels that fill no vector, and nothing.
    for [batch, pixels, channels] in [[2, 900, 19], [3, 1, 1], [1, 0, 4]] {
        let (x, gates) = (floats(batch * pixels * channels, 1), floats(batch * channels, 2));
        let product = gate(&x, &gates, [batch, pixels, channels], vec![f32::NAN; 3]);
        let expected = |at: usize| x[at] * gates[at / (pixels * channels) * channels + at % channels];
        assert_eq!(product, (0..x.len()).map(expected).collect::<Vec<_>>());
    }
}

/// A number of channels that fills whole vectors on any machine.
const LANES: usize = 16;

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// The tolerance is that of the plain sum: the transforms add terms of the same size, and sums are shorter.
    #[test]
    fn winograd_is_the_same_convolution(
        batch in 1..4_usize, size in [1..20_usize, 1..20_usize], padding in [0..3_usize, 0..3_usize],
        inputs in 1..5_usize, outputs in 1..9_usize, bias in any::<bool>(), residual in any::<bool>(), activation in activations(),
        seed in 0..1000_usize,
    ) {
        let (inputs, outputs) = (inputs * LANES, outputs * LANES);
        let window = Window { padding, ..Window::default() };
        let case = Case {
            batch, size, groups: 1, inputs, outputs, kernel: [3, 3], window, bias, residual, activation, channels_last: true, seed,
        };
        let shape = [batch, size[0], size[1], inputs];
        let image = floats(shape.iter().product(), seed);
        let weight = floats(outputs * inputs * 9, seed + 1);
        let added = floats(outputs, seed + 2);
        let conv = Conv::winograd(&weight, [outputs, inputs], bias.then_some(&added), window);
        check_against_the_sum(&case, &conv, &image, &weight, &added)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_linear_layer_is_its_sum(
        rows in 1..40_usize, from in 1..700_usize, to in 1..200_usize, gelu in any::<bool>(), seed in 0..100_usize,
    ) {
        let (x, weight) = (floats(rows * from, seed), floats(from * to, seed + 1));
        let (bias, residual) = (floats(to, seed + 2), floats(rows * to, seed + 3));
        let activation = if gelu { Activation::Gelu } else { Activation::None };
        let image = ImageView::nhwc(&x, [1, 1, rows, from]);
        let fast = Conv::linear(&weight, [from, to], Some(&bias)).forward(image, Some(&residual), activation, vec![f32::NAN]);
        prop_assert_eq!(fast.len(), rows * to);
        let transposed: Vec<f32> = (0..to * from).map(|at| weight[at % from * to + at / from]).collect();
        let by_outputs = Conv::linear_output_major(&transposed, [to, from], Some(&bias));
        prop_assert_eq!(&by_outputs.forward(image, Some(&residual), activation, vec![]), &fast);
        for (at, fast) in fast.into_iter().enumerate() {
            let (row, o) = (at / to, at % to);
            let products = (0..from).map(|c| f64::from(x[row * from + c]) * f64::from(weight[c * to + o]));
            let sum = products.sum::<f64>() + f64::from(bias[o]) + f64::from(residual[at]);
            let reference = if gelu { reference_gelu(sum) } else { sum };
            prop_assert!((f64::from(fast) - reference).abs() <= f64::from(rounding(from)), "{fast} instead of {reference}");
        }
    }

    #[test]
    fn a_norm_has_mean_0_and_variance_1_before_its_scale(
        rows in 1..70_usize, width in 1..200_usize, seed in 0..100_usize,
    ) {
        let (gamma, beta) = (floats(width, seed), floats(width, seed + 1));
        let x: Vec<f32> = floats(rows * width, seed + 2).into_iter().map(|x| 3.0 * x + 5.0).collect();
        let fast = layer_norm(&x, &gamma, &beta, 1e-2, vec![f32::NAN; 9]);
        prop_assert_eq!(fast.len(), x.len());
        for (row, fast) in x.chunks(width).zip(fast.chunks(width)) {
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / width as f64;
            let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / width as f64;
            for c in 0..width {
                let reference = (f64::from(row[c]) - mean) / (variance + 1e-2).sqrt() * f64::from(gamma[c]) + f64::from(beta[c]);
                // The mean of numbers up to 8 is off by some units in the last place; a small standard deviation multiplies that by ten.
                prop_assert!((f64::from(fast[c]) - reference).abs() < 2e-5, "{} is not {reference}", fast[c]);
            }
        }
    }

    #[test]
    fn attention_is_a_mean_of_values(
        batch in 1..3_usize, heads in 1..4_usize, size in 1..40_usize, windows in 1..4_usize, keys in 1..120_usize,
        bias in 0..3_usize, seed in 0..100_usize,
    ) {
        let tokens = windows * keys;
        // Windows whose tokens are not contiguous.
        let members: Vec<Vec<usize>> =
            (0..windows).map(|window| (0..keys).rev().map(|key| key * windows + window).collect()).collect();
        let qkv: Vec<f32> = floats(batch * tokens * 3 * heads * size, seed).into_iter().map(|x| 2.0 * x).collect();
        let biases = [0, 1, windows][bias];
        let bias = floats(biases * heads * keys * keys, seed + 1);
        let attention = Attention { heads, size, tokens, windows: &members, bias: (biases > 0).then_some(&bias) };
        let fast = attention.forward(&qkv, vec![7.0; batch * tokens * heads * size]);
        prop_assert_eq!(fast.len(), batch * tokens * heads * size);
        let at = |image: usize, token: usize, part: usize, head: usize, c: usize| {
            f64::from(qkv[(((image * tokens + token) * 3 + part) * heads + head) * size + c])
        };
        for (place, fast) in fast.into_iter().enumerate() {
            let (c, head, token, image) = (place % size, place / size % heads, place / size / heads % tokens, place / size / heads / tokens);
            let (window, query) = (token % windows, keys - 1 - token / windows);
            let scores: Vec<f64> = (0..keys).map(|key| {
                let products = (0..size).map(|c| at(image, token, 0, head, c) * at(image, members[window][key], 1, head, c));
                let added = match biases {
                    0 => 0.0,
                    1 => f64::from(bias[(head * keys + query) * keys + key]),
                    _ => f64::from(bias[((window * heads + head) * keys + query) * keys + key]),
                };
                (products.sum::<f64>() / (size as f64).sqrt() + added).exp()
            }).collect();
            let values = scores.iter().enumerate().map(|(key, score)| score * at(image, members[window][key], 2, head, c));
            let reference = values.sum::<f64>() / scores.iter().sum::<f64>();
            prop_assert!((f64::from(fast) - reference).abs() < 2e-5, "{fast} instead of {reference}");
        }
    }
}

/// GELU by the series of the error function.
fn reference_gelu(x: f64) -> f64 {
    let z = x / 2.0_f64.sqrt();
    if z.abs() > 5.0 {
        return x.max(0.0);
    }
    let (mut sum, mut term) = (z, z);
    for n in 1..200 {
        term *= -z * z / n as f64;
        sum += term / (2 * n + 1) as f64;
    }
    0.5 * x * (1.0 + sum * std::f64::consts::FRAC_2_SQRT_PI)
}

/// Shapes of the real networks: several blocks, strips and parts.
#[test]
fn convolutions_of_real_networks_are_their_sums() {
    let base = Case {
        batch: 1,
        size: [14, 14],
        groups: 1,
        inputs: 256,
        outputs: 256,
        kernel: [3, 3],
        window: Window { padding: [1, 1], ..Window::default() },
        bias: true,
        residual: true,
        activation: Activation::Relu,
        channels_last: true,
        seed: 5,
    };
    let strided = Window { stride: [2, 2], ..base.window };
    let stem = Window { stride: [2, 2], padding: [3, 3], ..Window::default() };
    let cases = [
        base.clone(),
        Case { batch: 3, size: [7, 7], inputs: 512, outputs: 130, ..base.clone() },
        Case { size: [28, 28], inputs: 64, outputs: 64, window: strided, residual: false, ..base.clone() },
        Case {
            size: [28, 28],
            kernel: [1, 1],
            window: Window { stride: [2, 2], ..Window::default() },
            ..base.clone()
        },
        Case {
            batch: 2,
            size: [7, 7],
            inputs: 1000,
            kernel: [1, 1],
            window: Window::default(),
            ..base.clone()
        },
        Case {
            size: [60, 60],
            inputs: 3,
            outputs: 64,
            kernel: [7, 7],
            window: stem,
            channels_last: false,
            ..base.clone()
        },
        Case { groups: 32, inputs: 4, outputs: 4, ..base.clone() },
        Case { groups: 8, inputs: 32, outputs: 32, ..base.clone() },
        Case {
            groups: 96,
            inputs: 1,
            outputs: 1,
            kernel: [5, 5],
            window: Window { padding: [2, 2], ..strided },
            ..base
        },
    ];
    for case in cases {
        check(&case).unwrap_or_else(|error| panic!("{case:?}: {error}"));
    }
}

#[test]
fn nan_stays_visible() {
    let window = Window { stride: [1, 1], padding: [0, 0], dilation: [1, 1] };
    for groups in [1, 4] {
        for activation in ACTIVATIONS.into_iter().chain([Activation::Gelu]) {
            let weight = vec![1.0; 4 * 4 / groups];
            let conv = Conv::new(&weight, [4, 4 / groups, 1, 1], None, window, groups);
            let out =
                conv.forward(ImageView::nhwc(&[f32::NAN; 8], [1, 1, 2, 4]), None, activation, Vec::new());
            assert!(out.iter().all(|x| x.is_nan()), "{groups} {activation:?}: {out:?}");
        }
    }
    let pooled = max_pool(ImageView::nhwc(&[f32::NAN, 1.0, 2.0], [1, 1, 3, 1]), [1, 3], window, Vec::new());
    assert!(pooled[0].is_nan());
    let normed = layer_norm(&[f32::NAN, 1.0], &[1.0; 2], &[0.0; 2], 1e-5, Vec::new());
    assert!(normed.iter().all(|x| x.is_nan()));
    let attention = Attention { heads: 1, size: 1, tokens: 2, windows: &[vec![0, 1]], bias: None };
    let seen = attention.forward(&[1.0, f32::NAN, 1.0, 1.0, 1.0, 1.0], Vec::new());
    assert!(seen.iter().all(|x| x.is_nan()), "{seen:?}");
}

/// The gradient of $\sum_i g_i\thinspace f(x)_i$ by finite differences in f64, with a reference implementation of $f$.
fn reference_gradient(x: &[f32], gradient: &[f32], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let score = |x: &[f64]| f(x).iter().zip(gradient).map(|(y, &g)| y * f64::from(g)).sum::<f64>();
    (0..x.len())
        .map(|place| {
            let here = x[place];
            let mut at = |step: f64| {
                x[place] = here + step;
                score(&x)
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            x[place] = here;
            slope
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_gradient_of_a_linear_layer_is_the_transposed_product(
        rows in 1..20_usize, from in 1..90_usize, to in 1..90_usize, seed in 0..100_usize,
    ) {
        let (gradient, weight) = (floats(rows * to, seed), floats(from * to, seed + 1));
        let image = ImageView::nhwc(&gradient, [1, 1, rows, to]);
        let fast = Conv::linear_output_major(&weight, [from, to], None).forward(image, None, Activation::None, vec![]);
        prop_assert_eq!(fast.len(), rows * from);
        for (at, fast) in fast.into_iter().enumerate() {
            let (row, i) = (at / from, at % from);
            let reference: f64 = (0..to).map(|o| f64::from(gradient[row * to + o]) * f64::from(weight[i * to + o])).sum();
            prop_assert!((f64::from(fast) - reference).abs() <= f64::from(rounding(to)), "{fast} instead of {reference}");
        }
    }

    #[test]
    fn a_gemv_is_the_product_forward_and_backward(
        // Few inputs, more than one block, and more than fit in a core's cache.
        rows in 1..6_usize, from in prop_oneof![6 => 1..90_usize, 3 => 1000..1050_usize, 1 => 27_000..27_010_usize], to in 1..80_usize, biased in any::<bool>(),
        inactive in 0..4_usize, seed in 0..100_usize,
    ) {
        let (x, weight, bias) = (floats(rows * from, seed), floats(to * from, seed + 1), floats(to, seed + 2));
        let layer = Gemv::new(&weight, [to, from], biased.then_some(&bias));
        let active = |place: usize| place % to % 4 >= inactive;
        let gradient: Vec<f32> =
            floats(rows * to, seed + 3).into_iter().enumerate().map(|(place, g)| if active(place) { g } else { 0.0 }).collect();
        let (forward, back) = (layer.forward(&x, vec![f32::NAN; 7]), layer.backward(&gradient, vec![f32::NAN; 7]));
        prop_assert_eq!([forward.len(), back.len()], [rows * to, rows * from]);
        for (place, fast) in forward.iter().enumerate() {
            let (row, o) = (place / to, place % to);
            let bias = if biased { f64::from(bias[o]) } else { 0.0 };
            let reference = (0..from).fold(bias, |sum, i| sum + f64::from(x[row * from + i]) * f64::from(weight[o * from + i]));
            prop_assert!((f64::from(*fast) - reference).abs() <= f64::from(rounding(from)), "{fast} instead of {reference}");
        }
        for (place, fast) in back.iter().enumerate() {
            let (row, i) = (place / from, place % from);
            let reference: f64 = (0..to).map(|o| f64::from(gradient[row * to + o]) * f64::from(weight[o * from + i])).sum();
            prop_assert!((f64::from(*fast) - reference).abs() <= f64::from(rounding(to)), "{fast} instead of {reference}");
        }
        // A row has the same numbers in any batch.
        prop_assert_eq!(&layer.forward(&x[..from], vec![])[..], &forward[..to]);
        prop_assert_eq!(&layer.backward(&gradient[..to], vec![])[..], &back[..from]);
    }

    #[test]
    fn the_backward_pass_of_gelu_is_its_gradient(count in 1..60_usize, seed in 0..100_usize) {
        let x: Vec<f32> = floats(count, seed).into_iter().map(|x| 4.0 * x).collect();
        let gradient = floats(count, seed + 1);
        let whole = gelu(&x, vec![f32::NAN]);
        let back = gelu_backward(&x, &gradient, vec![f32::NAN; 99]);
        let reference = reference_gradient(&x, &gradient, |x| x.iter().map(|&x| reference_gelu(x)).collect());
        for place in 0..count {
            prop_assert!((f64::from(whole[place]) - reference_gelu(f64::from(x[place]))).abs() < 1e-5);
            prop_assert!((f64::from(back[place]) - reference[place]).abs() < 1e-5, "{} is not {}", back[place], reference[place]);
        }
        prop_assert_eq!(back.len(), count);
    }

    #[test]
    fn the_backward_pass_of_a_norm_is_its_gradient(rows in 1..4_usize, width in 2..70_usize, seed in 0..100_usize) {
        let gamma = floats(width, seed);
        let x: Vec<f32> = floats(rows * width, seed + 1).into_iter().map(|x| 3.0 * x + 5.0).collect();
        let gradient = floats(rows * width, seed + 2);
        let norm = |x: &[f64]| {
            let row = |row: &[f64]| {
                let mean = row.iter().sum::<f64>() / width as f64;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                let scale = 1.0 / (variance + 1e-2).sqrt();
                row.iter().zip(&gamma).map(|(x, &gamma)| (x - mean) * scale * f64::from(gamma)).collect::<Vec<_>>()
            };
            x.chunks(width).flat_map(row).collect()
        };
        let back = layer_norm_backward(&x, &gamma, 1e-2, &gradient, vec![f32::NAN]);
        let reference = reference_gradient(&x, &gradient, norm);
        prop_assert_eq!(back.len(), reference.len());
        for (fast, reference) in back.into_iter().zip(reference) {
            prop_assert!((f64::from(fast) - reference).abs() < 5e-5, "{fast} instead of {reference}");
        }
    }

    #[test]
    fn the_backward_pass_of_attention_is_its_gradient(
        heads in 1..3_usize, size in 1..9_usize, windows in 1..3_usize, keys in 1..20_usize,
        biased in any::<bool>(), seed in 0..100_usize,
    ) {
        let tokens = windows * keys;
        let members: Vec<Vec<usize>> =
            (0..windows).map(|window| (0..keys).rev().map(|key| key * windows + window).collect()).collect();
        let qkv: Vec<f32> = floats(tokens * 3 * heads * size, seed).into_iter().map(|x| 2.0 * x).collect();
        let bias = floats(windows * heads * keys * keys, seed + 1);
        let attention = Attention { heads, size, tokens, windows: &members, bias: biased.then_some(&bias) };
        let gradient = floats(tokens * heads * size, seed + 2);
        let attended = |qkv: &[f64]| {
            let mut seen = vec![0.0; tokens * heads * size];
            let at = |token: usize, part: usize, head: usize| &qkv[((token * 3 + part) * heads + head) * size..][..size];
            let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            for (window, members) in members.iter().enumerate() {
                for head in 0..heads {
                    for query in 0..keys {
                        let scores: Vec<f64> = (0..keys).map(|key| {
                            let score = product(at(members[query], 0, head), at(members[key], 1, head)) / (size as f64).sqrt();
                            let added = if biased { f64::from(bias[((window * heads + head) * keys + query) * keys + key]) } else { 0.0 };
                            (score + added).exp()
                        }).collect();
                        let sum: f64 = scores.iter().sum();
                        for c in 0..size {
                            seen[(members[query] * heads + head) * size + c] =
                                (0..keys).map(|key| scores[key] / sum * at(members[key], 2, head)[c]).sum();
                        }
                    }
                }
            }
            seen
        };
        let back = attention.backward(&qkv, &gradient, vec![f32::NAN; 3]);
        let reference = reference_gradient(&qkv, &gradient, attended);
        prop_assert_eq!(back.len(), reference.len());
        for (place, (fast, reference)) in back.into_iter().zip(reference).enumerate() {
            prop_assert!((f64::from(fast) - reference).abs() < 2e-5, "{fast} instead of {reference} at {place}");
        }
    }
}
