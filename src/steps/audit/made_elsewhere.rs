//! The part of the audit about calls that this ledger did not make. It lists them, and reports a
//! phone that rang from elsewhere and from here on one local date.

use chrono::Duration;

use crate::domain::{Instant, instant_text};
use crate::provider::{Listing, ProviderCall};
use crate::steps::audit::report::{AuditFinding, AuditReport, Cause, ElsewhereFinding};

use crate::steps::Context;
use crate::steps::reconcile::listing::MARGIN;
use crate::steps::reconcile::made_elsewhere;
use crate::store::Conn;
use crate::store::attempts::second_calls;
use crate::store::made_elsewhere::{self as calls_elsewhere, Callee, ElsewhereCall};
use crate::store::views::audit::{self as data, AuditAttempt};

/// The longest time between our request and the provider's creation of the call.
const TAKEN_BY_THEN: Duration = Duration::hours(1);

/// Judges the stored calls made elsewhere.
pub fn stored(cx: &Context, conn: &Conn, report: &mut AuditReport) -> anyhow::Result<()> {
    judge(cx, conn, calls_elsewhere::all(conn)?, report)
}

/// Judges the calls of a listing that are not stored yet.
pub fn listed(
    cx: &Context,
    conn: &Conn,
    listing: &Listing,
    now: Instant,
    report: &mut AuditReport,
) -> anyhow::Result<()> {
    let mut fresh = Vec::new();
    for call in listing.calls.iter().filter(|call| !made_elsewhere::never_rang(call)) {
        let is_ours = call.installation_id.as_deref() == Some(&cx.installation.id)
            || data::dialing_of_call(conn, &call.id, attempt_named(call))?.is_some()
            || second_calls::is_noted(conn, &call.id)?;
        if is_ours || calls_elsewhere::by_id(conn, &call.id)?.is_some() {
            continue;
        }
        fresh.extend(made_elsewhere::read(cx, call, now));
    }
    judge(cx, conn, fresh, report)
}

fn judge(
    cx: &Context,
    conn: &Conn,
    mut calls: Vec<ElsewhereCall>,
    report: &mut AuditReport,
) -> anyhow::Result<()> {
    calls.retain(|call| call.blocks);
    let callees = calls_elsewhere::callees(conn, &calls)?;
    for call in &calls {
        let called = callees.get(&call.vapi_call_id).map_or(&[][..], Vec::as_slice);
        // When several people share the number, nobody can tell whom the call was for.
        let is_told = called.len() == 1 || called.iter().any(|callee| !callee.shares_phone);
        for callee in called.iter().filter(|_| is_told && call.ignored.is_none()) {
            report.duplicates.extend(called_here_too(cx, conn, call, callee)?);
        }
        if called.is_empty() && !call.may_be_anybodys() {
            continue;
        }
        report.elsewhere.push(ElsewhereFinding {
            call_id: call.vapi_call_id.clone(),
            at: instant_text(call.created_at),
            customers: called.iter().map(|callee| callee.id).collect(),
            anybody: call.may_be_anybodys(),
            ignored: call.ignored.is_some(),
        });
    }
    Ok(())
}

/// A call made here to the same customer on the local date of a call made elsewhere.
fn called_here_too(
    cx: &Context,
    conn: &Conn,
    call: &ElsewhereCall,
    callee: &Callee,
) -> anyhow::Result<Option<AuditFinding>> {
    let Some(zone) = cx.zones.get(&callee.timezone) else { return Ok(None) };
    let rang = |made: &AuditAttempt| {
        made.state != "not_placed" && made.disposition.as_deref() != Some("never_dialed")
    };
    let mut made = data::dialings_of(conn, callee.id)?;
    made.retain(rang);
    // An attempt without a known call id may be this very call.
    let may_be_it = |made: &AuditAttempt| {
        made.vapi_call_id.is_none()
            && made.created_at - MARGIN <= call.created_at
            && call.created_at <= made.created_at + TAKEN_BY_THEN
    };
    if made.iter().any(may_be_it) {
        return Ok(None);
    }
    let date = zone.date(call.created_at);
    let on_that_date =
        |made: &&AuditAttempt| made.call_type != "extra" && zone.date(made.created_at) == date;
    Ok(made.iter().find(on_that_date).map(|made| AuditFinding {
        customer: Some(callee.id),
        call_type: made.call_type.clone(),
        occasion: made.occasion.clone(),
        attempt: Some(made.id.clone()),
        cause: Cause::SecondCall,
        what: format!(
            "the call {} was made elsewhere on {date}, and attempt {} called on that date too",
            call.vapi_call_id, made.id
        ),
    }))
}

/// The id of the attempt in a call's tag; empty when the call has no tag.
pub fn attempt_named(call: &ProviderCall) -> &str {
    call.tags().find_map(|tag| tag.get(2..)).unwrap_or_default()
}
