//! Reclamation: arrays are freed while other threads read them. The layouts with movers explore that. The
//! races here need pins that single calls do not have.

use super::Scheduler::Priorities;
use super::layout::WINDOW;
use super::{LAYERS, MOVERS, WINDOWS, assert_caught, assert_race_caught, assert_race_holds};
use crate::reclaim;
use crate::{Limiter, ManualClock, Now, Policy, PolicyId, Session};
use shuttle::thread;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

const START: u64 = 10 * WINDOW;

fn limiter() -> (Arc<Limiter>, PolicyId) {
    let policy = Policy::sliding("p", 4, Duration::from_nanos(WINDOW)).max_keys(1);
    let builder = Limiter::builder().policy(policy).clock(ManualClock::new()).seed([1, 2, 3, 4]);
    let limiter = builder.build().expect("a small limiter");
    let policy = limiter.policy("p").expect("its policy");
    (Arc::new(limiter), policy)
}

fn session(limiter: &Limiter) -> Session<'_> {
    limiter.session_at(Now::from_unix_nanos(START))
}

fn check(limiter: &Limiter, policy: PolicyId) {
    assert!(session(limiter).check(&[policy.charge("k", 1)]).is_allowed(), "room for four");
}

/// Replaces the array this many times. Frees what can be freed after each time.
fn replace_arrays(limiter: &Limiter, policy: PolicyId, times: usize) {
    for _ in 0..times {
        limiter.start_renewal(policy, Now::from_unix_nanos(START));
        while !limiter.help_once(policy, Now::from_unix_nanos(START)) {}
        reclaim::collect(4);
    }
}

/// A session protects its reads also after another session of its thread has ended.
fn read_after_nested_session() {
    let (limiter, policy) = limiter();
    let freeing = {
        let limiter = limiter.clone();
        thread::spawn(move || replace_arrays(&limiter, policy, 2))
    };
    let outer = session(&limiter);
    check(&limiter, policy);
    assert!(outer.check(&[policy.charge("k", 1)]).is_allowed(), "room for four");
    drop(outer);
    freeing.join().expect("a thread has failed");
}

#[test]
fn nested_sessions() {
    assert_race_holds("nested sessions", 2_000, read_after_nested_session);
    let mutant = "NestedUnpins";
    assert_race_caught("nested sessions", mutant, Priorities, 20_000, read_after_nested_session);
}

/// Charges twice when its thread ends, after the thread has given its record back: in a session that
/// pins that record, and in one that pins the shared record.
struct ChargeAtEnd {
    policy: PolicyId,
    /// Dropped before the limiter.
    session: Option<Session<'static>>,
    limiter: Arc<Limiter>,
}

impl Drop for ChargeAtEnd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The schedule has failed.
            return;
        }
        let session = self.session.take().expect("dropped once");
        assert!(session.check(&[self.policy.charge("k", 1)]).is_allowed(), "room for four");
        drop(session);
        check(&self.limiter, self.policy);
    }
}

shuttle::thread_local! {
    static AT_END: RefCell<Option<ChargeAtEnd>> = RefCell::new(None);
}

/// A thread ends while it has a session. Another thread may reuse its record.
fn charge_at_end() {
    let (limiter, policy) = limiter();
    // This thread has one of the two records.
    check(&limiter, policy);
    let ending = {
        let limiter = limiter.clone();
        thread::spawn(move || {
            // SAFETY: `ChargeAtEnd` keeps the limiter for longer than the session.
            let session = session(unsafe { &*Arc::as_ptr(&limiter) });
            // Initialized after the thread's record was taken, and so dropped after it is given back.
            AT_END.with(|at_end| {
                at_end.replace(Some(ChargeAtEnd { policy, session: Some(session), limiter }));
            });
        })
    };
    let charging = {
        let limiter = limiter.clone();
        thread::spawn(move || check(&limiter, policy))
    };
    replace_arrays(&limiter, policy, 2);
    [ending, charging].into_iter().for_each(|thread| thread.join().expect("a thread has failed"));
}

#[test]
fn charges_at_end() {
    assert_race_holds("charge at end", 4_000, charge_at_end);
    assert_race_caught("charge at end", "EndedUnpins", Priorities, 20_000, charge_at_end);
    assert_race_caught("charge at end", "SharedIgnored", Priorities, 20_000, charge_at_end);
}

/// PCT finds them: a reader must stop for as long as other threads free what it reads.
#[test]
fn mutants_of_reclamation_are_caught() {
    for mutant in ["FreedAtOnce", "FreedEarly", "HeldIgnored", "LastRecordSkipped", "SharedIgnored"]
    {
        assert_caught(&WINDOWS, mutant, Priorities, 10_000);
        assert_caught(&MOVERS, mutant, Priorities, 10_000);
    }
    assert_caught(&MOVERS, "OwnedTwice", Priorities, 10_000);
    assert_caught(&MOVERS, "UnlinkStores", Priorities, 10_000);
    assert_caught(&LAYERS, "RestLost", Priorities, 10_000);
}
