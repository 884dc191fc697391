//! The commands, one file each: options, examples, and what is done.

use burn_cam::{AnyModel, Error, ErrorKind, Method, Reads, Target, applies};

pub mod bench;
pub mod card;
pub mod compare;
pub mod compare_models;
pub mod concepts;
pub mod demo;
pub mod evaluate;
pub mod explain;
pub mod guided;
pub mod list;
pub mod serve;
pub mod shell;
pub mod tune;

/// Returns whether a method runs the whole network many times, which lists of quick methods leave out.
fn runs_often(method: &dyn Method) -> bool {
    let info = method.info();
    info.cost.is_slow() && (info.needs.masked_inputs || info.needs.gradient_under_noise)
}

/// Returns why a method does not apply to a model; nothing when it does. A method that needs more of a network than a layer is tried with a
/// blank image.
fn why_not(
    model: &AnyModel,
    method: &'static dyn Method,
    layers: &[String],
    target: &dyn Target,
) -> Result<Option<Error>, Error> {
    let info = method.info();
    if matches!(info.reads, Reads::Layer | Reads::Input) && !info.needs.linear_head {
        return Ok(None);
    }
    match applies(model, method, layers, target) {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == ErrorKind::Method => Ok(Some(error)),
        Err(error) => Err(error),
    }
}
