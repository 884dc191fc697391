//! `cam evaluate`: drawn scenes in, numbers out, whatever the form of the truth, and however often a run is interrupted.

use assert_cmd::Command;
use cam_scenes::Scene;
use image::{GrayImage, Luma};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder with three scenes and where their objects are.
struct Desk {
    folder: TempDir,
    scenes: Vec<Scene>,
}

impl Desk {
    fn new() -> Self {
        let seeds = (50_000..).map(|seed| Scene::draw(seed, 100).unwrap());
        let of_two = seeds
            .filter(|scene| scene.objects.len() == 2 && scene.objects[0].class != scene.objects[1].class);
        let desk = Self { folder: tempfile::tempdir().unwrap(), scenes: of_two.take(3).collect() };
        std::fs::create_dir(desk.path("photos")).unwrap();
        for (scene, name) in desk.scenes.iter().zip(["a", "b", "c"]) {
            scene.image.save(desk.path(&format!("photos/{name}.png"))).unwrap();
            for object in &scene.objects {
                let folder = desk.path(&format!("masks/{}", object.class.name()));
                std::fs::create_dir_all(&folder).unwrap();
                let inside = object.mask.as_slice();
                let pixel = |x: u32, y: u32| Luma([if inside[(y * 100 + x) as usize] { 255 } else { 0 }]);
                GrayImage::from_fn(100, 100, pixel).save(folder.join(format!("{name}.png"))).unwrap();
            }
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ends(&self, arguments: &[&str], code: i32) -> (String, String) {
        let mut cam = Command::cargo_bin("cam").unwrap();
        let done = cam.current_dir(self.folder.path()).arg("evaluate").args(arguments).assert().code(code);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&done.get_output().stdout), text(&done.get_output().stderr))
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The boxes of the objects, with the names of their images and classes: left, top, right, bottom.
    fn boxes(&self) -> Vec<(&'static str, &'static str, [u32; 4])> {
        let mut boxes = Vec::new();
        for (scene, name) in self.scenes.iter().zip(["a", "b", "c"]) {
            for object in &scene.objects {
                let inside = (0..10_000).filter(|at| object.mask.as_slice()[*at as usize]);
                let (xs, ys): (Vec<u32>, Vec<u32>) = inside.map(|at| (at % 100, at / 100)).unzip();
                let ends = |sides: &[u32]| (*sides.iter().min().unwrap(), *sides.iter().max().unwrap() + 1);
                let ((left, right), (top, bottom)) = (ends(&xs), ends(&ys));
                boxes.push((name, object.class.name(), [left, top, right, bottom]));
            }
        }
        boxes
    }
}

/// The values of a table, by method and metric.
fn values(table: &str) -> BTreeMap<(String, String), f64> {
    let rows = table.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    rows.map(|row| ((row[0].into(), row[2].into()), row[5].parse().unwrap_or(f64::NAN))).collect()
}

const CHEAP: [&str; 4] =
    ["--methods", "gradcam,eigencam", "--metrics", "pointing,energy,average-drop,discrimination,entropy"];

#[test]
fn maps_of_a_folder_are_measured_against_masks() {
    let desk = Desk::new();
    let arguments = [&["photos", "--truth", "masks", "--out", "out"][..], &CHEAP].concat();
    let (said, _) = desk.ends(&arguments, 0);
    for word in ["gradcam", "eigencam", "randomcam", "gaussian", "pointing ↑", "entropy ↓", "#1", "3 images"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    let found = values(&desk.read("out/summary.csv"));
    let of = |method: &str, metric: &str| found[&(method.into(), metric.into())];
    assert!(of("gradcam", "pointing") > of("randomcam", "pointing"), "{found:?}");
    assert!(of("gradcam", "discrimination") > 0.6, "{found:?}");
    // Four rows, of two objects of each of three images, by five metrics.
    let lines: Vec<Value> =
        desk.read("out/values.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4 * 6 * 5);
    assert_eq!(
        lines[0]["truth"],
        desk.scenes[0].objects.iter().map(|object| object.class.name()).min().unwrap()
    );
    assert_eq!(desk.read("out/values.csv").lines().count(), 1 + 4 * 6 * 5);
    // The mean of a method is that of its values.
    let drops = lines.iter().filter(|line| line["metric"] == "average-drop" && line["method"] == "gradcam");
    let drops: Vec<f64> = drops.map(|line| line["value"].as_f64().unwrap()).collect();
    assert!((drops.iter().sum::<f64>() / 6.0 - of("gradcam", "average-drop")).abs() < 1e-12);
}

#[test]
fn an_interrupted_run_continues_and_gives_the_same_numbers() {
    let desk = Desk::new();
    let run = |out: &'static str| [&["photos", "--truth", "masks", "--out", out][..], &CHEAP].concat();
    desk.ends(&run("whole"), 0);
    desk.ends(&run("cut"), 0);
    let manifest = desk.read("cut/manifest.jsonl");
    let lines: Vec<&str> = manifest.lines().collect();
    assert_eq!(lines.len(), 3);
    // A run that was killed: one image is done, and the line of the next ends in the middle.
    std::fs::write(desk.path("cut/manifest.jsonl"), format!("{}\n{}", lines[0], &lines[1][..100])).unwrap();
    let (said, _) = desk.ends(&run("cut"), 0);
    assert!(said.contains("1 of 3 images are done already"), "{said}");
    for file in ["summary.csv", "values.csv", "values.jsonl"] {
        assert_eq!(desk.read(&format!("cut/{file}")), desk.read(&format!("whole/{file}")), "{file}");
    }
    let (said, _) = desk.ends(&run("cut"), 0);
    assert!(said.contains("3 of 3 images are done already"), "{said}");
    // Other options are another evaluation: nothing of this one counts.
    let (said, _) = desk.ends(&["photos", "--out", "cut", "--methods", "gradcam", "--metrics", "entropy"], 0);
    assert!(!said.contains("done already"), "{said}");
}

#[test]
fn boxes_of_all_forms_are_the_same_truth() {
    let desk = Desk::new();
    let (mut csv, mut annotations) = ("image,class,left,top,right,bottom\n".to_string(), Vec::new());
    let mut objects: BTreeMap<&str, String> = BTreeMap::new();
    let classes: Vec<&str> = cam_scenes::Class::ALL.iter().map(|class| class.name()).collect();
    for (image, class, [left, top, right, bottom]) in desk.boxes() {
        csv += &format!("{image}.png,{class},{left},{top},{right},{bottom}\n");
        annotations.push(json!({
            "image_id": image.as_bytes()[0],
            "category_id": classes.iter().position(|name| *name == class),
            "bbox": [left, top, right - left, bottom - top],
        }));
        *objects.entry(image).or_default() += &format!(
            "<object><name>{class}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>",
            left + 1,
            top + 1
        );
    }
    std::fs::write(desk.path("boxes.csv"), csv).unwrap();
    let images: Vec<Value> = ["a", "b", "c"]
        .map(|name| json!({ "id": name.as_bytes()[0], "file_name": format!("{name}.png"), "width": 100, "height": 100 }))
        .into();
    let categories: Vec<Value> =
        classes.iter().enumerate().map(|(id, name)| json!({ "id": id, "name": name })).collect();
    let coco = json!({ "images": images, "annotations": annotations, "categories": categories });
    std::fs::write(desk.path("instances.json"), coco.to_string()).unwrap();
    std::fs::create_dir(desk.path("voc")).unwrap();
    for (image, objects) in objects {
        let text = format!(
            "<annotation><filename>{image}.png</filename><size><width>100</width><height>100</height></size>{objects}</annotation>"
        );
        std::fs::write(desk.path(&format!("voc/{image}.xml")), text).unwrap();
    }
    let tables = ["boxes.csv", "instances.json", "voc"].map(|truth| {
        let out = format!("out-{truth}");
        let arguments =
            ["photos", "--truth", truth, "--out", &out, "--methods", "gradcam", "--metrics", "localization"];
        desk.ends(&arguments, 0);
        desk.read(&format!("{out}/summary.csv"))
    });
    assert!(tables[0].contains("maxboxaccv2") && tables[0].contains("pxap"), "{}", tables[0]);
    assert_eq!(tables[0], tables[1], "COCO");
    assert_eq!(tables[0], tables[2], "VOC");
}

#[test]
fn a_class_map_says_which_classes_are_which() {
    let desk = Desk::new();
    let mut csv = "image,class,left,top,right,bottom\n".to_string();
    for (image, class, [left, top, right, bottom]) in desk.boxes() {
        csv += &format!("{image},the {class},{left},{top},{right},{bottom}\n");
    }
    std::fs::write(desk.path("boxes.csv"), csv).unwrap();
    let first = desk.scenes[0].objects[0].class.name();
    let run =
        ["photos", "--truth", "boxes.csv", "--methods", "gradcam", "--metrics", "energy", "--out", "out"];
    let (_, warned) = desk.ends(&run, 0);
    assert!(warned.contains("6 classes of images are left out"), "{warned}");
    let with_map = [&run[..], &["--class-map", "map.csv"]].concat();
    // A heading, a pattern, and a class of another model on the way.
    std::fs::write(desk.path("map.csv"), format!("truth,model\nthe {first},{}*\n", &first[..3])).unwrap();
    let (said, warned) = desk.ends(&with_map, 0);
    let count = desk
        .scenes
        .iter()
        .flat_map(|scene| &scene.objects)
        .filter(|object| object.class.name() != first)
        .count();
    assert!(warned.contains(&format!("{count} classes of images are left out")), "{warned}");
    assert!(said.contains("energy"), "{said}");
    std::fs::write(desk.path("map.csv"), "the clock,clock\nthe boat,boat\n").unwrap();
    let (_, wrong) = desk.ends(&with_map, 7);
    assert!(wrong.contains("line 2: the model has no class `boat`"), "{wrong}");
}

#[test]
fn what_cannot_be_evaluated_is_one_line() {
    let desk = Desk::new();
    for (arguments, code, reason) in [
        (&["photos", "--metrics", "pointin"][..], 5, "no metric is called `pointin`; did you mean pointing"),
        (&["photos", "--metrics", "pointing"], 2, "`pointing` needs to know where objects are: `--truth`"),
        (&["photos", "--truth", "none.json"], 7, "none.json"),
        (&["photos", "--truth", "photos/a.png"], 7, "it is not COCO's JSON"),
        (&["none.jsonl"], 7, "none.jsonl"),
    ] {
        let (_, wrong) = desk.ends(arguments, code);
        assert!(wrong.contains(reason), "{arguments:?}: {wrong}");
        assert_eq!(wrong.trim().lines().count(), 1, "{wrong}");
    }
    // A file that is no image does not stop the others.
    std::fs::write(desk.path("photos/broken.png"), "none").unwrap();
    let (said, wrong) = desk.ends(&["photos", "--methods", "gradcam", "--metrics", "entropy"], 17);
    assert!(said.contains("3 images") && wrong.contains("broken.png"), "{said}{wrong}");
}

#[test]
fn shards_merge_to_the_bit() {
    let desk = Desk::new();
    let run = |more: &[&'static str]| [&["photos", "--truth", "masks"][..], more, &CHEAP].concat();
    desk.ends(&run(&["--out", "whole"]), 0);
    desk.ends(&run(&["--shard", "2/2", "--out", "two"]), 0);
    let (_, wrong) = desk.ends(&["--merge", "two", "--out", "merged"], 7);
    assert!(wrong.contains("shard 1/2 is missing"), "{wrong}");
    desk.ends(&run(&["--shard", "1/2", "--out", "one"]), 0);
    desk.ends(&["--merge", "two", "one", "--out", "merged"], 0);
    for file in ["summary.csv", "values.csv", "values.jsonl"] {
        assert_eq!(desk.read(&format!("merged/{file}")), desk.read(&format!("whole/{file}")), "{file}");
    }
    let (_, wrong) = desk.ends(&["--merge", "one", "two", "one", "--out", "merged"], 7);
    assert!(wrong.contains("shard 1/2 is doubled: `one` has it, too"), "{wrong}");
    // A shard that was interrupted.
    let manifest = desk.read("one/manifest.jsonl");
    std::fs::write(desk.path("one/manifest.jsonl"), manifest.lines().next().unwrap().to_string() + "\n")
        .unwrap();
    let (_, wrong) = desk.ends(&["--merge", "one", "two", "--out", "merged"], 7);
    assert!(wrong.contains("shard 1/2 is not finished: 1 of 2 images"), "{wrong}");
}

#[test]
fn the_best_method_and_layer_are_named() {
    let desk = Desk::new();
    let tune = |more: &[&str]| {
        let arguments = [&["tune", "photos/a.png"][..], more].concat();
        let mut cam = Command::cargo_bin("cam").unwrap();
        let done = cam.current_dir(desk.folder.path()).args(arguments).assert();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.get_output().status.code(), text(&done.get_output().stdout), text(&done.get_output().stderr))
    };
    let (code, said, warned) = tune(&[
        "--methods",
        "gradcam,hirescam",
        "--layers",
        "layer3.0,layer4.0",
        "--metric",
        "deletion",
        "--out",
        "best.png",
    ]);
    assert_eq!(code, Some(0), "{warned}");
    for word in [
        "Deletion ↓",
        "gradcam at layer3.0",
        "(default)",
        "(baseline)",
        "the best is ",
        "--layer layer",
        "best.png",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(warned.contains("of one photo there is no interval"), "{warned}");
    assert!(image::open(desk.path("best.png")).is_ok());
    let (code, _, wrong) = tune(&["--metric", "pointing"]);
    assert!(code == Some(2) && wrong.contains("cam evaluate --truth"), "{wrong}");

    let mut cam = Command::cargo_bin("cam").unwrap();
    let done = cam
        .current_dir(desk.folder.path())
        .args(["layers", "--rank", "photos/a.png", "--metric", "average-drop"])
        .assert()
        .success();
    let said = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    let values: Vec<f64> =
        said.lines().skip(1).filter_map(|line| line.split_whitespace().last()?.parse().ok()).collect();
    assert!(values.len() > 4 && values.is_sorted(), "the lowest drop first: {said}");
}

#[test]
fn what_the_model_gets_right_can_be_left_out() {
    let desk = Desk::new();
    let run = [
        "photos",
        "--truth",
        "masks",
        "--methods",
        "gradcam",
        "--metrics",
        "energy",
        "--only-wrong",
        "--out",
        "out",
    ];
    let (said, warned) = desk.ends(&run, 0);
    // The built-in model knows these scenes: the top prediction of each is one of its two objects.
    assert!(warned.contains("3 images are left out, because the model gets them right"), "{warned}");
    assert!(said.contains("3 images"), "{said}");
}
