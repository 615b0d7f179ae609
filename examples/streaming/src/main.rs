//! Runs the endpoint: `cargo run -p tollgate-streaming -- [ADDRESS] [MILLISECONDS A TOKEN]`.

use std::num::ParseIntError;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tollgate::Clock;
use tollgate_streaming::{Gate, Limits, Model, Pace, router, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (address, delay) = options(std::env::args().skip(1))?;
    let gate = Gate::new(&Limits::default(), Clock::precise())?;
    let model = Model { pace: Pace::Every(delay) };
    let listener = TcpListener::bind(&address).await?;
    let address = listener.local_addr()?;
    println!("curl -N -H 'x-user: alice' \\");
    println!(
        "  --json '{{\"prompt\": \"explain rate limits\", \"max_tokens\": 300}}' http://{address}/complete"
    );
    serve(listener, router(Arc::new(gate), model)).await?;
    Ok(())
}

/// Parses the address to listen on and the model's delay for each token.
fn options(
    mut arguments: impl Iterator<Item = String>,
) -> Result<(String, Duration), ParseIntError> {
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let delay_ms = arguments.next().map_or(Ok(20), |delay| delay.parse())?;
    Ok((address, Duration::from_millis(delay_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_arguments_may_be_left_out() {
        let options = |given: &[&str]| options(given.iter().map(|word| word.to_string()));
        let [default, chosen] = ["127.0.0.1:3000", "[::1]:80"].map(str::to_owned);
        assert_eq!(options(&[]), Ok((default, Duration::from_millis(20))));
        assert_eq!(options(&["[::1]:80"]), Ok((chosen.clone(), Duration::from_millis(20))));
        assert_eq!(options(&["[::1]:80", "0"]), Ok((chosen, Duration::ZERO)));
        assert!(options(&["[::1]:80", "soon"]).is_err());
    }
}
