//! Checkpoints of PyTorch with what training scripts save beside the weights: `tests/golden/generate_checkpoints.py` writes them.

use crate::support::value;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use cam_models::Weights;
use std::path::{Path, PathBuf};

#[derive(Module, Debug)]
struct Net {
    fc: Linear,
}

fn stored(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints").join(file)
}

/// Loads the linear layer of a checkpoint and returns its weight, `[out, in]`, and its bias.
fn load(file: &str) -> Result<(Vec<f32>, Vec<f32>), String> {
    let net = Net { fc: LinearConfig::new(2, 3).init(&Device::flex()) };
    let weights = Weights::open(&stored(file)).map_err(|error| error.to_string())?;
    let net = weights.load("net", net).map_err(|error| error.to_string())?;
    let numbers = |data: burn::tensor::TensorData| data.try_to_vec().unwrap();
    let bias = net.fc.bias.as_ref().unwrap().val().into_data();
    Ok((numbers(net.fc.weight.val().transpose().into_data()), numbers(bias)))
}

#[test]
fn what_lies_beside_the_weights_stops_nothing() {
    let hashed =
        |name: &str, count| (0..count).map(|index| value(name, index, -1.0, 1.0)).collect::<Vec<f32>>();
    let expected = (hashed("fc.weight", 6), hashed("fc.bias", 3));
    for file in
        ["objects.pth", "objects_before_1_6.pth", "odd_tensors.pth", "whole.pth", "strided.pth", "script.pt"]
    {
        assert_eq!(load(file).as_ref(), Ok(&expected), "{file}");
    }
}

#[test]
fn a_tensor_that_is_needed_and_cannot_be_read_is_named() {
    for (file, kind) in [
        ("eight_bits.pth", "torch.float8_e4m3fn"),
        ("complex.pth", "torch.ComplexFloatStorage"),
        ("sparse.pth", "`sparse_tensor`"),
    ] {
        let said = load(file).unwrap_err();
        assert!(
            said.ends_with(&format!(": the tensor `fc.weight` is of {kind}, which is not read")),
            "{said}"
        );
    }
    let said = load("numpy.pkl").unwrap_err();
    assert!(said.contains("a pickle of NumPy arrays"), "{said}");
}

/// Cut or changed anywhere, a checkpoint is an error or a sound one, and no panic.
#[test]
fn a_checkpoint_that_is_wrong_anywhere_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["objects.pth", "objects_before_1_6.pth", "odd_tensors.pth", "script.pt", "numpy.pkl"] {
        let bytes = std::fs::read(stored(file)).unwrap();
        let path = folder.path().join(file);
        let open = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let net = Net { fc: LinearConfig::new(2, 3).init(&Device::flex()) };
            Weights::open(&path).and_then(|weights| weights.load("net", net)).ok();
        };
        for place in (0..bytes.len()).step_by(7) {
            open(&bytes[..place]);
            for wrong in [0, 0xff, b'R', b'(', bytes[place] ^ 1] {
                let mut bytes = bytes.clone();
                bytes[place] = wrong;
                open(&bytes);
            }
        }
    }
}
