//! Errors of recording.

/// Why a forward pass cannot be recorded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The forward pass panicked while its operators were recorded.
    ///
    /// Nothing is computed during a recording, so a forward pass that reads data (`into_scalar`, `into_data`) cannot be recorded. Neither can
    /// one that makes tensors on another device than that of its input, or that computes outside of Burn. If panics abort, as in WebAssembly,
    /// the program ends and this error is never returned.
    #[error(
        "the forward pass cannot be recorded for an input of the shape {}: it panicked{} with: {message}. If that is about shapes, the \
                 module takes another input; the size and the channels of images are set by `preprocess`. \
                 Otherwise, remember that a recording computes nothing: a forward pass must not \
                 read the data of tensors, must make new tensors on the device of its input (`x.device()`), and must only use the weights of the \
                 recorded module. If it has to, name its layers by hand with `Taps`",
        .shapes.iter().map(|shape| format!("{shape:?}")).collect::<Vec<_>>().join(" and "),
        .location.as_ref().map_or_else(String::new, |location| format!(" at {location}"))
    )]
    Forward {
        /// The shapes of the tensors of the input.
        shapes: Vec<Vec<usize>>,
        /// The location, as `file:line:column`; `None` if the program caught the panic before.
        location: Option<String>,
        /// The panic message.
        message: String,
    },
    /// The forward pass uses an operator that is not in the table.
    #[error(
        "the forward pass uses the operator {operator}, which recordings do not support. Name its layers by hand with \
                 `Taps`, or request the operator"
    )]
    UnknownOperator {
        /// The name of the operator in Burn's intermediate representation.
        operator: String,
    },
    /// The output of the forward pass does not depend on its input.
    #[error("the output of the forward pass does not depend on its input, so there is nothing to explain")]
    ConstantOutput,
    /// The parameters of the module are on several devices.
    #[error("the parameters of the module are on several devices ({}): move it to one with `to_device`", .devices.join(", "))]
    Devices {
        /// The devices.
        devices: Vec<String>,
    },
    /// The forward pass returned an error: see [`record_fallible`](crate::record_fallible).
    #[error("{reason}")]
    Refused {
        /// The error.
        reason: String,
    },
    /// Burn's capture device reported an error.
    #[error("the forward pass cannot be recorded: {reason}")]
    Capture {
        /// The error of the device.
        reason: String,
    },
    /// The device does not compute in this precision.
    #[error("the device of the model does not compute in {precision}")]
    Precision {
        /// The precision asked for.
        precision: &'static str,
    },
}
