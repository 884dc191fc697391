#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cam_fuzz::onnx(bytes));
