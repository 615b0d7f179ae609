//! A completion that is streamed token by token and charged as it is sent.
//!
//! The cost of a response is not known when it starts. A reservation of the maximum cost would
//! block budget that other streams could use. A charge at the end would let concurrent streams
//! exceed the budget together. Each stream therefore reserves its prompt and a first step of
//! [`STEP`] tokens, reserves the next step when the previous one is used up, and stops when there
//! is no room for it. At the end it settles with the tokens that were sent: see [`Payment`].
//!
//! [`router`] is the whole server. It responds to `POST /complete` with server-sent events: `token`
//! for each token, then `done` or `stop`.

mod gate;
mod model;
mod payment;
mod refusal;

pub use gate::{Gate, Limits};
pub use model::{Model, Pace};
pub use payment::{Payment, STEP, Stop};
pub use refusal::Refusal;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::net::TcpListener;

/// The body of a request.
#[derive(Debug, Deserialize)]
struct Completion {
    prompt: String,
    /// The length of the response. The mock model never stops earlier.
    #[serde(default = "default_max_tokens")]
    max_tokens: u64,
}

fn default_max_tokens() -> u64 {
    256
}

/// The data of the last event: the charged tokens, and the reason for an early stop.
#[derive(Debug, Serialize)]
struct Bill {
    prompt_tokens: u64,
    output_tokens: u64,
    /// The reason for an early stop; absent if the response is complete.
    #[serde(flatten)]
    stop: Option<Stop>,
}

/// Creates the endpoint for a gate and a model.
pub fn router(gate: Arc<Gate>, model: Model) -> Router {
    Router::new().route("/complete", post(complete)).with_state((gate, model))
}

/// Runs the endpoint until the process ends.
///
/// # Errors
/// None at present: the server continues when a connection fails.
pub async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    // Disable Nagle's algorithm: with it, the system would delay each small segment until the previous
    // one is acknowledged.
    let listener = listener.tap_io(|connection| {
        // If this fails, tokens arrive in groups.
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, router).await
}

async fn complete(
    State((gate, model)): State<(Arc<Gate>, Model)>,
    headers: HeaderMap,
    Json(request): Json<Completion>,
) -> Response {
    // A real server takes the user from its authentication, not from an unverified header.
    let Some(user) = headers.get("x-user").and_then(|user| user.to_str().ok()) else {
        return (StatusCode::UNAUTHORIZED, "the header x-user is missing\n").into_response();
    };
    let prompt_tokens = model::count(&request.prompt);
    match Payment::reserve(&gate, user, prompt_tokens, request.max_tokens) {
        Ok(payment) => {
            (gate.fields(&gate.status(user)), Sse::new(events(payment, model))).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// The events of one response. Dropping the stream early drops the payment, which then settles.
fn events(payment: Payment, model: Model) -> impl Stream<Item = Result<Event, axum::Error>> {
    stream::unfold(Some((payment, model)), |state| async {
        let (mut payment, model) = state?;
        if payment.is_complete() {
            return Some((last("done", payment, None), None));
        }
        if let Err(stop) = payment.make_room() {
            return Some((last("stop", payment, Some(stop)), None));
        }
        let token = model.token(payment.sent()).await;
        // Count the token only when it is ready: a client that hangs up does not pay for a pending
        // one.
        payment.count_token();
        Some((Ok(Event::default().event("token").data(token)), Some((payment, model))))
    })
}

/// Settles the payment and returns the last event. The payment settles first, so that a client that
/// has read the event sees the settled budget.
fn last(name: &str, mut payment: Payment, stop: Option<Stop>) -> Result<Event, axum::Error> {
    payment.settle();
    let bill = Bill { prompt_tokens: payment.prompt_tokens(), output_tokens: payment.sent(), stop };
    Event::default().event(name).json_data(bill)
}
