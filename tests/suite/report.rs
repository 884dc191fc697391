//! The page that `cam explain --html` writes: that it is whole, reaches for nothing, and takes no name for markup.

use assert_cmd::Command;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cam_scenes::Scene;
use flate2::read::ZlibDecoder;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A name that is markup.
const HOSTILE: &str = "</script><script>document.title = 'taken'</script><!-- & \"fish\" {{data}} {{script}}";

/// A folder with two drawn scenes, one of a hostile name, and class names of which one is hostile.
fn desk() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let picture =
        |seed, name: &str| Scene::draw(seed, 200).unwrap().image.save(folder.path().join(name)).unwrap();
    picture(10_000, "scene.png");
    picture(10_001, "<img src=x onerror=document.title='taken'>.png");
    let names: Vec<String> =
        (0..10).map(|class| if class == 2 { HOSTILE.into() } else { format!("class {class}") }).collect();
    std::fs::write(folder.path().join("names.txt"), names.join("\n")).unwrap();
    folder
}

fn cam(folder: &Path, line: &str) -> assert_cmd::assert::Assert {
    let mut cam = Command::cargo_bin("cam").unwrap();
    cam.current_dir(folder).args(line.split(' ')).env("HF_HUB_OFFLINE", "1").assert()
}

/// A page of two pictures, two classes, two layers and two methods.
fn page(folder: &Path) -> String {
    let mut arguments = "explain --labels names.txt --class 2 --class 3 --layer layer3.0,layer4.0 --method gradcam --method layercam --html page.html".split(' ').collect::<Vec<_>>();
    arguments.extend(["scene.png", "<img src=x onerror=document.title='taken'>.png"]);
    let mut cam = Command::cargo_bin("cam").unwrap();
    let done = cam.current_dir(folder).args(arguments).assert().success();
    let said = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(said.contains("page.html"), "it says where the page is: {said}");
    std::fs::read_to_string(folder.join("page.html")).unwrap()
}

/// The block of data of a page.
fn data(page: &str) -> Value {
    let start = page.find(r#"type="application/json">"#).unwrap() + r#"type="application/json">"#.len();
    let end = start + page[start..].find("</script>").unwrap();
    serde_json::from_str(&page[start..end]).unwrap()
}

fn unpacked(text: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packed = STANDARD.decode(text.as_str().unwrap()).unwrap();
    ZlibDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_page_holds_all_that_was_asked_and_how_it_was_made() {
    let desk = desk();
    let data = data(&page(desk.path()));
    let images = data["images"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    for picture in images {
        assert_eq!((&picture["size"], &picture["area"]), (&[200, 200].into(), &[0, 0, 200, 200].into()));
        assert_eq!(picture["top"].as_array().unwrap().len(), 5);
        let (kind, photo) = picture["photo"].as_str().unwrap().split_once(";base64,").unwrap();
        assert!(["data:image/png", "data:image/jpeg"].contains(&kind));
        let photo = image::load_from_memory(&STANDARD.decode(photo).unwrap()).unwrap();
        assert_eq!((photo.width(), photo.height()), (200, 200));
        let maps = picture["maps"].as_array().unwrap();
        assert_eq!(maps.len(), 2 * 2 * 2, "classes, layers, methods");
        for map in maps {
            assert_eq!(map["label"], if map["class"] == 2 { HOSTILE.into() } else { "class 3".to_string() });
            assert!(map["paper"].as_str().unwrap().starts_with("https://"));
            let shades = unpacked(&map["heat"]["data"]);
            assert_eq!(shades.len(), 128 * 128);
            // A map is scaled to its hottest place, unless there is no evidence, which is told.
            let told = map["warnings"].as_array().unwrap();
            assert!(shades.contains(&254) || !told.is_empty() && shades.iter().all(|shade| *shade == 0));
            let side = if map["layer"] == "layer3.0" { 16 } else { 8 };
            assert_eq!(map["raw"]["size"], serde_json::json!([side, side]));
            assert_eq!(unpacked(&map["raw"]["data"]).len(), 4 * side * side);
        }
    }
    let made = &data["made"];
    assert_eq!((&made["model"], &made["weights"]), (&"scenes".into(), &"built in".into()));
    let weights = std::fs::read("crates/cam-models/models/scenes.safetensors").unwrap();
    let sha256: String =
        <sha2::Sha256 as sha2::Digest>::digest(weights).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(made["sha256"], sha256);
    assert!(made["command"].as_str().unwrap().starts_with("cam explain --labels names.txt --class 2"));
    assert!(made["software"].as_str().unwrap().contains("Burn"));
    assert_eq!(made["methods"][1]["name"], "layercam");
}

#[test]
fn the_raw_values_are_those_of_the_map_to_the_bit() {
    let desk = desk();
    cam(desk.path(), "explain scene.png --class 3 --raw --npy --html page.html --out maps").success();
    let data = data(&std::fs::read_to_string(desk.path().join("page.html")).unwrap());
    let map = &data["images"][0]["maps"][0];
    let file = |end: &str| {
        let entries = std::fs::read_dir(desk.path().join("maps")).unwrap().map(|entry| entry.unwrap().path());
        let path = entries.into_iter().find(|path| path.to_string_lossy().ends_with(end)).unwrap();
        npyz::NpyFile::new(&std::fs::read(path).unwrap()[..]).unwrap().into_vec::<f32>().unwrap()
    };
    let raw: Vec<f32> = unpacked(&map["raw"]["data"])
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(raw, file("_raw.npy"));
    let shades = unpacked(&map["heat"]["data"]);
    let heat = file("3.npy");
    // Half a shade of 254, and rounding.
    assert!(
        shades
            .iter()
            .zip(&heat)
            .all(|(shade, heat)| (f32::from(*shade) / 254.0 - heat).abs() < 0.5 / 254.0 + 1e-6)
    );
}

#[test]
fn the_page_reaches_for_nothing_and_takes_no_name_for_markup() {
    let desk = desk();
    let page = page(desk.path());
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for tag in ["html", "head", "body", "style", "main", "template", "article"] {
        let count = |what: String| page.matches(&what).count();
        assert_eq!(
            (count(format!("<{tag}>")) + count(format!("<{tag} ")), count(format!("</{tag}>"))),
            (1, 1),
            "{tag}"
        );
    }
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (2, 2));
    assert!(page.contains("Content-Security-Policy\" content=\"default-src 'none';"));

    let start = page.find("<script id=\"data\"").unwrap();
    let end = start + page[start..].find("</script>").unwrap();
    let around = format!("{}{}", &page[..start], &page[end..]);
    for outside in [
        "http:",
        "https:",
        "//cdn",
        "@import",
        "url(",
        "src=",
        "<link",
        "fetch(",
        "XMLHttpRequest",
        "import(",
    ] {
        assert!(!around.contains(outside), "`{outside}` in the template");
    }
    for name in ["taken", "{{"] {
        assert!(!around.contains(name), "`{name}` outside of the data");
    }
    // Nothing in the data can end it.
    let data = &page[start + 1..end];
    assert!(!data.contains('<'));
}

#[test]
fn a_run_that_fails_leaves_the_page_that_was_there() {
    let desk = desk();
    std::fs::write(desk.path().join("page.html"), "mine").unwrap();
    cam(desk.path(), "explain scene.png none.jpg --layer nine --html page.html").failure();
    assert_eq!(std::fs::read_to_string(desk.path().join("page.html")).unwrap(), "mine");
    cam(desk.path(), "explain scene.png --html scene.png/page.html").failure().code(12);
}

/// A browser, where there is one.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let found = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: no Chromium in PATH");
    }
    found
}

#[test]
fn in_a_browser_the_slider_moves_and_the_pointer_reads() {
    let Some(browser) = browser() else { return };
    let desk = desk();
    let page = page(desk.path());
    let data = data(&page);
    // `drive.js` uses the page as a person does and leaves what it saw as text.
    let driven = page
        .replace("</body>", &format!("<script>\n{}\n</script>\n</body>", include_str!("report/drive.js")));
    let path = desk.path().join("driven.html");
    std::fs::write(&path, driven).unwrap();
    let mut chromium = std::process::Command::new(browser);
    chromium.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=60000",
        "--dump-dom",
    ]);
    chromium.arg(format!("--user-data-dir={}", desk.path().join("profile").display()));
    let shown = chromium.arg(format!("file://{}", path.display())).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let seen = shown.split("<pre id=\"seen\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let seen: Value =
        serde_json::from_str(seen.unwrap_or_else(|| panic!("the page was not drawn: {shown:.3000}")))
            .unwrap();

    assert_eq!(seen["title"], "Where did scenes look?", "no name ran as a script");
    assert_eq!((&seen["articles"], &seen["choices"], &seen["guesses"]), (&2.into(), &16.into(), &10.into()));
    assert_eq!((&seen["scripts"], &seen["images"]), (&3.into(), &0.into()), "no name became an element");
    assert_eq!(seen["photo_at_0"], true, "at the left end the photo is seen as it is");
    assert_eq!(seen["moved"], true, "the slider changes the picture");
    assert_eq!(seen["wiped"], true, "the wipe leaves the photo on its right");

    // Cell 3, 5 of the 16 x 16 of the first map, as the data have it.
    let map = &data["images"][0]["maps"][0];
    let raw = unpacked(&map["raw"]["data"]);
    let at = 4 * (5 * 16 + 3);
    let value = f32::from_le_bytes(raw[at..at + 4].try_into().unwrap());
    let heat = f32::from(unpacked(&map["heat"]["data"])[44 * 128 + 28]) / 254.0;
    let read = seen["read"].as_str().unwrap();
    assert!(read.contains("cell 3, 5 of 16 × 16"), "{read}");
    assert!(read.contains(&format!("heat {heat:.2}")), "{read}");
    let told: f32 = read
        .split("raw evidence ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .replace('−', "-")
        .parse()
        .unwrap();
    assert!((told - value).abs() <= 1e-3 * value.abs(), "{read}: {value}");
    assert!(
        seen["stepped"].as_str().unwrap().contains("cell 4, 5 of 16 × 16"),
        "the arrow keys go on: {seen}"
    );
    assert_eq!(seen["chosen"], "layercam", "another map is chosen");
    assert_eq!(seen["link"], "#picture-0/map-1", "each map has a link");
    assert_eq!(seen["besides"], serde_json::json!([true, false, true]), "a map is beside the chosen one");
    assert_eq!(seen["picked"], true, "menus choose each map");
    assert_eq!(seen["named"][0], false, "both have their names then");
    assert!(seen["named"][1].as_str().unwrap().ends_with(", gradcam at layer3.0"), "{}", seen["named"]);
    assert_eq!(seen["followed"][0], "#picture-1/map-3", "an address chooses its map");
    assert!(seen["followed"][1].as_i64().unwrap().abs() < 100, "and shows it: {}", seen["followed"]);
}

#[test]
fn how_far_a_map_varies_is_on_the_page_where_it_is_asked_for() {
    let folder = desk();
    let page = |line: &str| {
        cam(folder.path(), &format!("explain scene.png {line} --html page.html")).success();
        data(&std::fs::read_to_string(folder.path().join("page.html")).unwrap())
    };
    let spread = page("--aug-smooth --show-std")["images"][0]["maps"][0]["std"].clone();
    assert_eq!((spread["size"][0].as_u64(), spread["low"].as_f64()), (Some(128), Some(0.0)));
    assert!(spread["high"].as_f64().is_some_and(|most| most > 0.0 && most <= 0.5), "{spread}");
    let shades = unpacked(&spread["data"]);
    assert_eq!((shades.len(), shades.iter().max()), (128 * 128, Some(&254)), "up to the largest value");
    assert!(page("--aug-smooth")["images"][0]["maps"][0]["std"].is_null());
}
