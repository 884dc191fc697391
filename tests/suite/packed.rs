//! One program that is the tool and its tests, for machines without Cargo: Burn is in it once. How tests are run can be changed in unstable
//! Rust only, so no other build has this module.

extern crate test;

use burn_cam::Registry;
use std::path::Path;
use test::{TestDescAndFn, test_main_static};

/// Runs the tests in a program that is called `cam-tests`, the tool in one of any other name.
pub fn run(tests: &[&TestDescAndFn]) {
    let name = std::env::args_os().next().unwrap_or_default();
    match Path::new(&name).file_name().is_some_and(|name| name == "cam-tests") {
        true => test_main_static(tests),
        false => cam_cli::run(Registry::default()).exit_process(),
    }
}
