//! What the tool reads takes bounded memory and time: an address space of what a sound file needs, 200 MB, and four times the length of
//! the file. Memory that is taken before the file backs it would end the process.

#![cfg(target_os = "linux")]

use assert_cmd::cargo::cargo_bin;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The address space that the tool needs for a sound file, in KiB: its own code, libraries and stacks.
const BASE: u64 = 150_000;

/// What a reader may take, in KiB, whatever the file.
const ROOM: u64 = 200_000;

/// What a file may take, of its length.
const TIMES: u64 = 4;

/// Runs the tool in so many KiB of address space, one thread and one arena, so that it is all used for the file.
fn within(kib: u64, folder: &Path, arguments: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit -v {kib} && exec \"$0\" \"$@\"")])
        .arg(cargo_bin("cam"))
        .args(arguments);
    shell.current_dir(folder).env("RAYON_NUM_THREADS", "1").env("MALLOC_ARENA_MAX", "1").output().unwrap()
}

struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Expects that the tool refuses weights in one line, within its memory and these seconds.
    #[track_caller]
    fn refuses(&self, name: &str, bytes: &[u8], words: &str) {
        self.file(name, bytes);
        let started = Instant::now();
        let room = BASE + ROOM + TIMES * bytes.len() as u64 / 1024;
        let done = within(room, self.folder.path(), &["layers", "--weights", name]);
        let (said, seconds) = (String::from_utf8_lossy(&done.stderr), started.elapsed());
        println!("{name}: {} bytes, {seconds:.2?}: {said}", bytes.len());
        assert!(matches!(done.status.code(), Some(9 | 10)), "{name}: {:?} {said}", done.status);
        assert!(said.lines().count() == 1 && said.contains(words), "{name}: {said}");
        // A second of an idle core; others may compute here.
        assert!(seconds < Duration::from_secs(20), "{name}: {seconds:?}");
    }
}

/// A `.pth` of this table.
fn pth(table: &[u8]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut archive = ZipWriter::new(&mut bytes);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    archive.start_file("archive/data.pkl", options).unwrap();
    std::io::Write::write_all(&mut archive, table).unwrap();
    archive.finish().unwrap();
    bytes.into_inner()
}

/// A file as PyTorch wrote before 1.6, of this table.
fn legacy(table: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
    let system = b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.";
    [&magic[..], system, table, b"\x80\x02]."].concat()
}

fn text(text: &[u8]) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text].concat()
}

/// A pickle of this program behind the protocol.
fn pickle(program: &[u8]) -> Vec<u8> {
    [b"\x80\x02", program, b"."].concat()
}

/// A tensor of one number, whose storage is the first.
fn tensor() -> Vec<u8> {
    let storage =
        [&b"("[..], &text(b"storage"), b"ctorch\nFloatStorage\n", &text(b"0"), &text(b"cpu"), b"K\x01tQ"]
            .concat();
    let arguments =
        [&b"("[..], &storage, b"K\x00K\x01\x85K\x01\x85\x89ccollections\nOrderedDict\n)Rt"].concat();
    [&b"ctorch._utils\n_rebuild_tensor_v2\n"[..], &arguments, b"R"].concat()
}

fn safetensors(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

/// A header of as many empty tensors as fit into these bytes, with these names.
fn many(length: usize, name: impl Fn(usize) -> String) -> Vec<u8> {
    let mut header = String::from("{");
    for number in 0.. {
        let one = format!(r#""{}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},"#, name(number));
        if header.len() + one.len() > length {
            break;
        }
        header += &one;
    }
    header.pop();
    safetensors(&(header + "}"))
}

#[test]
fn a_sound_file_fits_into_the_base() {
    let scenes = crate::support::repository().join("crates/cam-models/models/scenes.safetensors");
    let desk = Desk::new();
    let done = within(BASE, desk.folder.path(), &["layers", "--weights", scenes.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn pickles_take_no_more_than_they_may() {
    let desk = Desk::new();
    let tables: Vec<(&str, Vec<u8>)> = vec![
        ("tuples", pickle(&b")".repeat(7 << 20))),
        ("tuples in tuples", pickle(&[&b")"[..], &b"\x85".repeat(900), &b")".repeat(90_000), b"t"].concat())),
        ("many dictionaries", {
            let pairs = |part: u32| {
                (0..40_000u32)
                    .flat_map(move |n| [&b"J"[..], &(part * 40_000 + n).to_le_bytes(), b"N"].concat())
            };
            let parts =
                (0..20).flat_map(|part| [&b"("[..], &pairs(part).collect::<Vec<u8>>(), b"u"].concat());
            pickle(&[&b"}"[..], &parts.collect::<Vec<u8>>()].concat())
        }),
        ("lists in one list", pickle(&[b"](", &b"]".repeat(7 << 20)[..], b"e"].concat())),
        ("a dictionary of numbers", {
            let pairs = (0..1_200_000u32).flat_map(|n| [&b"J"[..], &n.to_le_bytes(), b"N"].concat());
            pickle(&[&b"}("[..], &pairs.collect::<Vec<u8>>(), b"u"].concat())
        }),
        ("copies of a text", {
            let copies = b"h\0".repeat(3 << 20);
            pickle(&[&b"]("[..], &text(&[b'a'; 1 << 16]), b"q\0", &copies, b"e"].concat())
        }),
        (
            "memo",
            pickle(
                &(0..1_200_000u32).flat_map(|n| [&b")r"[..], &n.to_le_bytes()].concat()).collect::<Vec<u8>>(),
            ),
        ),
        ("duplicates", pickle(&[&b"](NNNNNNNNe"[..], &b"2".repeat(7 << 20)].concat())),
        ("one long name before many tensors", {
            let entries = (0..20_000u32)
                .flat_map(|n| [text(&n.to_le_bytes().map(|byte| byte & 0x7f)), tensor()].concat());
            let inner = [&b"}("[..], &entries.collect::<Vec<u8>>(), b"u"].concat();
            pickle(&[&b"}"[..], &text(&[b'a'; 1 << 20]), &inner, b"s"].concat())
        }),
    ];
    for (name, table) in &tables {
        for (form, bytes) in [("zip", pth(table)), ("legacy", legacy(table))] {
            desk.refuses(&format!("{name}, {form}.pth"), &bytes, "");
        }
        desk.refuses(&format!("{name}, plain.pth"), table, "cannot read the weights");
    }
    // Longer than a table may be.
    desk.refuses("long, legacy.pth", &legacy(&pickle(&b")".repeat(64 << 20))), "takes more memory");
    desk.refuses("long, zip.pth", &pth(&pickle(&b"0".repeat(9 << 20))), "table of tensors has");
}

#[test]
fn a_tar_archive_is_refused_before_it_is_unpacked() {
    // One sparse entry that names 4 GiB, of which it holds nothing.
    let mut header = vec![0; 1024];
    header[..8].copy_from_slice(b"storages");
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(b"00000000000\0");
    header[156] = b'S';
    header[257..265].copy_from_slice(b"ustar  \0");
    header[483..495].copy_from_slice(b"40000000000\0");
    let sum: u32 = 8 * 32 + header.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Desk::new().refuses("sparse.pth", &header, "tar archive");
}

#[test]
fn tables_of_other_files_take_no_more_than_they_may() {
    let desk = Desk::new();
    let length = 8 << 20;
    desk.refuses(
        "many.safetensors",
        &many(length, |number| format!("{number:x}")),
        "tensors, more than 100000",
    );
    desk.refuses(
        "more.safetensors",
        &many(length + (1 << 20), |number| format!("{number:x}")),
        "table of tensors has",
    );
    // As many as are read, of no network, with as many prefixes as there can be.
    desk.refuses(
        "unknown.safetensors",
        &many(7 << 20, |number| format!("a{number:09}.layer.conv.weight")),
        "unrecognized weights",
    );
    let dots = |number: usize| format!("{number}{}", ".".repeat(990));
    desk.refuses("dots.safetensors", &many(length, dots), "unrecognized weights");
    desk.refuses(
        "name.safetensors",
        &many(length, |number| format!("{number}{}", ".".repeat(1 << 20))),
        "the name of a tensor has",
    );
    let deep = format!("{{\"a\":{}", "[".repeat(length - 5));
    desk.refuses("deep.safetensors", &safetensors(&deep), "");
    let pack =
        |metadata: &[u8]| [&b"NRUB\x01\x00"[..], &(metadata.len() as u32).to_le_bytes(), metadata].concat();
    for (name, byte) in [("arrays", 0x81), ("maps", 0xa1), ("numbers", 0x00), ("strings", 0x60)] {
        desk.refuses(&format!("{name}.bpk"), &pack(&vec![byte; length]), "");
    }
    desk.refuses("long.bpk", &pack(&vec![0x80; length + 1]), "table of tensors has");
}

#[test]
fn an_archive_of_many_entries_takes_no_more_than_it_may() {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut archive = ZipWriter::new(&mut bytes);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for number in 0..200_000 {
        archive.start_file(format!("{number}"), options).unwrap();
    }
    archive.finish().unwrap();
    Desk::new().refuses("entries.pth", &bytes.into_inner(), "");
}

/// Large photos of one batch are not held together.
#[test]
fn a_batch_is_cut_by_pixels() {
    let desk = Desk::new();
    let photo = image::RgbImage::from_pixel(6000, 4000, image::Rgb([90, 120, 150]));
    let bytes = burn_cam::draw::encode(&photo, "png").unwrap();
    let names: Vec<String> = (0..10).map(|number| format!("{number}.png")).collect();
    names.iter().for_each(|name| drop(desk.file(name, &bytes)));
    let arguments: Vec<&str> = ["explain", "--format", "jpg", "--batch-size", "10"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    // One is read, one is drawn on, and two wait; each takes 72 MB, and what is drawn three times that.
    let done = within(BASE + 8 * 72_000, desk.folder.path(), &arguments);
    assert!(done.status.success(), "{:?} {}", done.status, String::from_utf8_lossy(&done.stderr));
}

#[test]
fn what_has_no_end_is_not_read_to_it() {
    let desk = Desk::new();
    for arguments in [
        &["explain", "/dev/zero"][..],
        &["layers", "--weights", "/dev/zero"],
        &["explain", "scene.png", "--labels", "/dev/zero"],
    ] {
        std::fs::write(desk.folder.path().join("scene.png"), {
            let scene = cam_scenes::Scene::draw(7, 64).unwrap().image;
            burn_cam::draw::encode(&scene, "png").unwrap()
        })
        .unwrap();
        let done = within(BASE + ROOM + 2_200_000, desk.folder.path(), arguments);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(matches!(done.status.code(), Some(7 | 9 | 14)), "{arguments:?}: {:?} {said}", done.status);
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn numbers_of_the_command_line_are_bounded() {
    let desk = Desk::new();
    let scene = cam_scenes::Scene::draw(7, 64).unwrap().image;
    desk.file("scene.png", &burn_cam::draw::encode(&scene, "png").unwrap());
    for option in ["--top", "--noise", "--sess", "--channels", "--batch-size"] {
        for number in ["0", "4294967295", "4294967296", "-1", "1e9"] {
            let done = within(
                BASE + ROOM,
                desk.folder.path(),
                &["explain", "scene.png", &format!("{option}={number}")],
            );
            let said = String::from_utf8_lossy(&done.stderr);
            let code =
                done.status.code().unwrap_or_else(|| panic!("{option} {number}: {:?} {said}", done.status));
            assert!(code == 0 || said.lines().count() == 1, "{option} {number}: {said}");
        }
    }
    // As many as there may be classes, of a model of ten.
    let done = within(BASE + ROOM, desk.folder.path(), &["explain", "scene.png", "--top", "131072"]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("has 10 classes, and all are explained"), "{said}");
    for option in ["--classes", "--batch"] {
        let done = within(BASE + ROOM, desk.folder.path(), &["bench", option, "4294967295"]);
        assert_eq!(done.status.code(), Some(2), "{}", String::from_utf8_lossy(&done.stderr));
    }
}
