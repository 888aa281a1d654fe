//! Inserts the many new customers of a file.

use anyhow::Context;
use rusqlite::{CachedStatement, Transaction, params};

use crate::domain::call::daily_occasion;
use crate::domain::customer::Customer;
use crate::domain::{Instant, instant_text};
use crate::store::customers::rows::variables_text;

/// `OR ROLLBACK`: a refused row ends the whole transaction. Otherwise, because of the triggers, each
/// statement would copy the pages that it changes, so that it could be undone alone.
const SQL: &str = "INSERT OR ROLLBACK INTO customers (external_id, name, email, phone,
   phone_validated, phone_validation_error, timezone, call_time, call_schedule, payment_status,
   call_status, welcome_call_completed, next_call_scheduled_at, last_call_date, last_call_id,
   total_calls_made, consecutive_failures, variables, shared_phone, consent_at, consent_source,
   consent_text, created_at, updated_at, assistant, key)
 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
   ?20, ?21, ?22, ?23, ?24, ?25, ?26 || lower(hex(randomblob(6))))";

pub struct Inserter<'t> {
    tx: &'t Transaction<'t>,
    statement: CachedStatement<'t>,
    milliseconds: u64,
    rows: u64,
}

impl<'t> Inserter<'t> {
    pub fn new(tx: &'t Transaction<'t>, now: Instant) -> anyhow::Result<Inserter<'t>> {
        let milliseconds = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        Ok(Inserter { tx, statement: tx.prepare_cached(SQL)?, milliseconds, rows: 0 })
    }

    /// Inserts a new customer and returns its id. Ignores `id` and `key` of the argument. After an
    /// error, the transaction is undone.
    pub fn insert(&mut self, customer: &Customer) -> anyhow::Result<i64> {
        let key = self.next_key();
        self.statement
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
                key,
            ])
            .context("insert the customer")?;
        Ok(self.tx.last_insert_rowid())
    }

    /// The first part of a UUIDv7: the time, and the count of the row. The last 48 bits are random.
    /// Keys in ascending order change few pages of their index, random keys change all.
    fn next_key(&mut self) -> String {
        let (time, row) = (self.milliseconds, self.rows);
        self.rows += 1;
        // The time goes on by one when the 26 bits of the count are used up.
        let time = time + (row >> 26);
        let (high, low) = (row >> 14 & 0xFFF, row & 0x3FFF);
        format!("{:08x}-{:04x}-7{high:03x}-{:04x}-", time >> 16, time & 0xFFFF, 0x8000 | low)
    }
}
