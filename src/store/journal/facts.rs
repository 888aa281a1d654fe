//! Facts of journal entries that other code reads back. The texts of an entry are for people and
//! are never parsed.

use std::collections::BTreeMap;

use anyhow::Context;
use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::domain::{Instant, instant_text};
use crate::store::journal::{self, Entry};

/// The machine-readable part of an entry. Holds no personal data, because the journal is never
/// erased.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EntryFacts {
    /// The entry is about a new customer.
    #[serde(skip_serializing_if = "is_default")]
    pub is_created: bool,
    /// The new customer's daily calls fall due from then on.
    #[serde(skip_serializing_if = "is_default")]
    pub is_due_from_then_on: bool,
    /// The names of the changed fields.
    #[serde(skip_serializing_if = "is_default")]
    pub fields: Vec<String>,
    /// The old and new texts of the changed fields that do not identify the person.
    #[serde(skip_serializing_if = "is_default")]
    pub values: BTreeMap<String, (String, String)>,
    /// The instant to which the change moved the next call, as stored.
    #[serde(skip_serializing_if = "is_default")]
    pub next_call_scheduled_at: Option<String>,
    /// The new customers of an imported file whose daily calls fall due from then on.
    #[serde(skip_serializing_if = "is_default")]
    pub due_ids: Ids,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Ascending customer ids as ranges, because an import creates long runs of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ids(Vec<(i64, i64)>);

impl Ids {
    /// `id` is higher than every id before it.
    pub fn add(&mut self, id: i64) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => self.0.push((id, id)),
        }
    }

    pub fn contains(&self, id: i64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < id);
        self.0.get(at).is_some_and(|(first, _)| *first <= id)
    }
}

/// Writes an entry with its facts.
pub fn add(
    tx: &Transaction<'_>,
    at: Instant,
    entry: Entry<'_>,
    facts: &EntryFacts,
) -> anyhow::Result<()> {
    journal::add(tx, at, entry)?;
    insert(tx, tx.last_insert_rowid(), facts)
}

fn insert(tx: &Connection, journal_id: i64, facts: &EntryFacts) -> anyhow::Result<()> {
    if is_default(facts) {
        return Ok(());
    }
    tx.prepare_cached("INSERT INTO journal_facts (journal_id, facts) VALUES (?1, ?2)")?
        .execute(params![journal_id, serde_json::to_string(facts)?])?;
    Ok(())
}

/// The facts of a stored cell. An unreadable cell has none, so the audit may report too much.
pub(crate) fn read(text: Option<String>) -> EntryFacts {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Gives the entries of a file older than schema 3 their facts, which were a part of their texts.
pub(crate) fn of_old_entries(conn: &Connection) -> anyhow::Result<()> {
    let mut read = conn.prepare(
        "SELECT id, what, coalesce(old, ''), coalesce(new, '') FROM journal
         WHERE what = 'import' OR (what = 'customer' AND subject GLOB 'customer:[0-9]*')",
    )?;
    let rows = read.query_map([], |row| {
        let text = |index| -> rusqlite::Result<String> {
            Ok(String::from_utf8_lossy(row.get_ref(index)?.as_bytes()?).into_owned())
        };
        let texts = (text(1)?, text(2)?, text(3)?);
        Ok((row.get::<_, i64>(0)?, texts))
    })?;
    for row in rows {
        let (id, (what, old, new)) = row.context("read the journal")?;
        insert(conn, id, &of_old_texts(&what, &old, &new))?;
    }
    Ok(())
}

const OLD_DUE: &str = "due from then on";
/// Field names as the earlier texts contain them.
const OLD_FIELDS: [&str; 8] = [
    "timezone",
    "call_time",
    "call_schedule",
    "next_call_scheduled_at",
    "last_call_date",
    "welcome_call_completed",
    "shared_phone",
    "phone",
];

fn of_old_texts(what: &str, old: &str, new: &str) -> EntryFacts {
    if what == "import" {
        let ids = new.split_once(&format!("{OLD_DUE}:")).map_or("", |(_, ids)| ids);
        let range = |piece: &str| {
            let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let due_ids = Ids(ids.split_whitespace().map_while(range).collect());
        return EntryFacts { due_ids, ..EntryFacts::default() };
    }
    if new.split(", ").next() == Some("created") {
        let is_due_from_then_on = new.contains(OLD_DUE);
        return EntryFacts { is_created: true, is_due_from_then_on, ..EntryFacts::default() };
    }
    let is_named = |field: &&str| new.contains(*field) || old.contains(*field);
    let fields = OLD_FIELDS.iter().filter(|field| is_named(field)).map(ToString::to_string);
    let next = new.split_once("next_call_scheduled_at ").map(|(_, rest)| rest);
    let next = next.and_then(|rest| crate::domain::parse_instant(rest.split(',').next()?));
    EntryFacts {
        fields: fields.collect(),
        next_call_scheduled_at: next.map(instant_text),
        ..EntryFacts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back_unchanged() {
        for ids in [&[][..], &[7], &[1, 2, 3, 5, 9, 10]] {
            let mut made = Ids::default();
            ids.iter().for_each(|id| made.add(*id));
            let facts = EntryFacts { due_ids: made, ..EntryFacts::default() };
            let back = read(Some(serde_json::to_string(&facts).unwrap()));
            assert_eq!(back, facts);
            for id in 0..12 {
                assert_eq!(back.due_ids.contains(id), ids.contains(&id), "{ids:?}: {id}");
            }
        }
    }

    #[test]
    fn texts_of_an_older_version_give_the_same_facts() {
        let import = of_old_texts("import", "", "3 new, 0 changed, due from then on: 1-3 7");
        assert!([1, 2, 3, 7].iter().all(|id| import.due_ids.contains(*id)));
        assert!(!import.due_ids.contains(4));
        let created = of_old_texts("customer", "", "created, due from then on");
        assert!(created.is_created && created.is_due_from_then_on);
        assert!(!of_old_texts("customer", "", "created").is_due_from_then_on);
        let edit = "timezone Asia/Tokyo, next_call_scheduled_at 2026-03-02T12:00:00.000Z, phone";
        let edit = of_old_texts("customer", "timezone UTC, shared_phone true", edit);
        assert_eq!(edit.next_call_scheduled_at.as_deref(), Some("2026-03-02T12:00:00.000Z"));
        for field in ["timezone", "next_call_scheduled_at", "shared_phone"] {
            assert!(edit.fields.iter().any(|name| name == field), "{field}");
        }
    }

    #[test]
    fn an_unreadable_cell_has_no_facts() {
        for text in [None, Some("{"), Some("[1]"), Some("{\"fields\": 7}")] {
            assert_eq!(read(text.map(str::to_string)), EntryFacts::default());
        }
    }
}
