//! A request handler with three policies, and the HTTP response to a request that is not allowed.
//!
//! `cargo run --example embed`

use std::net::IpAddr;
use std::time::Duration;
use tollgate::{Charge, Limiter, Period, Policy, PolicyId, Verdict, http};

/// The limiter and its policies, shared by all threads without a lock.
struct Gate {
    limiter: Limiter,
    ip: PolicyId,
    user: PolicyId,
    tokens: PolicyId,
}

/// The parts of a request that determine its charges.
struct Request<'r> {
    address: IpAddr,
    user: Option<&'r str>,
    /// Tokens that an LLM endpoint will spend.
    tokens: u64,
}

/// The response to the client.
struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Gate {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let minute = Duration::from_secs(60);
        let mut builder = Limiter::builder().max_keys(100_000);
        let ip = builder.add(Policy::sliding("ip", 100, minute));
        let user = builder.add(Policy::sliding("user", 20, minute));
        let tokens = builder.add(Policy::calendar("tokens", 10_000, Period::Day).unit("tokens"));
        Ok(Gate { limiter: builder.build()?, ip, user, tokens })
    }

    fn handle(&self, request: &Request<'_>) -> Response {
        // An anonymous request is charged only to its address.
        let everyone = [self.ip.charge(request.address, 1)];
        let signed_in = request.user.map(|user| {
            let tokens = self.tokens.charge(user, request.tokens);
            [everyone[0], self.user.charge(user, 1), tokens]
        });
        let charges: &[Charge<'_>] = match &signed_in {
            Some(charges) => charges,
            None => &everyone,
        };
        let mut statuses = [tollgate::PolicyStatus::default(); 3];
        let statuses = &mut statuses[..charges.len()];
        let decision = self.limiter.check_with_status(charges, statuses);

        let items = self.limiter.http_items(statuses);
        let mut headers = vec![
            (http::RATE_LIMIT_POLICY, http::RateLimitPolicyDraft11(items.clone()).to_string()),
            (http::RATE_LIMIT, http::RateLimitDraft11(items.clone()).to_string()),
        ];
        if let Some(wait) = decision.retry_after() {
            headers.push((http::RETRY_AFTER, http::retry_after_seconds(wait).to_string()));
        }
        let (status, body) = match decision.verdict {
            Verdict::Allowed => (200, "here you are".to_owned()),
            Verdict::Denied | Verdict::Impossible => {
                (http::STATUS_TOO_MANY_REQUESTS, http::QuotaExceeded::new(items).to_string())
            }
            // A full table, or an invalid request: fail closed.
            _ => (503, "too many clients".to_owned()),
        };
        Response { status, headers, body }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gate = Gate::new()?;
    let request = Request { address: "192.0.2.1".parse()?, user: Some("alice"), tokens: 512 };
    for number in 1..=20 {
        let response = gate.handle(&request);
        println!("request {number}: {}", response.status);
        if response.status != 200 {
            for (name, value) in response.headers {
                println!("{name}: {value}");
            }
            println!("\n{}", response.body);
            break;
        }
    }
    Ok(())
}
