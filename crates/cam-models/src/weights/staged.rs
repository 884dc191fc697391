//! Networks of inverted residuals whose files number steps (torchvision: `features.4.block.1.0`), or number blocks through (transformers):
//! what a step is, and which blocks are one stage, follows from what there is. They get timm's names: `blocks.1.0.conv_dw`.

use super::publishers::{MOST_NETWORKS, Tensors};

/// A tensor that torchvision's networks of inverted residuals have, and a VGG, DenseNet, Swin or ConvNeXt has not; and one of those that
/// number blocks through.
const MARKS: [&str; 2] = ["features.0.1.running_mean", "blocks.0.conv_dw.weight"];

/// A step of a block: what the names of its convolution and its norm start with.
enum Step {
    Convolution(String, String),
    /// The names of its two convolutions.
    Gate(String, String),
}

/// A block in its file.
struct Block {
    /// The number of its stage, where the file numbers stages.
    stage: Option<usize>,
    steps: Vec<Step>,
}

/// Returns the tensors of a file with timm's names for those of its networks of inverted residuals.
pub(super) fn staged(mut tensors: Tensors) -> Tensors {
    let outer = |tensors: &Tensors| {
        let starts = tensors.keys().filter_map(|name| MARKS.iter().find_map(|mark| name.strip_suffix(mark)));
        starts.filter(|start| start.is_empty() || start.ends_with('.')).map(String::from).collect::<Vec<_>>()
    };
    for outer in outer(&tensors).into_iter().take(MOST_NETWORKS) {
        if let Some(names) = (Reader { tensors: &tensors, outer: &outer }).names() {
            let renamed = |name: String| {
                let inside = name.strip_prefix(&outer)?;
                let (theirs, ours) = names.iter().find(|(theirs, _)| inside.starts_with(theirs))?;
                Some(format!("{outer}{ours}{}", &inside[theirs.len()..]))
            };
            let tensor = |(name, tensor): (String, _)| (renamed(name.clone()).unwrap_or(name), tensor);
            tensors = tensors.into_iter().map(tensor).collect();
        }
    }
    tensors
}

struct Reader<'t> {
    tensors: &'t Tensors,
    outer: &'t str,
}

impl Reader<'_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(&format!("{}{name}", self.outer)).map(|tensor| tensor.shape.to_vec())
    }

    fn has(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    /// Returns what the names of parts start with, in the file and in timm. `None` for another network.
    fn names(&self) -> Option<Vec<(String, String)>> {
        let mut names = Vec::new();
        let numbered = self.numbered_through();
        let (blocks, last) = if numbered.is_empty() { self.blocks() } else { (numbered, 0) };
        if blocks.is_empty() {
            return None;
        }
        let (mut stage, mut place) = (0, 0);
        for (number, block) in blocks.iter().enumerate() {
            if let Some(before) = number.checked_sub(1).map(|before| &blocks[before]) {
                let begins = block.stage != before.stage
                    || self.outputs(block) != self.outputs(before)
                    || block.convolutions().count() != before.convolutions().count();
                (stage, place) = if begins { (stage + 1, 0) } else { (stage, place + 1) };
            }
            self.name_block(block, &format!("blocks.{stage}.{place}."), &mut names)?;
        }
        let mut named = |theirs: &str, ours: &str| names.push((theirs.into(), ours.into()));
        if last > 0 {
            let last = |part| format!("features.{last}.{part}.");
            named("features.0.0.", "conv_stem.");
            named("features.0.1.", "bn1.");
            // MobileNetV3 makes its features behind the mean of all positions.
            if self.has("classifier.0.weight") && self.has("classifier.3.weight") {
                named(&last(0), &format!("blocks.{}.0.conv.", stage + 1));
                named(&last(1), &format!("blocks.{}.0.bn1.", stage + 1));
                named("classifier.0.", "conv_head.");
                named("classifier.3.", "classifier.");
            } else {
                named(&last(0), "conv_head.");
                named(&last(1), "bn2.");
            }
        }
        Some(names)
    }

    /// Returns the blocks of a file that numbers them through, and calls their parts as timm calls those of an expanding block.
    fn numbered_through(&self) -> Vec<Block> {
        if !self.has("conv_stem.weight") {
            return Vec::new();
        }
        let numbers = (0..).map(|number| number.to_string());
        let block = |name: String| {
            let part = |part: &str| format!("blocks.{name}.{part}.");
            let convolutions = [("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")];
            let convolutions = convolutions.into_iter().map(|(conv, norm)| (part(conv), part(norm)));
            let gate = (part("se.conv_reduce"), part("se.conv_expand"));
            let has = |(conv, _): &(String, String)| self.has(&format!("{conv}weight"));
            let gate = Some(gate).filter(has).map(|(reduce, expand)| Step::Gate(reduce, expand));
            let steps = convolutions.filter(has).map(|(conv, norm)| Step::Convolution(conv, norm));
            Some(Block { stage: None, steps: steps.chain(gate).collect() })
                .filter(|block| !block.steps.is_empty())
        };
        block("first".into()).into_iter().chain(numbers.map_while(block)).collect()
    }

    /// Returns all blocks in order, and the number of the layer after them.
    fn blocks(&self) -> (Vec<Block>, usize) {
        let mut blocks = Vec::new();
        let mut layer = 1;
        loop {
            let flat = [".conv.", ".block."].map(|word| self.steps(&format!("features.{layer}{word}")));
            let alone = flat.into_iter().flatten().map(|steps| Block { stage: None, steps });
            let of_stage = (0..).map_while(|place| self.steps(&format!("features.{layer}.{place}.block.")));
            let before = blocks.len();
            blocks.extend(alone.chain(of_stage.map(|steps| Block { stage: Some(layer), steps })));
            if blocks.len() == before {
                return (blocks, layer);
            }
            layer += 1;
        }
    }

    /// Returns the steps of a block; `None` if there are none.
    fn steps(&self, start: &str) -> Option<Vec<Step>> {
        let mut place = 0;
        let steps = std::iter::from_fn(|| {
            let here = format!("{start}{place}.");
            let (step, parts) = if self.has(&format!("{here}fc1.weight")) {
                (Step::Gate(format!("{here}fc1."), format!("{here}fc2.")), 1)
            } else if self.has(&format!("{here}0.weight")) {
                (Step::Convolution(format!("{here}0."), format!("{here}1.")), 1)
            } else if self.has(&format!("{here}weight")) {
                // The last convolution of MobileNetV2 and its norm are steps of their own.
                (Step::Convolution(here, format!("{start}{}.", place + 1)), 2)
            } else {
                return None;
            };
            place += parts;
            Some(step)
        });
        Some(steps.collect::<Vec<_>>()).filter(|steps| !steps.is_empty())
    }

    /// Returns the channels of a block's output.
    fn outputs(&self, block: &Block) -> Option<usize> {
        let (conv, _) = block.convolutions().last()?;
        self.shape(&format!("{conv}weight"))?.first().copied()
    }

    /// Adds the names of the parts of a block. `None` if it is another kind of block.
    fn name_block(&self, block: &Block, ours: &str, names: &mut Vec<(String, String)>) -> Option<()> {
        let convolutions: Vec<_> = block.convolutions().collect();
        let is_of_each_channel =
            |conv: &str| self.shape(&format!("{conv}weight")).is_some_and(|shape| shape.get(1) == Some(&1));
        let called: &[&str] = match &convolutions[..] {
            [_] => &["conv"],
            [(first, _), _] if is_of_each_channel(first) => &["conv_dw", "conv_pw"],
            [_, _] => &["conv_exp", "conv_pwl"],
            [_, _, _] => &["conv_pw", "conv_dw", "conv_pwl"],
            _ => return None,
        };
        for (number, (called, (conv, norm))) in (1..).zip(called.iter().zip(convolutions)) {
            names.push((conv.into(), format!("{ours}{called}.")));
            names.push((norm.into(), format!("{ours}bn{number}.")));
        }
        for step in &block.steps {
            if let Step::Gate(reduce, expand) = step {
                names.push((reduce.clone(), format!("{ours}se.conv_reduce.")));
                names.push((expand.clone(), format!("{ours}se.conv_expand.")));
            }
        }
        Some(())
    }
}

impl Block {
    fn convolutions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.steps.iter().filter_map(|step| match step {
            Step::Convolution(conv, norm) => Some((conv.as_str(), norm.as_str())),
            Step::Gate(..) => None,
        })
    }
}
