//! What can go wrong.

/// Why maps could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the layers, the methods, the targets or the device.
    #[error(transparent)]
    Core(#[from] cam_core::Error),
    /// A metric that nobody has registered.
    #[error("no metric is called `{asked}`; {}", cam_core::choices(.asked, .known))]
    UnknownMetric {
        /// The name.
        asked: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// Values that are not as many as their grid has positions.
    #[error("{height} x {width} positions need as many values, and there are {found}")]
    Length {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// The values.
        found: usize,
    },
    /// A batch in place of one image: an image is measured alone, so that its numbers do not depend on others.
    #[error("an image is measured alone, and there are {found}")]
    Batch {
        /// The images.
        found: usize,
    },
    /// A truth of another size than the input.
    #[error("the truth has {} x {} positions, and the input has {} x {}", .truth[0], .truth[1], .input[0], .input[1])]
    TruthSize {
        /// Its height and width.
        truth: [usize; 2],
        /// Those of the input.
        input: [usize; 2],
    },
}
