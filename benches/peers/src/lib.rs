//! The same work on tollgate and on its rivals, measured in one run.
//!
//! [`peers`] holds the limiters behind one trait, [`Peer`]; the programs in `src/bin` each measure
//! one kind of work on all of them:
//!
//! ```sh
//! cargo run --release -p tollgate-peers --bin growth
//! ```
//!
//! What is compared, and what is not: every limiter counts in its own way and promises something
//! else ([`Promises`]), and every program prints that under its figures.

mod chart;
mod contender;
mod cpu;
mod figures;
mod keys;
mod layered;
mod memory;
mod peer;
pub mod peers;
mod places;
pub mod report;
mod result;
mod rounds;
mod scene;
pub mod scenes;
mod stopwatch;
mod table;
pub mod tasks;
mod tour;
mod turns;
mod versions;
mod ways;

pub use chart::chart;
pub use contender::{Answers, Contender, Side, Work};
pub use figures::Figures;
pub use keys::{KeyKind, key};
pub use layered::Layered;
pub use memory::{Memory, huge_pages};
pub use peer::{Peer, Promises, Setting, Task};
pub use result::{Line, Outcome, Shown};
pub use rounds::{CHILD, Rounds};
pub use scene::{Aim, Beside, Goal, Scene};
pub use stopwatch::{QUANTILES, Stopwatch, clock_pair_ns};
pub use table::Table;
pub use tour::{Tour, shuffled, uniform, zipf};
pub use turns::{Pace, Turns};
pub use versions::version;
pub use ways::{BATCH, Own, Way, each, one_by_one};
