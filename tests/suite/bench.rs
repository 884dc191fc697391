//! `cam bench`, as a person and a script use it.

use assert_cmd::Command;
use serde_json::Value;

fn cam(arguments: &[&str]) -> Command {
    let mut cam = Command::cargo_bin("cam").unwrap();
    cam.arg("bench").args(arguments).env("HF_HUB_OFFLINE", "1");
    cam
}

fn says(arguments: &[&str]) -> String {
    let done = cam(arguments).assert().success();
    String::from_utf8(done.get_output().stdout.clone()).unwrap()
}

fn rows(arguments: &[&str]) -> Vec<Value> {
    serde_json::from_str(&says(arguments)).expect("standard output is one JSON list and nothing else")
}

#[test]
fn every_layer_and_method_is_one_object() {
    let asked = ["--layer", "layer2.0", "--layer", "layer3.0", "--method", "gradcam", "--method", "scorecam"];
    let rows = rows(&[&asked[..], &["--batch", "2", "--repeat", "2", "--json"]].concat());
    let places: Vec<_> =
        rows.iter().map(|row| [&row["layer"], &row["method"]].map(|x| x.as_str().unwrap())).collect();
    let expected = [
        ["layer2.0", "gradcam"],
        ["layer2.0", "scorecam"],
        ["layer3.0", "gradcam"],
        ["layer3.0", "scorecam"],
    ];
    assert_eq!(places, expected);
    for row in &rows {
        let fields: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "batch",
            "classes",
            "device",
            "explain",
            "forward",
            "forwards",
            "layer",
            "method",
            "model",
            "peak_memory",
            "threads",
            "warm_up",
        ];
        assert_eq!(fields.len(), expected.len());
        assert!(expected.iter().all(|field| fields.contains(field)), "{fields:?}");
        assert_eq!((row["model"].as_str(), row["batch"].as_u64()), (Some("scenes"), Some(2)));
        assert!(row["forward"].as_f64().unwrap() > 0.0 && row["explain"].as_f64().unwrap() > 0.0);
        assert!(row["warm_up"].as_f64().unwrap() > 0.0);
        assert!(row["threads"].as_u64().unwrap() >= 1 && row["peak_memory"].as_u64().unwrap() > 1000);
    }
    // One pass and part of a walk back; one pass for each channel that is not like another (64 in the third stage).
    assert!((1.0..2.0).contains(&rows[2]["forwards"].as_f64().unwrap()));
    assert!((10.0..=65.0).contains(&rows[3]["forwards"].as_f64().unwrap()));
}

#[test]
fn fewer_channels_are_fewer_passes() {
    let asked = ["--method", "scorecam", "--channels", "5", "--repeat", "1", "--json"];
    let forwards = rows(&asked)[0]["forwards"].as_f64().unwrap();
    assert!((2.0..=6.0).contains(&forwards), "{forwards}");
}

#[test]
fn a_smaller_budget_is_kept_and_changes_no_pass() {
    let peak = |memory: &str| {
        let asked = ["--method", "scorecam", "--memory", memory, "--repeat", "1", "--json"];
        let row = rows(&asked).remove(0);
        (row["peak_memory"].as_u64().unwrap(), row["forwards"].as_f64().unwrap())
    };
    let (small, large) = (peak("4MiB"), peak("64MiB"));
    assert_eq!(small.1, large.1);
    assert!(small.0 < 8 << 20 && small.0 < large.0 && large.0 < 80 << 20, "{small:?} {large:?}");
}

#[test]
fn all_methods_that_have_something_to_see_are_measured() {
    let rows = rows(&["--method", "all", "--channels", "2", "--repeat", "1", "--json"]);
    let methods: Vec<_> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert!(
        ["gradcam", "eigencam", "sscam", "fullgrad", "randomcam"].iter().all(|name| methods.contains(name))
    );
    // This network has no attention, and more than a pooling behind the layer.
    assert!(["legrad", "rollout", "cam"].iter().all(|name| !methods.contains(name)), "{methods:?}");
}

#[test]
fn without_json_it_is_a_table() {
    let table = says(&["--repeat", "1"]);
    assert!(table.starts_with("scenes, batch of 1, cpu, "), "{table}");
    assert!(table.lines().nth(2).unwrap().starts_with("gradcam  layer3.0"), "{table}");
}

#[test]
fn what_is_not_there_is_told_before_anything_runs() {
    let refused = |arguments: &[&str], code: i32, words: &str| {
        let done = cam(arguments).assert().failure();
        let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert_eq!(done.get_output().status.code(), Some(code), "{said}");
        assert!(said.contains(words) && done.get_output().stdout.is_empty(), "{said}");
    };
    refused(&["--method", "gradcan", "--json"], 5, "no method is called `gradcan`");
    refused(&["--model", "resnet5"], 6, "resnet5");
    refused(&["--layer", "layer9"], 3, "layer9");
    refused(&["--memory", "much"], 2, "256MiB");
    refused(&["--repeat", "0"], 2, "--repeat");
    refused(&["--device", "abacus"], 13, "abacus");
}

#[test]
fn classes_layers_and_methods_share_one_forward_pass() {
    let asked = ["--layer", "layer3.0", "--layer", "layer4.0", "--method", "gradcam", "--method", "layercam"];
    let rows = rows(&[&asked[..], &["--classes", "3", "--together", "--repeat", "1", "--json"]].concat());
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((row["layer"].as_str(), row["classes"].as_u64()), (Some("layer3.0, layer4.0"), Some(3)));
    assert_eq!(row["method"].as_str(), Some("gradcam + layercam"));
    // A forward pass and a walk back through the half that is behind layer3.0; for each further class that half again, both ways.
    assert!((1.0..=3.6).contains(&row["forwards"].as_f64().unwrap()), "{row}");
}

/// What a process holds, in bytes; nothing where the system does not tell.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

#[test]
fn memory_stays_flat_over_many_explanations() {
    // Peaks of whole processes: one that explains 20 times, and one that does 600 times.
    let peak = |repeat: &str| -> Option<u64> {
        let cam = assert_cmd::cargo::cargo_bin("cam");
        let mut cam = std::process::Command::new(cam)
            .args(["bench", "--method", "gradcam", "--method", "ablationcam", "--json", "--repeat", repeat])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut most = None;
        while cam.try_wait().unwrap().is_none() {
            most = resident(cam.id()).or(most);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        most
    };
    let (Some(few), Some(many)) = (peak("20"), peak("600")) else {
        return eprintln!("skipped: this system does not tell what a process holds");
    };
    // A lost map of 128 x 128 numbers an explanation would be 38 MB.
    assert!(many < few + (20 << 20), "{few} bytes grew to {many}");
}
