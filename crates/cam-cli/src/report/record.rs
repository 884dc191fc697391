//! A result of an earlier run, from which `cam explain --from` makes the same maps again.

use crate::report::contact_sheet::KEYWORD;
use crate::report::failure::Failure;
use crate::report::json::MapSubject;
use crate::report::json_path::JsonPath;
use crate::report::provenance::Provenance;
use crate::run::images::Explained;
use burn_cam::{ImageMap, draw};
use serde::Deserialize;
use serde_json::json;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Returns the record of some maps of images as JSON, which [`Record::read`] reads.
pub fn text<'a>(
    run: &Provenance,
    images: impl IntoIterator<Item = (&'a Explained, &'a [ImageMap])>,
) -> String {
    let image = |(explained, maps): (&Explained, &[ImageMap])| {
        json!({
            "image": JsonPath::from(explained.source.path.as_path()),
            "sha256": explained.sha256,
            "maps": maps.iter().map(MapSubject::from).collect::<Vec<_>>(),
        })
    };
    let images: Vec<_> = images.into_iter().map(image).collect();
    json!({ "images": images, "run": run }).to_string()
}

/// A result of an earlier run.
#[derive(Debug, Deserialize)]
pub struct Record {
    pub run: Provenance,
    /// Its images; of an image file that was written the one that it shows.
    #[serde(default)]
    images: Vec<RecordedImage>,
    /// Where it is.
    #[serde(skip)]
    path: PathBuf,
}

/// An image of an earlier run.
#[derive(Debug, Deserialize)]
struct RecordedImage {
    image: JsonPath,
    sha256: Option<String>,
    maps: Vec<RecordedMap>,
}

/// A map of an earlier run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct RecordedMap {
    label: String,
    method: String,
    layer: String,
    digest: String,
    score: f32,
}

impl Record {
    /// Reads what `cam explain --json` printed, or an image that the tool has written.
    ///
    /// # Errors
    /// [`Failure::Record`] if the file cannot be read, or has no record.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        /// The most bytes of a record.
        const LONGEST: u64 = 1 << 30;
        let refused = |reason: String| Failure::Record { path: path.into(), reason };
        let length = path.metadata().map_err(|error| refused(error.to_string()))?.len();
        if length > LONGEST {
            return Err(refused(format!("it has {length} bytes, and {LONGEST} at most are read")));
        }
        let bytes = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
        let text = match draw::png_text(&bytes, KEYWORD) {
            Some(text) => text.into_bytes(),
            None if bytes.starts_with(b"\x89PNG") => {
                return Err(refused(
                    "it is an image without a record: this tool writes one into its PNG files".into(),
                ));
            }
            None => bytes,
        };
        let record = serde_json::from_slice::<Self>(&text);
        let record = record.map_err(|error| {
            refused(format!(
                "it is neither what `cam explain --json` prints nor an image of this tool: {error}"
            ))
        })?;
        Ok(Self { path: path.into(), ..record })
    }

    /// Returns the command line that made it, with these outputs instead of its own.
    pub fn arguments(&self, outputs: &[OsString]) -> Vec<OsString> {
        let recorded = self.run.arguments.iter().map(|word| word.as_os_str().to_owned());
        std::iter::once("cam".into()).chain(recorded).chain(outputs.iter().cloned()).collect()
    }

    /// Returns how the maps of an image differ from those of the record, for people: nothing when they are the same to the bit.
    pub fn differences(&self, image: &Path, sha256: &str, maps: &[MapSubject]) -> Vec<String> {
        let Some(recorded) = self.images.iter().find(|recorded| *recorded.image == *image) else {
            return vec![format!("{}: it is not in {}", image.display(), self.path.display())];
        };
        let mut lines = Vec::new();
        if recorded.sha256.as_deref().is_some_and(|before| before != sha256) {
            lines.push(format!("{}: the file has changed", image.display()));
        }
        for before in &recorded.maps {
            let is_same = |map: &&MapSubject| {
                (map.label.as_str(), map.method, map.layer.as_str())
                    == (before.label.as_str(), before.method.as_str(), before.layer.as_str())
            };
            let RecordedMap { label, method, layer, digest, score } = before;
            let name = format!("{}: {label} by {method} at {layer}", image.display());
            match maps.iter().find(is_same) {
                None => lines.push(format!("{name}: it is not made any more")),
                Some(map) if map.digest != *digest => {
                    lines.push(format!("{name}: another map (score {score} -> {})", map.score));
                }
                Some(_) => {}
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_a_record_are_refused_by_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let refusal = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Record::read(&path).unwrap_err().to_string()
        };
        let png = draw::encode(&draw::RgbImage::new(2, 2), "png").unwrap();
        assert!(refusal(&png).contains("an image without a record"), "{}", refusal(&png));
        assert!(refusal(b"{}").contains("neither what `cam explain --json` prints"), "{}", refusal(b"{}"));
        let named = draw::with_png_text(png, KEYWORD, "[1");
        assert!(refusal(&named).contains("neither"), "{}", refusal(&named));
        assert!(Record::read(&folder.path().join("none")).is_err());
    }
}
