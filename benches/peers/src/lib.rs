//! Benchmarks of tollgate and its rivals on the same work, in one run.
//!
//! [`peers`] contains the limiters, all of which implement [`Peer`]. Each program in `src/bin` compares
//! several of them:
//!
//! ```sh
//! cargo run --release -p tollgate-peers --bin growth
//! ```
//!
//! The limiters count in different ways and give different guarantees ([`Guarantees`]). Each program
//! prints them below its figures.

mod chart;
mod contender;
mod cpu;
mod entry_points;
mod figures;
mod key_sequence;
mod keys;
mod layered;
mod memory;
mod peer;
pub mod peers;
pub mod report;
mod result;
mod rounds;
mod scenario;
pub mod scenarios;
mod stopwatch;
mod table;
pub mod tasks;
mod turns;
mod versions;

pub use chart::chart;
pub use contender::{Contender, Expected, Side, Work};
pub use entry_points::{BATCH, EntryPoint, OwnLimiter, each, one_by_one};
pub use figures::Figures;
pub use key_sequence::{KeySequence, shuffled, uniform, zipf};
pub use keys::{KeyKind, key};
pub use layered::Layered;
pub use memory::{Memory, huge_pages};
pub use peer::{Guarantees, Peer, Setting, Task};
pub use result::{ContenderResult, Outcome, TargetResult};
pub use rounds::{CHILD, Rounds};
pub use scenario::{Goal, Reference, Scenario, Target};
pub use stopwatch::{QUANTILES, Stopwatch, clock_pair_ns};
pub use table::Table;
pub use turns::{Pace, Turns};
pub use versions::version;
