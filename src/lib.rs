//! A rate limiter core for servers to embed: *may this caller go on, and if not, when?*
//!
//! Work in progress: the contract follows.

mod breakage;
mod builder;
mod calendar;
mod charge;
mod clock;
mod counter;
mod decision;
mod error;
pub mod http;
mod key;
mod limiter;
mod meter;
#[cfg(all(test, tollgate_loom))]
mod models;
mod policy;
mod session;
mod sync;
mod table;

pub use builder::Builder;
pub use calendar::Period;
pub use charge::{Charge, MAX_CHARGES, PolicyId};
pub use clock::{Clock, CoarseClock, ManualClock, Now};
pub use decision::{Decision, Layer, Verdict};
pub use error::{ConfigError, MAX_LIMIT};
pub use key::Key;
pub use limiter::Limiter;
pub use policy::{MAX_WINDOW, MIN_WINDOW, Policy};
pub use session::Session;
