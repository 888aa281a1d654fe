//! A copy for debugging. Everything that decides about calls is in it, and no person can be
//! recognized or called from it. It is disarmed, and no byte of the hidden data ever reaches the
//! disk.
//!
//! Every column is either hidden or in the list of columns that reveal nothing.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, bail};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::domain::call::{AttemptState, Disposition, ItemStatus, Reason};
use crate::domain::customer::CallStatus;
use crate::store::customers::left_numbers;
use crate::store::file::backup::{copy, create_whole};
use crate::store::file::connections::configure_common;
use crate::store::file::verify::Verified;
use crate::store::meta::installation::{self, Installation};
use crate::store::{Store, made_elsewhere, migrations};

/// Free text of people, providers and machines: only its length is kept.
const FREE_TEXT: [(&str, &str); 20] = [
    ("customers", "phone_validation_error"),
    ("customers", "consent_source"),
    ("customers", "consent_text"),
    ("call_queue", "error_message"),
    ("call_queue_duplicates", "error_message"),
    ("call_queue_duplicates", "moved_because"),
    ("call_attempts", "error_message"),
    ("call_attempts", "transcript"),
    ("call_attempts", "summary"),
    ("call_results", "summary"),
    ("call_results", "transcript"),
    ("call_results", "success_evaluation"),
    ("second_calls", "detail"),
    ("calls_elsewhere", "ignored_by"),
    ("calls_elsewhere", "ignored_because"),
    ("webhook_events", "body"),
    ("do_not_call", "reason"),
    ("do_not_call", "source"),
    ("holidays", "name"),
    ("events", "last_error"),
];

/// A single word from a list that others maintain: kept if it is one plain word.
const WORDS: [(&str, &str); 7] = [
    ("customers", "timezone"),
    ("customers", "assistant"),
    ("customers", "payment_status"),
    ("call_attempts", "ended_reason"),
    ("call_attempts", "provider_status"),
    ("webhook_events", "kind"),
    ("webhook_events", "status"),
];

/// The keys of `meta` that are kept unchanged. Pauses and holds are kept without their words.
const META_KEPT: [&str; 7] = [
    "highest_seq",
    "clock_high_water",
    "last_reconciled_at",
    "last_tick_at",
    "last_scan_at",
    "created_at",
    "last_reading",
];

/// Fields, as the journal names them, whose changes do not reveal who the person is.
const PLAIN_FIELDS: [&str; 9] = [
    "phone_validated",
    "timezone",
    "call_time",
    "call_schedule",
    "payment_status",
    "call_status",
    "welcome_call_completed",
    "next_call_scheduled_at",
    "last_call_date",
];

/// Writes a redacted, disarmed copy to a new file of mode 0600. Needs memory for the whole
/// database.
pub fn snapshot(store: &Store, target: &Path) -> anyhow::Result<Verified> {
    create_whole(target, |part| {
        let mut conn = in_memory(store)?;
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        migrations::upgrade(&tx)?;
        redact(&tx)?;
        tx.commit().context("commit the redaction")?;
        copy(&conn, part)
    })
}

/// A consistent copy of the database in memory, because hidden data must not touch the disk.
fn in_memory(store: &Store) -> anyhow::Result<Connection> {
    let mut memory = Connection::open_in_memory()?;
    store.with_writer(|conn| {
        let copied = Backup::new(conn, &mut memory)?.step(-1)?;
        if copied != StepResult::Done {
            bail!("the database is busy; try again");
        }
        Ok(())
    })?;
    configure_common(&memory)?;
    Ok(memory)
}

fn redact(tx: &Transaction<'_>) -> anyhow::Result<()> {
    let guard = "SELECT sql FROM sqlite_schema WHERE name = 'journal_refuses_update'";
    let guard: String = tx.query_one(guard, [], |row| row.get(0)).context("find a guard")?;
    tx.execute_batch("DROP TRIGGER journal_refuses_update")?;
    redact_journal(tx)?;
    for (table, column) in FREE_TEXT {
        tx.execute_batch(&format!(
            "UPDATE {table} SET {column} = 'redacted (' || length({column}) || ' characters)'
             WHERE {column} <> ''"
        ))?;
    }
    for (table, column) in WORDS {
        tx.execute_batch(&format!(
            "UPDATE {table} SET {column} = 'redacted'
             WHERE {column} GLOB '*[^A-Za-z._/+0-9-]*' OR length({column}) > 100
               OR {column} GLOB '*[0-9][0-9][0-9][0-9][0-9][0-9]*'"
        ))?;
    }
    tx.execute_batch(
        "UPDATE customers SET name = 'Customer ' || id WHERE name <> '';
         UPDATE customers SET email = 'customer-' || id || '@example.com' WHERE email IS NOT NULL;
         UPDATE customers SET external_id = 'external-' || id WHERE external_id IS NOT NULL;
         DELETE FROM quarantine WHERE place = 'meta';
         UPDATE customers SET variables = '{}';
         UPDATE webhook_events SET body = '{}';
         UPDATE call_results SET structured = '{}';
         UPDATE events SET data = '{}';
         DELETE FROM kept_list;
         DELETE FROM tokens;",
    )?;
    redact_phones(tx)?;
    redact_meta(tx)?;
    tx.execute_batch(&guard)?;
    Ok(())
}

/// Masks: numbers of a country that does not exist, equal for equal numbers, under a new secret.
struct Masks {
    old: Installation,
    new: Installation,
    by_key: HashMap<String, String>,
    taken: HashSet<String>,
}

impl Masks {
    fn of_key(&mut self, old_key: &str) -> String {
        if let Some(mask) = self.by_key.get(old_key) {
            return mask.clone();
        }
        let digest = self.new.phone_key(old_key);
        let mut number = u64::from_str_radix(&digest[..12], 16).unwrap_or_default();
        let mask = loop {
            let mask = format!("+999{:011}", number % 100_000_000_000);
            if self.taken.insert(mask.clone()) {
                break mask;
            }
            number += 1;
        };
        self.by_key.insert(old_key.to_string(), mask.clone());
        mask
    }

    fn of_phone(&mut self, phone: &str) -> String {
        let key = self.old.phone_key(phone);
        self.of_key(&key)
    }
}

/// Replaces every phone number and every key of one, so that equal ones stay equal.
fn redact_phones(tx: &Transaction<'_>) -> anyhow::Result<()> {
    let old = installation::installation(tx)?;
    installation::renew_installation(tx)?;
    let new = installation::installation(tx)?;
    let mut masks = Masks { old, new, by_key: HashMap::new(), taken: HashSet::new() };
    // Before the customers, because a call's number is compared with theirs.
    made_elsewhere::mask(tx, &masks.new.clone(), |key, number| match key {
        Some(key) => masks.of_key(key),
        None => masks.of_phone(number),
    })?;
    let mut update = tx.prepare("UPDATE customers SET phone = ?2 WHERE id = ?1")?;
    for (id, phone) in pairs::<i64>(tx, "SELECT id, phone FROM customers")? {
        update.execute(params![id, masks.of_phone(&phone)])?;
    }
    let mut update = tx.prepare(
        "UPDATE call_attempts SET phone_key = ?3, phone = iif(phone IS NULL, NULL, ?2)
         WHERE id = ?1",
    )?;
    for (id, key) in pairs::<String>(tx, "SELECT id, phone_key FROM call_attempts")? {
        let mask = masks.of_key(&key);
        update.execute(params![id, mask, masks.new.phone_key(&mask)])?;
    }
    let mut update = tx.prepare("UPDATE do_not_call SET phone = ?2 WHERE phone = ?1")?;
    for (phone, _) in pairs::<String>(tx, "SELECT phone, '' FROM do_not_call")? {
        update.execute(params![phone, masks.of_phone(&phone)])?;
    }
    let mut update = tx.prepare("UPDATE meta SET key = ?2 WHERE key = ?1")?;
    let numbers = "SELECT key, '' FROM meta WHERE key LIKE 'pause:number:%' OR key LIKE 'called:%'";
    for (key, _) in pairs::<String>(tx, numbers)? {
        let Some((kind, phone_key)) = key.rsplit_once(':') else { continue };
        let mask = masks.of_key(phone_key);
        update.execute([&key, &format!("{kind}:{}", masks.new.phone_key(&mask))])?;
    }
    Ok(())
}

fn pairs<K: rusqlite::types::FromSql>(
    tx: &Transaction<'_>,
    sql: &str,
) -> anyhow::Result<Vec<(K, String)>> {
    let mut statement = tx.prepare(sql)?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Pauses, holds and the breaker keep their existence and instant, but not their text. Unknown keys
/// are deleted, and so is the place where the file was armed.
fn redact_meta(tx: &Transaction<'_>) -> anyhow::Result<()> {
    let mut update = tx.prepare("UPDATE meta SET value = ?2 WHERE key = ?1")?;
    let mut delete = tx.prepare("DELETE FROM meta WHERE key = ?1")?;
    for (key, value) in pairs::<String>(tx, "SELECT key, value FROM meta")? {
        let tells_nothing = META_KEPT.contains(&key.as_str())
            || installation::IDENTITY.contains(&key.as_str())
            || key.starts_with(left_numbers::PREFIX);
        if tells_nothing {
            continue;
        }
        let states = key.starts_with("pause:") || key.starts_with("hold:") || key == "breaker";
        match serde_json::from_str::<serde_json::Value>(&value) {
            Ok(serde_json::Value::Object(mut fields)) if states => {
                for name in ["who", "why"] {
                    if let Some(text) = fields.get_mut(name) {
                        *text = "redacted".into();
                    }
                }
                update.execute([&key, &serde_json::Value::Object(fields).to_string()])?;
            }
            _ => {
                delete.execute([&key])?;
            }
        }
    }
    Ok(())
}

/// The journal keeps the states before and after each change; words of people are removed.
fn redact_journal(tx: &Transaction<'_>) -> anyhow::Result<()> {
    let mut read = tx.prepare("SELECT id, who, what, subject, old, new, why FROM journal")?;
    let mut update = tx.prepare(
        "UPDATE journal SET who = ?2, what = ?3, subject = ?4, old = ?5, new = ?6, why = ?7
         WHERE id = ?1",
    )?;
    let mut rows = read.query([])?;
    let mut changed: Vec<(i64, [Option<String>; 6])> = Vec::new();
    while let Some(row) = rows.next()? {
        let cell = |index| row.get::<_, Option<String>>(index);
        let (who, what, subject) = (cell(1)?, cell(2)?, cell(3)?);
        let kept = [
            who.map(|text| one_word(&text)),
            what.map(|text| one_word(&text)),
            subject.map(|text| plain_subject(&text)),
            cell(4)?.map(|text| plain_text(&text)),
            cell(5)?.map(|text| plain_text(&text)),
            cell(6)?.map(|text| plain_text(&text)),
        ];
        changed.push((row.get(0)?, kept));
    }
    for (id, [who, what, subject, old, new, why]) in changed {
        update.execute(params![id, who, what, subject, old, new, why])?;
    }
    Ok(())
}

/// Keeps our own words, such as `dial`, `call_status` and `do not call`. Text with a capital, a
/// digit or a sign may be a person's.
fn one_word(text: &str) -> String {
    let ours = text.len() <= 20
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'-' | b' '));
    if ours { text.to_string() } else { "redacted".to_string() }
}

/// Subjects that are rows keep their id; files, phone numbers and everything else are redacted.
fn plain_subject(subject: &str) -> String {
    match subject.split_once(':') {
        Some(("customer" | "item" | "attempt", _)) => subject.to_string(),
        Some((kind, _)) => format!("{}:redacted", one_word(kind)),
        None => one_word(subject),
    }
}

/// Words of the journal that identify no person.
const PLAIN_WORDS: [&str; 6] = ["created", "added", "removed", "open", "closed", "erased"];

/// Keeps states, reasons and plain fields of the closed lists; redacts every other piece.
fn plain_text(text: &str) -> String {
    let known = |piece: &str| {
        ItemStatus::parse(piece).is_some()
            || AttemptState::parse(piece).is_some()
            || Reason::parse(piece).is_some()
            || Disposition::parse(piece).is_some()
            || CallStatus::parse(piece).is_some()
            || PLAIN_WORDS.contains(&piece)
            || PLAIN_FIELDS.contains(&piece.split(' ').next().unwrap_or_default())
    };
    let pieces: Vec<&str> = text
        .split(", ")
        .map(|piece| if known(piece) && piece.len() < 80 { piece } else { "redacted" })
        .collect();
    pieces.join(", ")
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
