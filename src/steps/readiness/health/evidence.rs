//! Gathers the evidence for the list of reasons from the file.

use chrono::Duration;

use crate::config::settings::Config;
use crate::config::timetable::Timetable;
use crate::domain::call::AttemptState;
use crate::domain::hold::HoldKind;
use crate::domain::{Instant, instant_text};
use crate::steps::backup;
use crate::steps::follow::unended;
use crate::steps::readiness::health::{Cause, Evidence, Lines, causes};
use crate::steps::readiness::last_start;
use crate::steps::readiness::quarantine;
use crate::steps::readiness::{armed, clock_check, reach};
use crate::store::events::outbox;
use crate::store::file::rights;
use crate::store::meta::alerts;
use crate::store::meta::breaker;
use crate::store::meta::holds::{self, Hold};
use crate::store::meta::marks::{self, Mark};
use crate::store::meta::pauses;
use crate::store::views::callable;
use crate::store::{Conn, Store, attempts, queue};

/// This many scan periods after the last tick, the next one is late.
const PERIODS: i32 = 2;
/// The scan period after the last year of the calendar.
const UNKNOWN_PERIOD: Duration = Duration::minutes(15);

/// The reasons that the file shows. `of_the_process`: those that only the dialing process knows.
pub fn causes_of(
    store: &Store,
    (config, timetable): (&Config, &Timetable),
    of_the_process: Vec<Cause>,
    now: Instant,
) -> anyhow::Result<Vec<Cause>> {
    Ok(causes(&gather(store, (config, timetable), of_the_process, now)?))
}

fn gather(
    store: &Store,
    (config, timetable): (&Config, &Timetable),
    of_the_process: Vec<Cause>,
    now: Instant,
) -> anyhow::Result<Evidence> {
    let not_armed = match armed::not_armed_at(store)? {
        Some(why) => Some(why),
        None => armed::swapped(store),
    };
    store.read(|conn| {
        Ok(Evidence {
            now,
            of_the_process,
            start_shut: last_start::not_dialing(conn)?.filter(|_| not_armed.is_none()),
            not_armed,
            unwritable: rights::unwritable(store.path()),
            holds: standing_holds(conn, now)?,
            pauses: pauses::pauses(conn)?,
            breaker: breaker::breaker(conn)?,
            unreached: reach::unreachable(conn, now)?,
            lines: Lines {
                in_use: unended::lines_in_use(config, conn, now)?,
                max: config.dialing.max_active_calls,
                last_taken: attempts::unended::last_line_taken(conn)?,
                waits_since: queue::waits_for_a_line_since(conn, now)?,
            },
            uncallable: callable::nobody(conn, &config.customers.eligible_payment_status)?,
            unknown_assistants: callable::unknown_assistants(
                conn,
                &config.assistants.keys().map(String::as_str).collect::<Vec<_>>(),
                &config.customers.eligible_payment_status,
            )?,
            unknown_numbers: callable::calls_of_unknown_number(conn)?,
            last_tick: marks::mark(conn, Mark::LastTick)?,
            last_scan: marks::mark(conn, Mark::LastScan)?,
            late_after: late_after(timetable, now),
            doubts: attempts::in_state(conn, AttemptState::InDoubt)?.len(),
            overdue: unended::overdue(config, conn, now)?,
            odd_rows: odd_rows(store, conn)?,
            backup_trouble: backup::trouble(conn, timetable, now)?,
            events_trouble: outbox::trouble(conn, now)?,
            failing_alerts: alerts::failing(conn)?
                .iter()
                .filter(|failing| config.alerts.has(&failing.channel))
                .map(ToString::to_string)
                .collect(),
        })
    })
}

fn odd_rows(store: &Store, conn: &Conn) -> anyhow::Result<Option<(String, bool)>> {
    let stops_all = quarantine::stops_all(conn)?;
    let told = quarantine::told(&quarantine::found(store, conn)?, stops_all);
    Ok(told.map(|told| (told, stops_all)))
}

/// Every hold. A clock behind the file's mark counts as one, because the next start holds dialing
/// for it.
pub fn standing_holds(conn: &Conn, now: Instant) -> anyhow::Result<Vec<Hold>> {
    let mut holds = holds::holds(conn)?;
    if let Some(why) = clock_check::behind_mark(conn, now)?
        && holds.iter().all(|hold| hold.kind != HoldKind::Clock)
    {
        holds.push(Hold { kind: HoldKind::Clock, why, since: instant_text(now) });
    }
    Ok(holds)
}

/// How long after a tick or a scan the next one is late.
pub fn late_after(timetable: &Timetable, from: Instant) -> Duration {
    timetable.scan_period(from).unwrap_or(UNKNOWN_PERIOD) * PERIODS
}
