//! Tests of the servers of `examples/servers` over real connections: they admit exactly what their
//! limits allow, and a client that waits for `Retry-After` is admitted. `scripts/servers.sh` builds them
//! and runs this; `TOLLGATE_SERVERS` has their paths.

mod client;
mod load;
mod server;

use client::Client;
use load::{Group, Tally};
use server::{Limits, Server, TOKENS_PER_RESPONSE};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const MINUTE_MS: u64 = 60_000;

fn programs() -> Vec<PathBuf> {
    let programs = std::env::var_os("TOLLGATE_SERVERS").expect("TOLLGATE_SERVERS: their paths");
    std::env::split_paths(&programs).collect()
}

fn loopback(net: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, net, host)
}

/// A window of an hour is longer than any run, so each key gets exactly its limit.
const LIMITS: Limits = Limits {
    per_address: 10_000,
    per_user: 3_000,
    tokens: RESPONSES * TOKENS_PER_RESPONSE,
    window_ms: 60 * MINUTE_MS,
};
const RESPONSES: u64 = 1_200;

/// Addresses without a user, two connections each.
fn by_address() -> Vec<Group> {
    let group = |host| Group {
        user: None,
        path: "/",
        from: vec![loopback(1, host); 2],
        requests: 6_000,
        room: LIMITS.per_address,
        denied_by: "ip",
    };
    (1..=4).map(group).collect()
}

/// Users with two addresses at once.
fn by_user() -> Vec<Group> {
    let group = |(host, user)| Group {
        user: Some(user),
        path: "/",
        from: vec![loopback(2, host), loopback(2, host + 100)],
        requests: 2_500,
        room: LIMITS.per_user,
        denied_by: "user",
    };
    (1..).zip(["ada", "ann", "amy", "abe"]).map(group).collect()
}

/// Users whose tokens run out.
fn by_tokens() -> Vec<Group> {
    let group = |(host, user)| Group {
        user: Some(user),
        path: "/ai",
        from: vec![loopback(3, host); 2],
        requests: 4_000,
        room: RESPONSES,
        denied_by: "tokens",
    };
    (1..).zip(["eve", "fay", "guy", "hal"]).map(group).collect()
}

/// A request denied for its tokens charges nothing else: its address and its user have the rest.
fn all_or_nothing() -> Vec<Group> {
    let address = Group {
        user: None,
        path: "/",
        from: vec![loopback(3, 1); 3],
        requests: 3_400,
        room: LIMITS.per_address - RESPONSES,
        denied_by: "ip",
    };
    let user = Group {
        user: Some("eve"),
        path: "/",
        from: vec![loopback(4, 1), loopback(4, 2)],
        requests: 1_600,
        room: LIMITS.per_user - RESPONSES,
        denied_by: "user",
    };
    vec![address, user]
}

/// The sum of all responses. Each group is compared with its room.
fn counted(server: &Server) -> Result<Tally, String> {
    let mut sum = Tally::default();
    for groups in [by_address(), by_user(), by_tokens(), all_or_nothing()] {
        let tallies = load::run(server.address, LIMITS, &groups)?;
        for (group, tally) in groups.iter().zip(tallies) {
            group.check(&tally)?;
            sum.allowed += tally.allowed;
            sum.denied += tally.denied;
        }
    }
    Ok(sum)
}

fn day() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() / 86_400)
}

#[test]
#[ignore = "scripts/servers.sh builds the servers and runs this"]
fn each_key_gets_its_limit() {
    for program in programs() {
        let name = program.display();
        let begun = Instant::now();
        let sum = loop {
            let today = day();
            let sum = counted(&Server::start(&program, LIMITS));
            // The token budget restarts at midnight: then repeat the run.
            if day() == today {
                break sum.unwrap_or_else(|why| panic!("{name}: {why}"));
            }
        };
        let requests = sum.allowed + sum.denied;
        let rate = requests as f64 / begun.elapsed().as_secs_f64();
        println!(
            "{name}: {requests} requests, {} times 200, {} times 429: as the limits allow; {rate:.0}/s",
            sum.allowed, sum.denied
        );
        assert!(requests >= 100_000, "{requests} requests are too few");
    }
}

/// A short window, so that a denied user can wait for room.
const SHORT: Limits =
    Limits { per_address: 1_000_000, per_user: 5, tokens: 1_000_000, window_ms: 1_500 };

/// Sends requests until there is no room, then waits for `patience(wait)`: three times in all. Checks that
/// no window has more than the limit.
fn retry_after_denials(
    client: &mut Client,
    limits: Limits,
    user: &str,
    patience: fn(Duration) -> Duration,
) -> Result<(), String> {
    let mut sent: VecDeque<Instant> = VecDeque::new();
    let window = Duration::from_millis(limits.window_ms);
    for round in 0..3 {
        let mut wait = Duration::ZERO;
        for request in 0.. {
            let response = client.get("/", Some(user)).map_err(|why| why.to_string())?;
            match response.status {
                200 => {}
                429 if request == 0 && round > 0 => return Err(format!("denied after {wait:?}")),
                429 => {
                    wait = response.retry_after()?;
                    break;
                }
                status => return Err(format!("status {status}")),
            }
            // This request was decided before its response was received. The request that was admitted
            // `per_user` requests earlier was decided after it was sent.
            sent.push_back(response.sent);
            if sent.len() as u64 > limits.per_user {
                let first = sent.pop_front().unwrap_or(response.sent);
                if response.received - first < window {
                    return Err("more than the limit in a window".into());
                }
            }
        }
        std::thread::sleep(patience(wait));
    }
    Ok(())
}

#[test]
#[ignore = "scripts/servers.sh builds the servers and runs this"]
fn a_client_that_waits_is_admitted() {
    for program in programs() {
        let server = Server::start(&program, SHORT);
        let users = ["ida", "jan", "kim", "lea", "max", "nan"];
        std::thread::scope(|scope| {
            let running = users.map(|user| {
                let mut client = Client::new(server.address, loopback(5, 1));
                scope.spawn(move || retry_after_denials(&mut client, SHORT, user, |wait| wait))
            });
            for (user, running) in users.into_iter().zip(running) {
                assert_eq!(running.join().expect("no panic"), Ok(()), "{user}");
            }
        });
        println!("{}: {} users waited and were admitted", program.display(), users.len());
    }
}

/// The checks detect a server that admits one request too many, and a client that does not wait.
#[test]
#[ignore = "scripts/servers.sh builds the servers and runs this"]
fn faults_are_detected() {
    for program in programs() {
        let limits =
            Limits { per_address: 21, per_user: 5, tokens: 1_000_000, window_ms: 60 * MINUTE_MS };
        let server = Server::start(&program, limits);
        let group = Group {
            user: None,
            path: "/",
            from: vec![loopback(6, 1); 2],
            requests: 20,
            room: 20,
            denied_by: "ip",
        };
        let tallies = load::run(server.address, limits, std::slice::from_ref(&group));
        let tallies = tallies.expect("valid responses");
        assert_eq!(tallies, [Tally { allowed: 21, denied: 19 }]);
        assert!(group.check(&tallies[0]).is_err(), "one too many is not detected");
        let wrong = Limits { per_address: 20, ..limits };
        assert!(
            load::run(server.address, wrong, &[group]).is_err(),
            "a wrong field is not detected"
        );

        let mut client = Client::new(server.address, loopback(6, 2));
        let impatient = retry_after_denials(&mut client, limits, "eve", |_| Duration::ZERO);
        assert_eq!(impatient, Err("denied after 0ns".to_owned()));
        // A shorter window than the expected hour is detected.
        let shorter = Server::start(&program, SHORT);
        let mut client = Client::new(shorter.address, loopback(6, 3));
        let over = retry_after_denials(&mut client, limits, "eve", |wait| wait);
        assert_eq!(over, Err("more than the limit in a window".to_owned()));
    }
}
