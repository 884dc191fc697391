//! Explainers and what wraps them: one map of several.

mod explain;
mod fusion;
mod rise;
mod sess;
mod smooth;
mod view;
mod wrapper;

pub use explain::{Explain, Explaining, Inference, Running};
pub use fusion::Fusion;
pub use rise::Rise;
pub use sess::{Pool, Sess};
pub use smooth::Smooth;
pub use view::{Brightness, Flip, Noise, View};
pub use wrapper::{Wrapped, Wrapper, WrapperInfo};
