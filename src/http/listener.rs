//! A small, robust HTTP/1.1 server: one thread for each connection, everything bounded. A request
//! has one deadline for all of it. At the limit of connections, a slow or idle connection is closed
//! for a new one; if all are busy, the new one gets 503. TLS is the work of a reverse proxy.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clock;
use crate::http::connection::Visit;
use crate::http::connections::{Connections, Doing, Handler, Limits};
use crate::http::log_limiter::LogLimiter;

/// Stack of a connection's thread; handlers must not recurse deeply.
const STACK_BYTES: usize = 256 * 1024;
/// The interval at which waiting threads read the stop flag.
const GLANCE: Duration = Duration::from_millis(100);
/// At most one log line in this time about bodies that are too large.
const SELDOM: Duration = Duration::from_secs(60);
/// At most this many threads of closing connections may run beyond the limit of connections.
const LEAVING: u64 = 64;

/// A bound address that does not answer requests yet.
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

    /// Answers requests in its own threads until `stop` is true.
    pub fn serve(
        self,
        handler: Handler,
        limits: Limits,
        stop: Arc<AtomicBool>,
    ) -> io::Result<Serving> {
        let connections = Arc::new(Connections {
            handler,
            limits,
            stop: Arc::clone(&stop),
            open: Mutex::new(BTreeMap::new()),
            threads: AtomicU64::new(0),
            large_bytes: AtomicUsize::new(0),
            too_large: [LogLimiter::new(SELDOM), LogLimiter::new(SELDOM)],
        });
        let accept =
            Builder::new().name("http-accept".to_string()).stack_size(STACK_BYTES).spawn({
                let connections = Arc::clone(&connections);
                move || accept_until_stopped(&self.socket, &connections)
            })?;
        Ok(Serving { stop, accept: Some(accept), connections })
    }
}

/// A running server. Stops when it is dropped.
pub struct Serving {
    stop: Arc<AtomicBool>,
    accept: Option<JoinHandle<()>>,
    connections: Arc<Connections>,
}

impl Serving {
    /// Accepts no further requests, closes the open connections and waits for all threads to end.
    /// A running handler gets two seconds.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(accept) = self.accept.take() {
            // A panic has ended the accept loop too, so it is ignored.
            let _ = accept.join();
        }
        let until = clock::elapsed() + Duration::from_secs(2);
        while self.connections.threads.load(Ordering::SeqCst) > 0 && clock::elapsed() < until {
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

fn accept_until_stopped(socket: &TcpListener, connections: &Arc<Connections>) {
    let mut number = 0;
    while !connections.stop.load(Ordering::SeqCst) {
        match socket.accept() {
            Ok((stream, peer)) => {
                number += 1;
                welcome(connections, number, stream, peer);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_readable(socket),
            // No free descriptor, or the client gave up: continue after a short pause.
            Err(_) => clock::pause(Duration::from_millis(20)),
        }
    }
    for visitor in connections.open().values().filter(|visitor| visitor.doing != Doing::Answering) {
        // An error means that the client has already closed it.
        let _ = visitor.stream.shutdown(Shutdown::Both);
    }
}

/// Sleeps until a client connects, at most for `GLANCE`.
fn wait_readable(socket: &TcpListener) {
    let glance = Timespec::try_from(GLANCE).ok();
    // An error means that a signal came; the caller looks again.
    let _ = poll(&mut [PollFd::new(socket, PollFlags::IN)], glance.as_ref());
}

fn welcome(connections: &Arc<Connections>, number: u64, stream: TcpStream, peer: SocketAddr) {
    let stream = Arc::new(stream);
    let room = connections.threads.load(Ordering::SeqCst)
        < connections.limits.max_connections as u64 + LEAVING
        && connections.admit(number, &stream);
    if !room {
        turn_away(&stream);
        return;
    }
    connections.threads.fetch_add(1, Ordering::SeqCst);
    let visitor = Visit::new(Arc::clone(connections), number, stream, peer);
    let name = format!("http-{number}");
    // If no thread can start, the closure is dropped, and that closes the connection.
    let _ = Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || visitor.serve());
}

/// Sends 503 without waiting for the client.
fn turn_away(mut stream: &TcpStream) {
    let full = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n";
    if stream.set_nonblocking(true).is_ok() {
        // Read the bytes that came so far, so that closing does not reset the connection before the
        // client reads the 503. Errors are ignored: then the client gets no answer.
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write(full);
        let _ = stream.shutdown(Shutdown::Write);
    }
}
