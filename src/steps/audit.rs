//! audit: works out again, by other code, what was due, and compares it with what became of it.
//!
//! Shares no query and no date arithmetic with the scan and the gate: it walks the calendar of
//! each customer and looks every date up (only the reading of cron expressions is shared).
//! It cannot judge what the file does not remember: dates before a customer's last change of
//! eligibility, zone, time or schedule; customers who are not eligible now; dates older than 31
//! days; a list of eligible statuses that was different then. It never reports those.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::Duration;
use serde::Serialize;

use crate::domain::{Instant, instant_text, parse_instant};
use crate::steps::audit_calendar::slot;
use crate::steps::{Context, audit_calls, queue_import};
use crate::store::audit::{self as data, Dialing, Edits, Entry, Person, Size};
use crate::store::second;

/// Dates are judged this far back, as far as missed ones are told of.
const JUDGED_DAYS: i64 = 31;
/// A scan that was under way when an occasion's time went may not have seen it.
const SLACK: Duration = Duration::minutes(1);
/// Customers read at a time.
const CHUNK: i64 = 500;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// `None`: a customer that the file does not know.
    pub customer: Option<i64>,
    pub call_type: String,
    pub occasion: String,
    /// One line; holds no phone number.
    pub what: String,
}

/// What an audit found, and on what.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Calls beyond the permitted ones.
    pub duplicates: Vec<Finding>,
    /// Occasions that fell due without an end, and ends that nothing bears out.
    pub gaps: Vec<Finding>,
    pub looked_at: Size,
    /// Occasions that were due by this reckoning and have their end.
    pub ended: u64,
    /// Of them, those with a call in the ledger.
    pub called: u64,
    /// Due, and the next scan writes what became of them.
    pub wait_for_scan: u64,
    pub last_scan: Option<String>,
    /// The provider's calls that were compared; `None` = its list was not read.
    pub provider_calls: Option<usize>,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.duplicates.is_empty() && self.gaps.is_empty()
    }
}

/// What every judgement needs.
struct Frame<'a> {
    cx: &'a Context,
    now: Instant,
    last_scan: Option<Instant>,
    newest_import: Option<Instant>,
    newest_queue_import: Option<Instant>,
    edits: HashMap<i64, Edits>,
    retries: HashMap<i64, usize>,
}

/// Audits the file, in one moment of it.
pub fn audit(cx: &Context, now: Instant) -> anyhow::Result<Report> {
    cx.store.read(|conn| {
        data::in_one_moment(conn, |tx| {
            let frame = Frame {
                cx,
                now,
                last_scan: data::last_scan(tx)?,
                newest_import: data::newest_import(tx, None)?,
                newest_queue_import: data::newest_import(tx, Some(queue_import::WHO))?,
                edits: data::edits(tx)?,
                retries: data::retries_permitted(tx)?,
            };
            let mut report = Report {
                looked_at: data::size(tx)?,
                last_scan: frame.last_scan.map(instant_text),
                ..Report::default()
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
            report.duplicates.extend(audit_calls::beyond_the_first(
                &cx.rules,
                &frame.retries,
                &gone,
            ));
            report.duplicates.extend(audit_calls::at_one_number(tx)?);
            for second in second::all(tx)? {
                report.duplicates.push(audit_calls::second_call(tx, &second)?);
            }
            Ok(report)
        })
    })
}

fn judge_person(
    frame: &Frame<'_>,
    person: &Person,
    entries: &[Entry],
    calls: &[Dialing],
    report: &mut Report,
) {
    let beyond = audit_calls::beyond_the_first(&frame.cx.rules, &frame.retries, calls);
    report.duplicates.extend(beyond);
    for entry in entries {
        if let Some(what) = broken_entry(frame, person, entry, calls) {
            report.gaps.push(gap(person, &entry.call_type, &entry.occasion, what));
        }
    }
    for call in calls.iter().filter(|call| ["placed", "ended"].contains(&call.state.as_str())) {
        let marked = is_marked(person, &call.call_type, &call.occasion);
        if !marked {
            let what = "a call was placed, and the customer is not marked as called".to_string();
            report.gaps.push(gap(person, &call.call_type, &call.occasion, what));
        }
    }
    if is_eligible(frame, person) {
        judge_welcome(frame, person, entries, calls, report);
        judge_days(frame, person, entries, calls, report);
    }
}

fn gap(person: &Person, call_type: &str, occasion: &str, what: String) -> Finding {
    Finding {
        customer: Some(person.id),
        call_type: call_type.to_string(),
        occasion: occasion.to_string(),
        what,
    }
}

fn is_eligible(frame: &Frame<'_>, person: &Person) -> bool {
    frame.cx.rules.eligible_payment_status.contains(&person.payment_status)
        && person.phone_validated
        && !["paused", "disabled"].contains(&person.call_status.as_str())
}

fn is_marked(person: &Person, call_type: &str, occasion: &str) -> bool {
    match call_type {
        "welcome" => person.welcomed,
        "daily" => person.last_call_date.as_deref().is_some_and(|date| occasion <= date),
        _ => true,
    }
}

/// What is wrong with one item by itself.
fn broken_entry(
    frame: &Frame<'_>,
    person: &Person,
    entry: &Entry,
    calls: &[Dialing],
) -> Option<String> {
    let of_it =
        |call: &&Dialing| (&call.call_type, &call.occasion) == (&entry.call_type, &entry.occasion);
    let has = |states: &[&str]| {
        calls.iter().filter(of_it).any(|call| states.contains(&call.state.as_str()))
    };
    let answered = |call: &Dialing| call.disposition.as_deref() == Some("answered");
    let answered = calls.iter().filter(of_it).any(answered);
    match entry.status.as_str() {
        "pending" | "retrying" => {
            let scan = frame.last_scan?;
            let over = entry.expires_at.filter(|last| *last + SLACK < scan)?;
            Some(format!(
                "item {} is open though its time went at {}",
                entry.id,
                instant_text(over)
            ))
        }
        "processing" if has(&["placed", "ended"]) => Some(format!(
            "item {} was placed, and that is not written to the customer yet",
            entry.id
        )),
        "processing" if !has(&["dialing"]) => {
            Some(format!("item {} is processing, but no call of it is under way", entry.id))
        }
        "completed" => {
            let explained = has(&["placed", "ended"])
                || entry.reason.is_some()
                || entry.vapi_call_id.is_some()
                || is_marked(person, &entry.call_type, &entry.occasion);
            (!explained).then(|| format!("item {} is completed, but there was no call", entry.id))
        }
        "failed" | "skipped" if answered => {
            let reason = entry.reason.as_deref().unwrap_or("no reason");
            Some(format!(
                "item {} is {} ({reason}), but its call was answered",
                entry.id, entry.status
            ))
        }
        _ => None,
    }
}

/// Since when the customer was surely in the file.
fn known_since(frame: &Frame<'_>, person: &Person, entries: &[Entry]) -> Option<Instant> {
    if let Some(created) = frame.edits.get(&person.id).and_then(|edits| edits.created) {
        return Some(created);
    }
    // Whoever came with a file came at the newest import at the latest.
    // A row of an old queue keeps the age that it had there, and tells nothing of its time here.
    let own = entries.iter().map(|entry| entry.created_at);
    let first_entry = own.filter(|at| frame.newest_queue_import.is_none_or(|old| old < *at)).min();
    [frame.newest_import, first_entry].into_iter().flatten().min()
}

fn judge_welcome(
    frame: &Frame<'_>,
    person: &Person,
    entries: &[Entry],
    calls: &[Dialing],
    report: &mut Report,
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
    let Some(known) = known_since(frame, person, entries) else { return };
    let due = (person.created_at + frame.cx.rules.welcome_delay)
        .max(known)
        .max(person.eligible_from.unwrap_or(known));
    match frame.last_scan {
        Some(scan) if due + SLACK < scan => {
            let what = format!("it fell due at {} and nothing became of it", instant_text(due));
            report.gaps.push(gap(person, "welcome", "welcome", what));
        }
        _ if due < frame.now => report.wait_for_scan += 1,
        _ => {}
    }
}

fn judge_days(
    frame: &Frame<'_>,
    person: &Person,
    entries: &[Entry],
    calls: &[Dialing],
    report: &mut Report,
) {
    let Some(zone) = frame.cx.zones.get(&person.timezone) else { return };
    let Some(from) = judged_from(frame, person, entries, calls) else { return };
    let ended: BTreeMap<&str, &Entry> = entries
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
            if frame.last_scan.is_some_and(|scan| last + SLACK < scan) {
                let at = instant_text(at);
                let what = format!("it fell due at {at} and nothing became of it");
                report.gaps.push(gap(person, "daily", &occasion, what));
            } else if frame.last_scan.is_none_or(|scan| scan < at) {
                report.wait_for_scan += 1;
            }
        }
    }
}

/// A date of a made call that came with a file explains itself and the dates before it.
fn marked_without_a_call(person: &Person, occasion: &str, called: &BTreeSet<&str>) -> bool {
    match person.last_call_date.as_deref() {
        Some(last) => occasion <= last && !called.contains(last),
        None => false,
    }
}

/// The first instant of which the file can tell that a daily call fell due. `None`: not yet.
fn judged_from(
    frame: &Frame<'_>,
    person: &Person,
    entries: &[Entry],
    calls: &[Dialing],
) -> Option<Instant> {
    let known = known_since(frame, person, entries)?;
    let oldest = frame.now - Duration::days(JUDGED_DAYS);
    let mut from = known.max(oldest).max(person.created_at);
    from = from.max(person.eligible_from.unwrap_or(from));
    if let Some((at, text)) = frame.edits.get(&person.id).and_then(|edits| edits.latest.as_ref()) {
        // The edit names the next call where it moved it: nothing before that is due.
        let next = text.split_once("next_call_scheduled_at ").map(|(_, rest)| rest);
        let next = next.and_then(|rest| parse_instant(rest.split(',').next().unwrap_or_default()));
        from = from.max(*at).max(next.unwrap_or(*at));
    }
    // The first daily call that a file named may lie days ahead.
    let daily = entries.iter().filter(|entry| entry.call_type == "daily");
    let first_daily = daily.map(|entry| entry.scheduled_for).min();
    match (first_daily, person.next_call_at) {
        (Some(first), _) => from = from.max(first),
        (None, Some(next)) if calls.is_empty() => from = from.max(next),
        _ => {}
    }
    let welcome = entries.iter().find(|entry| entry.call_type == "welcome");
    match welcome {
        Some(entry) => Some(from.max(entry.ended_at?)),
        None => person.welcomed.then_some(from),
    }
}
