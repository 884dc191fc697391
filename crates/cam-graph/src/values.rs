//! The values of one run: constants, shared by all runs, and what this run has computed and somebody still reads.

use burn::backend::DispatchTensor;

/// Where a value is, in each run of a program.
pub(crate) type Slot = usize;

/// The values of one run of a program.
pub(crate) struct Values<'a> {
    constants: &'a [Option<DispatchTensor>],
    computed: Vec<Option<DispatchTensor>>,
    /// How many reads of each slot are still to come.
    reads: Vec<u32>,
}

impl<'a> Values<'a> {
    /// No value but the constants.
    ///
    /// - reads: how often a run reads each slot
    pub fn new(constants: &'a [Option<DispatchTensor>], reads: &[u32]) -> Self {
        Self { constants, computed: vec![None; constants.len()], reads: reads.to_vec() }
    }

    /// Reads a value for an operator. Its last reader gets the only handle, so that the device may write in place.
    ///
    /// # Panics
    /// When nothing has computed it, which the order of a program rules out.
    pub fn read(&mut self, slot: Slot) -> DispatchTensor {
        if let Some(constant) = &self.constants[slot] {
            return constant.clone();
        }
        self.reads[slot] = self.reads[slot].saturating_sub(1);
        let value = match self.reads[slot] {
            0 => self.computed[slot].take(),
            _ => self.computed[slot].clone(),
        };
        value.unwrap_or_else(|| panic!("value {slot} of a recorded program is read before it is computed"))
    }

    /// Keeps what an operator computed.
    pub fn write(&mut self, slot: Slot, value: DispatchTensor) {
        self.computed[slot] = Some(value);
    }

    /// Takes a value out, to put another in its place.
    pub fn take(&mut self, slot: Slot) -> Option<DispatchTensor> {
        self.computed[slot].take()
    }

    /// Gives a value back that was read and not used.
    pub fn unread(&mut self, slot: Slot, value: DispatchTensor) {
        if self.constants[slot].is_none() {
            self.reads[slot] += 1;
            self.computed[slot] = Some(value);
        }
    }

    /// Whether a value is at hand.
    pub fn has(&self, slot: Slot) -> bool {
        self.constants[slot].is_some() || self.computed[slot].is_some()
    }
}
