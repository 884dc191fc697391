//! What makes one map of several, again: layers that are fused, views that are averaged, windows that are put together.

use crate::common::slow::{self, extremes, mean, mirrored, narrow, resized, scaled, softmax, wide};
use crate::common::{LAYERS, Net, close, images, numbers, seed, uniform};
use burn::prelude::*;
use cam_core::{
    Brightness, Class, Explain, Explainer, Flip, Fusion, HiResCam, Inspect, LayerCam, Model, Nchw, NoModule,
    Pool, Rise, Scale, Sess, Smooth, Taps, Top, View, Wrapped, Wrapper,
};
use std::sync::{Arc, Mutex};

/// Means, products and interpolations of maps from 0 to 1 in f32.
const TOLERANCE: f32 = 1e-5;

/// The size of the test's images.
const H: usize = 10;
const W: usize = 8;

/// The heat of each layer on its own, an image at a time: `[layer][image][place]`.
fn heats(net: &Net, scale: Scale) -> Vec<Vec<Vec<f64>>> {
    let explainer = LAYERS.iter().fold(Explainer::new(net), |all, layer| all.layer(*layer));
    let found = explainer.scale(scale).explain(images(2, &Device::flex()), &Class(1)).unwrap();
    found.maps.iter().map(|maps| numbers(&maps.heatmap).chunks(H * W).map(wide).collect()).collect()
}

fn fused(net: &Net, fusion: Fusion, scale: Scale) -> cam_core::AttributionMaps {
    let explainer = LAYERS.iter().fold(Explainer::new(net), |all, layer| all.layer(*layer));
    let found = explainer.scale(scale).wrap(fusion).explain(images(2, &Device::flex()), &Class(1)).unwrap();
    assert_eq!(found.maps.len(), 1);
    found.maps.into_iter().next().unwrap()
}

#[track_caller]
fn fuses(fusion: Fusion, scale: Scale, slow: impl Fn(&[f64]) -> f64) {
    let net = Net::new(&Device::flex());
    let layers = heats(&net, scale);
    let maps = fused(&net, fusion, scale);
    assert_eq!(maps.layer, LAYERS.join(" + "));
    for (image, (raw, heat)) in
        numbers(&maps.raw).chunks(H * W).zip(numbers(&maps.heatmap).chunks(H * W)).enumerate()
    {
        let at = |n: usize| layers.iter().map(|layer| layer[image][n]).collect::<Vec<_>>();
        let expected: Vec<f64> = (0..H * W).map(|n| slow(&at(n))).collect();
        close(raw, &narrow(&expected), TOLERANCE);
        let largest = extremes(&expected).1;
        assert!(largest > 1e-3, "{fusion:?} of image {image} is {largest} at most");
        let expected = match scale {
            Scale::Symmetric => expected.iter().map(|x| x / largest).collect(),
            _ => scaled(&expected),
        };
        close(heat, &narrow(&expected), TOLERANCE);
    }
}

#[test]
fn fused_layers_are_their_mean_maximum_or_product() {
    for scale in [Scale::PerMap, Scale::Symmetric] {
        fuses(Fusion::Mean, scale, |maps| mean(maps.iter().copied()));
        fuses(Fusion::Max, scale, |maps| extremes(maps).1);
        fuses(Fusion::Product, scale, |maps| maps.iter().product());
    }
}

#[test]
fn layercam_fuses_by_equation_9() {
    // On the symmetric scale a map is L / max L.
    fuses(Fusion::TanhMax(2.0), Scale::Symmetric, |maps| {
        extremes(&maps.iter().map(|map| (2.0 * map).tanh()).collect::<Vec<_>>()).1
    });
}

#[test]
fn methods_and_targets_are_fused_each_on_their_own() {
    let net = Net::new(&Device::flex());
    let explainer = || Explainer::new(&net).layer("block").layer("last");
    let image = images(1, &Device::flex());
    let together = explainer().method(LayerCam).method(HiResCam).wrap(Fusion::Max);
    let together = together.explain_each(image.clone(), &[&Class(1), &Class(3)]).unwrap();
    let asked = [(0, "layercam"), (0, "hirescam"), (1, "layercam"), (1, "hirescam")];
    for (maps, (target, method)) in together.maps.iter().zip(asked) {
        assert_eq!((maps.target, maps.method.name), (target, method));
        let alone = match method {
            "layercam" => explainer().method(LayerCam).wrap(Fusion::Max),
            _ => explainer().method(HiResCam).wrap(Fusion::Max),
        };
        let alone = alone.explain(image.clone(), &Class([1, 3][target])).unwrap();
        close(&numbers(&maps.heatmap), &numbers(&alone.maps[0].heatmap), TOLERANCE);
    }
    assert_eq!(together.maps.len(), 4);
}

/// Moved by one pixel to the right, around the border.
#[derive(Clone, Copy)]
struct Moved;

fn moved(rows: &[f32], by: usize) -> Vec<f32> {
    rows.chunks(W).flat_map(|row| (0..W).map(move |x| row[(x + W - by) % W])).collect()
}

impl View<Tensor<4>> for Moved {
    fn apply(&self, input: Tensor<4>) -> Tensor<4> {
        let shape = input.dims();
        Tensor::<1>::from_floats(moved(&numbers(&input), 1).as_slice(), &input.device()).reshape(shape)
    }

    fn undo(&self, maps: Tensor<2>, _: &[usize]) -> Tensor<2> {
        let shape = maps.dims();
        Tensor::<1>::from_floats(moved(&numbers(&maps), W - 1).as_slice(), &maps.device()).reshape(shape)
    }
}

#[test]
fn a_view_is_what_it_says() {
    let image = images(2, &Device::flex());
    let plain = numbers(&image);
    assert_eq!(numbers(&Flip.apply(image.clone())), mirrored(&plain, W));
    let brighter: Vec<f32> = plain.iter().map(|x| x * 1.1).collect();
    close(&numbers(&Brightness(1.1).apply(image.clone())), &brighter, 1e-6);
    assert_eq!(numbers(&(Flip, Moved).apply(image.clone())), moved(&mirrored(&plain, W), 1));
    assert_eq!(numbers(&(Moved, Flip).apply(image)), mirrored(&moved(&plain, 1), W));
}

fn undone(view: impl View<Tensor<4>>) {
    let image = images(1, &Device::flex()).narrow(1, 0, 1);
    let seen = view.apply(image.clone());
    assert_ne!(numbers(&seen), numbers(&image));
    let back = view.undo(seen.reshape([1, H * W]), &[H, W]);
    assert_eq!(numbers(&back), numbers(&image));
}

#[test]
fn the_map_of_a_view_comes_back_to_the_image() {
    undone(Flip);
    undone(Moved);
    undone((Flip, Moved));
    undone((Moved, Flip));
    undone((Flip, (Moved, Moved)));
}

/// The standard deviation.
fn deviation(values: &[f64]) -> f64 {
    let mu = mean(values.iter().copied());
    mean(values.iter().map(|x| (x - mu).powi(2))).sqrt()
}

#[test]
fn smoothing_is_the_mean_over_the_views_and_their_spread() {
    let net = Net::new(&Device::flex());
    let explainer = Explainer::new(&net).layer("block").method(HiResCam);
    let image = images(2, &Device::flex());
    let found = Wrapped::new(&explainer, Smooth::augmented()).explain(image.clone(), &Class(2)).unwrap();

    let mut views: Vec<[Vec<f32>; 3]> = Vec::new();
    for flipped in [false, true] {
        for factor in [0.9f32, 1.0, 1.1] {
            let seen = image.clone() * factor;
            let seen = if flipped { seen.flip([3]) } else { seen };
            let maps = explainer.explain(seen, &Class(2)).unwrap().maps.remove(0);
            let back = |map: &Tensor<3>| {
                if flipped { mirrored(&numbers(map), W) } else { numbers(map) }
            };
            views.push([back(&maps.raw), back(&maps.heatmap), numbers(&maps.scores)]);
        }
    }
    let over_views = |of: usize, join: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
        let values = |n: usize| views.iter().map(|view| f64::from(view[of][n])).collect::<Vec<_>>();
        (0..views[0][of].len()).map(|n| join(&values(n))).collect()
    };
    let average: &dyn Fn(&[f64]) -> f64 = &|values| mean(values.iter().copied());
    let maps = &found.maps[0];
    close(&numbers(&maps.raw), &narrow(&over_views(0, average)), TOLERANCE);
    close(&numbers(&maps.scores), &narrow(&over_views(2, average)), TOLERANCE);
    let heat: Vec<f64> = over_views(1, average).chunks(H * W).flat_map(scaled).collect();
    assert!(heat.contains(&1.0), "there is evidence");
    close(&numbers(&maps.heatmap), &narrow(&heat), TOLERANCE);
    // Views next to each other differ by little, and a square root enlarges the rounding of its square.
    close(&numbers(maps.std.as_ref().unwrap()), &narrow(&over_views(1, &deviation)), 1e-4);
}

#[test]
fn every_view_is_asked_for_the_class_of_the_plain_image() {
    // The brighter of two halves: mirrored, the other class is at the top.
    let halves = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let x = taps.layer("x", Nchw, || x);
        let half =
            |from| -> Tensor<2> { x.clone().narrow(3, from, W / 2).mean_dims(&[1, 2, 3]).flatten(1, 3) };
        Tensor::cat(vec![half(0), half(W / 2)], 1)
    };
    let left = Tensor::cat(
        vec![
            Tensor::ones([1, 1, H, W / 2], &Device::flex()),
            Tensor::zeros([1, 1, H, W / 2], &Device::flex()),
        ],
        3,
    );
    let explainer = Explainer::new(&halves).layer("x");
    let found = Wrapped::new(&explainer, Smooth::new().view(Flip)).explain(left, &Top).unwrap();
    // The score of the left half in the mirrored picture.
    assert_eq!(numbers(&found.maps[0].scores), [0.0]);
    assert_eq!(numbers(&found.output), [1.0, 0.0]);
}

#[test]
fn noise_is_averaged_by_its_seed() {
    let net = Net::new(&Device::flex());
    let explainer = Explainer::new(&net).layer("block");
    let map = |sigma, seed| {
        let smooth = Wrapped::new(&explainer, Smooth::noisy(3, sigma, seed));
        let maps = smooth.explain(images(2, &Device::flex()), &Class(0)).unwrap().maps.remove(0);
        (numbers(&maps.heatmap), numbers(maps.std.as_ref().unwrap()))
    };
    let plain = explainer.explain(images(2, &Device::flex()), &Class(0)).unwrap();
    let (heat, spread) = map(0.0, 0);
    close(&heat, &numbers(&plain.maps[0].heatmap), TOLERANCE);
    close(&spread, &vec![0.0; spread.len()], 1e-6);
    assert_eq!(map(0.1, 0), map(0.1, 0));
    assert_ne!(map(0.1, 0), map(0.1, 9));
    assert!(map(0.1, 0).1.iter().any(|&x| x > 1e-3), "noisy views differ");
}

/// A network of windows of 7 x 7 pixels and two channels: $y_c = \sum_{kn} w_{cn} x_{kn}^2$. Of a larger picture it sees the
/// upper left corner.
struct Windowed {
    w: Tensor<2>,
}

const SIDE: usize = 7;
const PLACES: usize = SIDE * SIDE;

impl Model for Windowed {
    fn module(&self) -> &dyn Inspect {
        &NoModule
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let x = taps.layer("x", Nchw, || images);
        let batch = x.dims()[0];
        let corner = x.narrow(2, 0, SIDE).narrow(3, 0, SIDE);
        let squares: Tensor<2> = corner.square().sum_dim(1).reshape([batch, PLACES]);
        squares.matmul(self.w.clone())
    }
}

/// A picture `[2, height, width]`, its size and its values.
struct Picture {
    size: [usize; 2],
    values: Vec<f64>,
}

impl Picture {
    fn resized(&self, to: [usize; 2]) -> Self {
        let channels = self.values.chunks(self.size[0] * self.size[1]);
        Self { size: to, values: channels.flat_map(|channel| resized(channel, self.size, to)).collect() }
    }

    /// The window whose upper left corner is there.
    fn window(&self, top: usize, left: usize) -> Vec<f64> {
        let [height, width] = self.size;
        let at = |k: usize, y: usize, x: usize| self.values[(k * height + top + y) * width + left + x];
        (0..2 * PLACES).map(|i| at(i / PLACES, i / SIDE % SIDE, i % SIDE)).collect()
    }
}

/// The corners of windows along an axis: side by side, the last one shifted back.
fn corners(length: usize) -> Vec<usize> {
    let mut corners = Vec::new();
    let mut next = 0;
    while next + SIDE < length {
        corners.push(next);
        next += SIDE;
    }
    corners.push(length - SIDE);
    corners
}

/// A map of a window, where it is in the picture and how probable the class is there.
struct Pasted {
    map: Vec<f64>,
    probability: f64,
}

/// The windows over all scales with their HiResCAM maps, enlarged by 2/7 of the window, which is 2, from scale to scale.
fn pasted(picture: &Picture, scales: usize, w: &[f64], class: usize) -> Vec<Pasted> {
    let classes = w.len() / PLACES;
    let mut all = Vec::new();
    for scale in 0..scales {
        let shorter = SIDE + 2 * scale;
        let there = picture.size.map(|length| length * shorter / SIDE);
        let large = picture.resized(there);
        for top in corners(there[0]) {
            for left in corners(there[1]) {
                let x = large.window(top, left);
                let y: Vec<f64> = (0..classes)
                    .map(|c| (0..2 * PLACES).map(|i| w[i % PLACES * classes + c] * x[i] * x[i]).sum())
                    .collect();
                let evidence = |n: usize| -> f64 {
                    (0..2).map(|k| 2.0 * w[n * classes + class] * x[k * PLACES + n].powi(2)).sum()
                };
                let map = scaled(&(0..PLACES).map(|n| slow::relu(evidence(n))).collect::<Vec<_>>());
                let mut canvas = vec![0.0; there[0] * there[1]];
                for n in 0..PLACES {
                    canvas[(top + n / SIDE) * there[1] + left + n % SIDE] = map[n];
                }
                all.push(Pasted {
                    map: resized(&canvas, there, picture.size),
                    probability: softmax(&y)[class],
                });
            }
        }
    }
    all
}

/// What SESS makes of the windows, before it is blurred.
fn joined(mut windows: Vec<Pasted>, sess: &Sess) -> Vec<f64> {
    windows.sort_by(|a, b| a.probability.total_cmp(&b.probability));
    windows.drain(..(windows.len() as f32 * sess.skipped) as usize);
    let most = windows.last().unwrap().probability;
    let at = |n: usize| -> Vec<f64> {
        windows.iter().map(|window| window.probability / most * window.map[n]).collect()
    };
    let pool = |values: Vec<f64>| match sess.pool {
        Pool::Max => extremes(&values).1,
        Pool::Mean => {
            let counted: Vec<f64> = values.into_iter().filter(|&x| x > f64::from(sess.threshold)).collect();
            if counted.is_empty() { 0.0 } else { mean(counted) }
        }
        other => unreachable!("{other:?} has no formula here"),
    };
    (0..windows[0].map.len()).map(|n| pool(at(n))).collect()
}

/// A Gaussian of 11 x 11 pixels and deviation 5; behind the border the picture goes on mirrored, ... 2 1 | 0 1 2 ...
fn blurred(map: &[f64], [height, width]: [usize; 2]) -> Vec<f64> {
    let inside = |mut place: i64, length: usize| {
        let last = length as i64 - 1;
        while !(0..=last).contains(&place) {
            place = if place < 0 { -place } else { 2 * last - place };
        }
        place as usize
    };
    let weight = |dy: i64, dx: i64| (-((dy * dy + dx * dx) as f64) / 50.0).exp();
    let around = || (-5..=5).flat_map(|dy| (-5..=5).map(move |dx| (dy, dx)));
    let all: f64 = around().map(|(dy, dx)| weight(dy, dx)).sum();
    let value = |n: usize| {
        let (y, x) = ((n / width) as i64, (n % width) as i64);
        around()
            .map(|(dy, dx)| weight(dy, dx) * map[inside(y + dy, height) * width + inside(x + dx, width)])
            .sum::<f64>()
            / all
    };
    (0..height * width).map(value).collect()
}

#[test]
fn sess_puts_the_maps_of_windows_together() {
    let device = Device::flex();
    for size in [[SIDE, 9], [10, SIDE], [SIDE, SIDE]] {
        seed(31);
        let net = Windowed { w: uniform([PLACES, 3], -0.3, 0.3, &device) };
        let inputs: Tensor<4> = uniform([2, 2, size[0], size[1]], -1.0, 1.0, &device);
        for sess in [
            Sess { scales: 3, skipped: 0.0, threshold: 0.0, pool: Pool::Mean, blur: true },
            Sess { scales: 2, skipped: 0.4, threshold: 0.1, pool: Pool::Mean, blur: false },
            Sess { scales: 3, skipped: 0.2, threshold: 0.0, pool: Pool::Max, blur: false },
        ] {
            let explainer = Explainer::new(&net).layer("x").method(HiResCam).copies(4);
            for class in 0..3 {
                let found =
                    Wrapped::new(&explainer, sess).explain_each(inputs.clone(), &[&Class(class)]).unwrap();
                let (raw, heat) = (numbers(&found.maps[0].raw), numbers(&found.maps[0].heatmap));
                let w = wide(&numbers(&net.w));
                for image in 0..2 {
                    let places = size[0] * size[1] * image..size[0] * size[1] * (image + 1);
                    let values = wide(&numbers(&inputs.clone().narrow(0, image, 1)));
                    let windows = pasted(&Picture { size, values }, sess.scales, &w, class);
                    let map = joined(windows, &sess);
                    let map = if sess.blur { blurred(&map, size) } else { map };
                    close(&raw[places.clone()], &narrow(&map), TOLERANCE);
                    close(&heat[places], &narrow(&scaled(&map)), TOLERANCE);
                }
            }
        }
    }
}

/// The numbers of all maps.
fn all_numbers(explainer: &dyn Explain<Tensor<4>, Tensor<2>>, images: Tensor<4>) -> Vec<f32> {
    let explanation = explainer.explain_each(images, &[&Class(1), &Class(3)]).unwrap();
    let maps = explanation.maps.iter();
    maps.flat_map(|maps| [numbers(&maps.raw), numbers(&maps.heatmap)].concat()).collect()
}

#[test]
fn wrappers_are_values_that_wrap_whatever_explains() {
    let (net, device) = (Net::new(&Device::flex()), Device::flex());
    let images = || images(2, &device);
    let explainer = || Explainer::new(&net).layer("block").layer("last").method(LayerCam).method(HiResCam);
    let wrapped = explainer().wrap(Fusion::Max).wrap(Smooth::augmented());
    let expected = all_numbers(&wrapped, images());
    assert_eq!(all_numbers(&&wrapped, images()), expected);

    // By reference, in boxes, chosen at run time.
    let plain = explainer();
    let boxed: Box<dyn Explain<Tensor<4>, Tensor<2>> + '_> = Box::new(&plain);
    let wrappers: [Box<dyn Wrapper<Tensor<4>, Tensor<2>> + Send + Sync>; 2] =
        [Box::new(Fusion::Max), Box::new(Smooth::augmented())];
    assert_eq!(wrappers.each_ref().map(|wrapper| wrapper.info().name), ["max", "aug-smooth"]);
    let boxed = wrappers.into_iter().fold(boxed, |inner, wrapper| Box::new(Wrapped::new(inner, wrapper)));
    assert_eq!(all_numbers(&*boxed, images()), expected);

    // The other way round is something else: the mean of each layer is scaled before they are joined.
    let other = explainer().wrap(Smooth::augmented()).wrap(Fusion::Max);
    assert_ne!(all_numbers(&other, images()), expected);
    let sess =
        explainer().wrap(Fusion::Max).wrap(Sess { scales: 1, ..Sess::PAPER }).wrap(Smooth::noisy(2, 0.1, 0));
    let maps = sess.explain(images(), &Class(1)).unwrap().maps;
    assert_eq!((maps.len(), maps[0].layer.as_str(), maps[0].heatmap.dims()), (2, "block + last", [2, H, W]));
}

#[test]
fn views_windows_and_masks_say_how_many_of_them_are_done() {
    let net = Net::new(&Device::flex());
    let reported = |wrapper: &dyn Wrapper<Tensor<4>, Tensor<2>>| {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let reports = Arc::clone(&heard);
        let explainer = Explainer::new(&net)
            .on_progress(move |progress| reports.lock().unwrap().push((progress.done, progress.total)));
        wrapper_run(&explainer, wrapper);
        drop(explainer);
        Arc::into_inner(heard).unwrap().into_inner().unwrap()
    };
    assert_eq!(reported(&Smooth::noisy(3, 0.1, 0)), [(1, 3), (2, 3), (3, 3)]);
    for many in [reported(&Rise { most: 40, ..Rise::PAPER }), reported(&Sess { scales: 2, ..Sess::PAPER })] {
        assert!(!many.is_empty() && many.iter().all(|(done, total)| (1..=*total).contains(done)), "{many:?}");
        assert!(many.last().is_some_and(|(done, total)| done == total), "{many:?}");
    }
}

/// Explains an image by a wrapped explainer.
fn wrapper_run(explainer: &Explainer<'_, Net>, wrapper: &dyn Wrapper<Tensor<4>, Tensor<2>>) {
    let targets: [&dyn cam_core::Target; 1] = [&Class(1)];
    let image = images(1, &Device::flex());
    cam_core::block_on(wrapper.run(explainer, image, &targets)).unwrap();
}
