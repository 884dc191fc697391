//! Photos in, maps out.

use burn::module::{Module, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::Tensor;
use burn_cam::{
    Classifier, Device, Error, GradCam, HeatMap, Inspect, LayerCam, Model, Nchw, Photo, PhotoExplainer,
    PhotoModel, Preprocess, Rectify, Resize, Scale, Softmax, Taps, Top, explain,
};
use cam_core::{
    Class, Explain, Explainer,
    testing::{blocking_waits, read_backs},
};
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
    Scene::draw(20_100, side).unwrap().picture
}

#[test]
fn a_photo_gets_the_map_that_its_tensor_gets() {
    let (model, picture) = (model(), scene(200));
    let input = model.input(&picture);
    let by_tensor = Explainer::new(&model).layer("layer3.0").method(GradCam).explain(input, &Top).unwrap();
    let heat = burn_cam::heat_maps(&by_tensor.maps[0].heatmap).unwrap();
    let map = explain(&model, &picture).unwrap();
    assert_eq!(map.heat, heat[0]);
    assert_eq!((map.layer.as_str(), map.method), ("layer3.0", "gradcam"));
    let best = &model.predictions(by_tensor.output, 1).unwrap()[0][0];
    assert_eq!((map.class, &map.label, map.score), (Some(best.class), &best.label, best.logit));
}

#[test]
fn a_picture_is_a_photo_whatever_its_kind() {
    let (model, picture) = (model(), scene(96));
    let dynamic = DynamicImage::from(picture.clone());
    let heat = explain(&model, &picture).unwrap().heat;
    assert_eq!(explain(&model, DynamicImage::from(dynamic.to_rgba8())).unwrap().heat, heat);
    assert_eq!(explain(&model, &dynamic).unwrap().heat, heat);
    assert_eq!(explain(&model, dynamic).unwrap().heat, heat);
    assert_eq!(explain(&model, Photo::from(picture)).unwrap().heat, heat);
}

#[test]
fn results_know_their_photo_class_layer_and_method() {
    let model = model();
    let found = PhotoExplainer::new(&model)
        .class("Fish")
        .unwrap()
        .class(8)
        .unwrap()
        .method(GradCam)
        .method(LayerCam)
        .layer("layer3.0")
        .layer("layer4.0")
        .explain(Photo::from(scene(150)).named("a scene"))
        .unwrap();
    assert_eq!(found.maps.len(), 2 * 2 * 2, "classes, layers, methods");
    let told: Vec<_> =
        found.maps.iter().map(|map| (map.label.as_str(), map.layer.as_str(), map.method)).collect();
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
    let heat: HeatMap = serde_json::from_value(map["heat"].clone()).unwrap();
    assert_eq!(heat, found.maps[7].heat, "a map can be read again");
    let broken = serde_json::json!({ "width": 2, "height": 2, "values": [0.0] });
    assert!(serde_json::from_value::<HeatMap>(broken).is_err());
}

#[test]
fn a_batch_gives_what_its_photos_give_alone() {
    let model = model();
    let photos = [scene(128), Scene::draw(20_101, 90).unwrap().picture];
    let explainer = PhotoExplainer::new(&model).top(2);
    let together = explainer.explain_all(&photos).unwrap();
    for (photo, together) in photos.iter().zip(together) {
        let alone = explainer.explain(photo).unwrap();
        for (a, b) in alone.maps.iter().zip(&together.maps) {
            assert_eq!((a.class, &a.label), (b.class, &b.label));
            // Another batch size multiplies matrices in another order.
            assert!(a.heat.values().iter().zip(b.heat.values()).all(|(a, b)| (a - b).abs() < 1e-4));
        }
        assert_eq!(alone.maps[0].photo.pixels(), photo);
    }
    assert!(explainer.explain_all([] as [Photo; 0]).unwrap().is_empty());
}

#[test]
fn a_crop_is_drawn_where_the_network_looked() {
    let model = model();
    let wide = image::imageops::resize(&scene(200), 300, 200, image::imageops::FilterType::Triangle);
    let found = PhotoExplainer::new(&model).resize(Resize::Crop).explain(&wide).unwrap();
    let map = &found.maps[0];
    assert_eq!((map.area.x, map.area.width, map.area.height), (50, 200, 200));
    let (x, _) = map.peak();
    assert!((50..250).contains(&x));
    assert_eq!(map.overlay().unwrap().dimensions(), (300, 200));
}

#[test]
fn signed_maps_are_drawn_in_two_colors() {
    let model = model();
    let signed = PhotoExplainer::new(&model)
        .target(Softmax(Class(2)))
        .with(|it| it.rectify(Rectify::Signed).scale(Scale::Symmetric))
        .explain(scene(128))
        .unwrap();
    let map = &signed.maps[0];
    assert!(map.heat.values().iter().any(|x| *x < 0.0) && map.heat.values().iter().any(|x| *x > 0.0));
    let (red_blue, drawn) =
        (map.paint(|it| it.colors(burn_cam::ColorMap::RedBlue)).unwrap(), map.overlay().unwrap());
    assert_eq!(red_blue, drawn);
}

#[test]
fn several_views_tell_their_spread() {
    let model = model();
    let found = PhotoExplainer::new(&model).augmented().explain(scene(128)).unwrap();
    assert!(found.maps[0].spread.as_ref().unwrap().peak().2 > 0.0);
    assert!(PhotoExplainer::new(&model).explain(scene(128)).unwrap().maps[0].spread.is_none());
}

#[test]
fn what_is_wrong_is_an_error_that_says_so() {
    let model = model();
    let unknown = PhotoExplainer::new(&model).class("mushrom").err().unwrap();
    assert!(unknown.to_string().contains("near it are mushroom"), "{unknown}");
    assert!(PhotoExplainer::new(&model).class(10).is_err());
    let empty = explain(&model, Photo::from(RgbImage::new(0, 4)).named("nothing")).unwrap_err();
    assert_eq!(empty.to_string(), "the photo `nothing` has 0 x 4 pixels");
    let layer = PhotoExplainer::new(&model).layer("layer9").explain(scene(128)).unwrap_err();
    assert!(matches!(layer, Error::Core(cam_core::Error::UnknownLayer { .. })));
    assert!(Photo::open("there/is/none.png").is_err());
}

#[test]
fn without_blocking_a_photo_gets_the_same() {
    let model = model();
    let explainer = || PhotoExplainer::new(&model).method(GradCam).top(2);
    for explainer in [explainer(), explainer().augmented(), explainer().noisy(2, 0.1, 0)] {
        let blocking = explainer.explain(scene(150)).unwrap();
        let before = (blocking_waits(), read_backs());
        let awaited = block_on(explainer.explain_async(scene(150))).unwrap();
        assert_eq!(
            (blocking_waits(), read_backs()),
            (before.0, before.1 + 1),
            "it does not block, and reads once"
        );
        assert_eq!(serde_json::to_value(awaited).unwrap(), serde_json::to_value(blocking).unwrap());
    }
    let nothing = block_on(explainer().explain_async(RgbImage::new(0, 7))).unwrap_err();
    assert!(matches!(nothing, Error::EmptyPhoto { width: 0, .. }), "{nothing}");
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

impl PhotoModel for Own {
    fn device(&self) -> Device {
        Device::flex()
    }

    fn preprocess(&self, resize: Resize) -> Preprocess {
        Preprocess { resize, ..Preprocess::IMAGENET }
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
    refused(PhotoExplainer::new(&net).augmented().explain(scene(128)).err());
    refused(PhotoExplainer::new(&net).noisy(2, 0.1, 0).explain(scene(128)).err());
    let net = net.valid(); // into this go updates that are still to come
    let numbers =
        |statistic: &RunningState<Tensor<1>>| statistic.value().to_data().try_to_vec::<f32>().unwrap();
    assert_eq!(numbers(&net.norm.running_mean), [0.0; 4]);
    assert_eq!(numbers(&net.norm.running_var), [1.0; 4]);
    assert!(explain(&net, scene(128)).is_ok());
}
