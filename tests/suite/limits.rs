//! What the tool reads takes bounded memory and time: an address space of what a sound file needs, 200 MB, and four times the length of
//! the file. Memory that is taken before the file backs it would end the process.

#![cfg(target_os = "linux")]

use crate::support::Desk;
use assert_cmd::cargo::cargo_bin;
use std::process::Command;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The address space that the tool needs for a sound file, in KiB: its own code, libraries and stacks.
const BASE: u64 = 150_000;

/// What a reader may take, in KiB, whatever the file.
const ROOM: u64 = 200_000;

/// How long the tool may compute to refuse a file of ten megabytes: a second, and as much for slower machines than were measured.
const SECONDS: f64 = 2.0;

/// What a file may take, of its length.
const TIMES: u64 = 4;

/// How a run ended.
struct Done {
    /// `None` after a signal, as when memory could not be had.
    code: Option<i32>,
    /// What it complained of.
    said: String,
    /// How long it computed.
    seconds: f64,
}

/// Runs the tool in so many KiB of address space, one thread and one arena, so that it is all used for the file.
fn within(kib: u64, desk: &Desk, arguments: &[&str]) -> Done {
    let mut shell = Command::new("sh");
    let script = format!("ulimit -v {kib}; \"$0\" \"$@\"; code=$?; times >&2; exit $code");
    shell.args(["-c", &script]).arg(cargo_bin("cam")).args(arguments);
    shell.current_dir(desk.path()).env("RAYON_NUM_THREADS", "1").env("MALLOC_ARENA_MAX", "1");
    let done = shell.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    // The times of the shell and of what it ran, in user and kernel mode: `0m0.01s 0m0.00s`.
    let mut lines: Vec<&str> = said.lines().collect();
    let times = lines.split_off(lines.len() - 2)[1];
    let seconds = |time: &str| -> f64 {
        let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
        60.0 * minutes.parse::<f64>().unwrap() + seconds.parse::<f64>().unwrap()
    };
    Done {
        code: done.status.code().filter(|code| *code < 128),
        said: lines.join("\n"),
        seconds: times.split_whitespace().map(seconds).sum(),
    }
}

/// Expects that the tool refuses weights in one line, within its memory and a second.
#[track_caller]
fn refuses(desk: &Desk, name: &str, bytes: &[u8], words: &str) {
    desk.file(name, bytes);
    let room = BASE + ROOM + TIMES * bytes.len() as u64 / 1024;
    let Done { code, said, seconds } = within(room, desk, &["layers", "--weights", name]);
    println!("{name}: {} bytes, {seconds:.2} s: {said}", bytes.len());
    assert!(matches!(code, Some(6 | 9 | 10)), "{name}: {code:?} {said}");
    assert!(said.lines().count() == 1 && said.contains(words), "{name}: {said}");
    assert!(seconds < SECONDS, "{name}: {seconds} s");
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
    let Done { code, said, .. } = within(BASE, &desk, &["layers", "--weights", scenes.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
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
            refuses(&desk, &format!("{name}, {form}.pth"), &bytes, "");
        }
        refuses(&desk, &format!("{name}, plain.pth"), table, "cannot read the weights");
    }
    // Longer than a table may be.
    refuses(&desk, "long, legacy.pth", &legacy(&pickle(&b")".repeat(64 << 20))), "takes more memory");
    refuses(&desk, "long, zip.pth", &pth(&pickle(&b"0".repeat(9 << 20))), "table of tensors has");
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
    refuses(&Desk::new(), "sparse.pth", &header, "tar archive");
}

#[test]
fn tables_of_other_files_take_no_more_than_they_may() {
    let desk = Desk::new();
    let length = 8 << 20;
    refuses(
        &desk,
        "many.safetensors",
        &many(length, |number| format!("{number:x}")),
        "tensors, more than 100000",
    );
    refuses(
        &desk,
        "more.safetensors",
        &many(length + (1 << 20), |number| format!("{number:x}")),
        "table of tensors has",
    );
    // As many as are read, of no network, with as many prefixes as there can be.
    refuses(
        &desk,
        "unknown.safetensors",
        &many(7 << 20, |number| format!("a{number:09}.layer.conv.weight")),
        "unrecognized weights",
    );
    let dots = |number: usize| format!("{number}{}", ".".repeat(990));
    refuses(&desk, "dots.safetensors", &many(length, dots), "unrecognized weights");
    // Many networks with one tensor each, and as many heads to be looked for.
    for mark in ["layer1.0.conv1.weight", "patch_embed.proj.weight", "features.28.weight"] {
        let name = |number: usize| format!("a{number:06}.{mark}");
        refuses(&desk, &format!("{mark}.safetensors"), &many(7 << 20, name), "unrecognized weights");
    }
    // Few enough to be compared with every network.
    let some = |number: usize| format!("{number}{}", ".a".repeat(50));
    refuses(&desk, "some.safetensors", &many(800_000, some), "unrecognized weights");
    refuses(
        &desk,
        "name.safetensors",
        &many(length, |number| format!("{number}{}", ".".repeat(1 << 20))),
        "the name of a tensor has",
    );
    let metadata = |entries: String| safetensors(&format!("{{\"__metadata__\":{{{entries}}}}}"));
    let entries: Vec<String> = (0..500_000).map(|number| format!("\"a{number}\":\"1\"")).collect();
    refuses(&desk, "entries.safetensors", &metadata(entries.join(",")), "it has no tensors");
    refuses(
        &desk,
        "size.safetensors",
        &metadata(format!("\"size\":\"[{}]\"", "1,".repeat(4_000_000))),
        "it has no tensors",
    );
    let deep = format!("{{\"a\":{}", "[".repeat(length - 5));
    refuses(&desk, "deep.safetensors", &safetensors(&deep), "");
    let pack =
        |metadata: &[u8]| [&b"NRUB\x01\x00"[..], &(metadata.len() as u32).to_le_bytes(), metadata].concat();
    for (name, byte) in [("arrays", 0x81), ("maps", 0xa1), ("numbers", 0x00), ("strings", 0x60)] {
        refuses(&desk, &format!("{name}.bpk"), &pack(&vec![byte; length]), "");
    }
    refuses(&desk, "long.bpk", &pack(&vec![0x80; length + 1]), "table of tensors has");
}

/// Cards, configurations and names of classes, in values that take many times their length.
#[test]
fn texts_take_no_more_than_they_may() {
    let desk = Desk::new();
    let scenes = crate::support::repository().join("crates/cam-models/models/scenes.safetensors");
    let card = |part: &str, count: usize| format!("x = [{}]", part.repeat(count));
    for (name, text, words) in [
        ("names.txt", "a\n".repeat((8 << 20) - 1), "classes"),
        ("long.txt", "a\n".repeat(9 << 20), "more than"),
        ("numbers.toml", card("1,", (1 << 20) - 4), "unknown field"),
        ("names.toml", card("\"\",", 690_000), "unknown field"),
        ("tables.toml", (0..190_000).map(|number| format!("[a{number}]\n")).collect(), "unknown field"),
        ("dots.toml", "a.".repeat((1 << 20) - 4) + "a = 1", ""),
        ("deep.toml", format!("x = {}", "[".repeat(1 << 20)), ""),
        ("long.toml", card("1,", 1 << 20), "more than"),
    ] {
        desk.file(name, text.as_bytes());
        let option = if name.ends_with(".txt") { "--labels" } else { "--card" };
        let arguments = ["layers", "--weights", scenes.to_str().unwrap(), option, name];
        let Done { code, said, seconds } =
            within(BASE + ROOM + TIMES * text.len() as u64 / 1024, &desk, &arguments);
        println!("{name}: {} bytes, {seconds:.2} s: {said}", text.len());
        assert!(code.is_some_and(|code| code != 0) && said.contains(words), "{name}: {code:?} {said}");
        assert!(said.lines().count() == 1 && seconds < SECONDS, "{name}: {seconds} s: {said}");
    }
    // What lies beside weights and cannot be read counts as not there.
    let weights = std::fs::read(scenes).unwrap();
    desk.file("model.safetensors", &weights);
    for text in [format!("[{}1]", "1,".repeat((2 << 20) - 4)), "[".repeat(4 << 20), " ".repeat(9 << 20)] {
        desk.file("config.json", text.as_bytes());
        let room = BASE + ROOM + TIMES * text.len() as u64 / 1024;
        let Done { code, said, seconds } = within(room, &desk, &["layers", "--weights", "model.safetensors"]);
        assert!(code == Some(0) && seconds < SECONDS, "{code:?} {seconds} s: {said}");
    }
}

/// A field of a protobuf message: bytes behind their length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let (mut all, mut length) = (vec![number << 3 | 2], bytes.len());
    while length > 0x7f {
        all.push(length as u8 | 0x80);
        length >>= 7;
    }
    all.push(length as u8);
    [&all, bytes].concat()
}

/// A field of a protobuf message: a number.
fn number(field: u8, value: i64) -> Vec<u8> {
    let (mut all, mut value) = (vec![field << 3], value as u64);
    while value > 0x7f {
        all.push(value as u8 | 0x80);
        value >>= 7;
    }
    all.push(value as u8);
    all
}

/// An ONNX file of this graph, and of more fields of the model.
fn onnx(graph: &[u8], more: &[u8]) -> Vec<u8> {
    [&number(1, 8)[..], &field(8, &number(2, 18)), &field(7, graph), more].concat()
}

/// A node: `y = Operator(x, ...)` with these attributes.
fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|input| field(1, input.as_bytes())).collect::<Vec<u8>>();
    let attributes = attributes.iter().flat_map(|attribute| field(5, attribute)).collect::<Vec<u8>>();
    field(
        1,
        &[&inputs[..], &field(2, output.as_bytes()), &field(4, operator.as_bytes()), &attributes].concat(),
    )
}

/// An attribute of numbers.
fn ints(name: &str, numbers: &[i64]) -> Vec<u8> {
    [field(1, name.as_bytes()), numbers.iter().flat_map(|it| number(8, *it)).collect()].concat()
}

/// A list of integers as an initializer.
fn list(name: &str, numbers: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
    field(
        5,
        &[number(1, numbers.len() as i64), number(2, 7), field(8, name.as_bytes()), field(9, &raw)].concat(),
    )
}

/// An input or output of a graph, of these sides: field 11 or 12.
fn port(place: u8, name: &str, sides: &[i64]) -> Vec<u8> {
    let sides: Vec<u8> = sides.iter().flat_map(|side| field(1, &number(1, *side))).collect();
    let tensor = [number(1, 1), field(2, &sides)].concat();
    field(place, &[field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat())
}

/// A graph from `x`, an image, to `y`, with these nodes and initializers before a classifier without weights.
fn classifier(side: i64, before: &[Vec<u8>]) -> Vec<u8> {
    let head = [node("GlobalAveragePool", &["x"], "p", &[]), node("Flatten", &["p"], "y", &[])].concat();
    [port(11, "x", &[1, 3, side, side]), before.concat(), head, port(12, "y", &[1, 3])].concat()
}

/// What an ONNX file says takes memory when it is read: messages of no bytes, and numbers of one.
#[test]
fn messages_of_onnx_files_take_no_more_than_they_may() {
    let desk = Desk::new();
    const LENGTH: usize = 8 << 20;
    let many = |one: &[u8]| one.repeat(LENGTH / one.len());
    let attribute = |bytes: &[u8]| field(1, &field(5, bytes));
    let deep = (0..100).fold(Vec::new(), |graph: Vec<u8>, _| field(1, &field(5, &field(6, &graph))));
    for (name, graph) in [
        ("nodes", many(&field(1, b""))),
        ("nodes with inputs", many(&field(1, &field(1, b"a")))),
        ("inputs of a node", field(1, &many(&field(1, b"a")))),
        ("tensors", many(&field(5, b""))),
        ("ports", many(&field(11, b""))),
        ("axes of a port", field(11, &field(2, &field(1, &field(2, &many(&field(1, b""))))))),
        ("attributes", field(1, &many(&field(5, b"")))),
        ("graphs of attributes", many(&attribute(&field(6, b"")))),
        ("tensors of attributes", many(&attribute(&field(5, b"")))),
        ("packed integers", attribute(&field(8, &vec![1; LENGTH]))),
        ("integers", attribute(&many(&number(8, 1)))),
        ("sides", field(5, &field(1, &vec![1; LENGTH]))),
        ("numbers", field(5, &many(&number(7, 1)))),
        ("deep", deep),
    ] {
        refuses(&desk, &format!("{name}.onnx"), &onnx(&graph, b""), "");
    }
    for (name, more) in
        [("metadata", many(&field(14, b""))), ("operator sets", many(&field(8, &field(1, b"a"))))]
    {
        refuses(&desk, &format!("{name}.onnx"), &onnx(b"", &more), "takes more memory");
    }
    // A tensor of as many numbers as it says, each a byte in the file.
    let tensor =
        [number(1, LENGTH as i64), number(2, 3), field(8, b"w"), field(5, &vec![1; LENGTH])].concat();
    let graph = classifier(8, &[field(5, &tensor)]);
    desk.file("bytes.onnx", &onnx(&graph, b""));
    let room = BASE + ROOM + (TIMES + 2 * 8) * LENGTH as u64 / 1024;
    let Done { code, said, seconds } = within(room, &desk, &["layers", "--weights", "bytes.onnx"]);
    assert!(code == Some(0) && seconds < SECONDS, "{code:?} {seconds} s: {said}");
}

/// What an ONNX file of a few hundred bytes lets be computed.
#[test]
fn small_onnx_files_compute_no_more_than_they_may() {
    let desk = Desk::new();
    let (many, most) = (1 << 24, 1 << 40);
    let range = |count: i64| {
        vec![
            list("zero", &[0]),
            list("count", &[count]),
            list("one", &[1]),
            node("Range", &["zero", "count", "one"], "r", &[]),
        ]
    };
    let with = |all: Vec<Vec<u8>>, more: Vec<Vec<u8>>| [all, more].concat();
    let outer = || vec![list("column", &[-1, 1]), node("Reshape", &["r", "column"], "c", &[])];
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("constant of shape", vec![list("s", &[most]), node("ConstantOfShape", &["s"], "c", &[])]),
        ("range", range(most)),
        ("expand", vec![list("s", &[many, many]), list("v", &[1]), node("Expand", &["v", "s"], "c", &[])]),
        ("tile", vec![list("s", &[most]), list("v", &[1]), node("Tile", &["v", "s"], "c", &[])]),
        ("outer sum", with(with(range(1 << 20), outer()), vec![node("Add", &["r", "c"], "o", &[])])),
        (
            "outer product",
            with(
                with(range(1 << 20), outer()),
                vec![
                    list("row", &[1, -1]),
                    node("Reshape", &["r", "row"], "t", &[]),
                    node("MatMul", &["c", "t"], "o", &[]),
                ],
            ),
        ),
        (
            "one-hot",
            vec![
                list("i", &[1]),
                list("d", &[most]),
                list("v", &[0, 1]),
                node("OneHot", &["i", "d", "v"], "c", &[]),
            ],
        ),
        ("pad", vec![list("v", &[1]), list("p", &[most, most]), node("Pad", &["v", "p"], "c", &[])]),
        (
            "padding of the image",
            vec![node("MaxPool", &["x"], "c", &[ints("kernel_shape", &[1, 1]), ints("pads", &[most; 4])])],
        ),
        (
            "growing",
            (0..60).fold(vec![list("g0", &[1])], |all, step| {
                let (from, to) = (format!("g{step}"), format!("g{}", step + 1));
                with(
                    all,
                    vec![node("Concat", &[&from, &from], &to, &[[field(1, b"axis"), number(3, 0)].concat()])],
                )
            }),
        ),
        (
            "many",
            (0..100).fold(vec![list("s", &[1 << 21])], |all, step| {
                with(all, vec![node("ConstantOfShape", &["s"], &format!("c{step}"), &[])])
            }),
        ),
    ];
    for (name, before) in cases {
        refuses(&desk, &format!("{name}.onnx"), &onnx(&classifier(8, &before), b""), "");
    }
    refuses(&desk, "image.onnx", &onnx(&classifier(100_000, &[]), b""), "too large");
    refuses(
        &desk,
        "circle.onnx",
        &onnx(&[port(12, "y", &[1, 3]), node("Identity", &["y"], "y", &[])].concat(), b""),
        "",
    );
    // Functions that call one another, and loops within loops.
    let calls = |step: usize| {
        let call = |from: &str, to: &str| {
            let name = format!("f{}", step - 1);
            let bytes = [
                field(1, from.as_bytes()),
                field(2, to.as_bytes()),
                field(4, name.as_bytes()),
                field(7, b"own"),
            ];
            field(7, &bytes.concat())
        };
        let name = format!("f{step}");
        let body = match step {
            0 => field(7, &node("Relu", &["a"], "c", &[])[2..]),
            _ => [call("a", "b"), call("b", "c")].concat(),
        };
        field_25(
            &[field(1, name.as_bytes()), field(4, b"a"), field(5, b"c"), body, field(10, b"own")].concat(),
        )
    };
    let functions: Vec<u8> = (0..40).flat_map(calls).collect();
    let call = field(1, &[field(1, b"x"), field(2, b"z"), field(4, b"f39"), field(7, b"own")].concat());
    refuses(&desk, "functions.onnx", &onnx(&classifier(8, &[call]), &functions), "nodes are run");
    let body = |inside: &[u8]| {
        let constant = node("Identity", &["keep"], "on", &[]);
        [
            &field(11, &field(1, b"step"))[..],
            &field(11, &field(1, b"keep")),
            &constant,
            inside,
            &field(12, &field(1, b"on")),
        ]
        .concat()
    };
    let repeat = |inside: &[u8]| {
        node("Loop", &["times", "go"], "none", &[[field(1, b"body"), field(6, &body(inside))].concat()])
    };
    let go = field(5, &[number(2, 9), field(8, b"go"), field(9, &[1])].concat());
    let before = [list("times", &[10_000]), go, repeat(&repeat(&repeat(b"")))];
    refuses(&desk, "loops.onnx", &onnx(&classifier(8, &before), b""), "");
}

/// Field 25, whose key has two bytes.
fn field_25(bytes: &[u8]) -> Vec<u8> {
    let mut all = field(0, bytes);
    all.splice(0..1, [0xca, 0x01]);
    all
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
    refuses(&Desk::new(), "entries.pth", &bytes.into_inner(), "");
}

/// A manifest of the shortest names: what is kept of a name has to be as short.
#[test]
fn a_manifest_of_short_names_takes_no_more_than_it_may() {
    let desk = Desk::new();
    let scene = cam_scenes::Scene::draw(7, 64).unwrap().image;
    for folder in ["album", "out"] {
        std::fs::create_dir(desk.path().join(folder)).unwrap();
    }
    desk.file("album/scene.png", &burn_cam::draw::encode(&scene, "png").unwrap());
    let (mut manifest, mut number) = (String::new(), 0u32);
    while manifest.len() < 64 << 20 {
        let maps: Vec<String> =
            (number..number + 400_000).map(|name| format!("{{\"png\":\"{name:x}\"}}")).collect();
        number += 400_000;
        let maps = maps.join(",");
        manifest +=
            &format!("{{\"input\":\"a\",\"bytes\":0,\"modified\":0,\"options\":1,\"maps\":[{maps}]}}\n");
    }
    // What is no line is dropped, and the manifest is written anew.
    manifest += "no line\n";
    desk.file("out/manifest.jsonl", manifest.as_bytes());
    let room = BASE + ROOM + TIMES * manifest.len() as u64 / 1024;
    let Done { code, said, seconds } = within(room, &desk, &["explain", "album", "--out", "out", "-q"]);
    println!("{} bytes, {seconds:.2} s", manifest.len());
    assert_eq!(code, Some(0), "{said}");
    let kept = std::fs::metadata(desk.path().join("out/manifest.jsonl")).unwrap().len();
    assert!(kept > manifest.len() as u64, "{kept}");
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
    // One is read, one waits, and one is drawn on; each takes 72 MB, and what is drawn twice that.
    let Done { code, said, .. } = within(BASE + 5 * 72_000, &desk, &arguments);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn what_has_no_end_is_not_read_to_it() {
    let desk = Desk::new();
    let scene = cam_scenes::Scene::draw(7, 64).unwrap().image;
    desk.file("scene.png", &burn_cam::draw::encode(&scene, "png").unwrap());
    for arguments in [
        &["explain", "/dev/zero"][..],
        &["layers", "--weights", "/dev/zero"],
        &["layers", "--card", "/dev/zero"],
        &["explain", "scene.png", "--labels", "/dev/zero"],
    ] {
        let Done { code, said, .. } = within(BASE + ROOM + 2_200_000, &desk, arguments);
        assert!(matches!(code, Some(7 | 9 | 14)), "{arguments:?}: {code:?} {said}");
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
            let Done { code, said, .. } =
                within(BASE + ROOM, &desk, &["explain", "scene.png", &format!("{option}={number}")]);
            let code = code.unwrap_or_else(|| panic!("{option} {number}: {said}"));
            assert!(code == 0 || said.lines().count() == 1, "{option} {number}: {said}");
        }
    }
    // As many as there may be classes, of a model of ten.
    let Done { code, said, .. } = within(BASE + ROOM, &desk, &["explain", "scene.png", "--top", "131072"]);
    assert!(code == Some(0) && said.contains("has 10 classes, and all are explained"), "{said}");
    for option in ["--classes", "--batch"] {
        let Done { code, said, .. } = within(BASE + ROOM, &desk, &["bench", option, "4294967295"]);
        assert_eq!(code, Some(2), "{said}");
    }
}
