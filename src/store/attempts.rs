//! The ledger: one row per dialing, written before the POST, never deleted.

pub mod caller_ids;
pub mod changes;
pub mod history;
pub mod recent_outcomes;
pub mod results;
pub mod second_calls;
pub mod unended;
pub mod unlisted;
pub mod unresolved;

use rusqlite::{Connection, Row, Transaction, params};

use crate::domain::call::{AttemptState, CallType, Disposition};
use crate::domain::{Instant, instant_text};
use crate::provider::ProviderCall;
use crate::store::cells::{self, bad_text};
use crate::store::events;
use crate::store::journal::{self, By, Entry};
use crate::store::quarantine::{self, Place};
use crate::store::transaction::Moved;

/// A row of `call_attempts`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// UUIDv7.
    pub id: String,
    pub seq: i64,
    pub queue_id: Option<i64>,
    /// `None`: the database has no such customer.
    pub customer_id: Option<i64>,
    pub customer_key: String,
    pub call_type: CallType,
    pub occasion: String,
    pub attempt_no: i64,
    /// E.164 as dialed; `None` after erasure.
    pub phone: Option<String>,
    pub phone_key: String,
    pub state: AttemptState,
    pub vapi_call_id: Option<String>,
    pub ended_reason: Option<String>,
    pub disposition: Option<Disposition>,
    pub started_at: Option<Instant>,
    pub ended_at: Option<Instant>,
    pub duration_seconds: Option<f64>,
    /// US dollars.
    pub cost: Option<f64>,
    pub error_message: Option<String>,
    /// The instant of the intent.
    pub created_at: Instant,
    pub updated_at: Instant,
    pub phone_number_id: Option<String>,
    pub next_poll_at: Option<Instant>,
    pub clean_reads: i64,
    pub absent_since: Option<Instant>,
    pub absent_since_monotonic_ms: Option<i64>,
    pub absent_boot_id: Option<String>,
}

impl Default for Attempt {
    /// An attempt without an id, in doubt, at the Unix epoch: every caller sets the other fields.
    fn default() -> Attempt {
        Attempt {
            id: String::new(),
            seq: 0,
            queue_id: None,
            customer_id: None,
            customer_key: String::new(),
            call_type: CallType::Daily,
            occasion: String::new(),
            attempt_no: 0,
            phone: None,
            phone_key: String::new(),
            state: AttemptState::InDoubt,
            vapi_call_id: None,
            ended_reason: None,
            disposition: None,
            started_at: None,
            ended_at: None,
            duration_seconds: None,
            cost: None,
            error_message: None,
            created_at: Instant::UNIX_EPOCH,
            updated_at: Instant::UNIX_EPOCH,
            phone_number_id: None,
            next_poll_at: None,
            clean_reads: 0,
            absent_since: None,
            absent_since_monotonic_ms: None,
            absent_boot_id: None,
        }
    }
}

impl Attempt {
    /// Whether the call was closed or given up before the provider reported its end.
    pub fn lacks_its_end(&self) -> bool {
        self.state == AttemptState::Ended
            && self.disposition == Some(Disposition::Unknown)
            && self.ended_reason.is_none()
            && self.ended_at.is_none()
    }

    /// The tag that is sent to the provider: a letter for the type, and the id.
    pub fn tag(&self) -> String {
        tag(self.call_type, &self.id)
    }
}

/// `w-`, `d-` or `x-` and the attempt's id: 38 characters.
pub fn tag(call_type: CallType, id: &str) -> String {
    format!("{}-{id}", call_type.tag_letter())
}

/// The columns that [`attempt_from_row`] reads, in its order.
pub const ATTEMPT_COLUMNS: &str = "id, seq, queue_id, customer_id, customer_key, call_type, \
     occasion, attempt_no, phone, phone_key, state, vapi_call_id, ended_reason, disposition, \
     started_at, ended_at, duration_seconds, cost, error_message, created_at, updated_at, \
     phone_number_id, next_poll_at, clean_reads, absent_since, absent_since_monotonic_ms, \
     absent_boot_id";

pub fn attempt_from_row(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let call_type: String = row.get(5)?;
    let state: String = row.get(10)?;
    let disposition: Option<String> = row.get(13)?;
    Ok(Attempt {
        id: row.get(0)?,
        seq: row.get(1)?,
        queue_id: row.get(2)?,
        customer_id: row.get(3)?,
        customer_key: row.get(4)?,
        call_type: CallType::parse(&call_type).ok_or_else(|| bad_text(5, &call_type))?,
        occasion: row.get(6)?,
        attempt_no: row.get(7)?,
        phone: row.get(8)?,
        phone_key: row.get(9)?,
        state: AttemptState::parse(&state).ok_or_else(|| bad_text(10, &state))?,
        vapi_call_id: row.get(11)?,
        ended_reason: row.get(12)?,
        disposition: cells::word(13, disposition.as_deref(), Disposition::parse)?,
        started_at: cells::optional_instant(row, 14)?,
        ended_at: cells::optional_instant(row, 15)?,
        duration_seconds: row.get(16)?,
        cost: row.get(17)?,
        error_message: row.get(18)?,
        created_at: cells::instant(row, 19)?,
        updated_at: cells::instant(row, 20)?,
        phone_number_id: row.get(21)?,
        next_poll_at: cells::optional_instant(row, 22)?,
        clean_reads: row.get(23)?,
        absent_since: cells::optional_instant(row, 24)?,
        absent_since_monotonic_ms: row.get(25)?,
        absent_boot_id: row.get(26)?,
    })
}

/// Writes an attempt: the intent of a dialing, or one adopted from the provider's records.
///
/// After an attempt in state `dialing` commits, a phone may ring: this is the last point to refuse.
pub fn insert(tx: &Transaction<'_>, new: &Attempt, who: &str) -> anyhow::Result<()> {
    tx.prepare_cached(
        "INSERT INTO call_attempts (id, seq, queue_id, customer_id, customer_key, call_type,
           occasion, attempt_no, phone, phone_key, state, vapi_call_id, ended_reason, disposition,
           started_at, ended_at, duration_seconds, cost, error_message, created_at, updated_at,
           phone_number_id, next_poll_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
           ?19, ?20, ?21, ?22, ?23)",
    )?
    .execute(params![
        new.id,
        new.seq,
        new.queue_id,
        new.customer_id,
        new.customer_key,
        new.call_type.as_str(),
        new.occasion,
        new.attempt_no,
        new.phone,
        new.phone_key,
        new.state.as_str(),
        new.vapi_call_id,
        new.ended_reason,
        new.disposition.map(Disposition::as_str),
        new.started_at.map(instant_text),
        new.ended_at.map(instant_text),
        new.duration_seconds,
        new.cost,
        new.error_message,
        instant_text(new.created_at),
        instant_text(new.updated_at),
        new.phone_number_id,
        new.next_poll_at.map(instant_text),
    ])?;
    journal_move(tx, &new.id, (None, new.state), By { who, now: new.updated_at }, None)
}

/// `dialing` or `in_doubt` → `placed`. `call_id` is `None` if the 2xx reply was unreadable.
pub fn accept(
    tx: &Transaction<'_>,
    attempt: &Attempt,
    call_id: Option<&str>,
    next_poll_at: Instant,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let By { now, .. } = by;
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET state = 'placed', vapi_call_id = ?2, next_poll_at = ?3,
               error_message = NULL, updated_at = ?4
             WHERE id = ?1 AND state IN ('dialing', 'in_doubt')",
        )?
        .execute(params![attempt.id, call_id, instant_text(next_poll_at), instant_text(now)])?;
    moved(tx, rows, attempt, AttemptState::Placed, by, None)
}

/// `dialing` → `in_doubt`.
pub fn doubt(
    tx: &Transaction<'_>,
    attempt: &Attempt,
    why: &str,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let By { now, .. } = by;
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET state = 'in_doubt', error_message = ?2, updated_at = ?3
             WHERE id = ?1 AND state = 'dialing'",
        )?
        .execute(params![attempt.id, why, instant_text(now)])?;
    moved(tx, rows, attempt, AttemptState::InDoubt, by, Some(why))
}

/// `dialing` → `not_placed`, proven by the reply. Or `in_doubt` → `not_placed`, proven by the
/// provider's records or decided by a person. `from` is the only state that the attempt may leave.
pub fn refuse(
    tx: &Transaction<'_>,
    attempt: &Attempt,
    from: AttemptState,
    why: &str,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET state = 'not_placed', error_message = ?2, updated_at = ?3
             WHERE id = ?1 AND state = ?4 AND state IN ('dialing', 'in_doubt')
               AND vapi_call_id IS NULL",
        )?
        .execute(params![attempt.id, why, instant_text(by.now), from.as_str()])?;
    let moved = moved(tx, rows, attempt, AttemptState::NotPlaced, by, Some(why))?;
    // Another call of the occasion may have completed its item already.
    events::occasion::of_attempt_may_be_over(tx, &attempt.id, by.now)?;
    Ok(moved)
}

/// `placed` → `ended`, with the provider's data about the call.
pub fn end(
    tx: &Transaction<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    disposition: Disposition,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let By { now, .. } = by;
    let rows = tx
        .prepare_cached(
            "UPDATE call_attempts SET state = 'ended', disposition = ?2, ended_reason = ?3,
               started_at = ?4, ended_at = ?5, duration_seconds = ?6, cost = ?7,
               provider_status = 'ended', next_poll_at = NULL, updated_at = ?8,
               vapi_call_id = coalesce(vapi_call_id, ?9)
             WHERE id = ?1 AND state = 'placed'",
        )?
        .execute(params![
            attempt.id,
            disposition.as_str(),
            call.ended_reason,
            call.started_at.map(instant_text),
            call.ended_at.map(instant_text),
            call.duration_seconds(),
            call.cost,
            instant_text(now),
            call.id,
        ])?;
    moved(tx, rows, attempt, AttemptState::Ended, by, call.ended_reason.as_deref())
}

/// The provider's statuses in the order of a call.
const STATUSES: &str = " scheduled queued ringing in-progress forwarding";

/// Stores the next poll of a placed call that goes on, and the provider's latest status. A status
/// that goes backward, or that is unknown, changes nothing.
pub fn poll_again(
    tx: &Transaction<'_>,
    id: &str,
    provider_status: Option<&str>,
    next_poll_at: Instant,
) -> anyhow::Result<()> {
    tx.prepare_cached(
        "UPDATE call_attempts SET next_poll_at = ?2,
           provider_status = CASE
             WHEN instr(?4, coalesce(' ' || provider_status, '')) <= instr(?4, ' ' || ?3) THEN ?3
             ELSE provider_status END
         WHERE id = ?1 AND state = 'placed'",
    )?
    .execute(params![id, instant_text(next_poll_at), provider_status, STATUSES])?;
    Ok(())
}

pub fn by_id(conn: &Connection, id: &str) -> anyhow::Result<Option<Attempt>> {
    let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM call_attempts WHERE id = ?1");
    quarantine::one(Place::Attempts, conn.prepare_cached(&sql)?.query([id])?, attempt_from_row)
}

pub fn by_call_id(conn: &Connection, call_id: &str) -> anyhow::Result<Option<Attempt>> {
    let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM call_attempts WHERE vapi_call_id = ?1");
    quarantine::one(Place::Attempts, conn.prepare_cached(&sql)?.query([call_id])?, attempt_from_row)
}

/// Attempts in one state, oldest first. Omits rows that cannot be read.
pub fn in_state(conn: &Connection, state: AttemptState) -> anyhow::Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM call_attempts
         WHERE state = ?1 AND (state = 'dialing' OR state = 'in_doubt' OR state = 'placed')
         ORDER BY created_at, seq"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    quarantine::listed(Place::Attempts, statement.query([state.as_str()])?, attempt_from_row)
}

/// Attempts of one occasion, by number.
pub fn of_occasion(
    conn: &Connection,
    customer_id: i64,
    call_type: CallType,
    occasion: &str,
) -> anyhow::Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM call_attempts
         WHERE customer_id = ?1 AND call_type = ?2 AND occasion = ?3 ORDER BY attempt_no"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query(params![customer_id, call_type.as_str(), occasion])?;
    quarantine::every(Place::Attempts, rows, attempt_from_row)
}

/// Intents written after `since`, oldest first; the pace counts them.
pub fn intents_since(conn: &Connection, since: Instant) -> anyhow::Result<Vec<Instant>> {
    let mut statement = conn.prepare_cached(
        "SELECT created_at, seq FROM call_attempts WHERE ?1 < created_at ORDER BY created_at",
    )?;
    let rows = statement.query([instant_text(since)])?;
    quarantine::listed(Place::Attempts, rows, |row| cells::instant(row, 0))
}

pub(super) fn moved(
    tx: &Transaction<'_>,
    rows: usize,
    attempt: &Attempt,
    to: AttemptState,
    by: By<'_>,
    why: Option<&str>,
) -> anyhow::Result<Moved> {
    if rows == 1 {
        journal_move(tx, &attempt.id, (Some(attempt.state), to), by, why)?;
    }
    Ok(Moved::from_rows(rows))
}

fn journal_move(
    tx: &Transaction<'_>,
    id: &str,
    (from, to): (Option<AttemptState>, AttemptState),
    by: By<'_>,
    why: Option<&str>,
) -> anyhow::Result<()> {
    let subject = format!("attempt:{id}");
    let entry = Entry {
        who: by.who,
        what: "attempt",
        subject: &subject,
        old: from.map(AttemptState::as_str),
        new: Some(to.as_str()),
        why,
    };
    journal::add(tx, by.now, entry)?;
    events::attempt_moved(tx, id, (from, to), by.now)
}
