//! Is there an order of what happened in which each answer is right? The search of Wing and Gong,
//! which remembers where it has been.
//!
//! An event may be placed next if no other event that is still to be placed had returned before it
//! was called. The rules of a specification then tell what may be true after it; a rule that leaves
//! a choice open (which instant of the call counted, say) gives several states.

use std::collections::HashSet;
use std::hash::Hash;

/// What each event may do, one after the other.
pub(super) trait Rules {
    type Step;
    type State: Clone + Eq + Hash;

    fn first(&self) -> Self::State;

    /// All states that `event` may lead to, answered as it was; none if that answer is wrong there.
    fn after(&self, state: &Self::State, event: &Event<Self::Step>) -> Vec<Self::State>;
}

/// One step with the instants between which it took effect.
#[derive(Clone, Debug)]
pub(super) struct Event<S> {
    pub(super) step: S,
    pub(super) called: u64,
    pub(super) returned: u64,
    /// An event of the same call that comes before this one.
    pub(super) behind: Option<usize>,
}

/// No more events than this fit one search.
const MOST: usize = u128::BITS as usize;

/// Searches for an order that explains every answer. `Err` is the greatest number of events that
/// any order could explain.
pub(super) fn explain<R: Rules>(rules: &R, events: &[Event<R::Step>]) -> Result<(), usize> {
    search(rules, events, true).map(drop)
}

/// All states that an order which explains every answer may end in. `Err` as of [`explain`].
pub(super) fn outcomes<R: Rules>(
    rules: &R,
    events: &[Event<R::Step>],
) -> Result<Vec<R::State>, usize> {
    search(rules, events, false)
}

/// The states that explanations end in: one is enough, or all.
fn search<R: Rules>(
    rules: &R,
    events: &[Event<R::Step>],
    one: bool,
) -> Result<Vec<R::State>, usize> {
    assert!(events.len() <= MOST, "{} events are too many for one search", events.len());
    let all = if events.len() == MOST { u128::MAX } else { (1 << events.len()) - 1 };
    let mut seen = HashSet::new();
    let mut open = vec![(0_u128, rules.first())];
    let (mut furthest, mut ends) = (0, Vec::new());
    while let Some((placed, state)) = open.pop() {
        if placed == all {
            ends.push(state);
            if one {
                break;
            }
            continue;
        }
        furthest = furthest.max(placed.count_ones() as usize);
        let is_placed = |place: usize| placed & 1 << place != 0;
        let waiting = || events.iter().enumerate().filter(|(place, _)| !is_placed(*place));
        let horizon = waiting().map(|(_, event)| event.returned).min().unwrap_or(u64::MAX);
        for (place, event) in waiting() {
            if event.called > horizon || event.behind.is_some_and(|before| !is_placed(before)) {
                continue;
            }
            for next in rules.after(&state, event) {
                let next = (placed | 1 << place, next);
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
    }
    if ends.is_empty() { Err(furthest) } else { Ok(ends) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that is written and read.
    struct Register;

    enum Access {
        Write(u32),
        Read(u32),
    }
    use Access::*;

    impl Rules for Register {
        type Step = Access;
        type State = u32;

        fn first(&self) -> u32 {
            0
        }

        fn after(&self, state: &u32, event: &Event<Access>) -> Vec<u32> {
            match event.step {
                Write(value) => vec![value],
                Read(value) if value == *state => vec![value],
                Read(_) => vec![],
            }
        }
    }

    fn event(called: u64, returned: u64, step: Access) -> Event<Access> {
        Event { step, called, returned, behind: None }
    }

    #[test]
    fn nothing_is_explained() {
        assert_eq!(explain(&Register, &[]), Ok(()));
    }

    #[test]
    fn a_read_during_a_write_may_see_either() {
        for seen in [0, 1] {
            let history = [event(1, 4, Write(1)), event(2, 3, Read(seen))];
            assert_eq!(explain(&Register, &history), Ok(()));
        }
    }

    #[test]
    fn a_read_after_a_write_sees_it() {
        let history = [event(1, 2, Write(1)), event(3, 4, Read(0))];
        assert_eq!(explain(&Register, &history), Err(1));
    }

    #[test]
    fn what_was_seen_is_not_unseen() {
        let history = [event(1, 9, Write(1)), event(2, 3, Read(1)), event(4, 5, Read(0))];
        assert_eq!(explain(&Register, &history), Err(2));
        let history = [event(1, 9, Write(1)), event(2, 3, Read(0)), event(4, 5, Read(1))];
        assert_eq!(explain(&Register, &history), Ok(()));
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
        assert_eq!(explain(&Register, &history([1, 2], [1, 2])), Ok(()));
        assert!(explain(&Register, &history([1, 2], [2, 1])).is_err());
    }

    #[test]
    fn parts_of_one_call_keep_their_order() {
        let mut history = [event(1, 9, Write(1)), event(1, 9, Write(2)), event(10, 11, Read(1))];
        assert_eq!(explain(&Register, &history), Ok(()));
        history[1].behind = Some(0);
        assert!(explain(&Register, &history).is_err());
    }

    /// Without the memory of where it has been the search would take years.
    #[test]
    fn many_events_at_once_are_searched_once() {
        let mut history: Vec<_> = (0..18).map(|_| event(1, 2, Write(1))).collect();
        history.push(event(3, 4, Read(2)));
        assert_eq!(explain(&Register, &history), Err(18));
    }
}
