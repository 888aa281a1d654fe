//! Checks the promise against the provider's truth and the file, after each step and completely at
//! the end of a life. It never asks the program whether it did well.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, bail, ensure};
use chrono::{Duration, NaiveDate};
use ringonce::domain::call::CallType;
use ringonce::domain::{Instant, instant_text, parse_instant};
use ringonce::steps::dial::intent::Intent;
use ringonce::store::{Conn, Store};

use crate::calls::{Call, permits_another};
use crate::people::Person;
use crate::vapi::World;

/// The longest time between an intent and its first byte, plus some tolerance for the clock.
const SLACK: Duration = Duration::seconds(6);
const WELCOME_DELAY: Duration = Duration::minutes(20);
const AT_ITS_TIME: Duration = Duration::minutes(30);
const ANY_GAP: Duration = Duration::minutes(60);

/// All rings, by customer and by number.
#[derive(Default)]
pub struct Book {
    by_occasion: HashMap<(String, CallType, String), Vec<usize>>,
    by_number: HashMap<(String, CallType, String), Vec<usize>>,
    last_to_number: HashMap<String, Instant>,
    last_to_customer: HashMap<String, Instant>,
    /// Numbers of erased people who had been welcomed before their time in this file.
    pub welcomed: HashSet<String>,
    /// Occasions that another system called for, according to its export.
    pub told: HashSet<(String, CallType, String)>,
    pub rings: u64,
    pub doubled: u64,
}

impl Book {
    /// A call was created. It may ring only if nothing rang before it, or if the earlier ending
    /// permits it.
    pub fn enter(&mut self, world: &World, index: usize) -> anyhow::Result<()> {
        let call = &world.calls[index];
        if !call.rings {
            return Ok(());
        }
        self.rings += 1;
        if call.is_double {
            self.doubled += 1;
            return Ok(());
        }
        let order = &call.order;
        let key = (order.customer_key.clone(), order.call_type, order.occasion.clone());
        if call.by_hand.is_some() {
            return Ok(());
        }
        if self.told.contains(&key) {
            bail!("DUPLICATE: {} rang, and another system had called", told(call));
        }
        let before = self.by_occasion.entry(key).or_default();
        for earlier in before.iter().map(|index| &world.calls[*index]) {
            let over = earlier.ended_at <= call.posted_at;
            if !over || !permits_another(earlier) || 1 < before.len() {
                bail!("DUPLICATE: {} rang after {}", told(call), told(earlier));
            }
        }
        before.push(index);
        let number = (order.phone.clone(), order.call_type, order.occasion.clone());
        let others = self.by_number.entry(number).or_default();
        for earlier in others.iter().map(|index| &world.calls[*index]) {
            // Calls from elsewhere were judged at the intent, by what the file could know then.
            let is_ours = !earlier.is_from_elsewhere(&order.installation_id);
            if is_ours && earlier.order.customer_key != order.customer_key {
                bail!("DUPLICATE at one number: {} rang after {}", told(call), told(earlier));
            }
        }
        if order.call_type == CallType::Welcome && self.welcomed.contains(&order.phone) {
            bail!("DUPLICATE: {} rang, and an erased person there had been welcomed", told(call));
        }
        others.push(index);
        self.last_to_number.insert(order.phone.clone(), call.posted_at);
        self.last_to_customer.insert(order.customer_key.clone(), call.posted_at);
        Ok(())
    }

    /// The file is lost, and no list may show its last calls yet.
    pub fn forget_distances(&mut self) {
        self.last_to_number.clear();
        self.last_to_customer.clear();
    }

    /// Checks that an intent, committed at the true instant `now`, may ring.
    pub fn intent(
        &self,
        conn: &Conn,
        intent: &Intent,
        person: &Person,
        now: Instant,
    ) -> anyhow::Result<()> {
        let attempt = &intent.attempt;
        let what = format!("{} {} of customer {}", attempt.call_type, attempt.occasion, person.id);
        let wish = person.wish();
        ensure!(wish.eligible(), "{what}: an unpaid or paused customer is dialed");
        ensure!(intent.order.phone == person.phone, "{what}: an old number is dialed");
        if let Some(last) = self.last_to_number.get(&person.phone) {
            ensure!(ANY_GAP - SLACK <= now - *last, "{what}: the number was called just before");
        }
        if let Some(last) = self.last_to_customer.get(&attempt.customer_key) {
            ensure!(ANY_GAP - SLACK <= now - *last, "{what}: the customer was called just before");
        }
        let scheduled: String = conn
            .prepare_cached("SELECT scheduled_for FROM call_queue WHERE id = ?1")?
            .query_one([attempt.queue_id], |row| row.get(0))?;
        let scheduled = parse_instant(&scheduled).context("an instant")?;
        ensure!(scheduled <= now + Duration::seconds(2), "{what}: dialed too early");
        match attempt.call_type {
            CallType::Welcome => {
                let first = person.created_at + WELCOME_DELAY;
                ensure!(first <= now + Duration::seconds(2), "{what}: welcomed too early");
                ensure!(wish.in_window(now), "{what}: welcomed outside the window");
            }
            CallType::Extra => {
                let in_window = wish.in_window(now) || wish.in_window(now - SLACK);
                ensure!(in_window, "{what}: an extra call outside the window");
            }
            CallType::Daily => {
                let date: NaiveDate = attempt.occasion.parse()?;
                // A call made after a restored backup gets its item from the provider's records.
                let first = "SELECT EXISTS (SELECT 1 FROM call_attempts
                     WHERE customer_id = ?1 AND occasion = ?2 AND created_at = ?3)";
                let values = (attempt.customer_id, &attempt.occasion, instant_text(scheduled));
                let was_made_then: bool =
                    conn.prepare_cached(first)?.query_one(values, |row| row.get(0))?;
                ensure!(
                    person.ever_wanted(date, scheduled) || was_made_then,
                    "{what}: scheduled for {}, which nobody chose",
                    instant_text(scheduled)
                );
                let at_its_time = now <= scheduled + AT_ITS_TIME + SLACK;
                let in_window = wish.in_window(now) || wish.in_window(now - SLACK);
                ensure!(at_its_time || in_window, "{what}: dialed outside the window");
            }
        }
        Ok(())
    }
}

/// Checks an intent of the present file after a list has shown a call from elsewhere to the same
/// number. A welcome call may no longer ring, nor the daily call of that local date.
pub fn after_elsewhere(world: &World, intent: &Intent, person: &Person) -> anyhow::Result<()> {
    let order = &intent.order;
    let shown = world.shown.iter().map(|index| &world.calls[*index]);
    for earlier in shown.filter(|call| call.is_from_elsewhere(&order.installation_id)) {
        if !earlier.rings || earlier.order.phone != order.phone {
            continue;
        }
        let distance = world.now - earlier.created_at;
        ensure!(
            ANY_GAP - SLACK <= distance,
            "dialed just after {}, which was shown",
            told(earlier)
        );
        let its_date = person.wish().date(earlier.created_at).to_string();
        let was_for = earlier.stripped == 0 && earlier.order.occasion == order.occasion;
        let is_same = match order.call_type {
            CallType::Welcome => true,
            CallType::Daily => its_date == order.occasion || was_for,
            CallType::Extra => false,
        };
        ensure!(
            !is_same,
            "DUPLICATE: {} {} of customer {} is dialed after {}, which was shown",
            order.call_type,
            order.occasion,
            person.id,
            told(earlier)
        );
    }
    Ok(())
}

fn told(call: &Call) -> String {
    let order = &call.order;
    format!(
        "{} ({} {} of {}, attempt {}, posted {}, made {}, {})",
        call.id,
        order.call_type,
        order.occasion,
        order.customer_key,
        order.attempt_no,
        instant_text(call.posted_at),
        instant_text(call.created_at),
        call.reason
    )
}

/// Records the moves that need evidence, inside the file's own connection.
pub fn watch(conn: &Conn) -> anyhow::Result<()> {
    // A restored connection is not opened by the store, so it is set up here.
    conn.set_prepared_statement_cache_capacity(256);
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.execute_batch(
        "CREATE TEMP TABLE seen (what TEXT, subject TEXT, became TEXT);
         CREATE TEMP TRIGGER doubt_left AFTER UPDATE OF state ON main.call_attempts
           WHEN OLD.state <> NEW.state AND (OLD.state IN ('in_doubt', 'not_placed')
             OR NEW.state = 'not_placed')
         BEGIN INSERT INTO seen VALUES (OLD.state, NEW.id, NEW.state); END;
         CREATE TEMP TRIGGER flag_cleared AFTER UPDATE ON main.customers
           WHEN NEW.welcome_call_completed < OLD.welcome_call_completed
             OR coalesce(NEW.last_call_date, '') < coalesce(OLD.last_call_date, '')
         BEGIN INSERT INTO seen VALUES ('flag', NEW.id, ''); END;
         CREATE TEMP TRIGGER disabled AFTER UPDATE OF call_status ON main.customers
           WHEN NEW.call_status = 'disabled' AND OLD.call_status <> 'disabled'
         BEGIN INSERT INTO seen VALUES ('disabled', NEW.id, ''); END;",
    )?;
    Ok(())
}

/// The moves recorded since the last request: what, subject, became.
pub fn noted(store: &Store) -> anyhow::Result<Vec<(String, String, String)>> {
    store.read(|conn| {
        let mut statement = conn.prepare_cached("SELECT what, subject, became FROM seen")?;
        let found: Vec<(String, String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        if !found.is_empty() {
            conn.execute("DELETE FROM seen", [])?;
        }
        Ok(found)
    })
}

/// At rest nothing is stuck, every flag is set, and the ledger knows every call.
pub fn at_rest(conn: &Conn, world: &World, now: Instant) -> anyhow::Result<()> {
    let count = |sql: &str| -> anyhow::Result<i64> {
        Ok(conn.query_one(sql, [instant_text(now - Duration::hours(26))], |row| row.get(0))?)
    };
    for (what, sql) in [
        (
            "live attempts",
            "SELECT count(*) FROM call_attempts WHERE state IN ('dialing', 'in_doubt', 'placed') AND created_at < ?1",
        ),
        (
            "items in processing",
            "SELECT count(*) FROM call_queue WHERE status = 'processing' AND created_at < ?1",
        ),
        (
            "open daily items of past days",
            "SELECT count(*) FROM call_queue WHERE status IN ('pending', 'retrying') AND call_type = 'daily' AND scheduled_for < ?1",
        ),
        (
            "ended items without a reason",
            "SELECT count(*) FROM call_queue WHERE status IN ('failed', 'skipped') AND reason IS NULL AND ?1 <> ''",
        ),
        (
            "placed attempts without a flag",
            "SELECT count(*) FROM call_attempts AS made JOIN customers AS who ON who.id = made.customer_id WHERE made.state IN ('placed', 'ended') AND ?1 <> '' AND ((made.call_type = 'welcome' AND who.welcome_call_completed = 0) OR (made.call_type = 'daily' AND coalesce(who.last_call_date, '') < made.occasion))",
        ),
    ] {
        let found = count(sql)?;
        ensure!(found == 0, "at rest there are {found} {what}");
    }
    let ours = ringonce::store::meta::installation::installation(conn)?.id;
    // Lists that the file applied may have lacked another database's call. The file does not ask
    // for such a call.
    let is_owed = |index: &usize| {
        let call = &world.calls[*index];
        !call.is_from_elsewhere(&ours) || (call.rings && world.shown.contains(index))
    };
    let owed = (0..world.calls.len()).filter(is_owed).map(|index| &world.calls[index]);
    for call in owed.filter(|call| !call.is_double) {
        let known: bool = conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM call_attempts WHERE vapi_call_id = ?1)
                   OR EXISTS (SELECT 1 FROM second_calls WHERE vapi_call_id = ?1)
                   OR EXISTS (SELECT 1 FROM calls_elsewhere WHERE vapi_call_id = ?1)",
            )?
            .query_one([&call.id], |row| row.get(0))?;
        // A call without any tag, or from an account whose key was given up, cannot be matched. Its
        // attempt must still count.
        let counts: bool = conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM call_attempts
                   WHERE id = ?1 AND state IN ('placed', 'ended'))",
            )?
            .query_one([call.attempt_id()], |row| row.get(0))?;
        let recent = now - Duration::hours(2) < call.created_at;
        let fine = known || recent || (call.cannot_be_known(world.account) && counts);
        ensure!(fine, "the ledger does not know {}", told(call));
    }
    Ok(())
}

/// Checks that every occasion that fell due has its one terminal row. `people` computes the due
/// occasions independently.
pub fn nothing_lost(
    conn: &Conn,
    person: &Person,
    from: Instant,
    until: Instant,
) -> anyhow::Result<()> {
    let mut since = from.max(person.loose_until);
    if !person.old {
        let Some(welcomed) = welcomed_at(conn, person, until)? else { return Ok(()) };
        since = since.max(welcomed + Duration::hours(25));
    }
    let mut date = person.wish_at(since).date(since);
    loop {
        let slot = person.wish_at(since).slot(date);
        if until <= slot {
            return Ok(());
        }
        if since <= slot && person.wish_at(slot).eligible() {
            let status: Option<String> = conn
                .prepare_cached(
                    "SELECT max(status) FROM call_queue
                     WHERE customer_id = ?1 AND call_type = 'daily' AND occasion = ?2",
                )?
                .query_one(rusqlite::params![person.id, date.to_string()], |row| row.get(0))?;
            let status = status.as_deref().unwrap_or("missing");
            if status == "missing" && std::env::var_os("SIM_TRACE").is_some() {
                tell_all(conn, person)?;
            }
            ensure!(
                ["completed", "failed", "skipped"].contains(&status),
                "LOST: the daily call {date} of customer {} ({:?} {}) is {status}",
                person.id,
                person.wish().time,
                person.wish().zone
            );
        }
        date = date.succ_opt().context("a date")?;
    }
}

/// When the welcome call of a new customer ended; an error if it is lost.
fn welcomed_at(conn: &Conn, person: &Person, until: Instant) -> anyhow::Result<Option<Instant>> {
    let found: Option<(String, String)> = conn
        .prepare_cached(
            "SELECT max(status), max(coalesce(processed_at, '')) FROM call_queue
             WHERE customer_id = ?1 AND call_type = 'welcome'",
        )?
        .query_one([person.id], |row| Ok(row.get(0).ok().zip(row.get(1).ok())))?;
    let always = person.wishes.iter().all(|wish| wish.eligible());
    let fell_due = person.created_at.max(person.loose_until) + Duration::hours(26) < until;
    match found {
        Some((status, at)) if ["completed", "failed", "skipped"].contains(&status.as_str()) => {
            Ok(parse_instant(&at))
        }
        other => {
            if always && fell_due && std::env::var_os("SIM_TRACE").is_some() {
                tell_all(conn, person)?;
            }
            ensure!(
                !always || !fell_due,
                "LOST: the welcome call of customer {} is {other:?}",
                person.id
            );
            Ok(None)
        }
    }
}

/// Prints everything the file holds about one customer, for a person who replays a seed.
fn tell_all(conn: &Conn, person: &Person) -> anyhow::Result<()> {
    eprintln!("{person:?}");
    for sql in [
        "SELECT concat_ws(' ', timezone, call_time, payment_status, call_status, welcome_call_completed, next_call_scheduled_at, last_call_date, eligible_from) FROM customers WHERE id = ?1",
        "SELECT concat_ws(' ', 'journal', who, what, subject, old, new, why, at) FROM journal WHERE subject IN ('customer:' || ?1, 'customer:' || (SELECT key FROM customers WHERE id = ?1))",
        "SELECT concat_ws(' ', 'meta', meta.key, value) FROM meta JOIN customers ON meta.key = 'pause:customer:' || customers.key WHERE id = ?1",
        "SELECT concat_ws(' ', 'item', id, occasion, scheduled_for, status, reason, created_at, updated_at, expires_at, not_before) FROM call_queue WHERE customer_id = ?1",
        "SELECT concat_ws(' ', 'attempt', occasion, attempt_no, state, disposition, created_at, updated_at, error_message) FROM call_attempts WHERE customer_id = ?1",
    ] {
        let mut statement = conn.prepare(sql)?;
        let lines = statement.query_map([person.id], |row| row.get::<_, String>(0))?;
        for line in lines {
            eprintln!("{}", line?);
        }
    }
    Ok(())
}
