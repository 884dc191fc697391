//! The families of networks that are known, and the models that they give by name or for a weight file.

use crate::classifier::{Classifier, Source};
use crate::erased::{AnyArchitecture, TailLayer};
use crate::family::{Family, TensorShapes};
use crate::weights::{Weights, is_own_head};
use crate::{CardLayers, Error, ModelCard, detection, zoo};
use burn::tensor::Device;
use std::cell::{Cell, OnceCell};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A list of families of networks: the built-in ones, and those that were added.
///
/// The constructors of [`Classifier`] know the built-in ones. [`Family`] has an example of how to add one.
#[derive(Clone)]
pub struct Registry {
    rows: Vec<Row>,
}

/// A family with its variants and their cards, which were checked when it was added.
#[derive(Clone)]
pub(crate) struct Row {
    family: Arc<dyn Family>,
    pub variants: Vec<(&'static str, AnyArchitecture)>,
    cards: Vec<ModelCard>,
}

/// The sides of tensors that networks are detected by: a file of absurd shapes gives no absurd network.
const SIDES: std::ops::RangeInclusive<usize> = 1..=1 << 17;

impl Row {
    pub fn family(&self) -> &'static str {
        self.family.name()
    }

    /// See [`Family::naming`].
    pub fn naming(&self) -> &'static [(&'static str, &'static str)] {
        self.family.naming()
    }

    /// See [`Family::detect`]. A tensor with an absurd side counts as missing.
    pub fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        let shapes = |name: &str| shapes(name).filter(|shape| shape.iter().all(|side| SIDES.contains(side)));
        let tail = OnceCell::new();
        let tail = || tail.get_or_init(|| TailLayer::detect(&shapes));
        // A head that does not begin with a linear layer has none in the place that networks have for it.
        let is_replaced = Cell::new(false);
        let with_head = |name: &str| {
            shapes(name).or_else(|| {
                let replaces = is_own_head(name) && !tail().is_empty();
                is_replaced.set(is_replaced.get() || replaces);
                replaces.then(|| vec![1, 1])
            })
        };
        let detected = self.family.detect(&with_head)?;
        Some(match (&tail()[..], is_replaced.get()) {
            ([], _) => detected,
            (tail, true) => detected.with_tail(0, tail.to_vec()),
            (tail, false) => detected.with_tail(detected.classes(), tail.to_vec()),
        })
    }

    /// Returns the names of the variants that are this network, whatever its head and what tensors do not show.
    ///
    /// There can be several: a DeiT is a ViT that was trained differently and needs images of another normalization. Tensors do not show
    /// which of them they are.
    pub fn names_of(&self, architecture: &AnyArchitecture) -> Vec<&'static str> {
        let same = |(_, variant): &&(_, AnyArchitecture)| architecture.has_tensors_of(variant);
        self.variants.iter().filter(same).map(|(name, _)| *name).collect()
    }

    /// Returns the card of one of the variants.
    pub fn card(&self, name: &str) -> &ModelCard {
        self.cards.iter().find(|card| card.name == name).expect("every variant of a row has a card")
    }
}

impl Default for Registry {
    /// Returns the built-in families.
    fn default() -> Self {
        Self::builtin().clone()
    }
}

impl Registry {
    /// Returns the built-in families, which exist once in a program.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Registry> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            zoo::families()
                .into_iter()
                .try_fold(Self { rows: Vec::new() }, Self::with_row)
                .unwrap_or_else(|error| panic!("the families of this crate are tested: {error}"))
        })
    }

    /// Adds a family.
    ///
    /// # Errors
    /// [`Error::Family`] if the family has no variants, if a variant has no card or a card no variant, or if a name is taken; and what
    /// [`Family::cards`] returns.
    pub fn with(self, family: impl Family + 'static) -> Result<Self, Error> {
        self.with_row(Arc::new(family))
    }

    fn with_row(mut self, family: Arc<dyn Family>) -> Result<Self, Error> {
        let (variants, cards) = (family.variants(), family.cards()?);
        let refused = |reason: String| Err(Error::Family { family: family.name().into(), reason });
        if variants.is_empty() {
            return refused("it has no variants".into());
        }
        for (place, (name, _)) in variants.iter().enumerate() {
            let earlier = variants[..place].iter().any(|(other, _)| other == name);
            if earlier || self.cards().any(|card| card.name == *name) {
                return refused(format!("there are two models called `{name}`"));
            }
            match cards.iter().filter(|card| card.name == *name).count() {
                1 => {}
                count => return refused(format!("`{name}` has {count} model cards; it needs one")),
            }
        }
        if let Some(card) = cards.iter().find(|card| variants.iter().all(|(name, _)| *name != card.name)) {
            return refused(format!("the model card `{}` is of no variant", card.name));
        }
        self.rows.push(Row { family, variants, cards });
        Ok(self)
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Returns the names of the families, each once.
    pub fn families(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for name in self.rows.iter().map(Row::family) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Returns the names of the families, each once, with the model cards of their variants.
    pub fn by_family(&self) -> Vec<(&'static str, Vec<&ModelCard>)> {
        let of =
            |family| self.rows.iter().filter(move |row| row.family() == family).flat_map(|row| &row.cards);
        self.families().into_iter().map(|family| (family, of(family).collect())).collect()
    }

    /// Returns the named variants of all families.
    pub fn variants(&self) -> impl Iterator<Item = (&'static str, &AnyArchitecture)> {
        self.rows.iter().flat_map(|row| &row.variants).map(|(name, architecture)| (*name, architecture))
    }

    /// Returns the variant of this name, or `None` if there is none.
    pub fn variant(&self, name: &str) -> Option<&AnyArchitecture> {
        self.variants().find(|(variant, _)| *variant == name).map(|(_, architecture)| architecture)
    }

    /// Returns the network that these tensors belong to, of the first family that detects one.
    pub fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
        self.rows.iter().find_map(|row| row.detect(shapes))
    }

    /// Returns the model cards of all variants, that of the built-in model first.
    pub fn cards(&self) -> impl Iterator<Item = &ModelCard> {
        self.rows.iter().flat_map(|row| &row.cards)
    }

    /// Returns the model card of this name.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] with the names that there are.
    pub fn card(&self, name: &str) -> Result<&ModelCard, Error> {
        self.cards().find(|card| card.name == name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> Error {
        let known = self.cards().map(|card| card.name.clone()).collect();
        Error::UnknownModel { asked: name.into(), known }
    }

    /// Returns the row, the name and the architecture of a variant.
    pub(crate) fn find(&self, name: &str) -> Result<(&Row, &'static str, &AnyArchitecture), Error> {
        let mut variants =
            self.rows.iter().flat_map(|row| row.variants.iter().map(move |variant| (row, variant)));
        let found = variants.find(|(_, (variant, _))| *variant == name);
        found.map(|(row, (name, architecture))| (row, *name, architecture)).ok_or_else(|| self.unknown(name))
    }

    /// Returns a model whose weights are part of the program.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], and [`Error::NoWeights`] for a model that needs a file.
    pub fn without_file(&self, name: &str, device: &Device) -> Result<Classifier, Error> {
        self.without_file_stated(name, &CardLayers::new(), device)
    }

    /// Like [`without_file`](Self::without_file), with what is stated of the model: see [`load_stated`](Self::load_stated).
    ///
    /// # Errors
    /// Those of [`without_file`](Self::without_file) and [`load_stated`](Self::load_stated).
    pub fn without_file_stated(
        &self,
        name: &str,
        stated: &CardLayers,
        device: &Device,
    ) -> Result<Classifier, Error> {
        let (row, ..) = self.find(name)?;
        let Some(bytes) = row.family.embedded_weights(name) else {
            return Err(Error::NoWeights { model: name.into(), url: row.card(name).url.clone() });
        };
        let weights = Weights::from_bytes(&format!("{name}.safetensors"), bytes.to_vec())?;
        detection::load(self, Some(name), weights, Source::Embedded(bytes), stated, device)
    }

    /// Returns a model with random weights, to look at its layers.
    ///
    /// # Errors
    /// [`Error::UnknownModel`].
    pub fn untrained(&self, name: &str, device: &Device) -> Result<Classifier, Error> {
        self.untrained_stated(name, &CardLayers::new(), device)
    }

    /// Like [`untrained`](Self::untrained), with what is stated of the model: see [`load_stated`](Self::load_stated).
    ///
    /// # Errors
    /// Those of [`untrained`](Self::untrained), [`Error::ModelCards`] and [`Error::Stated`].
    pub fn untrained_stated(
        &self,
        name: &str,
        stated: &CardLayers,
        device: &Device,
    ) -> Result<Classifier, Error> {
        detection::untrained(self, name, stated, device)
    }

    /// Returns a model with the weights of a file. The file determines the number of classes.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::UnreadableWeights`], and [`Error::WrongWeights`] for the weights of another model.
    pub fn load(&self, name: &str, weights: impl AsRef<Path>, device: &Device) -> Result<Classifier, Error> {
        self.load_stated(Some(name), weights, &CardLayers::new(), device)
    }

    /// Returns the model that the weights of a file belong to: the names and shapes of its tensors determine its family, its sizes and
    /// its number of classes.
    ///
    /// Tensors do not show how images were prepared. That comes from the model card of the variant. If several variants are one network
    /// (a DeiT is a ViT), the one that the file's name mentions is taken, or else the first; [`Classifier::detection`] lists the others. A
    /// network of a size without a card gets the card of the variant of its family with the nearest number of parameters, and as its
    /// default layer the last layer of the kind that the card names.
    ///
    /// # Errors
    /// [`Error::UnreadableWeights`]; [`Error::NearMiss`] with the differences for tensors that are nearly those of a network, and
    /// [`Error::UnknownNetwork`] for others.
    pub fn load_file(&self, weights: impl AsRef<Path>, device: &Device) -> Result<Classifier, Error> {
        self.load_stated(None, weights, &CardLayers::new(), device)
    }

    /// Like [`load`](Self::load) with a name, and like [`load_file`](Self::load_file) without one, with what is stated of the model: fields
    /// of its model card. What is not stated comes from a card beside the file (`resnet.toml` for `resnet.pth`), the file's own metadata,
    /// a configuration beside it (`config.json` of timm or transformers), the card of the variant, and is assumed otherwise.
    ///
    /// # Errors
    /// Those of [`load`](Self::load) and [`load_file`](Self::load_file); [`Error::ModelCard`] and [`Error::ModelCards`] for cards that
    /// cannot be read, [`Error::Stated`] for what does not fit the tensors, [`Error::UnknownPrefix`].
    pub fn load_stated(
        &self,
        name: Option<&str>,
        weights: impl AsRef<Path>,
        stated: &CardLayers,
        device: &Device,
    ) -> Result<Classifier, Error> {
        let path = weights.as_ref();
        detection::load(self, name, Weights::open(path)?, Source::File(path.into()), stated, device)
    }

    /// Like [`load_file`](Self::load_file), for weights in memory: safetensors or Burn's burnpack. `name` stands for the file's name.
    ///
    /// # Errors
    /// Those of [`load_file`](Self::load_file); [`Error::UnreadableWeights`] also for PyTorch's `.pth`, which is read from files only.
    pub fn load_bytes(&self, name: &str, weights: Vec<u8>, device: &Device) -> Result<Classifier, Error> {
        let weights = Weights::from_bytes(name, weights)?;
        detection::load(self, None, weights, Source::Memory, &CardLayers::new(), device)
    }

    /// Returns a model with its published weights: part of the program, in the cache of the Hugging Face hub, or downloaded now. For
    /// progress, a mirror or another cache see [`Hub`](crate::Hub).
    ///
    /// # Errors
    /// [`Error::UnknownModel`], and those of [`Hub::weights`](crate::Hub::weights) and [`load`](Self::load).
    #[cfg(feature = "hub")]
    pub fn pretrained(&self, name: &str, device: &Device) -> Result<Classifier, Error> {
        let card = self.card(name)?;
        if card.hub.is_none() {
            return self.without_file(name, device);
        }
        let weights = crate::Hub::from_env().weights(card, |_, _| {})?;
        self.load(name, weights, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    #[test]
    fn every_variant_is_detected_by_its_tensors_and_named_as_its_publisher_does() {
        for row in Registry::builtin().rows() {
            for (name, architecture) in &row.variants {
                let architecture = architecture.with_classes(7);
                let shapes = architecture.build(&Device::flex()).shapes();
                let detected = row.detect(&|name| shapes.get(name).cloned()).expect(name);
                assert!(detected.has_tensors_of(&architecture), "{name}: {detected:?}");
                assert!(row.names_of(&detected).contains(name));
                for (key, shape) in &shapes {
                    assert_eq!(
                        architecture.remap_key(key, shape),
                        Some((key.clone(), shape.clone())),
                        "{name}"
                    );
                }
            }
        }
    }

    /// Whatever a file holds, a network that is detected in it can be built; an odd shape is found when tensors are compared.
    #[test]
    fn odd_shapes_are_detected_as_nothing_or_as_a_network_that_can_be() {
        let device = Device::flex();
        let mut panics = Vec::new();
        for row in Registry::builtin().rows() {
            for (variant, architecture) in &row.variants {
                let shapes = architecture.build(&device).shapes();
                let asked = RefCell::new(BTreeSet::new());
                let look = |name: &str| {
                    asked.borrow_mut().insert(name.to_string());
                    shapes.get(name).cloned()
                };
                assert!(row.detect(&look).is_some_and(|it| it.has_tensors_of(architecture)), "{variant}");
                for name in asked.into_inner().iter().filter(|name| shapes.contains_key(*name)) {
                    let shape = &shapes[name];
                    let sides = (0..shape.len()).flat_map(|place| {
                        [0, 1, 3, 7, 32, 1000, usize::MAX].map(|side| {
                            let mut shape = shape.clone();
                            shape[place] = side;
                            Some(shape)
                        })
                    });
                    let ranks = [None, Some(vec![]), Some(vec![2; 5]), Some(shape[1..].to_vec())];
                    for odd in sides.chain(ranks) {
                        let look = |other: &str| {
                            if other == name { odd.clone() } else { shapes.get(other).cloned() }
                        };
                        let built = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                            row.detect(&look).map(|detected| detected.build(&device).shapes().len())
                        }));
                        if built.is_err() {
                            panics.push(format!("{variant}: {name} {odd:?}"));
                        }
                    }
                }
            }
        }
        assert!(panics.is_empty(), "{}", panics.join("\n"));
    }
}
