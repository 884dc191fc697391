//! The metrics: each formula written again slowly, what they say of drawn scenes, and what they do with what cannot be measured.

mod common;
mod formulas;
mod nothing;
mod scenes;
mod shared;
