//! Which classes of a model are which of a truth.

use crate::report::failure::Failure;
use burn_cam::{AnyModel, ImageModel};
use std::collections::HashMap;
use std::path::Path;

/// The classes of the model for each class of the truth.
#[derive(Debug)]
pub struct ClassMap(HashMap<String, Vec<usize>>);

impl ClassMap {
    /// Reads a CSV of the name of a class of the truth and a class of the model: its number, its name, or a pattern of names with `*` and `?`. A class may
    /// have several rows. A first row that names no class is a heading.
    pub fn open(path: &Path, model: &AnyModel) -> Result<Self, Failure> {
        let failed = |reason: String| Failure::Truth { path: path.into(), reason };
        let decoder = model.decoder();
        let labels: Vec<String> =
            (0..decoder.classes().unwrap_or(0)).map(|class| decoder.label(class).into_owned()).collect();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_path(path)
            .map_err(|error| failed(error.to_string()))?;
        let mut map: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, row) in reader.records().enumerate() {
            let row = row.map_err(|error| failed(error.to_string()))?;
            let (Some(name), Some(class)) = (row.get(0), row.get(1)) else {
                return Err(failed(format!(
                    "line {}: a row has the name of a class and a class of the model",
                    number + 1
                )));
            };
            let found = classes(class, &labels).map_err(failed)?;
            if found.is_empty() && number > 0 {
                return Err(failed(format!("line {}: the model has no class `{class}`", number + 1)));
            }
            if !found.is_empty() {
                map.entry(name.to_lowercase()).or_default().extend(found);
            }
        }
        Ok(Self(map))
    }

    /// Returns the classes of the model for a class of the truth; none if it lacks it.
    pub fn classes(&self, name: &str) -> &[usize] {
        self.0.get(&name.to_lowercase()).map_or(&[], Vec::as_slice)
    }
}

/// Returns the classes of a model that a number, a name or a pattern means.
fn classes(asked: &str, labels: &[String]) -> Result<Vec<usize>, String> {
    if let Ok(number) = asked.parse::<usize>() {
        return Ok((number < labels.len() || labels.is_empty()).then_some(number).into_iter().collect());
    }
    let pattern = glob::Pattern::new(&asked.to_lowercase()).map_err(|error| format!("`{asked}`: {error}"))?;
    // Names of ImageNet have several words for one class, with commas between.
    let is_meant = |label: &String| {
        let label = label.to_lowercase();
        pattern.matches(&label) || label.split(',').any(|name| pattern.matches(name.trim()))
    };
    Ok(labels.iter().enumerate().filter(|(_, label)| is_meant(label)).map(|(class, _)| class).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_numbers_names_or_patterns() {
        let labels = ["beach wagon, station wagon", "cab", "fire engine"].map(String::from);
        let found = |asked| classes(asked, &labels).unwrap();
        assert_eq!(found("2"), [2]);
        assert_eq!(found("Cab"), [1]);
        assert_eq!(found("*wagon"), [0]);
        assert_eq!(found("station wagon"), [0]);
        assert!(found("3").is_empty() && found("boat").is_empty());
        assert!(classes("[", &labels).is_err());
    }
}
