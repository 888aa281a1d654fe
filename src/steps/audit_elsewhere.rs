//! The part of the audit about calls that this ledger did not make: names them, and reports a phone
//! that rang from elsewhere and from here on one local date.

use chrono::Duration;
use serde::Serialize;

use crate::domain::Instant;
use crate::domain::instant_text;
use crate::provider::Listing;
use crate::steps::audit::{Finding, Report};
use crate::steps::reconcile::MARGIN;
use crate::steps::{Context, audit_calls, elsewhere};
use crate::store::Conn;
use crate::store::audit::{self as data, Dialing};
use crate::store::elsewhere::{self as calls_elsewhere, Callee, ElsewhereCall};
use crate::store::second;

/// The provider may take a call so long after it was asked for.
const TAKEN_BY_THEN: Duration = Duration::hours(1);

/// A call made elsewhere, as an audit names it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MadeElsewhere {
    pub call_id: String,
    pub at: String,
    /// Whom it may have called.
    pub customers: Vec<i64>,
    /// Its number excludes nobody.
    pub anybody: bool,
    pub ignored: bool,
}

/// Judges the calls that the file has stored.
pub fn stored(cx: &Context, conn: &Conn, report: &mut Report) -> anyhow::Result<()> {
    judge(cx, conn, calls_elsewhere::all(conn)?, report)
}

/// Judges the calls of a listing that nobody has stored yet.
pub fn listed(
    cx: &Context,
    conn: &Conn,
    listing: &Listing,
    now: Instant,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut fresh = Vec::new();
    for call in listing.calls.iter().filter(|call| !elsewhere::never_rang(call)) {
        let is_ours = call.installation_id.as_deref() == Some(&cx.installation.id)
            || data::dialing_of_call(conn, &call.id, audit_calls::attempt_named(call))?.is_some()
            || second::is_noted(conn, &call.id)?;
        if is_ours || calls_elsewhere::by_id(conn, &call.id)?.is_some() {
            continue;
        }
        fresh.extend(elsewhere::read(cx, call, now));
    }
    judge(cx, conn, fresh, report)
}

fn judge(
    cx: &Context,
    conn: &Conn,
    mut calls: Vec<ElsewhereCall>,
    report: &mut Report,
) -> anyhow::Result<()> {
    calls.retain(|call| call.blocks);
    let callees = calls_elsewhere::callees(conn, &calls)?;
    for call in &calls {
        let called = callees.get(&call.vapi_call_id).map_or(&[][..], Vec::as_slice);
        // Of several people at one number nobody can say whom it was for.
        let is_told = called.len() == 1 || called.iter().any(|callee| !callee.shares_phone);
        for callee in called.iter().filter(|_| is_told && call.ignored.is_none()) {
            report.duplicates.extend(called_here_too(cx, conn, call, callee)?);
        }
        if called.is_empty() && !call.may_be_anybodys() {
            continue;
        }
        report.elsewhere.push(MadeElsewhere {
            call_id: call.vapi_call_id.clone(),
            at: instant_text(call.created_at),
            customers: called.iter().map(|callee| callee.id).collect(),
            anybody: call.may_be_anybodys(),
            ignored: call.ignored.is_some(),
        });
    }
    Ok(())
}

/// A call from here to the same customer on the local date of a call from elsewhere.
fn called_here_too(
    cx: &Context,
    conn: &Conn,
    call: &ElsewhereCall,
    callee: &Callee,
) -> anyhow::Result<Option<Finding>> {
    let Some(zone) = cx.zones.get(&callee.timezone) else { return Ok(None) };
    let rang = |made: &Dialing| {
        made.state != "not_placed" && made.disposition.as_deref() != Some("never_dialed")
    };
    let mut made = data::dialings_of(conn, callee.id)?;
    made.retain(rang);
    // A call of ours whose id nobody knows may be this very call.
    let may_be_it = |made: &Dialing| {
        made.vapi_call_id.is_none()
            && made.created_at - MARGIN <= call.created_at
            && call.created_at <= made.created_at + TAKEN_BY_THEN
    };
    if made.iter().any(may_be_it) {
        return Ok(None);
    }
    let date = zone.date(call.created_at);
    let on_that_date =
        |made: &&Dialing| made.call_type != "extra" && zone.date(made.created_at) == date;
    Ok(made.iter().find(on_that_date).map(|made| Finding {
        customer: Some(callee.id),
        call_type: made.call_type.clone(),
        occasion: made.occasion.clone(),
        what: format!(
            "the call {} was made elsewhere on {date}, and attempt {} called on that date too",
            call.vapi_call_id, made.id
        ),
    }))
}
