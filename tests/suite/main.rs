//! The tests of the tool and of what several crates do together, one program: it is linked once. `benches/pack.sh` builds it with the tool
//! in it.

#![cfg_attr(packed, feature(custom_test_frameworks, exitcode_exit_method, test))]
#![cfg_attr(packed, test_runner(packed::run))]

mod support;

mod bench;
mod cards;
mod checkpoints;
mod clip;
mod conformance;
mod corpus;
mod crates;
mod detectors;
mod devices;
mod evaluate;
mod folders;
mod golden;
mod hostile;
#[cfg(feature = "hub")]
mod hostile_hub;
#[cfg(feature = "hub")]
mod hub;
mod limits;
mod names;
mod onnx;
#[cfg(packed)]
mod packed;
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
#[cfg(feature = "hub")]
mod repositories;
mod scenes;
mod signals;
mod tool;
mod weights;
mod words;
