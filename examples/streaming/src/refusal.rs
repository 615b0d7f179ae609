//! What a refused client is told.

use crate::gate::Gate;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tollgate::{Charge, Decision, Layer, Session, Verdict, http};

/// A request that was refused before it began: nothing was charged.
#[derive(Debug)]
pub struct Refusal {
    verdict: Verdict,
    fields: [(&'static str, String); 2],
    /// Absent where no wait helps.
    retry_after: Option<[(&'static str, String); 1]>,
    body: String,
}

impl Refusal {
    pub(crate) fn new(
        gate: &Gate,
        session: &Session<'_>,
        charges: &[Charge<'_>; 3],
        refused: Decision,
    ) -> Self {
        // The decision names one policy, the fields tell of all: a second look at the same instant.
        let mut layers = [Layer::default(); 3];
        let mut decision = session.peek_layers(charges, &mut layers);
        if decision.is_allowed() {
            // Another stream gave units back between the two looks. The refusal stands as it was.
            decision = refused;
            for layer in layers.iter_mut().filter(|layer| layer.policy == refused.policy) {
                (layer.violated, layer.retry_after) = (true, refused.retry_after);
            }
        }
        let seconds = |wait| [(http::RETRY_AFTER, http::retry_after_seconds(wait).to_string())];
        let retry_after = decision.retry_after.map(seconds);
        let body = http::QuotaExceeded::new(gate.limiter.http_items(&layers)).to_string();
        Refusal { verdict: decision.verdict, fields: gate.fields(&layers), retry_after, body }
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
            // No quota was exceeded: the server has no room for one more user.
            _ => (StatusCode::SERVICE_UNAVAILABLE, "too many users\n").into_response(),
        }
    }
}
