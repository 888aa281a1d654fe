//! When the next call falls due, in the queue or before a scan has queued it.

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::call::CallType;
use crate::domain::gate::facts::Rules;
use crate::domain::{Instant, instant_text, parse_instant};
use crate::store::cells;
use crate::store::meta::pauses::Pause;
use crate::store::queue::WELCOME_IS_OVER;
use crate::zones::Zones;

/// What a configuration and the pauses say about calls that are not queued yet.
pub struct NextCallRules<'a> {
    pub rules: &'a Rules,
    pub zones: &'a Zones,
    pub pauses: &'a [(String, Pause)],
}

/// At most this many sign-ups are asked when their window opens.
const SIGN_UPS: usize = 500;

/// A row of `customers` that no person and no list keeps from being called.
const MAY_BE_CALLED: &str = "phone_validated = 1 AND call_status NOT IN ('disabled', 'paused')
      AND NOT EXISTS (SELECT 1 FROM do_not_call AS listed WHERE listed.phone = customers.phone)
      AND NOT EXISTS (SELECT 1 FROM meta WHERE meta.key = 'pause:customer:' || customers.key)";

/// When the next call falls due; `now` if one is due. `None`: none is planned. Calls that a person
/// must permit first, such as those of paused customers, do not count.
pub fn next_call(
    conn: &Connection,
    known: &NextCallRules<'_>,
    now: Instant,
) -> anyhow::Result<Option<Instant>> {
    let rules = known.rules;
    let mut next: Option<Instant> = None;
    for call_type in CallType::ALL {
        let scope = format!("type:{call_type}");
        if known.pauses.iter().any(|(paused, _)| *paused == scope) {
            continue;
        }
        let mut found = vec![queued(conn, *call_type, &rules.eligible_payment_status)?];
        for status in &rules.eligible_payment_status {
            found.push(match call_type {
                CallType::Daily => daily(conn, status, now - rules.max_lateness)?,
                CallType::Welcome => welcome(conn, known, status, now)?,
                CallType::Extra => None,
            });
        }
        next = next.into_iter().chain(found.into_iter().flatten()).min();
    }
    Ok(next.map(|at| at.max(now)))
}

/// The next item of a type whose customer may be called.
fn queued(
    conn: &Connection,
    call_type: CallType,
    eligible: &[String],
) -> anyhow::Result<Option<Instant>> {
    let sql = format!(
        "SELECT coalesce(not_before, scheduled_for) FROM call_queue
         WHERE status IN ('pending', 'retrying') AND call_type = ?1
           AND (reason IS NULL OR reason <> 'no_consent')
           AND EXISTS (SELECT 1 FROM customers WHERE customers.id = call_queue.customer_id
             AND payment_status IN (SELECT value FROM json_each(?2)) AND {MAY_BE_CALLED})
         ORDER BY coalesce(not_before, scheduled_for) LIMIT 1"
    );
    first(conn, &sql, params![call_type.as_str(), serde_json::to_string(eligible)?])
}

/// The next daily call that no scan has queued.
fn daily(conn: &Connection, status: &str, from: Instant) -> anyhow::Result<Option<Instant>> {
    let sql = format!(
        "SELECT next_call_scheduled_at FROM customers
         WHERE payment_status = ?1 AND ?2 <= next_call_scheduled_at AND phone_validated = 1
           AND call_status NOT IN ('disabled', 'paused')
           AND (call_time IS NOT NULL OR call_schedule IS NOT NULL) AND {WELCOME_IS_OVER}
           AND {MAY_BE_CALLED}
           AND NOT EXISTS (SELECT 1 FROM call_queue AS open
             WHERE open.customer_id = customers.id AND open.call_type = 'daily'
               AND (open.status = 'pending' OR open.status = 'retrying'
                 OR open.status = 'processing'))
         ORDER BY next_call_scheduled_at LIMIT 1"
    );
    first(conn, &sql, params![status, instant_text(from)])
}

/// The first welcome call that no scan has queued: when its customer's window is open.
fn welcome(
    conn: &Connection,
    known: &NextCallRules<'_>,
    status: &str,
    now: Instant,
) -> anyhow::Result<Option<Instant>> {
    let sql = format!(
        "SELECT created_at, timezone FROM customers
         WHERE payment_status = ?1 AND welcome_call_completed = 0 AND phone_validated = 1
           AND call_status NOT IN ('disabled', 'paused') AND {MAY_BE_CALLED}
           AND NOT EXISTS (SELECT 1 FROM call_queue AS queued
             WHERE queued.customer_id = customers.id AND queued.call_type = 'welcome')
         ORDER BY created_at LIMIT {SIGN_UPS}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([status])?;
    let mut next: Option<Instant> = None;
    while let Some(row) = rows.next()? {
        let created_at = cells::lossy(row, 0)?;
        let Some(due) = parse_instant(&created_at).map(|at| at + known.rules.welcome_delay) else {
            continue;
        };
        let due = due.max(now);
        if next.is_some_and(|next| next <= due) {
            break;
        }
        let zone = known.zones.get(&cells::lossy(row, 1)?);
        let opens = zone.and_then(|zone| known.rules.window.next_open(&zone, due));
        next = next.into_iter().chain(opens).min();
    }
    Ok(next)
}

fn first(
    conn: &Connection,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
) -> anyhow::Result<Option<Instant>> {
    let found: Option<String> =
        conn.prepare_cached(sql)?.query_one(values, |row| row.get(0)).optional()?;
    Ok(found.as_deref().and_then(parse_instant))
}
