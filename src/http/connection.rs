//! One connection: reads a request under its deadline, sends the answer, and continues or closes.
//! The limits bound the bytes of a client in memory.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock;
use crate::http::connections::{Connections, Doing};
use crate::http::problem::Problem;
use crate::http::request::{BadRequest, ChunkReader, Framing, Head, Request, parse_head, refuse};
use crate::http::response::{Outgoing, Response, time_left};

/// The most bytes of one read.
const PIECE: usize = 8 * 1024;
/// At most this many bytes of a refused body are read and discarded.
const LINGERING: usize = 4 * 1024 * 1024;

/// One connection from its first byte to its last; its drop removes it from the open connections.
pub(crate) struct Visit {
    pub connections: Arc<Connections>,
    pub number: u64,
    pub stream: Arc<TcpStream>,
    pub peer: SocketAddr,
    /// Received bytes of a request that is not read yet.
    unread: Vec<u8>,
    /// Bytes of the memory for large bodies that the current body occupies.
    reserved: usize,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.release();
        self.connections.open().remove(&self.number);
        self.connections.threads.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Why no request came.
enum NoRequest {
    /// The client closed the connection, or was silent for too long between requests.
    Gone,
    BadRequest(BadRequest),
    /// The body is larger than this many bytes.
    TooLarge(usize),
}

impl From<io::Error> for NoRequest {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                NoRequest::BadRequest(BadRequest { status: 408, why: "the request took too long" })
            }
            _ => NoRequest::Gone,
        }
    }
}

impl From<BadRequest> for NoRequest {
    fn from(refused: BadRequest) -> Self {
        NoRequest::BadRequest(refused)
    }
}

impl Visit {
    pub fn new(
        connections: Arc<Connections>,
        number: u64,
        stream: Arc<TcpStream>,
        peer: SocketAddr,
    ) -> Visit {
        Visit { connections, number, stream, peer, unread: Vec::new(), reserved: 0 }
    }

    pub fn serve(mut self) {
        // On Linux an accepted socket blocks, elsewhere it may not. The first read reports errors.
        let _ = self.stream.set_nonblocking(false);
        let _ = self.stream.set_nodelay(true);
        for served in 1..=self.connections.limits.requests_per_connection {
            if !self.wait_for_first_byte() || self.connections.stop.load(Ordering::SeqCst) {
                return;
            }
            self.connections.mark(self.number, Doing::Reading);
            let last = served == self.connections.limits.requests_per_connection;
            if !self.one_request(last) {
                return;
            }
            self.connections.mark(self.number, Doing::Idle);
        }
    }

    fn wait_for_first_byte(&mut self) -> bool {
        let until = clock::elapsed() + self.connections.limits.idle;
        !self.unread.is_empty() || self.read_more(until).is_ok()
    }

    /// Reads and answers one request. `false` when the connection must close.
    fn one_request(&mut self, last: bool) -> bool {
        let (head, request) = match self.read_request() {
            Ok(read) => read,
            Err(NoRequest::Gone) => return false,
            Err(NoRequest::BadRequest(refused)) => {
                return self.refuse(&Problem::new(refused.status, refused.why));
            }
            Err(NoRequest::TooLarge(limit)) => return self.refuse(&self.too_large(limit)),
        };
        self.connections.mark(self.number, Doing::Answering);
        let handler = &self.connections.handler;
        let response = catch_unwind(AssertUnwindSafe(|| handler(request)))
            .unwrap_or_else(|_| Response::text(500, "the request could not be handled"));
        self.release();
        let keep_alive = head.keep_alive && !last && !self.connections.stop.load(Ordering::SeqCst);
        self.send(&response, keep_alive, head.is_head_method()).unwrap_or(false)
    }

    /// Sends the refusal and closes the connection; always `false`.
    fn refuse(&mut self, problem: &Problem) -> bool {
        self.release();
        self.connections.mark(self.number, Doing::Answering);
        if self.send(&problem.response(), false, false).is_ok() {
            self.connections.mark(self.number, Doing::Idle);
            self.linger();
        }
        false
    }

    /// Names the limit in the answer and in the log, so that the loss of a report from the provider
    /// is visible.
    fn too_large(&self, limit: usize) -> Problem {
        let is_large = self.connections.limits.large.is_some_and(|large| large.body_bytes == limit);
        let (whose, hint) = match is_large {
            true => (
                "a webhook",
                "the call is still polled; remove transcripts and messages from the assistant's \
                 reports",
            ),
            false => ("a request", "send less at once"),
        };
        let limit = match limit % (1024 * 1024) {
            0 => format!("{} MiB", limit / (1024 * 1024)),
            _ => format!("{} KiB", limit / 1024),
        };
        let line = format!("{whose} was refused: its body is larger than {limit}; {hint}");
        self.connections.too_large[usize::from(is_large)].warn(&line);
        Problem::new(413, format!("the body is larger than {limit}"))
    }

    fn send(&self, response: &Response, keep_alive: bool, head_only: bool) -> io::Result<bool> {
        let deadline = clock::elapsed() + self.connections.limits.answer_deadline;
        let stop = &self.connections.stop;
        Outgoing { stream: &self.stream, deadline, head_only, stop }.send(response, keep_alive)
    }

    fn read_request(&mut self) -> Result<(Head, Request), NoRequest> {
        let limits = self.connections.limits;
        let deadline = clock::elapsed() + limits.request_deadline;
        let end = self.read_head(limits.head_bytes, deadline)?;
        let head = parse_head(&self.unread[..end])?;
        self.unread.drain(..end);
        let limit = limits.body_of(head.path());
        if matches!(head.framing, Framing::Length(length) if limit < length) {
            return Err(NoRequest::TooLarge(limit));
        }
        if head.expects_continue && head.framing != Framing::Length(0) && self.unread.is_empty() {
            self.send(&Response::new(100), true, false)?;
        }
        let body = match head.framing {
            Framing::Length(length) => {
                while self.unread.len() < length {
                    self.reserve(length, self.unread.len(), deadline)?;
                    self.read_more(deadline)?;
                }
                let rest = self.unread.split_off(length);
                std::mem::replace(&mut self.unread, rest)
            }
            Framing::Chunked => {
                let mut chunks = ChunkReader::new(limit);
                loop {
                    match chunks.take(&mut self.unread) {
                        Ok(true) => break chunks.into_body(),
                        Ok(false) => {}
                        Err(refused) if refused.status == 413 => {
                            return Err(NoRequest::TooLarge(limit));
                        }
                        Err(refused) => return Err(refused.into()),
                    }
                    self.reserve(limit, chunks.held() + self.unread.len(), deadline)?;
                    self.read_more(deadline)?;
                }
            }
        };
        let request = head.clone().with_body(body, self.peer);
        Ok((head, request))
    }

    /// Reserves the memory for a whole large body, or waits for it. All at once, so that two bodies
    /// never wait for each other. Only when `held` shows that the client really sends a large body.
    fn reserve(&mut self, body: usize, held: usize, deadline: Duration) -> Result<(), NoRequest> {
        let limits = self.connections.limits;
        let Some(large) = limits.large else { return Ok(()) };
        if held < limits.body_bytes || body <= limits.body_bytes || self.reserved > 0 {
            return Ok(());
        }
        let wanted = (body - limits.body_bytes).min(large.memory_bytes);
        let take = |taken: usize| Some(taken + wanted).filter(|all| *all <= large.memory_bytes);
        let order = Ordering::SeqCst;
        while self.connections.large_bytes.fetch_update(order, order, take).is_err() {
            if self.connections.stop.load(order) {
                return Err(NoRequest::Gone);
            }
            if time_left(deadline).is_err() {
                return refuse(503, "too many large bodies at once; try again").map_err(Into::into);
            }
            clock::pause(Duration::from_millis(10));
        }
        self.reserved = wanted;
        Ok(())
    }

    /// Frees the reserved memory.
    fn release(&mut self) {
        let reserved = std::mem::take(&mut self.reserved);
        self.connections.large_bytes.fetch_sub(reserved, Ordering::SeqCst);
    }

    /// Reads until the empty line. Returns the length of the head including that line.
    fn read_head(&mut self, limit: usize, deadline: Duration) -> Result<usize, NoRequest> {
        let mut searched = 0;
        loop {
            // Old clients send one empty line after a body.
            if searched == 0 && self.unread.starts_with(b"\r\n") {
                self.unread.drain(..2);
            }
            let found = self.unread[searched..].windows(4).position(|four| four == b"\r\n\r\n");
            match found.map(|at| searched + at + 4) {
                Some(end) if end <= limit => return Ok(end),
                None if self.unread.len() < limit => {}
                _ => return Err(BadRequest { status: 431, why: "the head is too large" }.into()),
            }
            searched = self.unread.len().saturating_sub(3);
            self.read_more(deadline)?;
        }
    }

    /// Reads available bytes. An error at the deadline and at the end of the stream.
    fn read_more(&mut self, deadline: Duration) -> io::Result<()> {
        let mut piece = [0; PIECE];
        let mut stream: &TcpStream = &self.stream;
        loop {
            stream.set_read_timeout(Some(time_left(deadline)?))?;
            match stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.unread.extend_from_slice(&piece[..read]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads and discards for at most a second, because a reset could destroy the sent answer.
    fn linger(&mut self) {
        let until = clock::elapsed() + Duration::from_secs(1);
        // An error means that the client no longer waits for the answer.
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut forgotten = 0;
        while forgotten < LINGERING && self.read_more(until).is_ok() {
            forgotten += self.unread.len();
            self.unread.clear();
        }
    }
}
