//! Erasure of a person: deletes the row. The ledger keeps that a number was called and when, under
//! a keyed hash. A made call stays a call, so nobody is called again because of an erasure.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use rusqlite::{Connection, Transaction, params};

use crate::domain::customer::Customer;
use crate::domain::{Instant, instant_text};
use crate::store::file::side_files;
use crate::store::meta::{installation, kept_list};
use crate::store::{Store, customers, events, made_elsewhere, queue};

/// The data of a person that was removed from tables that outlive the customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Erased {
    /// Attempts that stay in the ledger, without the number.
    pub attempts: usize,
    /// Deleted webhook events.
    pub events: usize,
}

/// Whether an attempt of the customer is between its intent and its reply.
pub fn is_dialing(conn: &Connection, customer_id: i64) -> anyhow::Result<bool> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM call_attempts
             WHERE customer_id = ?1 AND state = 'dialing')",
        )?
        .query_one([customer_id], |row| row.get(0))?)
}

/// Every open item of the customer.
pub fn open_items(conn: &Connection, customer_id: i64) -> anyhow::Result<Vec<queue::Item>> {
    let sql = format!(
        "SELECT {} FROM call_queue
         WHERE customer_id = ?1
           AND (status = 'pending' OR status = 'retrying' OR status = 'processing') ORDER BY id",
        queue::ITEM_COLUMNS
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([customer_id], queue::item_from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Whether the ledger has an attempt of this customer's occasion, except `not_placed` ones: first
/// at any number, second at their current number.
pub fn is_in_ledger(
    conn: &Connection,
    customer_id: i64,
    phone_key: &str,
    call_type: &str,
    occasion: &str,
) -> anyhow::Result<(bool, bool)> {
    Ok(conn
        .prepare_cached(
            "SELECT count(*) > 0, coalesce(max(phone_key = ?2), 0) FROM call_attempts
             WHERE customer_id = ?1 AND call_type = ?3 AND occasion = ?4
               AND state <> 'not_placed'",
        )?
        .query_one(params![customer_id, phone_key, call_type, occasion], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?)
}

/// Removes the customer's row, and identifying data from every table. The ledger's rows lose their
/// customer, so that a late reply of the provider marks no customer.
pub fn remove(tx: &Transaction<'_>, customer: &Customer, now: Instant) -> anyhow::Result<Erased> {
    let events = tx
        .prepare_cached(
            "DELETE FROM webhook_events WHERE vapi_call_id IN (
               SELECT vapi_call_id FROM call_attempts WHERE customer_id = ?1)",
        )?
        .execute([customer.id])?;
    tx.execute(
        "DELETE FROM call_results WHERE attempt_id IN (
           SELECT id FROM call_attempts WHERE customer_id = ?1)",
        [customer.id],
    )?;
    keep_items_of_live_calls(tx, customer.id)?;
    let attempts = tx
        .prepare_cached(
            "UPDATE call_attempts SET phone = NULL, transcript = NULL, summary = NULL,
               error_message = NULL, customer_id = NULL, updated_at = ?2 WHERE customer_id = ?1",
        )?
        .execute(params![customer.id, instant_text(now)])?;
    let phone_key = installation::installation(tx)?.phone_key(&customer.phone);
    made_elsewhere::erase(tx, &customer.phone, &phone_key)?;
    kept_list::forget(tx)?;
    events::erase(tx, customer.id)?;
    for table in ["call_queue", "call_queue_duplicates"] {
        tx.execute(
            &format!("UPDATE {table} SET error_message = NULL WHERE customer_id = ?1"),
            [customer.id],
        )?;
    }
    tx.execute("DELETE FROM meta WHERE key = 'pause:customer:' || ?1", [&customer.key])?;
    let rows = tx.execute("DELETE FROM customers WHERE id = ?1", [customer.id])?;
    if rows != 1 {
        bail!("customer {} is gone already; nothing was changed", customer.id);
    }
    Ok(Erased { attempts, events })
}

/// A call that another copy of the file made is found by its customer and occasion. Without the
/// customer, only the item says which occasion its end ends.
fn keep_items_of_live_calls(tx: &Transaction<'_>, customer_id: i64) -> anyhow::Result<()> {
    tx.execute(
        "UPDATE call_attempts AS made SET queue_id = (SELECT item.id FROM call_queue AS item
           WHERE item.customer_id = made.customer_id AND item.call_type = made.call_type
             AND item.occasion = made.occasion)
         WHERE customer_id = ?1 AND queue_id IS NULL
           AND (state = 'dialing' OR state = 'in_doubt' OR state = 'placed')",
        [customer_id],
    )?;
    Ok(())
}

/// Whether the journal contains one of these texts. The journal can never be changed, so it must
/// not get personal data.
pub fn journal_mentions(conn: &Connection, texts: &[&str]) -> anyhow::Result<bool> {
    let mut statement = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM journal WHERE instr(lower(coalesce(old, '') || char(10)
           || coalesce(new, '') || char(10) || coalesce(why, '')), lower(?1)))",
    )?;
    for text in texts.iter().filter(|text| !text.is_empty()) {
        if statement.query_one([text], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A sequence number, below all others, for a row of the ledger that was never a call of this file.
/// The next positive number may be taken: by a call that a restored file has not adopted yet.
pub fn number_that_never_travels(tx: &Transaction<'_>) -> anyhow::Result<i64> {
    let sql = "SELECT min(coalesce(min(seq), 0), 0) - 1 FROM call_attempts";
    Ok(tx.query_one(sql, [], |row| row.get(0))?)
}

/// The file of the keys of erased customers, beside the database; it outlives a restored backup.
const SIDE_FILE: &str = ".erased";
/// How long emptying the WAL is retried while other processes use it.
const LONGEST_EMPTYING: std::time::Duration = std::time::Duration::from_secs(4);

/// Notes an erasure in the side file, synced. The key is random and reveals nothing about the
/// person.
pub fn remember(path: &Path, key: &str, now: Instant) -> anyhow::Result<()> {
    let side = side_files::beside(path, SIDE_FILE);
    let noted = || -> anyhow::Result<()> {
        let mut file = side_files::open_beside(path, SIDE_FILE, OpenOptions::new().append(true))?;
        // Start on a new line: the previous one may be cut off.
        file.write_all(format!("\n{}\t{key}\n", instant_text(now)).as_bytes())?;
        Ok(file.sync_all()?)
    };
    noted().with_context(|| format!("write {}", side.display()))
}

/// Customers who were erased and exist again, because an older backup was restored.
pub fn back_again(conn: &Connection, path: &Path) -> anyhow::Result<Vec<Customer>> {
    let side = side_files::beside(path, SIDE_FILE);
    let text = match std::fs::read(&side) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", side.display())),
    };
    let text = String::from_utf8_lossy(&text);
    let keys: BTreeSet<&str> =
        text.lines().filter_map(|line| Some(line.split_once('\t')?.1)).collect();
    let found = keys.into_iter().map(|key| customers::by_key(conn, key));
    Ok(found.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Empties the WAL, which still holds the old pages. `false`: a reader kept it busy all the time,
/// and the next writer that restarts the WAL empties it.
pub fn empty_log(store: &Store) -> anyhow::Result<bool> {
    let begun = crate::clock::elapsed();
    loop {
        let busy: i64 = store.with_writer(|conn| {
            conn.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
                .context("empty the write-ahead log")
        })?;
        if busy == 0 {
            return Ok(true);
        }
        // While SQLite waits for the reader, no connection can write: do not retry for long.
        if LONGEST_EMPTYING <= crate::clock::elapsed().saturating_sub(begun) {
            return Ok(false);
        }
        crate::clock::pause(std::time::Duration::from_millis(100));
    }
}
