//! Makes Burn code of the ONNX file: `$OUT_DIR/scenes.rs`, with its weights in `scenes.bpk`.

use burn_onnx::{LoadStrategy, ModelGen};

fn main() {
    println!("cargo::rerun-if-changed=scenes.onnx");
    ModelGen::new().input("scenes.onnx").out_dir("").load_strategy(LoadStrategy::Embedded).run_from_script();
}
