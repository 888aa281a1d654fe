//! SIGTERM, SIGINT and SIGHUP while a POST is under way. Nothing more is dialed. The process ends
//! only after it has written the outcome of the POST, which it cannot take back.

use std::os::unix::process::CommandExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use ringonce::clock;
use ringonce::service::run;
use rustix::process::Signal;

use crate::listed::Listed;
use crate::processes::{end_of, signal, until};
use crate::world::World;

/// Starts a program as from a terminal. It has a call to Ada under way and would call Bob next.
fn with_a_call_under_way(world: &World, arguments: &[&str], faults: &str) -> Child {
    start(world, arguments, faults, libc::SIG_DFL)
}

/// The same with `hangup` as its reaction to a closed terminal: tests may run under `nohup`.
fn start(world: &World, arguments: &[&str], faults: &str, hangup: libc::sighandler_t) -> Child {
    for name in ["Ada", "Bob"] {
        world.daily(name);
    }
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock("2026-02-02T12:00:00Z");
    world.faults(faults);
    let mut command = world.program(arguments);
    // SAFETY: sets how the child takes one signal, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGHUP, hangup);
            Ok(())
        });
    }
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the call is under way", || !world.posts().is_empty());
    child
}

const WAYS: [(&[&str], Signal); 6] = [
    (&["run"], Signal::TERM),
    (&["run"], Signal::INT),
    (&["run"], Signal::HUP),
    (&["tick", "--json"], Signal::TERM),
    (&["tick", "--json"], Signal::INT),
    (&["tick", "--json"], Signal::HUP),
];

/// Every way at once, because each waits for an answer most of the time.
fn each_way(test: fn(&World, &[&str], Signal)) {
    std::thread::scope(|scope| {
        for (arguments, number) in WAYS {
            scope.spawn(move || {
                let world = World::with_config("timeout_secs = 4\n");
                test(&world, arguments, number);
                world.assert_no_phone_rang_twice();
            });
        }
    });
}

#[test]
fn a_stop_waits_for_the_answer_to_the_call_under_way_and_dials_nobody_else() {
    each_way(|world, arguments, number| {
        let child = with_a_call_under_way(world, arguments, "latency=2500");
        signal(&child, number);
        let run = end_of(child);
        assert_eq!(run.code, Some(0), "{arguments:?} {number:?}: {run:?}");
        assert_eq!(world.posts().len(), 1, "{arguments:?} {number:?}");
        let call_id = world.one("SELECT vapi_call_id FROM call_attempts WHERE state <> 'dialing'");
        assert_eq!(call_id, world.rings()[0].call_id, "the answer is written");
        let items = world.items();
        assert_eq!(items[0], "Ada daily 2026-02-02 completed", "{arguments:?} {number:?}");
        assert!(items[1].starts_with("Bob daily 2026-02-02 pending"), "{items:?}");
        // The next start continues with Bob.
        world.faults("");
        world.tick();
        assert_eq!(world.posts().len(), 2);
    });
}

#[test]
fn a_stop_while_the_answer_never_comes_leaves_a_doubt() {
    each_way(|world, arguments, number| {
        // A follower that starts late would else find the call in the list, and settle it.
        let faults = "accept-then-hang list-lag";
        let child = with_a_call_under_way(world, arguments, faults);
        signal(&child, number);
        let run = end_of(child);
        assert_eq!(run.code, Some(0), "{arguments:?} {number:?}: {run:?}");
        assert_eq!(world.posts().len(), 1, "{arguments:?} {number:?}");
        assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 in_doubt"]);
        assert_eq!(world.items()[0], "Ada daily 2026-02-02 failed in_doubt");
        // The provider's records settle it at the next start.
        world.faults("");
        world.tick();
        assert_eq!(world.attempts()[0], "Ada daily 2026-02-02 #1 ended answered");
        assert_eq!(world.posts().len(), 2);
    });
}

#[test]
fn under_nohup_a_closed_terminal_stops_nothing() {
    let world = World::new();
    let child = start(&world, &["tick", "--json"], "latency=1200:first=1", libc::SIG_IGN);
    signal(&child, Signal::HUP);
    let run = end_of(child);
    assert_eq!((run.code, world.rings().len()), (Some(0), 2), "{run:?}");
}

#[test]
fn a_second_signal_ends_nothing_sooner() {
    let world = World::new();
    let child = with_a_call_under_way(&world, &["tick"], "latency=1200");
    for number in [Signal::TERM, Signal::INT, Signal::TERM] {
        signal(&child, number);
        clock::pause(Duration::from_millis(50));
    }
    assert_eq!(end_of(child).code, Some(0));
    assert_eq!(world.items()[0], "Ada daily 2026-02-02 completed");
}

#[test]
fn a_service_of_which_one_thread_broke_down_ends_instead_of_going_on_without_it() {
    for broken in ["follower", "dialer"] {
        let world = World::new();
        world.daily("Ada");
        let mut service = world.start();
        if broken == "follower" {
            // The second list breaks the thread that asks for it.
            let lists = AtomicUsize::new(0);
            let breaks = move |listing| {
                assert_eq!(lists.fetch_add(1, Ordering::Relaxed), 0, "a defect of ours");
                listing
            };
            service.provider = Box::new(Listed(world.vapi(), Box::new(breaks)));
        }
        let service = Arc::new(service);
        let (sender, ended) = channel();
        let running = {
            let service = Arc::clone(&service);
            std::thread::spawn(move || {
                let rounds = AtomicUsize::new(0);
                let alive = || {
                    let round = rounds.fetch_add(1, Ordering::Relaxed);
                    assert!(broken != "dialer" || round < 3, "a defect of ours");
                };
                let outcome = catch_unwind(AssertUnwindSafe(|| run::run(&service, &alive)));
                let is_well = outcome.is_ok_and(|outcome| outcome.is_ok());
                let _ = sender.send(is_well);
            })
        };
        let outcome = ended.recv_timeout(Duration::from_secs(20));
        // Stops a service that did not end, so that the test does not wait for it.
        service.stop.store(true, Ordering::Relaxed);
        running.join().unwrap();
        assert_eq!(outcome, Ok(false), "{broken}: it ended, and not well");
    }
}
