//! The messages of `run` to a service manager: words on a real socket, and a log with priorities.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use ringonce::clock;

use crate::processes::{stop, until};
use crate::world::World;

/// A socket of a service manager at a path in the world's folder.
fn manager(world: &World) -> UnixDatagram {
    let socket = UnixDatagram::bind(world.path("notify")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    socket
}

fn next_word(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let length = socket.recv(&mut bytes).expect("a word in time");
    String::from_utf8_lossy(&bytes[..length]).trim().to_string()
}

#[test]
fn the_manager_hears_when_the_service_is_ready_that_it_is_alive_and_that_it_stops() {
    let world = World::new();
    let socket = manager(&world);
    let mut run = world.program(&["run"]);
    run.env("NOTIFY_SOCKET", world.path("notify")).env("WATCHDOG_USEC", "200000");
    let child = run.stderr(Stdio::null()).spawn().expect("run starts");
    assert_eq!(next_word(&socket), "READY=1");
    for _ in 0..3 {
        assert_eq!(next_word(&socket), "WATCHDOG=1");
    }
    assert_eq!(stop(child).code, Some(0));
    let last = std::iter::repeat_with(|| next_word(&socket)).find(|word| word != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
}

#[test]
fn a_service_that_hangs_no_longer_says_that_it_is_alive() {
    let world = World::new();
    let socket = manager(&world);
    let mut run = world.program(&["run"]);
    run.env("NOTIFY_SOCKET", world.path("notify")).env("WATCHDOG_USEC", "200000");
    let mut child = run.stderr(Stdio::null()).spawn().expect("run starts");
    assert_eq!(next_word(&socket), "READY=1");
    assert_eq!(next_word(&socket), "WATCHDOG=1");
    // The dialer's thread waits for the database, which another connection has locked.
    let conn = world.connection();
    conn.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    world.pass(chrono::Duration::minutes(15)); // a scan is due, and it writes
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a limit");
    let mut bytes = [0; 256];
    let silence = std::iter::repeat_with(|| socket.recv(&mut bytes)).find_map(Result::err);
    assert!(silence.is_some_and(|error| error.kind() == ErrorKind::WouldBlock));
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
}

#[test]
fn a_log_for_the_journal_carries_its_priorities_and_leaves_the_time_to_it() {
    let world = World::new();
    for (stream, beginning) in [(Some("8:1234"), "<6>running on "), (None, "20")] {
        let socket = match stream {
            Some(_) => manager(&world),
            None => UnixDatagram::bind(world.path("another")).expect("a socket"),
        };
        let name = if stream.is_some() { "notify" } else { "another" };
        let mut run = world.program(&["run"]);
        run.env("NOTIFY_SOCKET", world.path(name));
        if let Some(stream) = stream {
            run.env("JOURNAL_STREAM", stream);
        }
        let child = run.stderr(Stdio::piped()).spawn().expect("run starts");
        assert_eq!(next_word(&socket), "READY=1");
        let log = stop(child).stderr;
        assert!(log.lines().all(|line| !line.contains("+1212")), "{log}");
        assert!(log.lines().any(|line| line.starts_with(beginning)), "{stream:?}: {log}");
    }
}

#[test]
fn a_service_that_cannot_write_an_outcome_yet_does_not_count_as_hung() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock("2026-02-02T12:00:00Z");
    world.sql(
        "CREATE TRIGGER broken BEFORE UPDATE ON call_attempts
         WHEN NEW.state = 'placed' BEGIN SELECT RAISE(ABORT, 'no space'); END",
    );
    let socket = manager(&world);
    let mut run = world.program(&["run"]);
    run.env("NOTIFY_SOCKET", world.path("notify")).env("WATCHDOG_USEC", "200000");
    let child = run.stderr(Stdio::null()).spawn().expect("run starts");
    until("the call is accepted", || !world.rings().is_empty());
    clock::pause(Duration::from_millis(1000));
    // Drops the messages from before it began to wait.
    socket.set_nonblocking(true).expect("a socket");
    while socket.recv(&mut [0; 256]).is_ok() {}
    socket.set_nonblocking(false).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
    for _ in 0..3 {
        assert_eq!(next_word(&socket), "WATCHDOG=1");
    }
    world.sql("DROP TRIGGER broken");
    until("the outcome is written", || world.attempts()[0].ends_with("placed"));
    assert_eq!(stop(child).code, Some(0));
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn a_service_that_fails_is_started_until_it_works_and_one_that_needs_a_person_is_not() {
    let unit = include_str!("../../scripts/ringonce.service");
    for line in ["StartLimitIntervalSec=0", "Restart=always", "RestartPreventExitStatus=2 3 4"] {
        assert!(unit.lines().any(|said| said == line), "{line}");
    }
}

#[test]
fn nothing_that_the_service_opens_would_be_inherited_by_another_program() {
    let world = World::new();
    let socket = manager(&world);
    let mut run = world.program(&["run"]);
    run.env("NOTIFY_SOCKET", world.path("notify")).args(["--listen", "127.0.0.1:0"]);
    let child = run.stderr(Stdio::null()).spawn().expect("run starts");
    assert_eq!(next_word(&socket), "READY=1");
    let process = std::path::PathBuf::from(format!("/proc/{}", child.id()));
    let mut opened = Vec::new();
    for entry in std::fs::read_dir(process.join("fd")).expect("its files") {
        let entry = entry.expect("a file");
        // Skips descriptors that the program inherited, and those that it has closed by now.
        let what = std::fs::read_link(entry.path()).unwrap_or_default().display().to_string();
        let is_own = what.starts_with("socket:") || what.contains("/ringonce.db");
        let about = std::fs::read_to_string(process.join("fdinfo").join(entry.file_name()));
        let Some(about) = about.ok().filter(|_| is_own) else { continue };
        let flags = about.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags");
        let flags = i32::from_str_radix(flags.trim(), 8).expect("octal digits");
        assert_ne!(flags & libc::O_CLOEXEC, 0, "{what} stays open in a program that is started");
        opened.push(what);
    }
    for wanted in ["ringonce.db", "ringonce.db-wal", "ringonce.db.lock", "socket:"] {
        assert!(opened.iter().any(|what| what.contains(wanted)), "{wanted} is not in {opened:?}");
    }
    assert_eq!(stop(child).code, Some(0));
}
