//! Why a forward pass cannot be recorded.

/// Why a forward pass cannot be recorded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The forward pass panicked while its operators were recorded.
    ///
    /// Nothing is computed during a recording, so a forward pass that reads a number (`into_scalar`, `into_data`) and goes on by it
    /// cannot be recorded; neither can one that makes tensors on a device of its own choice instead of its input's, or computes outside
    /// Burn. Where panics abort, as in WebAssembly, the program ends with what it said, and this is never returned.
    #[error(
        "the forward pass cannot be recorded: it panicked{} with: {message}. A recording computes nothing, so a forward pass must not \
         read numbers of tensors to decide what to do, must make new tensors on the device of its input (`x.device()`), and must read no \
         weights but those of the module that is recorded. If it has to, name its layers by hand with `cam_core::Taps`",
        .place.as_ref().map_or_else(String::new, |place| format!(" at {place}"))
    )]
    Forward {
        /// Where, as `file:line:column`; unknown where the program caught the panic before.
        place: Option<String>,
        /// What the panic said.
        message: String,
    },
    /// The forward pass uses an operator that is not in the table.
    #[error(
        "the forward pass uses the operator {operator}, which cannot be run again from a recording. Name its layers by hand with \
         `cam_core::Taps`, or ask for the operator to be added"
    )]
    UnknownOperator {
        /// Its name, as in Burn's intermediate representation.
        operator: String,
    },
    /// The forward pass gives a value that does not depend on its input.
    #[error("the output of the forward pass does not depend on its input, so there is nothing to explain")]
    ConstantOutput,
    /// The parameters of the module are on several devices.
    #[error("the parameters of the module are on several devices ({}): move it to one with `to_device`", .devices.join(", "))]
    Devices {
        /// These.
        devices: Vec<String>,
    },
    /// Burn's capture device refused.
    #[error("the forward pass cannot be recorded: {reason}")]
    Capture {
        /// What it said.
        reason: String,
    },
}
