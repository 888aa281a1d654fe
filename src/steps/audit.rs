//! Works out again, with separate code, which calls were due, and compares them with the results.
//!
//! The audit shares no query and no date arithmetic with the scan and the gate. It walks each
//! customer's calendar and looks up every date. Only the cron parser is shared.
//! It cannot judge a time that the file does not remember. It therefore never reports these:
//! - dates before a customer's last change of eligibility, zone, time or schedule;
//! - first dates that a customers file postponed, or that an old queue held;
//! - customers who are not eligible now;
//! - dates more than 31 days ago;
//! - dates under an earlier list of eligible statuses.
//!
//! Another program may have set a welcome flag or a call date. Without a record of the call here,
//! the audit treats it as a call made elsewhere.

pub mod calendar;
pub mod calls;
pub mod judged_from;
pub mod made_elsewhere;
pub mod report;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::Duration;

use crate::domain::{Instant, instant_text};
use crate::steps::Context;
use crate::steps::audit::calendar::slot;
use crate::steps::audit::judged_from::{Imports, KnownSince};
use crate::steps::audit::report::{AuditFinding, AuditReport, Cause};
use crate::steps::readiness::quarantine;
use crate::store::attempts::second_calls;
use crate::store::quarantine::OddRow;
use crate::store::views::audit::{self as data, AuditAttempt, AuditCustomer, AuditItem, Edits};

/// How long before the last scan an occasion must have ended: a scan under way may have missed it.
const SLACK: Duration = Duration::minutes(1);
/// Customers read at a time.
const CHUNK: i64 = 500;

/// The data that every judgement needs.
struct Frame<'a> {
    cx: &'a Context,
    now: Instant,
    last_scan: Option<Instant>,
    /// A scan should have recorded everything that ended before this instant.
    scanned_before: Instant,
    imports: Imports,
    edits: HashMap<i64, Edits>,
    retries: HashMap<i64, usize>,
    /// Since when welcome calls are paused.
    welcome_paused: Option<Instant>,
}

impl Frame<'_> {
    fn known(&self, person: &AuditCustomer, entries: &[AuditItem]) -> Option<KnownSince> {
        judged_from::known(&self.imports, self.edits.get(&person.id), person, entries)
    }

    /// The finding about something that ended at `last` without a recorded outcome. A scan ran
    /// after it, or no scan has run for too long. `None`: the next scan records it.
    fn untold(&self, last: Instant) -> Option<String> {
        match self.last_scan {
            Some(scan) if last + SLACK < scan => Some(String::new()),
            _ if self.scanned_before < last => None,
            scan => {
                let since = match scan {
                    Some(scan) => format!("has run since {}", instant_text(scan)),
                    None => "has ever run".to_string(),
                };
                Some(format!(
                    ": no scan {since}; start `ringonce run`, or run `ringonce tick`, which calls \
                     or records it as missed"
                ))
            }
        }
    }
}

/// Audits the file in one read transaction.
pub fn audit(cx: &Context, now: Instant) -> anyhow::Result<AuditReport> {
    cx.store.read(|conn| {
        data::in_one_moment(conn, |tx| {
            let frame = Frame {
                cx,
                now,
                last_scan: data::last_scan(tx)?,
                scanned_before: judged_from::scanned_before(cx, now),
                imports: Imports::read(tx)?,
                edits: data::edits(tx)?,
                retries: data::retries_permitted(tx)?,
                welcome_paused: data::welcome_paused(tx)?,
            };
            let mut report = AuditReport {
                looked_at: data::size(tx)?,
                last_scan: frame.last_scan.map(instant_text),
                ..AuditReport::default()
            };
            let mut after = 0;
            loop {
                let people = data::people(tx, after, CHUNK)?;
                let Some(last) = people.last() else { break };
                after = last.id;
                for person in &people {
                    let entries = data::entries_of(tx, person.id)?;
                    let calls = data::dialings_of(tx, person.id)?;
                    judge_person(&frame, person, &entries, &calls, &mut report);
                }
            }
            let gone = data::dialings_of_nobody(tx)?;
            report.duplicates.extend(calls::beyond_the_first(&cx.rules, &frame.retries, &gone));
            report.duplicates.extend(calls::at_one_number(tx)?);
            for second in second_calls::all(tx)? {
                report.duplicates.push(calls::second_call(tx, &second)?);
            }
            calls::unlisted(tx, now, &mut report)?;
            made_elsewhere::stored(cx, tx, &mut report)?;
            report.gaps.extend(quarantine::all(&cx.store, tx)?.iter().map(unread));
            Ok(report)
        })
    })
}

/// A row that cannot be read proves nothing about its customer.
fn unread(row: &OddRow) -> AuditFinding {
    AuditFinding {
        customer: row.customer_id,
        call_type: String::new(),
        occasion: String::new(),
        attempt: None,
        cause: Cause::Unreadable,
        what: format!("{}, so its calls are not proven; run `ringonce check`", row.words()),
    }
}

fn judge_person(
    frame: &Frame<'_>,
    person: &AuditCustomer,
    entries: &[AuditItem],
    calls: &[AuditAttempt],
    report: &mut AuditReport,
) {
    let beyond = calls::beyond_the_first(&frame.cx.rules, &frame.retries, calls);
    report.duplicates.extend(beyond);
    for entry in entries {
        if let Some(fault) = broken_entry(frame, person, entry, calls) {
            report.gaps.push(gap(person, &entry.call_type, &entry.occasion, fault));
        }
    }
    for call in calls.iter().filter(|call| ["placed", "ended"].contains(&call.state.as_str())) {
        let marked = is_marked(person, &call.call_type, &call.occasion);
        if !marked {
            let what = "a call was placed, but the customer is not marked as called".to_string();
            let fault = (Cause::NotMarked, what);
            report.gaps.push(gap(person, &call.call_type, &call.occasion, fault));
        }
    }
    if is_eligible(frame, person) {
        judge_welcome(frame, person, entries, calls, report);
        judge_days(frame, person, entries, calls, report);
    }
}

/// A cause, and what is wrong in words.
type Fault = (Cause, String);

fn gap(
    person: &AuditCustomer,
    call_type: &str,
    occasion: &str,
    (cause, what): Fault,
) -> AuditFinding {
    AuditFinding {
        customer: Some(person.id),
        call_type: call_type.to_string(),
        occasion: occasion.to_string(),
        attempt: None,
        cause,
        what,
    }
}

fn is_eligible(frame: &Frame<'_>, person: &AuditCustomer) -> bool {
    frame.cx.rules.eligible_payment_status.contains(&person.payment_status)
        && person.phone_validated
        && !["paused", "disabled"].contains(&person.call_status.as_str())
}

fn is_marked(person: &AuditCustomer, call_type: &str, occasion: &str) -> bool {
    match call_type {
        "welcome" => person.welcomed,
        "daily" => person.last_call_date.as_deref().is_some_and(|date| occasion <= date),
        _ => true,
    }
}

/// The fault of one item, judged by itself.
fn broken_entry(
    frame: &Frame<'_>,
    person: &AuditCustomer,
    entry: &AuditItem,
    calls: &[AuditAttempt],
) -> Option<Fault> {
    let of_it = |call: &&AuditAttempt| {
        (&call.call_type, &call.occasion) == (&entry.call_type, &entry.occasion)
    };
    let has = |states: &[&str]| {
        calls.iter().filter(of_it).any(|call| states.contains(&call.state.as_str()))
    };
    let answered = |call: &AuditAttempt| call.disposition.as_deref() == Some("answered");
    let answered = calls.iter().filter(of_it).any(answered);
    // A row from the old queue may have a call without its id, and an end without a reason.
    let is_old = frame.imports.may_have_brought(entry);
    let id = entry.id;
    match entry.status.as_str() {
        "pending" | "retrying" => still_open(frame, entry),
        "processing" if has(&["placed", "ended"]) => {
            let what =
                format!("item {id} was placed, but the customer is not marked as called yet");
            Some((Cause::NotMarked, what))
        }
        "processing" if !has(&["dialing"]) => {
            let what = format!("item {id} is processing, but no call of it is under way");
            Some((Cause::NoCallUnderWay, what))
        }
        "completed" => {
            let is_old_call = is_old
                && (entry.vapi_call_id.is_some()
                    || is_marked(person, &entry.call_type, &entry.occasion));
            let explained = has(&["placed", "ended"]) || entry.reason.is_some() || is_old_call;
            (!explained).then(|| {
                let what = format!("item {id} is completed, but the ledger has no call of it");
                (Cause::NoCallInLedger, what)
            })
        }
        "failed" | "skipped" if answered => {
            let reason = entry.reason.as_deref().unwrap_or("no reason");
            let what =
                format!("item {id} is {} ({reason}), but its call was answered", entry.status);
            Some((Cause::AnsweredAllTheSame, what))
        }
        "failed" if entry.reason.is_none() && !is_old && !calls.iter().any(|call| of_it(&call)) => {
            let what = format!("item {id} is failed without a reason and without a call");
            Some((Cause::NoReason, what))
        }
        _ => None,
    }
}

/// The fault of a waiting item. A scan should at least have looked at an item without an expiry.
fn still_open(frame: &Frame<'_>, entry: &AuditItem) -> Option<Fault> {
    let id = entry.id;
    if let Some(over) = entry.expires_at {
        let why = frame.untold(over)?;
        let what =
            format!("item {id} is open though its time ended at {}{why}", instant_text(over));
        return Some((Cause::OpenItem, what));
    }
    let due = entry.scheduled_for;
    let looked_at = frame.last_scan.map_or(due, |scan| scan.max(due));
    let why = frame.untold(looked_at + frame.cx.rules.max_lateness)?;
    Some((Cause::WaitingItem, format!("item {id} waits since {}{why}", instant_text(due))))
}

fn judge_welcome(
    frame: &Frame<'_>,
    person: &AuditCustomer,
    entries: &[AuditItem],
    calls: &[AuditAttempt],
    report: &mut AuditReport,
) {
    if let Some(entry) = entries.iter().find(|entry| entry.call_type == "welcome") {
        if entry.ended_at.is_some() {
            report.ended += 1;
            report.called += u64::from(entry.status == "completed");
        }
        return;
    }
    if person.welcomed || calls.iter().any(|call| call.call_type == "welcome") {
        return;
    }
    let Some(KnownSince { since, .. }) = frame.known(person, entries) else { return };
    let due = (person.created_at + frame.cx.rules.welcome_delay)
        .max(since)
        .max(person.eligible_from.unwrap_or(since));
    // A welcome call never expires, but a late scan counts as missed here as for a daily call.
    let seen = frame.last_scan.is_some_and(|scan| due + SLACK < scan);
    let last = if seen { due } else { due + frame.cx.rules.max_lateness };
    if let Some(why) = frame.untold(last) {
        let what = format!("it fell due at {} and has no result{why}", instant_text(due));
        report.gaps.push(gap(person, "welcome", "welcome", (Cause::NoResult, what)));
    } else if due < frame.now {
        report.wait_for_scan += 1;
    }
}

fn judge_days(
    frame: &Frame<'_>,
    person: &AuditCustomer,
    entries: &[AuditItem],
    calls: &[AuditAttempt],
    report: &mut AuditReport,
) {
    let Some(zone) = frame.cx.zones.get(&person.timezone) else { return };
    let Some(known) = frame.known(person, entries) else { return };
    let edits = frame.edits.get(&person.id);
    let from = judged_from::judged_from(
        known,
        edits,
        person,
        (entries, calls),
        (frame.now, frame.welcome_paused),
    );
    let Some(from) = from else { return };
    let ended: BTreeMap<&str, &AuditItem> = entries
        .iter()
        .filter(|entry| entry.call_type == "daily")
        .map(|entry| (entry.occasion.as_str(), entry))
        .collect();
    let called: BTreeSet<&str> = calls
        .iter()
        .filter(|call| call.call_type == "daily" && call.state != "not_placed")
        .map(|call| call.occasion.as_str())
        .collect();
    let mut date = zone.date(from);
    while date <= zone.date(frame.now) {
        let occasion = date.format("%Y-%m-%d").to_string();
        let at = slot(person, &zone, date).filter(|at| from <= *at && *at < frame.now);
        date += Duration::days(1);
        let Some(at) = at else { continue };
        if called.contains(occasion.as_str()) {
            report.ended += 1;
            report.called += 1;
        } else if let Some(entry) = ended.get(occasion.as_str()) {
            report.ended += u64::from(entry.ended_at.is_some());
        } else if !marked_without_a_call(person, &occasion, &called) {
            let last = at + frame.cx.rules.max_lateness.max(frame.cx.rules.grace);
            if let Some(why) = frame.untold(last) {
                let what = format!("it fell due at {} and has no result{why}", instant_text(at));
                report.gaps.push(gap(person, "daily", &occasion, (Cause::NoResult, what)));
            } else if frame.last_scan.is_none_or(|scan| scan < at) {
                report.wait_for_scan += 1;
            }
        }
    }
}

/// A call date that came with a file explains itself and the dates before it.
fn marked_without_a_call(person: &AuditCustomer, occasion: &str, called: &BTreeSet<&str>) -> bool {
    match person.last_call_date.as_deref() {
        Some(last) => occasion <= last && !called.contains(last),
        None => false,
    }
}
