//! Expected panics, without their messages.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

// All threads of a model run on one OS thread.
thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });

/// Returns whether `check` panics. Prints no message.
pub(crate) fn panics(check: impl FnOnce()) -> bool {
    install_hook();
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(check));
    QUIET.set(false);
    outcome.is_err()
}

/// Returns whether a panic of this thread is expected.
#[cfg(tollgate_shuttle)]
pub(crate) fn is_quiet() -> bool {
    QUIET.get()
}

/// Installs a panic hook that prints nothing for expected panics.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                default_hook(info);
            }
        }));
    });
}
