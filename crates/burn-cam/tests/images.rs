//! Photos in, maps out.

use burn::module::{Module, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::Tensor;
use burn_cam::{
    Classifier, Classify, Decoder, Device, Error, ErrorKind, GradCam, HeatMap, ImageExplainer,
    ImageExplanation, ImageInput, ImageModel, InputXGradient, Inspect, LayerCam, Logits, Model, Nchw,
    Overlay, Preprocess, Rectify, Resize, Scale, Smooth, Softmax, Taps, Top, Warning, explain,
};
use cam_core::testing::{blocking_waits, device_reads};
use cam_core::{Class, Explain, Explainer};
use cam_scenes::Scene;
use image::{DynamicImage, RgbImage};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

fn model() -> Classifier {
    Classifier::builtin(&Device::flex()).unwrap()
}

fn scene(side: u32) -> RgbImage {
    Scene::draw(20_100, side).unwrap().image
}

#[test]
fn a_photo_gets_the_map_that_its_tensor_gets() {
    let (model, picture) = (model(), scene(200));
    let input = model.input(&picture).unwrap();
    let explainer = Explainer::new(&model).layer("layer3.0").method(GradCam).rectify_last(true);
    let by_tensor = explainer.explain(input, &Top).unwrap();
    let heat = burn_cam::heat_maps(&by_tensor.maps[0].heatmap).unwrap();
    let map = explain(&model, &picture).unwrap();
    assert_eq!(map.heatmap, heat[0]);
    assert_eq!((map.layer.as_str(), map.method.name), ("layer3.0", "gradcam"));
    let best = &model.predictions(by_tensor.output, 1).unwrap()[0][0];
    assert_eq!((map.class, &map.label, map.score), (Some(best.class), &best.label, best.logit));
}

#[test]
fn a_picture_is_a_photo_whatever_its_kind() {
    let (model, picture) = (model(), scene(96));
    let dynamic = DynamicImage::from(picture.clone());
    let heat = explain(&model, &picture).unwrap().heatmap;
    assert_eq!(explain(&model, DynamicImage::from(dynamic.to_rgba8())).unwrap().heatmap, heat);
    assert_eq!(explain(&model, &dynamic).unwrap().heatmap, heat);
    assert_eq!(explain(&model, dynamic).unwrap().heatmap, heat);
    assert_eq!(explain(&model, ImageInput::from(picture)).unwrap().heatmap, heat);
}

#[test]
fn results_know_their_photo_class_layer_and_method() {
    let model = model();
    let found = ImageExplainer::new(&model)
        .class("Fish")
        .unwrap()
        .class(8)
        .unwrap()
        .method(GradCam)
        .method(LayerCam)
        .layer("layer3.0")
        .layer("layer4.0")
        .explain(ImageInput::from(scene(150)).named("a scene"))
        .unwrap();
    assert_eq!(found.maps.len(), 2 * 2 * 2, "classes, layers, methods");
    let told: Vec<_> =
        found.maps.iter().map(|map| (map.label.as_str(), map.layer.as_str(), map.method.name)).collect();
    assert_eq!(told[0], ("fish", "layer3.0", "gradcam"));
    assert_eq!(told[7], ("football", "layer4.0", "layercam"));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["image"], "a scene");
    let map = &json["maps"][7];
    assert_eq!(
        (&map["image"], &map["class"], &map["label"]),
        (&"a scene".into(), &8.into(), &"football".into())
    );
    assert_eq!((&map["layer"], &map["method"]), (&"layer4.0".into(), &"layercam".into()));
    assert_eq!(map["raw"]["values"].as_array().unwrap().len(), 8 * 8);
    assert_eq!(map["area"]["width"], 150);
    let heat: HeatMap = serde_json::from_value(map["heatmap"].clone()).unwrap();
    assert_eq!(heat, found.maps[7].heatmap, "a map can be read again");
    let broken = serde_json::json!({ "width": 2, "height": 2, "values": [0.0] });
    assert!(serde_json::from_value::<HeatMap>(broken).is_err());
}

#[test]
fn a_batch_gives_what_its_photos_give_alone() {
    let model = model();
    let photos = [scene(128), Scene::draw(20_101, 90).unwrap().image];
    let explainer = ImageExplainer::new(&model).top(2);
    let together = explainer.explain_all(&photos).unwrap();
    for (photo, together) in photos.iter().zip(together) {
        let alone = explainer.explain(photo).unwrap();
        let together = together.unwrap();
        for (a, b) in alone.maps.iter().zip(&together.maps) {
            assert_eq!((a.class, &a.label), (b.class, &b.label));
            // Another batch size multiplies matrices in another order.
            assert!(a.heatmap.values().iter().zip(b.heatmap.values()).all(|(a, b)| (a - b).abs() < 1e-4));
        }
        assert_eq!(alone.maps[0].source.pixels(), photo);
    }
    assert!(explainer.explain_all([] as [ImageInput; 0]).unwrap().is_empty());
}

#[test]
fn a_crop_is_drawn_where_the_network_looked() {
    let model = model();
    let wide = image::imageops::resize(&scene(200), 300, 200, image::imageops::FilterType::Triangle);
    let boxed = ImageExplainer::new(&model).resize(Resize::Letterbox).explain(&wide).unwrap();
    let map = &boxed.maps[0];
    assert_eq!((map.area.width, map.area.height), wide.dimensions(), "the bars are not part of the image");
    let (width, height) = (map.heatmap.width(), map.heatmap.height());
    assert!(width == 128 && height < 128, "{width} x {height}");
    let long = ImageExplainer::new(&model).resize(Resize::ShortSide).explain(&wide).unwrap();
    let map = &long.maps[0];
    assert!(map.heatmap.height() == 128 && map.heatmap.width() > 128);
    assert_eq!((map.area.width, map.area.height), wide.dimensions());
    let found = ImageExplainer::new(&model).resize(Resize::Crop).explain(&wide).unwrap();
    let map = &found.maps[0];
    assert_eq!((map.area.x, map.area.width, map.area.height), (50, 200, 200));
    let (x, _) = map.peak();
    assert!((50..250).contains(&x));
    assert_eq!(map.overlay().unwrap().dimensions(), (300, 200));
}

#[test]
fn signed_maps_are_drawn_in_two_colors() {
    let model = model();
    let signed = ImageExplainer::new(&model)
        .target(Softmax(Class(2)))
        .configure(|it| it.rectify(Rectify::Signed).scale(Scale::Symmetric))
        .explain(scene(128))
        .unwrap();
    let map = &signed.maps[0];
    assert!(map.heatmap.values().iter().any(|x| *x < 0.0) && map.heatmap.values().iter().any(|x| *x > 0.0));
    let (red_blue, drawn) =
        (map.paint(|it| it.colors(burn_cam::ColorMap::RedBlue)).unwrap(), map.overlay().unwrap());
    assert_eq!(red_blue, drawn);
}

#[test]
fn maps_of_single_pixels_are_drawn_without_their_few_largest_values() {
    let model = model();
    let layer = ImageExplainer::new(&model).explain(scene(96)).unwrap().maps.remove(0);
    let pixels =
        ImageExplainer::new(&model).method(InputXGradient).explain(scene(96)).unwrap().maps.remove(0);
    assert_eq!((layer.last_color(), pixels.layer.as_str()), (1.0, "input"));
    assert!((0.01..0.9).contains(&pixels.last_color()), "{}", pixels.last_color());
    assert_eq!(pixels.heatmap.peak().2, 1.0, "its numbers are what they were");
    let photo = pixels.source.pixels();
    let changed = |drawn: RgbImage| drawn.pixels().zip(photo.pixels()).filter(|(a, b)| a != b).count();
    let plain = Overlay::new(photo).area(pixels.area).draw(&pixels.heatmap).unwrap();
    assert!(changed(pixels.overlay().unwrap()) > changed(plain), "more is seen");
}

#[test]
fn several_views_have_a_standard_deviation() {
    let model = model();
    let found = ImageExplainer::new(&model).wrap(Smooth::augmented()).explain(scene(128)).unwrap();
    assert!(found.maps[0].std.as_ref().unwrap().peak().2 > 0.0);
    assert!(ImageExplainer::new(&model).explain(scene(128)).unwrap().maps[0].std.is_none());
}

#[test]
fn what_is_wrong_is_an_error_that_says_so() {
    let model = model();
    let unknown = ImageExplainer::new(&model).class("mushrom").err().unwrap();
    assert!(unknown.to_string().contains("did you mean mushroom"), "{unknown}");
    assert!(ImageExplainer::new(&model).class(10).is_err());
    let empty = explain(&model, ImageInput::from(RgbImage::new(0, 4)).named("nothing")).unwrap_err();
    assert_eq!(empty.to_string(), "the image `nothing` has 0 x 4 pixels");
    let layer = ImageExplainer::new(&model).layer("layer9").explain(scene(128)).unwrap_err();
    assert!(matches!(layer, Error::Core(cam_core::Error::UnknownLayer { .. })));
    assert!(ImageInput::open("there/is/none.png").is_err());
}

#[test]
fn without_blocking_a_photo_gets_the_same() {
    let model = model();
    let explainer = || ImageExplainer::new(&model).method(GradCam).top(2);
    for explainer in
        [explainer(), explainer().wrap(Smooth::augmented()), explainer().wrap(Smooth::noisy(2, 0.1, 0))]
    {
        let blocking = explainer.explain(scene(150)).unwrap();
        let before = (blocking_waits(), device_reads());
        let awaited = block_on(explainer.explain_async(scene(150))).unwrap();
        assert_eq!(
            (blocking_waits(), device_reads()),
            (before.0, before.1 + 1),
            "it does not block, and reads once"
        );
        // Everything but the time that it took.
        let json = |mut found: ImageExplanation| {
            found.timings = Default::default();
            serde_json::to_value(found).unwrap()
        };
        assert_eq!(json(awaited), json(blocking));
    }
    let nothing = block_on(explainer().explain_async(RgbImage::new(0, 7))).unwrap_err();
    assert!(matches!(nothing, Error::EmptyImage { width: 0, .. }), "{nothing}");
}

/// Polls a future on this thread and sleeps until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A user's network with a BatchNorm.
#[derive(Module, Debug)]
struct Own {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Model for Own {
    fn module(&self) -> &dyn Inspect {
        self
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let x = taps.layer("conv", Nchw, || self.conv.forward(images));
        self.norm.forward(x).mean_dims(&[2, 3]).flatten(1, 3)
    }
}

impl ImageModel for Own {
    fn device(&self) -> Device {
        Device::flex()
    }

    fn preprocess(&self) -> Preprocess {
        Preprocess::IMAGENET
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Classify::default())
    }
}

#[test]
fn a_model_in_training_is_refused_and_stays_as_it_is() {
    let device = Device::flex();
    let net = Own {
        conv: Conv2dConfig::new([3, 4], [3, 3]).with_stride([8, 8]).init(&device),
        norm: BatchNormConfig::new(4).init(&device),
    };
    let refused = |error: Option<Error>| {
        let within = matches!(&error, Some(Error::Core(cam_core::Error::TrainingMode { modules })) if *modules == ["norm"]);
        assert!(within, "{error:?}");
    };
    refused(explain(&net, scene(128)).err());
    refused(ImageExplainer::new(&net).wrap(Smooth::augmented()).explain(scene(128)).err());
    refused(ImageExplainer::new(&net).wrap(Smooth::noisy(2, 0.1, 0)).explain(scene(128)).err());
    let net = net.valid(); // into this go updates that are still to come
    let numbers =
        |statistic: &RunningState<Tensor<1>>| statistic.value().to_data().try_to_vec::<f32>().unwrap();
    assert_eq!(numbers(&net.norm.running_mean), [0.0; 4]);
    assert_eq!(numbers(&net.norm.running_var), [1.0; 4]);
    assert!(explain(&net, scene(128)).is_ok());
}

#[test]
fn names_of_classes_that_do_not_fit_are_refused() {
    let device = Device::flex();
    let net = Own {
        conv: Conv2dConfig::new([3, 4], [3, 3]).with_stride([8, 8]).init(&device),
        norm: BatchNormConfig::new(4).init(&device),
    };
    let recorded = burn_cam::record(&net, |net: &Own, images: Tensor<4>| -> Tensor<2> {
        net.norm.forward(net.conv.forward(images)).mean_dims(&[2, 3]).flatten(1, 3)
    });
    let recorded = recorded.unwrap().labels(["cat", "dog"]);
    let error = explain(&recorded, scene(64)).unwrap_err();
    assert!(matches!(error, Error::LabelCount { names: 2, classes: 4 }), "{error}");
    assert!(explain(&recorded.labels(["cat", "dog", "bird", "fish"]), scene(64)).is_ok());
}

#[test]
fn scores_that_are_no_numbers_are_an_error_that_says_so() {
    let device = Device::flex();
    let net = Own {
        conv: Conv2dConfig::new([3, 4], [3, 3]).with_stride([8, 8]).init(&device),
        norm: BatchNormConfig::new(4).init(&device),
    };
    let scores = |bias: f32| {
        let recorded = burn_cam::record(&net, move |net: &Own, images: Tensor<4>| -> Tensor<2> {
            net.conv.forward(images).mean_dims(&[2, 3]).flatten(1, 3) + bias
        });
        recorded.unwrap().layer("conv")
    };
    assert!(explain(&scores(0.0), scene(64)).is_ok());
    for bias in [f32::NAN, f32::INFINITY] {
        let image = ImageInput::from(scene(64)).named("dog.jpg");
        let error = explain(&scores(bias), image).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NonFinite);
        let said = error.to_string();
        assert!(
            said.contains("for the image `dog.jpg` is NaN or infinite: a weight or a pixel is"),
            "{said}"
        );
    }
}

#[test]
fn every_prediction_can_be_asked_why() {
    let model = model();
    let found = ImageExplainer::new(&model).top_k(10).explain(scene(128)).unwrap();
    assert_eq!(found.predictions.len(), 10);
    let explainer = found.predictions[..3].iter();
    let explainer =
        explainer.fold(ImageExplainer::new(&model), |all, prediction| all.target(prediction.target()));
    let maps = explainer.explain(scene(128)).unwrap().maps;
    for (map, prediction) in maps.iter().zip(&found.predictions) {
        assert_eq!((map.class, &map.label), (Some(prediction.class), &prediction.label));
        assert_eq!((map.score, map.probability), (prediction.score, Some(prediction.probability)));
    }
    assert_eq!(maps[0].heatmap, found.maps[0].heatmap, "the first one is the top class");
}

#[test]
fn an_image_that_cannot_be_explained_stops_no_other() {
    let model = model();
    let mut prepared =
        ImageInput::from_tensor(Tensor::ones([2, 3, 128, 128], &Device::flex()), &model.card().preprocess())
            .unwrap();
    let nan = Tensor::<4>::ones([1, 3, 128, 128], &Device::flex()) * f32::NAN;
    prepared.extend(ImageInput::from_tensor(nan, &model.card().preprocess()).unwrap());
    let images = [ImageInput::from(scene(128)), RgbImage::new(0, 5).into()].into_iter().chain(prepared);
    let results = ImageExplainer::new(&model).explain_all(images).unwrap();
    let fine: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(fine, [true, false, true, true, false]);
    assert!(matches!(results[1], Err(Error::EmptyImage { height: 5, .. })));
    assert!(matches!(&results[4], Err(error) if error.is_of_one_image()), "{:?}", results[4]);
}

#[test]
fn an_input_of_a_size_that_the_model_cannot_take_stops_no_other() {
    let model = model();
    let preprocess = model.card().preprocess();
    let input =
        |side| ImageInput::from_tensor(Tensor::ones([1, 3, side, side], &Device::flex()), &preprocess);
    // At 8 x 8 pixels no position is left at the layer.
    let images = [input(128), input(8), input(96)].into_iter().flat_map(Result::unwrap);
    let results = ImageExplainer::new(&model).explain_all(images).unwrap();
    assert!(results[0].is_ok() && results[2].is_ok());
    assert!(
        matches!(&results[1], Err(Error::InputSize { width: 8, height: 8, .. })),
        "{:?}",
        results[1].as_ref().err()
    );
    let layer = ImageExplainer::new(&model).layer("layer9").explain_all(input(128).unwrap());
    assert!(
        matches!(layer, Err(Error::Core(cam_core::Error::UnknownLayer { .. }))),
        "a wrong layer concerns all"
    );
}

#[test]
fn a_vision_transformer_is_explained_by_its_attention_unless_a_layer_is_asked_about() {
    let vit = Classifier::untrained("vit_tiny_patch16_224", &Device::flex()).unwrap();
    let picture = scene(64);
    let method =
        |explainer: ImageExplainer<'_, Classifier>| explainer.explain(&picture).unwrap().maps[0].method.name;
    let explainer = || ImageExplainer::new(&vit);
    assert_eq!([method(explainer()), burn_cam::default_method(&vit)], ["legrad"; 2]);
    assert_eq!(method(explainer().layer("blocks.5.norm1")), "gradcam");
    assert_eq!(method(explainer().configure(|it| it.omit_outliers(true))), "gradcam");
    assert_eq!(
        method(explainer().configure(|it| it.rectify(Rectify::Signed).scale(Scale::Symmetric))),
        "gradcam"
    );
    assert_eq!(method(explainer().method(LayerCam)), "layercam");
}

#[test]
fn a_number_that_is_no_score_of_a_class_has_no_probability() {
    let device = Device::flex();
    let net = Conv2dConfig::new([3, 1], [32, 32]).with_stride([32, 32]).init(&device);
    let forward = |net: &Conv2d, images: Tensor<4>| -> Tensor<2> {
        net.forward(images).tanh().mean_dims(&[2, 3]).flatten(1, 3)
    };
    let model = burn_cam::record_with(&net, burn_cam::Regress::new(["age"]), forward).unwrap();
    let map = ImageExplainer::new(&model).explain(scene(224)).unwrap().maps.remove(0);
    assert_eq!((map.label.as_str(), map.probability, map.method.name), ("age", None, "gradcam"));
}

/// A network of one convolution on gray images, with a softmax at the end.
#[derive(Module, Debug)]
struct Ending {
    conv: Conv2d,
}

impl Ending {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        burn::tensor::activation::softmax(self.conv.forward(images).mean_dims(&[2, 3]).flatten(1, 3), 1)
    }
}

fn ending() -> Ending {
    Ending { conv: Conv2dConfig::new([1, 4], [3, 3]).init(&Device::flex()) }
}

#[test]
fn a_softmax_at_the_end_is_warned_of_unless_it_is_stated() {
    let net = ending();
    let model = burn_cam::record(&net, |net, images| net.forward(images)).unwrap().preprocess(Preprocess {
        channels: 1,
        size: [32, 32],
        ..Preprocess::IMAGENET
    });
    let warned = |found: ImageExplanation| found.maps[0].warnings.contains(&Warning::Probabilities);
    assert!(warned(ImageExplainer::new(&model).explain(scene(64)).unwrap()));
    let stated = model.logits(Logits::None);
    assert!(!warned(ImageExplainer::new(&stated).explain(scene(64)).unwrap()));
}

#[test]
fn outputs_that_are_stated_to_be_probabilities_and_are_none_are_numbers() {
    for scores in [&[3.0, -1.0][..], &[3.0]] {
        let decoder = Classify::default().logits(Logits::None);
        assert!(decoder.predictions(&[scores]).iter().all(|found| found.unit.is_some()), "{scores:?}");
        assert_eq!(decoder.warning(&[scores]), Some(Warning::NoProbabilities));
    }
    let decoder = Classify::default().logits(Logits::None);
    assert!(decoder.predictions(&[&[0.25, 0.75]]).iter().all(|found| found.unit.is_none()));
}

#[test]
fn a_wrong_input_is_told_with_its_shape_and_what_to_do() {
    let net = ending();
    let model = burn_cam::record(&net, |net, images| net.forward(images)).unwrap();
    let error = explain(&model, scene(64)).unwrap_err().to_string();
    assert!(error.contains("for an input of the shape [1, 3, 224, 224]"), "{error}");
    assert!(error.contains("set by `preprocess`"), "{error}");
}

#[test]
fn names_that_are_not_known_are_told_with_those_that_may_be_meant() {
    let model = model();
    let told =
        |explainer: ImageExplainer<'_, Classifier>| explainer.explain(scene(64)).unwrap_err().to_string();
    let layer = told(ImageExplainer::new(&model).layer("layer3.0.bm2"));
    assert!(layer.contains("did you mean layer3.0.bn2"), "{layer}");
    let class = ImageExplainer::new(&model).class("zeppelin").err().unwrap().to_string();
    assert!(class.starts_with("no class is called `zeppelin`; there are "), "{class}");
}
