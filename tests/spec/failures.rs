//! A failure happens once, is reported on one line and loses nothing: backing off, giving up, and a
//! failing disk, file or lock.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use ringonce::domain::Instant;
use ringonce::provider::{
    Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ReadError, Refusal,
};
use ringonce::service::tick;
use ringonce::vapi::Vapi;

use crate::left_out::Need;
use crate::other_user::{as_nobody, world_for_others};
use crate::world::{World, run_of};

const DUE: &str = "2026-02-02T12:00:00Z";

/// A provider that answers about calls but cannot be connected to for a new one.
struct OutOfReach(Vapi);

impl Provider for OutOfReach {
    fn place(&self, _: &PlaceOrder, _: &(dyn Fn() -> bool + Sync)) -> Result<Accepted, PlaceError> {
        let detail = "the connection was refused".to_string();
        Err(PlaceError::NotPlaced { refusal: Refusal::NeverSent, detail })
    }

    fn get(&self, call_id: &str) -> Result<Fetched, ReadError> {
        self.0.get(call_id)
    }

    fn list(&self, since: Instant) -> Result<Listing, ReadError> {
        self.0.list(since)
    }
}

fn tick_out_of_reach(world: &World, time: &str) {
    world.set_clock(time);
    let mut service = world.start();
    service.provider = Box::new(OutOfReach(world.vapi()));
    tick::tick(&service).expect("the database works");
}

/// Ada's daily call is at 10:00 in New York, so that there is time for all attempts.
fn in_the_morning(world: &World) {
    world.customer("Ada").in_zone("America/New_York").at("10:00").paid().welcomed().add();
}

/// The last item with its attempts, its reason and the time of its next look.
const WAITING: &str = "SELECT status || ' ' || attempts || coalesce(' ' || reason, '')
    || coalesce(' ' || substr(not_before, 12, 5), '') FROM call_queue ORDER BY id DESC LIMIT 1";

#[test]
fn proven_failures_are_tried_again_after_15_and_30_minutes_and_at_most_three_times() {
    let world = World::new();
    in_the_morning(&world);
    let steps = [
        ("15:00", "retrying 1 15:15"),
        ("15:14", "retrying 1 15:15"),
        ("15:15", "retrying 2 15:45"),
        ("15:44", "retrying 2 15:45"),
        ("15:45", "failed 3 attempts_used"),
        ("16:30", "failed 3 attempts_used"),
    ];
    for (time, item) in steps {
        tick_out_of_reach(&world, &format!("2026-02-02T{time}:00Z"));
        assert_eq!(world.one(WAITING), item, "{time}");
    }
    assert_eq!(world.lines("SELECT DISTINCT state FROM call_attempts"), ["not_placed"]);
    assert_eq!(world.lines("SELECT attempt_no FROM call_attempts"), ["1", "2", "3"]);
    assert_eq!(world.one("SELECT consecutive_failures || call_status FROM customers"), "1failed");
    let next = "SELECT next_call_scheduled_at FROM customers";
    assert_eq!(world.one(next), "2026-02-03T15:00:00.000Z");
    world.tick_at("2026-02-03T15:00:00Z");
    assert_eq!(
        world.one("SELECT consecutive_failures || call_status FROM customers"),
        "0completed"
    );
    world.assert_no_phone_rang_twice();
}

#[test]
fn the_third_wait_is_45_minutes_where_more_attempts_are_allowed() {
    let world = World::with_config("[dialing]\nmax_attempts = 5\n");
    in_the_morning(&world);
    for (time, item) in [
        ("15:00", "retrying 1 15:15"),
        ("15:15", "retrying 2 15:45"),
        ("15:45", "retrying 3 16:30"),
        ("16:30", "retrying 4 17:15"),
        ("17:15", "failed 5 attempts_used"),
    ] {
        tick_out_of_reach(&world, &format!("2026-02-02T{time}:00Z"));
        assert_eq!(world.one(WAITING), item, "{time}");
    }
}

#[test]
fn a_call_that_succeeds_at_the_second_attempt_rings_once() {
    let world = World::new();
    world.daily("Ada");
    tick_out_of_reach(&world, DUE);
    world.tick_at("2026-02-02T12:15:00Z");
    world.tick_at("2026-02-02T12:45:00Z");
    assert_eq!(
        world.attempts(),
        ["Ada daily 2026-02-02 #1 not_placed", "Ada daily 2026-02-02 #2 ended answered"]
    );
    assert_eq!(world.rings().len(), 1);
    world.assert_no_phone_rang_twice();
}

#[test]
fn backing_off_never_goes_past_the_last_permitted_instant() {
    let world = World::new();
    world.customer("Ada").in_zone("America/New_York").at("20:45").paid().welcomed().add();
    // 20:45 local is 01:45 UTC. It may be tried for half an hour: the window closes at 21:00.
    tick_out_of_reach(&world, "2026-02-03T01:45:00Z");
    assert_eq!(world.one(WAITING), "retrying 1 02:00");
    tick_out_of_reach(&world, "2026-02-03T02:00:00Z");
    assert_eq!(world.one(WAITING), "failed 2 too_late");
    world.tick_at("2026-02-03T02:30:00Z");
    assert_eq!(world.rings().len(), 0);
}

#[test]
fn a_customer_is_disabled_after_five_failed_occasions_in_a_row() {
    let world = World::new();
    in_the_morning(&world);
    for day in 2..=6 {
        let status = world.one("SELECT call_status FROM customers");
        assert_ne!(status, "disabled", "on the {day}th");
        for time in ["15:00", "15:15", "15:45"] {
            tick_out_of_reach(&world, &format!("2026-02-{day:02}T{time}:00Z"));
        }
    }
    assert_eq!(world.one("SELECT consecutive_failures || call_status FROM customers"), "5disabled");
    let told = "SELECT new || ': ' || why FROM journal WHERE what = 'customer'";
    assert_eq!(world.one(told), "disabled: 5 failed occasions in a row");
    world.tick_at("2026-02-07T15:00:00Z");
    assert_eq!(world.count("SELECT count(*) FROM call_queue"), 5);
    let resumed = world.command(&["customers", "resume", "1", "--reason", "the number works"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    world.tick_at("2026-02-08T15:00:00Z");
    assert_eq!(world.rings().len(), 1, "{:?}", world.items());
}

/// A tick whose files cannot grow beyond `bytes`: a full disk.
fn tick_on_a_full_disk(world: &World, bytes: u64) -> crate::world::Run {
    let mut tick = world.program(&["tick"]);
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        tick.pre_exec(move || {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    run_of(tick.output().expect("the program starts"))
}

#[test]
fn a_disk_that_is_full_at_any_byte_costs_at_most_a_delay() {
    // From nothing to enough space: each step fails at a later write.
    let limits = [0, 4, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 128, 4096];
    let outcomes: Vec<(Option<i32>, usize)> = std::thread::scope(|scope| {
        let full = limits.map(|kilobytes: u64| scope.spawn(move || full_disk(kilobytes * 1024)));
        full.into_iter().map(|limit| limit.join().expect("no panic")).collect()
    });
    assert_eq!(outcomes[0], (Some(1), 0), "{outcomes:?}");
    assert_eq!(outcomes[limits.len() - 1], (Some(0), 2), "{outcomes:?}");
}

/// The exit code and the POSTs of a tick on a full disk, which then has space again.
fn full_disk(bytes: u64) -> (Option<i32>, usize) {
    let world = World::with_config("[dialing]\nworkers = 1\n");
    world.daily("Ada");
    world.daily("Bob");
    world.set_clock(DUE);
    let run = tick_on_a_full_disk(&world, bytes);
    let posts = world.posts().len();
    if run.code != Some(0) {
        assert_eq!(run.code, Some(1), "{bytes}: {run:?}");
        let last = run.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("ringonce: "), "{bytes}: {run:?}");
    }
    let known = world.count("SELECT count(*) FROM call_attempts");
    assert!(posts as i64 <= known, "{bytes}: {posts} POSTs, {known} intents");
    for time in ["12:00", "12:15", "12:30"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    assert_eq!(world.rings().len(), 2, "{bytes}: {run:?} {:?}", world.attempts());
    assert_eq!(world.count("SELECT count(*) FROM call_queue WHERE status = 'completed'"), 2);
    world.assert_no_phone_rang_twice();
    (run.code, posts)
}

#[test]
fn an_unusable_database_gives_one_line_and_nothing_is_dialed() {
    type Spoil = fn(&World);
    let cases: [(&str, Spoil, i32, &str); 4] = [
        ("newer", |w| w.sql("PRAGMA user_version = 99"), 2, "newer ringonce"),
        ("other", |w| w.sql("PRAGMA application_id = 7"), 2, "not a ringonce database"),
        (
            "text",
            |w| std::fs::write(w.db(), "name,phone\n".repeat(99)).unwrap(),
            2,
            "not a ringonce database",
        ),
        (
            "folder",
            |w| {
                std::fs::remove_file(w.db()).unwrap();
                std::fs::create_dir(w.db()).unwrap();
            },
            2,
            "not a ringonce database",
        ),
    ];
    for (what, spoil, code, says) in cases {
        let world = World::new();
        world.daily("Ada");
        world.set_clock(DUE);
        spoil(&world);
        for arguments in [["tick", "--json"], ["customers", "list"]] {
            let run = world.command(&arguments);
            assert_eq!(run.code, Some(code), "{what}: {run:?}");
            assert!(run.stderr.contains(says), "{what}: {run:?}");
            assert_eq!(run.stderr.lines().count(), 1, "{what}: {run:?}");
        }
        assert_eq!(world.posts().len(), 0, "{what}");
    }
}

#[test]
fn a_read_only_database_is_reported_and_nothing_is_dialed() {
    // Root may write anything, so the program then runs as nobody.
    let is_root = Need::Root.is_met();
    let world = if is_root { world_for_others() } else { Some(World::new()) };
    let Some(world) = world else { return };
    world.daily("Ada");
    world.set_clock(DUE);
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&world.db(), 0o444);
    mode(&world.path("clock"), 0o444);
    mode(&world.path("ringonce.toml"), 0o444);
    mode(world.folder.path(), 0o555);
    let run = if is_root { as_nobody(&world, &["tick"]) } else { world.command(&["tick"]) };
    mode(world.folder.path(), 0o755);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("ringonce.db") && run.stderr.lines().count() == 1, "{run:?}");
    assert_eq!(world.posts().len(), 0);
    mode(&world.db(), 0o644);
    world.tick();
    assert_eq!(world.rings().len(), 1);
}

/// A tick of a user of its own, who may have at most this many threads.
fn tick_with_threads(world: &World, threads: u64) -> crate::world::Run {
    const USER: u32 = 64_321;
    let files = std::fs::read_dir(world.folder.path()).unwrap();
    let files = files.map(|file| file.unwrap().path()).chain([world.path("")]);
    files.for_each(|file| std::os::unix::fs::chown(file, Some(USER), Some(USER)).unwrap());
    let program = world.program(&["tick"]);
    let mut tick = std::process::Command::new(world.path("ringonce"));
    tick.arg("tick").current_dir(world.path("")).env_clear().uid(USER).gid(USER);
    tick.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        tick.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: threads, rlim_max: threads };
            match libc::setrlimit(libc::RLIMIT_NPROC, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    run_of(tick.output().expect("the program starts"))
}

#[test]
fn call_that_gets_no_thread_is_not_placed_and_is_tried_again() {
    let mut without_thread = 0;
    for threads in 1..16 {
        let Some(world) = world_for_others() else { return };
        // Several, so that a limit is reached while the first threads of calls still run.
        let names = ["Ada", "Bob", "Cyd", "Dan", "Eve"];
        for name in names {
            world.daily(name);
        }
        world.set_clock(DUE);
        world.faults("latency=200");
        let run = tick_with_threads(&world, threads);
        let attempts = world.attempts();
        let in_doubt = attempts.iter().any(|attempt| attempt.contains("in_doubt"));
        let left = attempts.iter().any(|attempt| attempt.contains("dialing"));
        assert!(!in_doubt && !left, "{threads}: {attempts:?} {run:?}");
        if threads == 1 {
            let says = run.stderr.contains("raise the limit of processes");
            assert!(run.code == Some(1) && says && run.stderr.lines().count() == 1, "{run:?}");
        }
        assert_ne!(run.code, Some(101), "{threads}: {run:?}");
        without_thread += attempts.iter().filter(|made| made.ends_with("#1 not_placed")).count();
        world.faults("");
        world.tick_at("2026-02-02T12:15:00Z");
        assert_eq!(world.rings().len(), names.len(), "{threads}: {:?}", world.items());
        world.assert_no_phone_rang_twice();
    }
    assert!(without_thread > 0, "no limit hit the thread of a call");
}

#[test]
fn a_locked_database_is_reported_and_nothing_is_dialed() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(DUE);
    let other = world.connection();
    // Opening the database must restore the missing index, so it needs the lock.
    other.execute_batch("DROP INDEX call_queue_once; BEGIN IMMEDIATE").unwrap();
    let run = world.command(&["tick"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("locked by another process"), "{run:?}");
    assert_eq!((run.stderr.lines().count(), world.posts().len()), (1, 0), "{run:?}");
    other.execute_batch("ROLLBACK").unwrap();
    world.tick();
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn a_lock_that_outlasts_the_busy_time_out_does_not_lose_a_result() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(DUE);
    world.faults("latency=500");
    let mut tick = world.program(&["tick"]);
    let mut tick = tick.stdout(std::process::Stdio::null()).spawn().expect("a tick");
    let other = world.connection();
    while world.posts().is_empty() {
        ringonce::clock::pause(std::time::Duration::from_millis(5));
    }
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Longer than SQLite's own timeout for a lock.
    ringonce::clock::pause(std::time::Duration::from_millis(5500));
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 dialing"]);
    other.execute_batch("ROLLBACK").unwrap();
    world.faults("");
    assert!(tick.wait().expect("its end").success());
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
    assert_eq!(world.one("SELECT last_call_date FROM customers"), "2026-02-02");
    world.assert_no_phone_rang_twice();
}
