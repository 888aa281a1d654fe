//! Inserts the many new customers of a file.

use anyhow::Context;
use rusqlite::{Statement, ToSql, Transaction};

use crate::domain::call::daily_occasion;
use crate::domain::customer::Customer;
use crate::domain::{Instant, instant_text};
use crate::store::customers::rows::variables_text;
use crate::store::journal::facts::Ids;

/// The rows of one statement. SQLite can undo each statement alone, because the table has triggers:
/// it copies every page that the statement changes. More rows share these copies.
const AT_ONCE: usize = 32;

const COLUMNS: [&str; 26] = [
    "external_id",
    "name",
    "email",
    "phone",
    "phone_validated",
    "phone_validation_error",
    "timezone",
    "call_time",
    "call_schedule",
    "payment_status",
    "call_status",
    "welcome_call_completed",
    "next_call_scheduled_at",
    "last_call_date",
    "last_call_id",
    "total_calls_made",
    "consecutive_failures",
    "variables",
    "shared_phone",
    "consent_at",
    "consent_source",
    "consent_text",
    "created_at",
    "updated_at",
    "assistant",
    "key",
];

/// Runs `work`, a large import, with a larger page cache, then restores the usual one. With the
/// usual cache, index pages are written out and read back all the time.
pub fn with_room<T>(
    tx: &Transaction<'_>,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    /// The larger cache: 12 MiB. SQLite reads a negative value as KiB. An import of 20,000 rows
    /// fills it too, so memory stays the same for any length.
    const ROOM: i64 = -12_288;
    let usual: i64 = tx.pragma_query_value(None, "cache_size", |row| row.get(0))?;
    tx.pragma_update(None, "cache_size", ROOM)?;
    let done = work();
    tx.pragma_update(None, "cache_size", usual)?;
    done
}

/// Collects customers, and inserts several of them at once.
pub struct Inserter<'t> {
    tx: &'t Transaction<'t>,
    many: Statement<'t>,
    waiting: Vec<Waiting>,
    keys: Keys,
    due: Ids,
}

struct Waiting {
    customer: Box<Customer>,
    is_due: bool,
}

impl<'t> Inserter<'t> {
    pub fn new(tx: &'t Transaction<'t>, now: Instant) -> anyhow::Result<Inserter<'t>> {
        let many = tx.prepare(&sql(AT_ONCE))?;
        let milliseconds = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let keys = Keys { milliseconds, rows: 0 };
        Ok(Inserter { tx, many, waiting: Vec::new(), keys, due: Ids::default() })
    }

    /// Takes a new customer. Ignores `id` and `key` of the argument. The row is there after
    /// `finish`, or earlier. `is_due`: the daily calls fall due from now on.
    pub fn add(&mut self, customer: Box<Customer>, is_due: bool) -> anyhow::Result<()> {
        self.waiting.push(Waiting { customer, is_due });
        if self.waiting.len() < AT_ONCE {
            return Ok(());
        }
        insert(&mut self.many, &self.waiting, &mut self.keys)?;
        self.note_due();
        Ok(())
    }

    /// Inserts the rows that still wait. Returns the ids of all customers whose calls are due.
    pub fn finish(mut self) -> anyhow::Result<Ids> {
        if !self.waiting.is_empty() {
            let mut last = self.tx.prepare(&sql(self.waiting.len()))?;
            insert(&mut last, &self.waiting, &mut self.keys)?;
            self.note_due();
        }
        Ok(self.due)
    }

    /// The rows of one statement get ids in a row, in their order.
    fn note_due(&mut self) {
        let next = self.tx.last_insert_rowid() + 1;
        let first = next - self.waiting.len() as i64;
        for (id, row) in (first..).zip(self.waiting.drain(..)) {
            if row.is_due {
                self.due.add(id);
            }
        }
    }
}

fn sql(rows: usize) -> String {
    let row = format!("({}? || lower(hex(randomblob(6))))", "?, ".repeat(COLUMNS.len() - 1));
    let rows = vec![row; rows].join(", ");
    format!("INSERT INTO customers ({}) VALUES {rows}", COLUMNS.join(", "))
}

fn insert(statement: &mut Statement<'_>, rows: &[Waiting], keys: &mut Keys) -> anyhow::Result<()> {
    for (row, Waiting { customer, .. }) in rows.iter().enumerate() {
        let values: [&dyn ToSql; COLUMNS.len()] = [
            &customer.external_id,
            &customer.name,
            &customer.email,
            &customer.phone,
            &customer.phone_validated,
            &customer.phone_validation_error,
            &customer.timezone,
            &customer.call_time,
            &customer.call_schedule,
            &customer.payment_status,
            &customer.call_status.as_str(),
            &customer.welcome_call_completed,
            &customer.next_call_scheduled_at.map(instant_text),
            &customer.last_call_date.map(daily_occasion),
            &customer.last_call_id,
            &customer.total_calls_made,
            &customer.consecutive_failures,
            &variables_text(customer)?,
            &customer.shared_phone,
            &customer.consent_at.map(instant_text),
            &customer.consent_source,
            &customer.consent_text,
            &instant_text(customer.created_at),
            &instant_text(customer.updated_at),
            &customer.assistant,
            &keys.next(),
        ];
        for (index, value) in values.iter().enumerate() {
            statement.raw_bind_parameter(row * COLUMNS.len() + index + 1, value)?;
        }
    }
    statement.raw_execute().context("insert the customers")?;
    Ok(())
}

/// Makes keys in ascending order. These change few pages of their index, random keys change all.
struct Keys {
    milliseconds: u64,
    rows: u64,
}

impl Keys {
    /// The first part of a UUIDv7: the time, and the count of the row. The last 48 bits are random.
    fn next(&mut self) -> String {
        let row = self.rows;
        self.rows += 1;
        // The time goes on by one when the 26 bits of the count are used up.
        let time = self.milliseconds + (row >> 26);
        let (high, low) = (row >> 14 & 0xFFF, row & 0x3FFF);
        format!("{:08x}-{:04x}-7{high:03x}-{:04x}-", time >> 16, time & 0xFFFF, 0x8000 | low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::customer::entry::{CustomerEntry, EntryPhone};
    use crate::store::{Store, customers};

    fn customer(number: usize, now: Instant) -> Box<Customer> {
        let e164 = format!("+4420794600{number:02}");
        let entry = CustomerEntry {
            external_id: Some(format!("row-{number}")),
            phone: Some(EntryPhone { e164, valid: true, error: None }),
            timezone: Some("Europe/London".to_string()),
            ..CustomerEntry::default()
        };
        Box::new(entry.new_customer(now).unwrap())
    }

    #[test]
    fn many_customers_get_ids_in_their_order_and_keys_that_are_uuids() {
        let now = Instant::from_timestamp(1_800_000_000, 0).unwrap();
        let store = Store::in_memory(now).unwrap();
        let rows = 2 * AT_ONCE + 5;
        let due = store
            .write(|tx| {
                let mut inserter = Inserter::new(tx, now)?;
                for number in 0..rows {
                    inserter.add(customer(number, now), number % 3 == 0)?;
                }
                inserter.finish()
            })
            .unwrap();
        let mut last = String::new();
        for number in 0..rows {
            let id = number as i64 + 1;
            let stored = store.read(|conn| customers::by_id(conn, id)).unwrap().unwrap();
            let Customer { key, .. } = &stored;
            assert_eq!(uuid::Uuid::parse_str(key).unwrap().get_version_num(), 7, "{key}");
            assert!(last < *key, "{last} {key}");
            last.clone_from(key);
            let expected = Customer { id, key: last.clone(), ..*customer(number, now) };
            assert_eq!(stored, expected);
            assert_eq!(due.contains(id), number % 3 == 0, "{id}");
        }
    }

    #[test]
    fn keys_stay_unique_and_ascending_when_the_count_is_used_up() {
        let mut keys = Keys { milliseconds: 1_800_000_000_000, rows: (1 << 26) - 1 };
        let [one, other] = [keys.next(), keys.next()];
        assert!(one < other && one.len() == 24, "{one} {other}");
    }
}
