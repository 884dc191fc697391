//! What this crate promises, from the formulas to whole pictures.

mod colour;
mod file;
mod outline;
mod overlay;
mod resize;
mod sheet;
mod truth;
