//! Which limit a request is held to while `set_limit` changes it: one that stood during its call.

use super::linear::{Event, Rules};

/// What happened to a policy's limit.
#[derive(Clone, Debug)]
pub(super) enum Limit {
    Set(u64),
    Applied(u64),
}

/// The rules of a limit that may be changed.
pub(super) struct Limits {
    pub(super) first: u64,
}

impl Rules for Limits {
    type Step = Limit;
    type State = u64;

    fn first(&self) -> u64 {
        self.first
    }

    fn after(&self, state: &u64, event: &Event<Limit>) -> Vec<u64> {
        match &event.step {
            Limit::Set(limit) => vec![*limit],
            Limit::Applied(limit) if limit == state => vec![*state],
            Limit::Applied(_) => vec![],
        }
    }
}
