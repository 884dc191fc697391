//! What a registry adds is everywhere: in the help, in the lists, in `compare`, and in the recognition of weights.

use burn_cam::burn::store::{ModuleStore, SafetensorsStore};
use burn_cam::{Architecture, Device, ErrorKind, ImageModel, Method, OpenModel, Reads, Top, applies};
use std::path::Path;
use std::process::{Command, Output};

#[path = "../toys.rs"]
mod toys;

fn cam(folder: &Path, arguments: &[&str]) -> String {
    let mut tool = Command::new(env!("CARGO_BIN_EXE_cam-own-tool"));
    let Output { status, stdout, stderr } = tool.current_dir(folder).args(arguments).output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(status.success(), "{arguments:?}: {text}");
    text
}

#[test]
fn a_method_and_a_score_are_in_the_help_the_lists_and_compare() {
    let folder = std::env::temp_dir().join(format!("own-tool-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    assert!(cam(&folder, &["explain", "--help"]).contains("margin"));
    assert!(cam(&folder, &["methods"]).contains("Max Grad-CAM"));
    assert!(cam(&folder, &["completions", "bash"]).contains("maxgradcam"));
    assert!(cam(&folder, &["models"]).contains("toy_small"));

    let image = burn_cam::image::RgbImage::from_fn(90, 60, |x, y| {
        burn_cam::image::Rgb([x as u8 * 2, y as u8 * 4, 90])
    });
    image.save(folder.join("image.png")).unwrap();
    let compared = cam(&folder, &["compare", "image.png", "--score", "margin", "--device", "cpu"]);
    assert!(compared.contains("maxgradcam"), "{compared}");
    assert!(compared.contains("gradcam++"), "the built-in methods are there, too: {compared}");

    // Weights of the family are recognized.
    let device = Device::flex();
    let config = toys::ToyConfig { width: 6, classes: 4 };
    let toy = config.build(&device);
    let mut store = SafetensorsStore::from_file(folder.join("weights.safetensors"));
    let adapter = burn_cam::burn::store::BurnToPyTorchAdapter;
    store = store.with_to_adapter(adapter);
    store.collect_from(&toy).unwrap();
    let explained = cam(
        &folder,
        &[
            "explain",
            "image.png",
            "--weights",
            "weights.safetensors",
            "--method",
            "maxgradcam",
            "--device",
            "cpu",
        ],
    );
    assert!(explained.contains("recognized a Toy of an unpublished size"), "{explained}");
    assert!(explained.contains("by maxgradcam at body"), "{explained}");

    let registry = toys::registry().unwrap();
    let model = OpenModel::new()
        .registry(&registry)
        .weights(folder.join("weights.safetensors"))
        .open(&device)
        .unwrap();
    let input = model.preprocess().apply(&image, &device).unwrap().0;
    let logits = burn_cam::Model::forward(&model, input.clone(), &burn_cam::Taps::off());
    let apart = (logits - toy.forward(input)).abs().max().into_scalar::<f32>();
    assert!(apart < 1e-5, "{apart}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The conformance test of every method: it applies to a model, or says why not.
#[test]
fn every_method_of_the_registry_conforms() {
    let registry = toys::registry().unwrap();
    let model = OpenModel::new().registry(&registry).open(&Device::flex()).unwrap();
    let own = registry.methods().iter().filter(|method| method.name() == "maxgradcam");
    assert_eq!(own.count(), 1);
    for method in registry.methods() {
        match applies(&model, *method, &[], &Top) {
            Ok(()) => {}
            Err(error) => {
                let info = method.info();
                assert!(error.kind() == ErrorKind::Method, "{}: {error}", info.name);
                assert!(info.needs.linear_head || info.reads != Reads::Layer, "{}: {error}", info.name);
            }
        }
    }
}
