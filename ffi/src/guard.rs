//! Where a panic stops: it never unwinds into C.

use crate::status::tollgate_status::{self, TOLLGATE_E_PANIC};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The body of every function that can fail. A panic, which would be a fault of this library, is an
/// error like another one; what it had touched is atomic and stays sound.
#[inline(always)]
pub(crate) fn guard(
    body: impl FnOnce() -> Result<tollgate_status, tollgate_status>,
) -> tollgate_status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status) | Err(status)) => status,
        Err(cause) => caught(cause),
    }
}

#[cold]
fn caught(cause: Box<dyn Any + Send>) -> tollgate_status {
    // The cause may panic as well when it is dropped; what it panics with is not looked at.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(cause))) {
        std::mem::forget(again);
    }
    TOLLGATE_E_PANIC
}

/// Panics, and answers `TOLLGATE_E_PANIC`. Only in builds with the feature `test-panic`.
#[cfg(feature = "test-panic")]
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_test_panic() -> tollgate_status {
    guard(|| panic!("as asked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_status() {
        struct Spiteful;
        impl Drop for Spiteful {
            fn drop(&mut self) {
                panic!("once more");
            }
        }
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let status = guard(|| std::panic::panic_any(Spiteful));
        std::panic::set_hook(quiet);
        assert_eq!(status, TOLLGATE_E_PANIC);
        assert_eq!(
            guard(|| Err(tollgate_status::TOLLGATE_E_NULL)),
            tollgate_status::TOLLGATE_E_NULL
        );
    }
}
