//! The names of classes.

use crate::{Error, Labels};

/// The names of a list where it fits the number of classes, the numbers else.
pub(crate) fn labels(list: Labels, classes: usize) -> Vec<String> {
    let names = match list {
        Labels::Imagenet => include_str!("../models/imagenet.txt"),
        Labels::Scenes => include_str!("../models/scenes.txt"),
    };
    let names: Vec<String> = names.lines().map(String::from).collect();
    if names.len() == classes { names } else { (0..classes).map(|class| class.to_string()).collect() }
}

/// The number of the class of this name (capitals do not matter), or of this number. Without names any number is one.
///
/// # Errors
/// [`Error::UnknownLabel`] with names that are near it.
///
/// ```
/// use cam_models::class_named;
///
/// let names = ["tabby".to_string(), "tiger cat".to_string()];
/// assert_eq!(class_named(&names, "Tiger Cat")?, 1);
/// assert_eq!(class_named(&names, "0")?, 0);
/// assert_eq!(class_named(&names, "taby").unwrap_err().to_string(), "no class is called `taby`; near it are tabby");
/// # Ok::<(), cam_models::Error>(())
/// ```
pub fn class_named(labels: &[String], asked: &str) -> Result<usize, Error> {
    let exact = labels.iter().position(|label| label.eq_ignore_ascii_case(asked));
    let numbered = || asked.parse().ok().filter(|class| labels.is_empty() || *class < labels.len());
    if let Some(class) = exact.or_else(numbered) {
        return Ok(class);
    }
    let wanted = asked.to_lowercase();
    let mut close: Vec<(f64, &String)> =
        labels.iter().map(|label| (nearness(&label.to_lowercase(), &wanted), label)).collect();
    close.retain(|(near, _)| *near > 0.7);
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    let close = close.into_iter().take(5).map(|(_, label)| label.clone()).collect();
    Err(Error::UnknownLabel { asked: asked.into(), close, known: labels.len() })
}

/// How near a label is to what was asked for: with it as a word nearest, then with it as a part, then spelled like it.
fn nearness(label: &str, asked: &str) -> f64 {
    let words = label.split(|c: char| !c.is_alphanumeric());
    match () {
        () if words.into_iter().any(|word| word == asked) => 3.0,
        () if asked.len() > 2 && label.contains(asked) => 2.0,
        () => strsim::jaro_winkler(label, asked),
    }
}
