//! A model card as text that a user can edit: TOML with a comment at each field on where it comes from.

use crate::card_layers::{Origin, table};
use crate::{Labels, ModelCard};
use std::collections::BTreeMap;
use std::fmt::Write;
use toml::Value;

/// Fields of published weights, which say nothing of others of the same network.
const PUBLISHED: [&str; 6] = ["about", "accuracy", "hub", "license", "sha256", "url"];

/// Returns a card in TOML. What only the card of a published variant states is assumed of a network that was `recognized` as that variant.
pub(crate) fn card_text(
    card: &ModelCard,
    labels: &[String],
    origins: &BTreeMap<String, Origin>,
    recognized: bool,
) -> String {
    let numbered = labels.iter().enumerate().all(|(class, label)| *label == class.to_string());
    let labels = if numbered { Labels::Numbers } else { card.labels.clone() };
    let comment = |field: &str| match origins.get(field) {
        Some(Origin::Shipped(variant)) if recognized => format!("assumed, as for {variant}"),
        Some(origin) => origin.to_string(),
        None => Origin::Assumed.to_string(),
    };
    let (mut text, mut options) = (String::new(), String::new());
    for (field, value) in table(&ModelCard { labels, ..card.clone() }) {
        let shipped = matches!(origins.get(&field), Some(Origin::Shipped(_)));
        match value {
            Value::Table(table) => {
                for (option, value) in table {
                    line(&mut options, &option, &value, &comment(&format!("{field}.{option}")));
                }
            }
            _ if shipped && recognized && PUBLISHED.contains(&field.as_str()) => {}
            value => line(&mut text, &field, &value, &comment(&field)),
        }
    }
    if !options.is_empty() {
        _ = write!(text, "\n[architecture]\n{options}");
    }
    text
}

/// Adds a line.
fn line(text: &mut String, field: &str, value: &Value, comment: &str) {
    _ = writeln!(text, "{field} = {value}  # {}", comment.replace(char::is_control, " "));
}
