//! One stream's payment: reserved step by step, settled once, whatever ends the stream.

use crate::gate::Gate;
use crate::refusal::Refusal;
use serde::Serialize;
use std::sync::Arc;
use tollgate::{PolicyStatus, Reservation, http};

/// How many tokens are reserved at a time.
///
/// A small step locks little of the budget up that other streams of the user could have; a large
/// one asks the limiter less often. A stream stops as soon as there is no room for a whole step, so
/// less than one is left over. Tokens count from when they were reserved: a slow model may say up
/// to a step of them when their minute has passed.
pub const STEP: u64 = 64;

/// What one stream has reserved and sent.
///
/// A [`Reservation`] does nothing when it is dropped: it is plain data that holds no limiter to
/// give anything back to, and it cannot know what was really used. Giving all back would make every
/// answer free whose reader hangs up just before its end; keeping all is the safe side, and is what
/// happens. The server does know what it has sent. So this guard settles to that when it is
/// dropped: at the end of the stream, at a hang-up (the server then drops the response's body, and
/// the guard with it) and when a task panics.
#[derive(Debug)]
pub struct Paid {
    gate: Arc<Gate>,
    reservation: Reservation,
    prompt_tokens: u64,
    /// Tokens of the answer that there is room for.
    reserved: u64,
    /// Tokens of the answer that were handed to the connection, at most `reserved`.
    sent: u64,
    max_tokens: u64,
}

/// Why a stream ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// The first policy that has no room for another step.
    pub policy: &'static str,
    /// Whole seconds after which it has, if the user spends nothing until then; absent if no wait
    /// helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Paid {
    /// Reserves one request, its prompt and the first step of its answer.
    ///
    /// # Errors
    /// If any layer has no room; then nothing is charged.
    pub fn reserve(
        gate: &Arc<Gate>,
        user: &str,
        prompt_tokens: u64,
        max_tokens: u64,
    ) -> Result<Self, Box<Refusal>> {
        let reserved = max_tokens.min(STEP);
        let charges = gate.charges(user, gate.amounts(prompt_tokens, reserved));
        let mut layers = [PolicyStatus::default(); 3];
        match gate.limiter.reserve_with_status(&charges, &mut layers) {
            Ok(reservation) => {
                let gate = Arc::clone(gate);
                Ok(Paid { gate, reservation, prompt_tokens, reserved, sent: 0, max_tokens })
            }
            Err(decision) => Err(Box::new(Refusal::new(gate, decision, &layers))),
        }
    }

    /// Sees to it that there is room for one more token.
    ///
    /// # Errors
    /// If a layer has no room for another step; then none is charged.
    pub fn make_room(&mut self) -> Result<(), Stop> {
        if self.sent < self.reserved {
            return Ok(());
        }
        let more = self.reserved.saturating_add(STEP).min(self.max_tokens);
        let [_, tokens, money] = self.gate.amounts(self.prompt_tokens, more);
        let [_, had_tokens, had_money] = self.gate.amounts(self.prompt_tokens, self.reserved);
        // Differences of sums: rounding each step's price up by itself would make the sum dearer.
        let step = [0, tokens - had_tokens, money - had_money];
        let decision = self
            .gate
            .limiter
            .extend(&mut self.reservation, &step)
            .expect("open, of this limiter, and one amount a layer");
        if !decision.is_allowed() {
            let retry_after = decision.retry_after().map(http::retry_after_seconds);
            return Err(Stop { policy: self.gate.name(decision.policy), retry_after });
        }
        self.reserved = more;
        Ok(())
    }

    /// Notes that a token was sent.
    pub fn count_token(&mut self) {
        self.sent += 1;
    }

    /// Pays for the prompt and for what was sent, and gives the rest back.
    pub fn settle(&mut self) {
        let actual = self.gate.amounts(self.prompt_tokens, self.sent);
        // The only error is that this was done before, and then there is nothing left to do.
        let _ = self.gate.limiter.settle(&mut self.reservation, &actual);
    }

    /// Whether the whole answer was sent.
    pub fn is_complete(&self) -> bool {
        self.sent == self.max_tokens
    }

    /// Tokens of the prompt, which the model has read even if nobody waits for its answer.
    pub fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens
    }

    /// Tokens of the answer that were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

impl Drop for Paid {
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

    // Here because a connection does not show how a task died.
    #[test]
    fn a_task_that_panics_pays_for_what_it_sent() {
        let gate = Gate::new(&Limits::default(), ManualClock::new()).expect("limits that can be");
        let gate = Arc::new(gate);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut paid = Paid::reserve(&gate, "alice", 5, 1_000).expect("there is room");
            for _ in 0..STEP + 3 {
                paid.make_room().expect("there is room");
                paid.count_token();
            }
            // What a bug in the model would do, without a message in the test's output.
            std::panic::resume_unwind(Box::new("the model is gone"));
        }));
        assert!(panicked.is_err());
        let used = gate.standing("alice").map(|layer| layer.limit - layer.remaining);
        assert_eq!(used, gate.amounts(5, STEP + 3));
    }
}
