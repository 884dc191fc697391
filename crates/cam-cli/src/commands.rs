//! The commands, one file each: options, examples, and what is done.

pub mod bench;
pub mod compare;
pub mod concepts;
pub mod demo;
pub mod explain;
pub mod guided;
pub mod list;
pub mod serve;
pub mod shell;
