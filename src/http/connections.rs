//! The open connections: their number, their states, and the choice of the one to close.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::clock;
use crate::http::log_limiter::LogLimiter;
use crate::http::request::Request;
use crate::http::response::Response;

/// The limits for clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_connections: usize,
    pub head_bytes: usize,
    pub body_bytes: usize,
    /// The time for the whole request, from its first byte to its last.
    pub request_deadline: Duration,
    /// The time for the whole answer.
    pub answer_deadline: Duration,
    /// How long a connection may wait for the first byte of a request.
    pub idle: Duration,
    /// At `max_connections`, a request that is incomplete after this time is closed for a new one.
    pub patience: Duration,
    pub requests_per_connection: usize,
    /// The one path that accepts larger bodies.
    pub large: Option<Large>,
}

/// A path whose bodies may be larger than `body_bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Large {
    pub path: &'static str,
    pub body_bytes: usize,
    /// All such bodies in memory at once, beyond the usual `body_bytes` each. A further body is
    /// read only when memory is free.
    pub memory_bytes: usize,
}

impl Limits {
    /// The largest body of a path.
    pub fn body_of(&self, path: &str) -> usize {
        match self.large {
            // Behind a proxy, a base path may stand before it.
            Some(large) if path.ends_with(large.path) => large.body_bytes,
            _ => self.body_bytes,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_connections: 256,
            head_bytes: 16 * 1024,
            body_bytes: 64 * 1024,
            request_deadline: Duration::from_secs(10),
            answer_deadline: Duration::from_secs(10),
            idle: Duration::from_secs(5),
            patience: Duration::from_secs(1),
            requests_per_connection: 100,
            large: None,
        }
    }
}

/// The state that all connections share.
pub(crate) struct Connections {
    pub handler: Handler,
    pub limits: Limits,
    pub stop: Arc<AtomicBool>,
    /// By number, so the oldest comes first.
    pub(crate) open: Mutex<BTreeMap<u64, OpenConnection>>,
    pub threads: AtomicU64,
    /// Bytes of their shared memory that large bodies occupy.
    pub large_bytes: AtomicUsize,
    /// Log limiters for bodies over the usual limit, and over the limit of the large path.
    pub too_large: [LogLimiter; 2],
}

/// One connection in the view of the accept loop.
pub(crate) struct OpenConnection {
    pub(crate) stream: Arc<TcpStream>,
    pub(crate) doing: Doing,
    /// The time of the last change of `doing`, from `clock::elapsed`.
    pub(crate) since: Duration,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Doing {
    /// Between requests; closing it loses nothing.
    Idle,
    /// A request is being received.
    Reading,
    /// The handler runs, or the answer is being sent.
    Answering,
}

impl Connections {
    pub fn open(&self) -> MutexGuard<'_, BTreeMap<u64, OpenConnection>> {
        // No statement leaves the map incomplete, so a panic elsewhere cannot have broken it.
        self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn mark(&self, number: u64, doing: Doing) {
        if let Some(visitor) = self.open().get_mut(&number) {
            visitor.doing = doing;
            visitor.since = clock::elapsed();
        }
    }

    /// Adds a connection, and closes another one at the limit. `false` when all of them are busy.
    pub(crate) fn admit(&self, number: u64, stream: &Arc<TcpStream>) -> bool {
        let mut open = self.open();
        if open.len() >= self.limits.max_connections {
            let now = clock::elapsed();
            let leaver = open
                .iter()
                .filter(|(_, visitor)| match visitor.doing {
                    Doing::Idle => true,
                    Doing::Reading => now.saturating_sub(visitor.since) > self.limits.patience,
                    Doing::Answering => false,
                })
                .min_by_key(|(_, visitor)| (visitor.doing != Doing::Idle, visitor.since))
                .map(|(number, _)| *number);
            let Some(leaver) = leaver.and_then(|number| open.remove(&number)) else {
                return false;
            };
            // Wakes its thread, which ends. An error means that the client has already closed it.
            let _ = leaver.stream.shutdown(Shutdown::Both);
        }
        let stream = Arc::clone(stream);
        open.insert(number, OpenConnection { stream, doing: Doing::Idle, since: clock::elapsed() });
        true
    }
}

/// Answers one request. After a panic the client gets 500.
pub type Handler = Arc<dyn Fn(Request) -> Response + Send + Sync>;
