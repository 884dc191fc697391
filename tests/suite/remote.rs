//! `cam serve` and `--device remote:HOST:PORT`, over the loopback.

use crate::support::{DENSENET, SWIN, TINY, VGG, VIT, hashed_on, mnasnet, picture};
use assert_cmd::Command;
use burn::tensor::{Device, Tensor};
use cam_core::{
    Class, Explain, Explainer, FullGrad, GradCam, LayerCam, Model, ScoreCam, Smooth, Taps, Wrapped,
};
use cam_models::RecordedNetwork;
use cam_scenes::Scene;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A `cam serve` that ends with the test.
struct Serving {
    process: Child,
    /// `HOST:PORT`
    address: String,
}

impl Serving {
    /// Lends the CPU at this address.
    fn at(address: &str, token: Option<&str>) -> Self {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("cam"));
        command.args(["serve", "--device", "cpu", "--listen", address]).stdout(Stdio::piped());
        command.stderr(Stdio::null()).env("RUST_LOG", "off");
        if let Some(token) = token {
            command.env(cam_device::TOKEN, token);
        }
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("lending cpu at ").and_then(|rest| rest.split(',').next());
        let address = address.unwrap_or_else(|| panic!("{line}")).to_string();
        Self { process, address }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Its memory in MB, where the system tells it.
    fn megabytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1000
    }

    /// Opens a connection, and a WebSocket on it, as a client does.
    fn socket(&self, route: &str) -> TcpStream {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let head = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        write!(socket, "GET /{route} HTTP/1.1\r\n{head}").unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
        socket
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder with an album of this many scenes.
fn desk(scenes: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("album")).unwrap();
    for number in 0..scenes {
        let scene = Scene::draw(40_000 + number, 96).unwrap();
        scene.image.save(folder.path().join(format!("album/{number:02}.png"))).unwrap();
    }
    folder
}

/// Explains the album: `cam explain album --device DEVICE ...`.
fn explain(folder: &Path, device: &str, more: &[&str]) -> Command {
    let mut cam = Command::cargo_bin("cam").unwrap();
    cam.current_dir(folder).args(["explain", "album", "--device", device]).args(more);
    cam.env_remove(cam_device::TOKEN);
    cam
}

/// The maps in a folder of outputs.
fn maps(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let maps =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "npy" || ending == "png"));
    maps.map(|path| (path.file_name().unwrap().into(), std::fs::read(&path).unwrap())).collect()
}

/// Whether this build fuses kernels, as those with a feature of a card do. Burn then puts softmax and norms together of other
/// operations for a device of another machine than it does here, and a rounding is between them.
const FUSED: bool =
    cfg!(any(feature = "gpu", feature = "vulkan", feature = "metal", feature = "wgpu", feature = "cuda"));

/// Whether two files hold the same map.
fn same(name: &Path, here: &[u8], there: &[u8]) -> bool {
    if !FUSED {
        return here == there;
    }
    // A gray level of a picture may be another one.
    name.extension().is_some_and(|ending| ending == "png") || {
        let [here, there]: [Vec<f32>; 2] =
            [here, there].map(|file| npyz::NpyFile::new(file).unwrap().into_vec().unwrap());
        apart(&here, &there) < 1e-5
    }
}

/// The largest difference, of full scale.
fn apart(here: &[f32], there: &[f32]) -> f32 {
    assert_eq!(here.len(), there.len());
    let full = here.iter().fold(0f32, |full, x| full.max(x.abs()));
    here.iter().zip(there).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / full
}

/// The one line that a run which fails complains in.
#[track_caller]
fn complaint(mut run: Command, code: i32) -> String {
    let output = run.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    told
}

#[test]
fn maps_of_another_machine_are_those_of_this_one_to_the_bit() {
    let folder = desk(5);
    let serving = [(); 2].map(|()| Serving::at("127.0.0.1:0", None));
    let [first, second] = [0, 1].map(|number| format!("remote:{}", serving[number].address));
    let runs =
        [("here", "cpu".into()), ("there", first.clone()), ("spread", format!("{first}:all,{second}"))];
    let methods = ["--method", "gradcam,eigencam,scorecam", "--channels", "4", "--top", "1"];
    let files = ["--npy", "--raw", "-q"];
    for (out, device) in &runs {
        // A server computes what it is told to, operation by operation: here too, that is Burn's own.
        explain(folder.path(), device, &methods)
            .args(files)
            .args(["--batch-size", "2", "--out", out])
            .env("CAM_KERNELS", "off")
            .assert()
            .success();
    }
    let here = maps(&folder.path().join("here"));
    assert_eq!(here.len(), 5 * 3 * 3);
    for out in ["there", "spread"] {
        let there = maps(&folder.path().join(out));
        assert!(here.keys().eq(there.keys()), "{out}");
        let differing: Vec<_> = here.keys().filter(|name| !same(name, &here[*name], &there[*name])).collect();
        assert!(differing.is_empty(), "{out}: {differing:?}");
    }
}

#[test]
fn a_server_that_is_killed_is_told_in_one_line_and_the_same_command_goes_on() {
    const PICTURES: usize = 40;
    let folder = desk(PICTURES as u64);
    let mut serving = Serving::at("127.0.0.1:0", None);
    let device = format!("remote:{}", serving.address);
    // A picture a batch, and a method of many passes: it lasts.
    let slow = ["--method", "scorecam", "--batch-size", "1", "--out", "out", "-q"];
    let lines = || std::fs::read_to_string(folder.path().join("out/manifest.jsonl")).unwrap_or_default();
    let run = explain(folder.path(), &device, &slow);
    let told = std::thread::scope(|scope| {
        let told = scope.spawn(|| complaint(run, 13));
        let started = Instant::now();
        while lines().lines().count() < 3 && started.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(5));
        }
        serving.kill();
        told.join().unwrap()
    });
    assert!(told.contains(&format!("`{device}` failed")), "{told}");
    let done = lines().lines().count();
    assert!((3..PICTURES).contains(&done), "{done} pictures were done");

    let told = complaint(explain(folder.path(), &device, &slow), 13);
    assert!(told.contains("no server answers"), "{told}");

    let again = Serving::at(&serving.address, None);
    assert_eq!(again.address, serving.address);
    let run = explain(folder.path(), &device, &slow[..slow.len() - 1]).assert().success();
    let said = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert!(said.contains(&format!("{done} of {PICTURES} images are done already")), "{said}");
    assert_eq!(lines().lines().count(), PICTURES);
}

#[test]
fn who_does_not_know_the_word_is_turned_away() {
    let folder = desk(1);
    let serving = Serving::at("127.0.0.1:0", Some("open sesame"));
    let device = format!("remote:{}", serving.address);
    let told = complaint(explain(folder.path(), &device, &[]), 13);
    assert!(told.contains("rejected the credential"), "{told}");
    explain(folder.path(), &device, &["-q"]).env(cam_device::TOKEN, "open sesame").assert().success();
}

/// A server with a secret that cannot be one would be open to everyone.
#[test]
#[cfg(unix)]
fn a_word_that_cannot_be_one_is_none_and_the_server_does_not_start() {
    use std::os::unix::ffi::OsStrExt;
    let folder = desk(1);
    let serving = Serving::at("127.0.0.1:0", Some("open sesame"));
    let device = format!("remote:{}", serving.address);
    let unreadable = std::ffi::OsStr::from_bytes(b"open \xff");
    for (token, words) in
        [(unreadable, "CAM_REMOTE_TOKEN is not UTF-8"), ("".as_ref(), "CAM_REMOTE_TOKEN is empty")]
    {
        let mut serve = Command::cargo_bin("cam").unwrap();
        serve.args(["serve", "--device", "cpu", "--listen", "127.0.0.1:0"]).env(cam_device::TOKEN, token);
        assert!(complaint(serve, 13).contains(words));
        let mut run = explain(folder.path(), &device, &[]);
        run.env(cam_device::TOKEN, token);
        assert!(complaint(run, 13).contains(words));
    }
}

/// A WebSocket frame of this kind that says it has so many bytes, of which these follow.
fn frame(kind: u8, length: u64, bytes: &[u8]) -> Vec<u8> {
    [&[0x80 | kind, 0xff][..], &length.to_be_bytes(), &[0; 4], bytes].concat()
}

/// What no client sends, before and within a session, by many connections that stay open.
#[test]
fn garbage_neither_ends_a_server_nor_fills_its_memory() {
    let folder = desk(1);
    let serving = Serving::at("127.0.0.1:0", Some("open sesame"));
    let device = format!("remote:{}", serving.address);
    let run = || {
        explain(folder.path(), &device, &["-q", "--fresh"])
            .env(cam_device::TOKEN, "open sesame")
            .assert()
            .success();
    };
    run();
    let before = serving.megabytes();
    let noise: Vec<u8> = (0..1 << 16).map(|place| crate::support::hash("noise", place) as u8).collect();
    let mut open = Vec::new();
    for start in [
        &b""[..],
        b"GET / HTTP/1.1\r\n",
        b"GET /session HTTP/1.1\r\nHost: a\r\nX: ",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(&serving.address).unwrap();
        // A server may hang up in the middle of it.
        let _ = socket.write_all(&[start, &noise].concat());
        open.push(socket);
    }
    for route in ["session", "data"] {
        for garbage in [
            noise.clone(),
            frame(2, 1 << 16, &noise),
            frame(2, 0, &[]),
            frame(1, 1 << 16, &noise),
            frame(8, 2, &[0xff; 2]),
            frame(2, u64::MAX, &noise),
            frame(2, (1 << 30) + 1, &noise),
            // MessagePack: arrays in arrays, and an array of 2^32 elements.
            frame(2, 1 << 16, &[0x91; 1 << 16]),
            frame(2, 5, b"\xdd\xff\xff\xff\xff"),
        ] {
            let mut socket = serving.socket(route);
            let _ = socket.write_all(&garbage);
            open.push(socket);
        }
        // As much as a message may have is announced, and never sent.
        for _ in 0..20 {
            let mut socket = serving.socket(route);
            socket.write_all(&frame(2, 1 << 30, &noise)).unwrap();
            open.push(socket);
        }
    }
    run();
    assert!(serving.megabytes() < before + 100, "{before} MB before, {} now", serving.megabytes());
    drop(open);
    run();
}

#[test]
fn clients_that_die_leave_nothing_behind() {
    let folder = desk(20);
    let serving = Serving::at("127.0.0.1:0", None);
    let device = format!("remote:{}", serving.address);
    let lines = || std::fs::read_to_string(folder.path().join("out/manifest.jsonl")).unwrap_or_default();
    let mut before = 0;
    for client in 1..=8 {
        let mut run = std::process::Command::new(assert_cmd::cargo::cargo_bin("cam"));
        run.current_dir(folder.path())
            .args(["explain", "album", "--device", &device, "--out", "out", "--fresh"]);
        run.args(["--method", "scorecam", "--batch-size", "1"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = run.spawn().unwrap();
        let started = Instant::now();
        while lines().lines().count() < client % 3 && started.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        run.kill().unwrap();
        run.wait().unwrap();
        // What the first one took is kept for the next.
        if client == 2 {
            before = serving.megabytes();
        }
    }
    explain(folder.path(), &device, &["--method", "scorecam", "--out", "out", "-q"]).assert().success();
    assert_eq!(lines().lines().count(), 20);
    let after = serving.megabytes();
    assert!(after < 2 * before + 100, "{before} MB after two clients, {after} after all");
}

/// Many clients at once, each with the maps that it has alone, and messages of 256 MB.
#[test]
fn a_server_under_load_computes_the_same() {
    const CLIENTS: usize = 16;
    let folder = desk(6);
    let serving = Serving::at("127.0.0.1:0", None);
    let device = format!("remote:{}", serving.address);
    let methods = ["--method", "gradcam,eigencam", "--npy", "-q"];
    explain(folder.path(), &device, &methods).args(["--out", "alone"]).assert().success();
    let alone = maps(&folder.path().join("alone"));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (folder, device, methods) = (folder.path(), &device, &methods);
            scope.spawn(move || {
                explain(folder, device, methods).args(["--out", &format!("{client}")]).assert().success();
            });
        }
    });
    println!("{CLIENTS} clients: {:.1?}, {} MB", started.elapsed(), serving.megabytes());
    for client in 0..CLIENTS {
        assert!(maps(&folder.path().join(client.to_string())) == alone, "{client}");
    }
    let there = cam_device::open(device.parse().unwrap()).unwrap().devices.remove(0).device;
    for megabytes in [1, 64, 256] {
        let started = Instant::now();
        let numbers: Vec<f32> = (0..megabytes << 18).map(|number| number as f32).collect();
        let sent = Tensor::<1>::from_data(burn::tensor::TensorData::from(&numbers[..]), &there);
        assert!(
            sent.mul_scalar(2.0)
                .into_data()
                .try_to_vec::<f32>()
                .unwrap()
                .iter()
                .zip(&numbers)
                .all(|(a, b)| *a == 2.0 * b)
        );
        println!("{megabytes} MB there and back: {:.1?}, {} MB", started.elapsed(), serving.megabytes());
    }
}

#[test]
fn what_is_not_there_is_told_in_one_line() {
    let folder = desk(1);
    let serving = Serving::at("127.0.0.1:0", None);
    let told = complaint(explain(folder.path(), &format!("remote:{}:7", serving.address), &[]), 13);
    assert!(told.contains("hosts only 1 device"), "{told}");
    assert!(complaint(explain(folder.path(), "remote:127.0.0.1", &[]), 13).contains("invalid server"));
    let mut second = Command::cargo_bin("cam").unwrap();
    second.args(["serve", "--device", "cpu", "--listen", &serving.address]);
    assert!(complaint(second, 13).contains("cannot lend devices at"));
}

/// Operations that this machine does itself are not the ones that it sends: `permute` and `flip` arrive as something else in a
/// build that fuses kernels (Burn 0.22).
#[test]
fn every_family_computes_there() {
    let serving = Serving::at("127.0.0.1:0", None);
    let mut opened = cam_device::open(format!("remote:{}", serving.address).parse().unwrap()).unwrap();
    let there = opened.devices.remove(0).device;
    let on = |device: &Device| -> Vec<(&str, RecordedNetwork, &str)> {
        vec![
            ("resnet", hashed_on(TINY, device), "layer3.0"),
            ("vgg", hashed_on(VGG, device), "features.10"),
            ("densenet", hashed_on(DENSENET, device), "features.denseblock1"),
            ("mnasnet", hashed_on(mnasnet(), device), "layers.10"),
            ("vit", hashed_on(VIT, device), "blocks.1.norm1"),
            ("swin", hashed_on(SWIN, device), "layers.1.blocks.1.norm1"),
        ]
    };
    for ((family, network, layer), (_, far, _)) in on(&Device::flex()).into_iter().zip(on(&there)) {
        let width = if family == "swin" { 64 } else { 96 };
        let found = [(&network, Device::flex()), (&far, there.clone())].map(|(network, device)| {
            let images = Tensor::from_data(picture("remote", [2, 64, width], 16).into_data(), &device);
            let mut numbers =
                vec![network.forward(images.clone(), &Taps::off()).into_data().try_to_vec().unwrap()];
            let biased = !["vit", "swin"].contains(&family);
            let explainer = Explainer::new(network).layer(layer).method(GradCam).method(LayerCam);
            let explainer = explainer.method(ScoreCam::PAPER);
            let explainer = if biased { explainer.method(FullGrad::PAPER) } else { explainer };
            for found in [
                explainer.explain(images.clone(), &Class(3)).unwrap(),
                Wrapped::new(&explainer, Smooth::augmented()).explain(images, &Class(3)).unwrap(),
            ] {
                numbers
                    .extend(found.maps.iter().map(|map| map.heatmap.to_data().try_to_vec::<f32>().unwrap()));
            }
            numbers
        });
        let farthest = found[0].iter().zip(&found[1]).map(|(a, b)| apart(a, b)).fold(0.0, f32::max);
        println!("{family}: {farthest:.1e}");
        // As between other devices (`conformance.rs`).
        assert!(farthest < 1e-4, "{family}: {farthest:e}");
    }
}
