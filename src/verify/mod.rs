//! Checkers of the concurrent code: loom models, random schedules, and the mutants that both must
//! catch.

#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
mod models;
pub(crate) mod mutants;
pub(crate) mod path;
#[cfg(all(test, tollgate_model))]
mod quiet;
#[cfg(all(test, tollgate_shuttle))]
mod schedules;
#[cfg(all(test, tollgate_model))]
mod selection;
