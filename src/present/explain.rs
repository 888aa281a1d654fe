//! An explanation as JSON, for the command line and the API. Phones are masked.

use serde_json::{Value, json};

use crate::domain::calendar::zone::Zone;
use crate::domain::customer::mask_phone;
use crate::domain::gate::facts::{Answer, Verdict};
use crate::domain::{Instant, instant_text};
use crate::steps::forecast::explain::{Explained, Explanation, InQueue, Outcome};
use crate::store::attempts::Attempt;

/// The whole explanation.
pub fn json(explained: &Explained) -> Value {
    let customer = &explained.customer;
    let zone = explained.zone.as_deref();
    let (verdict, reason, until) = match explained.verdict() {
        Some(explanation) => told(&explanation.outcome),
        // Without a zone the local date is unknown, so an occasion cannot exist.
        None if zone.is_none() => ("nothing_due", Some("not_eligible"), None),
        None => ("nothing_due", None, None),
    };
    json!({
        "customer": {
            "id": customer.id,
            "external_id": customer.external_id,
            "name": customer.name,
            "phone": mask_phone(&customer.phone),
            "timezone": customer.timezone,
            "place": explained.place,
            "rhythm": explained.rhythm,
            "payment_status": customer.payment_status,
            "call_status": customer.call_status.as_str(),
            "welcome_call_completed": customer.welcome_call_completed,
            "last_call_date": customer.last_call_date.map(|date| date.to_string()),
        },
        "at": instant_text(explained.at),
        "local_time": zone.map(|zone| local(zone, explained.at)),
        "verdict": verdict,
        "reason": reason,
        "until": until,
        "occasions": explained.occasions.iter().map(|e| occasion(e, zone)).collect::<Vec<_>>(),
        "next_call_at": explained.next_call_at.map(instant_text),
        "next_call_local": zone.zip(explained.next_call_at).map(|(zone, at)| local(zone, at)),
        "past_calls": explained.past.iter().map(past).collect::<Vec<_>>(),
    })
}

/// The verdict word of an outcome, with its reason and the end of its wait.
pub fn told(outcome: &Outcome) -> (&'static str, Option<&'static str>, Option<String>) {
    match outcome {
        Outcome::Rings => ("rings", None, None),
        Outcome::Waits { reason, until } => {
            ("waits", reason.map(|reason| reason.as_str()), until.map(instant_text))
        }
        Outcome::Skipped(reason) => ("skipped", Some(reason.as_str()), None),
        Outcome::AlreadyCalled => ("already_called", Some("already_called"), None),
        Outcome::InFlight => ("in_flight", None, None),
    }
}

fn waits_until(outcome: &Outcome) -> Option<Instant> {
    match outcome {
        Outcome::Waits { until, .. } => *until,
        _ => None,
    }
}

fn occasion(explanation: &Explanation, zone: Option<&Zone>) -> Value {
    let (verdict, reason, until) = told(&explanation.outcome);
    json!({
        "queue_id": match explanation.in_queue {
            InQueue::Item(id) => Some(id),
            InQueue::ByThisTick | InQueue::No => None,
        },
        "call_type": explanation.call_type.as_str(),
        "occasion": explanation.occasion,
        "scheduled_for": instant_text(explanation.scheduled_for),
        "scheduled_local": zone.map(|zone| local(zone, explanation.scheduled_for)),
        "expires_at": explanation.expires_at.map(instant_text),
        "attempts_made": explanation.tried.as_ref().map_or(0, |tried| tried.attempts),
        "last_attempt": explanation.tried.as_ref().map(|tried| &tried.last),
        "verdict": verdict,
        "reason": reason,
        "until": until,
        "until_local": zone.zip(waits_until(&explanation.outcome)).map(|(z, at)| local(z, at)),
        "rules": explanation.answers.iter().map(rule).collect::<Vec<_>>(),
    })
}

fn rule(answer: &Answer) -> Value {
    let (word, reason, until) = match &answer.verdict {
        Verdict::Open => ("yes", None, None),
        Verdict::Wait { reason, until } => ("wait", Some(reason.as_str()), until.map(instant_text)),
        Verdict::Skip(reason) => ("no", Some(reason.as_str()), None),
        Verdict::AlreadyCalled => ("no", Some("already_called"), None),
    };
    json!({
        "rule": answer.rule,
        "answer": word,
        "reason": reason,
        "until": until,
        "detail": answer.detail,
    })
}

fn past(attempt: &Attempt) -> Value {
    json!({
        "attempt_id": attempt.id,
        "call_type": attempt.call_type.as_str(),
        "occasion": attempt.occasion,
        "attempt_no": attempt.attempt_no,
        "state": attempt.state.as_str(),
        "disposition": attempt.disposition.map(|disposition| disposition.as_str()),
        "ended_reason": attempt.ended_reason,
        "at": instant_text(attempt.created_at),
        "duration_seconds": attempt.duration_seconds,
        "vapi_call_id": attempt.vapi_call_id,
    })
}

fn local(zone: &Zone, at: Instant) -> String {
    zone.local(at).format("%a %Y-%m-%d %H:%M").to_string()
}
