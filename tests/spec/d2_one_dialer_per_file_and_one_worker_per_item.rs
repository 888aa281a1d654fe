//! D2: one dialer per file by a kernel lock, one worker per item by a claim under `BEGIN
//! IMMEDIATE`. The claim is safe without the lock.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Barrier;

use ringonce::clock;
use ringonce::demo::fake_vapi::core::Setup;
use ringonce::service::new_id;
use ringonce::steps::dial::intent::Intent;
use ringonce::steps::dial::{self, Pass};
use ringonce::steps::scan;
use ringonce::store::file::lock::{DialerLock, LockAnswer};
use ringonce::store::file::side_files::beside;

use crate::world::{World, quick, run_of};

/// Lines and pace are so high that no call waits.
const WIDE: &str = "[dialing]\nworkers = 16\nmax_active_calls = 200\ncalls_per_minute = 10000\n\
    [follow]\nrequests_per_minute = 1000\n";

fn wide(faults: &str) -> World {
    let faults = faults.parse().expect("faults");
    World::with(Setup { concurrency_limit: 300, faults, ..quick() }, WIDE)
}

fn with_daily_customers(world: &World, count: usize) {
    let prepared = world.customer("Ada").in_zone("America/New_York").at("07:00").paid().welcomed();
    let first = prepared.add();
    world.sql(&format!(
        "WITH RECURSIVE n(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
         INSERT INTO customers (name, phone, phone_validated, timezone, call_time, payment_status,
           welcome_call_completed, next_call_scheduled_at, created_at, updated_at)
         SELECT 'Customer ' || n, printf('+4420794%05d', 60000 + n), 1, timezone, call_time,
           payment_status, 1, next_call_scheduled_at, created_at, updated_at
         FROM customers, n WHERE id = {first}"
    ));
}

#[test]
fn fifty_ticks_at_once_on_two_hundred_due_customers_place_two_hundred_calls() {
    let world = wide("");
    with_daily_customers(&world, 200);
    world.set_clock("2026-02-02T12:00:00Z");
    let ticks: Vec<_> = (0..50)
        .map(|_| {
            let mut tick = world.program(&["tick", "--json"]);
            tick.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a tick")
        })
        .collect();
    let runs: Vec<_> =
        ticks.into_iter().map(|tick| run_of(tick.wait_with_output().expect("its end"))).collect();
    let mut placed = 0;
    for run in runs {
        assert_eq!(run.code, Some(0), "{run:?}");
        placed += run.json()["succeeded"].as_u64().expect("a number");
    }
    assert_eq!(placed, 200);
    assert_eq!(world.rings().len(), 200);
    assert_eq!(world.posts().len(), 200);
    let numbers: BTreeSet<String> = world.rings().into_iter().map(|ring| ring.number).collect();
    assert_eq!(numbers.len(), 200);
    assert_eq!(world.count("SELECT count(*) FROM call_queue WHERE status = 'completed'"), 200);
    world.assert_no_phone_rang_twice();
}

#[test]
fn claims_by_eight_threads_with_their_own_connections_never_share_an_item() {
    let world = wide("");
    with_daily_customers(&world, 60);
    world.set_clock("2026-02-02T12:00:00Z");
    let now = world.now();
    scan::scan(&world.context(), now).unwrap();
    let contexts: Vec<_> = (0..8).map(|_| world.context()).collect();
    let together = Barrier::new(contexts.len());
    let claimed: Vec<Intent> = std::thread::scope(|scope| {
        let workers: Vec<_> = contexts
            .iter()
            .map(|cx| {
                let together = &together;
                scope.spawn(move || {
                    let (mut pass, mut mine) = (Pass::default(), Vec::new());
                    together.wait();
                    loop {
                        let mut id = || new_id(now);
                        let claimed = dial::claim(cx, &mut pass, 2, now, &mut id).unwrap();
                        mine.extend(claimed.intents);
                        if claimed.exhausted {
                            return mine;
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    let items: BTreeSet<_> = claimed.iter().filter_map(|intent| intent.attempt.queue_id).collect();
    let seqs: BTreeSet<_> = claimed.iter().map(|intent| intent.attempt.seq).collect();
    assert_eq!((claimed.len(), items.len(), seqs.len()), (60, 60, 60));
    assert_eq!(world.count("SELECT count(*) FROM call_attempts WHERE state = 'dialing'"), 60);
    assert_eq!(world.count("SELECT max(attempts) FROM call_queue"), 1);
}

#[test]
fn an_item_that_another_worker_took_is_not_taken_again() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock("2026-02-02T12:00:00Z");
    let (first, second) = (world.context(), world.context());
    let now = world.now();
    scan::scan(&first, now).unwrap();
    let mut id = || new_id(now);
    let taken = dial::claim(&first, &mut Pass::default(), 5, now, &mut id).unwrap();
    let left = dial::claim(&second, &mut Pass::default(), 5, now, &mut id).unwrap();
    assert_eq!((taken.intents.len(), left.intents.len()), (1, 0));
    assert_eq!(world.items(), ["Ada daily 2026-02-02 processing"]);
}

#[test]
fn a_lock_file_that_is_deleted_while_ticks_run_makes_nobody_ring_twice() {
    let world = wide("latency=40");
    with_daily_customers(&world, 40);
    world.set_clock("2026-02-02T12:00:00Z");
    let lock = beside(&world.db(), ".lock");
    let mut ticks = Vec::new();
    for _ in 0..6 {
        let mut tick = world.program(&["tick"]);
        ticks.push(tick.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a tick"));
        // This pause only makes overlapping ticks likely; the test asserts nothing about time.
        clock::pause(std::time::Duration::from_millis(60));
        let _ = std::fs::remove_file(&lock);
    }
    for mut tick in ticks {
        tick.wait().expect("its end");
    }
    world.faults("");
    world.tick();
    assert_eq!(world.rings().len(), 40);
    assert_eq!(world.count("SELECT count(*) FROM call_attempts WHERE state = 'ended'"), 40);
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_second_tick_says_who_runs_and_ends_well_and_a_second_run_ends_with_4() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock("2026-02-02T12:00:00Z");
    let LockAnswer::Mine(lock) = DialerLock::take(&world.db(), world.now()).unwrap() else {
        panic!("nobody else dials");
    };
    let me = format!("pid {} on ", std::process::id());
    let tick = world.command(&["tick"]);
    assert_eq!(tick.code, Some(0), "{tick:?}");
    assert!(
        tick.stdout.contains(&me) && tick.stdout.contains("since 2026-02-02T12:00"),
        "{tick:?}"
    );
    let tick = world.command(&["tick", "--json"]);
    assert!(tick.json()["refused"].as_str().is_some_and(|why| why.contains(&me)), "{tick:?}");
    let run = world.command(&["run"]);
    assert_eq!(run.code, Some(4), "{run:?}");
    assert!(run.stderr.contains(&me) && run.stderr.lines().count() == 1, "{run:?}");
    assert_eq!(world.posts().len(), 0);

    // It takes no lock of the database: beside a busy dialer it might never get one.
    let busy = world.connection();
    busy.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(world.command(&["tick"]).code, Some(0));
    drop(busy);

    // Reads and edits work beside the dialer.
    assert_eq!(world.command(&["customers", "list", "--json"]).code, Some(0));
    let pause = world.command(&["customers", "pause", "1", "--reason", "away"]);
    assert_eq!(pause.code, Some(0), "{pause:?}");
    world.sql("UPDATE customers SET call_status = 'pending'");

    drop(lock);
    assert_eq!(world.command(&["tick"]).code, Some(0));
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn only_the_death_of_the_holder_frees_the_lock() {
    let world = World::with_config("timeout_secs = 60\n");
    world.daily("Ada");
    world.set_clock("2026-02-02T12:00:00Z");
    world.faults("accept-then-hang=60");
    let mut first = world.program(&["tick"]).stdout(Stdio::null()).spawn().expect("a tick");
    while world.posts().is_empty() {
        clock::pause(std::time::Duration::from_millis(10));
    }
    // Ten minutes pass, and the lock does not expire.
    world.set_clock("2026-02-02T12:10:00Z");
    let second = world.command(&["tick", "--json"]);
    assert_eq!((second.code, second.json()["processed"].as_u64()), (Some(0), Some(0)));
    assert!(second.stdout.contains(&format!("pid {} on ", first.id())), "{second:?}");
    first.kill().expect("kill -9");
    first.wait().expect("its end");
    world.faults("");
    assert_eq!(world.command(&["tick"]).code, Some(0));
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    assert_eq!(world.posts().len(), 1);
    world.assert_no_phone_rang_twice();
}
