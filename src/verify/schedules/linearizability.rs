//! A linearizability checker: the search of Wing and Gong, with memoization of visited states.
//!
//! An event may be linearized next if no other pending event returned before it was called. The
//! sequential specification then yields the possible next states. It yields several if it leaves a
//! choice open, such as which instant of the call counts.

use std::collections::HashSet;
use std::hash::Hash;

/// A sequential specification, which may be nondeterministic.
pub(super) trait Specification {
    type Step;
    type State: Clone + Eq + Hash;

    fn initial(&self) -> Self::State;

    /// All states that `event` may lead to with its answer. Empty if that answer is wrong in
    /// `state`.
    fn next_states(&self, state: &Self::State, event: &Event<Self::Step>) -> Vec<Self::State>;
}

/// One step, with the instants of the invocation and the response of its call.
#[derive(Clone, Debug)]
pub(super) struct Event<S> {
    pub(super) step: S,
    pub(super) called: u64,
    pub(super) returned: u64,
    /// The index of an event of the same call that comes before this one.
    pub(super) after: Option<usize>,
}

/// The greatest number of events in one search.
const MAX_EVENTS: usize = u128::BITS as usize;

/// Searches for a linearization of all events. `Err` is the greatest number of events that could be
/// linearized.
pub(super) fn linearize<R: Specification>(
    specification: &R,
    events: &[Event<R::Step>],
) -> Result<(), usize> {
    search(specification, events, true).map(drop)
}

/// The final states of all linearizations. `Err` is as in [`linearize`].
pub(super) fn final_states<R: Specification>(
    specification: &R,
    events: &[Event<R::Step>],
) -> Result<Vec<R::State>, usize> {
    search(specification, events, false)
}

/// The final states of linearizations: of the first one found, or of all.
fn search<R: Specification>(
    specification: &R,
    events: &[Event<R::Step>],
    first_only: bool,
) -> Result<Vec<R::State>, usize> {
    assert!(events.len() <= MAX_EVENTS, "{} events are too many for one search", events.len());
    let all = if events.len() == MAX_EVENTS { u128::MAX } else { (1 << events.len()) - 1 };
    let mut seen = HashSet::new();
    let mut pending = vec![(0_u128, specification.initial())];
    let (mut longest, mut finals) = (0, Vec::new());
    while let Some((linearized, state)) = pending.pop() {
        if linearized == all {
            finals.push(state);
            if first_only {
                break;
            }
            continue;
        }
        longest = longest.max(linearized.count_ones() as usize);
        let is_linearized = |index: usize| linearized & 1 << index != 0;
        let remaining = || events.iter().enumerate().filter(|(index, _)| !is_linearized(*index));
        let earliest_return =
            remaining().map(|(_, event)| event.returned).min().unwrap_or(u64::MAX);
        for (index, event) in remaining() {
            if event.called > earliest_return
                || event.after.is_some_and(|before| !is_linearized(before))
            {
                continue;
            }
            for next in specification.next_states(&state, event) {
                let next = (linearized | 1 << index, next);
                if seen.insert(next.clone()) {
                    pending.push(next);
                }
            }
        }
    }
    if finals.is_empty() { Err(longest) } else { Ok(finals) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register, which is written and read.
    struct Register;

    enum Access {
        Write(u32),
        Read(u32),
    }
    use Access::*;

    impl Specification for Register {
        type Step = Access;
        type State = u32;

        fn initial(&self) -> u32 {
            0
        }

        fn next_states(&self, state: &u32, event: &Event<Access>) -> Vec<u32> {
            match event.step {
                Write(value) => vec![value],
                Read(value) if value == *state => vec![value],
                Read(_) => vec![],
            }
        }
    }

    fn event(called: u64, returned: u64, step: Access) -> Event<Access> {
        Event { step, called, returned, after: None }
    }

    #[test]
    fn an_empty_history_is_linearizable() {
        assert_eq!(linearize(&Register, &[]), Ok(()));
    }

    #[test]
    fn a_read_during_a_write_may_see_either() {
        for seen in [0, 1] {
            let history = [event(1, 4, Write(1)), event(2, 3, Read(seen))];
            assert_eq!(linearize(&Register, &history), Ok(()));
        }
    }

    #[test]
    fn a_read_after_a_write_sees_it() {
        let history = [event(1, 2, Write(1)), event(3, 4, Read(0))];
        assert_eq!(linearize(&Register, &history), Err(1));
    }

    #[test]
    fn reads_do_not_go_back_to_an_older_value() {
        let history = [event(1, 9, Write(1)), event(2, 3, Read(1)), event(4, 5, Read(0))];
        assert_eq!(linearize(&Register, &history), Err(2));
        let history = [event(1, 9, Write(1)), event(2, 3, Read(0)), event(4, 5, Read(1))];
        assert_eq!(linearize(&Register, &history), Ok(()));
    }

    #[test]
    fn two_readers_agree_on_the_order_of_two_writes() {
        let history = |first: [u32; 2], second: [u32; 2]| {
            [
                event(1, 20, Write(1)),
                event(1, 20, Write(2)),
                event(2, 3, Read(first[0])),
                event(6, 7, Read(first[1])),
                event(4, 5, Read(second[0])),
                event(8, 9, Read(second[1])),
            ]
        };
        assert_eq!(linearize(&Register, &history([1, 2], [1, 2])), Ok(()));
        assert!(linearize(&Register, &history([1, 2], [2, 1])).is_err());
    }

    #[test]
    fn parts_of_one_call_keep_their_order() {
        let mut history = [event(1, 9, Write(1)), event(1, 9, Write(2)), event(10, 11, Read(1))];
        assert_eq!(linearize(&Register, &history), Ok(()));
        history[1].after = Some(0);
        assert!(linearize(&Register, &history).is_err());
    }

    /// Without memoization this search would take years.
    #[test]
    fn many_concurrent_events_are_searched_once() {
        let mut history: Vec<_> = (0..18).map(|_| event(1, 2, Write(1))).collect();
        history.push(event(3, 4, Read(2)));
        assert_eq!(linearize(&Register, &history), Err(18));
    }
}
