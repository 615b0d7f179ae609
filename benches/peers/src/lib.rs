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

mod figures;
mod keys;
mod memory;
mod peer;
pub mod peers;
mod rounds;
mod stopwatch;
mod table;
mod versions;

pub use figures::Figures;
pub use keys::key;
pub use memory::{Memory, huge_pages};
pub use peer::{Peer, Promises, Setting, Work};
pub use rounds::{CHILD, Rounds};
pub use stopwatch::{QUANTILES, Stopwatch, clock_pair_ns};
pub use table::Table;
pub use versions::version;
