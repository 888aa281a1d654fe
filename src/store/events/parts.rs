//! The parts of a call's result that an event carries, each of a bounded length.

use chrono::Duration;
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value, json};

use crate::domain::event::Wanted;

/// The longest summary that an event carries, in characters.
const LONGEST_SUMMARY: usize = 16_000;
/// The longest structured values that an event carries, in bytes of JSON. A receiver reads longer
/// ones with `GET /api/attempts/{id}`.
const LONGEST_STRUCTURED: usize = 64 * 1024;

/// How long an event waits for the other part of a result after the first. Summary and structured
/// values come some seconds apart, and many assistants have only one of them.
const OTHER_PART_WITHIN: Duration = Duration::seconds(90);

/// The wanted parts of a result that are there.
pub struct Parts {
    pub result: Value,
    /// How long an event that carries them waits for the rest; zero if all are there.
    pub wait: Duration,
}

/// The wanted parts of an attempt's result; `None` while none of them is there.
pub fn of_attempt(
    conn: &Connection,
    wanted: &Wanted,
    attempt_id: &str,
) -> anyhow::Result<Option<Parts>> {
    if wanted.include.is_empty() {
        return Ok(None);
    }
    let found: Option<(Option<String>, String)> = conn
        .prepare_cached("SELECT summary, structured FROM call_results WHERE attempt_id = ?1")?
        .query_one([attempt_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((summary, structured)) = found else { return Ok(None) };
    let has = |part: &str| wanted.include.iter().any(|wanted| wanted == part);
    let mut result = Map::new();
    if let Some(summary) = summary.filter(|_| has("summary")) {
        let short: String = summary.chars().take(LONGEST_SUMMARY).collect();
        result.insert("summary".to_string(), json!(short));
    }
    if has("structured") && structured != "{}" {
        let is_short = structured.len() <= LONGEST_STRUCTURED;
        let whole = if is_short { serde_json::from_str(&structured)? } else { Value::Null };
        result.insert("structured".to_string(), whole);
        if !is_short {
            result.insert("structured_is_too_long".to_string(), json!(true));
        }
    }
    if result.is_empty() {
        return Ok(None);
    }
    let is_whole = wanted.include.iter().all(|part| result.contains_key(part));
    let wait = if is_whole { Duration::zero() } else { OTHER_PART_WITHIN };
    Ok(Some(Parts { result: Value::Object(result), wait }))
}
