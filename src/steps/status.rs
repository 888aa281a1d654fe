//! The state that a person needs first, read in one place for the command line and the page. Writes
//! nothing and makes no network request.

pub mod figures;

use serde::Serialize;

use crate::config::settings::Config;
use crate::config::timetable::Timetable;
use crate::domain::call::{AttemptState, CallType};
use crate::domain::event::Undelivered;
use crate::domain::{Instant, instant_text};
use crate::steps::customers::census::{self, Census};
use crate::steps::follow::unended::{self, Overdue};
use crate::steps::readiness::health::words::Told;
use crate::steps::readiness::health::{Cause, evidence, standstill};
use crate::steps::readiness::quarantine;
use crate::steps::readiness::{armed, last_start};
use crate::steps::reconcile::unlisted;
use crate::steps::{backup, rules, settle};
use crate::store::attempts::unlisted::Unlisted;
use crate::store::events::outbox;
use crate::store::meta::breaker::{self, Breaker};
use crate::store::meta::holds::{self, Hold};
use crate::store::meta::marks::{self, Mark};
use crate::store::meta::pauses;
use crate::store::meta::scan_inputs::{self, Zoneless};
use crate::store::quarantine::{OddRow, readable};
use crate::store::views::{self, Count, Today};
use crate::store::{Conn, Store, attempts, customers};
use crate::zones::Zones;

/// The state of the whole system.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub at: String,
    /// A call that falls due now would be dialed, and nothing else needs a person.
    pub healthy: bool,
    /// Why not, each with the next command.
    pub reasons: Vec<String>,
    /// The same for programs.
    pub causes: Vec<Told>,
    pub armed: bool,
    /// Why this file may not dial here; `None` = armed.
    pub not_armed_because: Option<String>,
    /// Why dialing did not begin at the last start. `None`: it did, or this file is not armed.
    pub not_dialing_because: Option<String>,
    pub not_dialing_since: Option<String>,
    pub holds: Vec<Hold>,
    pub pauses: Vec<Paused>,
    /// Customers whose own calls are paused, those of `pauses` among them.
    pub paused_customers: i64,
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
    /// Placed calls that run longer than the alarm age; `None`: no call does.
    pub overdue_call: Option<Overdue>,
    /// Placed calls that the provider's complete lists lack; `None`: they have them all.
    pub unlisted_calls: Option<Unlisted>,
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
    /// How many customers can be called at all, and at which odd times.
    pub customers: Census,
    /// Rows that cannot be read. Nobody whom they concern is called.
    pub quarantine: Vec<OddRow>,
    /// Events that the application does not have; `None`: none are sent.
    pub events: Option<Undelivered>,
    /// When the next call falls due, queued or not; now if one is due. `None`: none is planned.
    pub next_call_at: Option<String>,
    /// `held` or `paused` while a reason keeps it from being made.
    pub next_call_waits: Option<&'static str>,
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

/// Reads the status of a store, which may be read-only.
pub fn status(
    store: &Store,
    (config, timetable): (&Config, &Timetable),
    zones: &Zones,
    now: Instant,
) -> anyhow::Result<Status> {
    let causes = evidence::causes_of(store, (config, timetable), Vec::new(), now)?;
    let not_armed_because = armed::not_armed_at(store)?;
    let (database_bytes, wal_bytes) = views::sizes(store);
    let rules = rules(config)?;
    store.read(|conn| {
        let marks = [Mark::LastTick, Mark::LastScan].map(|mark| marks::mark(conn, mark));
        let [last_tick, last_scan] = marks;
        let last_tick = last_tick?;
        let doubts = attempts::in_state(conn, AttemptState::InDoubt)?;
        let figures = figures::figures(conn, (config, timetable), (&rules, zones), now)?;
        let not_dialing = last_start::not_dialing(conn)?.filter(|_| not_armed_because.is_none());
        let (not_dialing_because, not_dialing_since) =
            not_dialing.map(|told| (told.why, told.since)).unzip();
        Ok(Status {
            at: instant_text(now),
            healthy: causes.is_empty(),
            reasons: causes.iter().map(Cause::line).collect(),
            causes: causes.iter().map(Told::from).collect(),
            armed: not_armed_because.is_none(),
            not_armed_because,
            not_dialing_because,
            not_dialing_since,
            holds: holds::holds(conn)?,
            pauses: pauses::pauses(conn)?
                .into_iter()
                .map(|pause| paused(conn, pause))
                .collect::<anyhow::Result<_>>()?,
            paused_customers: customers::count_paused(conn)?,
            breaker: breaker::breaker(conn)?
                .map(|breaker| Broken { half_open: breaker.is_half_open(now), breaker }),
            due: figures.due,
            waiting: figures.waiting,
            in_doubt: doubts.into_iter().map(doubt).collect(),
            lines_in_use: figures.lines_in_use,
            max_active_calls: config.dialing.max_active_calls,
            only_numbers: config.dialing.only_numbers.as_ref().map(Vec::len),
            overdue_call: unended::overdue(config, conn, now)?,
            unlisted_calls: unlisted::reported(conn, now)?,
            last_tick_at: last_tick.map(instant_text),
            tick_is_late: last_tick
                .is_some_and(|at| evidence::late_after(timetable, now) < now - at),
            last_scan_at: last_scan?.map(instant_text),
            last_backup_at: marks::mark(conn, Mark::LastBackup)?.map(instant_text),
            backup_trouble: backup::trouble(conn, timetable, now)?,
            zoneless: scan_inputs::zoneless(conn)?,
            customers: census::take(conn, &rules)?,
            quarantine: quarantine::found(store, conn)?,
            events: undelivered(conn, config)?,
            next_call_at: figures.next_call_at.map(instant_text),
            next_call_waits: standstill(&causes),
            today: figures.today,
            database_bytes,
            wal_bytes,
        })
    })
}

/// The outbox, if events are sent or were.
fn undelivered(conn: &Conn, config: &Config) -> anyhow::Result<Option<Undelivered>> {
    let found = outbox::undelivered(conn)?;
    let is_used = config.events.url.is_some() || found != Undelivered::default();
    Ok(Some(found).filter(|_| is_used))
}

fn paused(conn: &Conn, (scope, pause): (String, pauses::Pause)) -> anyhow::Result<Paused> {
    let customer = match scope.strip_prefix("customer:") {
        Some(key) => readable(customers::by_key(conn, key))?.flatten(),
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
    Doubt {
        resolve: settle::resolve_command(&attempt.id),
        customer_id: attempt.customer_id,
        call_type: attempt.call_type,
        occasion: attempt.occasion,
        since: instant_text(attempt.created_at),
        attempt_id: attempt.id,
    }
}
