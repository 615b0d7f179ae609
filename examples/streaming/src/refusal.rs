//! The response to a refused request.

use crate::gate::Gate;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tollgate::{Decision, PolicyStatus, Verdict, http};

/// A refused request, for which nothing was charged.
#[derive(Debug)]
pub struct Refusal {
    verdict: Verdict,
    fields: [(&'static str, String); 2],
    /// Absent if no wait helps.
    retry_after: Option<[(&'static str, String); 1]>,
    body: String,
}

impl Refusal {
    /// Creates the response from the decision and the statuses of all policies.
    pub(crate) fn new(gate: &Gate, decision: Decision, statuses: &[PolicyStatus]) -> Self {
        let seconds = |wait| [(http::RETRY_AFTER, http::retry_after_seconds(wait).to_string())];
        let retry_after = decision.retry_after().map(seconds);
        let body = http::QuotaExceeded::new(gate.limiter.http_items(statuses)).to_string();
        Refusal { verdict: decision.verdict, fields: gate.fields(statuses), retry_after, body }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self.verdict {
            Verdict::Denied | Verdict::Impossible => {
                let problem = [("content-type", http::PROBLEM_JSON)];
                (StatusCode::TOO_MANY_REQUESTS, self.fields, self.retry_after, problem, self.body)
                    .into_response()
            }
            // No quota was exceeded: the table is full.
            _ => (StatusCode::SERVICE_UNAVAILABLE, "too many users\n").into_response(),
        }
    }
}
