//! What runs a model for methods: forward passes whatever their types, the passes of one batch, scores of changed copies, and the ways
//! to the device and back.

pub(crate) mod budget;
pub(crate) mod checks;
pub(crate) mod forward_pass;
mod inference_check;
pub(crate) mod noise;
pub(crate) mod read;
pub(crate) mod score_cache;
pub(crate) mod session;
pub(crate) mod unique_copies;
pub(crate) mod upload;
