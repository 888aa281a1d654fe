//! What rows that cannot be read mean for calls: whom they concern, and what people are told.

use std::collections::BTreeMap;

use crate::domain::customer::Customer;
use crate::phones;
use crate::steps::Context;
use crate::store::quarantine::{self, OddRow, Place, sweep};
use crate::store::{Conn, Store, Tx, do_not_call};

/// At most this many rows of a long table are checked at each scan: a few hundredths of a second.
const ROWS_A_SCAN: i64 = 10_000;
/// At most this many stored rows are checked before a claim.
const ROWS_A_CLAIM: usize = 100;
/// At most this many rows are named; the rest are counted.
const NAMED: usize = 5;

/// The row that forbids calls to this customer, in words. It belongs to the customer, or it is a
/// do-not-call entry that may name the customer's number.
pub fn concerning(conn: &Conn, customer: &Customer) -> anyhow::Result<Option<String>> {
    if let Some(row) = quarantine::concerning(conn, customer.id)? {
        return Ok(Some(row.words()));
    }
    if !quarantine::is_any_of(conn, Place::DoNotCall)? {
        return Ok(None);
    }
    let texts = do_not_call::odd_texts(conn)?;
    let is_meant = |text: &String| phones::may_have_rung(Some(text), &customer.phone);
    Ok(texts.iter().any(is_meant).then(|| {
        "a do-not-call entry that is not written as + and digits may name this number".to_string()
    }))
}

/// Checks the next rows of every table, so that also a row that no scan finds is named. Reads
/// nothing if every row was read since another program wrote. Releases rows that were corrected.
pub fn check_next_rows(cx: &Context) -> anyhow::Result<()> {
    let positions = cx.store.read(sweep::positions)?;
    let next = next_positions(cx, positions)?;
    let is_news = cx.store.has_unwritten_odd_rows();
    if next == positions && !is_news && cx.store.read(quarantine::count)? == 0 {
        return Ok(());
    }
    cx.store.write(|tx| {
        sweep::set_positions(tx, next)?;
        sweep::release_corrected(tx, usize::MAX)
    })
}

fn next_positions(cx: &Context, positions: [i64; 4]) -> anyhow::Result<[i64; 4]> {
    // Loaded before the rows are read, so that a write in between begins the rounds again.
    let data_version = cx.store.data_version()?;
    let mut rounds = cx.store.sweep_rounds();
    rounds.begin_if_changed(data_version, positions);
    if rounds.are_over() {
        return Ok(positions);
    }
    let next = cx.store.read(|conn| sweep::next_part(conn, positions, ROWS_A_SCAN))?;
    rounds.note(next);
    Ok(next)
}

/// Releases rows that were corrected since the last scan.
pub fn release_corrected(tx: &Tx<'_>) -> anyhow::Result<()> {
    sweep::release_corrected(tx, ROWS_A_CLAIM)
}

/// The rows that cannot be read: those that dialing processes stored, and those that a look at the
/// next rows finds now. `store` may be read-only.
pub fn found(store: &Store, conn: &Conn) -> anyhow::Result<Vec<OddRow>> {
    sweep::next_part(conn, sweep::positions(conn)?, ROWS_A_SCAN)?;
    together(store, conn)
}

/// The same after a look at every row.
pub fn all(store: &Store, conn: &Conn) -> anyhow::Result<Vec<OddRow>> {
    sweep::whole(conn)?;
    together(store, conn)
}

fn together(store: &Store, conn: &Conn) -> anyhow::Result<Vec<OddRow>> {
    let stored = quarantine::stored(conn, usize::MAX)?;
    let mut rows: BTreeMap<(String, String), OddRow> = BTreeMap::new();
    for row in stored.into_iter().chain(store.odd_rows()) {
        rows.entry((row.place.clone(), row.row.clone())).or_insert(row);
    }
    Ok(rows.into_values().collect())
}

/// Why health is red: one line for all rows. `None`: every row can be read.
pub fn reason(cx: &Context) -> anyhow::Result<Option<String>> {
    cx.store.read(|conn| Ok(told(&quarantine::stored(conn, usize::MAX)?, stops_all(conn)?)))
}

/// Whether a do-not-call entry may name any number, so that nobody is called.
pub fn stops_all(conn: &Conn) -> anyhow::Result<bool> {
    if !quarantine::is_any_of(conn, Place::DoNotCall)? {
        return Ok(false);
    }
    let texts = do_not_call::odd_texts(conn)?;
    Ok(texts.iter().any(|text| phones::end_of_told(Some(text)).is_none()))
}

/// All rows in one line. `None`: there is none.
pub fn told(rows: &[OddRow], stops_all: bool) -> Option<String> {
    let (cannot, concern) = match rows.len() {
        0 => return None,
        1 => ("1 row cannot be read".to_string(), "whom it concerns"),
        many => (format!("{many} rows cannot be read"), "whom they concern"),
    };
    let named: Vec<String> = rows.iter().take(NAMED).map(|row| row.words()).collect();
    let more = if NAMED < rows.len() { "; …" } else { "" };
    let whom = match stops_all {
        true => "nobody at all is called, because a do-not-call entry may name any number",
        false => &format!("nobody {concern} is called"),
    };
    Some(format!(
        "{cannot}, and {whom}: {}{more}; `ringonce check` shows how to correct \
         it",
        named.join("; ")
    ))
}

/// How to correct a row: the command that shows it, and the one that writes its column again.
pub fn how_to_correct(row: &OddRow, database: &std::path::Path) -> String {
    let column = row.why.split(' ').next().unwrap_or_default();
    let (table, file) = (&row.place, database.display());
    let (key, value) = match row.place.as_str() {
        "do_not_call" => ("rowid", row.row.clone()),
        "call_attempts" => ("seq", row.row.clone()),
        "meta" => ("key", format!("'{}'", row.row)),
        "calls_elsewhere" => ("vapi_call_id", format!("'{}'", row.row)),
        _ => ("id", row.row.clone()),
    };
    format!(
        "write it again with the program that wrote it, or run `sqlite3 {file} \"UPDATE {table} SET \
         {column} = '…' WHERE {key} = {value}\"`"
    )
}
