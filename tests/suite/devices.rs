//! `--device` and `cam devices`, as far as this build and this machine go.

use assert_cmd::Command;
use cam_device::{Api, Kind};
use cam_scenes::Scene;
use std::collections::BTreeMap;
use std::path::Path;

/// Runs the tool in an empty folder: its exit code, what it says, and what it complains of.
fn cam(args: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let run = Command::cargo_bin("cam").unwrap().current_dir(&folder).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (run.status.code().expect("no signal ends it"), text(run.stdout), text(run.stderr))
}

#[test]
fn every_device_of_the_list_can_be_asked_for_or_says_why_not() {
    let (code, list, _) = cam(&["devices"]);
    assert_eq!(code, 0);
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"cpu"), "{list}");
    assert!(list.lines().all(|line| line.contains(" GB  ") || line.contains(" unknown  ")), "{list}");
    for listed in cam_device::list() {
        let name = listed.id.to_string();
        assert!(names.contains(&name.as_str()), "{name} is not in {list}");
        // A software driver takes long over eight methods; that it starts is asked for above.
        if listed.opened.is_ok() && listed.id.kind == Kind::Software {
            println!("skipped: a demo on {name}, which is made of software");
            continue;
        }
        let (code, _, told) = cam(&["demo", "--device", &name]);
        assert_eq!(code, if listed.opened.is_ok() { 0 } else { 13 }, "{name}: {told}");
    }
}

#[test]
fn what_is_not_compiled_in_says_how_to_build_it_and_what_is_not_there_what_to_look_for() {
    for api in Api::ALL {
        let (code, _, told) = cam(&["demo", "--device", &format!("{}:99", api.name())]);
        assert_eq!(code, 13, "{told}");
        assert_eq!(told.lines().filter(|line| line.starts_with("cam: ")).count(), 1, "one line: {told}");
        let says = match (api.is_built(), cam_device::list().iter().any(|listed| listed.id.api == api)) {
            (false, _) => {
                format!("`{0}` is not compiled into this build; build with `--features {0}`", api.name())
            }
            (true, false) => format!("`{}` finds no device", api.name()),
            (true, true) => format!("there is no `{}:99`", api.name()),
        };
        assert!(told.contains(&says), "{told}");
    }
}

#[test]
fn auto_works_on_every_machine_and_says_in_one_line_what_it_could_not_take() {
    let (code, _, told) = cam(&["demo", "--device", "auto"]);
    assert_eq!(code, 0, "{told}");
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("cam: ")).collect();
    let taken = cam_device::open(cam_device::DeviceSpec::Auto).unwrap();
    match &taken.skipped[..] {
        [] => assert_eq!(lines, [""; 0]),
        reasons => {
            assert_eq!(lines.len(), 1, "{told}");
            assert!(reasons.iter().all(|reason| lines[0].contains(reason.as_str())), "{told}");
            assert!(lines[0].ends_with(&format!("computing on {}", taken.devices[0].id)), "{told}");
        }
    }
}

#[test]
fn a_word_that_is_no_device_is_told_with_those_that_are() {
    let (code, _, told) = cam(&["demo", "--device", "tpu"]);
    assert_eq!(code, 13);
    assert!(told.contains("unknown device `tpu`; this build knows auto,") && told.contains("cpu"), "{told}");
}

#[test]
fn layers_are_ranked_on_the_device_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("scene.png").display().to_string();
    Scene::draw(30_100, 64).unwrap().image.save(&photo).unwrap();
    let (code, ranked, told) = cam(&["layers", "--rank", &photo, "--device", "cpu"]);
    assert_eq!(code, 0, "{told}");
    let (_, listed, _) = cam(&["layers"]);
    assert!(ranked.lines().count() > 1 && ranked.lines().count() <= listed.lines().count() + 1, "{ranked}");
    assert_eq!(cam(&["layers", "--rank", &photo, "--device", "tpu"]).0, 13);
    assert_eq!(cam(&["layers", "--rank", &photo, "--device", "cpu,cpu"]).0, 2);
    assert_eq!(cam(&["layers", "--device", "cpu"]).0, 2, "a list alone has no use for a device");
}

/// A folder of scenes in folders of their own, so that names clash, and a file that is no picture.
fn album(folder: &Path) {
    for number in 0..7 {
        let place = folder.join("album").join(["", "more", "most"][number % 3]);
        std::fs::create_dir_all(&place).unwrap();
        let scene = Scene::draw(30_000 + number as u64, 64).unwrap();
        scene.image.save(place.join(format!("{}.png", number / 3))).unwrap();
    }
    std::fs::write(folder.join("album/broken.png"), "no picture").unwrap();
    std::fs::copy(folder.join("album/0.png"), folder.join("0.png")).unwrap();
}

/// All files of a folder and below.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(here) = folders.pop() {
        for entry in std::fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().display().to_string();
                    // The text of an image says where it was made.
                    let bytes = match name.ends_with(".png") {
                        true => image::open(path).unwrap().into_bytes(),
                        false => std::fs::read(path).unwrap(),
                    };
                    files.insert(name, bytes);
                }
            }
        }
    }
    files
}

/// Explains an album on these devices: what is in the folder of outputs, and the report without its times.
fn explained(devices: &str, batch: &str) -> (BTreeMap<String, Vec<u8>>, serde_json::Value) {
    let folder = tempfile::tempdir().unwrap();
    album(folder.path());
    let arguments = ["explain", "album", "0.png", "--method", "gradcam,eigencam", "--npy", "--raw", "--json"];
    let run = Command::cargo_bin("cam")
        .unwrap()
        .current_dir(&folder)
        .args(arguments)
        .args(["--top", "1", "--batch-size", batch, "--device", devices])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(17), "one of the pictures is none: {told}");
    assert!(told.contains("broken.png") && told.contains("1 of 9 images"), "{told}");
    let mut report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    report.as_object_mut().unwrap().remove("seconds");
    let mut files = files(&folder.path().join("cam-out"));
    // When the pictures were drawn is no part of what was found.
    let manifest = String::from_utf8(files.remove("manifest.jsonl").unwrap()).unwrap();
    let lines = manifest.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("modified");
        line.to_string()
    });
    files.insert("manifest.jsonl".into(), lines.collect::<Vec<_>>().join("\n").into_bytes());
    (files, report)
}

#[test]
fn pictures_are_spread_over_devices_and_nothing_else_changes() {
    for batch in ["1", "3"] {
        let (alone, mut said_alone) = explained("cpu", batch);
        let (together, mut said) = explained("cpu,cpu:all,cpu:0", batch);
        assert_eq!(said["run"]["device"].take(), "cpu, cpu, cpu");
        assert_eq!(said_alone["run"]["device"].take(), "cpu");
        assert_ne!(said["run"]["arguments"].take(), said_alone["run"]["arguments"].take());
        assert_eq!(said, said_alone, "in batches of {batch}");
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&alone), names(&together));
        let differing: Vec<_> = alone.keys().filter(|name| alone[*name] != together[*name]).collect();
        assert!(differing.is_empty(), "in batches of {batch}: {differing:?}");
        assert_eq!(alone.len(), 8 * 2 * 3 + 1, "two maps of each picture, three files a map, a manifest");
    }
}

#[test]
fn what_looks_at_one_picture_takes_one_device() {
    let (code, _, told) = cam(&["demo", "--device", "cpu,cpu"]);
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("only `cam explain` spreads its images"), "{told}");
    assert_eq!(cam(&["demo", "--device", "cpu,tpu"]).0, 13);
}
