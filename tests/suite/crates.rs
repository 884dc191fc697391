//! What a program with a model of its own builds beside Burn.

use crate::support::repository;
use std::collections::BTreeSet;
use std::process::Command;

/// The crates of a program with these dependencies, as `cargo tree` has them.
fn crates_of(dependencies: &str) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[package]\nname = 'program'\nversion = '0.0.0'\nedition = '2024'\n[workspace]\n[dependencies]\n\
         burn = {{ version = '0.22.1', default-features = false, features = ['std', 'flex', 'simd', 'rayon'] }}\n{dependencies}\n"
    );
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/main.rs"), "fn main() {}").unwrap();
    std::fs::copy(repository().join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    let mut tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tree.args(["tree", "--offline", "--edges", "normal", "--prefix", "none"]).current_dir(folder.path());
    let told = tree.output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let lines = String::from_utf8(told.stdout).unwrap();
    let other = lines.lines().filter(|line| !line.starts_with("program "));
    other.map(|line| line.trim_end_matches(" (*)").to_string()).collect()
}

/// Without the shipped networks, a program that explains its own model builds 45 crates more at most.
#[test]
fn a_program_with_its_own_model_builds_few_crates() {
    let path = repository().join("crates/burn-cam");
    let ours =
        format!("burn-cam = {{ path = '{}', default-features = false, features = ['cpu'] }}", path.display());
    let (plain, with_maps) = (crates_of(""), crates_of(&ours));
    let more: Vec<&String> = with_maps.difference(&plain).collect();
    assert!(plain.len() > 100 && (20..=45).contains(&more.len()), "{} crates more: {more:?}", more.len());
    let told = std::fs::read_to_string(repository().join("docs/your-model.md")).unwrap();
    assert!(told.contains(&format!("builds {} crates more", more.len())), "{} crates more", more.len());
}
