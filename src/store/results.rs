//! How the last calls went, for the breaker: read backwards from the newest attempt.

use rusqlite::{Connection, params};

use crate::domain::{Instant, instant_text};

/// Of the last attempts whose reply is known, newest first, whether each failed: not placed, in
/// doubt, or ended by a fault before anybody could be reached. Only those after the sequence
/// number `after` and since an instant.
pub fn last_failures(
    conn: &Connection,
    after: i64,
    since: Instant,
    limit: usize,
) -> anyhow::Result<Vec<bool>> {
    let mut statement = conn.prepare_cached(
        "SELECT state IN ('in_doubt', 'not_placed')
           OR coalesce(disposition IN ('never_dialed', 'failed'), 0)
         FROM call_attempts WHERE ?1 < seq AND state <> 'dialing' AND ?2 <= created_at
         ORDER BY seq DESC LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after, instant_text(since), limit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What the last attempts whose reply is known were refused with, newest first; `None` for one that was
/// not refused.
pub fn last_refusals(
    conn: &Connection,
    after: i64,
    limit: usize,
) -> anyhow::Result<Vec<Option<String>>> {
    let mut statement = conn.prepare_cached(
        "SELECT CASE state WHEN 'not_placed' THEN error_message END
         FROM call_attempts WHERE ?1 < seq AND state <> 'dialing' ORDER BY seq DESC LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after, limit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
