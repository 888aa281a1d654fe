//! A small, hard HTTP/1.1 server: one thread for each connection, everything bounded. Refuses to
//! wait: a request has one deadline for all of it, a full house answers 503, and whoever is slow
//! or idle makes room for whoever is not. Speaks no TLS; that is a reverse proxy's work.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::clock;
use crate::web::delivery::Response;
use crate::web::http::Request;
use crate::web::quiet::Quiet;
use crate::web::visit::Visit;

/// Answers one request. May panic: the client then sees 500 and the connection ends.
pub type Handler = Arc<dyn Fn(Request) -> Response + Send + Sync>;

/// Stack of a connection's thread; handlers must not recurse deeply.
const STACK_BYTES: usize = 256 * 1024;
/// How often waiting threads look at the stop flag.
const GLANCE: Duration = Duration::from_millis(100);
/// One line about bodies that are too large in that time.
const SELDOM: Duration = Duration::from_secs(60);
/// Connections that were told to go may run so many threads beyond the limit.
const LEAVING: u64 = 64;

/// What one client may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_connections: usize,
    pub head_bytes: usize,
    pub body_bytes: usize,
    /// For the whole request, from its first byte to its last.
    pub request_deadline: Duration,
    /// For the whole answer.
    pub answer_deadline: Duration,
    /// How long a connection may wait for the first byte of a request.
    pub idle: Duration,
    /// In a full house a request that is not complete after so long makes room for a new one.
    pub patience: Duration,
    pub requests_per_connection: usize,
    /// The one path that takes larger bodies.
    pub large: Option<Large>,
}

/// A path whose bodies may be larger than `body_bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Large {
    pub path: &'static str,
    pub body_bytes: usize,
    /// All of such bodies that are in memory at once, beyond `body_bytes` each: whoever comes then
    /// is not read until there is room.
    pub memory_bytes: usize,
}

impl Limits {
    /// The largest body of a path.
    pub fn body_of(&self, path: &str) -> usize {
        match self.large {
            Some(large) if large.path == path => large.body_bytes,
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

/// A bound address that does not answer yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
}

impl Listener {
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Listener> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Listener { socket })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Starts to answer, in threads of its own, until `stop` is true.
    pub fn serve(
        self,
        handler: Handler,
        limits: Limits,
        stop: Arc<AtomicBool>,
    ) -> io::Result<Serving> {
        let house = Arc::new(House {
            handler,
            limits,
            stop: Arc::clone(&stop),
            guests: Mutex::new(BTreeMap::new()),
            threads: AtomicU64::new(0),
            large_bytes: AtomicUsize::new(0),
            too_large: [Quiet::new(SELDOM), Quiet::new(SELDOM)],
        });
        let accept =
            Builder::new().name("http-accept".to_string()).stack_size(STACK_BYTES).spawn({
                let house = Arc::clone(&house);
                move || accept_until_stopped(&self.socket, &house)
            })?;
        Ok(Serving { stop, accept: Some(accept), house })
    }
}

/// A server at work. Stops when it is dropped.
pub struct Serving {
    stop: Arc<AtomicBool>,
    accept: Option<JoinHandle<()>>,
    house: Arc<House>,
}

impl Serving {
    /// Takes no more requests, ends the open connections and waits until all threads are gone
    /// (a handler that is at work is given two seconds).
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(accept) = self.accept.take() {
            // A panic of the accept loop has ended it, which is what is asked for here.
            let _ = accept.join();
        }
        let until = clock::elapsed() + Duration::from_secs(2);
        while self.house.threads.load(Ordering::SeqCst) > 0 && clock::elapsed() < until {
            clock::pause(Duration::from_millis(5));
        }
    }

    /// Waits until somebody sets the stop flag.
    pub fn join(&mut self) {
        while !self.stop.load(Ordering::SeqCst) {
            clock::pause(GLANCE);
        }
        self.stop();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What all connections share.
pub(super) struct House {
    pub handler: Handler,
    pub limits: Limits,
    pub stop: Arc<AtomicBool>,
    /// By number, so the oldest comes first.
    guests: Mutex<BTreeMap<u64, Guest>>,
    pub threads: AtomicU64,
    /// What large bodies hold of the memory that they share.
    pub large_bytes: AtomicUsize,
    /// Bodies over the usual limit, and over that of the large path.
    pub too_large: [Quiet; 2],
}

/// One connection, as the accept loop sees it.
pub(super) struct Guest {
    stream: Arc<TcpStream>,
    doing: Doing,
    /// Of `clock::elapsed`.
    since: Duration,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Doing {
    /// Between requests; nothing is lost when it goes.
    Idle,
    /// A request is coming in.
    Reading,
    /// The handler is at work or the answer goes out.
    Answering,
}

impl House {
    pub fn guests(&self) -> MutexGuard<'_, BTreeMap<u64, Guest>> {
        // The map is whole between any two statements, so a panic elsewhere cannot have broken it.
        self.guests.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn mark(&self, number: u64, doing: Doing) {
        if let Some(guest) = self.guests().get_mut(&number) {
            guest.doing = doing;
            guest.since = clock::elapsed();
        }
    }

    /// Takes a connection in; `false` when the house is full of guests that are at work.
    fn admit(&self, number: u64, stream: &Arc<TcpStream>) -> bool {
        let mut guests = self.guests();
        if guests.len() >= self.limits.max_connections {
            let now = clock::elapsed();
            let leaver = guests
                .iter()
                .filter(|(_, guest)| match guest.doing {
                    Doing::Idle => true,
                    Doing::Reading => now.saturating_sub(guest.since) > self.limits.patience,
                    Doing::Answering => false,
                })
                .min_by_key(|(_, guest)| (guest.doing != Doing::Idle, guest.since))
                .map(|(number, _)| *number);
            let Some(leaver) = leaver.and_then(|number| guests.remove(&number)) else {
                return false;
            };
            // Wakes its thread, which ends. An error means that the client has gone already.
            let _ = leaver.stream.shutdown(Shutdown::Both);
        }
        let stream = Arc::clone(stream);
        guests.insert(number, Guest { stream, doing: Doing::Idle, since: clock::elapsed() });
        true
    }
}

fn accept_until_stopped(socket: &TcpListener, house: &Arc<House>) {
    let mut number = 0;
    while !house.stop.load(Ordering::SeqCst) {
        match socket.accept() {
            Ok((stream, peer)) => {
                number += 1;
                welcome(house, number, stream, peer);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_readable(socket),
            // Out of descriptors, or the client gave up: nothing to do but go on, unhurried.
            Err(_) => clock::pause(Duration::from_millis(20)),
        }
    }
    for guest in house.guests().values().filter(|guest| guest.doing != Doing::Answering) {
        // An error means that the client has gone already.
        let _ = guest.stream.shutdown(Shutdown::Both);
    }
}

/// Sleeps until somebody connects, or for one glance.
fn wait_readable(socket: &TcpListener) {
    use std::os::fd::AsRawFd;
    let mut wanted = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd is passed, and its descriptor is open while `socket` lives.
    unsafe { libc::poll(&raw mut wanted, 1, GLANCE.as_millis() as libc::c_int) };
}

fn welcome(house: &Arc<House>, number: u64, stream: TcpStream, peer: SocketAddr) {
    let stream = Arc::new(stream);
    let room = house.threads.load(Ordering::SeqCst) < house.limits.max_connections as u64 + LEAVING
        && house.admit(number, &stream);
    if !room {
        turn_away(&stream);
        return;
    }
    house.threads.fetch_add(1, Ordering::SeqCst);
    let guest = Visit::new(Arc::clone(house), number, stream, peer);
    let name = format!("http-{number}");
    // When no thread can be had, `guest` is dropped here: it leaves the house and hangs up.
    let _ = Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || guest.serve());
}

/// Says 503 without ever waiting for the client.
fn turn_away(mut stream: &TcpStream) {
    let full = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n";
    if stream.set_nonblocking(true).is_ok() {
        // What was sent so far is taken off, so that closing does not reset the 503 away. All of
        // this is a courtesy: any error means that the client does without it.
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write(full);
        let _ = stream.shutdown(Shutdown::Write);
    }
}
