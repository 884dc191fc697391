//! What an error says of a name that is not known.

/// The most names that are all listed.
const FEW: usize = 12;

/// The least similarity of a name that may be meant, by Jaro and Winkler.
const SIMILAR: f64 = 0.7;

/// The most similar names that are listed.
const MOST: usize = 5;

/// Returns what there is instead of a name that is not known: all names if they are few, else those that are similar, else the first and the
/// last.
///
/// ```
/// let known: Vec<String> = (1..=20).map(|block| format!("blocks.{block}.norm")).collect();
/// assert_eq!(cam_core::choices("block", &known[..2]), "there are blocks.1.norm, blocks.2.norm");
/// assert!(cam_core::choices("blocks.2.nrom", &known).starts_with("did you mean blocks.2.norm, "));
/// assert_eq!(cam_core::choices("x", &known), "there are 20, from blocks.1.norm to blocks.20.norm");
/// ```
pub fn choices(asked: &str, known: &[String]) -> String {
    if known.len() <= FEW {
        return format!("there are {}", listed(known));
    }
    let similarity = |name: &String| match !asked.is_empty() && name.split('.').any(|part| part == asked) {
        true => 1.0,
        false => strsim::jaro_winkler(name, asked),
    };
    let mut similar: Vec<(f64, &str)> = known.iter().map(|name| (similarity(name), name.as_str())).collect();
    similar.retain(|(similarity, _)| *similarity > SIMILAR);
    similar.sort_by(|a, b| b.0.total_cmp(&a.0));
    let similar: Vec<&str> = similar.into_iter().take(MOST).map(|(_, name)| name).collect();
    match similar.is_empty() {
        true => format!("there are {}", listed(known)),
        false => format!("did you mean {}? There are {}", similar.join(", "), known.len()),
    }
}

/// Returns all names if they are few, else how many there are, and the first and the last.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        [first, .., last] if names.len() > FEW => format!("{}, from {first} to {last}", names.len()),
        few => few.join(", "),
    }
}
