//! Tests of ONNX files as modules.

mod networks;
mod operators;
