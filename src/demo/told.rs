//! What goes in and out of the fake's core: requests, filters, answers, and the answers that are
//! none. Values only; refuses to know sockets.

use std::time::Duration as RealTime;

use crate::demo::calls::{Order, Record};
use crate::demo::faults::FaultKind;
use crate::demo::roulette::Striking;
use crate::domain::Instant;

/// An answer in the provider's own JSON shape that is no success.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub status: u16,
    /// Several messages come as an array, one as a text.
    pub messages: Vec<String>,
    pub as_array: bool,
    pub retry_after_secs: Option<u64>,
}

impl Refusal {
    pub fn one(status: u16, message: &str) -> Refusal {
        let messages = vec![message.to_string()];
        Refusal { status, messages, as_array: false, retry_after_secs: None }
    }
}

/// What the client gets when it does not get what it asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Refused(Refusal),
    /// A page as of an edge in front of the provider.
    Html(u16),
    /// `None`: to the same address.
    Redirect {
        status: u16,
        to: Option<String>,
    },
    /// No byte, and the connection closed.
    Close,
    Reset,
    Hang(RealTime),
    /// A 200 that breaks off.
    Cut,
}

/// What the client is told, and how.
#[derive(Clone, Debug)]
pub struct Told<T> {
    pub what: Result<T, Reply>,
    /// `None`: no `Date` header.
    pub date: Option<Instant>,
    /// Real time to wait before the answer goes out.
    pub latency: RealTime,
}

/// How the body of a 201 looks. Whatever it looks like, the call is placed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    Whole,
    Empty,
    Truncated,
    Html,
    /// Followed by so many megabytes.
    Huge(f64),
    /// One byte each so often.
    Drip(RealTime),
    NoId,
    Array,
}

/// A 201.
#[derive(Clone, Debug)]
pub struct Placed {
    pub record: Record,
    pub form: Form,
    pub concurrency_blocked: bool,
    pub concurrency_limit: usize,
    pub remaining_calls: usize,
}

/// A POST as it came in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What it asked for, or why that cannot be asked.
    pub order: Result<Order, Refusal>,
    pub authorized: bool,
    pub client_port: Option<u16>,
}

/// Filters of a list, as the provider has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// 1 to 1000.
    pub limit: usize,
    pub from: Option<Instant>,
    pub after: Option<Instant>,
    pub to: Option<Instant>,
    pub before: Option<Instant>,
}

impl Default for Query {
    fn default() -> Self {
        Query { limit: 100, from: None, after: None, to: None, before: None }
    }
}

impl Query {
    pub(super) fn takes(&self, at: Instant) -> bool {
        self.from.is_none_or(|limit| limit <= at)
            && self.after.is_none_or(|limit| limit < at)
            && self.to.is_none_or(|limit| at <= limit)
            && self.before.is_none_or(|limit| at < limit)
    }
}

/// The provider's refusal with this status, in its own words where they are known.
pub fn refused(status: u16) -> Reply {
    let message = match status {
        401 => {
            "Invalid Key. Hot tip, you may be using the private key instead of the public key, or \
             vice versa."
        }
        402 => "Your wallet balance is too low.",
        403 => "Forbidden resource",
        404 => "Not found.",
        408 => "Request timeout",
        409 => "Conflict",
        425 => "Too early",
        429 => "Too many requests",
        500 => "Internal server error",
        502 => "Bad gateway",
        503 => "Service unavailable",
        504 => "Gateway timeout",
        _ => "The request could not be handled.",
    };
    Reply::Refused(Refusal::one(status, message))
}

/// What the client hears of an accepted call when it hears nothing good; `None` for a 201.
pub(super) fn lost_answer(striking: &Striking) -> Option<Reply> {
    use FaultKind::*;
    let status = |kind| striking.get(kind).map(|fault| fault.status());
    if striking.has(AcceptThenClose) || striking.has(DelayedAccept) {
        return Some(Reply::Close);
    }
    if striking.has(AcceptThenReset) {
        return Some(Reply::Reset);
    }
    if let Some(fault) = striking.get(AcceptThenHang) {
        return Some(Reply::Hang(fault.real_time()));
    }
    if let Some(status) = status(AcceptStatusHtml) {
        return Some(Reply::Html(status));
    }
    status(AcceptStatus).map(refused)
}

/// How the body of the 201 looks.
pub(super) fn form(striking: &Striking) -> Form {
    use FaultKind::*;
    let plain = [
        (ReplyEmpty, Form::Empty),
        (ReplyTruncated, Form::Truncated),
        (ReplyHtml, Form::Html),
        (ReplyNoId, Form::NoId),
        (ReplyArray, Form::Array),
    ];
    if let Some((_, form)) = plain.into_iter().find(|(kind, _)| striking.has(*kind)) {
        return form;
    }
    if let Some(fault) = striking.get(ReplyHuge) {
        return Form::Huge(fault.number());
    }
    striking.get(ReplyDrip).map_or(Form::Whole, |fault| Form::Drip(fault.real_time()))
}

/// The answer with its date and its delay.
pub(super) fn tell<T>(what: Result<T, Reply>, striking: &Striking, now: Instant) -> Told<T> {
    let skew = striking.get(FaultKind::DateSkew).map(|fault| fault.span());
    let date = now + skew.unwrap_or_default();
    let latency = striking.get(FaultKind::Latency).map_or(0.0, |fault| fault.number().max(0.0));
    Told {
        what,
        date: (!striking.has(FaultKind::NoDate)).then_some(date),
        latency: RealTime::from_millis(latency as u64),
    }
}

pub(super) const DAILY_LIMIT: &str = "Couldn't Start Call. Numbers Bought On Vapi Have A Daily Outbound Call \
                           Limit. Import Your Own Twilio Numbers To Scale Without Limits.";
