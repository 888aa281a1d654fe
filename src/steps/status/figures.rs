//! The figures of now and of today. `status`, the page, the API and the metrics show these.

use crate::config::settings::Config;
use crate::config::timetable::Timetable;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::domain::gate::facts::Rules;
use crate::steps::follow::unended;
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
    (config, timetable): (&Config, &Timetable),
    (rules, zones): (&Rules, &Zones),
    now: Instant,
) -> anyhow::Result<Figures> {
    let rules = NextCallRules { rules, zones, pauses: &pauses::pauses(conn)? };
    Ok(Figures {
        due: views::due(conn, now)?,
        waiting: views::waiting(conn)?,
        in_doubt: attempts::in_state(conn, AttemptState::InDoubt)?.len(),
        lines_in_use: unended::lines_in_use(config, conn, now)?,
        next_call_at: next_call(conn, &rules, now)?,
        today: views::today(conn, timetable.midnight(now))?,
    })
}
