//! Whether somebody was reached: what the calls of one customer came to.

use rusqlite::{Connection, OptionalExtension};

use crate::domain::call::{AttemptState, Disposition};
use crate::domain::{Instant, parse_instant};
use crate::store::cells;

/// The calls of one customer in short.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contact {
    /// The newest call that rang, or may have.
    pub last: Option<LastCall>,
    /// When the newest answered call was made.
    pub answered_at: Option<Instant>,
    pub is_in_doubt: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LastCall {
    pub at: Instant,
    pub state: AttemptState,
    pub disposition: Option<Disposition>,
}

pub fn contact(conn: &Connection, customer_id: i64) -> anyhow::Result<Contact> {
    let last = conn
        .prepare_cached(
            "SELECT created_at, state, disposition FROM call_attempts
             WHERE customer_id = ?1 AND state <> 'not_placed' ORDER BY created_at DESC LIMIT 1",
        )?
        .query_one([customer_id], |row| {
            Ok((cells::lossy(row, 0)?, cells::lossy(row, 1)?, cells::optional_lossy(row, 2)?))
        })
        .optional()?;
    let last = last.and_then(|(at, state, disposition)| {
        let disposition = disposition.as_deref().and_then(Disposition::parse);
        Some(LastCall { at: parse_instant(&at)?, state: AttemptState::parse(&state)?, disposition })
    });
    let answered: Option<String> = conn
        .prepare_cached(
            "SELECT max(created_at) FROM call_attempts
             WHERE customer_id = ?1 AND disposition = 'answered'",
        )?
        .query_one([customer_id], |row| cells::optional_lossy(row, 0))?;
    let is_in_doubt = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM call_attempts
               WHERE customer_id = ?1 AND state = 'in_doubt')",
        )?
        .query_one([customer_id], |row| row.get(0))?;
    let answered_at = answered.as_deref().and_then(parse_instant);
    Ok(Contact { last, answered_at, is_in_doubt })
}
