//! Doubt in the ledger: what was read about it, what a person is told, late truth, and the end of
//! placed calls that nobody can follow. Nothing here moves because time passed alone.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::call::AttemptState;
use crate::domain::{Instant, instant_text};
use crate::store::attempts::{self, ATTEMPT_COLUMNS, Attempt, attempt_from_row};
use crate::store::queue::Moved;
use crate::store::rows::{self, bad_text};

/// Gives an attempt that was placed without an id the one that its tag was found under, also when
/// its end was given up by then; and gives it to the customer whose last call it is.
pub fn learn_call_id(tx: &Transaction<'_>, id: &str, call_id: &str) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET vapi_call_id = ?2
             WHERE id = ?1 AND state IN ('placed', 'ended') AND vapi_call_id IS NULL",
        )?
        .execute([id, call_id])?;
    let moved = Moved::from_rows(rows);
    if moved == Moved::Yes {
        tx.prepare_cached(
            "UPDATE customers SET last_call_id = ?2
             FROM (SELECT customer_id, seq FROM call_attempts WHERE id = ?1) AS made
             WHERE customers.id = made.customer_id AND NOT EXISTS (
               SELECT 1 FROM call_attempts AS later
               WHERE later.customer_id = made.customer_id AND made.seq < later.seq
                 AND later.state IN ('placed', 'ended'))",
        )?
        .execute([id, call_id])?;
    }
    Ok(moved)
}

/// Notes one more complete listing without the attempt, or (with `None`) forgets them all.
pub fn note_absence(
    tx: &Transaction<'_>,
    id: &str,
    absence: Option<(Instant, i64, &str)>,
    clean_reads: i64,
) -> anyhow::Result<()> {
    let (since, monotonic_ms, boot_id) = match absence {
        Some((since, ms, boot_id)) => (Some(instant_text(since)), Some(ms), Some(boot_id)),
        None => (None, None, None),
    };
    tx.prepare_cached(
        "UPDATE call_attempts SET clean_reads = ?2, absent_since = ?3,
           absent_since_monotonic_ms = ?4, absent_boot_id = ?5
         WHERE id = ?1 AND state = 'in_doubt'",
    )?
    .execute(params![id, clean_reads, since, monotonic_ms, boot_id])?;
    Ok(())
}

/// Forgets what was read about every doubt: the readings came from another account.
pub fn forget_absences(tx: &Transaction<'_>) -> anyhow::Result<()> {
    tx.prepare_cached(
        "UPDATE call_attempts SET clean_reads = 0, absent_since = NULL,
           absent_since_monotonic_ms = NULL, absent_boot_id = NULL
         WHERE state = 'in_doubt' AND 0 < clean_reads",
    )?
    .execute([])?;
    Ok(())
}

/// Adds a sentence to what is told of a doubt, once.
pub fn tell(tx: &Transaction<'_>, id: &str, sentence: &str) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET error_message =
               CASE WHEN coalesce(error_message, '') = '' THEN ?2
                 ELSE error_message || '; ' || ?2 END
             WHERE id = ?1 AND state = 'in_doubt' AND instr(coalesce(error_message, ''), ?2) = 0",
        )?
        .execute([id, sentence])?;
    Ok(Moved::from_rows(rows))
}

/// `not_placed` → `placed`: only on the provider's own record of the call. Late truth.
pub fn revive(
    tx: &Transaction<'_>,
    attempt: &Attempt,
    call_id: &str,
    who: &str,
    now: Instant,
) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET state = 'placed', vapi_call_id = ?2, next_poll_at = ?3,
               updated_at = ?3
             WHERE id = ?1 AND state = 'not_placed'",
        )?
        .execute(params![attempt.id, call_id, instant_text(now)])?;
    let why = Some("the provider's record arrived late");
    attempts::moved(tx, rows, attempt, AttemptState::Placed, who, why, now)
}

/// `placed` → `ended` as `unknown`, which permits no retry: a call whose end nobody can tell any
/// more. It only gives its line back.
pub fn end_untold(
    tx: &Transaction<'_>,
    attempt: &Attempt,
    why: &str,
    who: &str,
    now: Instant,
) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET state = 'ended', disposition = 'unknown', error_message = ?2,
               next_poll_at = NULL, updated_at = ?3
             WHERE id = ?1 AND state = 'placed'",
        )?
        .execute(params![attempt.id, why, instant_text(now)])?;
    attempts::moved(tx, rows, attempt, AttemptState::Ended, who, Some(why), now)
}

/// Attempts whose id begins so, at most two: enough to see whether it names one.
pub fn beginning_with(conn: &Connection, id: &str) -> anyhow::Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM call_attempts WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([id], attempt_from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The newest attempts first, with the customer's name where the file knows it; of one state when
/// it is given.
pub fn newest(
    conn: &Connection,
    state: Option<AttemptState>,
    limit: usize,
) -> anyhow::Result<Vec<(Attempt, Option<String>)>> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS},
           (SELECT name FROM customers WHERE customers.id = call_attempts.customer_id)
         FROM call_attempts WHERE ?1 IS NULL OR state = ?1
         ORDER BY created_at DESC, seq DESC LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = statement.query_map(params![state.map(AttemptState::as_str), limit], |row| {
        Ok((attempt_from_row(row)?, row.get(27)?))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Attempts that were placed while their item still waits for an answer: the flags were not
/// proven. Only the last attempt of an item says that; an earlier one says nothing about a second call
/// that is under way.
pub fn placed_without_flags(conn: &Connection) -> anyhow::Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM call_attempts AS made
         WHERE state IN ('placed', 'ended') AND queue_id IN (
           SELECT id FROM call_queue
           WHERE status = 'processing' OR (status = 'failed' AND reason = 'in_doubt'))
         AND NOT EXISTS (SELECT 1 FROM call_attempts AS later
           WHERE later.queue_id = made.queue_id AND made.attempt_no < later.attempt_no)
         ORDER BY seq"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([], attempt_from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Doubts whose intent is from this instant or later, oldest first.
pub fn since(conn: &Connection, since: Instant) -> anyhow::Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM call_attempts
         WHERE state = 'in_doubt' AND ?1 <= created_at ORDER BY created_at, seq"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([instant_text(since)], attempt_from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// When the oldest attempt was made whose call is not known: in doubt, or placed by a reply without
/// an id. `after`: among those that are younger.
pub fn oldest_unexplained(
    conn: &Connection,
    after: Option<Instant>,
) -> anyhow::Result<Option<Instant>> {
    // The plus keeps SQLite from looking for all attempts without an id: there are many.
    let sql = "SELECT min(begun) FROM (
           SELECT min(created_at) AS begun FROM call_attempts
           WHERE state = 'in_doubt' AND coalesce(?1, '') < created_at
           UNION ALL
           SELECT min(created_at) FROM call_attempts
           WHERE state = 'placed' AND +vapi_call_id IS NULL AND coalesce(?1, '') < created_at)";
    Ok(conn
        .prepare_cached(sql)?
        .query_one([after.map(instant_text)], |row| rows::optional_instant(row, 0))?)
}

/// When the oldest attempt since then was made whose doubt was ruled out, by a person's word or by
/// proven absence: its call may still come to light.
pub fn oldest_ruled_out(conn: &Connection, since: Instant) -> anyhow::Result<Option<Instant>> {
    let sql = "SELECT min(created_at) FROM call_attempts
         WHERE state = 'not_placed' AND ?1 < created_at AND EXISTS (
           SELECT 1 FROM journal
           WHERE subject = 'attempt:' || call_attempts.id AND old = 'in_doubt')";
    Ok(conn
        .prepare_cached(sql)?
        .query_one([instant_text(since)], |row| rows::optional_instant(row, 0))?)
}

/// The same of those whose occasion waits to be called again.
pub fn oldest_that_may_ring_again(conn: &Connection) -> anyhow::Result<Option<Instant>> {
    let sql = "SELECT min(made.created_at) FROM call_queue AS item
           JOIN call_attempts AS made USING (customer_id, call_type, occasion)
         WHERE item.status IN ('pending', 'retrying', 'processing') AND made.state = 'not_placed'
           AND EXISTS (SELECT 1 FROM journal
             WHERE subject = 'attempt:' || made.id AND journal.old = 'in_doubt')";
    Ok(conn.prepare_cached(sql)?.query_one([], |row| rows::optional_instant(row, 0))?)
}

/// When the oldest of the younger attempts was made that was given up without an id: its record may
/// hold an opt-out, and be readable one day. Reads every attempt since then.
pub fn oldest_given_up(conn: &Connection, after: Instant) -> anyhow::Result<Option<Instant>> {
    let sql = "SELECT min(created_at) FROM call_attempts
         WHERE ?1 < created_at AND state = 'ended' AND disposition = 'unknown'
           AND +vapi_call_id IS NULL";
    Ok(conn
        .prepare_cached(sql)?
        .query_one([instant_text(after)], |row| rows::optional_instant(row, 0))?)
}

/// The provider calls that the ledger knew when they were read: one look for a long listing.
pub struct KnownCalls(HashMap<String, (AttemptState, Instant)>);

impl KnownCalls {
    /// Reads the calls of attempts since an instant.
    pub fn since(conn: &Connection, since: Instant) -> anyhow::Result<KnownCalls> {
        let mut statement = conn.prepare_cached(
            "SELECT vapi_call_id, state, created_at FROM call_attempts
             WHERE ?1 <= created_at AND vapi_call_id IS NOT NULL",
        )?;
        let known = statement.query_map([instant_text(since)], |row| {
            Ok((row.get(0)?, state_and_instant(row, 1)?))
        })?;
        Ok(KnownCalls(known.collect::<Result<_, _>>()?))
    }

    /// The state of the attempt behind a call, and the instant of its intent. A call that was not
    /// known is looked up anew: it may be older, or taken in since.
    pub fn of(
        &self,
        conn: &Connection,
        call_id: &str,
    ) -> anyhow::Result<Option<(AttemptState, Instant)>> {
        match self.0.get(call_id) {
            Some(known) => Ok(Some(*known)),
            None => known_call(conn, call_id),
        }
    }
}

fn known_call(conn: &Connection, call_id: &str) -> anyhow::Result<Option<(AttemptState, Instant)>> {
    let sql = "SELECT state, created_at FROM call_attempts WHERE vapi_call_id = ?1";
    let known = conn.prepare_cached(sql)?.query_one([call_id], |row| state_and_instant(row, 0));
    Ok(known.optional()?)
}

fn state_and_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<(AttemptState, Instant)> {
    let state = row.get_ref(column)?.as_str()?;
    let state = AttemptState::parse(state).ok_or_else(|| bad_text(column, state))?;
    Ok((state, rows::instant(row, column + 1)?))
}

/// The provider's ids of the newest calls between two instants, the newest first.
pub fn last_call_ids(
    conn: &Connection,
    since: Instant,
    until: Instant,
    limit: usize,
) -> anyhow::Result<Vec<String>> {
    let mut statement = conn.prepare_cached(
        "SELECT vapi_call_id FROM call_attempts
         WHERE ?1 < created_at AND created_at < ?2 AND vapi_call_id IS NOT NULL
         ORDER BY created_at DESC LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = statement
        .query_map(params![instant_text(since), instant_text(until), limit], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Whether a sequence number is in the ledger: two files of one installation may have used it.
pub fn seq_is_taken(conn: &Connection, seq: i64) -> anyhow::Result<bool> {
    Ok(conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM call_attempts WHERE seq = ?1)")?
        .query_one([seq], |row| row.get(0))?)
}
