//! The functions of the fuzz targets over the committed corpus, each file of it as it is, cut, and with wrong bytes.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use crate::support::{hash, repository};

/// How many variants of a file are tried.
const VARIANTS: u64 = 60;

/// A variant of bytes: cut somewhere, or with a few wrong bytes.
fn variant(name: &str, bytes: &[u8], number: u64) -> Vec<u8> {
    let random = |place: u64| hash(name, number * 16 + place) as usize;
    let mut bytes = bytes.to_vec();
    if number.is_multiple_of(4) {
        bytes.truncate(random(0) % (bytes.len() + 1));
        return bytes;
    }
    for place in 0..1 + number % 4 {
        let at = random(2 * place) % bytes.len();
        bytes[at] = match random(2 * place + 1) {
            any if any.is_multiple_of(2) => (any >> 8) as u8,
            any => bytes[at] ^ (1 << ((any >> 8) % 8)),
        };
    }
    bytes
}

#[test]
fn every_target_returns_whatever_the_bytes() {
    for (name, target) in targets::TARGETS {
        let folder = std::fs::read_dir(repository().join("fuzz/corpus").join(name)).unwrap();
        let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name}");
        for path in files {
            let (file, bytes) = (path.display().to_string(), std::fs::read(&path).unwrap());
            println!("{file}");
            target(&bytes);
            (0..VARIANTS).for_each(|number| target(&variant(&file[file.len() - 8..], &bytes, number)));
        }
        target(&[]);
    }
}
