//! The header is that of the functions, a program in C compiles and runs, and what C can do wrong is a code and a sentence.

use burn_cam::{Device, ImageExplainer, OpenModel, Registry};
use cam_c::*;
use cam_scenes::Scene;
use std::ffi::{CStr, CString};
use std::path::Path;
use std::process::Command;
use std::ptr;

/// Calls a function as C does.
macro_rules! c {
    ($call:expr) => {
        // SAFETY: the pointers are as `cam.h` requires: NULL, or to what their types say, for the time of the call.
        unsafe { $call }
    };
}

const HERE: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_header_is_current() {
    let config = cbindgen::Config::from_file(Path::new(HERE).join("cbindgen.toml")).unwrap();
    let source = Path::new(HERE).join("src/lib.rs");
    let bindings = cbindgen::Builder::new().with_src(source).with_config(config).generate().unwrap();
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header = String::from_utf8(header).unwrap();
    let path = Path::new(HERE).join("cam.h");
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::write(&path, &header).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), header, "REGENERATE=1 writes it anew");
}

/// A model, and the picture of a scene with its width and height.
fn opened() -> (*mut Model, Vec<u8>, usize) {
    let mut model = ptr::null_mut();
    assert_eq!(c!(cam_model_open(ptr::null(), &mut model, ptr::null_mut(), 0)), Code::Ok);
    (model, Scene::draw(7, 200).unwrap().image.into_raw(), 200)
}

/// Explains a picture and returns the values of its first map.
fn values(model: *const Model, rgb: &[u8], side: usize, options: &Options) -> Vec<f32> {
    let (mut explanation, mut text) = (ptr::null_mut(), [0; 256]);
    let code = c!(cam_explain(
        model,
        rgb.as_ptr(),
        side,
        side,
        options,
        &mut explanation,
        text.as_mut_ptr(),
        text.len(),
    ));
    assert_eq!(code, Code::Ok, "{:?}", said(&text));
    let mut map = std::mem::MaybeUninit::uninit();
    assert_eq!(c!(cam_map(explanation, 0, map.as_mut_ptr(), ptr::null_mut(), 0)), Code::Ok);
    // SAFETY: the function that returned `Ok` wrote it.
    let map = unsafe { map.assume_init() };
    // SAFETY: its values live as long as the explanation.
    let values = unsafe { std::slice::from_raw_parts(map.values, map.width * map.height) }.to_vec();
    c!(cam_explanation_free(explanation));
    values
}

fn said(text: &[std::ffi::c_char]) -> String {
    // SAFETY: the library ends each text with a zero.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().unwrap().into()
}

#[test]
fn the_maps_are_those_of_the_library() {
    let (model, rgb, side) = opened();
    let (class, method) = (CString::new("clock").unwrap(), CString::new("layercam").unwrap());
    let options = Options { class_name: class.as_ptr(), method: method.as_ptr(), ..Options::DEFAULT };
    let rust = OpenModel::new().open(&Device::flex()).unwrap();
    let registry = Registry::default();
    let explainer = ImageExplainer::new(&rust).class("clock").unwrap();
    let explainer = explainer.method(registry.method("layercam").unwrap());
    let found = explainer.explain(Scene::draw(7, 200).unwrap().image).unwrap();
    assert_eq!(values(model, &rgb, side, &options), found.maps[0].heatmap.values());
    c!(cam_model_free(model));
}

/// A model, shared as C shares one.
struct Shared(*mut Model);
// SAFETY: `cam.h` says that a model may be used by several threads: it holds a model of `burn-cam`, which is `Sync`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn model(&self) -> *const Model {
        self.0
    }
}

#[test]
fn four_threads_use_one_model() {
    let (model, rgb, side) = opened();
    let shared = Shared(model);
    let alone = values(model, &rgb, side, &Options::DEFAULT);
    let run = || values(shared.model(), &rgb, side, &Options::DEFAULT);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
    c!(cam_model_free(model));
}

#[test]
fn what_is_wrong_is_a_code_and_a_sentence() {
    let (model, rgb, side) = opened();
    let mut explanation = ptr::null_mut();
    let explain = |rgb: *const u8, options: *const Options, explanation: *mut *mut Explanation| {
        let mut text = [1; 200];
        let code =
            c!(cam_explain(model, rgb, side, side, options, explanation, text.as_mut_ptr(), text.len()));
        (code, said(&text))
    };
    let named = |name: &str| CString::new(name).unwrap();
    let (class, method, layer, latin) = (named("nothing"), named("nothing"), named("nothing"), c"\xe4");
    let wrong = [
        (
            Options { class_name: class.as_ptr(), ..Options::DEFAULT },
            Code::Class,
            "no class is called `nothing`",
        ),
        (Options { method: method.as_ptr(), ..Options::DEFAULT }, Code::Method, "nothing"),
        (Options { layer: layer.as_ptr(), ..Options::DEFAULT }, Code::Layer, "no layer is called `nothing`"),
        (Options { layer: latin.as_ptr(), ..Options::DEFAULT }, Code::Argument, "`layer` is not UTF-8"),
    ];
    for (options, code, text) in &wrong {
        let (found, said) = explain(rgb.as_ptr(), options, &mut explanation);
        assert_eq!(found, *code, "{said}");
        assert!(said.contains(text), "{said}");
    }
    assert_eq!(explain(ptr::null(), ptr::null(), &mut explanation), (Code::Argument, "`rgb` is NULL".into()));
    assert_eq!(explain(rgb.as_ptr(), ptr::null(), ptr::null_mut()).0, Code::Argument);
    assert!(explanation.is_null());

    let (mut other, mut text) = (ptr::null_mut(), [0; 16]);
    let none = named("none.safetensors");
    assert_eq!(c!(cam_model_open(none.as_ptr(), &mut other, text.as_mut_ptr(), text.len())), Code::Model);
    assert_eq!(said(&text), "cannot read the", "cut off at the end of the buffer");
    assert_eq!(c!(cam_map_count(ptr::null())), 0);
    c!(cam_model_free(other));

    assert_eq!(explain(rgb.as_ptr(), ptr::null(), &mut explanation).0, Code::Ok);
    let mut overlay = vec![0; rgb.len()];
    let mut draw =
        |bytes: usize| c!(cam_overlay(explanation, 0, overlay.as_mut_ptr(), bytes, ptr::null_mut(), 0));
    assert_eq!(draw(rgb.len() - 1), Code::Argument);
    assert_eq!(draw(rgb.len()), Code::Ok);
    assert!(overlay != rgb && c!(cam_prediction_count(explanation)) == 5);
    c!(cam_explanation_free(explanation));
    c!(cam_model_free(model));
}

#[test]
fn a_program_in_c_compiles_and_runs() {
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("skipped: no C compiler called `cc`");
        return;
    }
    // The libraries are beside the test.
    let test = std::env::current_exe().unwrap();
    let libraries = test.parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("explain");
    let compiled = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(Path::new(HERE).join("../../examples/c/explain.c"))
        .arg("-I")
        .arg(HERE)
        .arg("-L")
        .arg(libraries)
        .arg(format!("-Wl,-rpath,{}", libraries.display()))
        .arg("-lcam_c")
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));

    let scene = Scene::draw(7, 200).unwrap();
    let ppm = [b"P6 200 200 255\n", &scene.image.as_raw()[..]].concat();
    std::fs::write(folder.path().join("scene.ppm"), &ppm).unwrap();
    let run = |class: &str| {
        Command::new(&program)
            .current_dir(folder.path())
            .args(["-", "scene.ppm", "overlay.ppm", class])
            .output()
            .unwrap()
    };
    let done = run("clock");
    let printed = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(printed.contains("clock at layer3.0: 128 x 128, hottest at "), "{printed}");
    let overlay = std::fs::read(folder.path().join("overlay.ppm")).unwrap();
    assert!(overlay.len() == ppm.len() && overlay != ppm);
    let refused = run("nothing");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).starts_with("error 4: no class is called `nothing`"));
}
