//! Names of files are bytes, and text of files is not to be trusted: what is in neither UTF-8 nor one line is no trouble.

#![cfg(unix)]

use assert_cmd::Command;
use cam_scenes::Scene;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use tempfile::TempDir;

/// A name that is not UTF-8, and ends so.
fn bytes(end: &str) -> OsString {
    OsString::from_vec([b"h\xe9 \xff", end.as_bytes()].concat())
}

struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.folder.path().join(name.as_ref())
    }

    fn scene(&self, name: impl AsRef<OsStr>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, burn_cam::draw::encode(&Scene::draw(7, 64).unwrap().image, "png").unwrap())
            .unwrap();
    }

    /// Runs, and returns the exit code, standard output and standard error.
    fn cam<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> (Option<i32>, String, String) {
        let mut cam = Command::cargo_bin("cam").unwrap();
        let done = cam.current_dir(self.folder.path()).args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    }

    /// Runs, expects success, and returns standard output.
    #[track_caller]
    fn says<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let (code, said, wrong) = self.cam(arguments);
        assert_eq!(code, Some(0), "{said}{wrong}");
        said
    }
}

/// The words of a command line.
macro_rules! words {
    ($($word:expr),* $(,)?) => { [$(OsString::from($word)),*] };
}

#[test]
fn a_photo_in_a_subfolder_is_done_whatever_its_name() {
    let desk = Desk::new();
    let below = [OsStr::from_bytes(b"album/\xfe"), &bytes(".png")].join(OsStr::new("/"));
    desk.scene(&below);
    desk.scene("album/a.png");
    for out in [bytes("out"), "plain".into()] {
        let run = || desk.says(words!["explain", "album", "--out", &out]);
        assert!(!run().contains("done already"));
        assert!(run().starts_with("2 of 2 images are done already\n"), "{}", run());
        for command in ["compare", "guided"] {
            let run = || desk.says(words![command, "album", "--out", &out]);
            assert!(!run().contains("done already"));
            assert!(run().starts_with("2 of 2 images are done already\n"), "{}", run());
        }
        let manifest = std::fs::read_to_string(desk.path(&out).join("manifest.jsonl")).unwrap();
        let inputs: Vec<Value> = manifest
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["input"].take())
            .collect();
        assert!(inputs.iter().any(|input| input == "album/a.png"), "{manifest}");
        // In base64.
        assert!(inputs.iter().any(|input| input["bytes"] == "YWxidW0v/i9o6SD/LnBuZw=="), "{manifest}");
    }
}

#[test]
fn weights_class_names_and_pages_may_have_any_name() {
    let desk = Desk::new();
    desk.scene("a.png");
    let scenes = crate::support::repository().join("crates/cam-models/models/scenes.safetensors");
    for (end, file) in [(".safetensors", "safetensors"), ("", "safetensors")] {
        std::fs::copy(&scenes, desk.path(bytes(end))).unwrap();
        std::fs::write(desk.path(bytes(".txt")), (0..10).map(|i| format!("class {i}\n")).collect::<String>())
            .unwrap();
        let model = words!["--weights", bytes(end), "--labels", bytes(".txt")];
        let said =
            desk.says(words!["explain", "a.png", "--html", bytes(".html")].into_iter().chain(model.clone()));
        assert!(said.contains("class "), "{file}: {said}");
        let page = std::fs::read_to_string(desk.path(bytes(".html"))).unwrap();
        assert!(page.contains("class "));
        for form in ["--json", "--json=lines"] {
            let said = desk.says(words!["explain", "a.png", form].into_iter().chain(model.clone()));
            assert!(serde_json::from_str::<Value>(said.lines().next().unwrap()).is_ok() || form == "--json");
        }
        desk.says(words!["explain", ".", "--out", "all"].into_iter().chain(model.clone()));
        let said = desk.says(words!["explain", ".", "--out", "all"].into_iter().chain(model));
        assert!(said.contains("done already"), "{said}");
    }
    std::fs::write(desk.path(bytes(".pth")), "none").unwrap();
    let (code, _, wrong) = desk.cam(words!["layers", "--weights", bytes(".pth")]);
    assert_eq!((code, wrong.lines().count()), (Some(9), 1), "{wrong}");
}

#[test]
fn a_photo_that_fails_is_reported_whatever_its_name() {
    let desk = Desk::new();
    desk.scene("album/a.png");
    std::fs::write(desk.path("album").join(bytes(".png")), "no photo").unwrap();
    for form in ["--json", "--json=lines"] {
        let (code, said, wrong) = desk.cam(["explain", "album", form]);
        assert_eq!(code, Some(17), "{wrong}");
        assert!(said.contains(r#"{"bytes":"YWxidW0vaOkg/y5wbmc="}"#), "{said}");
        assert!(wrong.contains("cam: cannot read the image `album/h"), "{wrong}");
    }
}

#[test]
fn text_of_files_cannot_change_the_terminal_and_is_cut() {
    let desk = Desk::new();
    let name = "a\u{1b}[2Jb\n.png";
    desk.scene(name);
    let label = |class: usize| match class {
        0 => "\u{1b}]0;title\u{7}".to_string(),
        _ => "x".repeat(1 << 16) + &class.to_string(),
    };
    std::fs::write(desk.path("names.txt"), (0..10).map(|i| label(i) + "\n").collect::<String>()).unwrap();
    let (code, said, wrong) =
        desk.cam(["explain", name, "--labels", "names.txt", "--top", "10", "--verbose"]);
    assert_eq!(code, Some(0), "{wrong}");
    let shown = said + &wrong;
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    assert!(shown.lines().all(|line| line.len() < 20_000), "{}", shown.len());
    let (code, _, wrong) = desk.cam(["explain", "none\u{1b}[2J.png", "--class", "\u{9b}2J"]);
    assert!(code != Some(0) && wrong.chars().all(|c| c == '\n' || !c.is_control()), "{wrong:?}");
}

/// One byte that is not UTF-8, a line of another program, and one that is too long to be read.
#[test]
fn a_damaged_manifest_costs_the_lines_that_are_damaged() {
    let desk = Desk::new();
    for name in ["album/a.png", "album/b.png", "album/c.png"] {
        desk.scene(name);
    }
    let run = || desk.says(["explain", "album"]);
    run();
    let path = desk.path("cam-out/manifest.jsonl");
    let whole = std::fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let mut spoilt = lines[1].to_vec();
    spoilt[20] = 0xff;
    let long = [&b"{\"input\":\""[..], &b"x".repeat(9 << 20), b"\"}\n"].concat();
    std::fs::write(&path, [lines[0], &spoilt, b"\0\xff\n[]\n", &long, lines[2]].concat()).unwrap();
    assert!(run().starts_with("2 of 3 images are done already\n"));
    let mended = std::fs::read(&path).unwrap();
    assert_eq!(
        mended.iter().filter(|byte| **byte == b'\n').count(),
        3,
        "{}",
        String::from_utf8_lossy(&mended)
    );
    assert!(run().starts_with("3 of 3 images are done already\n"));
}

#[test]
fn outputs_are_not_taken_for_photos_however_their_folder_is_reached() {
    let desk = Desk::new();
    desk.scene("photos/a.png");
    std::os::unix::fs::symlink("photos", desk.path("link")).unwrap();
    let done = |said: String| said.starts_with("1 of 1 images are done already\n");
    // The folder of the photos itself, then by a link, then from within, then one below it.
    desk.says(["explain", "--top", "1", "photos", "--out", "photos"]);
    assert!(done(desk.says(["explain", "--top", "1", "photos", "--out", "link"])));
    let fresh = desk.says(["explain", "--top", "1", "link", "--out", "photos", "--fresh"]);
    assert_eq!(fresh.matches("by gradcam").count(), 1);
    let mut within = Command::cargo_bin("cam").unwrap();
    let said = within
        .current_dir(desk.path("photos"))
        .args(["explain", "--top", "1", ".", "--out", "."])
        .output()
        .unwrap()
        .stdout;
    assert_eq!(
        String::from_utf8_lossy(&said).matches("by gradcam").count(),
        1,
        "{}",
        String::from_utf8_lossy(&said)
    );
    for out in ["photos/maps", "link/more"] {
        let said = desk.says(["explain", "--top", "1", "photos", "--out", out]);
        assert_eq!(said.matches("by gradcam").count(), 1, "{said}");
        assert!(done(desk.says(["explain", "--top", "1", "photos", "--out", out])));
    }
}
