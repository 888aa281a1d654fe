//! Placed calls that do not end: the lines that they hold, the alarm about them, and their late end.
//!
//! A call counts as a line for `follow.line_minutes` at most. Otherwise calls whose end the provider
//! never reports would stop everybody else's calls. Such a call stays placed: it is asked about
//! until it ends or a person closes it, and it never permits another call of its occasion.

use std::fmt;

use chrono::Duration;
use serde::Serialize;

use crate::config::settings::{Config, Follow};
use crate::domain::call::Disposition;
use crate::domain::{Instant, instant_text};
use crate::provider::ProviderCall;
use crate::store::attempts::{Attempt, unended};
use crate::store::journal::By;
use crate::store::transaction::Moved;
use crate::store::{Conn, Tx};

/// Calls that have not ended for longer than the alarm age.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overdue {
    /// The oldest of them.
    pub attempt_id: String,
    pub since: String,
    pub minutes: i64,
    pub alarm_minutes: i64,
    /// When a call stops counting as a line.
    pub line_minutes: i64,
    pub calls: usize,
    /// How many of them still count as lines.
    pub lines: usize,
}

/// Calls that were sent before this instant no longer count as lines. Never before the alarm.
pub fn holds_a_line_since(follow: &Follow, now: Instant) -> Instant {
    now - Duration::minutes(line_minutes(follow))
}

fn line_minutes(follow: &Follow) -> i64 {
    follow.line_minutes.max(follow.alarm_minutes)
}

/// The number of lines in use: calls being dialed, and placed calls that may still be going on.
pub fn lines_in_use(config: &Config, conn: &Conn, now: Instant) -> anyhow::Result<usize> {
    unended::lines_in_use(conn, holds_a_line_since(&config.follow, now))
}

/// The calls that a person should look at; `None` if every call ends in time.
pub fn overdue(config: &Config, conn: &Conn, now: Instant) -> anyhow::Result<Option<Overdue>> {
    let follow = &config.follow;
    let late = unended::before(conn, now - Duration::minutes(follow.alarm_minutes))?;
    let holds_since = holds_a_line_since(follow, now);
    Ok(late.first().map(|(attempt_id, begun)| Overdue {
        attempt_id: attempt_id.clone(),
        since: instant_text(*begun),
        minutes: (now - *begun).num_minutes(),
        alarm_minutes: follow.alarm_minutes,
        line_minutes: line_minutes(follow),
        calls: late.len(),
        lines: late.iter().filter(|(_, begun)| holds_since < *begun).count(),
    }))
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (calls, have) = if self.calls == 1 { ("call", "has") } else { ("calls", "have") };
        write!(f, "{} {calls} {have} not ended", self.calls)?;
        let oldest = if self.calls == 1 { "" } else { ", the oldest" };
        write!(f, "{oldest} for {} min; ", self.minutes)?;
        match (self.lines, self.calls) {
            (0, 1) => f.write_str("it no longer counts as a line")?,
            (0, _) => f.write_str("they no longer count as lines")?,
            (1, 1) => write!(f, "it holds its line until {} min have passed", self.line_minutes)?,
            (lines, _) => {
                let hold = if lines == 1 { "holds a line" } else { "hold lines" };
                write!(f, "{lines} of them {hold}, each until {} min", self.line_minutes)?;
            }
        }
        let id = &self.attempt_id;
        write!(
            f,
            ". Look at the provider's page, then run `ringonce attempts close {id} --reason WHY`"
        )
    }
}

/// Writes the end of a call that a person closed, or that was given up. Facts only: the end of such
/// a call permits no retry, because nobody knows whom it reached meanwhile.
pub fn attach_end(
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    how: Disposition,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    if call.ended_reason.is_none() && call.ended_at.is_none() {
        unended::stop_asking(tx, &attempt.id)?;
        return Ok(Moved::No);
    }
    unended::attach_end(tx, attempt, call, how, by)
}
