//! Archives as `torch.save` writes them, to the byte.

use std::io::Read;
use std::path::Path;
use zip::ZipArchive;

/// What lies in an archive below its folder.
pub struct Entry {
    pub name: String,
    pub bytes: Vec<u8>,
    pub crc32: u32,
}

/// The entries of an archive.
pub fn entries(path: &Path) -> Vec<Entry> {
    let mut archive = ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let places = 0..archive.len();
    let entry = |place| {
        let mut entry = archive.by_index(place).unwrap();
        let name = entry.name().unwrap().split_once('/').unwrap().1.to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        Entry { name, bytes, crc32: entry.crc32() }
    };
    places.map(entry).collect()
}

/// The bytes of a file that `torch.save` calls `<stem>.pth`: what an entry holds starts at a multiple of 64 bytes, for which its header is
/// padded, and the end records of zip64 are there whether they are needed or not.
pub fn pytorch(stem: &str, entries: &[Entry]) -> Vec<u8> {
    const ALIGNED: usize = 64;
    let short = |number: usize| (number as u16).to_le_bytes();
    let long = |number: usize| (number as u32).to_le_bytes();
    let wide = |number: usize| (number as u64).to_le_bytes();
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for Entry { name, bytes, crc32 } in entries {
        let name = format!("{stem}/{name}");
        let (start, length) = (file.len(), long(bytes.len()));
        let padding = (start + 30 + name.len() + 4).next_multiple_of(ALIGNED) - (start + 30 + name.len() + 4);
        // No versions; sizes follow the bytes; stored; no time, no checksum and no sizes here.
        file.extend(
            [&b"PK\x03\x04\0\0\x08\x08"[..], &[0; 18], &short(name.len()), &short(padding + 4)].concat(),
        );
        file.extend([name.as_bytes(), b"FB", &short(padding), &b"Z".repeat(padding), bytes].concat());
        file.extend([&b"PK\x07\x08"[..], &crc32.to_le_bytes(), &length, &length].concat());
        directory.extend([&b"PK\x01\x02\0\0\0\0\x08\x08"[..], &[0; 6], &crc32.to_le_bytes()].concat());
        directory.extend([&length[..], &length, &short(name.len()), &[0; 12], &long(start)].concat());
        directory.extend(name.as_bytes());
    }
    let (start, length, count) = (file.len(), directory.len(), entries.len());
    file.extend(directory);
    let zip64 = file.len();
    file.extend([&b"PK\x06\x06"[..], &wide(44), b"\x1e\x03\x2d\0", &[0; 8]].concat());
    file.extend([wide(count), wide(count), wide(length), wide(start)].concat());
    file.extend([&b"PK\x06\x07\0\0\0\0"[..], &wide(zip64), &long(1)].concat());
    file.extend([&b"PK\x05\x06\0\0\0\0"[..], &short(count), &short(count)].concat());
    file.extend([&long(length)[..], &long(start), &[0; 2]].concat());
    file
}
