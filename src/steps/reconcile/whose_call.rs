//! Finds the customer, number and occasion of a call that is not in the ledger, as far as its
//! record shows.

use crate::domain::Instant;
use crate::domain::call::{CallType, WELCOME_OCCASION, daily_occasion};
use crate::phones;
use crate::provider::ProviderCall;
use crate::steps::reconcile::call_tags::begun;
use crate::steps::reconcile::made_elsewhere;
use crate::steps::{Context, settle};
use crate::store::{Tx, customers, made_elsewhere as calls_elsewhere};

/// The one customer whom a call may have rung. `None`: nobody, or several are possible.
pub fn customer_of_number(
    cx: &Context,
    tx: &Tx<'_>,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<Option<i64>> {
    let Some(read) = made_elsewhere::read(cx, call, now) else { return Ok(None) };
    let callees = calls_elsewhere::callees(tx, &[read])?.remove(&call.id).unwrap_or_default();
    Ok(match callees.as_slice() {
        [callee] => Some(callee.id),
        _ => None,
    })
}

/// The number that a call went to, in E.164 if possible: from the call, else from the customer.
pub fn number_called(
    tx: &Tx<'_>,
    call: &ProviderCall,
    customer_id: Option<i64>,
) -> anyhow::Result<Option<String>> {
    let told = call.customer_number.as_deref();
    let named = phones::named(told);
    let customer = match customer_id {
        Some(id) if named.is_none() && told.is_some() => customers::by_id(tx, id)?,
        _ => None,
    };
    let theirs = customer.map(|customer| customer.phone);
    let theirs = theirs.filter(|phone| phones::may_have_rung(told, phone));
    Ok(named.or(theirs).or_else(|| call.customer_number.clone()))
}

/// The customer and the occasion of an unknown call. Without a usable occasion there is no
/// customer, and only the number is remembered.
pub fn whose(
    cx: &Context,
    tx: &Tx<'_>,
    call: &ProviderCall,
    (call_type, id): (CallType, &str),
    now: Instant,
) -> anyhow::Result<(Option<i64>, String)> {
    let customer_id = match &call.customer_key {
        Some(key) => settle::customer_of_key(tx, key)?,
        None => customer_of_number(cx, tx, call, now)?,
    };
    let told = call.occasion.clone().unwrap_or_default();
    let is_sound = match call_type {
        CallType::Welcome => return Ok((customer_id, WELCOME_OCCASION.to_string())),
        CallType::Daily => is_date(&told),
        CallType::Extra => told.strip_prefix("extra:").is_some_and(|rest| !rest.is_empty()),
    };
    if is_sound {
        return Ok((customer_id, told));
    }
    // A daily call without its date counts for the customer's local date when it was made.
    if let (CallType::Daily, Some(id_of_row)) = (call_type, customer_id)
        && let Some(customer) = customers::by_id(tx, id_of_row)?
        && let Some(zone) = cx.zones.get(&customer.timezone)
        && let Some(begun) = begun(call, id)
    {
        return Ok((customer_id, daily_occasion(zone.date(begun))));
    }
    log::warn!("call {} names no occasion: only its number is remembered", call.id);
    Ok((None, told))
}

fn is_date(text: &str) -> bool {
    text.parse().is_ok_and(|date| daily_occasion(date) == text)
}
