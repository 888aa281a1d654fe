//! The part of the audit that says from which instant on it can judge: since when a customer was
//! surely in the file and due, and by when a scan should have come.

use chrono::Duration;

use crate::domain::cron::Cron;
use crate::domain::{Instant, parse_instant};
use crate::steps::due_since::{DUE_FROM_THEN_ON, Ids};
use crate::steps::{Context, queue_import};
use crate::store::Conn;
use crate::store::audit::{self as data, Dialing, Edits, Entry, Person};

/// Dates are judged this far back, as far as missed ones are told of.
const JUDGED_DAYS: i64 = 31;
/// So long two scans take whose cron cannot be read.
const UNREADABLE: Duration = Duration::hours(1);

/// The imports of files that the journal tells of, the newest first.
pub struct Imports {
    files: Vec<(Instant, Ids)>,
    newest_of_a_queue: Option<Instant>,
}

impl Imports {
    pub fn read(conn: &Conn) -> anyhow::Result<Imports> {
        let found = data::imports(conn)?;
        let of_a_queue = found.iter().find(|import| import.who == queue_import::WHO);
        Ok(Imports {
            newest_of_a_queue: of_a_queue.map(|import| import.at),
            files: found.iter().map(|import| (import.at, Ids::of(&import.told))).collect(),
        })
    }

    /// Whether an item may have come with an old queue. A row of one keeps the age that it had there,
    /// and tells nothing of its time here.
    pub fn may_have_brought(&self, entry: &Entry) -> bool {
        self.newest_of_a_queue.is_some_and(|newest| entry.created_at <= newest)
    }
}

/// Since when a customer was in the file.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub since: Instant,
    /// The journal tells that daily calls fell due from then on.
    is_due: bool,
}

/// Since when the customer was surely in the file.
pub fn known(
    imports: &Imports,
    edits: Option<&Edits>,
    person: &Person,
    entries: &[Entry],
) -> Option<Known> {
    let brought = entries.iter().any(|entry| imports.may_have_brought(entry));
    if let Some((since, told)) = edits.and_then(|edits| edits.created.as_ref()) {
        let is_due = told.contains(DUE_FROM_THEN_ON) && !brought;
        return Some(Known { since: *since, is_due });
    }
    let came = imports.files.iter().find(|(_, ids)| ids.contains(person.id));
    if let Some((since, _)) = came {
        return Some(Known { since: *since, is_due: !brought });
    }
    // Whoever came with a file came at the newest import at the latest.
    let newest = imports.files.first().map(|(at, _)| *at);
    let own = entries.iter().filter(|entry| !imports.may_have_brought(entry));
    let first_entry = own.map(|entry| entry.created_at).min();
    let since = [newest, first_entry].into_iter().flatten().min()?;
    Some(Known { since, is_due: false })
}

/// The first instant of which the file can tell that a daily call fell due. `None`: not yet.
pub fn judged_from(
    known: Known,
    edits: Option<&Edits>,
    person: &Person,
    (entries, calls): (&[Entry], &[Dialing]),
    now: Instant,
) -> Option<Instant> {
    // What comes, or ends its wait, at the instant of a daily call is due on the next date.
    let moment = Duration::milliseconds(1);
    let begins = known.since + moment;
    let mut from = begins.max(now - Duration::days(JUDGED_DAYS)).max(person.created_at);
    from = from.max(person.eligible_from.unwrap_or(from));
    if let Some((at, text)) = edits.and_then(|edits| edits.latest.as_ref()) {
        // The edit names the next call where it moved it: nothing before that is due.
        let next = text.split_once("next_call_scheduled_at ").map(|(_, rest)| rest);
        let next = next.and_then(|rest| parse_instant(rest.split(',').next().unwrap_or_default()));
        from = from.max(*at).max(next.unwrap_or(*at));
    }
    if !known.is_due {
        // The first daily call that a file named may lie days ahead.
        let daily = entries.iter().filter(|entry| entry.call_type == "daily");
        let first_daily = daily.map(|entry| entry.scheduled_for).min();
        match (first_daily, person.next_call_at) {
            (Some(first), _) => from = from.max(first),
            (None, Some(next)) if calls.is_empty() => from = from.max(next),
            _ => {}
        }
    }
    let welcome = entries.iter().find(|entry| entry.call_type == "welcome");
    match welcome {
        Some(entry) => Some(from.max(entry.ended_at? + moment)),
        None => person.welcomed.then_some(from),
    }
}

/// What was over before this instant has had two scans' time since, by the cron of the scan: when
/// none has told of it, nothing scans any more.
pub fn told_of_before(cx: &Context, now: Instant) -> Instant {
    let schedule = &cx.config.schedule;
    let zone = cx.zones.get_schedule_zone(&schedule.timezone);
    let cron = Cron::parse(&schedule.scan).ok();
    let Some((zone, cron)) = zone.zip(cron) else { return now - UNREADABLE };
    let two_scans_after = |at| cron.next_after(&zone, cron.next_after(&zone, at)?);
    let is_late = |at| two_scans_after(at).is_some_and(|second| second < now);
    let (mut late, mut open) = (now - Duration::days(JUDGED_DAYS + 2), now);
    while Duration::seconds(1) < open - late {
        let middle = late + Duration::milliseconds((open - late).num_milliseconds() / 2);
        if is_late(middle) { late = middle } else { open = middle }
    }
    late
}
