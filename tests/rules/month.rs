//! A simulated month: real steps on a database in memory, a provider with realistic endings, and
//! one clock. The totals must equal those that `month_oracle` computes without any of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::Duration;
use ringonce::clock::{Reading, TEST_BOOT_ID};
use ringonce::config::settings::Config;
use ringonce::domain::Instant;
use ringonce::domain::calendar::schedule::Rhythm;
use ringonce::domain::call::{AttemptState, CallType, Disposition};
use ringonce::domain::customer::entry::{CustomerEntry, EntryPhone};
use ringonce::provider::{
    Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ProviderCall, ReadError,
};
use ringonce::service::new_id;
use ringonce::steps::dial::{self, Pass, record};
use ringonce::steps::{Context, follow, scan};
use ringonce::store::meta::pauses;
use ringonce::store::{Conn, Store, attempts, customers, queue};
use ringonce::zones::Zones;

use crate::inner_loop::sized;
use crate::month_oracle::{self as oracle, CLOSED_FROM, CLOSED_UNTIL, FEAST, LAST, Plan};
use crate::world::at;

/// In 20 zones.
const PEOPLE: usize = 500;
const FEWER_PEOPLE: usize = 160;
/// The last date of March is over in the last of the zones.
const UNTIL: &str = "2026-04-01T12:00:00Z";
/// American clocks change one week after this date, European clocks four weeks after it.
pub const FIRST: &str = "2026-03-01T00:00:00Z";

/// A provider in this process: every call ends as its plan prescribes.
struct Book {
    plans: BTreeMap<String, Plan>,
    calls: Mutex<BTreeMap<String, ProviderCall>>,
    now: Mutex<Instant>,
}

impl Provider for Book {
    fn place(
        &self,
        order: &PlaceOrder,
        may_send: &(dyn Fn() -> bool + Sync),
    ) -> Result<Accepted, PlaceError> {
        assert!(may_send(), "nothing waits here");
        let (how, lasts) =
            self.plans[&order.customer_key].ending(&order.occasion, order.attempt_no);
        let now = *self.now.lock().expect("no panic");
        let call = ProviderCall {
            id: format!("call-{}", order.tag),
            name: Some(order.tag.clone()),
            status: Some("ended".to_string()),
            ended_reason: Some(oracle::reason(how).to_string()),
            started_at: Some(now),
            ended_at: Some(now + lasts),
            ..ProviderCall::default()
        };
        let mut calls = self.calls.lock().expect("no panic");
        assert!(calls.insert(call.id.clone(), call.clone()).is_none(), "one POST an attempt");
        let told = ProviderCall { status: Some("queued".to_string()), ended_reason: None, ..call };
        Ok(Accepted { call: Some(told), date: Some(now) })
    }

    fn get(&self, call_id: &str) -> Result<Fetched, ReadError> {
        let calls = self.calls.lock().expect("no panic");
        let mut call = calls.get(call_id).cloned().ok_or(ReadError::NotFound)?;
        if call.ended_at > Some(*self.now.lock().expect("no panic")) {
            call.status = Some("in-progress".to_string());
        }
        Ok(Fetched { call, date: None })
    }

    fn list(&self, _since: Instant) -> Result<Listing, ReadError> {
        Err(ReadError::Unavailable("nobody asks".to_string()))
    }
}

/// One instant: applies what has ended, then queues and dials what is due.
fn step(cx: &Context, book: &Book, now: Instant, scans: bool) {
    *book.now.lock().expect("no panic") = now;
    let placed = cx.store.read(|conn| attempts::in_state(conn, AttemptState::Placed));
    for attempt in placed.expect("the ledger") {
        follow::poll(cx, book, &attempt, now).expect("followed");
    }
    if scans {
        scan::scan(cx, now).expect("a scan");
    }
    let reading =
        Reading { now, monotonic_ms: now.timestamp_millis(), boot_id: TEST_BOOT_ID.to_string() };
    let mut pass = Pass::default();
    loop {
        let claimed = dial::claim(cx, &mut pass, 1000, now, &mut || new_id(now)).expect("a claim");
        let replies: Vec<_> = claimed
            .intents
            .into_iter()
            .map(|intent| {
                let reply = dial::place(book, &intent, &reading, &|| Some(reading.clone()));
                (intent, reply)
            })
            .collect();
        record::record_all(cx, &replies, now).expect("recorded");
        if claimed.exhausted {
            return;
        }
    }
}

fn run_month(cx: &Context, book: &Book) {
    let (first, quarter) = (at(FIRST), Duration::minutes(15));
    let mut now = first;
    let mut next_scan = first;
    while now < at(UNTIL) {
        let scans = next_scan <= now;
        if scans {
            next_scan = now + quarter;
        }
        step(cx, book, now, scans);
        let due = cx.store.read(|conn| queue::next_due(conn, now)).expect("the queue");
        now = due.into_iter().chain([next_scan]).min().expect("a scan");
        if at(CLOSED_FROM) <= now && now < at(CLOSED_UNTIL) {
            (now, next_scan) = (at(CLOSED_UNTIL), at(CLOSED_UNTIL));
        }
    }
}

/// Adds a person to the database and returns their key.
fn add(cx: &Context, plan: &Plan) -> String {
    let entry = CustomerEntry {
        external_id: Some(format!("p-{}", plan.number)),
        phone: Some(EntryPhone { e164: plan.phone(), valid: true, error: None }),
        timezone: Some(plan.zone.to_string()),
        call_time: Some(Some(plan.time.format("%H:%M").to_string())),
        payment_status: Some(if plan.paid { "Paid" } else { "Pending" }.to_string()),
        ..CustomerEntry::default()
    };
    let mut customer = entry.new_customer(plan.signed_up).expect("a customer");
    customer.welcome_call_completed = plan.welcomed;
    let rhythm = Rhythm::of(customer.call_time.as_deref(), None).expect("a time").expect("daily");
    let zone = cx.zones.get(plan.zone).expect("a zone");
    let just_before = plan.signed_up - Duration::milliseconds(1);
    customer.next_call_scheduled_at =
        rhythm.next_slot(&zone, just_before, None, |_| true).map(|(_, at)| at);
    let stopped = plan.listed.then(|| plan.phone());
    let pause = pauses::Pause {
        who: "Pat".to_string(),
        why: "away".to_string(),
        since: FIRST.to_string(),
        ..Default::default()
    };
    cx.store
        .write(|tx| {
            let id = customers::insert(tx, &customer)?;
            let key = customers::by_id(tx, id)?.expect("just written").key;
            if let Some(phone) = stopped {
                tx.execute(
                    "INSERT INTO do_not_call VALUES (?1, 'asked', 'test', ?2)",
                    [&phone, FIRST],
                )?;
            }
            if plan.paused {
                pauses::set_pause(tx, &format!("customer:{key}"), &pause)?;
            }
            Ok(key)
        })
        .expect("a customer")
}

/// How often each text occurs in the first column of a query.
fn totals(conn: &Conn, query: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut statement = conn.prepare(query)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[test]
fn a_simulated_month_has_the_totals_that_are_worked_out_without_it() {
    let store = Store::in_memory(at(FIRST)).expect("a store");
    let mut config = Config::default();
    config.vapi.phone_number_id = Some("our-number".to_string());
    config.vapi.assistant_id = Some("our-assistant".to_string());
    let zones = Arc::new(Zones::bundled_only());
    let cx = Context::new(Arc::new(store), config, zones).expect("a context");
    cx.store
        .write(|tx| Ok(tx.execute("INSERT INTO holidays VALUES ('*', ?1, 'a feast')", [FEAST])?))
        .expect("a holiday");
    let plans: Vec<Plan> = (0..sized(FEWER_PEOPLE, PEOPLE)).map(oracle::plan).collect();
    let keys: Vec<String> = plans.iter().map(|plan| add(&cx, plan)).collect();
    let book = Book {
        plans: keys.into_iter().zip(plans.clone()).collect(),
        calls: Mutex::default(),
        now: Mutex::new(at(FIRST)),
    };
    run_month(&cx, &book);

    let read = |query: &str| cx.store.read(|conn| totals(conn, query)).expect("totals");
    let expected = oracle::month(&plans);
    let counted = format!("call_type = 'welcome' OR occasion <= '{LAST}'");
    let items = read(&format!(
        "SELECT call_type || ' ' || status || coalesce(' ' || reason, ''), count(*)
         FROM call_queue WHERE {counted} GROUP BY 1",
    ));
    let endings = read(&format!(
        "SELECT call_type || ' #' || attempt_no || ' ' || coalesce(disposition, state), count(*)
         FROM call_attempts WHERE {counted} GROUP BY 1",
    ));
    println!("{items:#?}\n{endings:#?}");
    assert_eq!(endings, expected.endings);
    assert_eq!(items, expected.items);
    for reason in ["holiday", "do_not_call", "same_phone", "paused", "too_late"] {
        assert!(items.keys().any(|text| text.ends_with(reason)), "{reason}: {items:?}");
    }
    for kind in [CallType::Welcome, CallType::Daily] {
        let made = endings.iter().filter(|(text, _)| text.starts_with(kind.as_str()));
        assert!(sized(1, 15) < made.map(|(_, count)| count).sum::<usize>(), "{endings:?}");
    }
    for how in Disposition::ALL {
        assert!(endings.keys().any(|text| text.ends_with(how.as_str())), "{how}: {endings:?}");
    }
}
