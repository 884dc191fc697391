//! Buffers aligned to a cache line: a vector that crosses two lines takes two loads.

/// The number of floats in a cache line.
const LINE: usize = 16;

/// A buffer whose first float is at the start of a cache line.
#[derive(Debug)]
pub(crate) struct Aligned {
    floats: Vec<f32>,
    start: usize,
    length: usize,
}

impl Aligned {
    pub(crate) fn zeros(length: usize) -> Self {
        let floats = vec![0.0; length + LINE];
        let start = floats.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { floats, start, length }
    }

    pub(crate) fn get(&self) -> &[f32] {
        &self.floats[self.start..][..self.length]
    }

    pub(crate) fn get_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..][..self.length]
    }
}
