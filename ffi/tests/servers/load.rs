//! Requests from many connections, counted by key and status.

use crate::client::{Client, Response};
use crate::server::Limits;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// All requests that are charged to one key.
pub struct Group {
    pub user: Option<&'static str>,
    pub path: &'static str,
    /// The source addresses: one connection each, at the same time.
    pub from: Vec<Ipv4Addr>,
    /// Requests on each connection.
    pub requests: u64,
    /// The number of requests that must be allowed.
    pub room: u64,
    /// The policy that has no room for more.
    pub denied_by: &'static str,
}

/// The responses to a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub allowed: u64,
    pub denied: u64,
}

impl Group {
    pub fn all(&self) -> u64 {
        self.from.len() as u64 * self.requests
    }

    /// Checks that the number of allowed requests is exact.
    pub fn check(&self, tally: &Tally) -> Result<(), String> {
        let expected = Tally { allowed: self.room, denied: self.all() - self.room };
        let who = self.user.unwrap_or("everybody");
        let message =
            format!("{who} from {:?} for {}: {tally:?}, not {expected:?}", self.from, self.path);
        if *tally == expected { Ok(()) } else { Err(message) }
    }

    /// The expected `ratelimit-policy` of a request.
    fn policies(&self, limits: Limits) -> String {
        let Limits { per_address, per_user, tokens, window_ms } = limits;
        let seconds = window_ms.div_ceil(1_000);
        let mut policies = format!(r#""ip";q={per_address};w={seconds}"#);
        if self.user.is_some() {
            policies += &format!(r#", "user";q={per_user};w={seconds}"#);
        }
        if self.path == "/ai" {
            policies += &format!(r#", "tokens";q={tokens};w=86400;tollgate-unit="tokens""#);
        }
        policies
    }
}

/// Sends all requests of all groups, each connection on its own thread.
pub fn run(server: SocketAddr, limits: Limits, groups: &[Group]) -> Result<Vec<Tally>, String> {
    std::thread::scope(|scope| {
        let start = |group| {
            move |from: &Ipv4Addr| {
                let client = Client::new(server, *from);
                scope.spawn(move || connection(client, limits, group))
            }
        };
        // Start all threads before joining the first.
        let running: Vec<Vec<_>> =
            groups.iter().map(|group| group.from.iter().map(start(group)).collect()).collect();
        running
            .into_iter()
            .map(|threads| {
                let mut sum = Tally::default();
                for thread in threads {
                    let tally = thread.join().map_err(|_| "a client panicked")??;
                    sum.allowed += tally.allowed;
                    sum.denied += tally.denied;
                }
                Ok(sum)
            })
            .collect()
    })
}

fn connection(mut client: Client, limits: Limits, group: &Group) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for _ in 0..group.requests {
        let response = client.get(group.path, group.user).map_err(|why| why.to_string())?;
        check(&response, limits, group)
            .map_err(|why| format!("{why}; of {:?} {}", response.fields, response.body))?;
        match response.status {
            200 => tally.allowed += 1,
            _ => tally.denied += 1,
        }
    }
    Ok(tally)
}

/// Checks the fields and the body of a response.
fn check(response: &Response, limits: Limits, group: &Group) -> Result<(), String> {
    let policies = response.field("ratelimit-policy")?;
    if policies != group.policies(limits) {
        return Err(format!("ratelimit-policy is not {}", group.policies(limits)));
    }
    let left = response.field("ratelimit")?.split(", ");
    for (left, policy) in left.zip(policies.split(", ")) {
        let name = policy.split(';').next().unwrap_or_default();
        if !left.starts_with(&format!("{name};r=")) {
            return Err(format!("ratelimit does not have {name}"));
        }
    }
    let denial = format!(r#""violated-policies":["{}"]"#, group.denied_by);
    let longest = Duration::from_millis(limits.window_ms).max(Duration::from_secs(86_400));
    match response.status {
        200 if response.field("retry-after").is_err() => Ok(()),
        429 if !response.body.contains(&denial) => Err(format!("the body does not have {denial}")),
        429 if response.field("content-type")? != "application/problem+json" => {
            Err("the content type is wrong".into())
        }
        429 if response.retry_after()?.is_zero() || response.retry_after()? > longest => {
            Err("an impossible wait".into())
        }
        429 => Ok(()),
        status => Err(format!("status {status}")),
    }
}
