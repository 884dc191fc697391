//! The words of the project are those of its field: no name and no phrase of its first years comes back.

use std::path::{Path, PathBuf};

/// Names that were replaced, and the crate that they were in; an empty crate is any of them.
const NAMES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "Alike",
            "Passes",
            "Round",
            "Seen",
            "Sight",
            "at_once",
            "hush",
            "in_steps",
            "labelled",
            "on_tape",
            "packed",
            "recognise",
            "recognised",
            "settle",
            "spelt",
            "spread",
            "told",
            "waits",
        ],
    ),
    (
        "cam-cli",
        &["Asked", "Desk", "Left", "Loudness", "News", "Order", "Studio", "album", "cost", "crew", "doubt"],
    ),
    ("cam-cli", &["hand_over", "looking", "lookings", "painting", "strip", "studio", "trouble", "words"]),
    (
        "cam-core",
        &["Asked", "Checks", "Course", "Edit", "Finish", "Flat", "Gates", "Health", "Judge", "Leaf", "Log"],
    ),
    ("cam-core", &["Maps", "Memory", "Watched", "choice", "heat", "now", "read_backs"]),
    ("cam-device", &["Listed", "Opened", "Taken", "Wanted", "Which"]),
    ("burn-cam", &["Found", "looks", "with"]),
    ("cam-models", &["Card", "Config", "Filler", "Outline", "Own", "ShapeOf", "Spelling", "own"]),
    ("cam-nn", &["Back", "Plane", "Residual", "plane", "steps", "taped"]),
];

/// Modules that were renamed, and the crate that they were in.
const MODULES: &[(&str, &[&str])] = &[("cam-kernels", &["outputs", "panel", "picture", "share"])];

/// Phrases that were replaced by plain ones.
const PHRASES: &[&str] = &[
    "a line a photo",
    "a map a line",
    "as burn has it",
    "as python has it",
    "near it are",
    "nobody says",
    "of one's own",
    "one that none knows",
    "something unforeseen",
    "stands in",
    "the processor",
    "wants",
    "where nothing is said",
];

/// Words that were replaced.
const WORDS: &[&str] = &["alike", "colour", "grey", "honour", "licence", "pictures"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder with one of these extensions.
fn files(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match path.is_dir() {
            true => files(&path, extensions, found),
            false if extensions.contains(&extension) => found.push(path),
            false => {}
        }
    }
}

/// The name that a line of Rust defines, and the flag that it sets.
fn defined(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub").map_or(line, |rest| match rest.strip_prefix("(crate)") {
        Some(rest) => rest.trim_start(),
        None => rest.trim_start_matches("(super)").trim_start(),
    });
    let line = ["const ", "async "].iter().fold(line, |line, word| line.strip_prefix(word).unwrap_or(line));
    let kinds = ["fn ", "struct ", "enum ", "trait ", "type ", "mod ", "static "];
    let name = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    Some(name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default())
}

#[test]
fn no_name_of_the_first_years_is_defined() {
    let mut found = Vec::new();
    files(&root().join("crates"), &["rs"], &mut found);
    assert!(found.len() > 100);
    let mut wrong = Vec::new();
    for file in found {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        let of_crate = |of: &str| of.is_empty() || path.starts_with(&format!("crates/{of}/"));
        let select = |lists: &'static [(&str, &[&str])]| -> Vec<&'static str> {
            lists.iter().filter(|(of, _)| of_crate(of)).flat_map(|(_, names)| names.iter().copied()).collect()
        };
        let (names, modules) = (select(NAMES), select(MODULES));
        let module = file.file_stem().unwrap().to_str().unwrap();
        if path.contains("/src/") && (names.contains(&module) || modules.contains(&module)) {
            wrong.push(format!("{path}: the module `{module}`"));
        }
        for (number, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            if let Some(name) = defined(line).filter(|name| names.contains(name)) {
                wrong.push(format!("{path}:{}: `{name}`", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_prose_is_plain_american_english() {
    let mut found = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    files(&root().join("crates"), &["rs", "md", "toml", "html", "js"], &mut found);
    files(&root().join("docs"), &["md"], &mut found);
    let mut wrong = Vec::new();
    for file in found {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        for (number, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '\'').collect();
            let text = format!(" {} ", words.join(" ")).to_lowercase();
            let phrase = PHRASES.iter().find(|phrase| text.contains(&format!(" {phrase} ")));
            let word = WORDS.iter().find(|word| words.contains(word));
            if let Some(used) = phrase.or(word) {
                wrong.push(format!("{path}:{}: {used}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn definitions_are_recognized() {
    assert_eq!(defined("    pub(crate) async fn settle(self)"), Some("settle"));
    assert_eq!(defined("pub struct Maps<T> {"), Some("Maps"));
    assert_eq!(defined("    let settle = 1;"), None);
}
