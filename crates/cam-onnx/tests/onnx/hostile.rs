//! Damaged files: errors, never panics.

use crate::networks::golden;
use burn::tensor::{Device, Tensor};
use cam_onnx::OnnxModule;

/// A generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

#[test]
fn damaged_files_are_errors() {
    let device = Device::flex();
    let (mut read, mut recorded_files) = (0, 0);
    for name in ["residual_torchscript", "vit_dynamo", "residual_qdq", "depthwise_dynamo"] {
        let whole = std::fs::read(golden(name)).unwrap();
        let mut random = Random(7);
        for turn in 0..300 {
            let mut bytes = whole.clone();
            match turn % 3 {
                0 => bytes.truncate(random.below(whole.len())),
                1 => {
                    for _ in 0..=random.below(8) {
                        let place = random.below(whole.len());
                        bytes[place] = random.below(256) as u8;
                    }
                }
                _ => {
                    let (from, to) = (random.below(whole.len()), random.below(whole.len()));
                    let length = random.below(64).min(whole.len() - from.max(to));
                    bytes.copy_within(from..from + length, to);
                }
            }
            let Ok(module) = OnnxModule::from_bytes(&bytes, &device) else { continue };
            read += 1;
            let Ok(recorded) = cam_graph::record_fallible(&module, OnnxModule::classify) else { continue };
            let images = Tensor::zeros([2, 3, 32, 32], &device);
            recorded_files += usize::from(recorded.layers(&images).is_ok());
        }
    }
    // Most damage is within weights, where it is none.
    assert!(read > 300 && recorded_files > 200, "{read} {recorded_files}");
}

#[test]
fn what_is_no_model_is_said() {
    let device = Device::flex();
    let refused = |bytes: &[u8]| OnnxModule::from_bytes(bytes, &device).unwrap_err().to_string();
    assert_eq!(refused(b""), "it is no ONNX model: it has no graph");
    assert!(refused(b"\x89PNG\r\n\x1a\n").starts_with("it is no ONNX model: "));
    let missing = OnnxModule::open("no such file.onnx", &device).unwrap_err().to_string();
    assert!(missing.starts_with("no such file.onnx: "), "{missing}");
}
