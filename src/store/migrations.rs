//! Creates and migrates a database: schema, version and identity. `schema.sql` is the current
//! schema.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::LazyLock;

use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use crate::domain::Instant;
use crate::store::attempts::{changes, results};
use crate::store::error::StoreError;
use crate::store::file::lost_database;
use crate::store::journal::facts;
use crate::store::meta::installation;
use crate::store::queue::dedupe;

/// "RING" in the header of the file, shown by `file`.
const APPLICATION_ID: i64 = 0x5249_4E47;
/// The schema version that this program writes. A newer file is refused, an older one migrated.
pub const SCHEMA_VERSION: i64 = 4;

/// The first version that stores facts beside the journal's texts.
const WITH_FACTS: i64 = 3;
/// The first version with results and numbered changes.
const WITH_RESULTS: i64 = 4;

const SCHEMA: &str = include_str!("../../schema.sql");
/// The statements of `SCHEMA`, because every opening of a file asks for them.
static STATEMENTS: LazyLock<Vec<&str>> = LazyLock::new(|| statements(SCHEMA));

/// Each version, and the tables and indexes that it added.
const ADDED: [(i64, &[&str]); 3] = [
    (2, &["calls_elsewhere", "calls_elsewhere_by_number"]),
    (3, &["journal_facts", "journal_facts_refuse_update", "journal_facts_refuse_delete"]),
    (
        4,
        &[
            "customers_by_status_and_time",
            "customers_paused",
            "customers_by_assistant",
            "quarantine",
            "quarantine_by_customer",
            "call_attempts_closed",
            "kept_list",
            "unlisted_calls",
            "call_results",
            "call_results_by_age",
            "attempt_changes",
            "attempt_changes_as_inserted",
            "attempt_changes_as_updated",
            "result_changes_as_inserted",
            "result_changes_as_updated",
            "tokens",
            "events",
            "events_waiting",
            "events_given_up",
            "events_delivered",
            "events_by_customer",
            "events_by_item",
            "events_by_attempt",
        ],
    ),
];

/// Each version, and the columns that it added: the table, the name and the type.
const ADDED_COLUMNS: [(i64, &str, &str, &str); 2] =
    [(4, "customers", "assistant", "TEXT"), (4, "customers", "source_as_of", "TEXT")];

/// Creates or migrates in one transaction, then makes sure that every guard exists.
///
/// Takes the write lock only if something must be written. Otherwise every command that opens a
/// file beside a dialer would compete for the lock. SQLite gives the lock to the process that asks
/// at the right moment: beside many short writes with slow syncs, some processes never get it.
pub fn migrate(conn: &mut Connection, path: &Path, now: Instant) -> anyhow::Result<()> {
    if is_current(conn, path)? {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (application_id, version) = read_header(&tx)?;
    if application_id == 0 && version == 0 && is_empty(&tx)? {
        tx.execute_batch(SCHEMA).context("create the schema")?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        installation::create_installation(&tx, path, now)?;
        lost_database::note(&tx, path)?;
    } else {
        check_header(application_id, version, path)?;
        upgrade(&tx)?;
        restore_guards(&tx, now)?;
    }
    tx.commit().context("commit the schema")?;
    Ok(())
}

fn is_current(conn: &Connection, path: &Path) -> anyhow::Result<bool> {
    let (application_id, version) = read_header(conn)?;
    if application_id == 0 && version == 0 {
        return Ok(false);
    }
    check_header(application_id, version, path)?;
    Ok(version == SCHEMA_VERSION && missing_guards(conn)?.is_empty())
}

/// Migrates a file of an older version to the current schema. Only the words of calls move, from
/// the ledger into their own table.
pub fn upgrade(tx: &Transaction<'_>) -> anyhow::Result<()> {
    let (_, version) = read_header(tx)?;
    for (table, column, kind) in missing_columns(tx, version)? {
        tx.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"))
            .with_context(|| format!("add {table}.{column}"))?;
    }
    for (name, statement) in added_since(version) {
        if !is_there(tx, name)? {
            tx.execute_batch(statement).with_context(|| format!("create {name}"))?;
        }
    }
    if version < WITH_FACTS {
        facts::of_old_entries(tx)?;
    }
    if version < WITH_RESULTS {
        results::move_from_ledger(tx)?;
        changes::number_all(tx)?;
    }
    if version < SCHEMA_VERSION {
        tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        log::info!("the database was brought from schema {version} to {SCHEMA_VERSION}");
    }
    Ok(())
}

/// Gives a read-only connection to an older file the tables and columns that the file lacks. They
/// are in memory, so that every query works. The file does not change.
pub fn ready_to_read(conn: &Connection, path: &Path) -> anyhow::Result<()> {
    check_readable(conn, path)?;
    let (_, version) = read_header(conn)?;
    if SCHEMA_VERSION <= version {
        return Ok(());
    }
    conn.execute_batch("PRAGMA query_only = 0; PRAGMA temp_store = MEMORY")?;
    let missing = missing_columns(conn, version)?;
    let tables: BTreeSet<&str> = missing.iter().map(|(table, ..)| *table).collect();
    for table in tables {
        let empty = missing.iter().filter(|(of, ..)| *of == table);
        let empty: String = empty.map(|(_, column, _)| format!(", NULL AS {column}")).collect();
        // A temporary view goes before the table of the same name.
        let view = format!("CREATE TEMP VIEW {table} AS SELECT *{empty} FROM main.{table}");
        conn.execute_batch(&view).with_context(|| format!("do without columns of {table}"))?;
    }
    for (name, statement) in added_since(version) {
        let temporary = statement.replace("CREATE TABLE ", "CREATE TEMP TABLE ");
        if temporary != statement {
            conn.execute_batch(&temporary).with_context(|| format!("do without {name}"))?;
        }
    }
    if version < WITH_FACTS
        && let Err(error) = facts::of_old_entries(conn)
    {
        log::warn!("the audit may report too much, because the journal is unreadable: {error:#}");
    }
    conn.execute_batch("PRAGMA query_only = 1")?;
    Ok(())
}

/// The statements of the current schema that an older version lacks, in the order of `schema.sql`.
fn added_since(version: i64) -> Vec<(&'static str, &'static str)> {
    let later = ADDED.into_iter().filter(|(added, _)| version < *added);
    let names: Vec<&str> = later.flat_map(|(_, names)| names.iter().copied()).collect();
    let named = |statement| name_in(statement).filter(|name| names.contains(name));
    STATEMENTS.iter().filter_map(|text| Some((named(text)?, *text))).collect()
}

/// The columns of the current schema that an older file lacks.
fn missing_columns(
    conn: &Connection,
    version: i64,
) -> anyhow::Result<Vec<(&'static str, &'static str, &'static str)>> {
    let mut there = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1, 'main') WHERE name = ?2)",
    )?;
    let mut missing = Vec::new();
    for (_, table, column, kind) in ADDED_COLUMNS.iter().filter(|(added, ..)| version < *added) {
        if !there.query_one([table, column], |row| row.get::<_, bool>(0))? {
            missing.push((*table, *column, *kind));
        }
    }
    Ok(missing)
}

/// Refuses a file that this program cannot read; changes nothing.
pub fn check_readable(conn: &Connection, path: &Path) -> anyhow::Result<()> {
    let (application_id, version) = read_header(conn)?;
    check_header(application_id, version, path)
}

fn check_header(application_id: i64, version: i64, path: &Path) -> anyhow::Result<()> {
    if application_id != APPLICATION_ID || version < 1 {
        return Err(StoreError::NotOurs(path.to_path_buf()).into());
    }
    if SCHEMA_VERSION < version {
        let path = path.to_path_buf();
        return Err(StoreError::Newer { path, found: version, known: SCHEMA_VERSION }.into());
    }
    Ok(())
}

fn read_header(conn: &Connection) -> anyhow::Result<(i64, i64)> {
    let application_id = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((application_id, version))
}

fn is_empty(conn: &Connection) -> anyhow::Result<bool> {
    let tables: i64 = conn.query_one("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(tables == 0)
}

/// Puts dropped indexes and triggers back, because each is a safeguard. Duplicates are removed
/// first if the index is unique. One transaction, so a kill leaves all or nothing.
fn restore_guards(tx: &Transaction<'_>, now: Instant) -> anyhow::Result<()> {
    let missing = missing_guards(tx)?;
    if missing.iter().any(|(name, _)| dedupe::GUARDED_INDEXES.contains(name)) {
        let report = dedupe::clean(tx, now, "schema")?;
        log::warn!("queue indexes were missing: moved {} duplicate rows", report.moved);
    }
    for (name, statement) in missing {
        log::warn!("restored the missing guard {name}");
        tx.execute_batch(statement).with_context(|| format!("restore the guard {name}"))?;
    }
    Ok(())
}

/// The names of the guards that the file lacks, with the statements that create them.
fn missing_guards(conn: &Connection) -> anyhow::Result<Vec<(&'static str, &'static str)>> {
    let there: HashSet<String> = conn
        .prepare_cached("SELECT name FROM sqlite_schema")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let guards =
        STATEMENTS.iter().filter_map(|statement| Some((guard_name(statement)?, *statement)));
    Ok(guards.filter(|(name, _)| !there.contains(*name)).collect())
}

fn is_there(conn: &Connection, name: &str) -> anyhow::Result<bool> {
    let there = conn
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = ?1")?
        .query_one([name], |_| Ok(()))
        .optional()?;
    Ok(there.is_some())
}

/// Puts back the unique indexes that an import of old rows dropped in this transaction.
pub fn restore_unique(tx: &Transaction<'_>) -> anyhow::Result<()> {
    for statement in STATEMENTS.iter() {
        if guard_name(statement).is_some_and(|name| dedupe::GUARDED_INDEXES.contains(&name)) {
            tx.execute_batch(statement).context("put a unique index back")?;
        }
    }
    Ok(())
}

/// The statements of the schema. Triggers end with `END;`, everything else with `;`.
fn statements(schema: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut at, mut in_trigger) = (0, 0, false);
    for line in schema.split_inclusive('\n') {
        at += line.len();
        let code = line.split("--").next().unwrap_or("").trim_end();
        in_trigger |= line.contains("CREATE TRIGGER");
        if code.ends_with("END;") || (!in_trigger && code.ends_with(';')) {
            found.push(&schema[start..at]);
            (start, in_trigger) = (at, false);
        }
    }
    found
}

/// The name of the index or trigger that a statement creates.
fn guard_name(statement: &str) -> Option<&str> {
    name_in(statement).filter(|_| !statement.contains("CREATE TABLE "))
}

/// The name of the object that a statement creates.
fn name_in(statement: &str) -> Option<&str> {
    let code = statement.lines().find(|line| line.starts_with("CREATE "))?;
    let rest = ["CREATE TABLE ", "CREATE UNIQUE INDEX ", "CREATE INDEX ", "CREATE TRIGGER "]
        .iter()
        .find_map(|prefix| code.strip_prefix(prefix))?;
    rest.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_and_trigger_of_the_schema_is_a_guard_that_is_put_back() {
        let names: Vec<&str> = STATEMENTS.iter().copied().filter_map(guard_name).collect();
        let indexes = SCHEMA.matches("INDEX ").count();
        let triggers = SCHEMA.matches("CREATE TRIGGER").count();
        assert_eq!(names.len(), indexes + triggers, "{names:?}");
        for unique in dedupe::GUARDED_INDEXES {
            assert!(names.contains(unique), "{unique} is not created by schema.sql");
        }
    }
}
