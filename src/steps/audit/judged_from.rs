//! The part of the audit that finds the first instant it can judge. It finds since when a customer
//! was surely in the file and due, and by when a scan should have run.

use chrono::Duration;

use crate::domain::{Instant, parse_instant};
use crate::steps::Context;
use crate::steps::import::queue;
use crate::store::Conn;
use crate::store::journal::facts::Ids;
use crate::store::views::audit::{self as data, AuditAttempt, AuditCustomer, AuditItem, Edits};

/// Dates are judged this many days back, which is also how far back a scan reports missed dates.
const JUDGED_DAYS: i64 = 31;

/// The journaled imports of files, the newest first.
pub struct Imports {
    files: Vec<(Instant, Ids)>,
    newest_of_a_queue: Option<Instant>,
}

impl Imports {
    pub fn read(conn: &Conn) -> anyhow::Result<Imports> {
        let found = data::imports(conn)?;
        let of_a_queue = found.iter().find(|import| import.who == queue::WHO);
        Ok(Imports {
            newest_of_a_queue: of_a_queue.map(|import| import.at),
            files: found.iter().map(|import| (import.at, import.facts.due_ids.clone())).collect(),
        })
    }

    /// Whether an item may have come from an old queue. Such a row keeps its old creation time,
    /// which shows nothing about its time here.
    pub fn may_have_brought(&self, entry: &AuditItem) -> bool {
        self.newest_of_a_queue.is_some_and(|newest| entry.created_at <= newest)
    }
}

/// How long a customer has been in the file.
#[derive(Clone, Copy, Debug)]
pub struct KnownSince {
    pub since: Instant,
    /// The journal shows that daily calls fell due from then on.
    is_due: bool,
}

/// Since when the customer was surely in the file.
pub fn known(
    imports: &Imports,
    edits: Option<&Edits>,
    person: &AuditCustomer,
    entries: &[AuditItem],
) -> Option<KnownSince> {
    let brought = entries.iter().any(|entry| imports.may_have_brought(entry));
    if let Some((since, facts)) = edits.and_then(|edits| edits.created.as_ref()) {
        let is_due = facts.is_due_from_then_on && !brought;
        return Some(KnownSince { since: *since, is_due });
    }
    let came = imports.files.iter().find(|(_, ids)| ids.contains(person.id));
    if let Some((since, _)) = came {
        return Some(KnownSince { since: *since, is_due: !brought });
    }
    // A customer from a file came with the newest import at the latest.
    let newest = imports.files.first().map(|(at, _)| *at);
    let own = entries.iter().filter(|entry| !imports.may_have_brought(entry));
    let first_entry = own.map(|entry| entry.created_at).min();
    let since = [newest, first_entry].into_iter().flatten().min()?;
    Some(KnownSince { since, is_due: false })
}

/// The first instant at which the file proves that a daily call was due. `None`: not yet.
pub fn judged_from(
    known: KnownSince,
    edits: Option<&Edits>,
    person: &AuditCustomer,
    (entries, calls): (&[AuditItem], &[AuditAttempt]),
    (now, welcome_paused): (Instant, Option<Instant>),
) -> Option<Instant> {
    // A customer who arrives, or stops waiting, at a daily call's exact instant is due the next
    // date.
    let moment = Duration::milliseconds(1);
    let begins = known.since + moment;
    let mut from = begins.max(now - Duration::days(JUDGED_DAYS)).max(person.created_at);
    from = from.max(person.eligible_from.unwrap_or(from));
    if let Some((at, facts)) = edits.and_then(|edits| edits.latest.as_ref()) {
        // An edit that moved the next call names its instant. Nothing before that is due.
        let next = facts.next_call_scheduled_at.as_deref().and_then(parse_instant);
        from = from.max(*at).max(next.unwrap_or(*at));
    }
    if !known.is_due {
        // A file may set the first daily call days ahead.
        let daily = entries.iter().filter(|entry| entry.call_type == "daily");
        let first_daily = daily.map(|entry| entry.scheduled_for).min();
        match (first_daily, person.next_call_at) {
            (Some(first), _) => from = from.max(first),
            (None, Some(next)) if calls.is_empty() => from = from.max(next),
            _ => {}
        }
    }
    let welcome = entries.iter().find(|entry| entry.call_type == "welcome");
    let welcomed = match welcome {
        Some(entry) => entry.ended_at.map(|ended| from.max(ended + moment)),
        None => person.welcomed.then_some(from),
    };
    // While welcome calls are paused, daily calls do not wait for them.
    welcomed.or(welcome_paused.map(|since| from.max(since + moment)))
}

/// By the cron, two scans should have run after anything that ended before this instant. If they
/// have not recorded it, no service is scanning.
pub fn scanned_before(cx: &Context, now: Instant) -> Instant {
    let is_late = |at| cx.timetable.second_scan(at).is_some_and(|second| second < now);
    let (mut late, mut open) = (now - Duration::days(JUDGED_DAYS + 2), now);
    while Duration::seconds(1) < open - late {
        let middle = late + Duration::milliseconds((open - late).num_milliseconds() / 2);
        if is_late(middle) { late = middle } else { open = middle }
    }
    late
}
