//! audit: works out again, by other code, what was due, and compares it with what became of it.
//!
//! Shares no query and no date arithmetic with the scan and the gate: it walks the calendar of
//! each customer and looks every date up (only the reading of cron expressions is shared).
//! It cannot judge what the file does not remember: dates before a customer's last change of
//! eligibility, zone, time or schedule; first dates that the file of a customer put off, or that an
//! old queue had; customers who are not eligible now; dates older than 31 days; a list of eligible
//! statuses that was different then. It never reports those. A welcome flag or a date of a call
//! that another program set, where nothing here tells of a call, is a call made elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::Duration;
use serde::Serialize;

use crate::domain::{Instant, instant_text};
use crate::steps::audit_calendar::slot;
use crate::steps::audit_since::{self, Imports, Known};
use crate::steps::{Context, audit_calls, audit_elsewhere};
use crate::store::audit::{self as data, Dialing, Edits, Entry, Person, Size};
use crate::store::second;

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
    /// Calls that this ledger did not make, to customers of this file.
    pub elsewhere: Vec<audit_elsewhere::MadeElsewhere>,
    /// The provider's calls that were compared; `None` = its list was not read.
    pub provider_calls: Option<usize>,
    /// Calls of the ledger that its list does not show; `None`: it shows them all, or was not read.
    pub list_lacks: Option<audit_calls::Lacks>,
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
    /// What was over by then should have been told of by a scan.
    told_of_before: Instant,
    imports: Imports,
    edits: HashMap<i64, Edits>,
    retries: HashMap<i64, usize>,
}

impl Frame<'_> {
    fn known(&self, person: &Person, entries: &[Entry]) -> Option<Known> {
        audit_since::known(&self.imports, self.edits.get(&person.id), person, entries)
    }

    /// What to say of something that was over at `last` and has no end: a scan went by it, or none
    /// has come for so long that nothing scans any more. `None`: the next one tells of it.
    fn untold(&self, last: Instant) -> Option<String> {
        match self.last_scan {
            Some(scan) if last + SLACK < scan => Some(String::new()),
            _ if self.told_of_before < last => None,
            scan => {
                let since = match scan {
                    Some(scan) => format!("has run since {}", instant_text(scan)),
                    None => "has ever run".to_string(),
                };
                Some(format!(
                    ": no scan {since}; start `ringonce run`, or run `ringonce tick`, which tells of \
                     it as missed, or calls"
                ))
            }
        }
    }
}

/// Audits the file, in one moment of it.
pub fn audit(cx: &Context, now: Instant) -> anyhow::Result<Report> {
    cx.store.read(|conn| {
        data::in_one_moment(conn, |tx| {
            let frame = Frame {
                cx,
                now,
                last_scan: data::last_scan(tx)?,
                told_of_before: audit_since::told_of_before(cx, now),
                imports: Imports::read(tx)?,
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
            audit_elsewhere::stored(cx, tx, &mut report)?;
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
    // The old queue may tell of a call without its id, and of an end without a reason.
    let is_old = frame.imports.may_have_brought(entry);
    match entry.status.as_str() {
        "pending" | "retrying" => still_open(frame, entry),
        "processing" if has(&["placed", "ended"]) => Some(format!(
            "item {} was placed, and that is not written to the customer yet",
            entry.id
        )),
        "processing" if !has(&["dialing"]) => {
            Some(format!("item {} is processing, but no call of it is under way", entry.id))
        }
        "completed" => {
            let is_old_call = is_old
                && (entry.vapi_call_id.is_some()
                    || is_marked(person, &entry.call_type, &entry.occasion));
            let explained = has(&["placed", "ended"]) || entry.reason.is_some() || is_old_call;
            (!explained).then(|| {
                format!("item {} is completed, but the ledger has no call of it", entry.id)
            })
        }
        "failed" | "skipped" if answered => {
            let reason = entry.reason.as_deref().unwrap_or("no reason");
            Some(format!(
                "item {} is {} ({reason}), but its call was answered",
                entry.id, entry.status
            ))
        }
        "failed" if entry.reason.is_none() && !is_old && !calls.iter().any(|call| of_it(&call)) => {
            Some(format!("item {} is failed without a reason, and there was no call", entry.id))
        }
        _ => None,
    }
}

/// What is wrong with an item that waits. One without a last instant should at least be looked at.
fn still_open(frame: &Frame<'_>, entry: &Entry) -> Option<String> {
    let id = entry.id;
    if let Some(over) = entry.expires_at {
        let why = frame.untold(over)?;
        return Some(format!(
            "item {id} is open though its time went at {}{why}",
            instant_text(over)
        ));
    }
    let due = entry.scheduled_for;
    let looked_at = frame.last_scan.map_or(due, |scan| scan.max(due));
    let why = frame.untold(looked_at + frame.cx.rules.max_lateness)?;
    Some(format!("item {id} waits since {}{why}", instant_text(due)))
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
    let Some(Known { since, .. }) = frame.known(person, entries) else { return };
    let due = (person.created_at + frame.cx.rules.welcome_delay)
        .max(since)
        .max(person.eligible_from.unwrap_or(since));
    // It has no last instant, but a scan that comes this late is missed like that of a daily call.
    let seen = frame.last_scan.is_some_and(|scan| due + SLACK < scan);
    let last = if seen { due } else { due + frame.cx.rules.max_lateness };
    if let Some(why) = frame.untold(last) {
        let what = format!("it fell due at {} and nothing became of it{why}", instant_text(due));
        report.gaps.push(gap(person, "welcome", "welcome", what));
    } else if due < frame.now {
        report.wait_for_scan += 1;
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
    let Some(known) = frame.known(person, entries) else { return };
    let edits = frame.edits.get(&person.id);
    let from = audit_since::judged_from(known, edits, person, (entries, calls), frame.now);
    let Some(from) = from else { return };
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
            if let Some(why) = frame.untold(last) {
                let what =
                    format!("it fell due at {} and nothing became of it{why}", instant_text(at));
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
