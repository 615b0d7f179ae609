//! Selects the checks that a build runs. A build of the clean tree runs the checks that must hold. A
//! build of the mutated tree (`--cfg tollgate_mutants`) runs those that must catch a mutant or, under
//! `TOLLGATE_MUTANT`, the checks that would hold without that mutant.

/// The mutant that `TOLLGATE_MUTANT` names. All checks that hold without it run under it, to show
/// which of them catch it.
pub(crate) fn mutant_from_env() -> Option<&'static str> {
    let name = std::env::var("TOLLGATE_MUTANT").ok()?;
    if !cfg!(tollgate_mutants) {
        panic!("TOLLGATE_MUTANT is set, but this build has no mutants");
    }
    Some(name.leak())
}

/// Returns whether to run the checks that must hold.
pub(crate) fn runs_clean_checks() -> bool {
    mutant_from_env().is_some() || !cfg!(tollgate_mutants)
}

/// Returns whether to run the checks that must catch a mutant.
pub(crate) fn runs_mutant_checks() -> bool {
    mutant_from_env().is_none() && cfg!(tollgate_mutants)
}

#[cfg(tollgate_mutants)]
pub(crate) use super::mutants::set as set_mutant;

#[cfg(not(tollgate_mutants))]
pub(crate) fn set_mutant(_: Option<&'static str>) {}
