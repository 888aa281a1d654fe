//! Whether any customer may be called at all, and if not, how many each cause excludes.

use rusqlite::{Connection, params};

use crate::store::cells;

/// Why none of the customers may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncallable {
    pub customers: i64,
    /// The eligible payment statuses of the configuration.
    pub eligible: Vec<String>,
    /// Customers with another payment status, by status, the most frequent first.
    pub by_status: Vec<(String, i64)>,
    /// Customers with an eligible status whose calls a person or too many failures stopped.
    pub stopped: i64,
    /// The others, whose number cannot be dialed.
    pub bad_phone: i64,
}

/// The assistants that customers name and that are not `known`, each with how many of these
/// customers could be called, in the order of their names.
pub fn unknown_assistants(
    conn: &Connection,
    known: &[&str],
    eligible: &[String],
) -> anyhow::Result<Vec<(String, i64)>> {
    let (known, statuses) = (serde_json::to_string(known)?, serde_json::to_string(eligible)?);
    // One search for each name, however many customers name it.
    let mut statement = conn.prepare_cached(
        "WITH RECURSIVE named (this) AS (
           SELECT min(assistant) FROM customers WHERE assistant IS NOT NULL
           UNION ALL
           SELECT (SELECT min(assistant) FROM customers WHERE assistant > named.this)
           FROM named WHERE named.this IS NOT NULL),
         unknown AS (SELECT this, (SELECT count(*) FROM customers WHERE assistant = named.this
             AND payment_status IN (SELECT value FROM json_each(?2)) AND phone_validated = 1
             AND call_status NOT IN ('disabled', 'paused')) AS waiting
           FROM named
           WHERE this IS NOT NULL AND this NOT IN (SELECT value FROM json_each(?1)))
         SELECT this, waiting FROM unknown WHERE waiting > 0",
    )?;
    let found =
        statement.query_map([&known, &statuses], |row| Ok((cells::lossy(row, 0)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// `None`: somebody may be called, or there are no customers.
pub fn nobody(conn: &Connection, eligible: &[String]) -> anyhow::Result<Option<Uncallable>> {
    let statuses = serde_json::to_string(eligible)?;
    let may_be_called = "SELECT EXISTS (SELECT 1 FROM customers
        WHERE payment_status IN (SELECT value FROM json_each(?1)) AND phone_validated = 1
          AND call_status NOT IN ('disabled', 'paused')) OR NOT EXISTS (SELECT 1 FROM customers)";
    if conn.prepare_cached(may_be_called)?.query_one([&statuses], |row| row.get(0))? {
        return Ok(None);
    }
    let mut by_status = conn.prepare_cached(
        "SELECT payment_status, count(*) FROM customers
         WHERE payment_status NOT IN (SELECT value FROM json_each(?1))
         GROUP BY payment_status ORDER BY 2 DESC, 1",
    )?;
    let by_status = by_status.query_map([&statuses], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let by_status: Vec<(String, i64)> = by_status.collect::<Result<_, _>>()?;
    let (stopped, bad_phone) = conn
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE call_status IN ('disabled', 'paused')),
               count(*) FILTER (WHERE call_status NOT IN ('disabled', 'paused'))
             FROM customers WHERE payment_status IN (SELECT value FROM json_each(?1))",
        )?
        .query_one(params![statuses], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let others: i64 = by_status.iter().map(|(_, count)| count).sum();
    let customers = others + stopped + bad_phone;
    Ok(Some(Uncallable { customers, eligible: eligible.to_vec(), by_status, stopped, bad_phone }))
}

/// The calls made elsewhere whose number nobody can read. Each may have been anybody's welcome call,
/// so no welcome call is made until a person has ignored them.
pub fn calls_of_unknown_number(conn: &Connection) -> anyhow::Result<usize> {
    let sql = "SELECT count(*) FROM calls_elsewhere
         WHERE blocks = 1 AND ignored_at IS NULL AND ending = 'any'
           AND NOT EXISTS (SELECT 1 FROM call_attempts AS made
             WHERE made.vapi_call_id = calls_elsewhere.vapi_call_id)";
    let count: i64 = conn.prepare_cached(sql)?.query_one([], |row| row.get(0))?;
    Ok(count as usize)
}
