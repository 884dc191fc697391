//! What an explainer returns.

mod explanation;
mod flat_maps;
mod map_stats;
mod run;
mod warning;

pub use explanation::{AttributionMaps, Explanation, MapNumbers};
pub use flat_maps::FlatMaps;
pub use map_stats::MapStats;
pub use run::Run;
pub use warning::Warning;
