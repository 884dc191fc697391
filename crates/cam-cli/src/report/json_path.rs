//! Paths in JSON. The name of a file is bytes, and JSON is text: a path in UTF-8 is a string, and any other is `{"bytes": ".."}`, in
//! base64, as ripgrep writes it. Both are read back as the same path.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::{OsStr, OsString};
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A path that is written to JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonPath(PathBuf);

/// A path as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Utf8(String),
    Other { bytes: String },
}

impl<P: Into<PathBuf>> From<P> for JsonPath {
    fn from(path: P) -> Self {
        Self(path.into())
    }
}

impl Deref for JsonPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Serialize for JsonPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => Text::Other { bytes: STANDARD.encode(bytes(self.0.as_os_str())) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Text::deserialize(deserializer)? {
            Text::Utf8(text) => text.into(),
            Text::Other { bytes } => {
                let bytes = STANDARD.decode(bytes).map_err(D::Error::custom)?;
                os_string(bytes).ok_or_else(|| D::Error::custom("not the bytes of a path"))?.into()
            }
        }))
    }
}

#[cfg(unix)]
fn bytes(text: &OsStr) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(text).to_vec()
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

/// Windows has 16 bits a letter.
#[cfg(windows)]
fn bytes(text: &OsStr) -> Vec<u8> {
    std::os::windows::ffi::OsStrExt::encode_wide(text).flat_map(u16::to_le_bytes).collect()
}

#[cfg(windows)]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    let (letters, rest) = bytes.as_chunks();
    let letters: Vec<u16> = letters.iter().map(|letter| u16::from_le_bytes(*letter)).collect();
    rest.is_empty().then(|| std::os::windows::ffi::OsStringExt::from_wide(&letters))
}

/// Other systems have names in UTF-8.
#[cfg(not(any(unix, windows)))]
fn bytes(text: &OsStr) -> Vec<u8> {
    text.to_string_lossy().into_owned().into_bytes()
}

#[cfg(not(any(unix, windows)))]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(path: &JsonPath) -> (String, JsonPath) {
        let text = serde_json::to_string(path).unwrap();
        let back = serde_json::from_str(&text).unwrap();
        (text, back)
    }

    #[test]
    fn a_path_in_utf_8_is_a_string() {
        let path = JsonPath::from("größe/\"a\".png");
        assert_eq!(there_and_back(&path), (r#""größe/\"a\".png""#.into(), path));
    }

    #[test]
    #[cfg(unix)]
    fn any_bytes_are_read_back() {
        // Every byte that a name can have, behind each that begins a letter of several.
        for first in 1..=255u8 {
            let names = (1..=255u8).filter(|byte| *byte != b'/').map(|byte| vec![first, byte]);
            for name in names {
                let path = JsonPath::from(PathBuf::from(os_string(name).unwrap()));
                assert_eq!(there_and_back(&path).1, path);
            }
        }
        let path = JsonPath::from(PathBuf::from(os_string(b"a\xff".to_vec()).unwrap()));
        assert_eq!(there_and_back(&path).0, r#"{"bytes":"Yf8="}"#);
    }

    #[cfg(unix)]
    proptest::proptest! {
        #[test]
        fn any_path_is_read_back(name: Vec<u8>) {
            let path = JsonPath::from(PathBuf::from(os_string(name).unwrap()));
            proptest::prop_assert_eq!(there_and_back(&path).1, path);
        }
    }

    #[test]
    fn what_is_no_path_is_an_error() {
        for text in ["1", "null", "{}", r#"{"bytes":"*"}"#, r#"{"bytes":1}"#] {
            assert!(serde_json::from_str::<JsonPath>(text).is_err(), "{text}");
        }
    }
}
