//! D3: before the first byte leaves, the intent is committed with `synchronous=FULL`. No
//! transaction is open while the provider is asked. A crash between the phases costs at most a call
//! and never causes a second one.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringonce::clock;
use ringonce::provider::{PlaceError, Refusal};
use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::Patience;
use ringonce::service::{Service, new_id};
use ringonce::steps::dial::intent::Intent;
use ringonce::steps::dial::record::{self, PostReply};
use ringonce::steps::dial::{self, Pass};
use ringonce::steps::scan;
use ringonce::store::{self, attempts};
use rusqlite::hooks::Wal;

use crate::world::World;

const DUE: &str = "2026-02-02T12:00:00Z";

/// A process whose one POST hangs at the fake.
fn hanging_tick(world: &World, fault: &str) -> Child {
    world.set_clock(DUE);
    world.faults(fault);
    let mut tick = world.program(&["tick"]);
    let tick = tick.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a tick");
    while world.posts().is_empty() {
        clock::pause(Duration::from_millis(10));
    }
    tick
}

#[test]
fn while_the_post_hangs_another_reader_sees_the_intent_with_its_tag() {
    for fault in ["accept-then-hang=60", "hang-before-accept=60"] {
        let world = World::with_config("timeout_secs = 60\n");
        world.daily("Ada");
        let mut tick = hanging_tick(&world, fault);
        assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 dialing"]);
        assert_eq!(world.items(), ["Ada daily 2026-02-02 processing"]);
        let tag = world.posts()[0].tag.clone().expect("a tag");
        assert_eq!(tag, format!("d-{}", world.one("SELECT id FROM call_attempts")));
        tick.kill().expect("kill -9");
        tick.wait().expect("its end");
    }
}

#[test]
fn while_the_post_hangs_another_process_can_write_at_once() {
    let world = World::with_config("timeout_secs = 60\n");
    world.daily("Ada");
    let mut tick = hanging_tick(&world, "accept-then-hang=60");
    let other = rusqlite::Connection::open(world.db()).unwrap();
    other.busy_timeout(Duration::ZERO).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE customers SET name = 'Ada B'; COMMIT").unwrap();
    assert_eq!(world.attempts(), ["Ada B daily 2026-02-02 #1 dialing"]);
    tick.kill().expect("kill -9");
    tick.wait().expect("its end");
}

#[test]
fn every_connection_waits_for_the_disk() {
    let world = World::new();
    let store = world.store();
    let synchronous = |conn: &rusqlite::Connection| {
        conn.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(store.write(|tx| Ok(synchronous(tx))).unwrap(), 2, "the writer");
    let nested = store.read(|first| {
        store.read(|second| {
            store.read(|third| Ok([synchronous(first), synchronous(second), synchronous(third)]))
        })
    });
    assert_eq!(nested.unwrap(), [2, 2, 2], "the readers");
    let mode = |conn: &rusqlite::Connection| {
        Ok(conn.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))?)
    };
    assert_eq!(store.read(mode).unwrap(), "wal");
}

#[test]
fn an_intent_that_cannot_be_written_is_not_dialed() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(DUE);
    world.sql(
        "CREATE TRIGGER no_intent BEFORE INSERT ON call_attempts
         BEGIN SELECT RAISE(ABORT, 'the disk says no'); END",
    );
    let run = world.command(&["tick"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("the disk says no"), "{run:?}");
    assert_eq!((world.posts().len(), world.attempts().len()), (0, 0));
    assert_eq!(world.items(), ["Ada daily 2026-02-02 pending"]);
    world.sql("DROP TRIGGER no_intent");
    world.tick();
    assert_eq!(world.rings().len(), 1);
}

/// Queues what is due and commits one intent.
fn claimed(service: &Service, world: &World) -> Intent {
    let now = world.now();
    scan::scan(&service.cx, now).unwrap();
    let mut id = || new_id(now);
    let claimed = dial::claim(&service.cx, &mut Pass::default(), 1, now, &mut id).unwrap();
    claimed.intents.into_iter().next().expect("one due item")
}

fn placed(service: &Service, intent: &Intent) -> PostReply {
    let committed = service.clock.read().expect("the clock");
    dial::place(service.provider.as_ref(), intent, &committed, &|| service.clock.read().ok())
}

/// Two more days of ticks.
fn live_on(world: &World) {
    for time in ["02T12:15", "02T12:45", "02T15:00", "03T12:00", "03T12:15"] {
        world.tick_at(&format!("2026-02-{time}:00Z"));
    }
}

#[test]
fn a_crash_between_claim_and_post_rings_nobody_and_does_not_stop_the_next_day() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(DUE);
    drop(claimed(&world.start(), &world));
    let restarted = world.tick();
    assert_eq!(restarted.in_doubt, 1, "{restarted:?}");
    live_on(&world);
    assert_eq!(
        world.attempts(),
        ["Ada daily 2026-02-02 #1 in_doubt", "Ada daily 2026-02-03 #1 ended answered"]
    );
    assert_eq!(
        world.items(),
        ["Ada daily 2026-02-02 failed in_doubt", "Ada daily 2026-02-03 completed"]
    );
    assert_eq!(world.one("SELECT consecutive_failures FROM customers"), "0");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_crash_between_post_and_record_is_found_at_the_next_start() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(DUE);
    let service = world.start();
    let intent = claimed(&service, &world);
    placed(&service, &intent).unwrap();
    drop(service);
    world.tick();
    live_on(&world);
    assert_eq!(
        world.attempts(),
        ["Ada daily 2026-02-02 #1 ended answered", "Ada daily 2026-02-03 #1 ended answered"]
    );
    assert_eq!(world.rings().len(), 2);
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_reply_that_comes_after_a_restart_called_it_a_doubt_still_counts() {
    let world = World::with_faults("list-empty");
    world.daily("Ada");
    world.set_clock(DUE);
    let service = world.start();
    let intent = claimed(&service, &world);
    let reply = placed(&service, &intent);
    world.tick();
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 in_doubt"]);
    record::record(&service.cx, &intent, &reply, world.now()).unwrap();
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 placed"]);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
    assert_eq!(world.one("SELECT last_call_date FROM customers"), "2026-02-02");
}

#[test]
fn a_kill_at_any_moment_of_a_tick_costs_at_most_a_call() {
    // The number of POSTs that reached the fake decides when to kill, not time.
    for (seen, fault) in
        [(0, ""), (1, "latency=200"), (2, "accept-then-hang=60"), (3, "latency=50")]
    {
        let world = World::with_config("timeout_secs = 60\n");
        for name in ["Ada", "Bob", "Cyd", "Dan"] {
            world.daily(name);
        }
        world.set_clock(DUE);
        world.faults(fault);
        let mut tick = world.program(&["tick"]);
        let mut tick = tick.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a tick");
        let may_hang = if fault.contains("hang") { 1 } else { seen };
        while world.posts().len() < may_hang && tick.try_wait().expect("a child").is_none() {
            clock::pause(Duration::from_millis(1));
        }
        tick.kill().expect("kill -9");
        tick.wait().expect("its end");
        world.faults("");
        world.tick();
        live_on(&world);
        let today = "occasion = '2026-02-02' AND state IN ('ended', 'in_doubt')";
        let accounted = format!("SELECT count(*) FROM call_attempts WHERE {today}");
        assert_eq!(world.count(&accounted), 4, "{fault}: {:?}", world.attempts());
        let rang =
            world.rings().iter().filter(|r| r.occasion.as_deref() == Some("2026-02-02")).count();
        let ended = world.count(&format!("{accounted} AND state = 'ended'"));
        assert_eq!(rang as i64, ended, "{fault}: {:?}", world.attempts());
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn an_intent_older_than_five_seconds_is_not_sent() {
    let cases: [(i64, bool); 5] = [(0, true), (5, true), (6, false), (3600, false), (-3, false)];
    for (seconds, sent) in cases {
        let world = World::new();
        world.daily("Ada");
        world.set_clock(DUE);
        let service = world.start();
        let intent = claimed(&service, &world);
        let committed = service.clock.read().unwrap();
        world.pass(chrono::Duration::seconds(seconds));
        let read = || service.clock.read().ok();
        let reply = dial::place(service.provider.as_ref(), &intent, &committed, &read);
        assert_eq!(world.posts().len(), usize::from(sent), "{seconds} s");
        if sent {
            continue;
        }
        let stale = matches!(&reply, Err(PlaceError::NotPlaced { refusal: Refusal::Stale, .. }));
        assert!(stale, "{seconds} s: {reply:?}");
        record::record(&service.cx, &intent, &reply, world.now()).unwrap();
        drop(service);
        assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 not_placed"]);
        assert_eq!(world.one("SELECT status || attempts FROM call_queue"), "pending0");
    }
}

#[test]
fn a_clock_that_cannot_be_read_sends_nothing() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(DUE);
    let service = world.start();
    let intent = claimed(&service, &world);
    let committed = service.clock.read().unwrap();
    let reply = dial::place(service.provider.as_ref(), &intent, &committed, &|| None);
    assert!(reply.is_err());
    assert_eq!(world.posts().len(), 0);
}

#[test]
fn an_intent_says_everything_that_finds_its_call_again() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(DUE);
    let service = world.start();
    let intent = claimed(&service, &world);
    let stored = service.cx.store.read(|conn| attempts::by_id(conn, &intent.attempt.id)).unwrap();
    let stored = stored.expect("a committed row");
    let order = &intent.order;
    assert_eq!(order.tag, format!("d-{}", stored.id));
    assert_eq!((order.seq, order.attempt_no), (stored.seq, stored.attempt_no));
    assert_eq!(order.installation_id, service.cx.installation.id);
    assert_eq!(Some(&order.phone), stored.phone.as_ref());
    assert_eq!(
        (&order.customer_key, &order.occasion),
        (&stored.customer_key, &stored.occasion),
        "the order is built from the committed row"
    );
    placed(&service, &intent).unwrap();
    let call = service.provider.list(world.now() - chrono::Duration::hours(1)).unwrap().calls;
    assert_eq!(call[0].tags().collect::<Vec<_>>(), [order.tag.as_str(); 3]);
    assert_eq!(call[0].seq, Some(stored.seq));
}

/// The next commit of the connection with [`fail_a_commit`] succeeds and returns an error.
static FAIL_THE_NEXT_COMMIT: AtomicBool = AtomicBool::new(false);

fn fail_a_commit(_: &Wal, _: i32) -> rusqlite::Result<()> {
    match FAIL_THE_NEXT_COMMIT.swap(false, Ordering::SeqCst) {
        false => Ok(()),
        true => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
            Some("the disk said so after the commit was written".to_string()),
        )),
    }
}

#[test]
fn the_dialer_disowns_intents_whose_commit_failed_and_was_written_all_the_same() {
    let world = World::new();
    world.daily("Ada");
    world.daily("Bob");
    world.set_clock(DUE);
    let service = world.start();
    scan::scan(&service.cx, world.now()).unwrap();
    let watched = service.cx.store.write(|tx| {
        tx.wal_hook(Some(fail_a_commit));
        Ok(())
    });
    watched.unwrap();
    let patience = Patience { pace: false, record: Duration::ZERO };
    let mut dialer = Dialer::new(&service, patience, world.now()).unwrap();
    FAIL_THE_NEXT_COMMIT.store(true, Ordering::SeqCst);
    let error = dialer.pass(&mut |_| Ok(None)).unwrap_err();
    assert!(store::is_uncertain_commit(&error), "{error:#}");
    assert!(world.posts().is_empty(), "nothing is posted for an intent that may not be there");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 not_placed"]);
    let waiting = ["Ada daily 2026-02-02 pending", "Bob daily 2026-02-02 pending"];
    assert_eq!(world.items(), waiting, "no byte was sent, so nobody is in doubt");
    drop(service);
    world.tick();
    assert_eq!(world.attempts()[1], "Ada daily 2026-02-02 #2 ended answered");
    assert_eq!(world.rings().len(), 2);
    world.assert_no_phone_rang_twice();
}
