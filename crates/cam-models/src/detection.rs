//! Which network a weight file belongs to, and what is stated, known and assumed of it.

use crate::card_layers::{CardLayers, Origin, table};
use crate::classifier::{Classifier, Source};
use crate::erased::AnyArchitecture;
use crate::folder;
use crate::registry::{Registry, Row};
use crate::weights::{Comparison, Heads, StatedHead, Weights};
use crate::{Error, Labels, ModelCard};
use burn::tensor::{Device, Tensor};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use toml::{Table, Value};

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
    /// Several have these tensors, and the name of the file, of its folder or repository, or its card mentions this one.
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
                write!(f, "a {family} of an unpublished size; {variant} is the nearest")
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
    /// What the names of its tensors start with.
    prefix: String,
    row: &'r Row,
    architecture: AnyArchitecture,
    names: Vec<&'static str>,
}

/// Loads the model that weights belong to: the variant of this name, or the one that is recognized.
pub(crate) fn load(
    registry: &Registry,
    name: Option<&str>,
    mut weights: Weights,
    source: Source,
    stated: &CardLayers,
    device: &Device,
) -> Result<Classifier, Error> {
    let (mut layers, of_folder) = match &source {
        Source::File(path) => folder::stated(stated.clone(), path)?,
        _ => (stated.clone(), None),
    };
    let head =
        StatedHead { name: layers.read("classifier")?, layers: layers.read("architecture.head_layers")? };
    weights = weights.translated(&head)?;
    layers =
        layers.with(Origin::Metadata, weights.metadata().clone()).with(Origin::Tensors, weights.of_names());
    if let Some(prefix) = layers.read::<String>("prefix")? {
        weights = weights.under(&prefix)?;
    }
    let mut names = folder::names(weights.source());
    if let Some((_, Value::String(name))) = layers.get("name") {
        names += &format!("/{}", name.to_lowercase());
    }
    let candidates = candidates(registry, name, &weights, device)?;
    let chosen = match (name, candidates.first()) {
        (Some(name), first) => named(registry, name, first, &weights, device)?,
        (None, Some(first)) => recognized(&candidates, first, &names, device),
        (None, None) => return Err(not_detected(registry, &weights, device)),
    };
    let mut assumed = Vec::from_iter(of_folder);
    if let Some(first) = candidates.first() {
        weights = weights.under(&first.prefix)?;
        assumed.extend(other_prefixes(&candidates));
        assumed.extend(other_heads(&weights, &first.prefix).filter(|_| head.name.is_none()));
    }
    if let Some(fields) = folder::named_options(chosen.row.naming(), &names) {
        layers = layers.with(Origin::Folder("the name of the file".into()), fields);
    }
    chosen.load(layers, assumed, &weights, source, device)
}

/// Returns the variant of this name with random weights.
pub(crate) fn untrained(
    registry: &Registry,
    name: &str,
    stated: &CardLayers,
    device: &Device,
) -> Result<Classifier, Error> {
    let (row, variant, architecture) = registry.find(name)?;
    let chosen = Chosen { row, architecture: architecture.clone(), variant, detection: None };
    let Known { architecture, card, origins, .. } = chosen.known(stated.clone(), Path::new(name))?;
    let network = architecture.build(device);
    let mut model = Classifier::new(card, architecture.classes(), &network, Source::Random, device);
    model.set_knowledge(None, Vec::new(), origins);
    Ok(model)
}

/// The network and the variant that are loaded.
struct Chosen<'r> {
    row: &'r Row,
    architecture: AnyArchitecture,
    variant: &'static str,
    /// How it was recognized; `None` if it was named.
    detection: Option<Detection>,
}

/// Returns the variant of this name for as many classes as the file has.
fn named<'r>(
    registry: &'r Registry,
    name: &str,
    detected: Option<&Candidate<'_>>,
    weights: &Weights,
    device: &Device,
) -> Result<Chosen<'r>, Error> {
    let (row, variant, architecture) = registry.find(name)?;
    let architecture = match detected {
        Some(detected) => architecture.with_head_of(&detected.architecture),
        None => for_classes_of(architecture, weights, device),
    };
    Ok(Chosen { row, architecture, variant, detection: None })
}

/// Returns the variant that is taken without a name; `names` are those of the file, its folder and its card.
fn recognized<'r>(
    candidates: &[Candidate<'r>],
    first: &Candidate<'r>,
    names: &str,
    device: &Device,
) -> Chosen<'r> {
    let equal: Vec<&Candidate<'r>> = candidates.iter().filter(|one| one.prefix == first.prefix).collect();
    let (candidate, variant, basis) =
        variant(&equal, names).unwrap_or_else(|| (first, nearest(first, device), Basis::NearestSize));
    let known = equal.iter().flat_map(|candidate| &candidate.names);
    let alternatives = known.filter(|name| **name != variant).map(ToString::to_string).collect();
    let detection =
        Detection { family: candidate.row.family(), variant: variant.into(), basis, alternatives };
    let published =
        candidate.row.variants.iter().find(|(name, _)| *name == variant && basis != Basis::NearestSize);
    let row = candidate.row;
    // What tensors do not show is as the variant has it.
    let architecture = match published {
        Some((_, published)) => published.with_head_of(&candidate.architecture),
        None => candidate.architecture.clone(),
    };
    Chosen { row, architecture, variant, detection: Some(detection) }
}

/// What is known of the network that is loaded.
struct Known {
    architecture: AnyArchitecture,
    card: ModelCard,
    origins: BTreeMap<String, Origin>,
    assumed: Vec<String>,
}

impl Chosen<'_> {
    /// Returns whether no variant has these sizes.
    fn is_unpublished(&self) -> bool {
        self.detection.as_ref().is_some_and(|found| found.basis == Basis::NearestSize)
    }

    /// Returns the network as it is stated, and puts what is stated, known and assumed into one card. Errors call the weights `path`.
    fn known(&self, stated: CardLayers, path: &Path) -> Result<Known, Error> {
        let Self { row, architecture, variant, detection } = self;
        let shipped = || Origin::Shipped((*variant).into());
        let refused = |reason: String| Error::Stated { path: path.into(), model: (*variant).into(), reason };
        let mut architecture = architecture.clone();
        if let Some(size) = stated.read::<[usize; 2]>("size")? {
            architecture = architecture.with_image_size(size).map_err(refused)?;
        }
        architecture = architecture.with_options(&stated.options()?).map_err(refused)?;
        if let Some(name) = stated.read::<String>("classifier")? {
            architecture = architecture.with_classifier(name.trim_end_matches('.'));
        }
        let options = Value::Table(architecture.options().stated());
        let of_options = if detection.is_some() { Origin::Assumed } else { shipped() };
        let mut layers = stated
            .with(shipped(), table(row.card(variant)))
            .with(of_options, Table::from_iter([("architecture".into(), options)]));
        if self.is_unpublished() {
            let mut fields = Table::from_iter([("name".into(), format!("{variant} of another size").into())]);
            if let Some(size) = architecture.image_size() {
                fields.insert("size".into(), size.map(|side| side as i64).to_vec().into());
            }
            layers = layers.with(Origin::Tensors, fields);
        }
        let channels = architecture.channels();
        if channels != 3 {
            let field = ("channels".into(), Value::Integer(channels as i64));
            layers = layers.with(Origin::Tensors, Table::from_iter([field]));
        }
        let (card, classes) = (layers.card()?, architecture.classes());
        if let Some(reason) = card.too_large() {
            return Err(refused(reason));
        }
        if card.channels != channels {
            return Err(refused(format!("it reads {channels} channels, and {} are stated", card.channels)));
        }
        if let (Labels::Names(names), Some((origin, _))) = (&card.labels, layers.get("labels"))
            && !matches!(origin, Origin::Shipped(_))
            && names.len() != classes
        {
            return Err(refused(format!("{origin} names {} classes, and it has {classes}", names.len())));
        }
        let assumed = match detection {
            Some(_) => assumptions(&layers, &card, variant),
            None => Vec::new(),
        };
        Ok(Known { architecture, origins: layers.origins(&card), card, assumed })
    }

    /// Loads it with what is stated of it.
    fn load(
        self,
        stated: CardLayers,
        mut assumed: Vec<String>,
        weights: &Weights,
        source: Source,
        device: &Device,
    ) -> Result<Classifier, Error> {
        let known = self.known(stated, weights.source())?;
        let loaded = Classifier::load_as(known.card, &known.architecture, weights, source, device);
        let mut model = loaded.map_err(|error| match error {
            Error::WrongWeights { path, model, mismatch } if self.detection.is_some() => {
                Error::NearMiss { path, model, mismatch }
            }
            other => other,
        })?;
        if self.is_unpublished() && matches!(known.origins.get("layer"), Some(Origin::Shipped(_))) {
            let layer = last_matching_layer(&model, &model.card().layer, device);
            model.set_layer(layer);
        }
        assumed.extend(known.assumed);
        model.set_knowledge(self.detection, assumed, known.origins);
        Ok(model)
    }
}

/// Returns what is assumed of a network that was recognized, in words of a model card.
fn assumptions(layers: &CardLayers, card: &ModelCard, variant: &str) -> Vec<String> {
    let known = |field: &str| layers.get(field).map(|(origin, _)| origin);
    let mut assumed = Vec::new();
    if matches!(known("size"), Some(Origin::Shipped(_) | Origin::Tensors)) {
        let [height, width] = card.size;
        assumed.push(format!("images of {height} x {width} pixels"));
    }
    if let (Some(Origin::Shipped(_)), true) = (known("mean"), known("mean") == known("std")) {
        assumed.push(format!("colors as for {variant}"));
    }
    for (option, value) in card.architecture.stated() {
        if known(&format!("architecture.{option}")) == Some(&Origin::Assumed) {
            assumed.push(match &value {
                Value::Array(layers) if option == "head_layers" => {
                    let layers: Vec<String> = layers.iter().map(plain).collect();
                    format!("a head of the layers {}", layers.join(", "))
                }
                value => format!("{option} {}", plain(value)),
            });
        }
    }
    assumed
}

/// Returns a value without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

/// Returns that other prefixes hold a network as well.
fn other_prefixes(candidates: &[Candidate<'_>]) -> Option<String> {
    let quoted = |prefix: &str| format!("`{prefix}`");
    let first = &candidates.first()?.prefix;
    let mut others: Vec<String> = Vec::new();
    for Candidate { prefix, .. } in candidates {
        if prefix != first && !others.contains(&quoted(prefix)) {
            others.push(quoted(prefix));
        }
    }
    let others = (!others.is_empty()).then(|| others.join(", "))?;
    Some(format!("the network under {} (there is one under {others} too)", quoted(first)))
}

/// Returns that the body under a prefix has other heads as well.
fn other_heads(weights: &Weights, prefix: &str) -> Option<String> {
    let heads = weights.heads().iter().find(|heads| heads.body == prefix)?;
    if heads.are_averaged {
        return Some("the mean of the heads `head` and `head_dist`".into());
    }
    let others: Vec<String> = heads.others.iter().map(|other| format!("`{other}`")).collect();
    let used = heads.used.as_ref().filter(|_| !others.is_empty())?;
    Some(format!("the head `{used}` (there is {} too)", others.join(", ")))
}

/// Returns the networks that fit the tensors of a file, the one to take first: those that lack the fewest tensors, then by the preference
/// for prefixes ([`Weights::under`]). If several families detect one, published sizes come before others, and families that were added
/// later before those added earlier. If a variant is named, it is the one that the tensors are compared with.
fn candidates<'r>(
    registry: &'r Registry,
    name: Option<&str>,
    weights: &Weights,
    device: &Device,
) -> Result<Vec<Candidate<'r>>, Error> {
    let named = name.map(|name| registry.find(name)).transpose()?;
    let rows: Vec<&Row> = match named {
        Some((row, ..)) => vec![row],
        None => registry.rows().iter().collect(),
    };
    let detected = weights.under_prefixes(&|shapes| {
        let detected = rows.iter().filter_map(|row| Some((*row, row.detect(shapes)?)));
        Some(detected.collect::<Vec<_>>()).filter(|detected| !detected.is_empty())
    });
    let mut ranked = Vec::new();
    for (place, (prefix, found)) in detected.into_iter().take(MOST_NETWORKS).enumerate() {
        for (family, (row, detected)) in found.into_iter().enumerate() {
            let architecture = match named {
                Some((_, _, variant)) => variant.with_head_of(&detected),
                None => detected,
            };
            let mismatch = architecture.compare(weights, Some(&prefix), device).mismatch;
            let lacking = mismatch.missing.len() + mismatch.misshapen.len();
            let names = row.names_of(&architecture);
            let rank = (lacking, place, mismatch.unexpected.len(), names.is_empty(), Reverse(family));
            ranked.push((rank, Candidate { prefix: prefix.clone(), row, architecture, names }));
        }
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    let Some(&((least, first, unexpected, ..), _)) = ranked.first() else { return Ok(Vec::new()) };
    let fits = |&(lacking, place, others, ..): &(usize, usize, usize, bool, Reverse<usize>)| {
        lacking == least && (place != first || others == unexpected)
    };
    Ok(ranked.into_iter().filter(|(rank, _)| fits(rank)).map(|(_, candidate)| candidate).collect())
}

/// The most networks that are looked at in one file.
const MOST_NETWORKS: usize = 16;

/// Returns the variant that is taken if any has these tensors.
fn variant<'c, 'r>(
    candidates: &[&'c Candidate<'r>],
    names: &str,
) -> Option<(&'c Candidate<'r>, &'static str, Basis)> {
    let named = || candidates.iter().flat_map(|one| one.names.iter().map(move |name| (*one, *name)));
    let (first, name) = named().next()?;
    if named().count() == 1 {
        return Some((first, name, Basis::Tensors));
    }
    let mentioned = named().filter(|(_, name)| names.contains(name)).max_by_key(|(_, name)| name.len());
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
    let find = |same: &dyn Fn(&str) -> bool| layers.iter().rev().find(|other| same(&other.name));
    let last = find(&|name| unnumbered(name) == unnumbered(layer)).or_else(|| {
        // A network of three stages has no `layer4`.
        let (stage, _) = layer.split_once('.')?;
        let stage = stage.trim_end_matches(|c: char| c.is_ascii_digit());
        let in_a_stage = |name: &str| {
            name.split_once('.').is_some_and(|(other, block)| {
                other.strip_prefix(stage).is_some_and(is_number) && is_number(block)
            })
        };
        find(&in_a_stage)
    });
    last.map_or(layer, |other| &other.name).into()
}

/// Returns a network for as many classes as the file has: where another number of classes has another shape, it has that of the file.
fn for_classes_of(architecture: &AnyArchitecture, weights: &Weights, device: &Device) -> AnyArchitecture {
    let classes = architecture.classes();
    let other = architecture.with_classes(classes + 1).build(device).shapes();
    let is_head = |(name, expected, found): &(String, Vec<usize>, Vec<usize>)| {
        let sides = expected.iter().zip(other.get(name)?).zip(found);
        let mut heads = sides.filter(|((one, other), _)| one != other).map(|(_, found)| *found);
        heads.next().filter(|_| expected.len() == found.len())
    };
    let mismatch = architecture.compare(weights, None, device).mismatch;
    match mismatch.misshapen.iter().find_map(is_head) {
        Some(found) => architecture.with_classes(found),
        None => architecture.clone(),
    }
}

/// Returns the error for a file in which no network was detected.
fn not_detected(registry: &Registry, weights: &Weights, device: &Device) -> Error {
    if let Some(heads) = weights.heads().iter().find(|heads| is_body(registry, weights, heads, device)) {
        let (path, found) = (weights.source().to_path_buf(), heads.left.clone());
        return Error::UnknownHead { path, family: heads.family, found };
    }
    let few = weights.names().nth(MANY).is_none() && weights.names().map(str::len).sum::<usize>() <= LONG;
    let differences = registry.variants().filter(|_| few).filter_map(|(name, architecture)| {
        let compared = |architecture: &AnyArchitecture| {
            let Comparison { expected, mismatch, .. } = architecture.compare(weights, None, device);
            (mismatch.count() as f64 / expected.len() as f64, name, mismatch)
        };
        // Most are far from it, whatever the number of classes.
        let is_far = compared(architecture).0 > 2.0 * NEAR;
        (!is_far).then(|| compared(&for_classes_of(architecture, weights, device)))
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

/// Returns whether a network has all that it needs but a head.
fn is_body(registry: &Registry, weights: &Weights, heads: &Heads, device: &Device) -> bool {
    let head = |name: &str| name.starts_with(heads.own);
    let shape = |name: &str| {
        let of_head = (head(name) && name.ends_with("weight")).then(|| vec![1, 1]);
        weights.shape(&format!("{}{name}", heads.body)).or(of_head)
    };
    let known = |name: &str| heads.left.iter().any(|(left, _)| left.strip_prefix(&heads.body) == Some(name));
    heads.used.is_none()
        && registry.rows().iter().filter_map(|row| row.detect(&shape)).any(|network| {
            let mismatch = network.compare(weights, Some(&heads.body), device).mismatch;
            mismatch.misshapen.is_empty()
                && mismatch.missing.iter().all(|(name, _)| head(name))
                && mismatch.unexpected.iter().all(|(name, _)| known(name))
        })
}

/// A file of more tensors, or of more bytes of names, is compared with no network: each comparison reads all their names.
const MANY: usize = 5_000;
const LONG: usize = 1 << 19;

/// The share of tensors that may differ in a file that still looks like the weights of a network.
const NEAR: f64 = 0.2;
