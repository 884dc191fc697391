//! Panics of Burn or of this tool: what Rust prints about them is for `--verbose`, and people see one line.

use crate::report::failure::Failure;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

/// Keeps Rust from printing panics.
pub fn silence_panics() {
    set_hook(Box::new(|_| ()));
}

/// Returns what work returns; a panic is a failure like others.
pub fn caught<T>(
    work: impl FnOnce() -> Result<T, Failure>,
    failure: impl FnOnce(String) -> Failure,
) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(failure(message(&*panic))))
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_the_message_of_the_panic() {
        let message =
            |work: fn() -> Result<(), Failure>| caught(work, Failure::Internal).unwrap_err().message();
        assert!(message(|| panic!("lost")).starts_with("internal error: lost"));
        assert!(message(|| panic!("lost {}", 7)).starts_with("internal error: lost 7"));
        assert_eq!(message(|| Err(Failure::Usage("no".into()))), "no");
        assert!(caught(|| Ok(7), Failure::Internal).is_ok_and(|seven| seven == 7));
    }
}
