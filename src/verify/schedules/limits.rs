//! The sequential specification of a policy's limit while `set_limit` changes it. A request must
//! apply a limit that was in force at some instant of its call.

use super::linearizability::{Event, Specification};

/// An access to a policy's limit.
#[derive(Clone, Debug)]
pub(super) enum LimitAccess {
    Set(u64),
    Applied(u64),
}

/// The specification of a limit that may be changed.
pub(super) struct LimitRegister {
    pub(super) initial: u64,
}

impl Specification for LimitRegister {
    type Step = LimitAccess;
    type State = u64;

    fn initial(&self) -> u64 {
        self.initial
    }

    fn next_states(&self, state: &u64, event: &Event<LimitAccess>) -> Vec<u64> {
        match &event.step {
            LimitAccess::Set(limit) => vec![*limit],
            LimitAccess::Applied(limit) if limit == state => vec![*state],
            LimitAccess::Applied(_) => vec![],
        }
    }
}
