//! The panic guard: no panic unwinds into C.

use crate::status::tollgate_status::{self, TOLLGATE_E_PANIC};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the body of a function that can fail. A panic, which is a bug of this library, becomes a
/// status. The limiter stays sound: its state is atomic.
#[inline(always)]
pub(crate) fn guard(
    body: impl FnOnce() -> Result<tollgate_status, tollgate_status>,
) -> tollgate_status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status) | Err(status)) => status,
        Err(payload) => caught(payload),
    }
}

#[cold]
fn caught(payload: Box<dyn Any + Send>) -> tollgate_status {
    // Dropping the payload may panic as well. Leak the second payload.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
    TOLLGATE_E_PANIC
}

/// Panics inside the library and returns `TOLLGATE_E_PANIC`. Only in builds with the feature
/// `test-panic`.
#[cfg(feature = "test-panic")]
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_test_panic() -> tollgate_status {
    guard(|| panic!("a panic for a test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status() {
        struct PanicsOnDrop;
        impl Drop for PanicsOnDrop {
            fn drop(&mut self) {
                panic!("a second panic");
            }
        }
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let status = guard(|| std::panic::panic_any(PanicsOnDrop));
        std::panic::set_hook(hook);
        assert_eq!(status, TOLLGATE_E_PANIC);
        assert_eq!(
            guard(|| Err(tollgate_status::TOLLGATE_E_NULL)),
            tollgate_status::TOLLGATE_E_NULL
        );
    }
}
