//! Classes by their names.

use crate::Error;
use glob::{MatchOptions, Pattern};

/// Returns the number of the class of this name (in any case), or of this number. Without names every number is a class.
///
/// # Errors
/// [`Error::UnknownLabel`] with similar names, or all names where they are few.
///
/// ```
/// use cam_image::class_named;
///
/// let names = ["tabby".to_string(), "tiger cat".to_string()];
/// assert_eq!(class_named(&names, "Tiger Cat")?, 1);
/// assert_eq!(class_named(&names, "0")?, 0);
/// assert!(class_named(&["crane".into(), "crane".into()], "crane").is_err()); // a bird and a machine: a number says which
/// assert_eq!(class_named(&names, "taby").unwrap_err().to_string(), "no class is called `taby`; did you mean tabby?");
/// assert_eq!(class_named(&names, "dog").unwrap_err().to_string(), "no class is called `dog`; there are tabby, tiger cat");
/// assert_eq!(class_named(&names, "-1").unwrap_err().to_string(), "no class is called `-1`; there are 2, numbered 0 to 1");
/// # Ok::<(), cam_image::Error>(())
/// ```
pub fn class_named(labels: &[String], asked: &str) -> Result<usize, Error> {
    let mut named = (0..labels.len()).filter(|class| labels[*class].eq_ignore_ascii_case(asked));
    let (exact, others) = (named.next(), named.collect::<Vec<_>>());
    if let (Some(first), false) = (exact, others.is_empty()) {
        let classes = std::iter::once(first).chain(others).collect();
        return Err(Error::AmbiguousLabel { asked: asked.into(), classes });
    }
    let numbered = || asked.parse().ok().filter(|class| labels.is_empty() || *class < labels.len());
    if let Some(class) = exact.or_else(numbered) {
        return Ok(class);
    }
    let wanted = asked.to_lowercase();
    // Names are not similar to a number.
    let is_number = asked.parse::<i128>().is_ok();
    let mut close: Vec<(f64, &String)> =
        labels.iter().map(|label| (similarity(&label.to_lowercase(), &wanted), label)).collect();
    close.retain(|(score, _)| *score > SIMILAR && !is_number);
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    let names = match close.is_empty() && labels.len() <= FEW && !is_number {
        true => labels.to_vec(),
        false => close.into_iter().take(5).map(|(_, label)| label.clone()).collect(),
    };
    Err(Error::UnknownLabel { asked: asked.into(), names, known: labels.len() })
}

/// The most classes that are all listed where no name is similar.
const FEW: usize = 12;

/// The least similarity of a name that may be meant, by Jaro and Winkler.
const SIMILAR: f64 = 0.7;

/// Returns the classes whose names match a pattern in any case, in which `*` stands for any letters and `?` for one.
///
/// ```
/// use cam_image::classes_matching;
///
/// let names = ["bulldog", "cat", "Dogfish"].map(String::from);
/// assert_eq!(classes_matching(&names, "*dog"), [0]);
/// assert_eq!(classes_matching(&names, "*dog*"), [0, 2]);
/// assert_eq!(classes_matching(&names, "?at"), [1]);
/// ```
pub fn classes_matching(labels: &[String], pattern: &str) -> Vec<usize> {
    let options = MatchOptions { case_sensitive: false, ..MatchOptions::default() };
    // Brackets are letters of names.
    let pattern = Pattern::new(&pattern.replace('[', "[[]"));
    let matches = |label: &str| pattern.as_ref().is_ok_and(|pattern| pattern.matches_with(label, options));
    (0..labels.len()).filter(|class| matches(&labels[*class])).collect()
}

/// Scores how similar a label is to what was asked for: most if it has it as a word, then as a part, then by spelling.
fn similarity(label: &str, asked: &str) -> f64 {
    let words = label.split(|c: char| !c.is_alphanumeric());
    match () {
        () if words.into_iter().any(|word| word == asked) => 3.0,
        () if asked.len() > 2 && label.contains(asked) => 2.0,
        () => strsim::jaro_winkler(label, asked),
    }
}
