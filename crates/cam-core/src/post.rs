//! From evidence to a map: which sign is kept, resizing, scaling, and projections on a principal component.

pub(crate) mod outliers;
pub(crate) mod projection;
mod rectify;
pub(crate) mod resize;
mod scale;

pub use rectify::Rectify;
pub use resize::Sampling;
pub use scale::Scale;
