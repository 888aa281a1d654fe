//! The figures of now and of today. `status`, the page, the API and the metrics show these.

use chrono::{Duration, NaiveTime};

use crate::config::settings::Config;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::store::meta::pauses;
use crate::store::views::next_call::{NextCallRules, next_call};
use crate::store::views::{self, Count, Today};
use crate::store::{Conn, attempts};
use crate::zones::Zones;

/// The figures, each computed once.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Waiting items that are due now, whatever they wait for.
    pub due: i64,
    /// Every waiting item, the due ones too, by what it waits for.
    pub waiting: Vec<Count>,
    pub in_doubt: usize,
    pub lines_in_use: usize,
    /// When the next call falls due, queued or not; `now` if one is due. `None`: none is planned.
    pub next_call_at: Option<Instant>,
    /// Since midnight in `schedule.timezone`.
    pub today: Today,
}

impl Figures {
    /// How many items wait.
    pub fn waiting(&self) -> i64 {
        self.waiting.iter().map(|count| count.count).sum()
    }

    /// How many occasions ended without a call today.
    pub fn skipped(&self) -> i64 {
        self.today.skipped.iter().map(|count| count.count).sum()
    }
}

/// Reads the figures.
pub fn figures(
    conn: &Conn,
    config: &Config,
    zones: &Zones,
    now: Instant,
) -> anyhow::Result<Figures> {
    let rules = NextCallRules {
        eligible: &config.customers.eligible_payment_status,
        max_lateness: Duration::minutes(config.schedule.max_lateness_minutes),
        welcome_delay: Duration::minutes(config.schedule.welcome_delay_minutes),
        pauses: &pauses::pauses(conn)?,
    };
    Ok(Figures {
        due: views::due(conn, now)?,
        waiting: views::waiting(conn)?,
        in_doubt: attempts::in_state(conn, AttemptState::InDoubt)?.len(),
        lines_in_use: attempts::lines_in_use(conn)?,
        next_call_at: next_call(conn, &rules, now)?,
        today: views::today(conn, day_start(config, zones, now))?,
    })
}

/// Midnight in the schedule's zone, the beginning of today.
pub fn day_start(config: &Config, zones: &Zones, now: Instant) -> Instant {
    match zones.get_schedule_zone(&config.schedule.timezone) {
        Some(zone) => zone.resolve(zone.date(now).and_time(NaiveTime::MIN)),
        None => now.date_naive().and_time(NaiveTime::MIN).and_utc(),
    }
}
