//! Networks and pictures whose every number is a hash of its name and place: `tests/golden/README.md` has the formula.

#![allow(dead_code)]

pub mod archive;
pub mod arithmetic;
pub mod schema;

use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot};
use burn::tensor::{Device, Tensor, TensorData};
use cam_core::{Cost, KernelShap, Lime, METHODS, Method, SsCam, SuperpixelMasks};
use cam_models::zoo::densenet::DenseNetConfig;
use cam_models::zoo::mnasnet::MnasNetConfig;
use cam_models::zoo::resnet::{ResNetConfig, Sampling};
use cam_models::zoo::swin::SwinConfig;
use cam_models::zoo::vgg::VggConfig;
use cam_models::zoo::vit::{SecondHead, VitConfig};
use cam_models::{Activation, AnyArchitecture, AnyNetwork, RecordedNetwork, TokenPool, Weights};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The narrow ResNet of the golden files.
pub const TINY: ResNetConfig = ResNetConfig {
    blocks: [1, 1, 1, 1],
    width: 8,
    bottleneck: false,
    groups: 1,
    width_per_group: 64,
    deep_stem: true,
    padded_shortcuts: false,
    sampling: Sampling::IMAGENET,
    channels: 3,
    classes: 10,
};

/// Its sibling with grouped bottlenecks.
pub const TINY_RESNEXT: ResNetConfig =
    ResNetConfig { blocks: [2, 1, 1, 1], bottleneck: true, groups: 4, width_per_group: 8, ..TINY };

/// The small VGG; `hidden` stands in the place of 4096.
pub const VGG: VggConfig = VggConfig {
    stages: Cow::Borrowed(&[(8, 1), (16, 1), (16, 2), (24, 1)]),
    norms: false,
    hidden: 32,
    channels: 3,
    classes: 10,
};

/// The small ViT: 4 x 6 tokens.
pub const VIT: VitConfig = VitConfig {
    image: [64, 96],
    patch: 16,
    width: 48,
    depth: 3,
    heads: 3,
    hidden: 192,
    activation: Activation::Gelu,
    epsilon: 1e-6,
    class_token: true,
    pool: TokenPool::Token,
    pooled_norm: false,
    distilled: false,
    second_head: SecondHead::Averaged,
    registers: 0,
    prefix_embedded: true,
    layer_scale: false,
    channels: 3,
    classes: 10,
};

/// The small Swin: 16 x 16 patches, 8 x 8 in the second stage.
pub const SWIN: SwinConfig = SwinConfig {
    image: [64, 64],
    patch: 4,
    window: 4,
    width: 24,
    depths: Cow::Borrowed(&[2, 2]),
    heads: Cow::Borrowed(&[2, 4]),
    hidden: 96,
    activation: Activation::Gelu,
    epsilon: 1e-5,
    pool: TokenPool::Avg,
    channels: 3,
    classes: 10,
};

/// The small DenseNet. A network of two dense blocks has its last norm under the name that it has in one of four.
pub const DENSENET: DenseNetConfig =
    DenseNetConfig { blocks: [2, 2, 0, 0], growth: 4, stem: 8, bottleneck: 4, channels: 3, classes: 10 };

/// The small MNASNet.
pub fn mnasnet() -> MnasNetConfig {
    MnasNetConfig { classes: 10, ..MnasNetConfig::scaled(0.25) }
}

/// Every method, SS-CAM of few samples: the paper's 35 passes for each channel take a software device an hour. Methods of a hundred passes
/// are left to the CPU: they are passes like those of others.
pub fn methods() -> impl Iterator<Item = &'static dyn Method> {
    let here = METHODS.iter().filter(|method| is_cpu() || !matches!(method.info().cost, Cost::Passes(64..)));
    here.map(|method| match method.name() {
        "sscam" => &SsCam { samples: 3, ..SsCam::PAPER } as &dyn Method,
        "kernelshap" => &KernelShap { masks: FEW_MASKS },
        "lime" => &Lime { masks: FEW_MASKS, ..Lime::PAPER },
        _ => *method,
    })
}

const FEW_MASKS: SuperpixelMasks = SuperpixelMasks { samples: 60, regions: 12, ..SuperpixelMasks::PAPER };

/// Whether a method runs the network many times for every channel, or hundreds of times.
pub fn is_long(method: &dyn Method) -> bool {
    let most = if is_cpu() { 500 } else { 64 };
    match method.info().cost {
        Cost::PerChannel(passes) => passes > 1,
        Cost::Passes(passes) => passes >= most,
        _ => false,
    }
}

/// Whether the device of the tests is the CPU.
fn is_cpu() -> bool {
    std::env::var("CAM_TEST_DEVICE").is_err() || device() == Device::flex()
}

/// A folder for the files of a test.
pub struct Desk(TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// The folder of the repository, or of a package that holds what tests read of it: where it is when the tests run, as Cargo says, else
/// where it was when they were built.
pub fn repository() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).into()
}

/// The device of the tests of models and methods: what `CAM_TEST_DEVICE` says, a word as `--device` takes it, or the processor.
pub fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let open = || {
        let asked = std::env::var("CAM_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
        let opened = asked.parse().and_then(cam_device::open);
        opened.unwrap_or_else(|error| panic!("CAM_TEST_DEVICE: {error}")).devices.swap_remove(0).device
    };
    DEVICE.get_or_init(open).clone()
}

/// The network with the hashed parameters, through a file as a user's would go, recorded.
pub fn hashed(config: impl Into<AnyArchitecture>) -> RecordedNetwork {
    hashed_on(config, &device())
}

/// As [`hashed`], on a device of its own: a clone of a network that is moved to another shares the statistics of its BatchNorms.
pub fn hashed_on(config: impl Into<AnyArchitecture>, device: &Device) -> RecordedNetwork {
    hashed_network(config, device).record().unwrap()
}

/// As [`hashed_on`], before it is recorded.
pub fn hashed_network(config: impl Into<AnyArchitecture>, device: &Device) -> AnyNetwork {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let architecture = config.into();
    write_hashed(&architecture.build(device).shapes(), &path);
    architecture.load("hashed", &Weights::open(&path).unwrap(), device).unwrap()
}

/// The hash of a tensor's place: splitmix64 of FNV-1a of the name.
pub fn hash(name: &str, index: u64) -> u64 {
    let seed =
        name.bytes().fold(0xcbf29ce484222325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100000001b3));
    let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d049bb133111eb);
    z ^ (z >> 31)
}

/// The number of a tensor at a flat index.
pub fn value(name: &str, index: u64, low: f64, high: f64) -> f32 {
    let u = (hash(name, index) >> 40) as f64 / 16_777_216.0;
    (low + (high - low) * u) as f32
}

/// The modules whose linear layer is the last one, whatever the family calls it.
const HEADS: [&str; 7] = ["fc", "head", "head_dist", "head.fc", "classifier", "classifier.1", "classifier.6"];

/// The range of a parameter among those of its network.
fn range(name: &str, shapes: &BTreeMap<String, Vec<usize>>) -> (f64, f64) {
    let shape = &shapes[name];
    let (module, leaf) = name.rsplit_once('.').unwrap_or(("", name));
    let is_norm = || shapes[&format!("{module}.weight")].len() == 1;
    match (leaf, shape.len()) {
        ("relative_position_bias_table", _) => (-1.0, 1.0),
        (_, 3) => (-0.5, 0.5),
        (_, 2 | 4) => {
            let factor = if HEADS.contains(&module) { 2.0 } else { 1.0 };
            let bound = factor * (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
            (-bound, bound)
        }
        ("running_mean", _) => (-0.2, 0.2),
        ("running_var", _) => (0.5, 1.5),
        ("bias", _) if is_norm() => (-0.5, 0.2),
        ("bias", _) => (-0.1, 0.1),
        _ if ends_its_block(module, shapes) => (0.1, 0.4),
        _ => (0.8, 1.2),
    }
}

/// Whether a norm is the last of a residual block.
fn ends_its_block(module: &str, shapes: &BTreeMap<String, Vec<usize>>) -> bool {
    match module.rsplit_once('.') {
        Some((block, "bn2")) => !shapes.contains_key(&format!("{block}.bn3.weight")),
        Some((_, "bn3")) => true,
        _ => module.ends_with(".layers.7"),
    }
}

/// The tensors of a network under the names of its checkpoint.
pub fn shapes(network: &impl ModuleSnapshot) -> BTreeMap<String, Vec<usize>> {
    let tensors = network.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor.shape.to_vec())).collect()
}

/// Writes the hashed parameters of a network under the names of its checkpoint, as a safetensors file.
pub fn hashed_file(network: &impl ModuleSnapshot, path: &Path) {
    write_hashed(&shapes(network), path);
}

/// Writes the hashed parameters of a network whose tensors have these names and shapes.
pub fn write_hashed(shapes: &BTreeMap<String, Vec<usize>>, path: &Path) {
    write_within(shapes, |name, _| range(name, shapes), path);
}

/// Writes hashed tensors of these names and shapes, each within the range that its name and shape have.
pub fn write_within(
    shapes: &BTreeMap<String, Vec<usize>>,
    range: impl Fn(&str, &[usize]) -> (f64, f64),
    path: &Path,
) {
    let numbers: Vec<(&String, &Vec<usize>, Vec<u8>)> = shapes
        .iter()
        .map(|(name, shape)| {
            let (low, high) = range(name, shape);
            let count = shape.iter().product::<usize>() as u64;
            (name, shape, (0..count).flat_map(|i| value(name, i, low, high).to_le_bytes()).collect())
        })
        .collect();
    let views = numbers
        .iter()
        .map(|(name, shape, bytes)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A hashed picture `[batch, 3, height, width]`: a tint, patches and grain.
pub fn picture(name: &str, [batch, height, width]: [usize; 3], block: usize) -> Tensor<4> {
    let [tint, patch, grain] = ["tint", "patch", "grain"].map(|part| format!("{name}.{part}"));
    let (rows, columns) = (height / block, width / block);
    let mut pixels = Vec::with_capacity(batch * 3 * height * width);
    for plane in 0..batch * 3 {
        for y in 0..height {
            for x in 0..width {
                let in_block = (plane * rows + y / block) * columns + x / block;
                let tint = value(&tint, plane as u64, -0.75, 0.75);
                let patch = value(&patch, in_block as u64, -1.5, 1.5);
                let grain = value(&grain, ((plane * height + y) * width + x) as u64, -0.25, 0.25);
                pixels.push((tint + patch) + grain);
            }
        }
    }
    Tensor::from_data(TensorData::new(pixels, [batch, 3, height, width]), &device())
}
