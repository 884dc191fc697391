//! PNG, JPEG and WebP files, written whole or not at all.
//!
//! The picture is encoded in memory, written to a temporary file in the target's folder, and renamed onto the target.
//! A run that fails leaves what was there before.

use crate::{Error, map::check_size};
use image::{
    ExtendedColorType::Rgb8,
    ImageEncoder, RgbImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
};
use std::{fs, io, io::Write, path::Path};

/// The extensions of files that can be written.
const KNOWN: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// Of JPEG files, from 1 to 100.
const QUALITY: u8 = 92;

/// The bytes of a picture file; `extension` is `png`, `jpg`, `jpeg` or `webp` (without loss), capitals do not matter.
///
/// ```
/// use cam_viz::{RgbImage, encode};
///
/// let bytes = encode(&RgbImage::new(2, 2), "png")?;
/// assert_eq!(&bytes[1..4], b"PNG");
/// assert_eq!(
///     encode(&RgbImage::new(2, 2), "gif").unwrap_err().to_string(),
///     r#"cannot write pictures as "gif", only as png, jpg, jpeg, webp"#,
/// );
/// # Ok::<(), cam_viz::Error>(())
/// ```
pub fn encode(picture: &RgbImage, extension: &str) -> Result<Vec<u8>, Error> {
    let Some(format) = KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(extension)) else {
        return Err(Error::UnknownFormat { extension: extension.to_owned(), known: KNOWN.join(", ") });
    };
    let (width, height) = picture.dimensions();
    check_size(width.into(), height.into())?;
    let mut bytes = Vec::new();
    let encoded = match format {
        "png" => PngEncoder::new(&mut bytes).write_image(picture, width, height, Rgb8),
        "webp" => WebPEncoder::new_lossless(&mut bytes).write_image(picture, width, height, Rgb8),
        _ => JpegEncoder::new_with_quality(&mut bytes, QUALITY).write_image(picture, width, height, Rgb8),
    };
    match encoded {
        Ok(()) => Ok(bytes),
        Err(source) => Err(Error::Encode { format, width, height, source }),
    }
}

/// Writes a picture file, PNG, JPEG or WebP by the path's extension, in place of the one that may be there.
/// Its folder has to exist.
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
pub fn save(picture: &RgbImage, path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let bytes = encode(picture, &extension)?;
    write(path, &bytes)
}

/// Puts the bytes in the place of the file, if there is one, and nothing half-written there at any time.
/// Its folder has to exist.
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    replace(path, bytes).map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()); // through a link, to what it names
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask, as for any new file
    // Of an error the kind, without the name of a file that nobody knows.
    let mut file = builder.prefix(".cam-viz-").tempfile_in(folder).map_err(|error| error.kind())?;
    file.as_file_mut().write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&target)?;
    Ok(())
}
