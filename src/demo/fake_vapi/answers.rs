//! The values that go in and out of the fake's core: requests, filters, answers, and failures to
//! answer. This module has no sockets.

use std::time::Duration as RealTime;

use crate::demo::fake_vapi::calls::{Order, Record};
use crate::demo::fake_vapi::fault_draw::Striking;
use crate::demo::fake_vapi::faults::FaultKind;
use crate::domain::Instant;

/// A refusal in the provider's own JSON shape.
#[derive(Clone, Debug, PartialEq)]
pub struct FakeRefusal {
    pub status: u16,
    /// Sent as a text if there is one and `as_array` is not set, otherwise as an array.
    pub messages: Vec<String>,
    pub as_array: bool,
    pub retry_after_secs: Option<u64>,
}

impl FakeRefusal {
    pub fn one(status: u16, message: &str) -> FakeRefusal {
        let messages = vec![message.to_string()];
        FakeRefusal { status, messages, as_array: false, retry_after_secs: None }
    }
}

/// The client's answer if its request fails.
#[derive(Clone, Debug, PartialEq)]
pub enum FakeReply {
    Refused(FakeRefusal),
    /// An HTML page with this status, as from a proxy in front of the provider.
    Html(u16),
    /// `to`: the target; `None` = the same address.
    Redirect {
        status: u16,
        to: Option<String>,
    },
    /// Closes the connection without sending a byte.
    Close,
    Reset,
    Hang(RealTime),
    /// A 200 that breaks off in the middle.
    Cut,
}

/// An answer to the client, with its date and delay.
#[derive(Clone, Debug)]
pub struct FakeTold<T> {
    pub what: Result<T, FakeReply>,
    /// `None`: no `Date` header.
    pub date: Option<Instant>,
    /// Real time to wait before the answer is sent.
    pub latency: RealTime,
}

/// The form of a 201's body. The call is placed in every case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    Whole,
    Empty,
    Truncated,
    Html,
    /// Followed by this many megabytes.
    Huge(f64),
    /// One byte per this interval.
    Drip(RealTime),
    NoId,
    Array,
}

/// The content of a 201.
#[derive(Clone, Debug)]
pub struct FakePlaced {
    pub record: Record,
    pub form: Form,
    pub concurrency_blocked: bool,
    pub concurrency_limit: usize,
    pub remaining_calls: usize,
}

/// A POST as received.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The requested call, or the refusal of a wrong request.
    pub order: Result<Order, FakeRefusal>,
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
    pub(crate) fn takes(&self, at: Instant) -> bool {
        self.from.is_none_or(|limit| limit <= at)
            && self.after.is_none_or(|limit| limit < at)
            && self.to.is_none_or(|limit| at <= limit)
            && self.before.is_none_or(|limit| at < limit)
    }
}

/// The provider's refusal with this status, in the provider's words if they are known.
pub fn refused(status: u16) -> FakeReply {
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
    FakeReply::Refused(FakeRefusal::one(status, message))
}

/// The failed answer to an accepted call, by faults; `None`: answer 201.
pub(crate) fn lost_answer(striking: &Striking) -> Option<FakeReply> {
    use FaultKind::*;
    let status = |kind| striking.get(kind).map(|fault| fault.status());
    if striking.has(AcceptThenClose) || striking.has(DelayedAccept) {
        return Some(FakeReply::Close);
    }
    if striking.has(AcceptThenReset) {
        return Some(FakeReply::Reset);
    }
    if let Some(fault) = striking.get(AcceptThenHang) {
        return Some(FakeReply::Hang(fault.real_time()));
    }
    if let Some(status) = status(AcceptStatusHtml) {
        return Some(FakeReply::Html(status));
    }
    status(AcceptStatus).map(refused)
}

/// The form of the 201's body, by faults.
pub(crate) fn form(striking: &Striking) -> Form {
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

/// Adds the date and the delay to an answer, by faults.
pub(crate) fn tell<T>(
    what: Result<T, FakeReply>,
    striking: &Striking,
    now: Instant,
) -> FakeTold<T> {
    let skew = striking.get(FaultKind::DateSkew).map(|fault| fault.span());
    let date = now + skew.unwrap_or_default();
    let latency = striking.get(FaultKind::Latency).map_or(0.0, |fault| fault.number().max(0.0));
    FakeTold {
        what,
        date: (!striking.has(FaultKind::NoDate)).then_some(date),
        latency: RealTime::from_millis(latency as u64),
    }
}

pub(crate) const DAILY_LIMIT: &str = "Couldn't Start Call. Numbers Bought On Vapi Have A Daily Outbound Call \
                           Limit. Import Your Own Twilio Numbers To Scale Without Limits.";
