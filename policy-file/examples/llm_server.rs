//! A limiter from a policy file. The first argument is the file; by default, the example for LLM tokens.
//!
//! `cargo run -p tollgate-policy-file --example llm_server`

use std::error::Error;
use tollgate_policy_file::PolicyFile;

const DEFAULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/policies/llm.toml");

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| DEFAULT.to_owned());
    let limiter = PolicyFile::read(path)?.build()?;
    let tenant = limiter.policy("tenant").ok_or("the file has no policy named tenant")?;
    let budget = limiter.policy("budget").ok_or("the file has no policy named budget")?;

    for tokens in [100_000, 15_000, 15_000] {
        let charges = [tenant.charge("acme", tokens), budget.charge("acme", tokens)];
        let decision = limiter.check(&charges);
        match decision.retry_after() {
            None if decision.is_allowed() => println!("200, {} tokens left", decision.remaining),
            Some(wait) => println!("429, wait {:.1} s", wait.as_secs_f64()),
            None => println!("refused: {:?}", decision.verdict),
        }
    }
    Ok(())
}
