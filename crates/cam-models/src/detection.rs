//! Which network a weight file belongs to that was opened without a model's name.

use crate::Error;
use crate::classifier::{Classifier, Source};
use crate::erased::AnyArchitecture;
use crate::registry::{Registry, Row};
use crate::weights::{Comparison, Weights};
use burn::tensor::{Device, Tensor};
use std::cmp::Reverse;
use std::fmt;

/// How the model of a weight file was recognized, and what was guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Detection {
    /// The family, by its tensors.
    pub family: &'static str,
    /// The variant whose model card is used.
    pub variant: String,
    /// Why this variant.
    pub basis: Basis,
    /// Other variants that have the same tensors, and differ in their training and their preprocessing.
    pub alternatives: Vec<String>,
}

/// Why a variant was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Basis {
    /// No other has these tensors.
    Tensors,
    /// Several have these tensors, and the file's name mentions this one.
    FileName,
    /// Several have these tensors, and this one is listed first.
    FirstListed,
    /// None has these tensors: it has the nearest number of parameters in its family.
    NearestSize,
}

impl fmt::Display for Detection {
    /// Writes one line: `vit_base_patch16_224 (ViT), the first of several; deit_base_patch16_224 has the same tensors`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, variant, alternatives, .. } = self;
        match self.basis {
            Basis::Tensors => write!(f, "{variant} ({family})"),
            Basis::NearestSize => {
                write!(
                    f,
                    "a {family} of an unpublished size; images are prepared as for {variant}, the nearest in size"
                )
            }
            Basis::FileName | Basis::FirstListed => {
                let named = self.basis == Basis::FileName;
                let how = if named { "named by the file" } else { "the first of several" };
                let have = if alternatives.len() == 1 { "has" } else { "have" };
                let others = alternatives.join(", ");
                write!(f, "{variant} ({family}), {how}; {others} {have} the same tensors")
            }
        }
    }
}

/// A network that a file can be of.
struct Candidate<'r> {
    row: &'r Row,
    architecture: AnyArchitecture,
    names: Vec<&'static str>,
}

/// Loads the model that weights belong to.
pub(crate) fn load(
    registry: &Registry,
    weights: &Weights,
    source: Source,
    device: &Device,
) -> Result<Classifier, Error> {
    let candidates = candidates(registry, weights, device);
    let Some(first) = candidates.first() else { return Err(not_detected(registry, weights, device)) };
    let (candidate, variant, basis) =
        variant(&candidates, weights).unwrap_or_else(|| (first, nearest(first, device), Basis::NearestSize));
    let mut card = candidate.row.card(variant).clone();
    if basis == Basis::NearestSize {
        card.name = format!("{variant} of another size");
        card.size = candidate.architecture.image_size().unwrap_or(card.size);
    }
    let names = candidates.iter().flat_map(|candidate| &candidate.names);
    let alternatives = names.filter(|name| **name != variant).map(ToString::to_string).collect();
    let mut model =
        Classifier::load_as(card, &candidate.architecture, weights, source, device).map_err(|error| {
            match error {
                Error::WrongWeights { path, model, mismatch } => Error::NearMiss { path, model, mismatch },
                other => other,
            }
        })?;
    if basis == Basis::NearestSize {
        let layer = last_matching_layer(&model, &model.card().layer, device);
        model.set_layer(layer);
    }
    let (family, variant) = (candidate.row.family(), variant.into());
    model.set_detection(Detection { family, variant, basis, alternatives });
    Ok(model)
}

/// Returns the networks that fit the tensors of a file best, the one to take first. If several families detect one, the tensors of each
/// are compared with the file's; published sizes come before others, and families that were added later before those added earlier.
fn candidates<'r>(registry: &'r Registry, weights: &Weights, device: &Device) -> Vec<Candidate<'r>> {
    let detected = weights.under_prefixes(&|shapes| {
        let detected = registry.rows().iter().filter_map(|row| Some((row, row.detect(shapes)?)));
        Some(detected.collect::<Vec<_>>()).filter(|detected| !detected.is_empty())
    });
    let candidates = detected.unwrap_or_default().into_iter().map(|(row, architecture)| {
        let names = row.names_of(&architecture);
        Candidate { row, architecture, names }
    });
    let candidates: Vec<Candidate<'_>> = candidates.collect();
    if candidates.len() < 2 {
        return candidates;
    }
    let mut ranked: Vec<_> = candidates
        .into_iter()
        .enumerate()
        .map(|(place, candidate)| {
            let differences = candidate.architecture.compare(weights, device).mismatch.count();
            ((differences, candidate.names.is_empty(), Reverse(place)), candidate)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let least = ranked[0].0.0;
    ranked.into_iter().filter(|((differences, ..), _)| *differences == least).map(|(_, it)| it).collect()
}

/// Returns the variant that is taken if any has these tensors.
fn variant<'c, 'r>(
    candidates: &'c [Candidate<'r>],
    weights: &Weights,
) -> Option<(&'c Candidate<'r>, &'static str, Basis)> {
    let named = || candidates.iter().flat_map(|one| one.names.iter().map(move |name| (one, *name)));
    let (first, name) = named().next()?;
    if named().count() == 1 {
        return Some((first, name, Basis::Tensors));
    }
    let file = weights.source().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let mentioned = named().filter(|(_, name)| file.contains(name)).max_by_key(|(_, name)| name.len());
    Some(match mentioned {
        Some((candidate, name)) => (candidate, name, Basis::FileName),
        None => (first, name, Basis::FirstListed),
    })
}

/// Returns the variant of a family with the nearest number of parameters.
fn nearest(candidate: &Candidate<'_>, device: &Device) -> &'static str {
    let size = |architecture: &AnyArchitecture| -> f64 {
        let shapes = architecture.build(device).shapes();
        shapes.values().map(|shape| shape.iter().map(|side| *side as f64).product::<f64>()).sum()
    };
    let own = size(&candidate.architecture);
    let distance = |other: &AnyArchitecture| (size(other) / own).ln().abs();
    let nearest = candidate.row.variants.iter().min_by(|(_, a), (_, b)| distance(a).total_cmp(&distance(b)));
    nearest.expect("every family of a registry has variants").0
}

/// Returns the last layer that has this name but for the numbers in it: `layer4.1` gives `layer4.0` in a network of shorter stages, and
/// `blocks.11.norm1` gives `blocks.5.norm1` in one of fewer blocks, not the `norm2` of a block.
fn last_matching_layer(model: &Classifier, layer: &str, device: &Device) -> String {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let unnumbered = |name: &str| -> Vec<String> {
        name.split('.').map(|part| if is_number(part) { "#".into() } else { part.into() }).collect()
    };
    let layers =
        cam_core::layers(model, Tensor::zeros(model.card().preprocess().shape(), device)).unwrap_or_default();
    let last = layers.iter().rev().find(|other| unnumbered(&other.name) == unnumbered(layer));
    last.map_or(layer, |other| &other.name).into()
}

/// Returns the error for a file in which no network was detected.
fn not_detected(registry: &Registry, weights: &Weights, device: &Device) -> Error {
    let differences = registry.variants().map(|(name, architecture)| {
        let Comparison { expected, mismatch, .. } = architecture.compare(weights, device);
        (mismatch.count() as f64 / expected.len() as f64, name, mismatch)
    });
    let path = weights.source().to_path_buf();
    match differences.min_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((share, model, mismatch)) if share < NEAR => {
            Error::NearMiss { path, model: model.into(), mismatch: mismatch.into() }
        }
        _ => Error::UnknownNetwork {
            path,
            found: weights.names().map(String::from).collect(),
            known: registry.families().into_iter().map(String::from).collect(),
        },
    }
}

/// The share of tensors that may differ in a file that still looks like the weights of a network.
const NEAR: f64 = 0.2;
