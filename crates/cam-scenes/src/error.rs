//! Errors of drawing scenes.

use crate::class::Class;
use crate::scene::{MAX_OBJECTS, MAX_SIDE, MIN_SIDE};

/// Why a scene cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The side is outside [`MIN_SIDE`](crate::MIN_SIDE)`..=`[`MAX_SIDE`](crate::MAX_SIDE).
    #[error("the side of a scene must be {MIN_SIDE} to {MAX_SIDE} pixels, got {side}")]
    Side {
        /// The given side in pixels.
        side: u32,
    },
    /// The number of objects is zero or more than fit on a scene.
    #[error("a scene must have 1 to {MAX_OBJECTS} objects, got {count}")]
    Objects {
        /// The given number of objects.
        count: usize,
    },
    /// No class has this name.
    #[error("unknown class {name:?}, expected one of {}", names())]
    UnknownClass {
        /// The given name.
        name: String,
    },
}

fn names() -> String {
    Class::ALL.map(Class::name).join(", ")
}
