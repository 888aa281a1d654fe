//! All SQL about customers.
//!
//! Nothing here clears a flag or moves the date of a made call backward. Only `erase` deletes a
//! customer.

pub mod bulk;
pub mod called_flags;
pub mod census;
pub mod erase;
pub mod left_numbers;
pub mod next_call_missing;
pub mod people;
pub mod rows;
pub mod search;
pub mod source;

use std::sync::LazyLock;

use anyhow::{Context, bail};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::domain::call::daily_occasion;
use crate::domain::customer::name::number_part;
use crate::domain::customer::{CallStatus, Customer};
use crate::domain::{Instant, instant_text};
use crate::phones;
use crate::store::cells;
use crate::store::customers::rows::{COLUMNS, from_row, variables_text};
use crate::store::quarantine::{self, Place};

/// How many candidates a search returns if it cannot decide.
pub const CANDIDATES_MAX: usize = 10;

/// Every payment status, and its number of customers.
pub fn payment_statuses(conn: &Connection) -> anyhow::Result<Vec<(String, i64)>> {
    let mut statement =
        conn.prepare("SELECT payment_status, count(*) FROM customers GROUP BY payment_status")?;
    let found = statement.query_map([], |row| Ok((cells::lossy(row, 0)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Nobody,
    One(Box<Customer>),
    /// More than one, at most ten. The caller must show which word names which customer.
    Several(Vec<Customer>),
}

impl Found {
    pub(super) fn of(mut customers: Vec<Customer>) -> Found {
        customers.sort_by_key(|customer| customer.id);
        customers.dedup_by_key(|customer| customer.id);
        match customers.len() {
            0 => Found::Nobody,
            1 => Found::One(Box::new(customers.remove(0))),
            _ => Found::Several(customers),
        }
    }
}

/// Which customers a list shows. `None` = all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub call_status: Option<CallStatus>,
    pub payment_status: Option<String>,
    /// Part of the name, e-mail or external id, in any case, or the end of the phone number.
    pub text: Option<String>,
}

/// Inserts a new customer and returns its id. Ignores `id` and `key` of the argument: the database
/// assigns both.
pub fn insert(tx: &Transaction<'_>, customer: &Customer) -> anyhow::Result<i64> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO customers (external_id, name, email, phone, phone_validated,
           phone_validation_error, timezone, call_time, call_schedule, payment_status, call_status,
           welcome_call_completed, next_call_scheduled_at, last_call_date, last_call_id,
           total_calls_made, consecutive_failures, variables, shared_phone, consent_at,
           consent_source, consent_text, created_at, updated_at, assistant)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
           ?19, ?20, ?21, ?22, ?23, ?24, ?25)",
    )?;
    statement
        .execute(params![
            customer.external_id,
            customer.name,
            customer.email,
            customer.phone,
            customer.phone_validated,
            customer.phone_validation_error,
            customer.timezone,
            customer.call_time,
            customer.call_schedule,
            customer.payment_status,
            customer.call_status.as_str(),
            customer.welcome_call_completed,
            customer.next_call_scheduled_at.map(instant_text),
            customer.last_call_date.map(daily_occasion),
            customer.last_call_id,
            customer.total_calls_made,
            customer.consecutive_failures,
            variables_text(customer)?,
            customer.shared_phone,
            customer.consent_at.map(instant_text),
            customer.consent_source,
            customer.consent_text,
            instant_text(customer.created_at),
            instant_text(customer.updated_at),
            customer.assistant,
        ])
        .context("insert the customer")?;
    Ok(tx.last_insert_rowid())
}

/// Writes the fields that a person may edit, except the next call; the row must exist. Facts from
/// calls are only added to, even if the argument is older than the row.
pub fn update_fields(
    tx: &Transaction<'_>,
    customer: &Customer,
    now: Instant,
) -> anyhow::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE customers SET external_id = ?2, name = ?3, email = ?4, phone = ?5,
           phone_validated = ?6, phone_validation_error = ?7, timezone = ?8, call_time = ?9,
           call_schedule = ?10, payment_status = ?11, call_status = ?12,
           welcome_call_completed = max(welcome_call_completed, ?13),
           last_call_date = nullif(max(coalesce(last_call_date, ''), coalesce(?14, '')), ''),
           last_call_id = coalesce(last_call_id, ?15),
           total_calls_made = max(total_calls_made, ?16),
           variables = ?17, shared_phone = ?18, consent_at = coalesce(?19, consent_at),
           consent_source = ?20,
           consent_text = ?21, created_at = ?22, updated_at = ?23, assistant = ?24
         WHERE id = ?1",
    )?;
    let rows = statement
        .execute(params![
            customer.id,
            customer.external_id,
            customer.name,
            customer.email,
            customer.phone,
            customer.phone_validated,
            customer.phone_validation_error,
            customer.timezone,
            customer.call_time,
            customer.call_schedule,
            customer.payment_status,
            customer.call_status.as_str(),
            customer.welcome_call_completed,
            customer.last_call_date.map(daily_occasion),
            customer.last_call_id,
            customer.total_calls_made,
            variables_text(customer)?,
            customer.shared_phone,
            customer.consent_at.map(instant_text),
            customer.consent_source,
            customer.consent_text,
            instant_text(customer.created_at),
            instant_text(now),
            customer.assistant,
        ])
        .context("update the customer")?;
    if rows != 1 {
        bail!("customer {} is gone; list the customers and try again", customer.id);
    }
    Ok(())
}

/// Moves the call status out of the state `from`, and resets the failures in a row if calls may
/// continue. `false`: another writer changed it first.
pub fn move_call_status(
    tx: &Transaction<'_>,
    id: i64,
    from: CallStatus,
    to: CallStatus,
    now: Instant,
) -> anyhow::Result<bool> {
    let rows = tx.execute(
        "UPDATE customers SET call_status = ?3, updated_at = ?4,
           consecutive_failures = iif(?3 = 'pending', 0, consecutive_failures)
         WHERE id = ?1 AND call_status = ?2",
        params![id, from.as_str(), to.as_str(), instant_text(now)],
    )?;
    Ok(rows == 1)
}

/// Sets since when dates count as missed. `None`: since the next call was set.
pub fn set_eligible_from(
    tx: &Transaction<'_>,
    id: i64,
    from: Option<Instant>,
) -> anyhow::Result<()> {
    let sql = "UPDATE customers SET eligible_from = ?2 WHERE id = ?1";
    tx.prepare_cached(sql)?.execute(params![id, from.map(instant_text)])?;
    Ok(())
}

/// The customer with this key, which is sent to the provider.
pub fn by_key(conn: &Connection, key: &str) -> anyhow::Result<Option<Customer>> {
    let sql = "SELECT id FROM customers WHERE key = ?1";
    let id: Option<i64> =
        conn.prepare_cached(sql)?.query_one([key], |row| row.get(0)).optional()?;
    id.map_or(Ok(None), |id| by_id(conn, id))
}

pub fn by_id(conn: &Connection, id: i64) -> anyhow::Result<Option<Customer>> {
    Ok(select(conn, "id = ?1", params![id], 1)?.pop())
}

pub fn by_external_id(conn: &Connection, id: &str) -> anyhow::Result<Option<Customer>> {
    Ok(select(conn, "external_id = ?1", params![id], 1)?.pop())
}

/// The id behind a stable key.
pub fn id_of_key(conn: &Connection, key: &str) -> anyhow::Result<Option<i64>> {
    let mut statement = conn.prepare_cached("SELECT id FROM customers WHERE key = ?1")?;
    Ok(statement.query_one([key], |row| row.get(0)).optional()?)
}

/// The stable key of an id.
pub fn key_of_id(conn: &Connection, id: i64) -> anyhow::Result<Option<String>> {
    let mut statement = conn.prepare_cached("SELECT key FROM customers WHERE id = ?1")?;
    Ok(statement.query_one([id], |row| row.get(0)).optional()?)
}

/// Customers after the id `after`, in the order of ids, at most `limit`. Omits rows that cannot be
/// read. Empty only at the end.
pub fn list(
    conn: &Connection,
    filter: &Filter,
    limit: usize,
    after: i64,
) -> anyhow::Result<Vec<Customer>> {
    let text = filter.text.as_deref().map(str::trim);
    let part = text.map(str::to_lowercase);
    let number = text.and_then(|text| number_part(&phones::with_plain_digits(text)));
    let (head, tail) = number.map(|number| (number.head, number.tail)).unzip();
    let sql = format!(
        "SELECT {} FROM customers WHERE
         id > ?1 AND (?2 IS NULL OR ({SHOWN_STATUS}) = ?2) AND (?3 IS NULL OR payment_status = ?3)
         AND (?4 IS NULL OR instr(lower(name), ?4) OR instr(lower(coalesce(email, '')), ?4)
              OR instr(lower(coalesce(external_id, '')), ?4) OR instr(name, ?5)
              OR (substr(phone, -length(?7)) = ?7 AND substr(phone, 1, length(?6)) = ?6))
         ORDER BY id LIMIT ?8",
        shown_columns()
    );
    let status = filter.call_status.map(CallStatus::as_str);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut after = after;
    loop {
        let mut statement = conn.prepare_cached(&sql)?;
        let rows = statement.query(params![
            after,
            status,
            filter.payment_status,
            part,
            text,
            head,
            tail,
            limit
        ])?;
        let mut last = None;
        let found = quarantine::listed(Place::Customers, rows, |row| {
            last = Some(row.get(0)?);
            from_row(row)
        })?;
        match last {
            Some(last) if found.is_empty() => after = last,
            _ => return Ok(found),
        }
    }
}

/// The existing customer that a row of a file means: by external id, else by e-mail, else by phone.
///
/// A row with an external id also matches a customer with the same e-mail and no external id. A row
/// with any key matches a customer with the same phone and no key at all. A row never matches a
/// customer with a different key, because couples share phones and addresses.
pub fn matching(
    conn: &Connection,
    external_id: Option<&str>,
    email: Option<&str>,
    phone: &str,
) -> anyhow::Result<Found> {
    let email = email.map(str::to_lowercase);
    if !may_match(conn, (external_id, email.as_deref(), phone))? {
        return Ok(Found::Nobody);
    }
    if let Some(external_id) = external_id {
        let same = select(conn, "external_id = ?1", params![external_id], 1)?;
        if !same.is_empty() {
            return Ok(Found::of(same));
        }
    }
    if let Some(email) = &email {
        let same = select(
            conn,
            "email IS NOT NULL AND lower(email) = ?1 AND (?2 IS NULL OR external_id IS NULL)",
            params![email, external_id],
            CANDIDATES_MAX,
        )?;
        if !same.is_empty() {
            return Ok(Found::of(same));
        }
    }
    let has_key = external_id.is_some() || email.is_some();
    Ok(Found::of(select(
        conn,
        "phone = ?1 AND (NOT ?2 OR (external_id IS NULL AND email IS NULL))",
        params![phone, has_key],
        CANDIDATES_MAX,
    )?))
}

/// Whether a customer has one of these keys. Most rows of a file are of new customers, and one
/// question is enough for them.
fn may_match(conn: &Connection, keys: (Option<&str>, Option<&str>, &str)) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM customers WHERE external_id = ?1)
        OR EXISTS (SELECT 1 FROM customers WHERE email IS NOT NULL AND lower(email) = ?2)
        OR EXISTS (SELECT 1 FROM customers WHERE phone = ?3)";
    Ok(conn.prepare_cached(sql)?.query_one(keys, |row| row.get(0))?)
}

/// The other customers with this number, by id, at most ten. If `customer` says that the number is
/// shared, omits those that say so too.
pub fn with_same_phone(conn: &Connection, customer: &Customer) -> anyhow::Result<Vec<i64>> {
    let sql = format!(
        "SELECT id FROM customers
         WHERE phone = ?1 AND id <> ?2 AND NOT (?3 AND shared_phone) ORDER BY id
         LIMIT {CANDIDATES_MAX}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let shared = customer.shared_phone;
    let found =
        statement.query_map(params![customer.phone, customer.id, shared], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Whether the customer is there, also if the row cannot be read.
pub fn exists(conn: &Connection, id: i64) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM customers WHERE id = ?1)";
    Ok(conn.prepare_cached(sql)?.query_one([id], |row| row.get(0))?)
}

/// Whether the database has no customers yet.
pub fn is_empty(conn: &Connection) -> anyhow::Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM customers)";
    Ok(conn.query_one(sql, [], |row| row.get(0))?)
}

/// Gives each customer whose calls nobody stopped to `take`, by id.
pub fn each_not_stopped(
    conn: &Connection,
    take: &mut dyn FnMut(i64) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let sql = format!(
        "SELECT id FROM customers WHERE {SHOWN_STATUS} NOT IN ('paused', 'disabled') ORDER BY id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row.get(0)?)?;
    }
    Ok(())
}

/// The call status as everybody reads it: the pause of a customer is `paused`, whoever set it. A
/// disabled customer stays disabled.
const SHOWN_STATUS: &str = "CASE WHEN call_status <> 'disabled' AND EXISTS (SELECT 1 FROM meta
    WHERE meta.key = 'pause:customer:' || customers.key) THEN 'paused' ELSE call_status END";

fn shown_columns() -> &'static str {
    static SHOWN: LazyLock<String> = LazyLock::new(|| COLUMNS.replace("call_status", SHOWN_STATUS));
    &SHOWN
}

/// How many customers are paused.
pub fn count_paused(conn: &Connection) -> anyhow::Result<i64> {
    let sql = format!("SELECT count(*) FROM customers WHERE {SHOWN_STATUS} = 'paused'");
    Ok(conn.prepare_cached(&sql)?.query_one([], |row| row.get(0))?)
}

/// Fails on a row that cannot be read: an import must not add a second row for the same person.
/// `condition` is a text of this folder, never input of a person.
pub(super) fn select(
    conn: &Connection,
    condition: &str,
    values: &[&dyn rusqlite::ToSql],
    limit: usize,
) -> anyhow::Result<Vec<Customer>> {
    let columns = shown_columns();
    let sql =
        format!("SELECT {columns} FROM customers WHERE {condition} ORDER BY id LIMIT {limit}");
    let mut statement = conn.prepare_cached(&sql)?;
    quarantine::every(Place::Customers, statement.query(values)?, from_row)
}
