//! The unsafe code of this crate: what C passes by pointers, made values of Rust.
//!
//! What C has to keep is said in `cam.h` for all functions at once: a pointer is NULL where that is allowed, or points to what its type
//! says, which stays there and does not change during the call.

use crate::{Code, Failure};
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A caller in C, who keeps what `cam.h` says.
#[derive(Clone, Copy)]
pub(crate) struct Caller(());

impl Caller {
    /// Trusts the caller for the time of the call.
    ///
    /// # Safety
    /// The pointers that are given to the functions below come from the caller, and are as `cam.h` says.
    pub unsafe fn new() -> Self {
        Self(())
    }

    /// Returns what a pointer points to.
    ///
    /// # Errors
    /// [`Code::Argument`] for NULL.
    pub fn get<'a, T>(self, pointer: *const T, name: &str) -> Result<&'a T, Failure> {
        // SAFETY: it is NULL or points to a `T`, for the time of the call.
        unsafe { pointer.as_ref() }.ok_or_else(|| Failure::null(name))
    }

    /// Returns the elements that a pointer points to.
    ///
    /// # Errors
    /// [`Code::Argument`] for NULL.
    pub fn list<'a, T>(self, pointer: *const T, length: usize, name: &str) -> Result<&'a [T], Failure> {
        self.get(pointer, name)?;
        // SAFETY: it points to `length` elements, for the time of the call.
        Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
    }

    /// Returns the elements that a pointer points to, to be written.
    ///
    /// # Errors
    /// [`Code::Argument`] for NULL.
    pub fn list_mut<'a, T>(self, pointer: *mut T, length: usize, name: &str) -> Result<&'a mut [T], Failure> {
        self.get(pointer, name)?;
        // SAFETY: it points to `length` elements, which nothing else reads or writes during the call.
        Ok(unsafe { std::slice::from_raw_parts_mut(pointer, length) })
    }

    /// Returns a string; `None` for NULL.
    ///
    /// # Errors
    /// [`Code::Argument`] for a string that is not UTF-8.
    pub fn string<'a>(self, pointer: *const c_char, name: &str) -> Result<Option<&'a str>, Failure> {
        if pointer.is_null() {
            return Ok(None);
        }
        // SAFETY: it is not NULL, and points to a string that ends with a zero.
        let string = unsafe { CStr::from_ptr(pointer) };
        let not_utf8 = |_| Failure { code: Code::Argument, text: format!("`{name}` is not UTF-8") };
        string.to_str().map(Some).map_err(not_utf8)
    }

    /// Gives a value to C, which frees it by [`free`].
    ///
    /// # Errors
    /// [`Code::Argument`] for NULL.
    pub fn put<T>(self, place: *mut *mut T, value: T, name: &str) -> Result<(), Failure> {
        self.list_mut(place, 1, name)?[0] = Box::into_raw(Box::new(value));
        Ok(())
    }

    /// Frees a value that [`put`](Self::put) gave; nothing for NULL.
    pub fn free<T>(self, value: *mut T) {
        if !value.is_null() {
            // SAFETY: it came from `put`, and C frees it once.
            drop(unsafe { Box::from_raw(value) });
        }
    }

    /// Runs a function for C: no panic gets there, and the text of a failure goes into the buffer.
    pub fn run(
        self,
        text: *mut c_char,
        length: usize,
        function: impl FnOnce() -> Result<(), Failure>,
    ) -> Code {
        let panicked = |panic: Box<dyn std::any::Any + Send>| {
            let said = panic.downcast_ref::<&str>().map(ToString::to_string);
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(Failure { code: Code::Panic, text: format!("a fault of this library: {said}") })
        };
        let failure = match catch_unwind(AssertUnwindSafe(function)).unwrap_or_else(panicked) {
            Ok(()) => Failure { code: Code::Ok, text: String::new() },
            Err(failure) => failure,
        };
        if let (Ok(buffer), true) = (self.list_mut(text.cast::<u8>(), length, "text"), length > 0) {
            let mut end = failure.text.len().min(length - 1);
            while !failure.text.is_char_boundary(end) {
                end -= 1;
            }
            buffer[..end].copy_from_slice(&failure.text.as_bytes()[..end]);
            buffer[end] = 0;
        }
        failure.code
    }
}
