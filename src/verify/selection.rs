//! Selects the checks that a build runs. A build of the clean tree runs the checks that must hold. A
//! build of the mutated tree (`--cfg tollgate_mutants`) runs those that must catch a mutant. With
//! `TOLLGATE_MUTANT=name`, that mutant is switched on and the checks of the clean tree run; those that
//! fail have caught it.

/// The mutant that `TOLLGATE_MUTANT` names.
pub(crate) fn mutant_from_env() -> Option<&'static str> {
    let name = std::env::var("TOLLGATE_MUTANT").ok()?;
    if !cfg!(tollgate_mutants) {
        panic!("TOLLGATE_MUTANT is set, but this build has no mutants");
    }
    Some(name.leak())
}

/// Returns whether to run the checks that hold without a mutant: in the clean tree, or with the mutant of
/// `TOLLGATE_MUTANT`.
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
