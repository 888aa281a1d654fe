//! elsewhere: calls on the provider's account that this ledger did not make. They are stored when a
//! list shows them, block what they may have called, and are released only by a person.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;

use crate::domain::Instant;
use crate::domain::call::{
    CallType, Disposition, ItemStatus, Reason, WELCOME_OCCASION, daily_occasion,
};
use crate::domain::customer::Customer;
use crate::domain::disposition::disposition;
use crate::domain::elsewhere::{MadeElsewhere, alone_ends};
use crate::domain::gate::{self, Verdict};
use crate::domain::zone::Zone;
use crate::provider::ProviderCall;
use crate::steps::operate::Refused;
use crate::steps::reconcile::Closed;
use crate::steps::{Context, adopt, gather, next, numbers};
use crate::store::elsewhere::{self, Callee, ElsewhereCall};
use crate::store::meta::{self, Mark};
use crate::store::moves::{self, Change, WAITING};
use crate::store::queue::{self, Item, Moved};
use crate::store::{Conn, Tx, customers, journal, traces};

const WHO: &str = "elsewhere";

/// Stores a call that is not in the ledger; `Yes` when it blocks somebody and was not known.
pub fn note(cx: &Context, tx: &Tx<'_>, call: &ProviderCall, now: Instant) -> anyhow::Result<Moved> {
    let Some(found) = read(cx, call, now) else { return Ok(Moved::No) };
    if never_rang(call) {
        let why = "the provider says that it was never dialed";
        if elsewhere::by_id(tx, &call.id)?.is_some_and(|known| known.ignored.is_none()) {
            release(cx, tx, &call.id, WHO, why, now)?;
        }
        return Ok(Moved::No);
    }
    Ok(match elsewhere::insert(tx, &found)? {
        Moved::Yes if found.blocks => {
            let at = found.created_at.format("%F %T UTC");
            log::warn!("the call {} of {at} was made elsewhere: `ringonce history list`", call.id);
            Moved::Yes
        }
        _ => Moved::No,
    })
}

/// A call as it is stored. `None`: no phone can have rung for it.
pub fn read(cx: &Context, call: &ProviderCall, now: Instant) -> Option<ElsewhereCall> {
    let inbound = match call.kind.as_deref() {
        Some("webCall" | "vapi.websocketCall") => return None,
        kind => kind == Some("inboundPhoneCall"),
    };
    let created_at = adopt::begun(call, &call.id).unwrap_or(now);
    let told = call.customer_number.clone();
    let is_date = |text: &&String| text.parse::<NaiveDate>().is_ok();
    let occasion = call.occasion.as_ref().filter(|_| call.call_type == Some(CallType::Daily));
    let mut found = ElsewhereCall::found(&call.id, told, &cx.installation, created_at, now);
    found.inbound = inbound;
    found.assistant = call.assistant_id.clone().or_else(|| call.squad_id.clone());
    found.installation_id = call.installation_id.clone();
    found.occasion = occasion.filter(is_date).cloned();
    found.blocks = !inbound && may_be_of_ours(cx, call);
    Some(found)
}

/// Whether one of our assistants may have spoken. One that is not told cannot be excluded.
fn may_be_of_ours(cx: &Context, call: &ProviderCall) -> bool {
    let ours = numbers::assistants(cx);
    let told = [&call.assistant_id, &call.squad_id].map(|id| id.as_deref());
    let is_told = told.iter().any(Option::is_some);
    !is_told || ours.is_empty() || told.into_iter().flatten().any(|id| ours.contains(&id))
}

pub fn never_rang(call: &ProviderCall) -> bool {
    let how = || disposition(call.ended_reason.as_deref());
    call.is_ended() && how() == Disposition::NeverDialed
}

/// Before a list is taken in: assistants that are configured by now count as ours for earlier calls,
/// and old calls that block nothing go.
pub fn refresh(cx: &Context, tx: &Tx<'_>, oldest: Instant) -> anyhow::Result<()> {
    for assistant in numbers::assistants(cx) {
        elsewhere::block_by(tx, assistant)?;
    }
    elsewhere::forget_unblocking(tx, oldest).map(drop)
}

/// The call made elsewhere that blocks an item, if any does. It blocks the welcome call for ever, and
/// the daily call of its local date, of the date that it was made for, or in whose time it was made.
pub fn blocking(
    cx: &Context,
    conn: &Conn,
    item: &Item,
    (customer, zone): (&Customer, &Zone),
    expires_at: Option<Instant>,
) -> anyhow::Result<Option<MadeElsewhere>> {
    if item.call_type == CallType::Extra || !elsewhere::is_any_blocking(conn)? {
        return Ok(None);
    }
    let phone_key = cx.installation.phone_key(&customer.phone);
    let calls = elsewhere::blocking(conn, &customer.phone, &phone_key)?;
    let is_of_date = |call: &ElsewhereCall| {
        let in_its_time = item.scheduled_for <= call.created_at
            && expires_at.is_some_and(|last| call.created_at <= last);
        item.occasion == daily_occasion(zone.date(call.created_at))
            || call.occasion.as_ref() == Some(&item.occasion)
            || in_its_time
    };
    let found =
        calls.into_iter().find(|call| item.call_type == CallType::Welcome || is_of_date(call));
    Ok(found.map(|call| MadeElsewhere { call_id: call.vapi_call_id, created_at: call.created_at }))
}

/// Ends a waiting item that a call made elsewhere has called.
pub fn end(
    cx: &Context,
    tx: &Tx<'_>,
    item: &Item,
    made: &MadeElsewhere,
    who: &str,
    now: Instant,
) -> anyhow::Result<Moved> {
    let moved = moves::item(tx, item, &WAITING, &ended_by(made, &made.detail()), who, now)?;
    match (moved, item.call_type) {
        (Moved::No, _) => {}
        // The daily calls begin, with today's where there is time for it.
        (Moved::Yes, CallType::Welcome) => {
            next::begin_after_elsewhere(cx, tx, item.customer_id, made.created_at, now)?;
        }
        (Moved::Yes, _) => next::advance(cx, tx, item.call_type, item.customer_id, now)?,
    }
    Ok(moved)
}

fn ended_by<'a>(made: &'a MadeElsewhere, detail: &'a str) -> Change<'a> {
    Change {
        vapi_call_id: Some(&made.call_id),
        error_message: Some(detail),
        ..Change::because(ItemStatus::Completed, Reason::AlreadyCalled)
    }
}

/// Ends the welcome item of a customer at once when a call made elsewhere blocks it, so that the
/// daily calls do not wait for its instant.
pub fn end_welcome(
    cx: &Context,
    tx: &Tx<'_>,
    customer_id: i64,
    who: &str,
    now: Instant,
) -> anyhow::Result<Moved> {
    if !elsewhere::is_any_blocking(tx)? {
        return Ok(Moved::No);
    }
    let welcome = WELCOME_OCCASION;
    let item = queue::item_of_occasion(tx, customer_id, CallType::Welcome, welcome)?;
    let customer = customers::by_id(tx, customer_id)?;
    let zone = customer.as_ref().and_then(|customer| cx.zones.get(&customer.timezone));
    let (Some(item), Some(customer), Some(zone)) = (item, customer, zone) else {
        return Ok(Moved::No);
    };
    match blocking(cx, tx, &item, (&customer, &zone), None)? {
        Some(made) if item.attempts == 0 => end(cx, tx, &item, &made, who, now),
        _ => Ok(Moved::No),
    }
}

/// The same for every welcome call that waits: a call made elsewhere was found.
pub fn end_welcomes(cx: &Context, tx: &Tx<'_>, now: Instant) -> anyhow::Result<()> {
    for item in elsewhere::waiting_welcomes(tx)? {
        let _ = end_welcome(cx, tx, item.customer_id, WHO, now)?;
    }
    Ok(())
}

/// A person releases what a call made elsewhere blocks. Returns how many items are open again, and
/// `None` where it was ignored before. The error is a [`Refused`], or one of the database.
pub fn ignore(
    cx: &Context,
    tx: &Tx<'_>,
    call_id: &str,
    who: &str,
    why: &str,
    now: Instant,
) -> anyhow::Result<Option<usize>> {
    if why.trim().is_empty() {
        return Err(Refused::NoReason.into());
    }
    if elsewhere::by_id(tx, call_id)?.is_none() {
        return Err(Refused::UnknownCall(call_id.to_string()).into());
    }
    release(cx, tx, call_id, who, why, now)
}

fn release(
    cx: &Context,
    tx: &Tx<'_>,
    call_id: &str,
    who: &str,
    why: &str,
    now: Instant,
) -> anyhow::Result<Option<usize>> {
    if elsewhere::ignore(tx, call_id, who, why, now)? == Moved::No {
        return Ok(None);
    }
    let subject = format!("call:{call_id}");
    let (new, why) = (Some("ignored"), Some(why));
    let entry = journal::Entry { who, what: "history", subject: &subject, new, why, old: None };
    journal::add(tx, now, entry)?;
    let mut reopened = 0;
    for item in elsewhere::items_ended_by(tx, call_id)? {
        reopened += usize::from(reopen(cx, tx, &item, who, now)?);
    }
    Ok(Some(reopened))
}

/// Opens an item again that a released call had ended, unless something else ends it.
fn reopen(cx: &Context, tx: &Tx<'_>, item: &Item, who: &str, now: Instant) -> anyhow::Result<bool> {
    let customer = customers::by_id(tx, item.customer_id)?;
    let zone = customer.as_ref().and_then(|customer| cx.zones.get(&customer.timezone));
    let pauses = meta::pauses(tx)?;
    let facts = gather::facts(cx, tx, item, customer.as_ref(), zone.as_deref(), &pauses, now)?;
    let decision = gate::ask(&facts, &cx.rules);
    let done = [ItemStatus::Completed];
    if let Some(made) = alone_ends(&facts, &decision) {
        let detail = made.detail();
        let _ = moves::item(tx, item, &done, &ended_by(made, &detail), who, now)?;
        return Ok(false);
    }
    let is_over = matches!(decision.verdict, Verdict::AlreadyCalled | Verdict::Skip(_))
        || facts.expires_at.is_some_and(|last| last < now);
    if is_over || queue::open_item(tx, item.customer_id, item.call_type)?.is_some() {
        return Ok(false);
    }
    elsewhere::clear_item(tx, item.id)?;
    let moved = moves::item(tx, item, &done, &Change::to(ItemStatus::Pending), who, now)?;
    Ok(moved == Moved::Yes)
}

/// Every call made elsewhere, the newest first, with the customers whom it may have called.
pub fn history(conn: &Conn) -> anyhow::Result<Vec<(ElsewhereCall, Vec<Callee>)>> {
    let calls = elsewhere::all(conn)?;
    let mut callees: HashMap<String, Vec<Callee>> = elsewhere::callees(conn, &calls)?;
    let with_callees = |call: ElsewhereCall| {
        let callees = callees.remove(&call.vapi_call_id).unwrap_or_default();
        (call, callees)
    };
    Ok(calls.into_iter().map(with_callees).collect())
}

/// A database that never dialed, on an account whose records show calls to its customers, needs a
/// person: it may take the place of the one that called them, or only share the account.
pub fn refuse_a_new_database(cx: &Context) -> anyhow::Result<()> {
    let called = cx.store.read(|conn| {
        let is_accepted = traces::accepted_at(conn)?.is_some()
            || meta::mark(conn, Mark::Armed)?.is_some()
            || elsewhere::has_ever_dialed(conn)?;
        if is_accepted || !elsewhere::is_any_blocking(conn)? { Ok(0) } else { called(conn) }
    })?;
    match called {
        0 => Ok(()),
        customers => Err(Closed::CalledElsewhere { customers }.into()),
    }
}

/// How many customers some blocking call may have called.
fn called(conn: &Conn) -> anyhow::Result<usize> {
    let mut calls = elsewhere::all(conn)?;
    calls.retain(|call| call.blocks && call.ignored.is_none());
    if calls.iter().any(ElsewhereCall::may_be_anybodys) {
        let all: i64 = customers::payment_statuses(conn)?.into_iter().map(|(_, count)| count).sum();
        return Ok(usize::try_from(all).unwrap_or(usize::MAX));
    }
    let callees = elsewhere::callees(conn, &calls)?;
    Ok(callees.values().flatten().map(|callee| callee.id).collect::<HashSet<_>>().len())
}
