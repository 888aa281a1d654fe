//! The facts that the gate needs about one item, read in one transaction.

use chrono::{Duration, NaiveDate};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::domain::call::{AttemptState, CallType, Disposition};
use crate::domain::customer::Customer;
use crate::domain::{Instant, instant_text};
use crate::phones;
use crate::store::cells;
use crate::store::customers::left_numbers;
use crate::store::quarantine::{self, Place};
use crate::store::queue::Item;

/// Whether the ledger is empty: no call was made or lost.
pub fn has_no_call(conn: &Connection) -> anyhow::Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM call_attempts)";
    Ok(conn.query_one(sql, [], |row| row.get(0))?)
}

/// Matches an attempt that may have rung: in one of these states, or ended other than
/// `never_dialed`.
const MAY_HAVE_RUNG: &str = "state = 'dialing' OR state = 'in_doubt' OR state = 'placed' \
     OR (state = 'ended' AND disposition <> 'never_dialed')";

/// No call lasts as long; bounds the search for the calls of an earlier instant.
const LONGEST_CALL: Duration = Duration::hours(12);

/// The states and dispositions of an occasion's attempts, by attempt number.
pub fn history(
    conn: &Connection,
    customer_id: i64,
    call_type: CallType,
    occasion: &str,
) -> anyhow::Result<Vec<(AttemptState, Option<Disposition>)>> {
    let mut statement = conn.prepare_cached(
        "SELECT state, disposition FROM call_attempts
         WHERE customer_id = ?1 AND call_type = ?2 AND occasion = ?3 ORDER BY attempt_no",
    )?;
    let rows = statement.query_map(params![customer_id, call_type.as_str(), occasion], |row| {
        let state = cells::lossy(row, 0)?;
        let disposition = cells::optional_lossy(row, 1)?;
        // An unknown state blocks like a doubt.
        Ok((
            AttemptState::parse(&state).unwrap_or(AttemptState::InDoubt),
            disposition.as_deref().and_then(Disposition::parse),
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether an attempt of an item's occasion was placed.
pub fn was_placed(conn: &Connection, item: &Item) -> anyhow::Result<bool> {
    let history = history(conn, item.customer_id, item.call_type, &item.occasion)?;
    let placed = |state| matches!(state, AttemptState::Placed | AttemptState::Ended);
    Ok(history.into_iter().any(|(state, _)| placed(state)))
}

/// The attempt number of the next attempt of an occasion.
pub fn next_attempt_no(
    conn: &Connection,
    customer_id: i64,
    call_type: CallType,
    occasion: &str,
) -> anyhow::Result<i64> {
    Ok(conn
        .prepare_cached(
            "SELECT coalesce(max(attempt_no), 0) + 1 FROM call_attempts
             WHERE customer_id = ?1 AND call_type = ?2 AND occasion = ?3",
        )?
        .query_one(params![customer_id, call_type.as_str(), occasion], |row| row.get(0))?)
}

/// Whether this number had the same kind of call through another row: a welcome call ever, or a
/// daily call on this date. Checks the ledger, and the flags and dates of other rows, which may
/// know a call only from an import. Rows that all say that the number is shared do not count.
pub fn same_phone(
    conn: &Connection,
    customer: &Customer,
    phone_key: &str,
    call_type: CallType,
    occasion: &str,
) -> anyhow::Result<bool> {
    if call_type == CallType::Extra {
        return Ok(false);
    }
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM call_attempts AS made
           LEFT JOIN customers AS other ON other.id = made.customer_id
         WHERE made.phone_key = ?1 AND made.call_type = ?2 AND made.occasion = ?3
           AND made.customer_id IS NOT ?4 AND ({MAY_HAVE_RUNG})
           AND NOT (?5 AND coalesce(other.shared_phone, 0)))
         OR EXISTS (SELECT 1 FROM customers AS other
         WHERE other.phone = ?6 AND other.id <> ?4
           AND ((?2 = 'welcome' AND other.welcome_call_completed)
             OR (?2 = 'daily' AND ?3 <= other.last_call_date))
           AND NOT (?5 AND other.shared_phone))"
    );
    let (id, shared, phone) = (customer.id, customer.shared_phone, &customer.phone);
    let told = conn
        .prepare_cached(&sql)?
        .query_one(params![phone_key, call_type.as_str(), occasion, id, shared, phone], |row| {
            row.get(0)
        })?;
    Ok(told || left_numbers::is_called(conn, phone_key, shared, call_type, occasion)?)
}

/// The number or customer whose calls are counted.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// A number by its key, for any customer.
    Number(&'a str),
    /// A customer by id, at any number.
    Customer(i64),
}

impl Whose<'_> {
    fn column(&self) -> &'static str {
        match self {
            Whose::Number(_) => "phone_key",
            Whose::Customer(_) => "customer_id",
        }
    }
}

impl ToSql for Whose<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Whose::Number(phone_key) => phone_key.to_sql(),
            Whose::Customer(id) => id.to_sql(),
        }
    }
}

/// The instant of the latest call that may have rung.
pub fn last_call(conn: &Connection, whose: &Whose<'_>) -> anyhow::Result<Option<Instant>> {
    let sql = format!(
        "SELECT created_at, seq, customer_id FROM call_attempts
         WHERE {} = ?1 AND ({MAY_HAVE_RUNG}) ORDER BY created_at DESC LIMIT 1",
        whose.column()
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query([whose])?;
    quarantine::one(Place::Attempts, rows, |row| cells::instant(row, 0))
}

/// The latest daily call of another date, to this customer or to their number (`None` if it is
/// shared).
pub fn last_other_daily(
    conn: &Connection,
    customer_id: i64,
    phone_key: Option<&str>,
    date: NaiveDate,
    since: Instant,
) -> anyhow::Result<Option<Instant>> {
    let sql = format!(
        "SELECT created_at, seq, customer_id FROM call_attempts
         WHERE ?1 < created_at AND call_type = 'daily' AND occasion <> ?2
           AND (customer_id = ?3 OR phone_key = ?4) AND ({MAY_HAVE_RUNG})
         ORDER BY created_at DESC LIMIT 1"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows =
        statement.query(params![instant_text(since), date.to_string(), customer_id, phone_key])?;
    quarantine::one(Place::Attempts, rows, |row| cells::instant(row, 0))
}

/// The number of calls from `since` on, and the instant of the oldest of them.
pub fn calls_since(
    conn: &Connection,
    whose: &Whose<'_>,
    since: Instant,
) -> anyhow::Result<(i64, Option<Instant>)> {
    let sql = format!(
        "SELECT count(*), min(created_at), seq, customer_id FROM call_attempts
         WHERE {} = ?1 AND ?2 <= created_at AND ({MAY_HAVE_RUNG})",
        whose.column()
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query(params![whose, instant_text(since)])?;
    let counted = quarantine::one(Place::Attempts, rows, |row| {
        Ok((row.get(0)?, cells::optional_instant(row, 1)?))
    })?;
    Ok(counted.unwrap_or_default())
}

/// The number of a customer's extra calls from `since` on.
pub fn extra_calls_since(
    conn: &Connection,
    customer_id: i64,
    since: Instant,
) -> anyhow::Result<i64> {
    let sql = format!(
        "SELECT count(*) FROM call_attempts
         WHERE customer_id = ?1 AND call_type = 'extra' AND ?2 <= created_at AND ({MAY_HAVE_RUNG})"
    );
    Ok(conn
        .prepare_cached(&sql)?
        .query_one(params![customer_id, instant_text(since)], |row| row.get(0))?)
}

/// How many calls used a line at an earlier instant.
pub fn lines_in_use_at(conn: &Connection, at: Instant) -> anyhow::Result<usize> {
    let count: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM call_attempts
             WHERE created_at <= ?1 AND ?2 <= created_at AND state IN ('dialing', 'placed', 'ended')
               AND (ended_at IS NULL OR ?1 < ended_at)",
        )?
        .query_one(params![instant_text(at), instant_text(at - LONGEST_CALL)], |row| row.get(0))?;
    Ok(count as usize)
}

/// Whether a number is on the do-not-call list, in any form that the subscriber's number had.
pub fn do_not_call(conn: &Connection, phone: &str) -> anyhow::Result<bool> {
    let mut listed =
        conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM do_not_call WHERE phone = ?1)")?;
    let mut is_listed = |phone: &str| listed.query_one([phone], |row| row.get::<_, bool>(0));
    if is_listed(phone)? {
        return Ok(true);
    }
    for form in phones::other_forms(phone) {
        if is_listed(&form)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The name of a holiday on a date: one of the country, or one of all countries.
pub fn holiday(
    conn: &Connection,
    country: Option<&str>,
    date: NaiveDate,
) -> anyhow::Result<Option<String>> {
    Ok(conn
        .prepare_cached(
            "SELECT name FROM holidays WHERE date = ?1 AND country IN ('*', ?2) LIMIT 1",
        )?
        .query_one(params![date.to_string(), country], |row| cells::lossy(row, 0))
        .optional()?)
}
