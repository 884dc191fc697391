//! How often the device is waited for: once a call at most, and not at all by what computes gradients only. And the same without
//! blocking, by an executor of a few lines.

use crate::support::{TINY, VIT, hashed, is_long, methods, picture};
use burn::tensor::Tensor;
use cam_core::testing::{blocking_waits, device_reads, uploads};
use cam_core::{
    AttributionMaps, Class, EigenCam, EigenGradCam, Error, Explain, Explainer, GradCam, METHODS, Method,
    Reads, Sess, Smooth, Top, Wrapped, concepts, concepts_async, rank_layers, rank_layers_async,
};
use cam_models::{RecordedNetwork, Registry};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// The read-backs of what `work` does, and what it returns.
fn counted<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = device_reads();
    let done = work();
    (device_reads() - before, done)
}

/// The methods whose eigenvectors are found on the host: they read one Gram matrix a batch.
const PROJECTIONS: [&str; 4] = ["eigencam", "eigengradcam", "segeigencam", "kpcacam"];

/// The methods that run changed copies, of those that are alike one, or one for each cluster.
const COPIES: [&str; 5] = ["ablationcam", "scorecam", "gscorecam", "iscam", "vitcx"];

fn networks() -> [(RecordedNetwork, &'static str, Reads); 2] {
    [(hashed(TINY), "layer4.0", Reads::Biases), (hashed(VIT), "blocks.1.norm1", Reads::Attention)]
}

#[test]
fn a_method_reads_nothing_back_before_its_maps_are_read() {
    let images = picture("reads", [2, 64, 96], 16);
    for (network, layer, also) in networks() {
        for method in methods().filter(|method| [Reads::Layer, also].contains(&method.info().reads)) {
            let name = method.name();
            let explainer = Explainer::new(&network).layer(layer).method(method);
            let explain = || explainer.explain(images.clone(), &Top);
            let (first, found) = counted(explain);
            let (later, again) = counted(explain);
            let projects = usize::from(PROJECTIONS.contains(&name));
            // Which channels are alike, and so how many copies there are to run, is read once.
            let counts = usize::from(COPIES.contains(&name));
            // A linear classifier behind a pooling is made sure of each time.
            let looks = usize::from(name == "cam");
            assert_eq!([first, later], [1 + projects + counts, looks + projects + counts], "{name}");
            let (Ok(found), Ok(_)) = (found, again) else { continue };
            assert_eq!(counted(|| found.read().unwrap()).0, 1, "{name}: output and maps");
            assert_eq!(counted(|| found.maps[0].read().unwrap()).0, 1, "{name}: a map");
        }
    }
}

/// What a method uploads in each call; behind a ReLU some copies are alike.
fn uploads_of(name: &str, relu: bool) -> usize {
    match name {
        // The eigenvectors, the weights, the noise of four views.
        "eigencam" | "eigengradcam" | "segeigencam" | "kpcacam" | "randomcam" => 1,
        "smoothgradcam++" => 4,
        // Which copies are alike, and what masks are told apart by.
        "ablationcam" => usize::from(relu),
        "scorecam" | "gscorecam" | "iscam" => 1 + usize::from(relu),
        // The masks of a chunk, of two images.
        "reciprocam" | "vitreciprocam" => 2,
        // Which channel is in which cluster, and the noise of a chunk, of two images.
        "vitcx" => 1 + 2,
        // The noise of a chunk: of two images, three samples.
        "sscam" => 6,
        _ => 0,
    }
}

/// The matrices by which a method resizes maps, one for each pair of lengths; uploaded in the first call.
fn matrices_of(name: &str) -> usize {
    match name {
        // Of five resolutions.
        "fullgrad" => 10,
        _ => 2,
    }
}

#[test]
fn a_method_uploads_what_is_found_on_the_host_and_the_matrices_of_a_resize_once() {
    let images = picture("reads", [2, 64, 96], 16);
    for (network, layer, also) in networks() {
        for method in methods().filter(|method| [Reads::Layer, also].contains(&method.info().reads)) {
            let name = method.name();
            let explainer = Explainer::new(&network).layer(layer).method(method);
            let uploaded = || {
                let before = uploads();
                explainer.explain(images.clone(), &Top).map(|_| uploads() - before)
            };
            let (Ok(first), Ok(later)) = (uploaded(), uploaded()) else { continue };
            let each = uploads_of(name, also == Reads::Biases);
            assert_eq!([first, later], [matrices_of(name) + each, each], "{name} at {layer}");
        }
    }
}

#[test]
fn many_layers_methods_and_targets_are_read_at_once() {
    let network = hashed(TINY);
    let images = picture("reads", [2, 64, 96], 16);
    let explainer = ["gradcam", "layercam", "fullgrad", "ablationcam"]
        .iter()
        .fold(Explainer::new(&network).layer("layer3.0").layer("layer4.0"), |all, name| {
            all.method(cam_core::method_named(name).unwrap())
        });
    let (count, read) = counted(|| {
        let found = explainer.explain_each(images.clone(), &[&Class(1), &Class(2)]).unwrap();
        let [read, single] =
            [found.read().unwrap().1, found.maps.iter().map(|m| m.read().unwrap()).collect()];
        assert_eq!(read, single, "all at once is each alone");
        (found.maps.len(), read)
    });
    assert_eq!(
        (read.0, count),
        (14, 2 + 2 * 2 + 14),
        "a check, all maps, which copies are alike for each layer and target, and each map once more"
    );
    let warned = explainer.explain(images, &Class(1)).unwrap();
    assert_eq!(warned.maps[0].warnings().unwrap(), read.1[0].warnings);
}

#[test]
fn what_is_read_is_what_the_tensors_hold() {
    let network = hashed(TINY);
    let explainer = Explainer::new(&network).layer("layer4.0");
    let found = Wrapped::new(&explainer, Smooth::augmented())
        .explain(picture("reads", [2, 64, 96], 16), &Top)
        .unwrap();
    let (output, maps) = found.read().unwrap();
    let AttributionMaps { heatmap: heat, raw, scores, classes, std, .. } = &found.maps[0];
    assert_eq!(output, numbers(&found.output));
    assert_eq!(maps[0].heatmap, numbers(heat));
    assert_eq!(maps[0].raw, numbers(raw));
    assert_eq!(maps[0].scores, numbers(scores));
    assert_eq!(maps[0].std.as_ref().unwrap(), &numbers(std.as_ref().unwrap()));
    let classes: Vec<i64> = classes.as_ref().unwrap().to_data().iter().collect();
    assert_eq!(maps[0].classes.as_ref().unwrap(), &classes.iter().map(|&c| c as usize).collect::<Vec<_>>());
}

#[test]
fn without_blocking_the_maps_are_the_same() {
    for (network, _, also) in networks() {
        let images = picture("reads", [1, 64, 96], 16);
        // No layer is named: choosing one looks at gradients, which is awaited too.
        let methods = METHODS
            .iter()
            .filter(|method| [Reads::Layer, also].contains(&method.info().reads))
            .filter(|method| !is_long(**method) && !method.info().needs.linear_head);
        let explainer = || methods.clone().fold(Explainer::new(&network), |all, method| all.method(*method));
        let blocking = explainer().explain(images.clone(), &Top).unwrap().read().unwrap();
        let awaited = awaited(async {
            let found = explainer().explain_async(images, &Top).await?;
            let one = found.maps[0].read_async().await?;
            let all = found.read_async().await?;
            assert_eq!(one, all.1[0]);
            assert_eq!(found.maps[0].warnings_async().await?, one.warnings);
            Ok(all)
        });
        assert_eq!(awaited, blocking);
    }
}

#[test]
fn what_stands_around_the_methods_has_a_form_that_does_not_block() {
    let network = hashed(TINY);
    let images = || picture("reads", [2, 64, 96], 16);
    let explainer =
        Explainer::new(&network).layer("layer4.0").eigen_smooth(true).method(GradCam).method(EigenGradCam);
    let smooth = Wrapped::new(&explainer, Smooth::noisy(2, 0.1, 0));
    let blocking = smooth.explain(images(), &Top).unwrap().read().unwrap();
    let found = awaited(async { smooth.explain_async(images(), &Top).await?.read_async().await });
    assert_eq!(found, blocking);

    let sess = Sess { scales: 2, ..Sess::PAPER };
    let blocking = Wrapped::new(&explainer, sess).explain_each(images(), &[&Top]).unwrap().read().unwrap();
    let slid = async {
        Wrapped::new(&explainer, sess).explain_each_async(images(), &[&Top]).await?.read_async().await
    };
    assert_eq!(awaited(slid), blocking);

    let blocking = concepts(&network, "layer4.0", images(), 3, 0).unwrap();
    let found = awaited(concepts_async(&network, "layer4.0", images(), 3, 0));
    assert_eq!(numbers(&found.vectors), numbers(&blocking.vectors));
    assert_eq!(numbers(&found.heatmaps[2]), numbers(&blocking.heatmaps[2]));

    let blocking = rank_layers(&network, EigenCam, images(), &Top).unwrap();
    assert_eq!(awaited(rank_layers_async(&network, EigenCam, images(), &Top)), blocking);
}

#[test]
fn what_is_wrong_is_told_without_blocking_too() {
    let network = hashed(TINY);
    let cam = Explainer::new(&network).layer("layer3.0").method(cam_core::Cam);
    let images = picture("reads", [1, 64, 96], 16);
    let awaited = block_on(cam.explain_async(images, &Top)).err();
    assert_eq!(awaited, Some(Error::NotLinear { layer: "layer3.0".into() }));
}

#[test]
fn a_forward_pass_uploads_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/cam-models/src/zoo");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let code = files.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let code = code.map(|path| (std::fs::read_to_string(&path).unwrap(), path));
    let families: Vec<_> = code.filter(|(text, _)| text.contains("impl Family for")).collect();
    assert!(families.len() >= Registry::builtin().families().len());
    for (text, file) in families {
        for word in SENDS {
            assert!(!text.contains(word), "{}: {word}", file.display());
        }
    }
}

/// What makes a tensor of numbers of the host.
const SENDS: [&str; 6] =
    ["from_data", "from_floats", "from_ints", "from_bool", "TensorData::new", "Tensor::random"];

/// The files of a folder and of those in it.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The lines of code of `cam-core`, without tests and comments, each with its file.
fn lines_of_code() -> Vec<(PathBuf, String)> {
    let files = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/cam-core/src"));
    assert!(files.len() > 50, "{} files", files.len());
    let lines = files.into_iter().flat_map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap().lines();
        let code = code.filter(|line| !line.trim_start().starts_with("//"));
        code.map(|line| (path.clone(), line.to_string())).collect::<Vec<_>>()
    });
    lines.collect()
}

#[test]
fn there_is_one_way_to_the_host_and_one_from_it() {
    let reads = ["into_data", "to_data", "try_to_vec", "try_into_vec", "into_scalar", "Transaction"];
    for (path, line) in lines_of_code() {
        let words: Vec<&str> = match path.file_name().and_then(|name| name.to_str()) {
            Some("read.rs") => SENDS.to_vec(),
            Some("upload.rs") => reads.to_vec(),
            _ => reads.iter().chain(&SENDS).copied().collect(),
        };
        assert!(!words.iter().any(|word| line.contains(word)), "{}: {line}", path.display());
    }
}

#[test]
fn nothing_asks_for_the_time_in_the_way_that_panics_in_a_browser() {
    for (path, line) in lines_of_code() {
        assert!(!(line.contains("std::time") && line.contains("Instant")), "{}: {line}", path.display());
    }
}

fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_to_vec().unwrap()
}

/// What a future gives that never blocks, though it reads.
fn awaited<T>(future: impl Future<Output = Result<T, Error>>) -> T {
    let before = blocking_waits();
    let (reads, done) = counted(|| block_on(future));
    assert!(reads > 0, "it reads");
    assert_eq!(blocking_waits() - before, 0, "it does not block");
    done.unwrap()
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
