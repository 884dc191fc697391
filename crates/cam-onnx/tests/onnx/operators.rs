//! Operators beside ONNX's own tests of them.

use burn::tensor::{Device, TensorData};
use cam_onnx::{Error, OnnxModule};
use safetensors::{Dtype, SafeTensors};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Reads a tensor; floats in single precision, all else as integers.
fn tensor(tensors: &SafeTensors<'_>, name: &str) -> Option<TensorData> {
    let view = tensors.tensor(name).ok()?;
    let (data, shape) = (view.data(), view.shape().to_vec());
    Some(match view.dtype() {
        Dtype::F32 => TensorData::new(
            data.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect::<Vec<_>>(),
            shape,
        ),
        Dtype::I64 => TensorData::new(
            data.as_chunks().0.iter().map(|x| i64::from_le_bytes(*x)).collect::<Vec<_>>(),
            shape,
        ),
        Dtype::BOOL => TensorData::new(data.iter().map(|x| *x != 0).collect::<Vec<_>>(), shape),
        other => panic!("{other:?}"),
    })
}

/// What became of a test.
enum Verdict {
    Equal,
    /// An operator or type is refused.
    Refused(String),
    Wrong(String),
}

fn judge(file: &Path) -> Verdict {
    let module = match OnnxModule::open(file, &Device::flex()) {
        Ok(module) => module,
        Err(error) => return Verdict::Refused(error.to_string()),
    };
    let bytes = std::fs::read(file.with_extension("safetensors")).expect("the numbers of the test");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let inputs = module.inputs().into_iter().filter_map(|port| {
        let numbers = tensor(&tensors, &format!("input:{}", port.name))?;
        Some((port.name, numbers))
    });
    let outputs = match module.run(inputs.collect(), &Device::flex()) {
        Ok(outputs) => outputs,
        Err(Error::Operator { reason, .. })
            if reason.contains("not supported") || reason.contains("must be constant") =>
        {
            return Verdict::Refused(reason);
        }
        Err(error) => return Verdict::Wrong(error.to_string()),
    };
    for (name, found) in outputs.names.iter().zip(outputs.data()) {
        let Some(expected) = tensor(&tensors, &format!("output:{name}")) else { continue };
        if found.shape() != expected.shape() {
            return Verdict::Wrong(format!(
                "{name} has the shape {:?}, not {:?}",
                found.shape(),
                expected.shape()
            ));
        }
        let pairs = found.iter::<f32>().zip(expected.iter::<f32>());
        // The tolerance of ONNX's tests.
        let differs = |(a, b): (f32, f32)| {
            !(a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-4 + 1e-3 * b.abs())
        };
        if let Some((place, pair)) = pairs.enumerate().find(|(_, pair)| differs(*pair)) {
            return Verdict::Wrong(format!("{name} at {place}: {} instead of {}", pair.0, pair.1));
        }
    }
    Verdict::Equal
}

/// The tests of the folder `CAM_ONNX_OPERATORS`.
#[test]
#[ignore = "set CAM_ONNX_OPERATORS to a folder that tests/golden/generate_onnx.py has made of the tests of the package onnx"]
fn operators_are_those_of_the_tests_of_onnx() {
    let folder = std::env::var_os("CAM_ONNX_OPERATORS").expect("CAM_ONNX_OPERATORS is set");
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "onnx")).collect();
    files.sort();
    let (mut equal, mut refused, mut wrong) = (0, 0, Vec::new());
    for file in &files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let verdict = catch_unwind(AssertUnwindSafe(|| judge(file)));
        match verdict.unwrap_or_else(|_| Verdict::Wrong("a panic".into())) {
            Verdict::Equal => equal += 1,
            Verdict::Refused(reason) => {
                refused += 1;
                println!("{name}: refused: {reason}");
            }
            Verdict::Wrong(reason) => {
                println!("{name}: WRONG: {reason}");
                wrong.push(name.into_owned());
            }
        }
    }
    println!("{equal} equal, {refused} refused, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{wrong:?}");
}
