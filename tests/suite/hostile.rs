//! Hostile weight files end in an error within bounded memory: no panic, no abort, nothing executed.

use crate::support::{Desk, TINY, archive};
use burn::store::{BurnpackStore, ModuleStore};
use burn::tensor::Device;
use cam_models::zoo::resnet::ResNet;
use cam_models::{Classifier, Error, Weights};
use std::io::Write;
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// One file of each container, all of them sound; one `.pth` has the name of 21 letters that burn-store's reader mistakes.
fn sound(desk: &Desk) -> Vec<(String, Vec<u8>)> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/weights");
    let pack = desk.path().join("tiny.bpk");
    BurnpackStore::from_file(&pack).overwrite(true).collect_from(&network()).unwrap();
    let files = ["tiny.safetensors", "tiny_f16.safetensors", "tiny.pth", "tiny_legacy.pth"];
    let mistaken =
        desk.file("a_name_of_21_letters_.pth", &mistaken(&archive::entries(&golden.join("tiny.pth"))));
    let paths = files.map(|file| golden.join(file)).into_iter().chain([pack, mistaken]);
    paths
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

/// A `.pth` of the name of 21 letters.
fn mistaken(entries: &[archive::Entry]) -> Vec<u8> {
    archive::pytorch("a_name_of_21_letters_", entries)
}

fn network() -> ResNet {
    TINY.init(&Device::flex())
}

/// Loads a file, and what it holds from memory, which has to end alike; PyTorch's formats are read from files only.
fn load(path: &Path) -> Result<ResNet, Error> {
    let read = Weights::open(path).and_then(|weights| weights.load("tiny", network()));
    let name = path.file_name().unwrap().to_str().unwrap();
    let held = Weights::from_bytes(name, std::fs::read(path).unwrap());
    match held.and_then(|weights| weights.load("tiny", network())) {
        Err(error) if error.to_string().contains("only from a file") => {}
        held => assert_eq!(held.is_ok(), read.is_ok(), "{name}: {:?}, {:?}", held.err(), read.as_ref().err()),
    }
    read
}

/// Expects that a file is refused, both by name and when it is to be recognized, and says why.
#[track_caller]
fn refused(path: &Path) -> String {
    Classifier::load_file(path, &Device::flex()).err().unwrap_or_else(|| panic!("{path:?} was recognized"));
    load(path).err().unwrap_or_else(|| panic!("{path:?} was loaded")).to_string()
}

/// Expects that a file cannot even be read.
#[track_caller]
fn unreadable(path: &Path) -> String {
    match load(path) {
        Err(error @ Error::UnreadableWeights { .. }) => error.to_string(),
        other => panic!("{path:?}: {:?}", other.map(|_| "loaded")),
    }
}

#[test]
fn a_file_cut_anywhere_is_unreadable() {
    let desk = Desk::new();
    for (name, bytes) in sound(&desk) {
        assert!(load(&desk.file(&name, &bytes)).is_ok(), "{name}");
        // Every byte of the start and the end, where headers and tables are, and many between.
        let ends = (0..64).chain(bytes.len() - 64..bytes.len());
        for length in ends.chain((64..bytes.len() - 64).step_by(bytes.len() / 200)) {
            unreadable(&desk.file(&name, &bytes[..length]));
        }
    }
}

/// Numbers are read when they are used: weights that somebody writes anew meanwhile are an error, and not a signal or a panic.
#[test]
fn a_file_that_becomes_shorter_while_it_is_open_is_unreadable() {
    let desk = Desk::new();
    for (name, bytes) in sound(&desk) {
        // The name that has to be copied is read from the copy.
        if name.starts_with("a_name") {
            continue;
        }
        for length in [0, 1000, bytes.len() / 2] {
            let path = desk.file(&name, &bytes);
            let weights = Weights::open(&path).unwrap();
            std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length as u64).unwrap();
            match weights.load("tiny", network()) {
                Err(Error::UnreadableWeights { .. }) => {}
                other => panic!("{name} of {length} bytes: {:?}", other.map(|_| "loaded")),
            }
        }
    }
}

#[test]
fn a_wrong_byte_is_no_panic() {
    let desk = Desk::new();
    for (name, bytes) in sound(&desk) {
        // Headers and tables are at the start of all of them, and at the end of a zip.
        let table = 6000.min(bytes.len() / 2);
        let places = (0..table).step_by(47).chain((bytes.len() - table..bytes.len()).step_by(47));
        for place in places {
            for wrong in [0, 0xff, bytes[place] ^ 1] {
                let mut bytes = bytes.clone();
                bytes[place] = wrong;
                // A changed number is a sound file of other numbers: either answer is right.
                load(&desk.file(&name, &bytes)).ok();
            }
        }
    }
}

/// A safetensors file of this header and as many bytes of numbers.
fn safetensors(header: &str, numbers: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + numbers, 0);
    bytes
}

#[test]
fn headers_of_safetensors_are_not_believed() {
    let desk = Desk::new();
    let one = |shape: &str, from: u64, to: u64| {
        format!(r#""conv1.weight":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let mut long = (1u64 << 60).to_le_bytes().to_vec();
    long.extend(b"{}");
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("text", b"these are no weights at all, whatever the name says".to_vec()),
        ("a header of 2^60 bytes", long),
        ("an absurd shape", safetensors(&format!("{{{}}}", one("[1099511627776,1099511627776]", 0, 8)), 8)),
        (
            "a shape that overflows to 8 bytes",
            safetensors(&format!("{{{}}}", one("[4611686018427387906]", 0, 8)), 8),
        ),
        ("a shape of more than its bytes", safetensors(&format!("{{{}}}", one("[1000]", 0, 8)), 8)),
        (
            "numbers outside of the file",
            safetensors(&format!("{{{}}}", one("[2]", 1 << 40, (1 << 40) + 8)), 8),
        ),
        ("numbers backwards", safetensors(&format!("{{{}}}", one("[2]", 8, 0)), 8)),
        (
            "overlapping numbers",
            safetensors(
                &format!("{{{},{}}}", one("[2]", 0, 8), one("[2]", 4, 12).replace("conv1", "fc")),
                12,
            ),
        ),
        ("one name twice", safetensors(&format!("{{{},{}}}", one("[2]", 0, 8), one("[2]", 8, 16)), 16)),
        ("a deep header", safetensors(&deep, 0)),
        ("no object", safetensors("[]", 0)),
    ] {
        unreadable(&desk.file(&format!("{name}.safetensors"), &bytes));
    }
}

/// A pickle of a dictionary of float tensors, as `torch.save` writes it: names, shapes, strides, and the number of
/// elements that their storage is said to have.
fn state_dict(tensors: &[(&str, &[u32], &[u32], u32)]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let number = |number: u32| [&b"\x8a\x05"[..], &u64::from(number).to_le_bytes()[..5]].concat();
    let tuple = |numbers: &[u32]| {
        let inner: Vec<u8> = numbers.iter().flat_map(|n| number(*n)).collect();
        [&b"("[..], &inner, b"t"].concat()
    };
    for (key, (name, shape, strides, elements)) in tensors.iter().enumerate() {
        pickle.extend(text(name));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle.extend([text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text(&key.to_string())].concat());
        pickle.extend([text("cpu"), number(*elements), b"tQ".to_vec(), number(0)].concat());
        pickle
            .extend([tuple(shape), tuple(strides), b"\x89ccollections\nOrderedDict\n)RtR".to_vec()].concat());
    }
    pickle.extend(b"u.");
    pickle
}

/// A `.pth` of this pickle and these storages.
fn pth(pickle: &[u8], storages: &[Vec<u8>], packed: CompressionMethod) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut archive = ZipWriter::new(&mut bytes);
    let options = SimpleFileOptions::default().compression_method(packed);
    archive.start_file("archive/data.pkl", options).unwrap();
    archive.write_all(pickle).unwrap();
    for (key, storage) in storages.iter().enumerate() {
        archive.start_file(format!("archive/data/{key}"), options).unwrap();
        archive.write_all(storage).unwrap();
    }
    archive.finish().unwrap();
    bytes.into_inner()
}

/// The tensors of a ResNet of 8192 channels, by which it is recognized: 5 GB of numbers.
const VAST: [(&str, &[u32], &[u32], u32); 4] = [
    ("conv1.weight", &[8192, 3, 7, 7], &[0, 0, 0, 0], 1),
    ("layer1.0.conv1.weight", &[8192, 8192, 3, 3], &[0, 0, 0, 0], 1),
    ("layer1.0.conv2.weight", &[8192, 8192, 3, 3], &[0, 0, 0, 0], 1),
    ("fc.weight", &[1000, 65536], &[0, 0], 1),
];

#[test]
fn nothing_of_a_pickle_is_executed() {
    let desk = Desk::new();
    let marker = desk.path().join("executed");
    let call = |module: &str, function: &str, argument: &str| {
        let length = (argument.len() as u32).to_le_bytes();
        [
            b"\x80\x02c",
            module.as_bytes(),
            b"\n",
            function.as_bytes(),
            b"\n(X",
            &length,
            argument.as_bytes(),
            b"tR.",
        ]
        .concat()
    };
    let touch = format!("touch {}", marker.display());
    let open = format!("open({:?}, 'w')", marker);
    for (module, function, argument) in [
        ("os", "system", &touch),
        ("posix", "system", &touch),
        ("builtins", "eval", &open),
        ("subprocess", "call", &touch),
    ] {
        let pickle = call(module, function, argument);
        refused(&desk.file("plain.pth", &pickle));
        refused(&desk.file("zip.pth", &pth(&pickle, &[], CompressionMethod::Stored)));
    }
    assert!(!marker.exists());
}

#[test]
fn pickles_that_are_none_are_refused() {
    let desk = Desk::new();
    let empty = || b"\x80\x02".to_vec();
    let deep = [empty(), b")".to_vec(), b"\x85".repeat(100_000), b".".to_vec()].concat();
    let deep_lists = [empty(), b"](".repeat(100_000)].concat();
    // Each list holds the one before twice: 2^64 objects where they are copied.
    let mut doubling = [empty(), b"]q\x00".to_vec()].concat();
    for _ in 0..64 {
        doubling.extend(b"]q\x01(h\x00h\x00eq\x00");
    }
    let long_text = [empty(), b"X\xff\xff\xff\xffabc.".to_vec()].concat();
    let long_number = [empty(), b"\x8b\xff\xff\xff\x7fabc.".to_vec()].concat();
    let of_numbers =
        |shape: &[u32], strides: &[u32], elements| state_dict(&[("conv1.weight", shape, strides, elements)]);
    for (name, pickle) in [
        ("an unknown opcode", [empty(), b"\xff.".to_vec()].concat()),
        ("no end", empty()),
        ("nothing on the stack", [empty(), b"0000.".to_vec()].concat()),
        ("no dictionary", [empty(), b"K\x01.".to_vec()].concat()),
        ("deep tuples", deep),
        ("deep lists", deep_lists),
        ("doubling lists", doubling),
        ("a text of 4 GB", long_text),
        ("a number of 2 GB", long_number),
        ("a storage that is not there", of_numbers(&[8, 3, 7, 7], &[147, 49, 7, 1], 1176)),
        ("an absurd shape", of_numbers(&[u32::MAX; 4], &[1; 4], 1)),
        ("an absurd shape without strides", of_numbers(&[u32::MAX; 4], &[0; 4], 1)),
        ("strides outside of the storage", of_numbers(&[8, 3, 7, 7], &[u32::MAX; 4], 1176)),
    ] {
        refused(&desk.file(&format!("{name}.pth"), &pickle));
        let archive = pth(&pickle, &[], CompressionMethod::Stored);
        refused(&desk.file(&format!("{name}, zipped.pth"), &archive));
    }
}

#[test]
fn a_shape_larger_than_its_file_takes_no_memory() {
    let desk = Desk::new();
    let storages = vec![vec![0; 4]; VAST.len()];
    let bytes = pth(&state_dict(&VAST), &storages, CompressionMethod::Stored);
    let path = desk.file("vast.pth", &bytes);
    let said = Classifier::load_file(&path, &Device::flex()).err().unwrap().to_string();
    // Recognised, listed and compared without a number of it in memory.
    assert!(said.contains("resnet") && said.contains("missing: bn1.bias [8192]"), "{said}");
}

#[test]
fn a_network_whose_numbers_are_one_number_repeated_is_refused() {
    // All tensors of a network of 1024 channels, each of stride 0 over a storage of four bytes: 20 KB for 5 GB.
    let desk = Desk::new();
    let shapes = crate::support::shapes(&network());
    let wide = |name: &str, shape: &[usize]| -> Vec<u32> {
        let kept = |place: usize| {
            place > 1 || (name == "conv1.weight" && place == 1) || (name.starts_with("fc.") && place == 0)
        };
        shape
            .iter()
            .enumerate()
            .map(|(place, side)| if kept(place) { *side } else { side * 128 } as u32)
            .collect()
    };
    let sides: Vec<Vec<u32>> = shapes.iter().map(|(name, shape)| wide(name, shape)).collect();
    let strides = [0; 4];
    let tensors: Vec<(&str, &[u32], &[u32], u32)> = shapes
        .iter()
        .zip(&sides)
        .map(|((name, _), shape)| (name.as_str(), shape.as_slice(), &strides[..shape.len()], 1))
        .collect();
    let storages = vec![vec![0; 4]; tensors.len()];
    let bytes = pth(&state_dict(&tensors), &storages, CompressionMethod::Stored);
    let path = desk.file("repeated.pth", &bytes);
    let said = Classifier::load_file(&path, &Device::flex()).err().unwrap().to_string();
    assert!(said.contains("which do not hold the"), "{said}");
}

#[test]
fn archives_that_unpack_to_more_than_they_hold_are_refused() {
    let desk = Desk::new();
    let tensor: [(&str, &[u32], &[u32], u32); 1] = [("fc.bias", &[1 << 24], &[1], 1 << 24)];
    let bomb = pth(&state_dict(&tensor), &[vec![0; 4 << 24]], CompressionMethod::Deflated);
    assert!(bomb.len() < 100_000);
    let said = unreadable(&desk.file("numbers.pth", &bomb));
    assert!(said.contains("which no checkpoint does"), "{said}");

    let table = [&b"\x80\x02"[..], &b")".repeat(64 << 20), b"."].concat();
    let bomb = pth(&table, &[], CompressionMethod::Deflated);
    let said = unreadable(&desk.file("table.pth", &bomb));
    assert!(said.contains("its table of tensors has"), "{said}");

    // Where a copy is read in the place of the file.
    let entry = |name: &str, bytes| archive::Entry { name: name.into(), bytes, crc32: 0 };
    let said = unreadable(
        &desk.file("copied.pth", &mistaken(&[entry("data.pkl", table), entry("version", Vec::new())])),
    );
    assert!(said.contains("its table of tensors has"), "{said}");

    // The same, with sizes that lie: of the 64 MiB, one KiB is owned up to.
    let mut lying = pth(&state_dict(&tensor), &[vec![0; 4 << 24]], CompressionMethod::Deflated);
    let (told, owned) = ((4u32 << 24).to_le_bytes(), 1024u32.to_le_bytes());
    let places: Vec<usize> = (0..lying.len() - 4).filter(|&place| lying[place..place + 4] == told).collect();
    assert!(places.len() >= 2, "the size is in the entry's header and in the directory");
    for place in places {
        lying[place..place + 4].copy_from_slice(&owned);
    }
    refused(&desk.file("lying.pth", &lying));
}

#[test]
#[cfg(unix)]
fn a_copy_that_is_read_in_the_place_of_a_file_does_not_stay() {
    let desk = Desk::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/weights/tiny.pth");
    let path = desk.file("weights.pth", &mistaken(&archive::entries(&golden)));
    let temporary = desk.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let layers = |folder: &Path| {
        let mut cam = assert_cmd::Command::cargo_bin("cam").unwrap();
        cam.env("TMPDIR", folder).args(["layers", "--weights"]).arg(&path).output().unwrap()
    };
    assert!(layers(&temporary).status.success());
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    let nowhere = layers(&desk.path().join("nowhere"));
    let said = String::from_utf8_lossy(&nowhere.stderr);
    assert_eq!((nowhere.status.code(), said.lines().count()), (Some(9), 1), "{said}");
    assert!(said.contains("it has to be copied to be read"), "{said}");
}

/// The worst of the files above, in an address space of 3 GB: the table takes half of it.
#[test]
#[cfg(target_os = "linux")]
fn the_tool_refuses_them_in_little_memory() {
    let desk = Desk::new();
    image::RgbImage::new(64, 64).save(desk.path().join("photo.png")).unwrap();
    let table = [&b"\x80\x02"[..], &b")".repeat(8 << 20), b"."].concat();
    let vast = pth(&state_dict(&VAST), &vec![vec![0; 4]; VAST.len()], CompressionMethod::Stored);
    for (name, bytes) in [
        ("table.pth", pth(&table, &[], CompressionMethod::Stored)),
        (
            "bomb.pth",
            pth(&[&b"\x80\x02"[..], &b")".repeat(64 << 20)].concat(), &[], CompressionMethod::Deflated),
        ),
        ("vast.pth", vast),
    ] {
        let path = desk.file(name, &bytes);
        let mut shell = assert_cmd::Command::new("sh");
        let cam = assert_cmd::cargo::cargo_bin("cam");
        shell
            .args(["-c", "ulimit -v 3000000 && exec \"$0\" explain photo.png --weights \"$1\""])
            .arg(cam)
            .arg(path);
        let output = shell.current_dir(desk.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(9 | 10)), "{name}: {:?} {said}", output.status);
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
    }
}
