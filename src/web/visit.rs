//! One connection: reads a request under its deadline, has it answered, and goes on or hangs up.
//! Refuses to keep more of a client in memory than the limits allow.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock;
use crate::web::delivery::{Outgoing, Response, time_left};
use crate::web::http::{ChunkReader, Framing, Head, Refused, Request, parse_head};
use crate::web::listener::{Doing, House};
use crate::web::problem::Problem;

/// One connection from its first byte to its last; leaves the house when dropped.
pub(super) struct Visit {
    pub house: Arc<House>,
    pub number: u64,
    pub stream: Arc<TcpStream>,
    pub peer: SocketAddr,
    /// Bytes that came and belong to a request that is not read yet.
    pub unread: Vec<u8>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.house.guests().remove(&self.number);
        self.house.threads.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Why no request came.
enum NoRequest {
    /// The client went away, or was silent for too long between requests.
    Gone,
    Refused(Refused),
}

impl From<io::Error> for NoRequest {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                NoRequest::Refused(Refused { status: 408, why: "the request took too long" })
            }
            _ => NoRequest::Gone,
        }
    }
}

impl From<Refused> for NoRequest {
    fn from(refused: Refused) -> Self {
        NoRequest::Refused(refused)
    }
}

impl Visit {
    pub fn serve(mut self) {
        // On Linux an accepted socket blocks, elsewhere it may not. Errors show at the first read.
        let _ = self.stream.set_nonblocking(false);
        let _ = self.stream.set_nodelay(true);
        for served in 1..=self.house.limits.requests_per_connection {
            if !self.wait_for_first_byte() || self.house.stop.load(Ordering::SeqCst) {
                return;
            }
            self.house.mark(self.number, Doing::Reading);
            let last = served == self.house.limits.requests_per_connection;
            if !self.one_request(last) {
                return;
            }
            self.house.mark(self.number, Doing::Idle);
        }
    }

    fn wait_for_first_byte(&mut self) -> bool {
        let until = clock::elapsed() + self.house.limits.idle;
        !self.unread.is_empty() || self.read_more(until).is_ok()
    }

    /// Reads and answers one request. False when the connection is over.
    fn one_request(&mut self, last: bool) -> bool {
        let (head, request) = match self.read_request() {
            Ok(read) => read,
            Err(NoRequest::Gone) => return false,
            Err(NoRequest::Refused(refused)) => {
                self.house.mark(self.number, Doing::Answering);
                let answer = Problem::new(refused.status, refused.why).response();
                if self.send(&answer, false, false).is_ok() {
                    self.house.mark(self.number, Doing::Idle);
                    self.linger();
                }
                return false;
            }
        };
        self.house.mark(self.number, Doing::Answering);
        let handler = &self.house.handler;
        let response = catch_unwind(AssertUnwindSafe(|| handler(request)))
            .unwrap_or_else(|_| Response::text(500, "the request could not be handled"));
        let keep_alive = head.keep_alive && !last && !self.house.stop.load(Ordering::SeqCst);
        self.send(&response, keep_alive, head.is_head_method()).unwrap_or(false)
    }

    fn send(&self, response: &Response, keep_alive: bool, head_only: bool) -> io::Result<bool> {
        let deadline = clock::elapsed() + self.house.limits.answer_deadline;
        let stop = &self.house.stop;
        Outgoing { stream: &self.stream, deadline, head_only, stop }.send(response, keep_alive)
    }

    fn read_request(&mut self) -> Result<(Head, Request), NoRequest> {
        let limits = self.house.limits;
        let deadline = clock::elapsed() + limits.request_deadline;
        let end = self.read_head(limits.head_bytes, deadline)?;
        let head = parse_head(&self.unread[..end], limits.body_bytes)?;
        self.unread.drain(..end);
        if head.expects_continue && head.framing != Framing::Length(0) && self.unread.is_empty() {
            self.send(&Response::new(100), true, false)?;
        }
        let body = match head.framing {
            Framing::Length(length) => {
                while self.unread.len() < length {
                    self.read_more(deadline)?;
                }
                self.unread.drain(..length).collect()
            }
            Framing::Chunked => {
                let mut chunks = ChunkReader::new(limits.body_bytes);
                while !chunks.take(&mut self.unread)? {
                    self.read_more(deadline)?;
                }
                chunks.into_body()
            }
        };
        let request = head.clone().with_body(body, self.peer);
        Ok((head, request))
    }

    /// Reads until the empty line; gives the length of the head with it.
    fn read_head(&mut self, limit: usize, deadline: Duration) -> Result<usize, NoRequest> {
        let mut searched = 0;
        loop {
            // One empty line before a request is what old clients send after a body.
            if searched == 0 && self.unread.starts_with(b"\r\n") {
                self.unread.drain(..2);
            }
            let found = self.unread[searched..].windows(4).position(|four| four == b"\r\n\r\n");
            match found.map(|at| searched + at + 4) {
                Some(end) if end <= limit => return Ok(end),
                None if self.unread.len() < limit => {}
                _ => return Err(Refused { status: 431, why: "the head is too large" }.into()),
            }
            searched = self.unread.len().saturating_sub(3);
            self.read_more(deadline)?;
        }
    }

    /// Reads what there is; an error at the deadline and at the end of the stream.
    fn read_more(&mut self, deadline: Duration) -> io::Result<()> {
        let mut piece = [0; 8 * 1024];
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

    /// Reads and forgets for a moment, so that closing does not reset the answer away.
    fn linger(&mut self) {
        let until = clock::elapsed() + Duration::from_secs(1);
        // An error means that nobody waits for the answer any more.
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut forgotten = 0;
        while forgotten < 1024 * 1024 && self.read_more(until).is_ok() {
            forgotten += self.unread.len();
            self.unread.clear();
        }
    }
}
