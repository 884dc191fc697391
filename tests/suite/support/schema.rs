//! The part of JSON Schema that the published schema uses. A validator of all of it would bring features of crates that Burn has, so that
//! the tests would build Burn once more.

use serde_json::Value;

/// The keywords that say nothing of a value.
const SILENT: [&str; 5] = ["$schema", "$defs", "title", "description", "pattern"];

/// Validates a value against a schema of the document `root`. An unknown keyword is an error.
pub fn validate(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let wrong = |keyword: &str| Err(format!("{value} does not fit {keyword} of {schema}"));
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for (keyword, rule) in schema.as_object().ok_or("a schema is an object")? {
        let fits = match keyword.as_str() {
            "type" => {
                let kinds = if rule.is_array() { list(rule) } else { vec![rule.clone()] };
                kinds.iter().any(|kind| is_a(value, kind.as_str().unwrap_or_default()))
            }
            "$ref" => {
                let part = rule.as_str().and_then(|rule| root.pointer(rule.strip_prefix('#')?));
                validate(root, part.ok_or("a reference to nothing")?, value)?;
                true
            }
            "anyOf" => list(rule).iter().any(|one| validate(root, one, value).is_ok()),
            "items" => {
                for item in list(value) {
                    validate(root, rule, &item)?;
                }
                true
            }
            "properties" => {
                for (name, rule) in rule.as_object().into_iter().flatten() {
                    if let Some(part) = value.get(name) {
                        validate(root, rule, part)?;
                    }
                }
                true
            }
            "required" => {
                list(rule).iter().all(|name| value.get(name.as_str().unwrap_or_default()).is_some())
            }
            "additionalProperties" => {
                let known = |name: &String| schema["properties"].get(name).is_some();
                value.as_object().is_none_or(|value| value.keys().all(known))
            }
            "minimum" => value.as_f64().is_none_or(|value| value >= rule.as_f64().unwrap_or(f64::NAN)),
            "maximum" => value.as_f64().is_none_or(|value| value <= rule.as_f64().unwrap_or(f64::NAN)),
            "minItems" => {
                value.as_array().is_none_or(|value| value.len() as u64 >= rule.as_u64().unwrap_or(u64::MAX))
            }
            "maxItems" => {
                value.as_array().is_none_or(|value| value.len() as u64 <= rule.as_u64().unwrap_or(0))
            }
            silent if SILENT.contains(&silent) => true,
            unknown => return Err(format!("the keyword {unknown} is not known here")),
        };
        if !fits {
            return wrong(keyword);
        }
    }
    Ok(())
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        _ => false,
    }
}
