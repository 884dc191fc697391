//! The heads of networks: what lies behind a body, whatever a file calls it. A head is a sequence of linear layers, norms and PReLUs that
//! ends with a linear one, mostly of that alone. If it begins with a linear layer, that gets the name which the first publisher of the
//! network has for its last layer. What else there is, and the activations between, are told by the names of [`TailLayer`].
//!
//! The rule for several heads: the one that is called as the first publisher calls it, then those of [`NAMES`], then in the order of their
//! names. Only heads beside one another are chosen between: where one can read what another returns, they may be one head, and neither is
//! taken.

use super::IGNORED;
use super::publishers::{MOST_NETWORKS, Tensors};
use crate::erased::TailLayer;
use crate::options::{Activation, HeadLayer};
use std::collections::{BTreeMap, BTreeSet};

/// A body, and what the names in its networks start with.
struct Body {
    family: &'static str,
    /// A tensor that shows it.
    mark: &'static str,
    /// Another one, where one does not.
    with: &'static str,
    /// The last layer, as its publishers call it; the first of these names is the one that it gets.
    head: &'static [&'static str],
    /// What is no head.
    parts: &'static [&'static str],
}

const BODIES: &[Body] = &[
    Body {
        family: "ResNet",
        mark: "layer1.0.conv1.weight",
        with: "",
        head: &["fc."],
        parts: &["conv1.", "bn1.", "maxpool.", "layer1.", "layer2.", "layer3.", "layer4."],
    },
    Body {
        family: "ViT",
        mark: "blocks.0.attn.qkv.weight",
        with: "",
        head: &["head."],
        parts: &[
            "cls_token",
            "dist_token",
            "reg_token",
            "pos_embed",
            "patch_embed.",
            "blocks.",
            "norm.",
            "norm_pre.",
            "fc_norm.",
        ],
    },
    Body {
        family: "Swin",
        mark: "layers.0.blocks.0.attn.qkv.weight",
        with: "",
        head: &["head.fc.", "head."],
        parts: &["patch_embed.", "absolute_pos_embed", "layers.", "norm."],
    },
    Body {
        family: "DenseNet",
        mark: "features.denseblock1.denselayer1.norm1.weight",
        with: "",
        head: &["classifier."],
        parts: &["features."],
    },
    Body {
        family: "VGG",
        mark: "features.0.weight",
        with: "classifier.3.weight",
        head: &["classifier.6."],
        parts: &["features.", "classifier.0.", "classifier.3."],
    },
    Body {
        family: "MNASNet",
        mark: "layers.8.0.layers.0.weight",
        with: "",
        head: &["classifier.1."],
        parts: &["layers."],
    },
    Body {
        family: "ConvNeXt",
        mark: "stages.0.blocks.0.conv_dw.weight",
        with: "",
        head: &["head.fc."],
        parts: &["stem.", "stages.", "head.norm."],
    },
    Body {
        family: "MobileNet, EfficientNet",
        mark: "conv_stem.weight",
        with: "blocks.0.0.bn1.weight",
        head: &["classifier."],
        parts: &["conv_stem.", "bn1.", "blocks.", "conv_head.", "bn2."],
    },
];

/// What others call a head; the names without a number come first.
const NAMES: [&str; 7] =
    ["fc.", "head.fc.", "head.", "classifier.", "linear.", "heads.head.", "last_linear."];

/// What others call the body.
const BODY_NAMES: [&str; 5] = ["backbone.", "encoder.", "base.", "features.", "body."];

/// The heads of one network in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heads {
    /// What the names of its body start with.
    pub body: String,
    pub family: &'static str,
    /// What the names of its last layer start with, behind that of the body.
    pub own: &'static str,
    /// The head that is used, as the file calls it; `None` if none is understood.
    pub used: Option<String>,
    /// Heads beside it, which are not used.
    pub others: Vec<String>,
    /// Whether a distilled network has a second head, and neither is stated.
    pub are_averaged: bool,
    /// If none is used, what there is beside the body: names and shapes.
    pub left: Vec<(String, Vec<usize>)>,
}

/// The second head of a distilled network, and the token that it reads.
const SECOND: (&str, &str) = ("head_dist.", "dist_token");

/// Returns whether this is what the first publisher of a network calls the weight of its last layer.
pub(crate) fn is_own(name: &str) -> bool {
    name.strip_suffix("weight").is_some_and(|start| BODIES.iter().any(|kind| kind.head[0] == start))
}

/// What a user states of a head.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatedHead {
    /// What the names of its tensors start with.
    pub name: Option<String>,
    /// Its layers, and the activations between them.
    pub layers: Option<Vec<HeadLayer>>,
}

/// Gives the head of each network in a file the name that its first publisher has: the `stated` one, or that of the rule.
pub(super) fn named(mut tensors: Tensors, stated: &StatedHead) -> (Tensors, Vec<Heads>) {
    let bodies = BODIES.iter().flat_map(|kind| {
        let starts = tensors.keys().filter_map(|name| name.strip_suffix(kind.mark));
        let is_whole = |start: &&str| start.is_empty() || start.ends_with('.');
        let has =
            |start: &&str| kind.with.is_empty() || tensors.contains_key(&format!("{start}{}", kind.with));
        starts.filter(is_whole).filter(has).map(move |start| (kind, start.to_string()))
    });
    let bodies: Vec<(&Body, String)> = bodies.take(MOST_NETWORKS).collect();
    let starts: Vec<&str> = bodies.iter().map(|(_, start)| start.as_str()).collect();
    let heads =
        bodies.iter().map(|(kind, body)| kind.take_head(&mut tensors, body, &starts, stated)).collect();
    (tensors, heads)
}

impl Body {
    fn take_head(&self, tensors: &mut Tensors, body: &str, bodies: &[&str], stated: &StatedHead) -> Heads {
        let (stated, layers) = (stated.name.as_deref(), stated.layers.as_deref());
        let (second, token) = SECOND;
        let of_body = |name: &str| tensors.contains_key(&format!("{body}{name}"));
        let is_distilled = of_body(token);
        let are_averaged = is_distilled && of_body(&format!("{second}weight")) && stated.is_none();
        let stated = stated
            .filter(|name| !(is_distilled && name.trim_end_matches('.') == second.trim_end_matches('.')));
        let outside = BODY_NAMES.iter().find_map(|name| body.strip_suffix(name));
        let places: Vec<&str> = std::iter::once(body).chain(outside).collect();
        let groups: Vec<Group> =
            places.iter().flat_map(|place| self.groups(tensors, place, body, bodies, is_distilled)).collect();
        let mut candidates: Vec<Candidate> =
            groups.iter().filter_map(|group| Candidate::read(tensors, group, layers)).collect();
        let called = |name: &str| candidates.iter().position(|candidate| candidate.is_called(name));
        let is_own = |start: &str| self.head.iter().any(|own| start.strip_prefix(body) == Some(own));
        let is_understood = |group: &Group| candidates.iter().any(|it| it.group.start == group.start);
        let used = match stated {
            Some(name) => called(name),
            // What is called as the head is called, and is not understood, is not replaced by another.
            None if groups.iter().any(|group| is_own(&group.start) && !is_understood(group)) => None,
            None => {
                let known = self.head.iter().chain(&NAMES).find_map(|name| called(name));
                let first = candidates
                    .first()
                    .filter(|first| candidates[1..].iter().all(|other| first.inputs == other.inputs));
                known.or(first.map(|_| 0)).filter(|used| {
                    let mut others = candidates.iter().enumerate().filter(|(place, _)| place != used);
                    others.all(|(_, other)| !candidates[*used].is_chained(other))
                })
            }
        };
        let mut heads = Heads {
            body: body.into(),
            family: self.family,
            own: self.head[0],
            are_averaged,
            ..Heads::default()
        };
        let Some(used) = used else {
            let left = groups.into_iter().flat_map(|group| group.names);
            let left = left.filter(|name| !name.ends_with(IGNORED)).collect::<BTreeSet<String>>();
            let shape = |name: String| tensors.get(&name).map(|tensor| (name, tensor.shape.to_vec()));
            heads.left = left.into_iter().filter_map(shape).collect();
            return heads;
        };
        let used = candidates.swap_remove(used);
        if stated.is_some() && !is_own(&used.group.start) {
            for name in groups.iter().filter(|group| is_own(&group.start)).flat_map(|group| &group.names) {
                tensors.remove(name);
            }
        }
        for other in candidates.iter().filter(|other| stated.is_some() || used.is_beside(other)) {
            for name in &other.group.names {
                tensors.remove(name);
            }
            heads.others.push(other.group.called().into());
        }
        heads.others.sort();
        let (own, tail) = used.parted();
        if let Some(first) = own {
            rename(tensors, first, &format!("{body}{}", self.head[0]));
        }
        for (place, (start, layer)) in tail.iter().enumerate() {
            rename(tensors, start, &format!("{body}{}.", layer.name(place)));
        }
        heads.used = Some(used.group.called().into());
        heads
    }

    /// Returns the groups of tensors at a place that are not of a body: layers, and sequences of them.
    fn groups(
        &self,
        tensors: &Tensors,
        place: &str,
        body: &str,
        bodies: &[&str],
        is_distilled: bool,
    ) -> Vec<Group> {
        let mut groups = BTreeMap::<String, Group>::new();
        let mut tops = BTreeMap::<&str, usize>::new();
        for name in starting_with(tensors, place) {
            let inside = &name[place.len()..];
            let is_of_another = |other: &&str| other.len() > place.len() && name.starts_with(*other);
            let is_of_body = place == body && self.parts.iter().any(|part| inside.starts_with(part));
            let is_second = place == body && is_distilled && inside.starts_with(SECOND.0);
            if is_of_body || is_second || bodies.iter().any(is_of_another) {
                continue;
            }
            let Some((top, _)) = inside.split_once('.') else { continue };
            *tops.entry(top).or_default() += 1;
            let own = self.head.iter().find(|own| place == body && inside.starts_with(**own));
            let outer = own.copied().unwrap_or_else(|| outer(inside));
            let start = format!("{place}{outer}");
            let group = groups.entry(start.clone()).or_insert_with(|| Group {
                start,
                place: place.len(),
                top: top.into(),
                is_whole: own.is_some(),
                names: Vec::new(),
            });
            group.names.push(name.clone());
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        for group in &mut groups {
            group.is_whole |= tops.get(group.top.as_str()) == Some(&group.names.len());
        }
        groups
    }
}

/// Tensors that share the beginning of their names.
#[derive(Clone)]
struct Group {
    start: String,
    /// How much of that is the place.
    place: usize,
    /// The first part of the names at the place.
    top: String,
    /// Whether no others have this first part: what is beside a layer may precede or follow it.
    is_whole: bool,
    names: Vec<String>,
}

/// Returns what the name of a parameter starts with: its layer, or the sequence that its layer is in.
fn outer(name: &str) -> &str {
    let layer = name.rfind('.').map_or("", |dot| &name[..=dot]);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = layer.trim_end_matches('.');
    match parts.rfind('.') {
        Some(dot) if is_number(&parts[dot + 1..]) => &name[..=dot],
        _ => layer,
    }
}

/// Some tensors that are a head.
struct Candidate {
    group: Group,
    /// Its layers, and what their names start with.
    layers: Vec<(String, TailLayer)>,
    /// The numbers that it reads for an image; `None` if any.
    inputs: Option<usize>,
    /// Those that it returns.
    outputs: usize,
}

impl Candidate {
    /// Reads the layers of a head, which may be stated. `None` for what is none, and for another one.
    fn read(tensors: &Tensors, group: &Group, stated: Option<&[HeadLayer]>) -> Option<Self> {
        let layers = group.layers().filter(|_| group.is_whole)?;
        let stated = stated.map(behind_activations).map_or(Some(None), |stated| stated.map(Some))?;
        if stated.as_ref().is_some_and(|stated| stated.len() != layers.len()) {
            return None;
        }
        let mut read = Self { group: group.clone(), layers: Vec::new(), inputs: None, outputs: 0 };
        let mut outputs = None;
        // Numbers that are missing are those of layers without tensors: an activation and a dropout. One of a gap is taken for a ReLU, and
        // there is one between two linear layers. What a body returns is mostly behind one.
        let (mut is_active, mut next) = (true, usize::MAX);
        for (place, layer) in layers.iter().enumerate() {
            let stated = stated.as_ref().map(|stated| stated[place]);
            let (kind, sides) = layer.kind(tensors, stated.map(|(_, kind)| kind))?;
            let [to, from] = match (kind, outputs) {
                // One slope is for all.
                (HeadLayer::Prelu, Some(units)) if sides == [1, 1] => [units; 2],
                _ => sides,
            };
            if outputs.is_some_and(|outputs| outputs != from) {
                return None;
            }
            let is_assumed = layer.number > next && !is_active && kind != HeadLayer::Prelu;
            let activation = match stated {
                Some((activation, _)) => activation,
                None => is_assumed.then_some(Activation::Relu),
            };
            is_active = kind == HeadLayer::Prelu || (kind != HeadLayer::Linear && (is_active || is_assumed));
            next = layer.number.saturating_add(1);
            read.inputs = read.inputs.or((kind != HeadLayer::Prelu).then_some(from));
            outputs = (kind != HeadLayer::Prelu || outputs.is_some()).then_some(to);
            read.layers.push((layer.start.clone(), TailLayer { kind, activation, sides }));
        }
        read.outputs = outputs?;
        let (_, last) = read.layers.last()?;
        (last.kind == HeadLayer::Linear).then_some(read)
    }

    /// Returns its first layer if that is linear, for which networks have a place, and the others.
    fn parted(&self) -> (Option<&str>, &[(String, TailLayer)]) {
        match &self.layers[..] {
            [(start, TailLayer { kind: HeadLayer::Linear, activation: None, .. }), tail @ ..] => {
                (Some(start), tail)
            }
            all => (None, all),
        }
    }

    /// Returns whether one can read what the other returns.
    fn is_chained(&self, other: &Self) -> bool {
        let reads = |one: &Self, outputs| one.inputs.is_none_or(|inputs| inputs == outputs);
        reads(other, self.outputs) || reads(self, other.outputs)
    }

    /// Returns whether both read the same, and neither what the other returns.
    fn is_beside(&self, other: &Self) -> bool {
        self.inputs == other.inputs && !self.is_chained(other)
    }

    /// Returns whether it is called so, in the file or at its place.
    fn is_called(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        self.group.called() == name || self.group.start.trim_end_matches('.') == name
    }
}

/// A layer of a group.
struct Layer {
    number: usize,
    start: String,
    /// Its tensors, without training counters.
    parameters: Vec<String>,
}

impl Group {
    /// Returns what it is called at its place.
    fn called(&self) -> &str {
        self.start[self.place..].trim_end_matches('.')
    }

    /// Returns the layers in their order: one, or those of a sequence.
    fn layers(&self) -> Option<Vec<Layer>> {
        let mut layers = BTreeMap::<usize, Layer>::new();
        for name in self.names.iter().filter(|name| !name.ends_with(IGNORED)) {
            let inside = &name[self.start.len()..];
            let (number, parameter) = match inside.split_once('.') {
                Some((number, parameter)) => (number.parse().ok()?, parameter),
                None => (usize::MAX, inside),
            };
            let start = name[..name.len() - parameter.len()].to_string();
            let layer = layers.entry(number).or_insert(Layer { number, start, parameters: Vec::new() });
            layer.parameters.push(parameter.into());
        }
        // One that has tensors itself has none in it.
        (layers.len() == 1 || !layers.contains_key(&usize::MAX)).then(|| layers.into_values().collect())
    }
}

impl Layer {
    fn has(&self, parameters: &[&str]) -> bool {
        self.parameters.iter().eq(parameters)
    }

    fn weight(&self, tensors: &Tensors) -> Vec<usize> {
        tensors.get(&format!("{}weight", self.start)).map(|tensor| tensor.shape.to_vec()).unwrap_or_default()
    }

    /// Returns what it is, and the sides of its weight. One of several numbers alone may be that of a norm or of a PReLU: only if it is
    /// `stated` to be a PReLU it is one.
    fn kind(&self, tensors: &Tensors, stated: Option<HeadLayer>) -> Option<(HeadLayer, [usize; 2])> {
        let (kind, sides) = match self.weight(tensors)[..] {
            [outputs, inputs] if self.has(&["weight"]) || self.has(&["bias", "weight"]) => {
                (HeadLayer::Linear, [outputs, inputs])
            }
            [channels] if self.has(&["bias", "running_mean", "running_var", "weight"]) => {
                (HeadLayer::BatchNorm, [channels; 2])
            }
            [channels] if self.has(&["bias", "weight"]) => (HeadLayer::LayerNorm, [channels; 2]),
            [slopes] if self.has(&["weight"]) && (slopes == 1 || stated == Some(HeadLayer::Prelu)) => {
                (HeadLayer::Prelu, [slopes; 2])
            }
            _ => return None,
        };
        stated.is_none_or(|stated| stated == kind).then_some((kind, sides))
    }
}

/// Returns stated layers with parameters, each with the activation before it. `None` if there are two activations in a row, or one behind.
fn behind_activations(layers: &[HeadLayer]) -> Option<Vec<(Option<Activation>, HeadLayer)>> {
    let (mut behind, mut before) = (Vec::new(), None);
    for layer in layers {
        match layer.activation() {
            Some(activation) if before.is_none() => before = Some(activation),
            Some(_) => return None,
            None => behind.push((before.take(), *layer)),
        }
    }
    before.is_none().then_some(behind)
}

/// Returns the names that start so.
fn starting_with<'t>(tensors: &'t Tensors, start: &'t str) -> impl Iterator<Item = &'t String> {
    tensors.range(start.to_string()..).map(|(name, _)| name).take_while(move |name| name.starts_with(start))
}

/// Gives the tensors of a layer another name.
fn rename(tensors: &mut Tensors, theirs: &str, ours: &str) {
    for parameter in ["weight", "bias", "running_mean", "running_var"] {
        if let Some(tensor) = tensors.remove(&format!("{theirs}{parameter}")) {
            tensors.insert(format!("{ours}{parameter}"), tensor);
        }
    }
}
