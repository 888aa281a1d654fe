//! Handles a person's request for a call now. It becomes a queue item like any other, and the same
//! gate decides. No other way places a call.

use crate::domain::calendar::zone::Zone;
use crate::domain::call::{CallType, ItemStatus, Reason};
use crate::domain::customer::Customer;
use crate::domain::gate::facts::Verdict;
use crate::domain::{Instant, gate, utc_words};
use crate::steps::dial::gate_facts::{self, ItemInQuestion};
use crate::steps::forecast::explain::{Explained, Explanation, InQueue, Outcome};
use crate::steps::{Context, scan};
use crate::store::meta::pauses;
use crate::store::queue::{self, Item, NewItem};
use crate::store::{Tx, journal};

const WHO: &str = "call";

/// Why a call is not made now, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CallRefused(pub String);

fn refused(text: String) -> anyhow::Error {
    CallRefused(text).into()
}

/// The item of the occasion that is due now: the waiting one, or the one that a scan queues.
///
/// `explained` is the tick's prediction; the error repeats its reason. A `call_type` of `None`
/// means the welcome call if it is owed, else the daily one.
pub fn due_item(
    cx: &Context,
    explained: &Explained,
    call_type: Option<CallType>,
    now: Instant,
) -> anyhow::Result<Item> {
    let wanted = |t: CallType| call_type.is_none_or(|wanted| wanted == t);
    let rings = |outcome: &Outcome| *outcome == Outcome::Rings;
    let found = explained.occasions.iter().filter(|e| wanted(e.call_type));
    let Some(due) = found.clone().find(|e| rings(&e.outcome)) else {
        // An occasion that is not queued is a later one. If today's call was made, report that
        // first.
        let mut queued =
            found.filter(|e| e.in_queue != InQueue::No || !called_today(explained, now));
        let zone = explained.zone.as_deref();
        let why = queued.next().map(|e| why_not(e, zone, now));
        return Err(refused(why.unwrap_or_else(|| not_due(explained, call_type, now))));
    };
    scan::scan(cx, now)?;
    let id = explained.customer.id;
    let item =
        cx.store.read(|conn| queue::item_of_occasion(conn, id, due.call_type, &due.occasion))?;
    match item {
        Some(item) if matches!(item.status, ItemStatus::Pending | ItemStatus::Retrying) => Ok(item),
        _ => Err(refused(format!(
            "another process claimed the {} call; see `ringonce queue list`",
            due.call_type
        ))),
    }
}

/// ` until Sun 2026-11-22 07:00 there`, in the customer's local time; empty if no instant is known.
/// A wait without a known end is only looked at again.
fn end_of(
    reason: Option<Reason>,
    until: &Option<Instant>,
    zone: Option<&Zone>,
    now: Instant,
) -> String {
    let Some(at) = until.filter(|at| now < *at) else { return String::new() };
    let at = match zone {
        Some(zone) => format!("{} there", zone.local(at).format("%a %Y-%m-%d %H:%M")),
        None => utc_words(at),
    };
    match Reason::before_instant(reason) {
        "until" => format!(" until {at}"),
        words => format!(", {words} {at}"),
    }
}

fn why_not(explanation: &Explanation, zone: Option<&Zone>, now: Instant) -> String {
    let call = match explanation.call_type {
        CallType::Daily => format!("the daily call of {}", explanation.occasion),
        other => format!("the {other} call"),
    };
    let after = |reason, until: &Option<Instant>| end_of(reason, until, zone, now);
    match &explanation.outcome {
        Outcome::Waits { reason: None, until } => format!(
            "{call} is not due{}; for a call of its own now give --extra --reason WHY",
            after(None, until)
        ),
        Outcome::Waits { reason: Some(reason), until } => {
            let why = "; `ringonce explain` says why";
            format!("{call} waits: {reason}{}{why}", after(Some(*reason), until))
        }
        Outcome::Skipped(reason) => format!("{call} is not made: {reason}"),
        Outcome::AlreadyCalled => format!("{call} was made already"),
        Outcome::InFlight => format!("{call} is under way"),
        Outcome::Rings => format!("{call} rings"),
    }
}

/// No item of the wanted type is open: the call was made, or none is owed.
fn not_due(explained: &Explained, call_type: Option<CallType>, now: Instant) -> String {
    let customer = &explained.customer;
    let extra = "for a call of its own now give --extra --reason WHY";
    match call_type {
        Some(CallType::Welcome) if customer.welcome_call_completed => {
            format!("the welcome call was made already; {extra}")
        }
        _ if called_today(explained, now) => {
            format!("today's daily call was made already; {extra}")
        }
        Some(call_type) => format!("no {call_type} call is due; {extra}"),
        None => format!("no call is due; {extra}"),
    }
}

fn called_today(explained: &Explained, now: Instant) -> bool {
    let today = explained.zone.as_deref().map(|zone| zone.date(now));
    today.is_some() && today <= explained.customer.last_call_date
}

/// Queues an extra call: a separate occasion, capped and journaled. CallRefused if the gate does not
/// permit it now.
pub fn queue_extra(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    why: &str,
    now: Instant,
) -> anyhow::Result<Item> {
    if let Some(open) = queue::open_item(tx, customer.id, CallType::Extra)? {
        return Err(refused(format!("an extra call waits already: item {}", open.id)));
    }
    let zone = cx.zones.get(&customer.timezone);
    let occasion = format!("extra:{}", uuid::Uuid::new_v4());
    let expires_at =
        zone.as_deref().and_then(|zone| cx.rules.last_permitted(CallType::Extra, now, zone));
    let new = NewItem {
        customer_id: customer.id,
        call_type: CallType::Extra,
        occasion: &occasion,
        scheduled_for: now,
        max_attempts: cx.rules.max_attempts,
        expires_at,
    };
    let id = queue::insert_extra(tx, &new, now)?;
    let item = queue::item(tx, id)?.ok_or_else(|| anyhow::anyhow!("item {id} is gone"))?;
    let pauses = pauses::pauses(tx)?;
    let facts = gate_facts::facts(
        cx,
        tx,
        &ItemInQuestion {
            item: &item,
            customer: Some(customer),
            zone: zone.as_deref(),
            pauses: &pauses,
        },
        now,
    )?;
    let verdict = gate::ask(&facts, &cx.rules).verdict;
    if let Some(reason) = refusal(&verdict, zone.as_deref(), now) {
        // The error rolls the new item back.
        return Err(refused(format!("no extra call now: {reason}; nothing was queued")));
    }
    let subject = format!("item:{id}");
    let entry = journal::Entry {
        who: WHO,
        what: "extra call",
        subject: &subject,
        new: Some("queued"),
        why: Some(why),
        ..Default::default()
    };
    journal::add(tx, now, entry)?;
    Ok(item)
}

fn refusal(verdict: &Verdict, zone: Option<&Zone>, now: Instant) -> Option<String> {
    match verdict {
        Verdict::Open => None,
        Verdict::Skip(reason) => Some(reason.to_string()),
        Verdict::AlreadyCalled => Some(Reason::AlreadyCalled.to_string()),
        Verdict::Wait { reason, until } => {
            Some(format!("{reason}{}", end_of(Some(*reason), until, zone, now)))
        }
    }
}
