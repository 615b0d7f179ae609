//! The simplest exact limiter: a log of times for each key, under one mutex.

use crate::keys::KeyKind;
use crate::peer::{Guarantees, Peer, Setting};
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// `Mutex<HashMap<_, VecDeque<_>>>` with the standard library's hasher and clock.
#[derive(Debug)]
pub struct MutexLog<K: KeyKind = u64> {
    logs: Mutex<HashMap<K, VecDeque<Instant>>>,
    limit: usize,
    window: Duration,
}

impl<K: KeyKind> MutexLog<K> {
    fn admit(&self, log: &mut VecDeque<Instant>, now: Instant) -> bool {
        while log.front().is_some_and(|oldest| now - *oldest >= self.window) {
            log.pop_front();
        }
        let admitted = log.len() < self.limit;
        if admitted {
            log.push_back(now);
        }
        admitted
    }
}

impl<K: KeyKind> Peer<K> for MutexLog<K> {
    const NAME: &'static str = "mutex-log";
    const GUARANTEES: Guarantees = Guarantees {
        per_key: true,
        counting: "sliding window, exactly: it is a log of all admitted requests",
        max_per_window: "at most the limit",
        memory: "not bounded: keys are never forgotten; a time for each admitted request",
        locks: "one lock for all keys",
    };

    fn new(setting: &Setting) -> Self {
        let logs = Mutex::default();
        MutexLog { logs, limit: setting.limit as usize, window: setting.window }
    }

    fn check(&self, key: &K) -> bool {
        let mut logs = self.logs.lock().expect("no holder panics");
        // Read under the lock, so that times in a log never step back.
        let now = Instant::now();
        match logs.get_mut(key) {
            Some(log) => self.admit(log, now),
            None => self.admit(logs.entry(key.clone()).or_default(), now),
        }
    }

    fn maintain(&self) {
        self.logs.lock().expect("no holder panics").shrink_to_fit();
    }
}
