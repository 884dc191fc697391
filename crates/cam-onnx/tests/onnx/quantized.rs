//! Quantized files beside the file of floats that they were made of.

use crate::networks::{distance, golden};
use burn::tensor::{Device, Tensor, TensorData};
use cam_core::{Class, Explain, Explainer, GradCam};
use cam_onnx::OnnxModule;

/// Returns the scores and the Grad-CAM map of class 1 at `layer2.1`.
fn explained(name: &str, images: &TensorData) -> (Vec<f32>, Vec<f32>) {
    let device = Device::flex();
    let module = OnnxModule::open(golden(name), &device).unwrap();
    let recorded = cam_graph::record_fallible(&module, OnnxModule::classify).unwrap();
    let images = || Tensor::<4>::from_data(images.clone(), &device);
    let explainer = Explainer::new(&recorded).method(GradCam);
    let (scores, _) = explainer.inference().forward(images()).unwrap();
    let layers = recorded.layers(&images()).unwrap();
    // Quantization replaces the modules of a block by operators of their own.
    let layer = layers.names().into_iter().rfind(|layer| layer.contains("layer2")).unwrap().to_string();
    let found = explainer.layer(&layer).explain(images(), &Class(1)).unwrap();
    let numbers = |data: TensorData| data.iter::<f32>().collect();
    (numbers(scores.into_data()), numbers(found.maps[0].heatmap.clone().into_data()))
}

fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let mean = |x: &[f32]| x.iter().sum::<f32>() / x.len() as f32;
    let (of_a, of_b) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f32, f32) -> f32| a.iter().zip(b).map(|(x, y)| f(x - of_a, y - of_b)).sum::<f32>();
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
}

#[test]
fn quantized_files_are_those_of_onnxruntime_and_explained_as_the_floats() {
    for name in ["residual_qdq", "residual_qoperator"] {
        let numbers = crate::networks::Case::open(&golden(name));
        let (input, shape) = numbers.tensor("input3").unwrap();
        let images = TensorData::new(input, shape);
        let (scores, map) = explained(name, &images);
        let (expected, _) = numbers.tensor("output3").unwrap();
        // A value at the edge of two steps may be rounded to the other one: a step or two of 255.
        assert!(distance(&scores, &expected) < 0.02, "{name}: {scores:?} {expected:?}");
        let (_, of_floats) = explained("residual_torchscript", &images);
        let correlation = correlation(&map, &of_floats);
        assert!(correlation > 0.95, "{name}: {correlation}");
    }
}
