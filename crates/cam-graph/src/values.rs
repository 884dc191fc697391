//! The values of one run: constants, which all runs share, and computed values that still have readers.

use burn::backend::DispatchTensor;

/// The index of a value in a run.
pub(crate) type Slot = usize;

/// The values of one run of a graph.
pub(crate) struct Values<'a> {
    constants: &'a [Option<DispatchTensor>],
    computed: Vec<Option<DispatchTensor>>,
    /// The number of remaining reads of each slot.
    reads: Vec<u32>,
}

impl<'a> Values<'a> {
    /// Makes the values of a run: only the constants.
    ///
    /// - reads: the number of reads of each slot in a run
    pub fn new(constants: &'a [Option<DispatchTensor>], reads: &[u32]) -> Self {
        Self { constants, computed: vec![None; constants.len()], reads: reads.to_vec() }
    }

    /// Reads a value for an operator. The last reader gets the only handle, so that the device can write in place.
    ///
    /// # Panics
    /// Panics if the value is not computed, which the order of operators rules out.
    pub fn read(&mut self, slot: Slot) -> DispatchTensor {
        if let Some(constant) = &self.constants[slot] {
            return constant.clone();
        }
        self.reads[slot] = self.reads[slot].saturating_sub(1);
        let value = match self.reads[slot] {
            0 => self.computed[slot].take(),
            _ => self.computed[slot].clone(),
        };
        value.unwrap_or_else(|| panic!("value {slot} of a recording is read before it is computed"))
    }

    /// Returns a value that remains to be read.
    ///
    /// # Panics
    /// As [`read`](Self::read).
    pub fn peek(&self, slot: Slot) -> DispatchTensor {
        let value = self.constants[slot].as_ref().or(self.computed[slot].as_ref());
        value.cloned().unwrap_or_else(|| panic!("value {slot} of a recording is read before it is computed"))
    }

    /// Stores the output of an operator.
    pub fn write(&mut self, slot: Slot, value: DispatchTensor) {
        self.computed[slot] = Some(value);
    }

    /// Takes a value out, to replace it.
    pub fn take(&mut self, slot: Slot) -> Option<DispatchTensor> {
        self.computed[slot].take()
    }

    /// Returns a value that was read and not used.
    pub fn unread(&mut self, slot: Slot, value: DispatchTensor) {
        if self.constants[slot].is_none() {
            self.reads[slot] += 1;
            self.computed[slot] = Some(value);
        }
    }

    /// Reports whether a value is present.
    pub fn has(&self, slot: Slot) -> bool {
        self.constants[slot].is_some() || self.computed[slot].is_some()
    }
}
