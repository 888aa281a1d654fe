//! Lets a person ignore a call made elsewhere. Items that it alone had ended open again.

use crate::domain::call::ItemStatus;
use crate::domain::gate;
use crate::domain::gate::facts::Verdict;
use crate::domain::gate::made_elsewhere::alone_ends;
use crate::steps::Context;
use crate::steps::dial::gate_facts::{self, ItemInQuestion};
use crate::steps::operate::{ActRefused, check_reason};
use crate::steps::reconcile::made_elsewhere::ended_by;
use crate::store::journal::{Act, By};
use crate::store::meta::pauses;
use crate::store::queue::transitions::{self, Change};
use crate::store::queue::{self, Item};
use crate::store::transaction::Moved;
use crate::store::{Tx, customers, journal, made_elsewhere};

/// Releases the items that a call made elsewhere blocks, and returns how many are open again.
/// `None`: the call was ignored before. The error is an [`ActRefused`], or one of the database.
pub fn ignore(
    cx: &Context,
    tx: &Tx<'_>,
    call_id: &str,
    act: Act<'_>,
) -> anyhow::Result<Option<usize>> {
    let Act { who, why, now } = act;
    check_reason(why)?;
    if made_elsewhere::by_id(tx, call_id)?.is_none() {
        return Err(ActRefused::UnknownCall(call_id.to_string()).into());
    }
    if made_elsewhere::ignore(tx, call_id, act)? == Moved::No {
        return Ok(None);
    }
    let subject = format!("call:{call_id}");
    let (new, why) = (Some("ignored"), Some(why));
    let entry = journal::Entry { who, what: "history", subject: &subject, new, why, old: None };
    journal::add(tx, now, entry)?;
    let mut reopened = 0;
    for item in made_elsewhere::items_ended_by(tx, call_id)? {
        reopened += usize::from(reopen(cx, tx, &item, By { who, now })?);
    }
    Ok(Some(reopened))
}

/// Reopens an item that a released call had ended, unless something else ends it.
pub(crate) fn reopen(cx: &Context, tx: &Tx<'_>, item: &Item, by: By<'_>) -> anyhow::Result<bool> {
    let By { now, .. } = by;
    let customer = customers::by_id(tx, item.customer_id)?;
    let zone = customer.as_ref().and_then(|customer| cx.zones.get(&customer.timezone));
    let pauses = pauses::pauses(tx)?;
    let facts = gate_facts::facts(
        cx,
        tx,
        &ItemInQuestion {
            item,
            customer: customer.as_ref(),
            zone: zone.as_deref(),
            pauses: &pauses,
        },
        now,
    )?;
    let decision = gate::ask(&facts, &cx.rules);
    let done = [ItemStatus::Completed];
    if let Some(made) = alone_ends(&facts, &decision) {
        let detail = made.detail();
        let _ = transitions::item(tx, item, &done, &ended_by(made, &detail), by)?;
        return Ok(false);
    }
    let is_over = matches!(decision.verdict, Verdict::AlreadyCalled | Verdict::Skip(_))
        || facts.expires_at.is_some_and(|last| last < now);
    if is_over || queue::open_item(tx, item.customer_id, item.call_type)?.is_some() {
        return Ok(false);
    }
    made_elsewhere::clear_item(tx, item.id)?;
    let moved = transitions::item(tx, item, &done, &Change::to(ItemStatus::Pending), by)?;
    Ok(moved == Moved::Yes)
}
