//! What a file is of, which nobody named.

use crate::classifier::{Classifier, SCENES};
use crate::weights::{Comparison, Outline, Weights, count};
use crate::zoo::Config;
use crate::{Card, Error};
use burn::tensor::{Device, Tensor};
use std::mem::discriminant;
use std::path::Path;

/// The card of a network that was detected in a file.
pub(crate) fn card_of(config: &Config, file: &Path, device: &Device) -> Result<Card, Error> {
    let mut names = config.names();
    if config.clone().with_classes(SCENES.classes) == SCENES.into() {
        names.push("scenes");
    }
    let file = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let mentioned = names.iter().filter(|name| file.contains(**name)).max_by_key(|name| name.len());
    if let Some(name) = mentioned.or(names.first()) {
        return Card::named(name);
    }
    let size = |config: &Config| count(&Outline::of(&config.init(device), None)) as f64;
    let far = |other: &Config| (size(other) / size(config)).ln().abs();
    let family = Config::variants().filter(|(_, other)| discriminant(other) == discriminant(config));
    let nearest = family.min_by(|(_, a), (_, b)| far(a).total_cmp(&far(b)));
    let (name, _) = nearest.expect("every family has variants");
    let mut card = Card::named(name)?;
    card.name = format!("{name} of another size");
    if let Config::Vit(vit) = config {
        card.size = vit.image;
    }
    Ok(card)
}

/// The last layer that is called like this one but for its places in lists: `layer4.1` stands for `layer4.0` in a network of shorter
/// stages, `blocks.11.norm1` for `blocks.5.norm1` in one of fewer blocks, and not for the `norm2` of a block.
pub(crate) fn last_like(model: &Classifier, layer: &str, device: &Device) -> String {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let unnumbered = |name: &str| -> Vec<String> {
        name.split('.').map(|part| if is_number(part) { "#".into() } else { part.into() }).collect()
    };
    let [height, width] = model.card().size;
    let layers = cam_core::layers(model, Tensor::zeros([1, 3, height, width], device)).unwrap_or_default();
    let alike = layers.iter().rev().find(|other| unnumbered(&other.name) == unnumbered(layer));
    alike.map_or(layer, |other| &other.name).into()
}

/// What to say of a file in which no network was detected.
pub(crate) fn undetected(weights: &Weights, device: &Device) -> Error {
    let differences = Config::variants().map(|(name, config)| {
        let own = |name: &str, shape: &[usize]| config.remap_key(name, shape);
        let Comparison { expected, mismatch, .. } = weights.compare(&config.init(device), &own);
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
            known: Config::FAMILIES.iter().map(ToString::to_string).collect(),
        },
    }
}

/// The share of tensors that may differ where a file still looks like one of a network.
const NEAR: f64 = 0.2;
