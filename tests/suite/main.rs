//! The tests of the tool and of what several crates do together, one program: it is linked once.

mod support;

mod bench;
mod cards;
mod checkpoints;
mod conformance;
mod devices;
mod golden;
mod hostile;
#[cfg(feature = "hub")]
mod hub;
mod photos;
mod pipeline;
mod precision;
mod publishers;
mod reads;
mod real;
mod recorded;
#[cfg(feature = "remote")]
mod remote;
mod report;
mod scenes;
mod tool;
mod weights;
mod words;
