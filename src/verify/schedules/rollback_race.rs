//! A race between two requests for the last room of one policy. If the request of three charges
//! loses, it rolls back its two charges under the other policy. Its statuses must report the usage
//! after the rollback.

use crate::{Clock, Limiter, ManualClock, Policy, PolicyStatus, Verdict};
use shuttle::thread;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: u64 = 5;

pub(super) fn run() {
    let second = Duration::from_secs(1);
    let builder = Limiter::builder().clock(Clock::from(ManualClock::new())).max_keys(8);
    let wide = Policy::sliding("wide", LIMIT, second);
    let builder = builder.policy(wide).policy(Policy::sliding("narrow", 1, second));
    let limiter = Arc::new(builder.build().expect("a small limiter"));
    let [wide, narrow] = ["wide", "narrow"].map(|name| limiter.policy(name).expect("just added"));
    let faster = thread::spawn({
        let limiter = limiter.clone();
        move || limiter.check(&[narrow.charge(1, 1)]).verdict
    });
    let mut statuses = [PolicyStatus::default(); 3];
    let charges = [wide.charge(1, 1), wide.charge(1, 2), narrow.charge(1, 1)];
    let verdict = limiter.check_with_status(&charges, &mut statuses).verdict;
    let other = faster.join().expect("a thread has failed");
    assert!([verdict, other].contains(&Verdict::Allowed), "both were denied");
    let remaining = if verdict == Verdict::Allowed { LIMIT - 3 } else { LIMIT };
    assert_eq!([statuses[0].remaining, statuses[1].remaining], [remaining; 2], "{verdict:?}");
    assert_eq!([statuses[0].violated, statuses[1].violated], [false; 2]);
    assert_eq!(limiter.peek(&[wide.charge(1, 0)]).remaining, remaining);
}
