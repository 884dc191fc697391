//! One model, many threads.

use burn::Tensor;
use burn_cam::{
    AblationCam, AnyModel, Classifier, Device, Error, Explainer, GradCam, ImageExplainer, ImageExplanation,
    ImageInput, ImageMap, LayerCam, Registry, ScoreCam, Smooth, Wrapped,
};
use cam_core::Explanation;
use cam_scenes::Scene;

#[test]
fn what_is_shared_between_threads_can_be() {
    fn can_be<T: Send + Sync>() {}
    can_be::<Classifier>();
    can_be::<Explainer<'_, Classifier>>();
    can_be::<Wrapped<Explainer<'_, Classifier>, Smooth<Tensor<4>>>>();
    can_be::<ImageExplainer<'_, AnyModel>>();
    can_be::<Registry>();
    can_be::<Explanation>();
    can_be::<(ImageInput, ImageExplanation, ImageMap, Error)>();
}

/// The bits of all maps of a photo.
fn bits(found: &ImageExplanation) -> Vec<u32> {
    let maps = found.maps.iter().flat_map(|map| map.heatmap.values().iter().chain(map.raw.values()));
    maps.map(|value| value.to_bits()).collect()
}

#[test]
fn threads_that_share_a_model_find_what_one_thread_finds_to_the_bit() {
    let model = Classifier::builtin(&Device::flex()).unwrap();
    let photos: Vec<ImageInput> =
        (0..8).map(|seed| Scene::draw(20_000 + seed, 128).unwrap().image.into()).collect();
    let explainer = || {
        ImageExplainer::new(&model)
            .top(2)
            .method(GradCam)
            .method(LayerCam)
            .method(AblationCam::default())
            .method(ScoreCam::default())
            .layer("layer4.0")
    };
    let alone: Vec<Vec<u32>> =
        photos.iter().map(|photo| bits(&explainer().explain(photo).unwrap())).collect();

    // Explainers of their own, and one explainer for all of them.
    let shared = explainer();
    std::thread::scope(|scope| {
        let (explainer, shared) = (&explainer, &shared);
        let own = photos.iter().map(|photo| scope.spawn(move || bits(&explainer().explain(photo).unwrap())));
        let own: Vec<_> = own.collect();
        let one = photos.iter().map(|photo| scope.spawn(move || bits(&shared.explain(photo).unwrap())));
        let one: Vec<_> = one.collect();
        for ((alone, own), one) in alone.iter().zip(own).zip(one) {
            assert!(!alone.is_empty());
            assert_eq!(alone, &own.join().unwrap(), "an explainer a thread");
            assert_eq!(alone, &one.join().unwrap(), "one explainer for all threads");
        }
    });
}
