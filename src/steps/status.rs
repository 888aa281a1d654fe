//! The state that a person needs first, read in one place for the command line and the page. Writes
//! nothing and makes no network request.

use chrono::Duration;
use serde::Serialize;

use crate::config::settings::Config;
use crate::config::timetable::Timetable;
use crate::domain::call::{AttemptState, CallType};
use crate::domain::{Instant, instant_text};
use crate::steps::backup;
use crate::steps::readiness::{armed, last_start};
use crate::store::meta::breaker::{self, Breaker};
use crate::store::meta::holds::{self, Hold};
use crate::store::meta::marks::{self, Mark};
use crate::store::meta::pauses;
use crate::store::meta::scan_inputs::{self, Zoneless};
use crate::store::views::{self, Count, Today};
use crate::store::{Conn, Store, attempts, customers, queue};

/// The next tick is late this many scan periods after the last one.
const PERIODS: i32 = 2;

/// The state of the whole system.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub at: String,
    pub armed: bool,
    /// Why this file may not dial here; `None` = armed.
    pub not_armed_because: Option<String>,
    /// Why dialing did not begin at the last start. `None`: it did, or this file is not armed.
    pub not_dialing_because: Option<String>,
    pub not_dialing_since: Option<String>,
    pub holds: Vec<Hold>,
    pub pauses: Vec<Paused>,
    /// `None`: closed.
    pub breaker: Option<Broken>,
    /// Items that are due now, including those that wait for something.
    pub due: i64,
    pub waiting: Vec<Count>,
    pub in_doubt: Vec<Doubt>,
    pub lines_in_use: usize,
    pub max_active_calls: usize,
    /// How many numbers may be dialed; `None`: all.
    pub only_numbers: Option<usize>,
    /// A placed call that runs longer than the alarm age; `None`: no call does.
    pub overdue_call: Option<Overdue>,
    pub last_tick_at: Option<String>,
    /// Whether the last tick is older than two scan periods; `false` before the first tick.
    pub tick_is_late: bool,
    pub last_scan_at: Option<String>,
    /// When `run` last made an automatic backup; `None`: never.
    pub last_backup_at: Option<String>,
    /// Why backups fail or are late; `None`: all is well, or none are configured.
    pub backup_trouble: Option<String>,
    /// Customers who are due without a known time zone: not called until a person sets it.
    pub zoneless: Option<Zoneless>,
    /// When the next item falls due; `None`: none is queued.
    pub next_call_at: Option<String>,
    /// Since midnight in `schedule.timezone`.
    pub today: Today,
    pub database_bytes: u64,
    pub wal_bytes: u64,
}

/// A breaker that is not closed.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    #[serde(flatten)]
    pub breaker: Breaker,
    /// The probe is permitted: the next call is tried alone, and the breaker no longer blocks it.
    pub half_open: bool,
}

/// A pause by a person.
#[derive(Clone, Debug, Serialize)]
pub struct Paused {
    /// `all`, `type:daily`, `customer:KEY`, `number:…`.
    pub scope: String,
    /// The customer of a scope with a key. `None`: no longer there, or the scope is not one
    /// customer.
    pub customer_id: Option<i64>,
    pub customer_name: Option<String>,
    pub who: String,
    pub why: String,
    pub since: String,
}

/// An attempt for which it is unknown whether a phone rang.
#[derive(Clone, Debug, Serialize)]
pub struct Doubt {
    pub attempt_id: String,
    pub customer_id: Option<i64>,
    pub call_type: CallType,
    pub occasion: String,
    pub since: String,
    /// The command to type.
    pub resolve: String,
}

/// A call that runs too long. It still uses its line.
#[derive(Clone, Debug, Serialize)]
pub struct Overdue {
    pub since: String,
    pub minutes: i64,
    pub alarm_minutes: i64,
}

/// Reads the status of a store, which may be read-only.
pub fn status(
    store: &Store,
    config: &Config,
    timetable: &Timetable,
    now: Instant,
) -> anyhow::Result<Status> {
    let not_armed_because = armed::not_armed_at(store)?;
    let (database_bytes, wal_bytes) = views::sizes(store);
    let since = timetable.midnight(now);
    let alarm_minutes = config.follow.alarm_minutes;
    store.read(|conn| {
        let marks = [Mark::LastTick, Mark::LastScan].map(|mark| marks::mark(conn, mark));
        let [last_tick, last_scan] = marks;
        let last_tick = last_tick?;
        let oldest = views::oldest_placed(conn)?;
        let overdue_call = oldest
            .map(|since| (since, (now - since).num_minutes()))
            .filter(|(_, minutes)| alarm_minutes <= *minutes)
            .map(|(since, minutes)| Overdue { since: instant_text(since), minutes, alarm_minutes });
        let doubts = attempts::in_state(conn, AttemptState::InDoubt)?;
        let due = views::due(conn, now)?;
        let next = queue::next_due(conn, now)?;
        let not_dialing = last_start::not_dialing(conn)?.filter(|_| not_armed_because.is_none());
        let (not_dialing_because, not_dialing_since) =
            not_dialing.map(|told| (told.why, told.since)).unzip();
        Ok(Status {
            at: instant_text(now),
            armed: not_armed_because.is_none(),
            not_armed_because,
            not_dialing_because,
            not_dialing_since,
            holds: holds::holds(conn)?,
            pauses: pauses::pauses(conn)?
                .into_iter()
                .map(|pause| paused(conn, pause))
                .collect::<anyhow::Result<_>>()?,
            breaker: breaker::breaker(conn)?
                .map(|breaker| Broken { half_open: breaker.is_half_open(now), breaker }),
            due,
            waiting: views::waiting(conn)?,
            in_doubt: doubts.into_iter().map(doubt).collect(),
            lines_in_use: attempts::lines_in_use(conn)?,
            max_active_calls: config.dialing.max_active_calls,
            only_numbers: config.dialing.only_numbers.as_ref().map(Vec::len),
            overdue_call,
            last_tick_at: last_tick.map(instant_text),
            tick_is_late: last_tick.is_some_and(|at| period(timetable, at) < now - at),
            last_scan_at: last_scan?.map(instant_text),
            last_backup_at: marks::mark(conn, Mark::LastBackup)?.map(instant_text),
            backup_trouble: backup::trouble(conn, timetable, now)?,
            zoneless: scan_inputs::zoneless(conn)?,
            next_call_at: next.map(instant_text),
            today: views::today(conn, since)?,
            database_bytes,
            wal_bytes,
        })
    })
}

fn paused(conn: &Conn, (scope, pause): (String, pauses::Pause)) -> anyhow::Result<Paused> {
    let customer = match scope.strip_prefix("customer:") {
        Some(key) => customers::by_key(conn, key)?,
        None => None,
    };
    Ok(Paused {
        scope,
        customer_id: customer.as_ref().map(|customer| customer.id),
        customer_name: customer.map(|customer| customer.name),
        who: pause.who,
        why: pause.why,
        since: pause.since,
    })
}

fn doubt(attempt: attempts::Attempt) -> Doubt {
    let resolve =
        format!("ringonce attempts resolve {} (--placed | --not-placed) --reason WHY", attempt.id);
    Doubt {
        customer_id: attempt.customer_id,
        call_type: attempt.call_type,
        occasion: attempt.occasion,
        since: instant_text(attempt.created_at),
        attempt_id: attempt.id,
        resolve,
    }
}

/// How long after a tick the next one is late.
fn period(timetable: &Timetable, last_tick: Instant) -> Duration {
    timetable.scan_period(last_tick).map_or(Duration::hours(1), |period| period * PERIODS)
}
