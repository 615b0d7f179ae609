//! The charges for streamed responses, tested by clients over real connections. No test sleeps: the
//! clock is manual, and the model sends its tokens immediately or by permits.

mod client;

use client::Response;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tollgate::{ManualClock, Now, TokenPrice};
use tollgate_streaming::{Gate, Limits, Model, Pace, STEP, router, serve};

const USER: &str = "alice";
const PROMPT: &str = "explain rate limits to me";
const PROMPT_TOKENS: u64 = 5;
/// 3 and 15 dollars for a million tokens.
const PRICE: TokenPrice = TokenPrice::per_million(3_000_000, 15_000_000);
/// Limits that no test reaches.
const PLENTY: Limits =
    Limits { requests: 1_000, tokens: 1_000_000, micro_dollars: 1_000_000_000, price: PRICE };

/// A server on its own port with a manual clock.
struct Server {
    address: SocketAddr,
    gate: Arc<Gate>,
    clock: ManualClock,
}

impl Server {
    async fn start(limits: Limits, pace: Pace) -> Server {
        let clock = ManualClock::new();
        // An arbitrary time within a day and between two seconds.
        clock.set(Now::new(7_300_000_000, 1_777_643_210_123_456_789));
        let gate = Arc::new(Gate::new(&limits, clock.clone()).expect("valid limits"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve(listener, router(Arc::clone(&gate), Model { pace })));
        Server { address, gate, clock }
    }

    async fn request(&self, max_tokens: u64) -> Response {
        Response::request(self.address, USER, PROMPT, max_tokens).await
    }

    /// The user's usage under each policy.
    fn used(&self) -> [u64; 3] {
        self.gate.status(USER).map(|status| status.limit - status.remaining)
    }
}

/// The total cost of streams with these numbers of output tokens.
fn cost(outputs: &[u64]) -> [u64; 3] {
    let tokens = outputs.iter().map(|output| PROMPT_TOKENS + output).sum();
    let money = outputs.iter().map(|output| PRICE.cost(PROMPT_TOKENS, *output)).sum();
    [outputs.len() as u64, tokens, money]
}

#[tokio::test]
async fn a_complete_stream_is_charged_exactly() {
    let server = Server::start(PLENTY, Pace::AtOnce).await;
    // Lengths around the steps, and 0.
    let lengths = [0, 1, STEP - 1, STEP, STEP + 1, 5 * STEP, 500];
    for (turn, length) in lengths.into_iter().enumerate() {
        let mut response = server.request(length).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.field("content-type"), Some("text/event-stream"));
        assert!(response.field("ratelimit").is_some_and(|field| field.contains("\"tokens\";r=")));
        let (tokens, last) = response.finish(|| {}).await;
        assert_eq!((tokens, last.name.as_str()), (length, "done"));
        let bill = serde_json::json!({ "prompt_tokens": PROMPT_TOKENS, "output_tokens": length });
        assert_eq!(last.json(), bill);
        assert_eq!(server.used(), cost(&lengths[..=turn]));
    }
}

/// Budgets under two policies. They end at the end of the first step, of a later step, or within a step.
#[tokio::test]
async fn an_exhausted_budget_stops_the_stream_with_a_retry_after() {
    let tokens = [69, 100, 127, 128, 133, 200, 517, 1_000, 1_999];
    let tokens = tokens.map(|tokens| ("tokens", Limits { tokens, ..PLENTY }));
    let money = [975, 1_500, 1_935, 2_000, 7_777, 20_001];
    let money = money.map(|micro_dollars| ("dollars", Limits { micro_dollars, ..PLENTY }));
    for (policy, limits) in tokens.into_iter().chain(money) {
        let server = Server::start(limits, Pace::AtOnce).await;
        let mut response = server.request(1_000_000).await;
        let (received, last) = response.finish(|| {}).await;
        assert_eq!(last.name, "stop", "{limits:?}");
        let stop = last.json();
        assert_eq!((&stop["policy"], &stop["output_tokens"]), (&policy.into(), &received.into()));

        // No token over the limit, none uncharged, and no whole step unused.
        let within =
            |[_, tokens, money]: [u64; 3]| tokens <= limits.tokens && money <= limits.micro_dollars;
        assert!(received > 0 && within(cost(&[received])), "{received} of {limits:?}");
        assert!(!within(cost(&[received + STEP])), "{received} of {limits:?}");
        assert_eq!(server.used(), cost(&[received]));

        // Less than a step is left: new requests are refused and not charged.
        let wait = refused(&server, policy).await.expect("a wait that helps");
        assert_eq!(stop["retry_after"], wait, "everything was charged at one time");
        server.clock.advance(Duration::from_secs(wait - 1));
        assert_eq!(refused(&server, policy).await, Some(1), "{limits:?}");
        server.clock.advance(Duration::from_secs(1));
        let (tokens, last) = server.request(STEP).await.finish(|| {}).await;
        assert_eq!((tokens, last.name.as_str()), (STEP, "done"), "{limits:?}");
    }
}

/// Sends a request of one step, checks that this policy refuses it, and returns the wait.
async fn refused(server: &Server, policy: &str) -> Option<u64> {
    let before = server.used();
    let mut response = server.request(STEP).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.field("content-type"), Some("application/problem+json"));
    let wait = response.field("retry-after").map(|wait| wait.parse().expect("whole seconds"));
    let fields =
        ["ratelimit-policy", "ratelimit"].map(|name| response.field(name).unwrap_or("none"));
    for name in ["requests", "tokens", "dollars"] {
        assert!(fields.iter().all(|field| field.contains(&format!("\"{name}\";"))), "{fields:?}");
    }
    if let Some(wait) = wait {
        let member =
            fields[1].split(", ").find(|member| member.starts_with(&format!("\"{policy}")));
        assert!(member.is_some_and(|member| member.ends_with(&format!(";t={wait}"))), "{fields:?}");
    }
    let problem = response.body().await;
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["violated-policies"], serde_json::json!([policy]));
    assert_eq!(server.used(), before);
    wait
}

#[tokio::test]
async fn an_impossible_request_is_refused_without_a_wait() {
    let tokens = PROMPT_TOKENS + STEP - 1;
    let server = Server::start(Limits { tokens, ..PLENTY }, Pace::AtOnce).await;
    assert_eq!(refused(&server, "tokens").await, None);
}

#[tokio::test]
async fn requests_are_limited_per_user_and_minute() {
    let server = Server::start(Limits { requests: 2, ..PLENTY }, Pace::AtOnce).await;
    for length in [STEP, 3 * STEP] {
        assert_eq!(server.request(length).await.finish(|| {}).await.1.name, "done");
        server.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(refused(&server, "requests").await, Some(40));
    let mut other = Response::request(server.address, "bob", PROMPT, 1).await;
    assert_eq!(other.finish(|| {}).await.1.name, "done");
}

#[tokio::test]
async fn a_hang_up_is_charged_for_the_sent_tokens() {
    for length in [0, 1, STEP - 1, STEP, STEP + 6, 3 * STEP + 1] {
        let permits = Arc::new(Semaphore::new(0));
        let server = Server::start(PLENTY, Pace::Permits(Arc::clone(&permits))).await;
        let mut response = server.request(1_000_000).await;
        permits.add_permits(length as usize);
        for _ in 0..length {
            assert_eq!(response.event().await.map(|event| event.name).as_deref(), Some("token"));
        }
        // Everything sent is received, and the server waits for the next token. If that token
        // starts a new step, the server reserves the step first.
        let held = cost(&[(length / STEP + 1) * STEP]);
        until(|| server.used() == held).await;
        drop(response);
        until(|| server.used() == cost(&[length])).await;
    }
}

/// Yields to the server until the condition holds.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the condition never held");
}

/// A stream may last longer than the window: its first steps expire before it ends.
#[tokio::test]
async fn a_stream_may_outlast_the_window() {
    let permits = Arc::new(Semaphore::new(0));
    let limits = Limits { tokens: PROMPT_TOKENS + 2 * STEP, ..PLENTY };
    let server = Server::start(limits, Pace::Permits(Arc::clone(&permits))).await;
    let mut response = server.request(1_000_000).await;
    // Each minute ends in the middle of a step. The last step has six tokens.
    let minutes = [STEP / 2, STEP, STEP, STEP, STEP / 2 + 6];
    for (turn, tokens) in minutes.into_iter().enumerate() {
        if turn > 0 {
            // A bucketed window may hold a charge for a bucket's span (here 4.3 seconds) longer.
            server.clock.advance(Duration::from_secs(65));
        }
        permits.add_permits(tokens as usize);
        for _ in 0..tokens {
            assert_eq!(response.event().await.map(|event| event.name).as_deref(), Some("token"));
        }
    }
    assert_eq!(server.used()[1], STEP);
    drop(response);
    // The minute contains only the last six tokens, the day all of them.
    let money = PRICE.cost(PROMPT_TOKENS, minutes.iter().sum());
    until(|| server.used() == [0, 6, money]).await;
}

/// Concurrent streams of one user share a budget: none can spend what another has reserved.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_streams_never_exceed_one_budget() {
    for tokens in [1_117, 2_048, 3_333, 16 * (PROMPT_TOKENS + STEP)] {
        let limits = Limits { tokens, ..PLENTY };
        let server = Arc::new(Server::start(limits, Pace::AtOnce).await);
        // A prompt counts when its stream starts, a token when it arrives.
        let received = Arc::new(AtomicU64::new(0));
        let count = move |received: &AtomicU64, more| {
            let sum = received.fetch_add(more, SeqCst) + more;
            assert!(sum <= tokens, "{sum} of {tokens}");
        };
        let streams = (0..16).map(|_| {
            let (server, received) = (Arc::clone(&server), Arc::clone(&received));
            tokio::spawn(async move {
                let mut response = server.request(1_000_000).await;
                if response.status() == 429 {
                    return None;
                }
                count(&received, PROMPT_TOKENS);
                let (tokens, last) = response.finish(|| count(&received, 1)).await;
                assert_eq!(
                    (last.name.as_str(), &last.json()["policy"]),
                    ("stop", &"tokens".into())
                );
                Some(tokens)
            })
        });
        let mut outputs = Vec::new();
        for stream in streams.collect::<Vec<_>>() {
            outputs.extend(stream.await.expect("a stream within the budget"));
        }
        assert_eq!(server.used(), cost(&outputs));
        assert_eq!(server.used()[1], received.load(SeqCst));
        // All streams stopped because the rest was reserved by others, and each sent what it
        // reserved.
        assert!(server.used()[1] + STEP > tokens, "{outputs:?} of {tokens}");
    }
}
