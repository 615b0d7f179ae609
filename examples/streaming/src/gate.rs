//! The limits: three layers for each user, charged together.

use std::time::Duration;
use tollgate::{
    Charge, Clock, ConfigError, Limiter, Period, Policy, PolicyId, PolicyStatus, TokenPrice, http,
};

/// How much each user may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests in any minute.
    pub requests: u64,
    /// Tokens in any minute, of prompts and of answers.
    pub tokens: u64,
    /// Millionths of a dollar in each day of UTC.
    pub micro_dollars: u64,
    /// What a million tokens cost, in micro-dollars.
    pub price: TokenPrice,
}

impl Default for Limits {
    /// Small enough to run out of at a keyboard: 10 cents a day, at 3 dollars for a million tokens
    /// of prompts and 15 for a million tokens of answers.
    fn default() -> Self {
        let price = TokenPrice::per_million(3_000_000, 15_000_000);
        Limits { requests: 20, tokens: 2_000, micro_dollars: 100_000, price }
    }
}

/// The layers' names, in the order in which all arrays of three have them.
const NAMES: [&str; 3] = ["requests", "tokens", "dollars"];

/// The limiter with its three policies: one for the whole server, shared by all its threads.
#[derive(Debug)]
pub struct Gate {
    pub(crate) limiter: Limiter,
    policies: [PolicyId; 3],
    price: TokenPrice,
}

impl Gate {
    /// A gate for these limits. The clock is the caller's, so that a test can turn it by hand.
    ///
    /// # Errors
    /// If a limit is zero or too great.
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

    /// How the user stands in each layer, charging nothing.
    pub fn standing(&self, user: &str) -> [PolicyStatus; 3] {
        let mut layers = [PolicyStatus::default(); 3];
        let _ = self.limiter.peek_with_status(&self.charges(user, [0; 3]), &mut layers);
        layers
    }

    /// What a request costs in each layer.
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

    /// The header fields that tell a client how it stands.
    pub(crate) fn fields(&self, layers: &[PolicyStatus]) -> [(&'static str, String); 2] {
        let items = self.limiter.http_items(layers);
        [
            (http::RATE_LIMIT_POLICY, http::RateLimitPolicyDraft11(items.clone()).to_string()),
            (http::RATE_LIMIT, http::RateLimitDraft11(items).to_string()),
        ]
    }
}
