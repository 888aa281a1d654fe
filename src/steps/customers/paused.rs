//! The one pause of a customer: the call status `paused`, and a record of who paused, when and why.

use anyhow::bail;

use crate::domain::customer::{CallStatus, Customer};
use crate::domain::{Instant, instant_text};
use crate::steps::Context;
use crate::steps::occasions::{missed, next};
use crate::store::journal::{self, Act};
use crate::store::meta::pauses::{self, Pause};
use crate::store::queue::transitions;
use crate::store::{Tx, customers};

/// Stops all calls of a customer until `resume`, from the next call on. Every command, page and
/// reply that pauses a customer comes here. `false`: they were already paused, and the first reason
/// stays.
pub fn pause(tx: &Tx<'_>, customer: &Customer, act: Act<'_>) -> anyhow::Result<bool> {
    let Act { who, why, now } = act;
    let scope = pauses::of_customer(&customer.key);
    if pauses::pause_of(tx, &scope)?.is_some() {
        return Ok(false);
    }
    record(tx, &scope, act)?;
    // Too many failures disabled the customer: that stays so until `resume`.
    if !matches!(customer.call_status, CallStatus::Paused | CallStatus::Disabled) {
        move_status(tx, customer, CallStatus::Paused, (who, why), now)?;
        // The dates before a pause stay missed, and each date in it has a row.
        customers::set_eligible_from(tx, customer.id, customer.eligible_from)?;
    }
    Ok(true)
}

/// Ends the pause of a customer, whoever set it, and enables a disabled one: the failures in a row
/// begin again. Dates of the pause that no scan recorded get their rows first. `false`: their calls
/// were not stopped.
pub fn resume(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    act: Act<'_>,
) -> anyhow::Result<bool> {
    let Act { who, why, now } = act;
    let scope = pauses::of_customer(&customer.key);
    // A disabled customer is not eligible, whether or not a pause followed.
    let is_only_paused = customer.call_status == CallStatus::Paused;
    if is_only_paused {
        record_dates(cx, tx, customer, now)?;
    }
    let was_paused = pauses::lift_pause(tx, &scope)?;
    if was_paused {
        note_pause(tx, &scope, (Some("paused"), None), act)?;
    }
    // Without the record of the pause, the status is the one that is stored.
    let stored = customers::by_id(tx, customer.id)?;
    let stopped = stored
        .filter(|stored| matches!(stored.call_status, CallStatus::Paused | CallStatus::Disabled));
    if let Some(stored) = &stopped {
        move_status(tx, stored, CallStatus::Pending, (who, why), now)?;
        if was_paused && is_only_paused {
            customers::set_eligible_from(tx, customer.id, customer.eligible_from)?;
        }
    }
    transitions::wake_paused(tx, now)?;
    Ok(was_paused || stopped.is_some())
}

/// Records the dates until now that a paused customer would have been called on.
fn record_dates(
    cx: &Context,
    tx: &Tx<'_>,
    customer: &Customer,
    now: Instant,
) -> anyhow::Result<()> {
    let Some(was_due) = customer.next_call_scheduled_at else { return Ok(()) };
    let is_eligible = cx.rules.eligible_payment_status.contains(&customer.payment_status);
    if !is_eligible || !customer.phone_validated || missed::paused_at(tx, customer)?.is_none() {
        return Ok(());
    }
    if next::have_begun(tx, customer)? {
        let begun = next::begun_by_a_pause(tx, customer)?.map_or(was_due, |at| at.max(was_due));
        missed::record_overdue(cx, tx, customer, begun, now, now)?;
    }
    Ok(())
}

/// Records the pause of a customer whom another program paused: since the status changed, or since
/// the customer is in the file.
pub fn record_of_another_program(
    tx: &Tx<'_>,
    customer: &Customer,
    now: Instant,
) -> anyhow::Result<()> {
    let (who, why) = ("another program", "call_status was set to paused");
    let scope = pauses::of_customer(&customer.key);
    let since = instant_text(customer.eligible_from.unwrap_or(customer.created_at));
    pauses::set_pause(
        tx,
        &scope,
        &Pause { who: who.to_string(), why: why.to_string(), since, ..Pause::default() },
    )?;
    note_pause(tx, &scope, (None, Some("paused")), Act { who, why, now })
}

/// Records who pauses a scope, when and why.
pub fn record(tx: &Tx<'_>, scope: &str, act: Act<'_>) -> anyhow::Result<()> {
    let (who, why) = (act.who.to_string(), act.why.to_string());
    pauses::set_pause(
        tx,
        scope,
        &Pause { who, why, since: instant_text(act.now), ..Pause::default() },
    )?;
    note_pause(tx, scope, (None, Some("paused")), act)
}

fn note_pause(
    tx: &Tx<'_>,
    subject: &str,
    (old, new): (Option<&str>, Option<&str>),
    act: Act<'_>,
) -> anyhow::Result<()> {
    let (who, why) = (act.who, Some(act.why));
    journal::add(tx, act.now, journal::Entry { who, what: "pause", subject, old, new, why })
}

fn move_status(
    tx: &Tx<'_>,
    customer: &Customer,
    to: CallStatus,
    (who, why): (&str, &str),
    now: Instant,
) -> anyhow::Result<()> {
    let from = customer.call_status;
    if !customers::move_call_status(tx, customer.id, from, to, now)? {
        bail!("customer {} was changed by somebody else; try again", customer.id);
    }
    let subject = format!("customer:{}", customer.id);
    let (old, new) = (Some(from.as_str()), Some(to.as_str()));
    let why = Some(why);
    let entry = journal::Entry { who, what: "call_status", subject: &subject, old, new, why };
    journal::add(tx, now, entry)
}
