//! What this crate promises, from the formulas to whole pictures.

mod color;
mod figure;
mod file;
mod mode;
mod mosaic;
mod outline;
mod overlay;
mod region;
mod resize;
mod sheet;
mod truth;
