//! A completion that is streamed token by token and paid as it goes.
//!
//! What an answer will cost is not known when it begins. Reserving the most that it may cost would
//! lock money up that others could spend; charging it at the end would let many streams run over
//! one budget together. So each stream reserves its prompt and a first step of [`STEP`] tokens,
//! reserves the next step when that is used up, and stops in the middle when there is no room for
//! it. In the end it pays what was sent: see [`Paid`].
//!
//! [`router`] is the whole server. It answers `POST /complete` with server-sent events: `token` for
//! each, and as the last one either `done` or `stop`.

mod gate;
mod model;
mod paid;
mod refusal;

pub use gate::{Gate, Limits};
pub use model::{Model, Pace};
pub use paid::{Paid, STEP, Stop};
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

/// What a client asks for.
#[derive(Debug, Deserialize)]
struct Ask {
    prompt: String,
    /// The made-up model always has that much to say.
    #[serde(default = "default_max_tokens")]
    max_tokens: u64,
}

fn default_max_tokens() -> u64 {
    256
}

/// The data of the last event: what the client pays for.
#[derive(Debug, Serialize)]
struct Bill {
    prompt_tokens: u64,
    output_tokens: u64,
    /// Why there is no more; absent when the answer is complete.
    #[serde(flatten)]
    stop: Option<Stop>,
}

/// The endpoint, on a gate and a model that others may hold as well.
pub fn router(gate: Arc<Gate>, model: Model) -> Router {
    Router::new().route("/complete", post(complete)).with_state((gate, model))
}

/// Runs the endpoint until the process ends.
///
/// # Errors
/// None today: the server goes on when a connection fails.
pub async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    // A token is a tiny segment, which the system would hold back until the one before is
    // acknowledged.
    let listener = listener.tap_io(|connection| {
        // Without it the tokens only come in clumps.
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, router).await
}

async fn complete(
    State((gate, model)): State<(Arc<Gate>, Model)>,
    headers: HeaderMap,
    Json(ask): Json<Ask>,
) -> Response {
    // A real server takes the user from its authentication, never from what a client claims.
    let Some(user) = headers.get("x-user").and_then(|user| user.to_str().ok()) else {
        return (StatusCode::UNAUTHORIZED, "who pays? Say it in x-user.\n").into_response();
    };
    let prompt_tokens = model::count(&ask.prompt);
    match Paid::reserve(&gate, user, prompt_tokens, ask.max_tokens) {
        Ok(paid) => {
            (gate.fields(&gate.standing(user)), Sse::new(events(paid, model))).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// The events of one answer. Whoever drops the stream before its end drops the payment with it,
/// which settles then.
fn events(paid: Paid, model: Model) -> impl Stream<Item = Result<Event, axum::Error>> {
    stream::unfold(Some((paid, model)), |turn| async {
        let (mut paid, model) = turn?;
        if paid.is_complete() {
            return Some((last("done", paid, None), None));
        }
        if let Err(stop) = paid.make_room() {
            return Some((last("stop", paid, Some(stop)), None));
        }
        let token = model.token(paid.sent()).await;
        // Counted only now: nobody pays for a token that was still being made at the hang-up.
        paid.count_token();
        Some((Ok(Event::default().event("token").data(token)), Some((paid, model))))
    })
}

/// Settles first and tells then, so that a client that has read the last event finds its budget as
/// the event says.
fn last(name: &str, mut paid: Paid, stop: Option<Stop>) -> Result<Event, axum::Error> {
    paid.settle();
    let bill = Bill { prompt_tokens: paid.prompt_tokens(), output_tokens: paid.sent(), stop };
    Event::default().event(name).json_data(bill)
}
