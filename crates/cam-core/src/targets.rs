//! The targets, one file each: which score of the output a map explains.

mod any_of;
mod binary;
mod class;
mod detector;
mod finer;
mod goal;
mod log_odds;
mod region;
mod registry;
mod sigmoid;
mod similarity;
mod softmax;
mod target;
mod value;

pub use any_of::AnyOf;
pub use binary::{Binary, LikelierSide};
pub use class::{Class, Classes, Ranked, Top};
pub use detector::{BestBox, Detection, DetectionRow, Detections, Part, SimilarBox};
pub use finer::{Finer, Rivals};
pub use goal::Goal;
pub use log_odds::LogOdds;
pub use region::Region;
pub use registry::{TARGETS, TargetInfo, target_named};
pub use sigmoid::Sigmoid;
pub use similarity::Similarity;
pub use softmax::Softmax;
pub use target::{BoxedTarget, Target};
pub use value::Value;
