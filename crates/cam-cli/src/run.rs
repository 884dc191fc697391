//! A run over images: where they come from, who explains them, where the results go, and how an interrupted run continues.

pub mod images;
pub mod inputs;
pub mod interrupt;
pub mod manifest;
pub mod npy;
pub mod outputs;
pub mod panics;
pub mod run_state;
pub mod sheets;
pub mod sources;
pub mod viewer;
pub mod workers;
