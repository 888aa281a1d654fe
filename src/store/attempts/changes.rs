//! Attempts in the order in which they, or their results, last changed. A reader that continues
//! after the last number it saw misses no attempt and reads no unchanged one again.

use rusqlite::{Connection, Transaction, params};

use crate::store::attempts::results::{CallResult, RESULT_COLUMNS, result_from_row};
use crate::store::attempts::{ATTEMPT_COLUMNS, Attempt, attempt_from_row};

/// How far the numbers jump when a file is armed again. A restored file would otherwise give the
/// numbers again that the lost file gave, and its readers would miss those changes. JavaScript
/// counts exactly to 2^53, which leaves two million jumps.
const LEAP: i64 = 1 << 32;

/// An attempt with its customer's name and its result.
#[derive(Clone, Debug)]
pub struct ToldAttempt {
    /// The number of its latest change.
    pub change: i64,
    pub attempt: Attempt,
    /// Empty if the customer no longer exists.
    pub name: String,
    /// Without its transcript.
    pub result: Option<CallResult>,
}

/// The attempts that changed after a number, the earliest change first. At most `limit`, and at
/// most `bytes` of results beyond the first: a page of large results is shorter. `true` if more
/// may follow.
pub fn after(
    conn: &Connection,
    change: i64,
    limit: usize,
    bytes: usize,
) -> anyhow::Result<(Vec<ToldAttempt>, bool)> {
    let columns = ATTEMPT_COLUMNS.split(", ").map(|name| format!("a.{}", name.trim()));
    let sql = format!(
        "SELECT {}, c.change, coalesce((SELECT name FROM customers WHERE id = a.customer_id), ''),
           {}
         FROM attempt_changes AS c JOIN call_attempts AS a ON a.id = c.attempt_id
           LEFT JOIN call_results AS r ON r.attempt_id = c.attempt_id
         WHERE ?1 < c.change AND a.seq > 0 ORDER BY c.change LIMIT ?2",
        columns.collect::<Vec<_>>().join(", "),
        RESULT_COLUMNS.replace("r.transcript", "NULL"),
    );
    let first = ATTEMPT_COLUMNS.split(',').count();
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![change, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let (mut found, mut left) = (Vec::new(), bytes);
    while let Some(row) = rows.next()? {
        let result = result_from_row(row, first + 2)?;
        let size = result.as_ref().map_or(0, size_of);
        if left < size && !found.is_empty() {
            return Ok((found, true));
        }
        left = left.saturating_sub(size);
        found.push(ToldAttempt {
            change: row.get(first)?,
            attempt: attempt_from_row(row)?,
            name: row.get(first + 1)?,
            result,
        });
    }
    let is_full = found.len() == limit;
    Ok((found, is_full))
}

fn size_of(result: &CallResult) -> usize {
    let structured: usize =
        result.structured.iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
    structured + result.summary.as_deref().map_or(0, str::len)
}

/// The highest number that was given; 0 if none was.
pub fn newest(conn: &Connection) -> anyhow::Result<i64> {
    let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'attempt_changes'";
    Ok(conn.prepare_cached(sql)?.query_one([], |row| row.get(0))?)
}

/// Lets the numbers of this file begin above those of the file that was armed before.
pub fn leap(tx: &Transaction<'_>) -> anyhow::Result<()> {
    let newest = newest(tx)? + LEAP;
    let rows =
        tx.execute("UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'attempt_changes'", [newest])?;
    if rows == 0 {
        tx.execute(
            "INSERT INTO sqlite_sequence (name, seq) VALUES ('attempt_changes', ?1)",
            [newest],
        )?;
    }
    Ok(())
}

/// Numbers the attempts of a file from before there were numbers.
pub fn number_all(tx: &Transaction<'_>) -> anyhow::Result<()> {
    tx.execute_batch(
        "INSERT INTO attempt_changes (attempt_id) SELECT id FROM call_attempts
           WHERE id NOT IN (SELECT attempt_id FROM attempt_changes) ORDER BY seq",
    )?;
    Ok(())
}
