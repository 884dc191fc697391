//! Tests of ONNX files as modules.

mod hostile;
mod networks;
mod operators;
mod quantized;
