//! A rate limiter core for servers to embed: *may this caller go on, and if not, when?*
//!
//! A server that is about to spend money asks [`Limiter::check`]; the answer takes nanoseconds, no
//! lock and no memory. Limits are laid in layers, and a request is charged under all of them or
//! under none:
//!
//! ```
//! use std::{net::IpAddr, time::Duration};
//! use tollgate::{Limiter, Period, Policy};
//!
//! let minute = Duration::from_secs(60);
//! let limiter = Limiter::builder()
//!     .policy(Policy::sliding("ip", 100, minute))
//!     .policy(Policy::sliding("user", 20, minute))
//!     .policy(Policy::calendar("tokens", 10_000, Period::Day))
//!     .max_keys(100_000)
//!     .build()?;
//! let [ip, user, tokens] = ["ip", "user", "tokens"].map(|name| limiter.policy(name).unwrap());
//!
//! let address: IpAddr = "192.0.2.1".parse().unwrap();
//! let decision =
//!     limiter.check(&[ip.charge(address, 1), user.charge("alice", 1), tokens.charge("alice", 512)]);
//! if let Some(wait) = decision.retry_after() {
//!     println!("429, Retry-After: {}", tollgate::http::retry_after_seconds(wait));
//! }
//! # assert!(decision.is_allowed());
//! # Ok::<(), tollgate::ConfigError>(())
//! ```
//!
//! # The contract
//!
//! - **A. Never over.** The cost admitted to a key in any interval of its window's length is at
//!   most the limit: on recorded times, at every interleaving of any number of threads. A charge
//!   counts at `now` iff `now - t < window`, so waiting exactly
//!   [`retry_after`](Decision::retry_after) succeeds. Recorded times are clock readings, cut to the
//!   policy's [`resolution`](Limiter::resolution); a reading that lies before the key's newest
//!   charge counts as that charge's time.
//! - **B. Exact where promised.** A sliding policy with a limit up to 127 decides as a log of all
//!   admitted charges would, with the same `retry_after`. A policy with a greater limit counts in
//!   [`buckets`](Policy::buckets): it may deny early, never late, and a bucket's charges expire
//!   together, less than one bucket's span after the first of them would. After a
//!   [`refund`](Session::refund), a [`force_charge`](Session::force_charge) or a layered request that
//!   lost a race an exact policy may hold a charge longer than the log would, never shorter.
//! - **C. All or nothing.** A request is charged under all its policies or under none. A denial
//!   names the first policy without room and the longest wait over all of them. A
//!   [`Reservation`] is never charged less than what was reserved until it is settled, and exactly
//!   what it has cost then, as far as its windows and periods have not passed.
//! - **D. Lock-free.** No thread waits for another. A thread that is stopped or killed anywhere
//!   leaves nothing to repair.
//! - **E. No allocation per request** about a known key. New keys make a table grow: now and then
//!   one of them allocates the next array, and each of the following moves a small chunk into it.
//! - **F. Bounded memory.** Memory follows the live keys, up to [`max_keys`](Builder::max_keys) a
//!   policy: at most two arrays, of 16/15 of a slot for each key that they have room for, and those
//!   that a [`Session`] of before or a thread that is stopped within a call still holds, or that
//!   are on their way back to the system. It goes back when keys go idle, as new ones come, or by
//!   [`Limiter::maintain`]. At the bound expired keys make room for new ones once they are an
//!   eighth of all, or when two windows have passed since they last did; a sample tells, at most
//!   every 64th of a window, or once in a calendar period. Until then new keys meet the policy's
//!   [`Overflow`]. Known keys are served as ever, but for those that [`Overflow::EvictLightest`]
//!   may forgive a stated allowance.
//! - **G. Calendar budgets.** `used + cost <= limit` in each UTC hour, day or month, with an
//!   optional fixed offset: exact, without a reset job. A wall clock that steps back over midnight
//!   reopens nothing.
//! - **H. Bad input** is a typed [`ConfigError`] when the limiter is built. A cost above the
//!   limit is [`Verdict::Impossible`]. Nothing on the request's way panics, and no arithmetic
//!   wraps.
//!
//! # What it does not promise
//!
//! - Two keys of one policy whose 64-bit hashes are equal share a counter: see [`Key`].
//! - A request over several layers may be denied because another one holds a layer for an instant
//!   before it is undone: see [`Session::check`].
//! - Denials are decided on a state that was true at some instant of the call, which other threads
//!   may have left when it returns.
//! - Clocks are taken as they are. A reading that is ahead by mistake may renew a table (when it is
//!   full, or past three quarters of its time field: days to years by policy, but milliseconds for
//!   the greatest limits in the shortest windows), and no earlier reading counts in that table from
//!   then on. A wall clock that was ahead leaves the budgets that were used meanwhile, or whose
//!   table was renewed, in that later period until it comes.
//! - A request that loses a race is undone charge by charge. Where refunds had left holes and
//!   others have charged the key since, part of a charge may not be found, and counts until it
//!   expires.
//! - Without memory for a new array a table goes on with the old one: it refuses new keys when
//!   that is full, and all at the end of its time field, with [`Verdict::TableFull`]; every 256th
//!   new key tries again. Two kinds of small allocations are `crossbeam-epoch`'s, and the process
//!   ends, as everywhere in the standard library, where they fail: a record at a thread's first
//!   session (2 KiB, and as much again once in a process), and a bag when a replaced array, or a
//!   piece of it, is retired (2 KiB).
//!
//! # The way of a request
//!
//! [`Limiter`] -> [`Session`] -> request (several charges: layers -> offers -> request) -> meter (one
//! policy at work) -> table (from a key to its slot) -> counter (ring or quota) -> word. Each knows
//! only those behind it.

// The hooks of loom's models have no use under shuttle.
#![cfg_attr(tollgate_shuttle, allow(dead_code))]

mod builder;
mod charge;
mod clock;
mod counter;
mod decision;
mod engine;
mod error;
pub mod http;
mod key;
mod limiter;
mod policy;
mod request;
mod session;
mod stats;
mod sync;
mod table;
mod verify;

pub use builder::Builder;
pub use charge::{Charge, MAX_CHARGES, PolicyId};
pub use clock::{Clock, CoarseClock, ManualClock, Now};
pub use decision::{Decision, PolicyStatus, Verdict};
pub use error::{ConfigError, MAX_LIMIT, UnknownPolicy};
pub use key::Key;
pub use limiter::Limiter;
pub use policy::calendar::Period;
pub use policy::overflow::Overflow;
pub use policy::token_price::TokenPrice;
pub use policy::{MAX_WINDOW, MIN_WINDOW, Policy};
pub use request::reservation::{MAX_RESERVED, Reservation, ReservationError};
pub use session::Session;
pub use stats::Stats;
#[cfg(all(debug_assertions, not(all(test, tollgate_model))))]
#[doc(hidden)]
pub use sync::failed_exchanges;

/// Compiles and runs the README's program.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
