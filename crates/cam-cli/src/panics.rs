//! Panics, of Burn or of ours: what Rust says of them is for `--verbose`, and a person is told one line.

use crate::failure::Failure;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

/// Keeps Rust's own text from people who have not asked for details.
pub fn hush() {
    set_hook(Box::new(|_| ()));
}

/// What work comes to; a panic is a failure like others.
pub fn caught<T>(
    work: impl FnOnce() -> Result<T, Failure>,
    failure: impl FnOnce(String) -> Failure,
) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(failure(said(&*panic))))
}

/// What a panic says.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panics".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_that_says_what_the_panic_says() {
        let told = |work: fn() -> Result<(), Failure>| caught(work, Failure::Unforeseen).unwrap_err().told();
        assert!(told(|| panic!("lost")).starts_with("something unforeseen: lost"));
        assert!(told(|| panic!("lost {}", 7)).starts_with("something unforeseen: lost 7"));
        assert_eq!(told(|| Err(Failure::Usage("no".into()))), "no");
        assert!(caught(|| Ok(7), Failure::Unforeseen).is_ok_and(|seven| seven == 7));
    }
}
