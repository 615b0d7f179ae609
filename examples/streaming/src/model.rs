//! A mock model that repeats the same words at a given pace.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

const WORDS: [&str; 8] = ["to", "be", "or", "not", "to", "be", "that", "is"];

/// The time when a model has its next token.
#[derive(Clone, Debug)]
pub enum Pace {
    /// Immediately, after yielding to other streams.
    AtOnce,
    /// After a delay, like a real model.
    Every(Duration),
    /// After a permit is added, so that a test can stop the model at any token.
    Permits(Arc<Semaphore>),
}

/// A mock model.
#[derive(Clone, Debug)]
pub struct Model {
    /// The pace of the tokens.
    pub pace: Pace,
}

impl Model {
    /// Waits for the token at this index of a response.
    pub(crate) async fn token(&self, index: u64) -> &'static str {
        match &self.pace {
            Pace::AtOnce => tokio::task::yield_now().await,
            Pace::Every(delay) => tokio::time::sleep(*delay).await,
            Pace::Permits(permits) => {
                if let Ok(permit) = permits.acquire().await {
                    permit.forget();
                }
            }
        }
        WORDS[(index % WORDS.len() as u64) as usize]
    }
}

/// Counts the tokens of a prompt: here its words. A real model uses its tokenizer.
pub(crate) fn count(prompt: &str) -> u64 {
    prompt.split_whitespace().count() as u64
}
