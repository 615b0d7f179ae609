//! What a request is told of its charges that were undone, two of them to one key, because another
//! thread was faster at the last one.

use crate::{Clock, Limiter, ManualClock, Policy, PolicyStatus, Verdict};
use shuttle::thread;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: u64 = 5;

pub(super) fn scene() {
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
    let mut layers = [PolicyStatus::default(); 3];
    let charges = [wide.charge(1, 1), wide.charge(1, 2), narrow.charge(1, 1)];
    let verdict = limiter.check_with_status(&charges, &mut layers).verdict;
    let other = faster.join().expect("a thread has failed");
    assert!([verdict, other].contains(&Verdict::Allowed), "both were denied");
    let left = if verdict == Verdict::Allowed { LIMIT - 3 } else { LIMIT };
    assert_eq!([layers[0].remaining, layers[1].remaining], [left; 2], "{verdict:?}");
    assert_eq!([layers[0].violated, layers[1].violated], [false; 2]);
    assert_eq!(limiter.peek(&[wide.charge(1, 0)]).remaining, left);
}
