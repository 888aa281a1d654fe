//! Handles a person's request for a call now. It becomes a queue item like any other, and the same
//! gate decides. No other way places a call.

use chrono::Duration;

use crate::domain::calendar::zone::Zone;
use crate::domain::call::{CallType, ItemStatus, Reason};
use crate::domain::customer::Customer;
use crate::domain::gate::facts::{Decision, Verdict};
use crate::domain::{Instant, gate, instant_text, utc_words};
use crate::steps::dial::gate_facts::{self, ItemInQuestion};
use crate::steps::forecast::explain::{Explained, Explanation, InQueue, Outcome};
use crate::steps::operate::erase;
use crate::steps::{Context, scan};
use crate::store::meta::pauses;
use crate::store::queue::{self, Item, NewItem};
use crate::store::{Tx, journal};

/// The actor in the journal for an extra call by command.
pub const WHO: &str = "call";

/// Why a call is not made now, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CallRefused(pub String);

/// The longest key of an extra call.
const LONGEST_KEY: usize = 100;
/// An instant this far back still counts as now: clocks differ, and a request takes its time.
const PAST_AT_MOST: Duration = Duration::minutes(1);
const AHEAD_AT_MOST: Duration = Duration::days(366);

/// The wish for an extra call.
#[derive(Clone, Copy, Debug)]
pub struct ExtraWish<'a> {
    /// The actor, for the journal.
    pub who: &'a str,
    /// The reason, for the journal.
    pub why: &'a str,
    /// `None`: now.
    pub at: Option<Instant>,
    /// The caller's id of the wish; the same key never causes a second call.
    pub key: Option<&'a str>,
}

/// The item of a wish.
#[derive(Clone, Debug)]
pub struct QueuedExtra {
    pub item: Item,
    /// Whether the wish made it; otherwise the key was known.
    pub is_new: bool,
}

/// Why a wish cannot be queued as it is.
#[derive(Debug, thiserror::Error)]
pub enum WishRefused {
    #[error("{0}")]
    Key(String),
    #[error("at {} is in the past or more than a year ahead: give a coming instant", instant_text(*.0))]
    At(Instant),
    #[error(
        "key belongs to item {item}, which is for {known}, not for {}: use another key",
        instant_text(*.at)
    )]
    OtherInstant { item: i64, known: String, at: Instant },
    #[error("at {} is outside the calling window{}", instant_text(*.at), next_opening(*.opens, .there.as_deref()))]
    Outside {
        at: Instant,
        /// When the window opens next; `None` if it never does.
        opens: Option<Instant>,
        /// The same in the customer's local time.
        there: Option<String>,
    },
}

fn next_opening(opens: Option<Instant>, there: Option<&str>) -> String {
    match (opens, there) {
        (Some(opens), Some(there)) => {
            format!("; it opens next at {} ({there} there)", instant_text(opens))
        }
        (Some(opens), None) => format!("; it opens next at {}", instant_text(opens)),
        (None, _) => ", which never opens".to_string(),
    }
}

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

/// Queues an extra call for now: a separate occasion, capped and journaled. CallRefused if the gate
/// does not permit it now.
pub fn queue_extra(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    why: &str,
    now: Instant,
) -> anyhow::Result<Item> {
    let wish = ExtraWish { who: WHO, why, at: None, key: None };
    Ok(queue_extra_at(cx, tx, customer, &wish, now)?.item)
}

/// The same at an instant, and once for each key: a key that is known answers its item, whatever
/// became of it. The gate is asked as of the instant, and again when it has come.
pub fn queue_extra_at(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    wish: &ExtraWish<'_>,
    now: Instant,
) -> anyhow::Result<QueuedExtra> {
    let occasion = match wish.key {
        Some(key) => {
            check_key(customer, key)?;
            format!("extra:{key}")
        }
        None => format!("extra:{}", uuid::Uuid::new_v4()),
    };
    if let Some(item) = queue::item_of_occasion(tx, customer.id, CallType::Extra, &occasion)? {
        if let Some(at) = wish.at.filter(|at| *at != item.scheduled_for) {
            let known = instant_text(item.scheduled_for);
            return Err(WishRefused::OtherInstant { item: item.id, known, at }.into());
        }
        return Ok(QueuedExtra { item, is_new: false });
    }
    let at = wish.at.unwrap_or(now);
    if at + PAST_AT_MOST < now || now + AHEAD_AT_MOST < at {
        return Err(WishRefused::At(at).into());
    }
    let wished = wished(cx, customer, (&occasion, wish.at), now);
    let permitted = check_gate(cx, tx, customer, &wished, wish.at, now);
    // The caller can choose another instant, whatever waits.
    let is_outside = permitted.as_ref().is_err_and(|why| why.is::<WishRefused>());
    if !is_outside && let Some(open) = queue::open_item(tx, customer.id, CallType::Extra)? {
        return Err(refused(format!("an extra call waits already: item {}", open.id)));
    }
    permitted?;
    let item = insert(tx, &wished, now)?;
    let subject = format!("item:{}", item.id);
    let entry = journal::Entry {
        who: wish.who,
        what: "extra call",
        subject: &subject,
        new: Some("queued"),
        why: Some(wish.why),
        ..Default::default()
    };
    journal::add(tx, now, entry)?;
    Ok(QueuedExtra { item, is_new: true })
}

/// The key stays in the ledger for good, also after an erasure.
fn check_key(customer: &Customer, key: &str) -> Result<(), WishRefused> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if key.is_empty() || LONGEST_KEY < key.len() || !key.chars().all(plain) {
        return Err(WishRefused::Key(format!(
            "key has 1 to {LONGEST_KEY} letters, digits and -._:, such as appointment-17"
        )));
    }
    if erase::names_them(customer, key) {
        let why = "key names the person, and the ledger keeps it for good: use another id";
        return Err(WishRefused::Key(why.to_string()));
    }
    Ok(())
}

/// The item of a wish, before it is stored. A call at an instant is as late as a daily call may be.
/// A call for now waits for a day.
fn wished(
    cx: &Context,
    customer: &Customer,
    (occasion, at): (&str, Option<Instant>),
    now: Instant,
) -> Item {
    let zone = cx.zones.get(&customer.timezone);
    let expires_at = match at {
        Some(at) => Some(at + cx.rules.max_lateness),
        None => {
            zone.as_deref().and_then(|zone| cx.rules.last_permitted(CallType::Extra, now, zone))
        }
    };
    Item {
        id: 0,
        customer_id: customer.id,
        call_type: CallType::Extra,
        occasion: occasion.to_string(),
        scheduled_for: at.unwrap_or(now),
        status: ItemStatus::Pending,
        attempts: 0,
        max_attempts: cx.rules.max_attempts,
        reason: None,
        error_message: None,
        vapi_call_id: None,
        not_before: None,
        expires_at,
        created_at: now,
        processed_at: None,
    }
}

fn insert(tx: &Tx<'_>, wished: &Item, now: Instant) -> anyhow::Result<Item> {
    let new = NewItem {
        customer_id: wished.customer_id,
        call_type: wished.call_type,
        occasion: &wished.occasion,
        scheduled_for: wished.scheduled_for,
        max_attempts: wished.max_attempts,
        expires_at: wished.expires_at,
    };
    let id = queue::insert_extra(tx, &new, now)?;
    queue::item(tx, id)?.ok_or_else(|| anyhow::anyhow!("item {id} is gone"))
}

/// Asks the gate as of the call's instant. What may pass until a later instant does not refuse the
/// call, because the gate decides again then.
fn check_gate(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    item: &Item,
    at: Option<Instant>,
    now: Instant,
) -> anyhow::Result<()> {
    let zone = cx.zones.get(&customer.timezone);
    let pauses = pauses::pauses(tx)?;
    let whose =
        ItemInQuestion { item, customer: Some(customer), zone: zone.as_deref(), pauses: &pauses };
    let as_of = at.unwrap_or(now).max(now);
    let facts = gate_facts::facts(cx, tx, &whose, as_of)?;
    let Decision { verdict, answers } = gate::ask(&facts, &cx.rules);
    // Another rule may wait too, such as the payment; the instant cannot be used all the same.
    let closed = answers.iter().filter_map(|answer| match answer.verdict {
        Verdict::Wait { reason: Reason::OutsideWindow | Reason::Holiday, until } => Some(until),
        _ => None,
    });
    if let (Verdict::Wait { .. }, Some(at), Some(opens)) = (&verdict, at, closed.max()) {
        let there = opens.zip(zone.as_deref());
        let there = there.map(|(opens, zone)| zone.local(opens).format("%a %H:%M").to_string());
        return Err(WishRefused::Outside { at, opens, there }.into());
    }
    if now < as_of && matches!(verdict, Verdict::Wait { .. }) {
        return Ok(());
    }
    match refusal(&verdict, zone.as_deref(), now) {
        Some(reason) => Err(refused(format!("no extra call now: {reason}; nothing was queued"))),
        None => Ok(()),
    }
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
