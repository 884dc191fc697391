//! The promises of this crate, from formulas to whole images.

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
