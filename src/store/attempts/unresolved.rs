//! Doubts in the ledger: the readings about them, the text for a person, late records, and the end
//! of placed calls that cannot be followed. Nothing here changes only because time passed.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::call::AttemptState;
use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::attempts::{self, ATTEMPT_COLUMNS, Attempt, attempt_from_row, unended};
use crate::store::cells;
use crate::store::journal::By;
use crate::store::quarantine::{self, Place};
use crate::store::transaction::Moved;

/// Stores the call id of an attempt that was placed without one, found by its tag. Works also if
/// the attempt was given up in the meantime. Stores the id also with the customer, if this is their
/// last call.
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

/// Stores one more complete listing without the attempt; `None` forgets all of them.
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

/// Forgets all readings about doubts, because they came from another account.
pub fn forget_absences(tx: &Transaction<'_>) -> anyhow::Result<()> {
    tx.prepare_cached(
        "UPDATE call_attempts SET clean_reads = 0, absent_since = NULL,
           absent_since_monotonic_ms = NULL, absent_boot_id = NULL
         WHERE state = 'in_doubt' AND 0 < clean_reads",
    )?
    .execute([])?;
    Ok(())
}

/// Adds a sentence to the text about a doubt, once.
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

/// `not_placed` → `placed`: only if the provider's own record of the call appears late.
pub fn revive(
    tx: &Transaction<'_>,
    attempt: &Attempt,
    call_id: &str,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let By { now, .. } = by;
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET state = 'placed', vapi_call_id = ?2, next_poll_at = ?3,
               updated_at = ?3
             WHERE id = ?1 AND state = 'not_placed'",
        )?
        .execute(params![attempt.id, call_id, instant_text(now)])?;
    let why = Some("the provider's record arrived late");
    attempts::moved(tx, rows, attempt, AttemptState::Placed, by, why)
}

/// `placed` → `ended` as `unknown`, which permits no retry: for a call whose end can no longer be
/// known. Only frees the line.
pub fn end_without_record(
    tx: &Transaction<'_>,
    attempt: &Attempt,
    why: &str,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let By { now, .. } = by;
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET state = 'ended', disposition = 'unknown', error_message = ?2,
               next_poll_at = NULL, updated_at = ?3
             WHERE id = ?1 AND state = 'placed'",
        )?
        .execute(params![attempt.id, why, instant_text(now)])?;
    unended::ended_for_good(tx, rows, attempt, by, why)
}

/// Attempts whose id begins with `id`, at most two: enough to see whether it identifies one.
pub fn beginning_with(conn: &Connection, id: &str) -> anyhow::Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM call_attempts WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    quarantine::every(Place::Attempts, statement.query([id])?, attempt_from_row)
}

/// The newest attempts first, without the rows by which an erasure keeps a flag, and with the customer's name if the file has it; only those of `state` if
/// it is given.
pub fn newest(
    conn: &Connection,
    state: Option<AttemptState>,
    limit: usize,
) -> anyhow::Result<Vec<(Attempt, Option<String>)>> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS},
           (SELECT name FROM customers WHERE customers.id = call_attempts.customer_id)
         FROM call_attempts WHERE seq > 0 AND (?1 IS NULL OR state = ?1)
         ORDER BY created_at DESC, seq DESC LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query(params![state.map(AttemptState::as_str), limit])?;
    quarantine::listed(Place::Attempts, rows, |row| {
        Ok((attempt_from_row(row)?, cells::optional_lossy(row, 27)?))
    })
}

/// Attempts that were placed while their item still waits for an answer: the flags were not proven.
/// Only the last attempt of an item shows this. An earlier one says nothing about a second call
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
    quarantine::listed(Place::Attempts, statement.query([])?, attempt_from_row)
}

/// Doubts whose intent was written at `since` or later, oldest first.
pub fn since(conn: &Connection, since: Instant) -> anyhow::Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM call_attempts
         WHERE state = 'in_doubt' AND ?1 <= created_at ORDER BY created_at, seq"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    quarantine::listed(Place::Attempts, statement.query([instant_text(since)])?, attempt_from_row)
}

/// The instant of the oldest attempt whose call is unknown: in doubt, or placed by a reply without
/// an id. With `after`: only among younger attempts.
pub fn oldest_unexplained(
    conn: &Connection,
    after: Option<Instant>,
) -> anyhow::Result<Option<Instant>> {
    // The plus keeps SQLite from searching all attempts without an id, of which there are many.
    let sql = "SELECT min(begun) FROM (
           SELECT min(created_at) AS begun FROM call_attempts
           WHERE state = 'in_doubt' AND coalesce(?1, '') < created_at
           UNION ALL
           SELECT min(created_at) FROM call_attempts
           WHERE state = 'placed' AND +vapi_call_id IS NULL AND coalesce(?1, '') < created_at)";
    Ok(conn
        .prepare_cached(sql)?
        .query_one([after.map(instant_text)], |row| cells::earliest(row, 0))?)
}

/// The instant of the oldest attempt after `since` whose doubt was ruled out, by a person's
/// decision or by proven absence. Its call may still appear.
pub fn oldest_ruled_out(conn: &Connection, since: Instant) -> anyhow::Result<Option<Instant>> {
    let sql = "SELECT min(created_at) FROM call_attempts
         WHERE state = 'not_placed' AND ?1 < created_at AND EXISTS (
           SELECT 1 FROM journal
           WHERE subject = 'attempt:' || call_attempts.id AND old = 'in_doubt')";
    Ok(conn.prepare_cached(sql)?.query_one([instant_text(since)], |row| cells::earliest(row, 0))?)
}

/// Like [`oldest_ruled_out`], for attempts whose occasion waits to be called again.
pub fn oldest_that_may_ring_again(conn: &Connection) -> anyhow::Result<Option<Instant>> {
    let sql = "SELECT min(made.created_at) FROM call_queue AS item
           JOIN call_attempts AS made USING (customer_id, call_type, occasion)
         WHERE item.status IN ('pending', 'retrying', 'processing') AND made.state = 'not_placed'
           AND EXISTS (SELECT 1 FROM journal
             WHERE subject = 'attempt:' || made.id AND journal.old = 'in_doubt')";
    Ok(conn.prepare_cached(sql)?.query_one([], |row| cells::earliest(row, 0))?)
}

/// The instant of the oldest attempt after `after` that was given up without an id. Its record may
/// hold an opt-out and become readable. Reads every attempt since then.
pub fn oldest_given_up(conn: &Connection, after: Instant) -> anyhow::Result<Option<Instant>> {
    let sql = "SELECT min(created_at) FROM call_attempts
         WHERE ?1 < created_at AND state = 'ended' AND disposition = 'unknown'
           AND +vapi_call_id IS NULL";
    Ok(conn.prepare_cached(sql)?.query_one([instant_text(after)], |row| cells::earliest(row, 0))?)
}

/// Whether an attempt is in this state, also one that cannot be read.
pub fn is_any_in_state(conn: &Connection, state: AttemptState) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM call_attempts WHERE state = ?1
         AND (state = 'dialing' OR state = 'in_doubt' OR state = 'placed'))";
    Ok(conn.prepare_cached(sql)?.query_one([state.as_str()], |row| row.get(0))?)
}

/// Whether the ledger has a provider's call, also where its row cannot be read.
pub fn has_call(conn: &Connection, call_id: &str) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM call_attempts WHERE vapi_call_id = ?1)";
    Ok(conn.prepare_cached(sql)?.query_one([call_id], |row| row.get(0))?)
}

/// Whether the ledger has an attempt, also where its row cannot be read.
pub fn has_attempt(conn: &Connection, id: &str) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM call_attempts WHERE id = ?1)";
    Ok(conn.prepare_cached(sql)?.query_one([id], |row| row.get(0))?)
}

/// A provider call in the ledger.
#[derive(Clone, Copy, Debug)]
pub struct KnownCall {
    pub state: AttemptState,
    /// The instant of the intent.
    pub begun: Instant,
    /// The call is placed, or was closed before the provider reported its end.
    pub lacks_its_end: bool,
}

/// The columns of a [`KnownCall`].
const KNOWN_CALL: &str = "state, created_at, state = 'placed' OR (state = 'ended'
  AND disposition = 'unknown' AND ended_reason IS NULL AND ended_at IS NULL)";

/// The provider calls in the ledger at the time of reading: one query for a long listing.
pub struct KnownCalls(HashMap<String, KnownCall>);

impl KnownCalls {
    /// Reads the calls of attempts since an instant.
    pub fn since(conn: &Connection, since: Instant) -> anyhow::Result<KnownCalls> {
        let mut statement = conn.prepare_cached(&format!(
            "SELECT {KNOWN_CALL}, vapi_call_id FROM call_attempts
             WHERE ?1 <= created_at AND vapi_call_id IS NOT NULL"
        ))?;
        let known = statement.query_map([instant_text(since)], |row| {
            Ok((cells::lossy(row, 3)?, known_call_of(row)?))
        })?;
        Ok(KnownCalls(known.collect::<Result<_, _>>()?))
    }

    /// What the ledger has of a call. A missing call is looked up again: it may be older, or stored
    /// since.
    pub fn of(&self, conn: &Connection, call_id: &str) -> anyhow::Result<Option<KnownCall>> {
        match self.0.get(call_id) {
            Some(known) => Ok(Some(*known)),
            None => known_call(conn, call_id),
        }
    }
}

fn known_call(conn: &Connection, call_id: &str) -> anyhow::Result<Option<KnownCall>> {
    let sql = format!("SELECT {KNOWN_CALL} FROM call_attempts WHERE vapi_call_id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_one([call_id], known_call_of).optional()?)
}

/// A state that is not known counts as a doubt, and an instant that is not one as long ago, so that
/// neither proves anything.
fn known_call_of(row: &Row<'_>) -> rusqlite::Result<KnownCall> {
    let state = AttemptState::parse(&cells::lossy(row, 0)?);
    let begun = parse_instant(&cells::lossy(row, 1)?);
    Ok(KnownCall {
        state: state.unwrap_or(AttemptState::InDoubt),
        begun: begun.unwrap_or(Instant::UNIX_EPOCH),
        lacks_its_end: row.get(2)?,
    })
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
        .query_map(params![instant_text(since), instant_text(until), limit], |row| {
            cells::lossy(row, 0)
        })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Whether the ledger has a sequence number: two files of one installation may have used it.
pub fn seq_is_taken(conn: &Connection, seq: i64) -> anyhow::Result<bool> {
    Ok(conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM call_attempts WHERE seq = ?1)")?
        .query_one([seq], |row| row.get(0))?)
}
