//! A world for one test: a real database in a temporary folder, the fake provider on loopback that
//! counts rings, and one clock for both. Other processes use the same clock.
//!
//! Dropping it ends the fake and removes the folder. Opening the folder again with `start` stands
//! for a kill and a restart.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use chrono::{Duration, NaiveDate};
use ringonce::clock::{self, Clock};
use ringonce::config::load::Overrides;
use ringonce::config::settings::Config;
use ringonce::demo::fake_vapi::calls::Timing;
use ringonce::demo::fake_vapi::core::{FakeCore, Setup};
use ringonce::demo::fake_vapi::journal::{Event, FakeEntry, Journal, Ring};
use ringonce::demo::fake_vapi::server::FakeVapi;
use ringonce::domain::{Instant, parse_instant};
use ringonce::service::Service;
use ringonce::service::tick::{self, Ticked};
use ringonce::steps::Context;
use ringonce::store::Store;
use ringonce::store::file::lock::{DialerLock, LockAnswer};
use ringonce::vapi::{ApiKey, Vapi};
use ringonce::zones::Zones;

use crate::inner_loop::folder;
use crate::people::Person;

/// A Monday; 06:30 in New York, 11:30 in London.
pub const START: &str = "2026-02-02T11:30:00Z";
/// An invented key.
pub const KEY: &str = "sk-loopback-0001";
/// The provider's ids, which every dialing process needs.
const IDS: &str = "phone_number_id = \"7d5e8a90-33c1-4f5e-8a1b-52b7c1f0aa22\"\n\
    assistant_id = \"2b0f4c1e-6a55-4c0e-9d3a-0c6f5b1d7e11\"\n";

/// See the module.
pub struct World {
    pub folder: tempfile::TempDir,
    pub fake: FakeVapi,
    now: Arc<Mutex<Instant>>,
    zones: Arc<Zones>,
    people: std::cell::Cell<u32>,
}

/// The result of one run of the program.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub fn at(text: &str) -> Instant {
    parse_instant(text).unwrap_or_else(|| panic!("{text} is not an instant"))
}

/// Everybody answers, and every call ends at the instant it is placed.
pub fn quick() -> Setup {
    let none = Duration::zero();
    Setup {
        mix: "answered=1".parse().expect("a mix"),
        timing: Timing { queue: none, ring: none, talk: none },
        ..Setup::default()
    }
}

/// Nobody answers.
pub fn nobody_home() -> Setup {
    Setup { mix: "no_answer=1".parse().expect("a mix"), ..quick() }
}

impl World {
    pub fn new() -> World {
        World::with(quick(), "")
    }

    /// `config` is the text of `ringonce.toml` after the `[vapi]` table; keys of that table come
    /// first.
    pub fn with_config(config: &str) -> World {
        World::with(quick(), config)
    }

    /// A fake with these faults from its first request on.
    pub fn with_faults(faults: &str) -> World {
        World::with(Setup { faults: faults.parse().expect("faults"), ..quick() }, "")
    }

    pub fn with(setup: Setup, config: &str) -> World {
        World::inside(folder(), setup, config)
    }

    /// In a folder that the test made.
    pub fn inside(folder: tempfile::TempDir, setup: Setup, config: &str) -> World {
        let now = Arc::new(Mutex::new(at(START)));
        let clock = {
            let now = Arc::clone(&now);
            Arc::new(move || *now.lock().expect("no panic"))
        };
        let core = FakeCore::new(setup, Journal::default());
        let fake = FakeVapi::on_free_port(core, clock).expect("a free port");
        let zones = Arc::new(Zones::bundled_only());
        let world = World { folder, fake, now, zones, people: std::cell::Cell::new(0) };
        world.set_config(config);
        world.set_clock(START);
        world.store();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn db(&self) -> PathBuf {
        self.path("ringonce.db")
    }

    /// Sets another configuration for the next start.
    pub fn set_config(&self, config: &str) {
        let url = self.fake.base_url();
        let text = format!("[vapi]\nbase_url = \"{url}\"\n{IDS}{config}");
        std::fs::write(self.path("ringonce.toml"), text).expect("write the configuration");
    }

    /// Moves the one clock, for the fake and for every process.
    pub fn set_clock(&self, time: &str) {
        self.set_now(at(time));
    }

    pub fn set_now(&self, now: Instant) {
        let fresh = self.path("clock.new");
        std::fs::write(&fresh, now.to_rfc3339()).expect("write the clock");
        std::fs::rename(&fresh, self.path("clock")).expect("set the clock");
        *self.now.lock().expect("no panic") = now;
    }

    pub fn pass(&self, time: Duration) {
        self.set_now(self.now() + time);
    }

    pub fn now(&self) -> Instant {
        *self.now.lock().expect("no panic")
    }

    pub fn faults(&self, faults: &str) {
        self.fake.set_faults(faults.parse().expect("faults"));
    }

    /// A new customer with a number of their own and no other data.
    pub fn customer<'w>(&'w self, name: &str) -> Person<'w> {
        self.people.set(self.people.get() + 1);
        Person::new(self, name, self.people.get())
    }

    /// A customer whose daily call at 07:00 in New York is due half an hour after the start.
    pub fn daily(&self, name: &str) -> i64 {
        self.customer(name).in_zone("America/New_York").at("07:00").paid().welcomed().add()
    }

    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    pub fn clock(&self) -> Clock {
        Clock::File(self.path("clock"))
    }

    pub fn config(&self) -> Config {
        let files = Overrides {
            config: Some(self.path("ringonce.toml")),
            db: Some(self.db()),
            ..Overrides::default()
        };
        let clock = self.path("clock").display().to_string();
        let environment = |name: &str| (name == "RINGONCE_TEST_CLOCK").then(|| clock.clone());
        ringonce::config::load::load(&files, &environment).expect("a good configuration").config
    }

    /// The database, as a process opens it.
    pub fn store(&self) -> Store {
        Store::open(&self.db(), self.now()).expect("the database opens")
    }

    pub fn context(&self) -> Context {
        self.context_over(self.store())
    }

    pub fn context_over(&self, store: Store) -> Context {
        Context::new(Arc::new(store), self.config(), Arc::clone(&self.zones)).expect("a context")
    }

    pub fn vapi(&self) -> Vapi {
        let vapi = self.config().vapi;
        Vapi::new(&vapi.base_url, ApiKey::new(KEY), vapi.timeout_secs).expect("a client")
    }

    /// A process that may dial, started on the present content of the folder.
    pub fn start(&self) -> Service {
        Service {
            cx: self.context(),
            provider: Box::new(self.vapi()),
            clock: self.clock(),
            stop: Arc::new(AtomicBool::new(false)),
            halted: Mutex::new(None),
        }
    }

    /// One pass in this process: started, locked, done, ended.
    pub fn tick(&self) -> Ticked {
        self.try_tick().expect("the database works")
    }

    pub fn try_tick(&self) -> anyhow::Result<Ticked> {
        let service = self.start();
        let _lock = self.lock();
        tick::tick(&service)
    }

    /// The right to dial. A program that another test is just starting briefly holds copies of our
    /// open files and locks, so this asks several times.
    fn lock(&self) -> DialerLock {
        for _ in 0..200 {
            match DialerLock::take(&self.db(), self.now()).expect("a lock file") {
                LockAnswer::Mine(lock) => return lock,
                LockAnswer::Taken(_) => clock::pause(std::time::Duration::from_millis(10)),
            }
        }
        panic!("somebody else dials");
    }

    pub fn tick_at(&self, time: &str) -> Ticked {
        self.set_clock(time);
        self.tick()
    }

    /// The real program, ready to be started in the folder.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringonce"));
        command.current_dir(self.folder.path()).env_clear().args(arguments);
        command.env("PATH", "/usr/bin:/bin").env("VAPI_API_KEY", KEY);
        command.env("RINGONCE_TEST_CLOCK", self.path("clock"));
        command
    }

    /// Runs the real program to its end.
    pub fn command(&self, arguments: &[&str]) -> Run {
        run_of(self.program(arguments).output().expect("the program starts"))
    }

    /// Imports the customers of a file with these bytes.
    pub fn import(&self, bytes: &(impl AsRef<[u8]> + ?Sized), more: &[&str]) -> Run {
        std::fs::write(self.path("people.csv"), bytes).expect("written");
        self.command(&[&["customers", "import", "people.csv"], more].concat())
    }

    /// The same; the import succeeds.
    pub fn imported(&self, bytes: &(impl AsRef<[u8]> + ?Sized), more: &[&str]) -> Run {
        let run = self.import(bytes, more);
        assert_eq!(run.code, Some(0), "{run:?}");
        run
    }

    /// Everything that rang, whatever the replies were.
    pub fn rings(&self) -> Vec<Ring> {
        self.fake.rings()
    }

    /// Every POST that reached the fake, accepted or not.
    pub fn posts(&self) -> Vec<FakeEntry> {
        let journal = self.fake.journal();
        journal.into_iter().filter(|e| matches!(e.event, Event::Post | Event::Reject)).collect()
    }

    pub fn assert_no_phone_rang_twice(&self) {
        assert_eq!(self.fake.duplicates(), 0, "{:#?}", self.rings());
        assert_eq!(self.fake.repeated_posts(), 0, "{:#?}", self.posts());
    }

    /// Queue rows by id, as `Ada daily 2026-02-02 skipped too_late`.
    pub fn items(&self) -> Vec<String> {
        self.lines(
            "SELECT coalesce(name, 'gone') || ' ' || call_type || ' ' || occasion || ' ' || status
               || coalesce(' ' || reason, '')
             FROM call_queue LEFT JOIN customers ON customers.id = customer_id
             ORDER BY call_queue.id",
        )
    }

    /// The ledger by `seq`, as `Ada daily 2026-02-02 #1 ended answered`.
    pub fn attempts(&self) -> Vec<String> {
        self.lines(
            "SELECT coalesce(name, 'unknown') || ' ' || call_type || ' ' || occasion || ' #'
               || attempt_no || ' ' || state || coalesce(' ' || disposition, '')
             FROM call_attempts LEFT JOIN customers ON customers.id = customer_id ORDER BY seq",
        )
    }

    /// The first column of a query as text; NULL is empty.
    pub fn lines(&self, query: &str) -> Vec<String> {
        let conn = self.connection();
        let mut statement = conn.prepare(query).expect("a query");
        let rows = statement.query_map([], |row| {
            use rusqlite::types::Value;
            Ok(match row.get::<_, Value>(0)? {
                Value::Null => String::new(),
                Value::Integer(number) => number.to_string(),
                Value::Real(number) => number.to_string(),
                Value::Text(text) => text,
                Value::Blob(bytes) => format!("{} bytes", bytes.len()),
            })
        });
        rows.expect("rows").collect::<Result<_, _>>().expect("text")
    }

    /// The one value that a query returns.
    pub fn one(&self, query: &str) -> String {
        let lines = self.lines(query);
        assert_eq!(lines.len(), 1, "{query}: {lines:?}");
        lines.concat()
    }

    pub fn count(&self, query: &str) -> i64 {
        self.one(query).parse().expect("a number")
    }

    /// Changes the database without the program.
    pub fn sql(&self, statements: &str) {
        self.connection().execute_batch(statements).unwrap_or_else(|e| panic!("{statements}: {e}"));
    }

    pub fn connection(&self) -> rusqlite::Connection {
        let conn = rusqlite::Connection::open(self.db()).expect("the database opens");
        conn.busy_timeout(std::time::Duration::from_secs(10)).expect("a time-out");
        conn
    }

    /// The kinds of the present holds, in order.
    pub fn holds(&self) -> Vec<String> {
        let holds = self.store().read(ringonce::store::meta::holds::holds).expect("the holds");
        holds.into_iter().map(|hold| hold.kind.to_string()).collect()
    }
}

pub fn run_of(output: Output) -> Run {
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

pub fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}
