//! `occasion.finished`: judged from the rows after each change that may have ended an occasion.

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::json;

use crate::domain::Instant;
use crate::domain::call::{ItemStatus, Reason};
use crate::domain::event::{EventType, Outcome};
use crate::store::events::{self, About};

/// The facts that say whether an occasion is over.
struct OccasionFacts {
    item_id: i64,
    customer_id: i64,
    call_type: String,
    occasion: String,
    status: String,
    reason: Option<String>,
    /// Attempts that are `dialing`, `in_doubt` or `placed`.
    live: i64,
    /// Attempts that were placed.
    called: i64,
    answered: i64,
    /// How its last call ended.
    disposition: Option<String>,
}

impl OccasionFacts {
    /// How it ended; `None` while another call, or the end of one, may still come.
    fn outcome(&self) -> Option<Outcome> {
        let status = ItemStatus::parse(&self.status)?;
        let in_doubt = self.reason.as_deref() == Some(Reason::InDoubt.as_str());
        if status.is_active() || self.live > 0 || (status == ItemStatus::Failed && in_doubt) {
            return None;
        }
        Some(match status {
            _ if self.answered > 0 => Outcome::Reached,
            _ if self.called > 0 => Outcome::Unreached,
            ItemStatus::Failed => Outcome::Failed,
            _ => Outcome::Skipped,
        })
    }
}

const OCCASION: &str = "
    SELECT item.id, item.customer_id, item.call_type, item.occasion, item.status, item.reason,
      count(*) FILTER (WHERE made.state = 'dialing' OR made.state = 'in_doubt'
        OR made.state = 'placed'),
      count(*) FILTER (WHERE made.state = 'placed' OR made.state = 'ended'),
      count(*) FILTER (WHERE made.disposition = 'answered'),
      (SELECT last.disposition FROM call_attempts AS last
       WHERE (last.queue_id = item.id OR (last.customer_id = item.customer_id
           AND last.call_type = item.call_type AND last.occasion = item.occasion))
         AND last.state = 'ended' ORDER BY last.attempt_no DESC LIMIT 1)
    FROM call_queue AS item LEFT JOIN call_attempts AS made
      ON made.queue_id = item.id OR (made.customer_id = item.customer_id
        AND made.call_type = item.call_type AND made.occasion = item.occasion)
    WHERE item.id = ?1 GROUP BY item.id";

/// Writes `occasion.finished` if the item's occasion is over. The same news is written once.
pub fn may_be_over(tx: &Transaction<'_>, item_id: i64, now: Instant) -> anyhow::Result<()> {
    events::tolerant(write_occasion(tx, item_id, now))
}

fn write_occasion(tx: &Transaction<'_>, item_id: i64, now: Instant) -> anyhow::Result<()> {
    let event = EventType::OccasionFinished;
    if events::if_wanted(tx, event)?.is_none() {
        return Ok(());
    }
    let facts = tx.prepare_cached(OCCASION)?.query_one([item_id], |row| {
        Ok(OccasionFacts {
            item_id: row.get(0)?,
            customer_id: row.get(1)?,
            call_type: row.get(2)?,
            occasion: row.get(3)?,
            status: row.get(4)?,
            reason: row.get(5)?,
            live: row.get(6)?,
            called: row.get(7)?,
            answered: row.get(8)?,
            disposition: row.get(9)?,
        })
    });
    let Some(facts) = facts.optional()? else { return Ok(()) };
    let Some(outcome) = facts.outcome() else { return Ok(()) };
    // The ledger keeps the key of an erased customer.
    let key: Option<String> = tx
        .prepare_cached(
            "SELECT coalesce((SELECT key FROM customers WHERE id = ?1),
               (SELECT customer_key FROM call_attempts WHERE queue_id = ?2 LIMIT 1))",
        )?
        .query_one([facts.customer_id, facts.item_id], |row| row.get(0))?;
    let data = json!({
        "queue_id": facts.item_id,
        "customer": events::customer_json(tx, Some(facts.customer_id), &key.unwrap_or_default())?,
        "call_type": facts.call_type,
        "occasion": facts.occasion,
        "outcome": outcome.as_str(),
        "reason": facts.reason,
        "disposition": facts.disposition,
        "attempts": facts.called,
    });
    let told: Option<String> = tx
        .prepare_cached(
            "SELECT data FROM events WHERE item_id = ?1 AND type = ?2 ORDER BY seq DESC LIMIT 1",
        )?
        .query_one(params![item_id, event.as_str()], |row| row.get(0))
        .optional()?;
    if told == Some(data.to_string()) {
        return Ok(());
    }
    let about =
        About { customer_id: Some(facts.customer_id), item_id: Some(item_id), ..About::default() };
    events::write(tx, event, about, &data, now)
}

/// The same for the occasion of an attempt.
pub fn of_attempt_may_be_over(
    tx: &Transaction<'_>,
    attempt_id: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let item: Option<i64> = tx
        .prepare_cached(
            "SELECT coalesce(made.queue_id, (SELECT item.id FROM call_queue AS item
               WHERE item.customer_id = made.customer_id AND item.call_type = made.call_type
                 AND item.occasion = made.occasion))
             FROM call_attempts AS made WHERE made.id = ?1",
        )?
        .query_one([attempt_id], |row| row.get(0))
        .optional()?
        .flatten();
    item.map_or(Ok(()), |item| may_be_over(tx, item, now))
}

/// The same for the occasion of an item that was inserted when it was over.
pub fn was_over(
    tx: &Transaction<'_>,
    (customer_id, call_type, occasion): (i64, &str, &str),
    now: Instant,
) -> anyhow::Result<()> {
    let item: Option<i64> = tx
        .prepare_cached(
            "SELECT id FROM call_queue
             WHERE customer_id = ?1 AND call_type = ?2 AND occasion = ?3",
        )?
        .query_one(params![customer_id, call_type, occasion], |row| row.get(0))
        .optional()?;
    item.map_or(Ok(()), |item| may_be_over(tx, item, now))
}
