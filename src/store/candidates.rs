//! L1: whose call falls due. Each question is answered by an index that leads with the eligible
//! status, so that its cost follows the due, not the customers; a test pins that.

use rusqlite::{Row, Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::store::rows;

/// A customer whose next call falls due; what L1 found.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub customer_id: i64,
    pub timezone: String,
    pub payment_status: String,
    /// Daily: `next_call_scheduled_at`. Welcome: `created_at`.
    pub instant: Instant,
}

fn candidate_from_row(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate {
        customer_id: row.get(0)?,
        timezone: row.get(1)?,
        payment_status: row.get(2)?,
        instant: rows::instant(row, 3)?,
    })
}

/// L1 for welcome calls: eligible, not called, signed up at `signed_up_until` or before, and not
/// yet queued. One eligible status at a time, so that the index leads.
pub fn welcome_candidates(
    tx: &Transaction<'_>,
    payment_status: &str,
    signed_up_until: Instant,
) -> anyhow::Result<Vec<Candidate>> {
    let mut statement = tx.prepare_cached(WELCOME_CANDIDATES)?;
    let found = statement
        .query_map(params![payment_status, instant_text(signed_up_until)], candidate_from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

const WELCOME_CANDIDATES: &str = "
    SELECT id, timezone, payment_status, created_at FROM customers
    WHERE payment_status = ?1 AND welcome_call_completed = 0 AND phone_validated = 1
      AND call_status NOT IN ('disabled', 'paused') AND created_at <= ?2
      AND NOT EXISTS (SELECT 1 FROM call_queue AS queued
        WHERE queued.customer_id = customers.id AND queued.call_type = 'welcome')
    ORDER BY created_at, id";

/// L1 for daily calls: eligible, welcomed (or the welcome was lost), next call inside the span,
/// and no open daily item.
pub fn daily_candidates(
    tx: &Transaction<'_>,
    payment_status: &str,
    from: Instant,
    to: Instant,
) -> anyhow::Result<Vec<Candidate>> {
    let mut statement = tx.prepare_cached(DAILY_CANDIDATES)?;
    let found = statement.query_map(
        params![payment_status, instant_text(from), instant_text(to)],
        candidate_from_row,
    )?;
    Ok(found.collect::<Result<_, _>>()?)
}

const DAILY_CANDIDATES: &str = "
    SELECT id, timezone, payment_status, next_call_scheduled_at FROM customers
    WHERE payment_status = ?1 AND phone_validated = 1
      AND call_status NOT IN ('disabled', 'paused')
      AND (call_time IS NOT NULL OR call_schedule IS NOT NULL)
      AND ?2 <= next_call_scheduled_at AND next_call_scheduled_at <= ?3
      AND (welcome_call_completed = 1 OR EXISTS (SELECT 1 FROM call_queue AS welcome
        WHERE welcome.customer_id = customers.id AND welcome.call_type = 'welcome'
          AND welcome.status IN ('failed', 'skipped')))
      AND NOT EXISTS (SELECT 1 FROM call_queue AS open
        WHERE open.customer_id = customers.id AND open.call_type = 'daily'
          AND open.status IN ('pending', 'retrying', 'processing'))
    ORDER BY next_call_scheduled_at, id";

/// Eligible customers whose next instant is missing or has gone by: to be repaired.
pub fn stale_customers(
    tx: &Transaction<'_>,
    payment_status: &str,
    before: Instant,
) -> anyhow::Result<Vec<i64>> {
    let mut statement = tx.prepare_cached(&stale_customers_sql())?;
    let ids =
        statement.query_map(params![payment_status, instant_text(before)], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Two questions, because one with OR would read every customer.
fn stale_customers_sql() -> String {
    let of = |which: &str| {
        format!(
            "SELECT id FROM customers
             WHERE payment_status = ?1 AND phone_validated = 1
               AND call_status NOT IN ('disabled', 'paused')
               AND (call_time IS NOT NULL OR call_schedule IS NOT NULL)
               AND {which}
               AND (welcome_call_completed = 1 OR EXISTS (SELECT 1 FROM call_queue AS welcome
                 WHERE welcome.customer_id = customers.id AND welcome.call_type = 'welcome'
                   AND welcome.status IN ('failed', 'skipped')))
               AND NOT EXISTS (SELECT 1 FROM call_queue AS open
                 WHERE open.customer_id = customers.id AND open.call_type = 'daily'
                   AND open.status IN ('pending', 'retrying', 'processing'))"
        )
    };
    let (gone_by, missing) =
        (of("next_call_scheduled_at < ?2"), of("next_call_scheduled_at IS NULL"));
    format!("{gone_by} UNION ALL {missing}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_instant;
    use crate::store::Store;

    /// How SQLite reads `customers` for a statement, one text for each time it does.
    fn plan(sql: &str, parameters: usize) -> Vec<String> {
        let now = parse_instant("2026-03-02T12:00:00Z").expect("an instant");
        let store = Store::in_memory(now).expect("a store");
        let steps = store.read(|conn| {
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let texts = rusqlite::params_from_iter((0..parameters).map(|_| "x"));
            let steps = statement.query_map(texts, |row| row.get::<_, String>(3))?;
            Ok(steps.collect::<Result<Vec<_>, _>>()?)
        });
        let steps = steps.expect("a plan");
        steps.into_iter().filter(|step| step.contains(" customers")).collect()
    }

    #[test]
    fn a_scan_reads_the_due_and_never_all_customers() {
        let daily = "SEARCH customers USING INDEX customers_daily_due \
                     (payment_status=? AND next_call_scheduled_at>? AND next_call_scheduled_at<?)";
        assert_eq!(plan(DAILY_CANDIDATES, 3), [daily]);
        let welcome = "SEARCH customers USING INDEX customers_welcome_due \
                       (payment_status=? AND created_at<?)";
        assert_eq!(plan(WELCOME_CANDIDATES, 2), [welcome]);
        let gone_by = "SEARCH customers USING INDEX customers_daily_due \
                       (payment_status=? AND next_call_scheduled_at<?)";
        let missing = "SEARCH customers USING INDEX customers_daily_due \
                       (payment_status=? AND next_call_scheduled_at=?)";
        assert_eq!(plan(&stale_customers_sql(), 2), [gone_by, missing]);
    }
}
