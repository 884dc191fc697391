//! What can be wrong with a request for a scene.

use crate::class::Class;
use crate::scene::{MAX_OBJECTS, MAX_SIDE, MIN_SIDE};

/// Why a scene cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The side is outside [`MIN_SIDE`](crate::MIN_SIDE)`..=`[`MAX_SIDE`](crate::MAX_SIDE).
    #[error("a scene has a side of {MIN_SIDE} to {MAX_SIDE} pixels, not {side}")]
    Side {
        /// The side asked for, in pixels.
        side: u32,
    },
    /// More objects than a scene has room for, or none.
    #[error("a scene holds 1 to {MAX_OBJECTS} objects, not {count}")]
    Objects {
        /// The number of objects asked for.
        count: usize,
    },
    /// No class has this name.
    #[error("no class is called {name:?}; the classes are {}", names())]
    UnknownClass {
        /// The name asked for.
        name: String,
    },
}

fn names() -> String {
    Class::ALL.map(Class::name).join(", ")
}
