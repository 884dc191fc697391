//! What made a result: in JSON, in the text of a PNG, and on the page.

use crate::report::failure::Failure;
use crate::report::json_path::JsonPath;
use burn_cam::ImageModel;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of Burn, as in the manifest.
const BURN: &str = "0.22.1";

/// What made a result: enough to make it again, and to see what has changed if it is another then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The version of the tool.
    pub cam: String,
    /// The version of Burn.
    pub burn: String,
    /// The system, and the kind of CPU.
    pub platform: String,
    /// Where it ran; several devices are separated by commas.
    pub device: String,
    /// The name of the model.
    pub model: String,
    /// Its weights; of the built-in model none.
    pub weights: Option<JsonPath>,
    /// The sha256 of its weights.
    pub sha256: Option<String>,
    /// All options, with every value of the model card and of the preprocessing.
    pub options: Value,
    /// The command line.
    pub arguments: Vec<JsonPath>,
}

impl Provenance {
    /// Collects it for a model on a device, with these options.
    ///
    /// # Errors
    /// Fails when the file of the weights cannot be read any more.
    pub fn new(
        model: &impl ImageModel,
        device: &str,
        options: Value,
        arguments: Vec<JsonPath>,
    ) -> Result<Self, Failure> {
        let info = model.info();
        Ok(Self {
            cam: env!("CARGO_PKG_VERSION").into(),
            burn: BURN.into(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            device: device.into(),
            model: info.name,
            weights: info.weights.map(JsonPath::from),
            sha256: model.sha256()?,
            options,
            arguments,
        })
    }

    /// Returns the software and the machine, for people.
    pub fn software(&self) -> String {
        let Self { cam, burn, device, platform, .. } = self;
        format!("cam {cam}, Burn {burn}, {device}, {platform}")
    }

    /// Returns what is not as it was, for people: `name: before -> now`.
    pub fn changes(&self, before: &Self) -> Vec<String> {
        let json = |provenance: &Self| serde_json::to_value(provenance).expect("it is plain data");
        let mut changes = Vec::new();
        collect_changes("", &json(before), &json(self), &mut changes);
        changes
    }
}

/// Collects the values that differ, by their names. What only says when a file was changed is no difference.
fn collect_changes(name: &str, before: &Value, now: &Value, changes: &mut Vec<String>) {
    if before == now || name.ends_with("modified") || name == "arguments" {
        return;
    }
    match (before, now) {
        (Value::Object(old), Value::Object(new)) => {
            let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in names {
                let path = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                let value = |all: &serde_json::Map<String, Value>| all.get(key).cloned().unwrap_or_default();
                collect_changes(&path, &value(old), &value(new), changes);
            }
        }
        _ => changes.push(format!("{name}: {before} -> {now}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_burn_is_that_of_the_manifest() {
        let manifest = include_str!("../../../../Cargo.toml");
        assert!(manifest.contains(&format!("burn = {{ version = \"{BURN}\"")));
    }

    #[test]
    fn what_differs_is_named() {
        let before = serde_json::json!({"a": {"b": 1, "modified": 5}, "c": "x", "arguments": ["y"]});
        let now = serde_json::json!({"a": {"b": 2, "modified": 6}, "c": "x", "d": true, "arguments": []});
        let mut changes = Vec::new();
        collect_changes("", &before, &now, &mut changes);
        assert_eq!(changes, ["a.b: 1 -> 2", "d: null -> true"]);
    }
}
