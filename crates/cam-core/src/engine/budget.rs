//! How much the changed copies of an image may take.

/// How many bytes the copies of one pass may take, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub bytes: usize,
    pub copies: usize,
}

/// The default: 256 MiB, about ten copies of an image in ResNet-50.
const DEFAULT_BYTES: usize = 256 << 20;

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: DEFAULT_BYTES, copies: usize::MAX }
    }
}

impl Budget {
    /// Returns how many copies of so many bytes one pass carries; at least one.
    pub fn copies_of(self, bytes: usize) -> usize {
        (self.bytes / bytes.max(1)).clamp(1, self.copies.max(1))
    }
}
