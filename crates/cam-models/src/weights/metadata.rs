//! What a safetensors file says beside its tensors: the entries of its metadata that are fields of a model card.

use crate::ModelCard;
use crate::card_layers::{CardLayers, Origin, table};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, Read};
use toml::{Table, Value};

/// The header of a file: the metadata, and the tensors, which are read elsewhere.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
}

/// The most entries that are looked at, and the most bytes of their values together: a card has few fields, and its names of classes are
/// the longest.
const ENTRIES: usize = 1000;
const LONGEST: usize = 1 << 20;

/// Returns the fields of a model card in the metadata of a safetensors file: values are TOML (`[0.5, 0.5, 0.5]`) or words. An entry that no
/// card could have is of something else and left out.
pub(super) fn card(mut file: impl Read) -> io::Result<Table> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let header = file.take(u64::from_le_bytes(length));
    let Ok(Header { metadata }) = serde_json::from_reader(io::BufReader::new(header)) else {
        return Ok(Table::new());
    };
    // Of something else; as values, they would take many times their length.
    let length: usize = metadata.values().map(String::len).sum();
    if metadata.len() > ENTRIES || length > LONGEST {
        return Ok(Table::new());
    }
    let value = |text: &str| match toml::from_str::<Table>(&format!("value = {text}")) {
        Ok(mut table) => table.remove("value"),
        Err(_) => Some(Value::from(text)),
    };
    let fields = metadata.iter().filter_map(|(field, text)| Some((field.clone(), value(text)?)));
    Ok(fields.filter(|(field, value)| is_of_a_card(field, value)).collect())
}

/// Returns whether a card can have this field with this value.
fn is_of_a_card(field: &str, value: &Value) -> bool {
    let whole = CardLayers::new().with(Origin::Assumed, table(&ModelCard::new("", [1, 1], "")));
    whole.with(Origin::Metadata, Table::from_iter([(field.to_string(), value.clone())])).card().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_card_are_read_and_others_are_left_out() {
        let header = r#"{"__metadata__": {"format": "pt", "size": "[256, 256]", "logits": "sigmoid", "mean": "many", "labels": "[\"a\", \"b\"]"},
            "fc.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#;
        let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
        let expected = "size = [256, 256]\nlogits = 'sigmoid'\nlabels = ['a', 'b']";
        assert_eq!(card(&file[..]).unwrap(), toml::from_str::<Table>(expected).unwrap());
    }
}
