//! A made-up model: it says the same words again and again, as fast as it is told to.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

const WORDS: [&str; 8] = ["to", "be", "or", "not", "to", "be", "that", "is"];

/// When the next token is ready.
#[derive(Clone, Debug)]
pub enum Pace {
    /// At once, after the other streams had their turn.
    AtOnce,
    /// After a delay, as with a real model.
    Every(Duration),
    /// When somebody adds a permit, so that a test can stop the model wherever it likes.
    Permits(Arc<Semaphore>),
}

/// What answers the prompts.
#[derive(Clone, Debug)]
pub struct Model {
    /// When the next token is ready.
    pub pace: Pace,
}

impl Model {
    /// The token of this place in an answer.
    pub(crate) async fn token(&self, place: u64) -> &'static str {
        match &self.pace {
            Pace::AtOnce => tokio::task::yield_now().await,
            Pace::Every(delay) => tokio::time::sleep(*delay).await,
            Pace::Permits(permits) => {
                if let Ok(permit) = permits.acquire().await {
                    permit.forget();
                }
            }
        }
        WORDS[(place % WORDS.len() as u64) as usize]
    }
}

/// How many tokens a prompt has: here its words, with a real model what its tokenizer says.
pub(crate) fn count(prompt: &str) -> u64 {
    prompt.split_whitespace().count() as u64
}
