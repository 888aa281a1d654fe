//! Stores calls of the provider's list that this ledger did not make. They can keep a new database
//! from dialing.

use std::collections::HashSet;

use crate::domain::{Instant, parse_instant};
use crate::provider::ProviderCall;
use crate::steps::Context;
use crate::steps::dial::caller_id;
use crate::steps::operate::ignore_elsewhere::ignore;
use crate::steps::reconcile::made_elsewhere::{WHO, never_rang, read};
use crate::store::file::lost_database;
use crate::store::journal::Act;
use crate::store::made_elsewhere::{self, ElsewhereCall};
use crate::store::meta::{
    self,
    marks::{self, Mark},
};
use crate::store::transaction::Moved;
use crate::store::{Conn, Tx, customers};

/// Stores a call that is not in the ledger; `Yes` if it blocks a customer and was not known.
pub fn note(cx: &Context, tx: &Tx<'_>, call: &ProviderCall, now: Instant) -> anyhow::Result<Moved> {
    let Some(found) = read(cx, call, now) else { return Ok(Moved::No) };
    if never_rang(call) {
        let why = "the provider says that it was never dialed";
        if made_elsewhere::by_id(tx, &call.id)?.is_some_and(|known| known.ignored.is_none()) {
            ignore(cx, tx, &call.id, Act { who: WHO, why, now })?;
        }
        return Ok(Moved::No);
    }
    Ok(match made_elsewhere::insert(tx, &found)? {
        Moved::Yes if found.blocks => {
            let at = found.created_at.format("%F %T UTC");
            log::warn!("the call {} of {at} was made elsewhere: `ringonce history list`", call.id);
            Moved::Yes
        }
        _ => Moved::No,
    })
}

/// Prepares for a list: earlier calls by the assistants configured now count as ours, and old calls
/// that block nothing are deleted.
pub fn refresh(cx: &Context, tx: &Tx<'_>, oldest: Instant) -> anyhow::Result<()> {
    for assistant in caller_id::assistants(cx) {
        made_elsewhere::block_by(tx, assistant)?;
    }
    made_elsewhere::forget_unblocking(tx, oldest).map(drop)
}

/// How many customers the calls made elsewhere may have reached, if this database never dialed; 0
/// otherwise. Such a database may replace the one that made the calls, or only share its account. A
/// person has to say which.
pub fn called_elsewhere(cx: &Context) -> anyhow::Result<usize> {
    cx.store.read(|conn| {
        let is_accepted = lost_database::accepted_at(conn)?.is_some()
            || marks::mark(conn, Mark::Armed)?.is_some()
            || made_elsewhere::has_ever_dialed(conn)?;
        if is_accepted || !made_elsewhere::is_any_blocking(conn)? { Ok(0) } else { called(conn) }
    })
}

/// The key of when a person last imported the calls of an old scheduler.
pub const HISTORY_IMPORTED_AT: &str = "history_imported_at";

/// How many customers a blocking call may have reached. Calls without our tags do not count if a
/// person imported them as an old scheduler's: they show no lost database of ours.
fn called(conn: &Conn) -> anyhow::Result<usize> {
    let imported = meta::get(conn, HISTORY_IMPORTED_AT)?.and_then(|text| parse_instant(&text));
    let is_taken_over = |call: &ElsewhereCall| {
        call.installation_id.is_none() && imported.is_some_and(|at| call.created_at <= at)
    };
    let mut calls = made_elsewhere::all(conn)?;
    calls.retain(|call| call.blocks && call.ignored.is_none() && !is_taken_over(call));
    if calls.iter().any(ElsewhereCall::may_be_anybodys) {
        let all: i64 = customers::payment_statuses(conn)?.into_iter().map(|(_, count)| count).sum();
        return Ok(usize::try_from(all).unwrap_or(usize::MAX));
    }
    let callees = made_elsewhere::callees(conn, &calls)?;
    Ok(callees.values().flatten().map(|callee| callee.id).collect::<HashSet<_>>().len())
}
