//! Answers, and how they are sent. A real answer is sent whole. The other ways are for the fake
//! provider, which simulates faults of networks.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use crate::clock;

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    /// Written in this order; `Content-Length` and `Connection` are added when it is sent.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub delivery: Delivery,
}

/// How an answer is sent. Every way except `Whole` ends the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Delivery {
    #[default]
    Whole,
    /// No byte; the connection is closed in order.
    Close,
    /// No byte; the connection is reset.
    Reset,
    /// No byte for this time, then the connection is closed.
    Hang(Duration),
    /// The full length is announced, but only this many bytes of the body are sent.
    Cut(usize),
    /// The body byte by byte, with a pause before each.
    Drip(Duration),
    /// The body, then this many spaces.
    Padded(u64),
}

impl Response {
    pub fn new(status: u16) -> Response {
        Response { status, ..Response::default() }
    }

    pub fn text(status: u16, text: &str) -> Response {
        Response::new(status)
            .with_header("Content-Type", "text/plain; charset=utf-8")
            .with_body(format!("{text}\n").into_bytes())
    }

    pub fn json(status: u16, value: &serde_json::Value) -> Response {
        Response::new(status)
            .with_header("Content-Type", "application/json; charset=utf-8")
            .with_body(value.to_string().into_bytes())
    }

    pub fn html(status: u16, page: &str) -> Response {
        Response::new(status)
            .with_header("Content-Type", "text/html; charset=utf-8")
            .with_body(page.as_bytes().to_vec())
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Response {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    pub fn with_body(mut self, body: Vec<u8>) -> Response {
        self.body = body;
        self
    }

    pub fn with_delivery(mut self, delivery: Delivery) -> Response {
        self.delivery = delivery;
        self
    }

    /// Whether the status is valid and no header can break out of its line.
    fn is_well_formed(&self) -> bool {
        let clean = |text: &str| !text.chars().any(|c| c.is_control() && c != '\t');
        (100..1000).contains(&self.status)
            && self.headers.iter().all(|(n, v)| !n.is_empty() && clean(n) && clean(v))
    }

    /// The status line and the headers, up to the empty line.
    fn head(&self, close: bool) -> Vec<u8> {
        let padding = if let Delivery::Padded(bytes) = self.delivery { bytes } else { 0 };
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.has_no_body() {
            let length = self.body.len() as u64 + padding;
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        if close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn has_no_body(&self) -> bool {
        self.status < 200 || self.status == 204 || self.status == 304
    }
}

/// The state of a connection while it sends an answer.
pub(crate) struct Outgoing<'a> {
    pub stream: &'a TcpStream,
    /// On `clock::elapsed`; nothing is written after it.
    pub deadline: Duration,
    /// The request was a HEAD: the length is sent without the body.
    pub head_only: bool,
    pub stop: &'a AtomicBool,
}

impl Outgoing<'_> {
    /// Sends the answer. `true` when the connection may serve another request.
    pub fn send(&self, response: &Response, keep_alive: bool) -> io::Result<bool> {
        if !response.is_well_formed() {
            return self.send(&Response::text(500, "the answer was malformed"), false);
        }
        let head = response.head(!keep_alive || response.delivery != Delivery::Whole);
        let body: &[u8] =
            if self.head_only || response.has_no_body() { &[] } else { &response.body };
        match response.delivery {
            Delivery::Whole => {
                self.write(&[&head, body].concat())?;
                return Ok(keep_alive);
            }
            Delivery::Close => {}
            Delivery::Reset => reset_on_close(self.stream),
            Delivery::Hang(duration) => self.wait(duration),
            Delivery::Cut(bytes) => {
                self.write(&[&head, &body[..bytes.min(body.len())]].concat())?;
            }
            Delivery::Drip(pause) => {
                self.write(&head)?;
                for byte in body {
                    self.wait(pause);
                    self.write(&[*byte])?;
                }
            }
            Delivery::Padded(bytes) => {
                self.write(&[&head, body].concat())?;
                self.pad(bytes)?;
            }
        }
        Ok(false)
    }

    fn pad(&self, bytes: u64) -> io::Result<()> {
        let block = [b' '; 16 * 1024];
        let mut left = bytes;
        while left > 0 {
            let piece = left.min(block.len() as u64) as usize;
            self.write(&block[..piece])?;
            left -= piece as u64;
        }
        Ok(())
    }

    /// Writes everything, or fails at the deadline, even if the client reads slowly.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        let mut stream = self.stream;
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(time_left(self.deadline)?))?;
            match stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait(&self, duration: Duration) {
        let until = (clock::elapsed() + duration).min(self.deadline);
        while !self.stop.load(Ordering::SeqCst) {
            let left = until.saturating_sub(clock::elapsed());
            if left.is_zero() {
                return;
            }
            clock::pause(left.min(Duration::from_millis(50)));
        }
    }
}

/// The time until a deadline, as a socket timeout; an error when no time is left.
pub(crate) fn time_left(deadline: Duration) -> io::Result<Duration> {
    let left = deadline.saturating_sub(clock::elapsed());
    // For a socket, a timeout of zero means no timeout.
    if left < Duration::from_millis(1) { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Turns the next close into a reset, which discards bytes that the client has not read.
fn reset_on_close(stream: &TcpStream) {
    if set_socket_linger(stream, Some(Duration::ZERO)).is_err() {
        // Without the option the client sees an orderly close, which is a fault as well.
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// The words after a status code, for people only.
fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}
