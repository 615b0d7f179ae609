//! Switches mutants on. `README.md` in this folder describes them.
//!
//! Only a build with `--cfg tollgate_mutants` has mutants. There a model or a schedule activates one
//! by its name, and in all other programs the environment variable `TOLLGATE_MUTANT` names it. In
//! every other build [`is_on`] is the constant `false` and leaves no trace in the compiled code. A
//! misspelt name activates nothing, so the check that must catch it fails.

#[cfg(all(tollgate_mutants, test, tollgate_model))]
mod switch {
    use std::cell::Cell;

    // All threads of a model run on one OS thread, so this holds one mutant per model.
    thread_local!(static ACTIVE: Cell<Option<&'static str>> = const { Cell::new(None) });

    pub(crate) fn set(mutant: Option<&'static str>) {
        ACTIVE.set(mutant);
    }

    pub(crate) fn is_on(mutant: &str) -> bool {
        ACTIVE.get() == Some(mutant)
    }
}

#[cfg(all(tollgate_mutants, test, tollgate_model))]
pub(crate) use switch::{is_on, set};

#[cfg(all(tollgate_mutants, not(all(test, tollgate_model))))]
mod process {
    use std::sync::LazyLock;

    static ACTIVE: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("TOLLGATE_MUTANT").ok());

    pub(crate) fn is_on(mutant: &str) -> bool {
        ACTIVE.as_deref() == Some(mutant)
    }
}

#[cfg(all(tollgate_mutants, not(all(test, tollgate_model))))]
pub(crate) use process::is_on;

/// Returns whether this mutant is active. Always false in builds without mutants.
#[cfg(not(tollgate_mutants))]
#[inline(always)]
pub(crate) const fn is_on(_: &str) -> bool {
    false
}
