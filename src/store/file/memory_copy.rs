//! Copies of the database in memory, for simulations: the real statements run on the copy, and the
//! file is only read.

pub mod rewind;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, Params, params};

use crate::domain::customer::Customer;
use crate::domain::{Instant, instant_text};
use crate::phones;
use crate::store::do_not_call::{self, forms};
use crate::store::file::connections::configure_common;
use crate::store::{Store, events, made_elsewhere, migrations};

/// Pages copied between two checks of the source's lock.
const PAGES_A_STEP: i32 = 4096;

/// The whole database as it is now.
pub fn whole(store: &Store) -> anyhow::Result<Store> {
    let mut copy = Connection::open_in_memory()?;
    store.with_writer(|conn| {
        let backup = rusqlite::backup::Backup::new(conn, &mut copy)?;
        Ok(backup.run_to_completion(PAGES_A_STEP, std::time::Duration::ZERO, None)?)
    })?;
    configure_common(&copy)?;
    let tx = copy.transaction()?;
    migrations::upgrade(&tx)?;
    events::want(&tx, None)?;
    tx.commit()?;
    Ok(Store::over(copy))
}

/// One customer's part of the database: everything that decides about their calls, and the rows
/// that share their number or once had it.
pub fn of_customer(
    conn: &Connection,
    customer: &Customer,
    phone_key: &str,
    now: Instant,
) -> anyhow::Result<Store> {
    copy_of(conn, customer, phone_key, (now, None))
}

/// The same just before the customer was called at `until`: without later calls, and with calls of
/// others at that instant. The other rows are as they are now.
pub fn of_customer_until(
    conn: &Connection,
    customer: &Customer,
    phone_key: &str,
    until: Instant,
) -> anyhow::Result<Store> {
    copy_of(conn, customer, phone_key, (until, Some(instant_text(until))))
}

fn copy_of(
    conn: &Connection,
    customer: &Customer,
    phone_key: &str,
    (now, until): (Instant, Option<String>),
) -> anyhow::Result<Store> {
    let copy = Store::in_memory(now)?;
    copy.write(|tx| {
        tx.execute("DELETE FROM meta", [])?;
        // The copy takes what the file has, also rows that the file would refuse today.
        tx.pragma_update(None, "ignore_check_constraints", true)?;
        tx.execute("DROP TRIGGER do_not_call_phone_as_inserted", [])?;
        // Facts about other numbers do not affect this customer.
        let known = "SELECT * FROM meta WHERE key NOT LIKE 'called:%' OR key LIKE '%:' || ?1";
        rows(conn, tx, known, "meta", [phone_key])?;
        events::want(tx, None)?;
        rows(conn, tx, "SELECT * FROM holidays", "holidays", [])?;
        rows(conn, tx, "SELECT * FROM quarantine", "quarantine", [])?;
        let listed = "SELECT * FROM do_not_call WHERE phone = ?1";
        for phone in forms(&customer.phone) {
            rows(conn, tx, listed, "do_not_call", [&phone])?;
        }
        let events = "SELECT * FROM webhook_events WHERE applied_at IS NULL AND id IN (
            SELECT CAST(row AS INTEGER) FROM quarantine WHERE place = 'webhook_events')";
        rows(conn, tx, events, "webhook_events", [])?;
        let odd = format!("SELECT * FROM do_not_call WHERE {}", do_not_call::ODD);
        rows(conn, tx, &odd, "do_not_call", [])?;
        let people = "SELECT * FROM customers WHERE id = ?1 OR phone = ?2 OR id IN (
            SELECT customer_id FROM call_attempts WHERE phone_key = ?3)";
        rows(conn, tx, people, "customers", params![customer.id, customer.phone, phone_key])?;
        let items = "SELECT * FROM call_queue WHERE customer_id IN (
            SELECT id FROM customers WHERE id = ?1 OR phone = ?2)";
        rows(conn, tx, items, "call_queue", params![customer.id, customer.phone])?;
        let attempts = "SELECT * FROM call_attempts WHERE (phone_key = ?3 OR customer_id IN (
            SELECT id FROM customers WHERE id = ?1 OR phone = ?2))
            AND (?4 IS NULL OR created_at < ?4 OR (created_at = ?4 AND customer_id IS NOT ?1))";
        let values = params![customer.id, customer.phone, phone_key, until];
        rows(conn, tx, attempts, "call_attempts", values)?;
        let calls = format!("SELECT * FROM calls_elsewhere WHERE {}", made_elsewhere::MAY_NAME);
        let ending = phones::end_of_phone(&customer.phone);
        rows(conn, tx, &calls, "calls_elsewhere", [ending])
    })?;
    Ok(copy)
}

/// Copies rows by column name. `sql` and `table` are constants of this file, never input of a
/// person.
fn rows(
    from: &Connection,
    to: &Connection,
    sql: &str,
    table: &str,
    values: impl Params,
) -> anyhow::Result<()> {
    let mut read = from.prepare_cached(sql)?;
    let columns: Vec<String> = read.column_names().iter().map(|name| name.to_string()).collect();
    let places: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
    let mut write = to.prepare_cached(&format!(
        "INSERT INTO {table} ({}) VALUES ({})",
        columns.join(", "),
        places.join(", ")
    ))?;
    let mut found = read.query(values)?;
    while let Some(row) = found.next()? {
        // The bytes as they are: another program may have written text that is not UTF-8.
        let cells = (0..columns.len()).map(|i| row.get_ref(i).map(ToSqlOutput::Borrowed));
        write.execute(rusqlite::params_from_iter(cells.collect::<Result<Vec<_>, _>>()?))?;
    }
    Ok(())
}
