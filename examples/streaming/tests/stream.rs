//! What a streamed answer costs, seen by clients over real connections. No test sleeps: the clock
//! is turned by hand, and the model says its tokens at once or when it is permitted to.

mod client;

use client::Answer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tollgate::{ManualClock, Now, TokenPrice};
use tollgate_streaming::{Gate, Limits, Model, Pace, STEP, router, serve};

const USER: &str = "alice";
const PROMPT: &str = "tell me all you know";
const PROMPT_TOKENS: u64 = 5;
/// 3 and 15 dollars for a million tokens.
const PRICE: TokenPrice = TokenPrice::per_million(3_000_000, 15_000_000);
/// More than anybody uses here.
const PLENTY: Limits =
    Limits { requests: 1_000, tokens: 1_000_000, micro_dollars: 1_000_000_000, price: PRICE };

/// A server on a port of its own, with its clock in the test's hands.
struct Server {
    address: SocketAddr,
    gate: Arc<Gate>,
    clock: ManualClock,
}

impl Server {
    async fn start(limits: Limits, pace: Pace) -> Server {
        let clock = ManualClock::new();
        // Some time in the afternoon of some day, and between two seconds.
        clock.set(Now::new(7_300_000_000, 1_777_643_210_123_456_789));
        let gate = Arc::new(Gate::new(&limits, clock.clone()).expect("limits that can be"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve(listener, router(Arc::clone(&gate), Model { pace })));
        Server { address, gate, clock }
    }

    async fn ask(&self, max_tokens: u64) -> Answer {
        Answer::ask(self.address, USER, PROMPT, max_tokens).await
    }

    /// What the user has used of each layer.
    fn used(&self) -> [u64; 3] {
        self.gate.standing(USER).map(|layer| layer.limit - layer.remaining)
    }
}

/// What so many streams cost that have had so many tokens of output, each of them.
fn cost(outputs: &[u64]) -> [u64; 3] {
    let tokens = outputs.iter().map(|output| PROMPT_TOKENS + output).sum();
    let money = outputs.iter().map(|output| PRICE.cost(PROMPT_TOKENS, *output)).sum();
    [outputs.len() as u64, tokens, money]
}

#[tokio::test]
async fn a_stream_that_fits_is_paid_to_the_token() {
    let server = Server::start(PLENTY, Pace::AtOnce).await;
    // Around the steps, and nothing at all.
    let lengths = [0, 1, STEP - 1, STEP, STEP + 1, 5 * STEP, 500];
    for (turn, length) in lengths.into_iter().enumerate() {
        let mut answer = server.ask(length).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.field("content-type"), Some("text/event-stream"));
        assert!(answer.field("ratelimit").is_some_and(|field| field.contains("\"tokens\";r=")));
        let (tokens, last) = answer.finish(|| {}).await;
        assert_eq!((tokens, last.name.as_str()), (length, "done"));
        let bill = serde_json::json!({ "prompt_tokens": PROMPT_TOKENS, "output_tokens": length });
        assert_eq!(last.json(), bill);
        assert_eq!(server.used(), cost(&lengths[..=turn]));
    }
}

/// The budgets end in one layer or the other, after no step, at a step's end and within one.
#[tokio::test]
async fn a_budget_that_ends_stops_the_stream_and_says_when_to_return() {
    let tokens = [69, 100, 127, 128, 133, 200, 517, 1_000, 1_999];
    let tokens = tokens.map(|tokens| ("tokens", Limits { tokens, ..PLENTY }));
    let money = [975, 1_500, 1_935, 2_000, 7_777, 20_001];
    let money = money.map(|micro_dollars| ("dollars", Limits { micro_dollars, ..PLENTY }));
    for (policy, limits) in tokens.into_iter().chain(money) {
        let server = Server::start(limits, Pace::AtOnce).await;
        let mut answer = server.ask(1_000_000).await;
        let (received, last) = answer.finish(|| {}).await;
        assert_eq!(last.name, "stop", "{limits:?}");
        let stop = last.json();
        assert_eq!((&stop["policy"], &stop["output_tokens"]), (&policy.into(), &received.into()));

        // Not a token too many, none unpaid, and no step too few.
        let within =
            |[_, tokens, money]: [u64; 3]| tokens <= limits.tokens && money <= limits.micro_dollars;
        assert!(received > 0 && within(cost(&[received])), "{received} of {limits:?}");
        assert!(!within(cost(&[received + STEP])), "{received} of {limits:?}");
        assert_eq!(server.used(), cost(&[received]));

        // What is left is less than a step: nobody comes in, and nothing is charged for asking.
        let wait = refused(&server, policy).await.expect("a wait that helps");
        assert_eq!(stop["retry_after"], wait, "all was charged at one instant");
        server.clock.advance(Duration::from_secs(wait - 1));
        assert_eq!(refused(&server, policy).await, Some(1), "{limits:?}");
        server.clock.advance(Duration::from_secs(1));
        let (tokens, last) = server.ask(STEP).await.finish(|| {}).await;
        assert_eq!((tokens, last.name.as_str()), (STEP, "done"), "{limits:?}");
    }
}

/// Asks for a step's length, is refused by this policy, and tells its wait.
async fn refused(server: &Server, policy: &str) -> Option<u64> {
    let before = server.used();
    let mut answer = server.ask(STEP).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    let wait = answer.field("retry-after").map(|wait| wait.parse().expect("whole seconds"));
    let fields = ["ratelimit-policy", "ratelimit"].map(|name| answer.field(name).unwrap_or("none"));
    for name in ["requests", "tokens", "dollars"] {
        assert!(fields.iter().all(|field| field.contains(&format!("\"{name}\";"))), "{fields:?}");
    }
    if let Some(wait) = wait {
        let member =
            fields[1].split(", ").find(|member| member.starts_with(&format!("\"{policy}")));
        assert!(member.is_some_and(|member| member.ends_with(&format!(";t={wait}"))), "{fields:?}");
    }
    let problem = answer.body().await;
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["violated-policies"], serde_json::json!([policy]));
    assert_eq!(server.used(), before);
    wait
}

#[tokio::test]
async fn what_no_wait_can_help_is_refused_without_one() {
    let tokens = PROMPT_TOKENS + STEP - 1;
    let server = Server::start(Limits { tokens, ..PLENTY }, Pace::AtOnce).await;
    assert_eq!(refused(&server, "tokens").await, None);
}

#[tokio::test]
async fn each_user_has_so_many_requests_a_minute() {
    let server = Server::start(Limits { requests: 2, ..PLENTY }, Pace::AtOnce).await;
    for length in [STEP, 3 * STEP] {
        assert_eq!(server.ask(length).await.finish(|| {}).await.1.name, "done");
        server.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(refused(&server, "requests").await, Some(40));
    let mut other = Answer::ask(server.address, "bob", PROMPT, 1).await;
    assert_eq!(other.finish(|| {}).await.1.name, "done");
}

#[tokio::test]
async fn a_client_that_hangs_up_pays_for_what_it_was_sent() {
    for length in [0, 1, STEP - 1, STEP, STEP + 6, 3 * STEP + 1] {
        let permits = Arc::new(Semaphore::new(0));
        let server = Server::start(PLENTY, Pace::Permits(Arc::clone(&permits))).await;
        let mut answer = server.ask(1_000_000).await;
        permits.add_permits(length as usize);
        for _ in 0..length {
            assert_eq!(answer.event().await.map(|event| event.name).as_deref(), Some("token"));
        }
        // All that was sent is received, and the next token is waited for: under a reservation,
        // which the server makes soon if it is one of another step.
        let held = cost(&[(length / STEP + 1) * STEP]);
        until(|| server.used() == held).await;
        drop(answer);
        until(|| server.used() == cost(&[length])).await;
    }
}

/// Lets the server have its turns until this holds. Nothing here takes time but the turns.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came to hold");
}

/// A stream may last longer than the window: its first steps expire while the last is being made.
#[tokio::test]
async fn a_stream_outlasts_the_window_that_it_is_paid_from() {
    let permits = Arc::new(Semaphore::new(0));
    let limits = Limits { tokens: PROMPT_TOKENS + 2 * STEP, ..PLENTY };
    let server = Server::start(limits, Pace::Permits(Arc::clone(&permits))).await;
    let mut answer = server.ask(1_000_000).await;
    // Each minute ends in the middle of a step; the last one is six tokens into its own.
    let minutes = [STEP / 2, STEP, STEP, STEP, STEP / 2 + 6];
    for (turn, tokens) in minutes.into_iter().enumerate() {
        if turn > 0 {
            // A bucketed window may hold a charge for a bucket's span (here 4 seconds) longer.
            server.clock.advance(Duration::from_secs(64));
        }
        permits.add_permits(tokens as usize);
        for _ in 0..tokens {
            assert_eq!(answer.event().await.map(|event| event.name).as_deref(), Some("token"));
        }
    }
    assert_eq!(server.used()[1], STEP);
    drop(answer);
    // The minute knows the last six alone, the day knows all.
    let money = PRICE.cost(PROMPT_TOKENS, minutes.iter().sum());
    until(|| server.used() == [0, 6, money]).await;
}

/// Streams of one user spend one budget together: none of them can spend what another has reserved.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn streams_at_once_never_exceed_one_budget() {
    for tokens in [1_117, 2_048, 3_333, 16 * (PROMPT_TOKENS + STEP)] {
        let limits = Limits { tokens, ..PLENTY };
        let server = Arc::new(Server::start(limits, Pace::AtOnce).await);
        // Prompts count as soon as a stream begins, each token as soon as it is there.
        let received = Arc::new(AtomicU64::new(0));
        let count = move |received: &AtomicU64, more| {
            let sum = received.fetch_add(more, SeqCst) + more;
            assert!(sum <= tokens, "{sum} of {tokens}");
        };
        let streams = (0..16).map(|_| {
            let (server, received) = (Arc::clone(&server), Arc::clone(&received));
            tokio::spawn(async move {
                let mut answer = server.ask(1_000_000).await;
                if answer.status() == 429 {
                    return None;
                }
                count(&received, PROMPT_TOKENS);
                let (tokens, last) = answer.finish(|| count(&received, 1)).await;
                assert_eq!(
                    (last.name.as_str(), &last.json()["policy"]),
                    ("stop", &"tokens".into())
                );
                Some(tokens)
            })
        });
        let mut outputs = Vec::new();
        for stream in streams.collect::<Vec<_>>() {
            outputs.extend(stream.await.expect("a stream that keeps the law"));
        }
        assert_eq!(server.used(), cost(&outputs));
        assert_eq!(server.used()[1], received.load(SeqCst));
        // All stopped because others had the rest: each of them sent what it had.
        assert!(server.used()[1] + STEP > tokens, "{outputs:?} of {tokens}");
    }
}
