//! The limiter: three policies for each user, charged together.

use std::time::Duration;
use tollgate::{
    Charge, Clock, ConfigError, Limiter, Period, Policy, PolicyId, PolicyStatus, TokenPrice, http,
};

/// The limits of each user.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests in any minute.
    pub requests: u64,
    /// Prompt and output tokens in any minute.
    pub tokens: u64,
    /// Micro-dollars in each UTC day.
    pub micro_dollars: u64,
    /// The price of a million tokens, in micro-dollars.
    pub price: TokenPrice,
}

impl Default for Limits {
    /// Limits that a manual test can reach: 10 cents a day, at 3 dollars for a million prompt
    /// tokens and 15 dollars for a million output tokens.
    fn default() -> Self {
        let price = TokenPrice::per_million(3_000_000, 15_000_000);
        Limits { requests: 20, tokens: 2_000, micro_dollars: 100_000, price }
    }
}

/// The names of the policies, in the order of all arrays of three.
const NAMES: [&str; 3] = ["requests", "tokens", "dollars"];

/// The limiter with its three policies, shared by all threads of the server.
#[derive(Debug)]
pub struct Gate {
    pub(crate) limiter: Limiter,
    policies: [PolicyId; 3],
    price: TokenPrice,
}

impl Gate {
    /// Creates a gate with these limits. Tests pass a manual clock.
    ///
    /// # Errors
    /// If a limit is zero or too large.
    pub fn new(limits: &Limits, clock: impl Into<Clock>) -> Result<Self, ConfigError> {
        let [requests, tokens, dollars] = NAMES;
        let minute = Duration::from_secs(60);
        let mut builder = Limiter::builder().clock(clock);
        let policies = [
            Policy::sliding(requests, limits.requests, minute),
            Policy::sliding(tokens, limits.tokens, minute).unit("tokens"),
            Policy::calendar(dollars, limits.micro_dollars, Period::Day).unit("micro-dollars"),
        ]
        .map(|policy| builder.add(policy));
        Ok(Gate { limiter: builder.build()?, policies, price: limits.price })
    }

    /// The status of each policy for this user, without a charge.
    pub fn status(&self, user: &str) -> [PolicyStatus; 3] {
        let mut statuses = [PolicyStatus::default(); 3];
        let _ = self.limiter.peek_with_status(&self.charges(user, [0; 3]), &mut statuses);
        statuses
    }

    /// The cost of a request under each policy.
    pub fn amounts(&self, prompt_tokens: u64, output_tokens: u64) -> [u64; 3] {
        let tokens = prompt_tokens.saturating_add(output_tokens);
        [1, tokens, self.price.cost(prompt_tokens, output_tokens)]
    }

    pub(crate) fn charges<'u>(&self, user: &'u str, amounts: [u64; 3]) -> [Charge<'u>; 3] {
        let [requests, tokens, dollars] = self.policies;
        let [request, count, money] = amounts;
        [requests.charge(user, request), tokens.charge(user, count), dollars.charge(user, money)]
    }

    pub(crate) fn name(&self, policy: PolicyId) -> &'static str {
        NAMES.get(policy.index()).copied().unwrap_or("unknown")
    }

    /// The `RateLimit` header fields for a client.
    pub(crate) fn fields(&self, statuses: &[PolicyStatus]) -> [(&'static str, String); 2] {
        let items = self.limiter.http_items(statuses);
        [
            (http::RATE_LIMIT_POLICY, http::RateLimitPolicyDraft11(items.clone()).to_string()),
            (http::RATE_LIMIT, http::RateLimitDraft11(items).to_string()),
        ]
    }
}
