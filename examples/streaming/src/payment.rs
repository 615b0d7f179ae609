//! The payment of one stream: reserved in steps and settled once, however the stream ends.

use crate::gate::Gate;
use crate::refusal::Refusal;
use serde::Serialize;
use std::sync::Arc;
use tollgate::{PolicyStatus, Reservation, http};

/// Tokens reserved at a time.
///
/// A small step blocks little of the budget for the user's other streams; a large step calls the
/// limiter less often. A stream stops as soon as there is no room for a whole step, so less than
/// one step remains unused. Tokens count from the time of their reservation: a slow model may send
/// up to one step of tokens after their minute has passed.
pub const STEP: u64 = 64;

/// The reserved and sent tokens of one stream.
///
/// Dropping a [`Reservation`] does nothing: it is plain data without a reference to the limiter,
/// and the actual cost is unknown. A refund of everything would make a response free if its reader
/// hangs up just before the end, so a dropped reservation stays charged. The server knows how many
/// tokens it has sent. This guard settles with that number when it is dropped: at the end of the
/// stream, at a hang-up (the server drops the response's body, which contains the guard), and when
/// a task panics.
#[derive(Debug)]
pub struct Payment {
    gate: Arc<Gate>,
    reservation: Reservation,
    prompt_tokens: u64,
    /// Output tokens that are reserved.
    reserved: u64,
    /// Output tokens passed to the connection, at most `reserved`.
    sent: u64,
    max_tokens: u64,
}

/// The reason for an early end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// The first policy that has no room for another step.
    pub policy: &'static str,
    /// Whole seconds until there is room, if the user spends nothing in between; absent if no wait
    /// helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Payment {
    /// Reserves one request, its prompt and the first step of its output.
    ///
    /// # Errors
    /// If any policy has no room. Nothing is charged then.
    pub fn reserve(
        gate: &Arc<Gate>,
        user: &str,
        prompt_tokens: u64,
        max_tokens: u64,
    ) -> Result<Self, Box<Refusal>> {
        let reserved = max_tokens.min(STEP);
        let charges = gate.charges(user, gate.amounts(prompt_tokens, reserved));
        let mut statuses = [PolicyStatus::default(); 3];
        match gate.limiter.reserve_with_status(&charges, &mut statuses) {
            Ok(reservation) => {
                let gate = Arc::clone(gate);
                Ok(Payment { gate, reservation, prompt_tokens, reserved, sent: 0, max_tokens })
            }
            Err(decision) => Err(Box::new(Refusal::new(gate, decision, &statuses))),
        }
    }

    /// Reserves the next step if the reserved tokens are used up.
    ///
    /// # Errors
    /// If a policy has no room for another step. Nothing is charged then.
    pub fn make_room(&mut self) -> Result<(), Stop> {
        if self.sent < self.reserved {
            return Ok(());
        }
        let more = self.reserved.saturating_add(STEP).min(self.max_tokens);
        let [_, tokens, money] = self.gate.amounts(self.prompt_tokens, more);
        let [_, had_tokens, had_money] = self.gate.amounts(self.prompt_tokens, self.reserved);
        // Differences of totals: rounding up the price of each step would increase the total.
        let step = [0, tokens - had_tokens, money - had_money];
        let decision = self
            .gate
            .limiter
            .extend(&mut self.reservation, &step)
            .expect("an open reservation of this limiter, and one amount per policy");
        if !decision.is_allowed() {
            let retry_after = decision.retry_after().map(http::retry_after_seconds);
            return Err(Stop { policy: self.gate.name(decision.policy), retry_after });
        }
        self.reserved = more;
        Ok(())
    }

    /// Counts one sent token.
    pub fn count_token(&mut self) {
        self.sent += 1;
    }

    /// Settles with the prompt and the sent tokens, and refunds the rest.
    pub fn settle(&mut self) {
        let actual = self.gate.amounts(self.prompt_tokens, self.sent);
        // The only error is that the payment is already settled.
        let _ = self.gate.limiter.settle(&mut self.reservation, &actual);
    }

    /// Returns whether the whole response was sent.
    pub fn is_complete(&self) -> bool {
        self.sent == self.max_tokens
    }

    /// Prompt tokens. They are charged even if the client hangs up.
    pub fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens
    }

    /// Output tokens that were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

impl Drop for Payment {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Limits;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use tollgate::ManualClock;

    // A unit test, because a panic cannot be triggered through a connection.
    #[test]
    fn a_task_that_panics_pays_for_what_it_sent() {
        let gate = Gate::new(&Limits::default(), ManualClock::new()).expect("valid limits");
        let gate = Arc::new(gate);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut payment = Payment::reserve(&gate, "alice", 5, 1_000).expect("there is room");
            for _ in 0..STEP + 3 {
                payment.make_room().expect("there is room");
                payment.count_token();
            }
            // Unwinds as a panic in the model would, without a message in the test's output.
            std::panic::resume_unwind(Box::new("the model is gone"));
        }));
        assert!(panicked.is_err());
        let used = gate.status("alice").map(|status| status.limit - status.remaining);
        assert_eq!(used, gate.amounts(5, STEP + 3));
    }
}
