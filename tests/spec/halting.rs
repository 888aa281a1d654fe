//! A dialer that cannot write "called" must not call. A failed or unproven write of an outcome
//! halts dialing and keeps the result, and no restart loses it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use ringonce::clock;
use ringonce::domain::call::AttemptState;
use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::{Passed, Patience};
use ringonce::steps::dial::{self, Pass};
use rustix::net::{self, AddressFamily, SocketType};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::processes::{end_of, signal, stop, until};
use crate::world::World;

const NOON: &str = "2026-02-02T12:00:00Z";
const REFUSES_PLACED: &str = "CREATE TRIGGER broken BEFORE UPDATE ON call_attempts
    WHEN NEW.state = 'placed' BEGIN SELECT RAISE(ABORT, 'no space'); END";

const IGNORES_PLACED: &str = "CREATE TRIGGER broken BEFORE UPDATE ON call_attempts
    WHEN NEW.state = 'placed' BEGIN SELECT RAISE(IGNORE); END";

pub fn due_at_noon(names: &[&str]) -> World {
    let world = World::new();
    for name in names {
        world.daily(name);
    }
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock(NOON);
    world
}

fn pass(world: &World, record: Duration) -> anyhow::Result<Passed> {
    let service = world.start();
    let patience = Patience { pace: false, record };
    Dialer::new(&service, patience, world.now()).unwrap().pass(&mut |_| Ok(None))
}

fn start_tick(world: &World) -> Child {
    let mut command = world.program(&["tick", "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

#[test]
fn an_outcome_that_cannot_be_written_or_is_not_there_stops_dialing_and_is_found_after_the_restart()
{
    for broken in [REFUSES_PLACED, IGNORES_PLACED] {
        let world = due_at_noon(&["Ada", "Bob", "Cy"]);
        world.sql(broken);
        let error = pass(&world, Duration::ZERO).unwrap_err();
        assert!(format!("{error:#}").contains("write the outcome"), "{error:#}");
        assert_eq!(world.rings().len(), 1, "nothing was posted after it");
        assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 dialing"]);
        world.sql("DROP TRIGGER broken");
        let ticked = world.tick_at("2026-02-02T12:01:00Z");
        assert!(!ticked.shut, "{ticked:?}");
        assert_eq!(world.attempts()[0], "Ada daily 2026-02-02 #1 ended answered");
        assert_eq!(world.rings().len(), 3);
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn an_outcome_is_written_as_soon_as_it_can_be_and_dialing_continues() {
    let world = due_at_noon(&["Ada", "Bob"]);
    world.sql(REFUSES_PLACED);
    let db = world.db();
    let fixer = std::thread::spawn(move || {
        let conn = rusqlite::Connection::open(db).unwrap();
        conn.busy_timeout(Duration::from_secs(10)).unwrap();
        let in_flight = "SELECT count(*) FROM call_attempts WHERE state = 'dialing'";
        until("a call is in flight", || conn.query_one(in_flight, [], |r| r.get(0)) == Ok(1));
        clock::pause(Duration::from_millis(600));
        conn.execute_batch("DROP TRIGGER broken").unwrap();
    });
    let passed = pass(&world, Duration::from_secs(60)).unwrap();
    fixer.join().unwrap();
    assert_eq!((passed.succeeded, world.rings().len()), (2, 2), "{passed:?}");
    assert_eq!(world.attempts().len(), 2);
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_tick_that_cannot_write_an_outcome_fails() {
    let world = due_at_noon(&["Ada"]);
    world.sql(REFUSES_PLACED);
    let run = world.command(&["tick"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(
        run.stderr.lines().last().map(|line| line.contains("outcome")),
        Some(true),
        "{run:?}"
    );
}

#[test]
fn a_flag_that_is_not_proven_keeps_the_call_halts_everything_and_needs_a_person() {
    let world = due_at_noon(&["Ada", "Bob"]);
    world.sql(
        "CREATE TRIGGER silent BEFORE UPDATE OF last_call_date ON customers
         BEGIN SELECT RAISE(IGNORE); END",
    );
    let run = world.command(&["tick"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert_eq!((world.rings().len(), world.holds()), (1, vec!["flag".to_string()]));
    let placed = world.one("SELECT vapi_call_id FROM call_attempts WHERE seq = 1");
    assert_eq!(placed, world.rings()[0].call_id, "the result is kept");
    // The hold does not end by itself, and not while its cause remains.
    assert!(world.tick_at("2026-02-02T12:05:00Z").shut);
    world.command(&["resume", "--reason", "I hope it is well"]);
    assert!(world.tick_at("2026-02-02T12:06:00Z").shut);
    assert_eq!(world.rings().len(), 1);
    world.sql("DROP TRIGGER silent");
    assert!(world.tick_at("2026-02-02T12:07:00Z").shut, "a person has to say so");
    let run = world.command(&["resume", "--reason", "the trigger is gone"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!world.tick_at("2026-02-02T12:08:00Z").shut);
    assert_eq!(world.one("SELECT last_call_date FROM customers WHERE id = 1"), "2026-02-02");
    assert_eq!(world.rings().len(), 2);
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_flag_that_is_not_proven_for_a_found_call_halts_too_and_is_repaired_later() {
    let world = World::with_faults("accept-then-close:first=1");
    world.daily("Ada");
    world.tick_at(NOON);
    world.sql(
        "CREATE TRIGGER silent BEFORE UPDATE OF last_call_date ON customers
         BEGIN SELECT RAISE(IGNORE); END",
    );
    assert!(world.tick_at("2026-02-02T12:05:00Z").shut);
    assert_eq!(world.holds(), ["flag"]);
    assert_eq!(world.one("SELECT state FROM call_attempts"), "ended");
    world.sql("DROP TRIGGER silent");
    world.command(&["resume", "--reason", "the trigger is gone"]);
    assert!(!world.tick_at("2026-02-02T12:10:00Z").shut);
    assert_eq!(world.one("SELECT last_call_date FROM customers"), "2026-02-02");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
}

#[test]
fn an_intent_whose_commit_is_uncertain_is_disowned_because_nothing_was_sent() {
    let world = due_at_noon(&["Ada"]);
    let service = world.start();
    let mut new_id = || "01950000-0000-7000-8000-000000000001".to_string();
    let claimed = dial::claim(&service.cx, &mut Pass::default(), 1, world.now(), &mut new_id);
    assert_eq!(claimed.unwrap().intents.len(), 1);
    let ids = [new_id(), "01950000-0000-7000-8000-00000000dead".to_string()];
    dial::disown(&service.cx, &ids, world.now()).unwrap();
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 not_placed"]);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 pending"]);
    drop(service);
    world.tick();
    assert_eq!(world.attempts()[1], "Ada daily 2026-02-02 #2 ended answered");
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn a_lock_held_by_another_process_delays_the_record_and_loses_nothing() {
    let world = due_at_noon(&["Ada", "Bob"]);
    world.faults("latency=1000:first=3");
    let child = start_tick(&world);
    let conn = world.connection();
    until("the call is accepted", || !world.rings().is_empty());
    conn.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    // The reply arrives while the lock is held, and no second call is made.
    clock::pause(Duration::from_millis(1500));
    assert_eq!(world.posts().len(), 1);
    conn.execute_batch("COMMIT").expect("the lock is given back");
    let run = end_of(child);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.json()["succeeded"], 2, "{run:?}");
    assert_eq!(world.rings().len(), 2);
    world.assert_no_phone_rang_twice();
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_while_a_call_is_in_flight_keeps_the_result_until_there_is_space() {
    let world = due_at_noon(&["Ada", "Bob"]);
    world.faults("latency=1000:first=3");
    let child = start_tick(&world);
    let limit = |bytes: Option<u64>| {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(Pid::from_child(&child)), Resource::Fsize, limit).unwrap();
    };
    until("the call is accepted", || !world.rings().is_empty());
    limit(Some(0));
    clock::pause(Duration::from_millis(2500));
    assert_eq!(world.posts().len(), 1, "nothing is posted while nothing can be written");
    limit(None);
    let run = end_of(child);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("dialing halts"), "{run:?}");
    assert_eq!(run.json()["succeeded"], 2, "{run:?}");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_kill_while_dialing_halts_leaves_a_doubt_that_is_found_by_its_tag() {
    let world = due_at_noon(&["Ada"]);
    world.sql(REFUSES_PLACED);
    let mut child = start_tick(&world);
    until("the call is accepted", || !world.rings().is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    world.sql("DROP TRIGGER broken");
    let ticked = world.tick_at("2026-02-02T12:01:00Z");
    assert_eq!((ticked.in_doubt, ticked.shut), (1, false), "{ticked:?}");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    assert_eq!(world.posts().len(), 1);
}

/// A provider that answers one list and lets the next connection hang until it is accepted.
pub struct HangingProvider {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl HangingProvider {
    pub fn new() -> HangingProvider {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        // Room for one waiting connection; the standard library asks for more.
        net::listen(&socket, 1).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        HangingProvider { listener, address }
    }

    /// Fills the queue of waiting connections, then answers one list without calls.
    pub fn answer_a_list(&self) -> Vec<TcpStream> {
        let (mut asked, _) = self.listener.accept().unwrap();
        let mut head = [0; 4096];
        assert!(asked.read(&mut head).unwrap() > 0);
        let mut fillers = Vec::new();
        let wait = Duration::from_millis(300);
        while let Ok(filler) = TcpStream::connect_timeout(&self.address, wait) {
            fillers.push(filler);
        }
        asked
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")
            .unwrap();
        fillers
    }

    /// All bytes that connections other than the fillers sent.
    pub fn let_in(&self, fillers: Vec<TcpStream>) -> Vec<u8> {
        let mut said = Vec::new();
        for _ in 0..=fillers.len() {
            let (mut stream, from) = self.listener.accept().unwrap();
            if !fillers.iter().any(|filler| filler.local_addr().unwrap() == from) {
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                stream.read_to_end(&mut said).unwrap();
            }
        }
        said
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_that_was_stopped_between_intent_and_request_does_not_send_a_stale_call() {
    let world = World::new();
    world.daily("Ada");
    let provider = HangingProvider::new();
    let config = std::fs::read_to_string(world.path("ringonce.toml")).unwrap();
    let config = config.replace(&world.fake.base_url(), &format!("http://{}", provider.address));
    std::fs::write(world.path("ringonce.toml"), config).unwrap();
    world.set_clock(NOON);
    let child = start_tick(&world);
    let fillers = provider.answer_a_list();
    let dialing = "SELECT count(*) FROM call_attempts WHERE state = 'dialing'";
    until("the intent is committed", || world.count(dialing) == 1);
    signal(&child, Signal::STOP);
    world.set_clock("2026-02-02T12:10:00Z");
    let said = std::thread::scope(|scope| {
        let letting_in = scope.spawn(|| provider.let_in(fillers));
        signal(&child, Signal::CONT);
        letting_in.join().unwrap()
    });
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
    let run = end_of(child);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(world.one("SELECT state FROM call_attempts"), AttemptState::NotPlaced.as_str());
    assert_eq!(world.items(), ["Ada daily 2026-02-02 pending"]);
}

#[test]
fn the_service_settles_a_doubt_automatically() {
    let world = World::with_config("[reconcile]\npoll_seconds = 1\n");
    world.daily("Ada");
    world.set_clock("2026-02-02T11:59:00Z");
    let child = world.program(&["run"]).stderr(Stdio::null()).spawn().unwrap();
    until("the service scans", || world.items().len() == 1);
    world.faults("accept-then-close:first=1 get-404=1");
    world.set_clock(NOON);
    let ended = ["Ada daily 2026-02-02 #1 ended answered"];
    until("the call is found", || world.attempts() == ended);
    let beside = world.command(&["reconcile"]);
    assert_eq!(beside.code, Some(0), "beside the service: {beside:?}");
    assert_eq!(world.command(&["adopt", "--reason", "x"]).code, Some(4));
    let run = stop(child);
    assert_eq!((run.code, world.posts().len()), (Some(0), 1), "{run:?}");
}

#[test]
fn a_tick_says_by_its_exit_code_whether_it_refused_to_dial() {
    let world = due_at_noon(&["Ada", "Bob"]);
    // The key is refused after one call was placed. The tick does what it may and gives the reason
    // for the rest.
    world.faults("status=401:every=2");
    let run = world.command(&["tick", "--json"]);
    assert_eq!((run.code, run.json()["failed"].as_i64()), (Some(0), Some(1)), "{run:?}");
    assert_eq!(world.items()[1], "Bob daily 2026-02-02 pending breaker");
    // Now nothing is dialed at all.
    world.faults("");
    let run = world.command(&["tick", "--json"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    let run = world.command(&["resume", "--reason", "the key was renewed"]);
    assert!(run.stdout.contains("the breaker"), "{run:?}");
    assert_eq!(world.command(&["tick"]).code, Some(0));
    assert_eq!(world.rings().len(), 2);
    assert_eq!(world.command(&["resume", "--reason", "nothing left"]).code, Some(0));
}

#[test]
fn pauses_are_effective_before_the_next_call_and_say_who_and_why() {
    let ways: [(&[&str], &[&str]); 4] = [
        (&[], &[]),
        (&["--type", "daily"], &["--type", "daily"]),
        (&["--customer", "1"], &["--customer", "1"]),
        (&["--number", "+442079460001"], &["--number", "+442079460001"]),
    ];
    for (pause, resume) in ways {
        let world = due_at_noon(&["Ada"]);
        let mut words = vec!["pause", "--reason", "a fair"];
        words.extend(pause);
        let run = world.command(&words);
        assert_eq!(run.code, Some(0), "{pause:?}: {run:?}");
        assert!(!run.stdout.contains("+44"), "{run:?}");
        assert_eq!(world.command(&words).code, Some(0), "paused already");
        assert!(!world.tick().shut);
        assert_eq!(world.items(), ["Ada daily 2026-02-02 pending paused"], "{pause:?}");
        words[0] = "resume";
        words.truncate(3);
        words.extend(resume);
        assert_eq!(world.command(&words).code, Some(0), "{resume:?}");
        world.tick();
        assert_eq!(world.rings().len(), 1, "{resume:?}");
        let journal = "SELECT count(*) FROM journal WHERE what = 'pause' AND why = 'a fair'";
        assert_eq!(world.count(journal), 2);
    }
    let world = World::new();
    for wrong in [
        vec!["pause"],
        vec!["pause", "--reason", " "],
        vec!["pause", "--type", "weekly", "--reason", "x"],
        vec!["pause", "--customer", "nobody@example.com", "--reason", "x"],
        vec!["pause", "--number", "twelve", "--reason", "x"],
        vec!["resume", "--type", "daily", "--customer", "1", "--reason", "x"],
    ] {
        assert_eq!(world.command(&wrong).code, Some(2), "{wrong:?}");
    }
}
