//! The `limitador` crate with its in-memory storage, through its synchronous API.

use crate::keys::KeyKind;
use crate::peer::{Guarantees, Peer, Setting};
use ::limitador::RateLimiter;
use ::limitador::limit::{Context, Limit, Namespace};
use std::collections::HashMap;
use std::fmt;

/// A limiter with one rule in limitador's rule language: a limit of requests for each user, in a window
/// of whole seconds. Each call builds a new map from names to texts, as hosts of `limitador` do for each
/// request.
pub struct Limitador {
    limiter: RateLimiter,
    namespace: Namespace,
}

impl fmt::Debug for Limitador {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limitador").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl<K: KeyKind> Peer<K> for Limitador {
    const NAME: &'static str = "limitador";
    const GUARANTEES: Guarantees = Guarantees {
        per_key: true,
        counting: "fixed windows of whole seconds, each starting with its first request",
        max_per_window: "up to twice the limit, and more with concurrent requests",
        memory: "bounded by its cache, which evicts the counters of live keys",
        locks: "locks of its cache and of its rules",
    };

    fn new(setting: &Setting) -> Self {
        let (limit, window) = setting.in_seconds();
        let user = "user".try_into().expect("a valid expression");
        let limiter = RateLimiter::new(setting.max_keys as u64);
        limiter.add_limit(Limit::new("peers", limit, window.as_secs(), [], [user]));
        Limitador { limiter, namespace: "peers".into() }
    }

    fn check(&self, key: &K) -> bool {
        let request = HashMap::from([("user".to_owned(), key.to_string())]);
        let result =
            self.limiter.check_rate_limited_and_update(&self.namespace, &Context::from(request), 1);
        !result.expect("the storage in memory does not fail").limited
    }
}
