//! PNG, JPEG and WebP files, written atomically.
//!
//! An image is encoded in memory, written to a temporary file in the folder of the target, and renamed to the target. A failure leaves
//! the old file unchanged.

use crate::{Error, map::check_size};
use image::{
    ExtendedColorType::Rgb8,
    ImageEncoder, ImageResult, RgbImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
};
use png::text_metadata::{EncodableTextChunk, ITXtChunk};
use std::{fs, io, io::Write, path::Path, time::Duration};

/// The extensions of the supported formats, each with its encoder and the longest side in pixels that it has.
const FORMATS: &[(&str, Encoder, u32)] = &[
    ("png", png, u32::MAX),
    ("jpg", jpeg, 65_535),
    ("jpeg", jpeg, 65_535),
    #[cfg(feature = "webp")]
    ("webp", webp, 16_384),
];

/// Appends an encoded image to the bytes.
type Encoder = fn(&RgbImage, &mut Vec<u8>) -> ImageResult<()>;

/// What the names of temporary files start with.
const TEMPORARY: &str = ".cam-viz-";

/// The age of a temporary file that nobody writes any more.
const STALE: Duration = Duration::from_secs(3600);

/// The quality of JPEG files, from 1 to 100.
const QUALITY: u8 = 92;

fn png(image: &RgbImage, bytes: &mut Vec<u8>) -> ImageResult<()> {
    PngEncoder::new(bytes).write_image(image, image.width(), image.height(), Rgb8)
}

fn jpeg(image: &RgbImage, bytes: &mut Vec<u8>) -> ImageResult<()> {
    JpegEncoder::new_with_quality(bytes, QUALITY).write_image(image, image.width(), image.height(), Rgb8)
}

#[cfg(feature = "webp")]
fn webp(image: &RgbImage, bytes: &mut Vec<u8>) -> ImageResult<()> {
    image::codecs::webp::WebPEncoder::new_lossless(bytes).write_image(
        image,
        image.width(),
        image.height(),
        Rgb8,
    )
}

/// Returns the bytes of an image file. `extension` is `png`, `jpg`, `jpeg` or `webp` (lossless), in any case.
///
/// ```
/// use cam_viz::{RgbImage, encode};
///
/// let bytes = encode(&RgbImage::new(2, 2), "png")?;
/// assert_eq!(&bytes[1..4], b"PNG");
/// assert_eq!(
///     encode(&RgbImage::new(2, 2), "gif").unwrap_err().to_string(),
///     r#"cannot write images as "gif", only as png, jpg, jpeg, webp"#,
/// );
/// # Ok::<(), cam_viz::Error>(())
/// ```
pub fn encode(image: &RgbImage, extension: &str) -> Result<Vec<u8>, Error> {
    let Some((format, encoder, longest)) =
        FORMATS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(extension))
    else {
        let known = FORMATS.iter().map(|(known, ..)| *known).collect::<Vec<_>>().join(", ");
        return Err(Error::UnknownFormat { extension: extension.to_owned(), known });
    };
    let (width, height) = image.dimensions();
    check_size(width.into(), height.into())?;
    if width.max(height) > *longest {
        return Err(Error::TooLong { format, width, height, longest: *longest });
    }
    let mut bytes = Vec::new();
    match encoder(image, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(source) => Err(Error::Encode { format, width, height, source }),
    }
}

/// The bytes of a PNG before its first chunk of data: its signature, and the chunk of its size.
const PNG_HEAD: usize = 8 + 25;

/// Adds a text to the bytes of a PNG file, under a keyword of 1 to 79 Latin letters: an `iTXt` chunk, which image viewers show. Without a
/// text, and for other files, the bytes stay as they are.
///
/// ```
/// use cam_viz::{RgbImage, encode, png_text, with_png_text};
///
/// let png = encode(&RgbImage::new(2, 2), "png")?;
/// let named = with_png_text(png.clone(), "Comment", "a café");
/// assert_eq!(png_text(&named, "Comment").as_deref(), Some("a café"));
/// assert_eq!(png_text(&png, "Comment"), None);
/// # Ok::<(), cam_viz::Error>(())
/// ```
pub fn with_png_text(mut bytes: Vec<u8>, keyword: &str, text: &str) -> Vec<u8> {
    let mut chunk = Vec::new();
    let is_png = bytes.starts_with(b"\x89PNG") && bytes.len() > PNG_HEAD;
    if is_png && !text.is_empty() && ITXtChunk::new(keyword, text).encode(&mut chunk).is_ok() {
        bytes.splice(PNG_HEAD..PNG_HEAD, chunk);
    }
    bytes
}

/// Returns the text of a PNG file under a keyword.
pub fn png_text(bytes: &[u8], keyword: &str) -> Option<String> {
    let reader = png::Decoder::new(io::Cursor::new(bytes)).read_info().ok()?;
    let texts = &reader.info().utf8_text;
    texts.iter().find(|text| text.keyword == keyword)?.get_text().ok()
}

/// Writes an image file, PNG, JPEG or WebP by the extension of the path. An existing file is replaced; the folder must exist.
///
/// ```
/// use cam_viz::{HeatMap, Overlay, RgbImage};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("where.png");
/// let photo = RgbImage::new(40, 30);
/// let heat = HeatMap::new(2, 1, [0.0, 1.0])?;
/// cam_viz::save(&Overlay::new(&photo).draw(&heat)?, &path)?;
/// assert!(path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn save(image: &RgbImage, path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let bytes = encode(image, &extension)?;
    write(path, &bytes)
}

/// Writes a file atomically, so that it is never seen half-written. An existing file is replaced; the folder must exist. Devices and pipes
/// are written to.
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    replace(path, bytes).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Removes the temporary files that programs which were killed have left in a folder. What cannot be removed stays.
pub fn remove_stale(folder: impl AsRef<Path>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_temporary = entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes());
        let age = || entry.metadata().ok().filter(fs::Metadata::is_file)?.modified().ok()?.elapsed().ok();
        if is_temporary && age().is_some_and(|age| age > STALE) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A device, a pipe, or a link to a file that does not exist yet is written through, and not replaced.
    let is_link = fs::symlink_metadata(path).is_ok_and(|data| data.is_symlink());
    let is_special = fs::metadata(path).map_or(is_link, |data| !data.is_file() && !data.is_dir());
    if is_special {
        return fs::write(path, bytes);
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()); // follows links
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // minus the umask, as for any new file
    // Only the kind of an error, without the name of the temporary file.
    let mut file = builder.prefix(TEMPORARY).tempfile_in(folder).map_err(|error| error.kind())?;
    file.as_file_mut().write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&target)?;
    Ok(())
}
