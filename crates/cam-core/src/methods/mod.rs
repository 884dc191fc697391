//! The methods, one file each: its formula, its paper, its weights.

mod ablationcam;
mod eigencam;
mod gradcam;
mod hirescam;
mod layercam;
mod scorecam;

pub use ablationcam::{Ablated, AblationCam};
pub use eigencam::EigenCam;
pub use gradcam::GradCam;
pub use hirescam::HiResCam;
pub use layercam::LayerCam;
pub use scorecam::ScoreCam;
