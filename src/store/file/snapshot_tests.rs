//! A snapshot covers every column of the schema and contains no word of a person.

use super::*;
use crate::domain::parse_instant;
use crate::store::meta::installation;

/// Columns that reveal nothing about a person: ids, states, times, counts, and the customer's zone
/// and time, which debugging needs.
const TELL_NOTHING: &str = "
    customers: id key phone_validated call_time call_schedule call_status welcome_call_completed
      next_call_scheduled_at last_call_date last_call_id total_calls_made consecutive_failures
      shared_phone consent_at eligible_from created_at updated_at source_as_of
    call_queue: id customer_id call_type occasion scheduled_for status attempts max_attempts reason
      vapi_call_id not_before expires_at created_at updated_at processed_at
    call_queue_duplicates: id customer_id call_type occasion scheduled_for status attempts
      max_attempts reason vapi_call_id not_before expires_at created_at updated_at processed_at
      duplicate_of moved_at
    call_attempts: id seq queue_id customer_id customer_key call_type occasion attempt_no state
      vapi_call_id disposition started_at ended_at duration_seconds cost created_at updated_at
      phone_number_id next_poll_at clean_reads absent_since absent_since_monotonic_ms
      absent_boot_id
    call_results: attempt_id source received_at updated_at
    attempt_changes: change attempt_id
    second_calls: vapi_call_id attempt_id customer_key seen_at
    calls_elsewhere: vapi_call_id kind assistant installation_id occasion created_at blocks found_at
      ignored_at
    webhook_events: id vapi_call_id received_at applied_at
    unlisted_calls: attempt_id first_missed_at last_missed_at listings
    events: seq id type customer_id attempt_id item_id created_at queued_at tries next_at
      delivered_at given_up_at
    do_not_call: created_at
    holidays: country date
    journal: id at build
    journal_facts: journal_id facts
    quarantine: place row customer_id why";

/// The columns that `redact` rewrites itself.
const REWRITTEN: &str = "
    customers: external_id name email phone variables
    call_attempts: phone phone_key
    call_results: structured
    calls_elsewhere: told phone_key ending
    do_not_call: phone
    kept_list: vapi_call_id call
    events: data
    tokens: name role hash created_at revoked_at
    journal: who what subject old new why
    meta: key value";

fn listed(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut table = String::new();
    for word in text.split_whitespace() {
        match word.strip_suffix(':') {
            Some(name) => table = name.to_string(),
            None => found.push((table.clone(), word.to_string())),
        }
    }
    found
}

#[test]
fn every_column_of_the_schema_is_hidden_or_known_to_tell_nothing() {
    let store = Store::in_memory(parse_instant("2026-11-22T12:00:00Z").unwrap()).unwrap();
    let columns: Vec<(String, String)> = store
        .read(|conn| {
            let mut statement = conn.prepare(
                "SELECT t.name, c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
                 WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
            )?;
            let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
        .unwrap();
    assert!(60 < columns.len());
    let owned = |(table, column): (&str, &str)| (table.to_string(), column.to_string());
    let mut known = listed(TELL_NOTHING);
    known.extend(listed(REWRITTEN));
    known.extend(FREE_TEXT.map(owned));
    known.extend(WORDS.map(owned));
    for column in columns {
        assert!(known.contains(&column), "decide what a snapshot does with {column:?}");
    }
}

#[test]
fn a_snapshot_keeps_the_calls_of_a_number_under_its_new_key() {
    let store = Store::in_memory(parse_instant("2026-11-22T12:00:00Z").unwrap()).unwrap();
    store
        .write(|tx| {
            let key = installation::installation(tx)?.phone_key("+12125550101");
            let known = left_numbers::NumberFlags { welcome: true, last_date: None };
            left_numbers::keep(tx, &key, false, known)?;
            redact(tx)?;
            let keys =
                pairs::<String>(tx, "SELECT key, value FROM meta WHERE key LIKE 'called:%'")?;
            assert_eq!(keys.len(), 1, "{keys:?}");
            assert!(
                !keys[0].0.ends_with(&key) && keys[0].1.contains("\"welcome\":true"),
                "{keys:?}"
            );
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_journal_keeps_states_and_loses_words() {
    assert_eq!(plain_text("pending"), "pending");
    assert_eq!(plain_text("call_time 07:00, name"), "call_time 07:00, redacted");
    assert_eq!(plain_text("Ada asked for it"), "redacted");
    assert_eq!(plain_subject("item:7"), "item:7");
    assert_eq!(plain_subject("file:ada.csv"), "file:redacted");
    assert_eq!(plain_subject("+12125550101"), "redacted");
    assert_eq!(one_word("Ada"), "redacted");
}
