//! A call of the fake provider. Its whole future is fixed at acceptance, so its record at an
//! instant is a pure function. Nothing is random: seed and order decide the outcome.

use std::str::FromStr;

use chrono::Duration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::demo::fake_vapi::fault_draw::hash;
use crate::domain::Instant;
use crate::domain::call::Disposition;

/// The fields of a POST that the fake uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub name: Option<String>,
    pub external_id: Option<String>,
    pub number: String,
    /// Empty for a squad.
    pub assistant_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assistant_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub squad_id: Option<String>,
    pub phone_number_id: String,
    #[serde(default)]
    pub metadata: Map<String, Value>,
    #[serde(default)]
    pub variables: Map<String, Value>,
}

impl Order {
    /// The attempt's tag: from the metadata, else the name, else the external id.
    pub fn tag(&self) -> Option<&str> {
        let carried = self.metadata.get("attemptId").and_then(Value::as_str);
        carried.or(self.name.as_deref()).or(self.external_id.as_deref())
    }

    /// A text of the metadata; `None` if it is missing or not a text.
    pub fn meta(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).and_then(Value::as_str)
    }

    /// The attempt number of the metadata; 1 if it is missing.
    pub fn attempt_no(&self) -> i64 {
        self.metadata.get("attemptNo").and_then(Value::as_i64).unwrap_or(1)
    }
}

/// One accepted call, with its whole future.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FakeCall {
    pub id: String,
    pub order: Order,
    pub created_at: Instant,
    /// How often the phone rings: 0, 1 or (a fault) 2.
    pub rings: u32,
    /// When the phone rings, if it does.
    pub ring_at: Instant,
    /// When a person or a machine answers, if one does.
    pub answered_at: Option<Instant>,
    pub ended_at: Instant,
    pub ended_reason: String,
    /// When the call was cancelled in the queue; such a call never rang.
    pub cancelled_at: Option<Instant>,
    /// The record was deleted; the call itself continued.
    pub deleted: bool,
}

impl FakeCall {
    /// Whether the call is still in the queue, so that cancelling prevents the ring.
    pub fn waits_in_queue(&self, now: Instant) -> bool {
        now < self.ring_at && now < self.ended_at && self.cancelled_at.is_none()
    }

    pub fn is_over(&self, now: Instant) -> bool {
        self.cancelled_at.is_some() || self.ended_at <= now
    }

    /// The true record of the call at this instant, without faults.
    pub fn record(&self, now: Instant, org_id: &str) -> Record {
        let ended_at = self.cancelled_at.unwrap_or(self.ended_at);
        let over = self.is_over(now);
        let answered_at = self.answered_at.filter(|at| *at <= now && self.cancelled_at.is_none());
        let (status, since) = match answered_at {
            _ if over => ("ended", ended_at),
            Some(at) => ("in-progress", at),
            None if self.rings > 0 && self.ring_at <= now => ("ringing", self.ring_at),
            None => ("queued", self.created_at),
        };
        let talked = answered_at.map_or(0, |at| (ended_at.min(now) - at).num_milliseconds());
        let reason =
            if self.cancelled_at.is_some() { "manually-canceled" } else { &self.ended_reason };
        Record {
            id: Some(self.id.clone()),
            org_id: org_id.to_string(),
            created_at: self.created_at,
            updated_at: since,
            status: status.to_string(),
            ended_reason: over.then(|| reason.to_string()),
            started_at: answered_at,
            ended_at: over.then_some(ended_at),
            // Ten cents a minute, rounded to the hundredth of a cent, known at the end.
            cost: if over { (talked as f64 / 60_000.0 * 1000.0).round() / 10_000.0 } else { 0.0 },
            order: self.order.clone(),
            said: Said::default(),
        }
    }
}

/// A call as the fake reports it at one instant; faults may have removed fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// `None` only by a fault.
    pub id: Option<String>,
    pub org_id: String,
    pub created_at: Instant,
    pub updated_at: Instant,
    pub status: String,
    pub ended_reason: Option<String>,
    pub started_at: Option<Instant>,
    pub ended_at: Option<Instant>,
    /// US dollars.
    pub cost: f64,
    pub order: Order,
    pub said: Said,
}

/// The assistant's analysis and its tool call, as changed by faults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// The field of the structured data that is true.
    pub field: Option<String>,
    /// The name of the structured output whose result is true.
    pub output: Option<String>,
    /// `NAME=VALUE`: one more structured output; the value is JSON or a text.
    pub value: Option<String>,
    /// The tool that was called.
    pub tool: Option<String>,
    /// The length of the transcript in bytes, if it is not the usual one.
    pub transcript_bytes: Option<usize>,
    /// The call has ended, and its analysis is not available yet.
    pub lags: bool,
    /// The same for its structured outputs alone.
    pub outputs_lag: bool,
}

/// How long the stages of a call last.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From acceptance to the first ring.
    pub queue: Duration,
    /// From the first ring to an answer, or to the end of an unanswered call.
    pub ring: Duration,
    /// From the answer to the end. Zero: every call ends at the instant of its acceptance.
    pub talk: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::seconds;
        Timing { queue: seconds(2), ring: seconds(5), talk: seconds(30) }
    }
}

/// The weight of each outcome: `answered=70,no_answer=15,busy=5,voicemail=10`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix(Vec<(Disposition, u64)>);

impl Default for Mix {
    fn default() -> Self {
        use Disposition::*;
        Mix(vec![(Answered, 70), (NoAnswer, 15), (Busy, 5), (Voicemail, 10)])
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Mix, String> {
        let mut parts = Vec::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let known = part.trim().split_once('=').and_then(|(name, weight)| {
                let disposition = Disposition::parse(name)?;
                (disposition != Disposition::Unknown).then_some(())?;
                Some((disposition, weight.parse().ok().filter(|w| *w <= 1_000_000)?))
            });
            parts.push(known.ok_or_else(|| {
                format!("`{part}` is not a disposition and a weight, as in answered=70")
            })?);
        }
        if parts.iter().all(|(_, weight)| *weight == 0) {
            return Err("the mix names no disposition with a weight".to_string());
        }
        Ok(Mix(parts))
    }
}

impl Mix {
    /// Chooses the outcome; the same order with the same seed always gets the same one.
    pub fn choose(&self, seed: u64, order: &Order) -> Disposition {
        let occasion = order.meta("occasion").unwrap_or_default();
        let salt = format!("{} {occasion} {}", order.number, order.attempt_no());
        let total: u64 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut left = hash(seed, &salt) % total.max(1);
        for (disposition, weight) in &self.0 {
            if left < *weight {
                return *disposition;
            }
            left -= weight;
        }
        Disposition::Answered
    }
}

/// The provider's ended reason for a disposition.
pub fn ended_reason(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Answered => "customer-ended-call",
        Disposition::Voicemail => "voicemail",
        Disposition::NoAnswer => "customer-did-not-answer",
        Disposition::Busy => "customer-busy",
        Disposition::BadNumber => "sip-outbound-unallocated-number",
        Disposition::NeverDialed => "call.start.error-get-transport",
        Disposition::Failed | Disposition::Unknown => "pipeline-error-openai-voice-failed",
    }
}

/// Plans a call's whole future. `delay`: additional time in the queue.
pub fn plan(
    id: String,
    order: Order,
    now: Instant,
    delay: Duration,
    timing: &Timing,
    goes: Disposition,
) -> FakeCall {
    let at_once = timing.talk.is_zero();
    let scaled = |duration: Duration| if at_once { Duration::zero() } else { duration };
    let rings = !matches!(goes, Disposition::NeverDialed | Disposition::BadNumber);
    let ring_at = now + delay + scaled(timing.queue);
    let picked_up = ring_at + scaled(timing.ring);
    let talks = matches!(
        goes,
        Disposition::Answered | Disposition::Voicemail | Disposition::Failed | Disposition::Unknown
    );
    let ended_at = match goes {
        Disposition::NeverDialed => now,
        Disposition::BadNumber => ring_at,
        Disposition::Busy => (ring_at + scaled(Duration::seconds(1))).min(picked_up),
        Disposition::NoAnswer => picked_up,
        _ => picked_up + timing.talk,
    };
    FakeCall {
        id,
        order,
        created_at: now,
        rings: u32::from(rings),
        ring_at,
        answered_at: talks.then_some(picked_up),
        ended_at,
        ended_reason: ended_reason(goes).to_string(),
        cancelled_at: None,
        deleted: false,
    }
}

/// An id like the real ones: a UUIDv7 with the time of creation. `count` makes it unique.
pub fn call_id(seed: u64, count: u64, at: Instant) -> String {
    let millis = at.timestamp_millis().max(0) as u64 & 0xffff_ffff_ffff;
    let noise = hash(seed, &count.to_string());
    format!(
        "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
        millis >> 16,
        millis & 0xffff,
        noise >> 52,
        0x8000 | (noise >> 32) & 0x3fff,
        ((noise & 0xffff) << 32) | (count & 0xffff_ffff),
    )
}
