//! The demo's world: its folder, its people, its fake provider and its clock.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail};

use crate::config::load::{LoadedConfig, Overrides};
use crate::demo::fake_vapi::core::{FakeCore, Setup};
use crate::demo::fake_vapi::journal::Journal;
use crate::demo::fake_vapi::server::FakeVapi;
use crate::demo::show::people::{self, Person, Role};
use crate::domain::{Instant, instant_text, parse_instant};
use crate::service::Service;
use crate::service::tick::{self, Ticked};
use crate::steps::Context;
use crate::steps::import::customers::{self, Options};
use crate::store::file::lock::LockAnswer;
use crate::store::{Store, do_not_call};
use crate::vapi::{ApiKey, Vapi};
use crate::zones::Zones;

/// A Saturday: on its Sunday the clocks in North America go forward.
const BEGINS: &str = "2026-03-07T00:00:00.000Z";

/// The key for the fake provider, which accepts any key.
pub(crate) const KEY: &str = "the-demo-needs-no-key";

/// The demo's settings.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub customers: usize,
    /// An empty folder for the demo alone.
    pub folder: PathBuf,
    /// The caller sets it to end the demo early.
    pub stop: Arc<AtomicBool>,
}

/// The world of one demo: a folder, a clock, a provider, people.
pub struct World {
    pub folder: PathBuf,
    pub begins: Instant,
    pub fake: FakeVapi,
    pub people: Vec<Person>,
    pub(crate) now: Arc<Mutex<Instant>>,
    pub(crate) zones: Arc<Zones>,
}

impl World {
    pub(crate) fn begin(wanted: &Wanted) -> anyhow::Result<World> {
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

    /// Imports the people from a file, as an operator would.
    pub(crate) fn move_in(&self) -> anyhow::Result<()> {
        self.import("customers.csv", &|role| role != Role::SignsUp)?;
        let store = Store::open(&self.db_path(), self.begins)?;
        for person in self.people.iter().filter(|person| person.role == Role::DoNotCall) {
            let entry = do_not_call::DoNotCallEntry {
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

    pub(crate) fn import(&self, name: &str, wanted: &dyn Fn(Role) -> bool) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        write(&path, &people::csv(&self.people, self.begins, wanted))?;
        let now = self.now();
        let store = Store::open(&self.db_path(), now)?;
        let checked =
            customers::check(&store, &self.zones, &path, Options::default(), now, &mut |_| {})?;
        if !checked.may_apply() {
            bail!("{name} was refused: {:?}", checked.into_report().problems.first());
        }
        checked.apply(&store, &self.zones, now, &mut |_| {})?;
        Ok(())
    }

    /// Runs one pass as a system cron would.
    pub(crate) fn tick(&self, service: &Service) -> anyhow::Result<Ticked> {
        match service.cx.store.lock_for_dialing(self.now())? {
            LockAnswer::Mine(_lock) => tick::tick(service),
            LockAnswer::Taken(holder) => bail!("another dialer is running: {holder}"),
        }
    }

    pub(crate) fn service(&self) -> anyhow::Result<Service> {
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

    /// Loads the configuration without the user's own file and environment.
    pub(crate) fn loaded(&self) -> anyhow::Result<LoadedConfig> {
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
        Ok(crate::config::load::load(&flags, &look)?)
    }

    /// The environment of every process of the demo.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let clock = self.clock_path().display().to_string();
        vec![("RINGONCE_TEST_CLOCK", clock), ("VAPI_API_KEY", KEY.to_string())]
    }

    pub(crate) fn configuration(&self, lines: usize) -> String {
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

    /// Moves both clocks: ours in its file, and the one of the fake provider.
    pub(crate) fn set_clock(&self, now: Instant) -> anyhow::Result<()> {
        write(&self.clock_path(), &instant_text(now))?;
        *self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = now;
        Ok(())
    }
}

/// The number of lines that an operator with this many customers would have.
pub(crate) fn lines(customers: usize) -> usize {
    (customers / 4).max(10)
}

pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
