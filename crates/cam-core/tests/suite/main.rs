//! The tests of attribution, one program: it is linked once.

mod common;

mod declared;
mod defects;
mod formulas;
mod identities;
mod layers;
mod networks;
mod nothing;
mod outliers;
mod passes;
mod projections;
mod refusals;
mod targets;
mod transformers;
mod unchanged;
mod wrappers;
