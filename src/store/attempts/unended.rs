//! Calls whose end is unknown: placed for long, or closed by a person before the provider's end.

use rusqlite::{Connection, Transaction, params};

use crate::domain::call::{AttemptState, Disposition};
use crate::domain::{Instant, instant_text, parse_instant};
use crate::provider::ProviderCall;
use crate::store::attempts::{self, ATTEMPT_COLUMNS, Attempt, attempt_from_row};
use crate::store::cells;
use crate::store::events;
use crate::store::journal::By;
use crate::store::quarantine::{self, Place};
use crate::store::transaction::Moved;

/// Calls that were sent before an instant and have not ended, the oldest first.
pub fn before(conn: &Connection, before: Instant) -> anyhow::Result<Vec<(String, Instant)>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, created_at FROM call_attempts
         WHERE state IN ('dialing', 'placed') AND created_at <= ?1
           AND (state = 'dialing' OR state = 'in_doubt' OR state = 'placed')
         ORDER BY created_at, seq",
    )?;
    let found = statement
        .query_map([instant_text(before)], |row| Ok((row.get(0)?, cells::instant(row, 1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// `placed` → `ended` as `unknown`, by a person's decision. The provider is still asked about a call
/// with an id, so that its end attaches.
pub fn close(
    tx: &Transaction<'_>,
    attempt: &Attempt,
    why: &str,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let now = instant_text(by.now);
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET state = 'ended', disposition = 'unknown', error_message = ?2,
               next_poll_at = CASE WHEN vapi_call_id IS NULL THEN NULL ELSE ?3 END, updated_at = ?3
             WHERE id = ?1 AND state = 'placed'",
        )?
        .execute(params![attempt.id, format!("closed by a person: {why}"), now])?;
    ended_for_good(tx, rows, attempt, by, why)
}

/// The end of a call after which no retry rule is asked, so that its occasion is over.
pub(super) fn ended_for_good(
    tx: &Transaction<'_>,
    rows: usize,
    attempt: &Attempt,
    by: By<'_>,
    why: &str,
) -> anyhow::Result<Moved> {
    let moved = attempts::moved(tx, rows, attempt, AttemptState::Ended, by, Some(why))?;
    if moved == Moved::Yes {
        events::occasion::of_attempt_may_be_over(tx, &attempt.id, by.now)?;
    }
    Ok(moved)
}

/// The number of calls that hold a line: being dialed, or placed after `since` and not ended.
pub fn lines_in_use(conn: &Connection, since: Instant) -> anyhow::Result<usize> {
    let count: i64 = conn
        .prepare_cached(
            // The last condition is the one of the partial index: without it SQLite reads the
            // whole ledger.
            "SELECT count(*) FROM call_attempts
             WHERE (state = 'dialing' OR (state = 'placed' AND ?1 < created_at))
               AND (state = 'dialing' OR state = 'in_doubt' OR state = 'placed')",
        )?
        .query_one([instant_text(since)], |row| row.get(0))?;
    Ok(count as usize)
}

/// When the newest call that is still on a line began; `None` if all lines are free.
pub fn last_line_taken(conn: &Connection) -> anyhow::Result<Option<Instant>> {
    let text: Option<String> = conn
        .prepare_cached(
            "SELECT max(created_at) FROM call_attempts WHERE state IN ('dialing', 'placed')
               AND (state = 'dialing' OR state = 'in_doubt' OR state = 'placed')",
        )?
        .query_one([], |row| row.get(0))?;
    Ok(text.as_deref().and_then(parse_instant))
}

/// Closed calls that are still asked about.
pub fn closed(conn: &Connection) -> anyhow::Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM call_attempts
         WHERE state = 'ended' AND next_poll_at IS NOT NULL ORDER BY next_poll_at"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    quarantine::listed(Place::Attempts, statement.query([])?, attempt_from_row)
}

/// Stores the next question about a closed call.
pub fn ask_again(tx: &Transaction<'_>, id: &str, next_poll_at: Instant) -> anyhow::Result<()> {
    tx.prepare_cached(
        "UPDATE call_attempts SET next_poll_at = ?2
         WHERE id = ?1 AND state = 'ended' AND next_poll_at IS NOT NULL",
    )?
    .execute([id, &instant_text(next_poll_at)])?;
    Ok(())
}

/// Stops asking about a closed call.
pub fn stop_asking(tx: &Transaction<'_>, id: &str) -> anyhow::Result<()> {
    tx.prepare_cached(
        "UPDATE call_attempts SET next_poll_at = NULL WHERE id = ?1 AND state = 'ended'",
    )?
    .execute([id])?;
    Ok(())
}

/// Writes the provider's end into a call that ended without one. The state stays `ended`; an end
/// that is already known never changes.
pub fn attach_end(
    tx: &Transaction<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    disposition: Disposition,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET disposition = ?2, ended_reason = ?3, started_at = ?4,
               ended_at = ?5, duration_seconds = ?6, cost = ?7,
               provider_status = 'ended', next_poll_at = NULL, updated_at = ?8
             WHERE id = ?1 AND state = 'ended' AND disposition = 'unknown'
               AND ended_reason IS NULL AND ended_at IS NULL",
        )?
        .execute(params![
            attempt.id,
            disposition.as_str(),
            call.ended_reason,
            call.started_at.map(instant_text),
            call.ended_at.map(instant_text),
            call.duration_seconds(),
            call.cost,
            instant_text(by.now),
        ])?;
    ended_for_good(tx, rows, attempt, by, "its end became known")
}
