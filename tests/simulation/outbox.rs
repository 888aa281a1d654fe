//! The outbox of a whole life. Every change that the application must hear has its event, whatever
//! died or was restored in between. A receiver that fails at random hears all of them.

use std::collections::BTreeSet;

use anyhow::ensure;
use chrono::Duration;
use ringonce::domain::Instant;
use ringonce::domain::event::{EventType, Wanted};
use ringonce::store::events::outbox::Replay;
use ringonce::store::events::{self, outbox};
use ringonce::store::{Conn, Store};

use crate::dice::Dice;

/// Makes the file write every type of event.
pub fn want_all(store: &Store) -> anyhow::Result<()> {
    let types: Vec<String> = EventType::ALL.iter().map(|kind| kind.as_str().to_string()).collect();
    let wanted = Wanted { types, ..Wanted::default() };
    store.write(|tx| events::want(tx, Some(&wanted)))
}

/// The rows of a query that must find nothing.
fn none(conn: &Conn, what: &str, sql: &str) -> anyhow::Result<()> {
    let mut statement = conn.prepare(sql)?;
    let found: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if let Some(first) = found.first().filter(|_| std::env::var_os("SIM_TRACE").is_some()) {
        about(conn, first.split(' ').next().unwrap_or_default())?;
    }
    ensure!(found.is_empty(), "EVENTS: {what}: {found:?}");
    Ok(())
}

/// Prints the rows of an item or an attempt for a person who replays a seed.
fn about(conn: &Conn, id: &str) -> anyhow::Result<()> {
    for sql in [
        "SELECT 'item ' || id || ' customer ' || customer_id || ' ' || call_type || ' ' || occasion
           || ' ' || status || ' ' || created_at || ' ' || coalesce(processed_at, '-')
         FROM call_queue WHERE CAST(id AS TEXT) = ?1",
        "SELECT 'attempt ' || a.id || ' seq ' || seq || ' item ' || coalesce(queue_id, '-') || ' '
           || a.occasion || ' ' || state || ' customer ' || coalesce(a.customer_id, '-')
         FROM call_attempts AS a JOIN call_queue AS i ON CAST(i.id AS TEXT) = ?1
         WHERE queue_id = i.id OR (a.customer_id = i.customer_id AND a.occasion = i.occasion)",
        "SELECT at || ' ' || who || ' ' || subject || ' ' || coalesce(old, '-') || ' -> '
           || coalesce(new, '-') || ' ' || coalesce(why, '') FROM journal
         WHERE subject = 'item:' || ?1 OR subject IN (SELECT 'attempt:' || a.id
           FROM call_attempts AS a JOIN call_queue AS i ON CAST(i.id AS TEXT) = ?1
           WHERE queue_id = i.id OR (a.customer_id = i.customer_id AND a.occasion = i.occasion))",
    ] {
        let mut statement = conn.prepare(sql)?;
        let rows = statement.query_map([id], |row| row.get::<_, String>(0))?;
        for row in rows {
            eprintln!("{}", row?);
        }
    }
    Ok(())
}

/// Compares the outbox with the rows at rest.
pub fn is_complete(conn: &Conn) -> anyhow::Result<()> {
    none(
        conn,
        "an occasion is over without its event",
        "SELECT item.id || ' ' || item.status || coalesce(' ' || item.reason, '')
         FROM call_queue AS item
         WHERE item.status IN ('completed', 'failed', 'skipped')
           AND coalesce(item.reason, '') <> 'in_doubt'
           AND NOT EXISTS (SELECT 1 FROM call_attempts AS live
             WHERE live.state IN ('dialing', 'in_doubt', 'placed')
               AND (live.queue_id = item.id OR (live.customer_id = item.customer_id
                 AND live.call_type = item.call_type AND live.occasion = item.occasion)))
           AND NOT EXISTS (SELECT 1 FROM events
             WHERE item_id = item.id AND type = 'occasion.finished')",
    )?;
    none(
        conn,
        "a call ended without its event, or with many",
        "SELECT told FROM (SELECT made.id || ' ' || count(events.seq) AS told, count(events.seq) AS n
           FROM call_attempts AS made LEFT JOIN events
             ON attempt_id = made.id AND events.type = 'call.ended'
           WHERE made.state = 'ended' AND made.seq > 0 AND made.vapi_call_id IS NOT NULL
           GROUP BY made.id)
         WHERE n NOT BETWEEN 1 AND 2",
    )?;
    none(
        conn,
        "a doubt is not told",
        "SELECT made.id FROM call_attempts AS made WHERE made.state = 'in_doubt'
           AND NOT EXISTS (SELECT 1 FROM events
             WHERE attempt_id = made.id AND type = 'call.in_doubt')",
    )
}

/// Delivers everything to a receiver that fails at random, by the virtual clock.
pub fn deliver(store: &Store, dice: &mut Dice, mut now: Instant) -> anyhow::Result<()> {
    let mut heard: BTreeSet<String> = BTreeSet::new();
    loop {
        let due = store.write(|tx| outbox::take_due(tx, now, 20))?;
        if due.is_empty() {
            let left = store.read(outbox::undelivered)?;
            match (left.waiting, left.given_up) {
                (0, 0) => break,
                // Most were written days ago, so their second failure ends their three days.
                (0, _) => {
                    let all = Replay::Since(Instant::UNIX_EPOCH);
                    store.write(|tx| outbox::replay(tx, &all, now))?;
                }
                _ => now += Duration::minutes(30),
            }
            continue;
        }
        for event in &due {
            if dice.one_in(20) {
                // The receiver heard it, and the process ends before it can note that.
                heard.insert(event.id.clone());
                continue;
            }
            let outcome = if dice.one_in(3) { Err("it answered 500".to_string()) } else { Ok(()) };
            if outcome.is_ok() {
                heard.insert(event.id.clone());
            }
            store.write(|tx| outbox::end_try(tx, event, &outcome, now))?;
        }
    }
    let written = store.read(|conn| {
        let mut statement = conn.prepare("SELECT id FROM events")?;
        let ids = statement.query_map([], |row| row.get(0))?;
        Ok(ids.collect::<Result<BTreeSet<String>, _>>()?)
    })?;
    ensure!(heard == written, "EVENTS: some were never heard");
    Ok(())
}
