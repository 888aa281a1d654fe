//! Calls on the provider's account that this ledger did not make. They are stored when a list shows
//! them. They block the occasions that they may have called, until a person releases them.

use std::collections::HashMap;

use chrono::NaiveDate;

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{
    CallType, Disposition, ItemStatus, Reason, WELCOME_OCCASION, daily_occasion,
};
use crate::domain::customer::Customer;
use crate::domain::disposition::disposition;
use crate::domain::gate::facts::MadeElsewhere;
use crate::provider::ProviderCall;
use crate::steps::Context;
use crate::steps::dial::caller_id;
use crate::steps::occasions::next;
use crate::steps::reconcile::call_tags;
use crate::store::journal::By;
use crate::store::made_elsewhere::{self, Callee, ElsewhereCall};
use crate::store::queue::transitions::{self, Change, WAITING};
use crate::store::queue::{self, Item};
use crate::store::transaction::Moved;
use crate::store::{Conn, Tx, customers};

pub(crate) const WHO: &str = "elsewhere";

/// The call in its stored form. `None`: no phone can have rung for it.
pub fn read(cx: &Context, call: &ProviderCall, now: Instant) -> Option<ElsewhereCall> {
    let inbound = match call.kind.as_deref() {
        Some("webCall" | "vapi.websocketCall") => return None,
        kind => kind == Some("inboundPhoneCall"),
    };
    let created_at = call_tags::begun(call, &call.id).unwrap_or(now);
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

/// Whether one of our assistants may have spoken. An unknown assistant cannot be excluded.
fn may_be_of_ours(cx: &Context, call: &ProviderCall) -> bool {
    let ours = caller_id::assistants(cx);
    let told = [&call.assistant_id, &call.squad_id].map(|id| id.as_deref());
    let is_told = told.iter().any(Option::is_some);
    !is_told || ours.is_empty() || told.into_iter().flatten().any(|id| ours.contains(&id))
}

pub fn never_rang(call: &ProviderCall) -> bool {
    let how = || disposition(call.ended_reason.as_deref());
    call.is_ended() && how() == Disposition::NeverDialed
}

/// The call made elsewhere that blocks an item, if one does. It blocks the welcome call for
/// ever. It blocks the daily call of its local date, of its stated date, or whose time span
/// includes it.
pub fn blocking(
    cx: &Context,
    conn: &Conn,
    item: &Item,
    (customer, zone): (&Customer, &Zone),
    expires_at: Option<Instant>,
) -> anyhow::Result<Option<MadeElsewhere>> {
    if item.call_type == CallType::Extra || !made_elsewhere::is_any_blocking(conn)? {
        return Ok(None);
    }
    let phone_key = cx.installation.phone_key(&customer.phone);
    let calls = made_elsewhere::blocking(conn, &customer.phone, &phone_key)?;
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

/// Ends a waiting item whose customer was called from elsewhere.
pub fn end(
    cx: &Context,
    tx: &Tx<'_>,
    item: &Item,
    made: &MadeElsewhere,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let By { now, .. } = by;
    let moved = transitions::item(tx, item, &WAITING, &ended_by(made, &made.detail()), by)?;
    match (moved, item.call_type) {
        (Moved::No, _) => {}
        // The daily calls begin, with today's if there is still time for it.
        (Moved::Yes, CallType::Welcome) => {
            next::begin_after_elsewhere(cx, tx, item.customer_id, made.created_at, now)?;
        }
        (Moved::Yes, _) => next::advance(cx, tx, item.call_type, item.customer_id, now)?,
    }
    Ok(moved)
}

pub(crate) fn ended_by<'a>(made: &'a MadeElsewhere, detail: &'a str) -> Change<'a> {
    Change {
        vapi_call_id: Some(&made.call_id),
        error_message: Some(detail),
        ..Change::because(ItemStatus::Completed, Reason::AlreadyCalled)
    }
}

/// Ends a customer's welcome item at once if a call made elsewhere blocks it, so that the daily
/// calls do not wait for it.
pub fn end_welcome(
    cx: &Context,
    tx: &Tx<'_>,
    customer_id: i64,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    if !made_elsewhere::is_any_blocking(tx)? {
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
        Some(made) if item.attempts == 0 => end(cx, tx, &item, &made, by),
        _ => Ok(Moved::No),
    }
}

/// Does the same for every waiting welcome call, after a call made elsewhere was found.
pub fn end_welcomes(cx: &Context, tx: &Tx<'_>, now: Instant) -> anyhow::Result<()> {
    for item in made_elsewhere::waiting_welcomes(tx)? {
        let _ = end_welcome(cx, tx, item.customer_id, By { who: WHO, now })?;
    }
    Ok(())
}

/// Every call made elsewhere, the newest first, with the customers whom it may have called.
pub fn history(conn: &Conn) -> anyhow::Result<Vec<(ElsewhereCall, Vec<Callee>)>> {
    let calls = made_elsewhere::all(conn)?;
    let mut callees: HashMap<String, Vec<Callee>> = made_elsewhere::callees(conn, &calls)?;
    let with_callees = |call: ElsewhereCall| {
        let callees = callees.remove(&call.vapi_call_id).unwrap_or_default();
        (call, callees)
    };
    Ok(calls.into_iter().map(with_callees).collect())
}
