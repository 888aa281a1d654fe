//! An explanation as JSON, for the command line and the API. Phones are masked.

use serde_json::{Value, json};

use crate::domain::calendar::zone::Zone;
use crate::domain::call::Reason;
use crate::domain::customer::mask_phone;
use crate::domain::gate::facts::{Answer, Verdict};
use crate::domain::{Instant, instant_text};
use crate::present::attempt;
use crate::steps::forecast::explain::{Explained, Explanation, InQueue, Outcome};
use crate::steps::forecast::past::{Day, PastItem};
use crate::steps::forecast::stops::Stop;
use crate::store::attempts::Attempt;

/// The whole explanation.
pub fn json(explained: &Explained) -> Value {
    let customer = &explained.customer;
    let zone = explained.zone.as_deref();
    let (verdict, reason, until) = match (explained.on_a_date(), explained.verdict()) {
        (Some(said), _) => (said.verdict, said.reason.map(Reason::as_str), None),
        (None, Some(explanation)) => told(&explanation.outcome),
        // Without a zone the local date is unknown, so an occasion cannot exist.
        (None, None) if zone.is_none() => ("nothing_due", Some("not_eligible"), None),
        (None, None) => ("nothing_due", None, None),
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
            "assistant": customer.assistant,
        },
        "at": instant_text(explained.at),
        "local_time": zone.map(|zone| local(zone, explained.at)),
        "verdict": verdict,
        "reason": reason,
        "until": until,
        "occasions": explained.occasions.iter().map(|e| occasion(e, zone)).collect::<Vec<_>>(),
        "next_call_at": explained.next_call_at.map(instant_text),
        "next_call_local": zone.zip(explained.next_call_at).map(|(zone, at)| local(zone, at)),
        "past_calls": explained.past.iter().map(|call| past(explained, call)).collect::<Vec<_>>(),
        "past_skips": explained.skips.iter().map(|skip| past_item(skip, zone)).collect::<Vec<_>>(),
        "stops": explained.stops.iter().map(stop).collect::<Vec<_>>(),
        "on": explained.day.as_ref().map(|day| on(explained, day)),
    })
}

/// What happened on one date.
fn on(explained: &Explained, day: &Day) -> Value {
    let zone = explained.zone.as_deref();
    let said = explained.of_the_day(day);
    json!({
        "date": day.date.to_string(),
        "verdict": said.verdict,
        "reason": said.reason.map(Reason::as_str),
        "detail": said.detail,
        "occasions": day.items.iter().map(|item| past_item(item, zone)).collect::<Vec<_>>(),
        "calls": day.calls.iter().map(|call| past(explained, call)).collect::<Vec<_>>(),
        "stops": day.stops.iter().map(stop).collect::<Vec<_>>(),
    })
}

fn past_item(past: &PastItem, zone: Option<&Zone>) -> Value {
    let item = &past.item;
    json!({
        "queue_id": item.id,
        "call_type": item.call_type.as_str(),
        "occasion": item.occasion,
        "scheduled_for": instant_text(item.scheduled_for),
        "scheduled_local": zone.map(|zone| local(zone, item.scheduled_for)),
        "ended_at": item.processed_at.map(instant_text),
        "status": item.status.as_str(),
        "reason": item.reason.map(Reason::as_str),
        "detail": past.detail(),
        "stopped_by": past.stopped_by.iter().map(stop).collect::<Vec<_>>(),
    })
}

fn stop(stop: &Stop) -> Value {
    let (ended_by, ended_because) = stop.ended.clone().unzip();
    json!({
        "kind": stop.kind.as_str(),
        "scope": stop.scope,
        "who": stop.who,
        "why": stop.why,
        "from": instant_text(stop.from),
        "until": stop.until.map(instant_text),
        "ended_by": ended_by,
        "ended_because": ended_because,
        "text": stop.words(),
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

fn past(explained: &Explained, attempt: &Attempt) -> Value {
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
        "result": attempt::result_json(explained.said.get(&attempt.id), false),
    })
}

fn local(zone: &Zone, at: Instant) -> String {
    zone.local(at).format("%a %Y-%m-%d %H:%M").to_string()
}
