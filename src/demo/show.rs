//! `ringonce demo`: three days of calls in seconds, through the real scan, dialer, client and
//! database. Only the provider and the clock are pretended. Refuses to reach anything but
//! loopback, and to touch any file outside its own folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail};
use chrono::Duration;

use crate::config::{self, Loaded, Overrides};
use crate::demo::core::{FakeCore, Setup};
use crate::demo::fake::FakeVapi;
use crate::demo::journal::Journal;
use crate::demo::mishaps::Mishaps;
use crate::demo::people::{self, Person, Role};
use crate::demo::story::{self, Story};
use crate::domain::{Instant, instant_text, parse_instant};
use crate::service::Service;
use crate::service::tick::{self, Ticked};
use crate::steps::Context;
use crate::steps::import::{self, Options};
use crate::store::files::LockAnswer;
use crate::store::{Store, do_not_call};
use crate::vapi::{ApiKey, Vapi};
use crate::zones::Zones;

/// A Saturday: on its Sunday the clocks in North America go forward.
const BEGINS: &str = "2026-03-07T00:00:00.000Z";
const TICK_EVERY: Duration = Duration::minutes(15);
/// The key of a provider that takes any.
const KEY: &str = "the-demo-needs-no-key";

/// What the demo is told.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub customers: usize,
    /// An empty folder of its own.
    pub folder: PathBuf,
    /// Set from outside to end early.
    pub stop: Arc<AtomicBool>,
}

const TICKS_OF_A_DAY: u64 = 24 * 4;
/// How many ticks the three days have, with the one at their end.
pub const TICKS: u64 = 3 * TICKS_OF_A_DAY + 1;

/// The world of one demo: a folder, a clock, a provider, people.
pub struct World {
    pub folder: PathBuf,
    pub begins: Instant,
    pub fake: FakeVapi,
    pub people: Vec<Person>,
    now: Arc<Mutex<Instant>>,
    zones: Arc<Zones>,
}

/// Lives through the three days. `progress` is told after each tick how many calls were placed.
pub fn run(wanted: &Wanted, progress: &mut dyn FnMut(Instant, usize)) -> anyhow::Result<Story> {
    let world = World::begin(wanted)?;
    world.move_in()?;
    let mut mishaps = Mishaps::default();
    let mut service = None;
    let mut ticks = 0;
    for number in 0..TICKS {
        if wanted.stop.load(Ordering::Relaxed) {
            bail!("the demo was stopped after {ticks} ticks");
        }
        let now = world.begins + TICK_EVERY * i32::try_from(number).unwrap_or(0);
        world.set_clock(now)?;
        if now == world.begins + Duration::hours(36) {
            world.import("sign-ups.csv", &|role| role == Role::SignsUp)?;
        }
        // A restart at every midnight, and wherever a process is to be killed.
        if number % TICKS_OF_A_DAY == 0 || mishaps.kills_next(&world, now) {
            service = None;
        }
        mishaps.prepare(&world, now)?;
        let ticked = match &service {
            Some(service) => world.tick(service)?,
            None => world.tick(service.insert(world.service()?))?,
        };
        if let Some(why) = ticked.refused {
            bail!("the tick at {} refused to dial: {why}", instant_text(now));
        }
        mishaps.learn(&world, now)?;
        ticks += 1;
        progress(now, ticked.succeeded);
    }
    story::tell(&world, &mishaps, ticks)
}

impl World {
    fn begin(wanted: &Wanted) -> anyhow::Result<World> {
        let begins = parse_instant(BEGINS).context("the demo's first instant")?;
        let people = people::invent(wanted.customers);
        let now = Arc::new(Mutex::new(begins));
        let lines = lines(wanted.customers);
        let setup = Setup {
            seed: 26,
            mix: "answered=66,no_answer=14,busy=5,voicemail=12,bad_number=3"
                .parse()
                .map_err(|problem: String| anyhow::anyhow!(problem))?,
            concurrency_limit: lines,
            ..Setup::default()
        };
        let journal = Journal::open(&wanted.folder.join("provider-journal.jsonl"))
            .context("open the fake provider's journal")?;
        let fake_clock = {
            let now = Arc::clone(&now);
            Arc::new(move || *now.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
        };
        let fake = FakeVapi::on_free_port(FakeCore::new(setup, journal), fake_clock)
            .context("start the fake provider")?;
        let folder = wanted.folder.clone();
        let zones = Arc::new(Zones::load());
        let world = World { folder, begins, fake, people, now, zones };
        write(&world.config_path(), &world.configuration(lines))?;
        world.set_clock(begins)?;
        Ok(world)
    }

    /// The people come in as they would anywhere: from a file.
    fn move_in(&self) -> anyhow::Result<()> {
        self.import("customers.csv", &|role| role != Role::SignsUp)?;
        let store = Store::open(&self.db_path(), self.begins)?;
        for person in self.people.iter().filter(|person| person.role == Role::DoNotCall) {
            let entry = do_not_call::Entry {
                phone: person.phone.clone(),
                reason: "asked not to be called".to_string(),
                source: "demo".to_string(),
                created_at: self.begins,
            };
            let moved = store.write(|tx| do_not_call::add(tx, store.path(), &entry))?;
            log::debug!("a number on the do-not-call list: {moved:?}");
        }
        Ok(())
    }

    fn import(&self, name: &str, wanted: &dyn Fn(Role) -> bool) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        write(&path, &people::csv(&self.people, self.begins, wanted))?;
        let now = self.now();
        let store = Store::open(&self.db_path(), now)?;
        let checked =
            import::check(&store, &self.zones, &path, Options::default(), now, &mut |_| {})?;
        if !checked.may_apply() {
            bail!("{name} was refused: {:?}", checked.into_report().problems.first());
        }
        checked.apply(&store, &self.zones, now, &mut |_| {})?;
        Ok(())
    }

    /// One pass as a system cron starts it.
    fn tick(&self, service: &Service) -> anyhow::Result<Ticked> {
        match service.cx.store.lock_for_dialing(self.now())? {
            LockAnswer::Mine(_lock) => tick::tick(service),
            LockAnswer::Taken(holder) => bail!("another dialer is running: {holder}"),
        }
    }

    fn service(&self) -> anyhow::Result<Service> {
        let loaded = self.loaded()?;
        let vapi = &loaded.config.vapi;
        let provider = Vapi::new(&vapi.base_url, ApiKey::new(KEY), vapi.timeout_secs)?;
        let store = Arc::new(Store::open(&loaded.db, self.now())?);
        let cx = Context::new(store, loaded.config.clone(), Arc::clone(&self.zones))?;
        Ok(Service {
            cx,
            provider: Box::new(provider),
            clock: loaded.clock,
            stop: Arc::default(),
            halted: Mutex::new(None),
        })
    }

    /// The configuration, without a look at the user's own file or environment.
    fn loaded(&self) -> anyhow::Result<Loaded> {
        let flags = Overrides {
            config: Some(self.config_path()),
            db: Some(self.db_path()),
            ..Overrides::default()
        };
        let environment = self.environment();
        let look = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        Ok(config::load(&flags, &look)?)
    }

    /// The environment of every process of the demo.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let clock = self.clock_path().display().to_string();
        vec![("RINGONCE_TEST_CLOCK", clock), ("VAPI_API_KEY", KEY.to_string())]
    }

    fn configuration(&self, lines: usize) -> String {
        format!(
            "[vapi]\nbase_url = \"{}\"\nphone_number_id = \"demo-line\"\n\
             assistant_id = \"demo-assistant\"\n\n[dialing]\nmax_active_calls = {lines}\n\
             calls_per_minute = 100000 # three days pass in seconds\n\n\
             [reconcile]\nin_doubt = \"redial\" # after proven absence; the default waits for a person\n",
            self.fake.base_url()
        )
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.join("ringonce.toml")
    }

    pub fn db_path(&self) -> PathBuf {
        self.folder.join("ringonce.db")
    }

    fn clock_path(&self) -> PathBuf {
        self.folder.join("clock")
    }

    pub fn now(&self) -> Instant {
        *self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Our clock first: the provider's must never be behind what we wrote.
    fn set_clock(&self, now: Instant) -> anyhow::Result<()> {
        write(&self.clock_path(), &instant_text(now))?;
        *self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = now;
        Ok(())
    }
}

/// Lines enough for so many people, as an operator would have.
fn lines(customers: usize) -> usize {
    (customers / 4).max(10)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
