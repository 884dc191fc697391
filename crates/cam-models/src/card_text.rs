//! A model card as text that a user can edit: TOML with a comment at each field on where it comes from.

use crate::card_layers::{Origin, table};
use crate::{Labels, ModelCard};
use std::collections::BTreeMap;
use std::fmt::Write;
use toml::Value;

/// Returns a card in TOML. The default names of classes are written out when they are not numbers.
pub(crate) fn card_text(card: &ModelCard, labels: &[String], origins: &BTreeMap<String, Origin>) -> String {
    let numbered = labels.iter().enumerate().all(|(class, label)| *label == class.to_string());
    let labels = if numbered { Labels::Numbers } else { card.labels.clone() };
    let mut text = String::new();
    let mut options = String::new();
    for (field, value) in table(&ModelCard { labels, ..card.clone() }) {
        match value {
            Value::Table(table) => {
                for (option, value) in table {
                    line(&mut options, &option, &value, origins.get(&format!("{field}.{option}")));
                }
            }
            value => line(&mut text, &field, &value, origins.get(&field)),
        }
    }
    if !options.is_empty() {
        _ = write!(text, "\n[architecture]\n{options}");
    }
    text
}

/// Adds a line.
fn line(text: &mut String, field: &str, value: &Value, origin: Option<&Origin>) {
    let comment = match origin {
        None => String::new(),
        Some(Origin::Assumed) => "  # assumed".into(),
        Some(origin) => format!("  # {origin}"),
    };
    _ = writeln!(text, "{field} = {value}{}", comment.replace(char::is_control, " "));
}
