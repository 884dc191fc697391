//! Errors of reading and running ONNX files.

use std::path::PathBuf;

/// Why an ONNX file cannot be read or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The bytes are no ONNX model.
    #[error("it is no ONNX model: {reason}")]
    Format {
        /// What is wrong.
        reason: String,
    },
    /// The model has operators that this crate does not know.
    #[error("the model has operators that are not supported: {}", list(.operators))]
    UnknownOperators {
        /// Each operator with the names of its nodes.
        operators: Vec<(String, Vec<String>)>,
    },
    /// A tensor of the file cannot be read.
    #[error("tensor `{}`: {reason}", .name.escape_debug())]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An operator cannot be computed.
    #[error("node `{}` ({operator}): {reason}", .node.escape_debug())]
    Operator {
        /// The name of the node.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong.
        reason: String,
    },
    /// The inputs or outputs of the model are not those that are asked for.
    #[error("{reason}")]
    Signature {
        /// What is there and what was asked for.
        reason: String,
    },
}

/// Lists operators, with at most three nodes of each.
fn list(operators: &[(String, Vec<String>)]) -> String {
    let one = |(operator, nodes): &(String, Vec<String>)| {
        let shown: Vec<String> =
            nodes.iter().take(3).map(|name| format!("`{}`", name.escape_debug())).collect();
        let more = if nodes.len() > 3 { format!(" and {} more", nodes.len() - 3) } else { String::new() };
        format!("{} at {}{more}", operator.escape_debug(), shown.join(", "))
    };
    operators.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What is wrong with one operator or tensor.
pub(crate) type Reason = String;
