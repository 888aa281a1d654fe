//! What goes wrong in the demo, on purpose: one trouble at a time, each at a moment when calls
//! are due, and what became of it.

use std::process::{Command, Stdio};
use std::time::Duration as RealTime;

use anyhow::{Context as _, bail};
use chrono::Duration;

use crate::clock;
use crate::demo::faults::Faults;
use crate::demo::journal::{Entry, Event};
use crate::demo::show::World;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::store::{Store, attempts};

/// A trouble of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The call is placed, its answer is lost.
    LostReply,
    /// The process is killed between the POST and the record.
    Killed,
    /// 503: no call was placed, but that is not proven.
    Unavailable,
}

const SCRIPT: [(Trouble, i64, &str); 3] = [
    (Trouble::LostReply, 7, "accept-then-close:first=1"),
    (Trouble::Killed, 30, "accept-then-hang=8:first=1"),
    (Trouble::Unavailable, 52, "status=503:first=1"),
];

impl Trouble {
    /// What happened, in words.
    pub fn what(self) -> &'static str {
        match self {
            Trouble::LostReply => "answer to a POST lost",
            Trouble::Killed => "process killed in a POST",
            Trouble::Unavailable => "provider answered 503",
        }
    }
}

/// One that struck.
#[derive(Clone, Debug)]
pub struct Mishap {
    pub trouble: Trouble,
    pub at: Instant,
    attempt_id: String,
    /// When the doubt was settled, and as what.
    pub settled: Option<(Instant, AttemptState)>,
}

/// The troubles so far.
#[derive(Clone, Debug, Default)]
pub struct Mishaps {
    pub struck: Vec<Mishap>,
}

impl Mishaps {
    /// Before a tick: sets the trap whose time has come.
    pub fn prepare(&mut self, world: &World, now: Instant) -> anyhow::Result<()> {
        let Some((trouble, faults)) = self.next(world, now) else { return Ok(()) };
        let faults: Faults = faults.parse().map_err(|problem| anyhow::anyhow!("{problem}"))?;
        world.fake.set_faults(faults);
        if trouble == Trouble::Killed {
            kill_a_tick(world)?;
            world.fake.set_faults(Faults::default());
        }
        Ok(())
    }

    /// The trouble whose time has come: one at a time.
    fn next(&self, world: &World, now: Instant) -> Option<(Trouble, &'static str)> {
        let (trouble, hour, faults) = SCRIPT.get(self.struck.len())?;
        let settled = self.struck.iter().all(|mishap| mishap.settled.is_some());
        let come = world.begins + Duration::hours(*hour) <= now;
        (settled && come).then_some((*trouble, *faults))
    }

    /// Whether `prepare` will start a process of its own.
    pub fn kills_next(&self, world: &World, now: Instant) -> bool {
        self.next(world, now).is_some_and(|(trouble, _)| trouble == Trouble::Killed)
    }

    /// After a tick: what struck, and what was settled.
    pub fn learn(&mut self, world: &World, now: Instant) -> anyhow::Result<()> {
        let journal = world.fake.journal();
        let hit: Vec<&Entry> = journal
            .iter()
            .filter(|entry| entry.fault.is_some())
            .filter(|entry| matches!(entry.event, Event::Post | Event::Reject))
            .skip(self.struck.len())
            .collect();
        if hit.is_empty() && self.struck.iter().all(|mishap| mishap.settled.is_some()) {
            return Ok(());
        }
        let store = Store::look(&world.db_path())?;
        for mishap in self.struck.iter_mut().filter(|mishap| mishap.settled.is_none()) {
            let attempt = store.read(|conn| attempts::by_id(conn, &mishap.attempt_id))?;
            let state = attempt.context("an attempt of the demo is gone")?.state;
            if state != AttemptState::InDoubt {
                mishap.settled = Some((now, state));
            }
        }
        for entry in hit {
            let Some((trouble, ..)) = SCRIPT.get(self.struck.len()) else { break };
            let attempt_id = entry.attempt_id.clone().context("a POST without a tag")?;
            let attempt = store.read(|conn| attempts::by_id(conn, &attempt_id))?;
            let state = attempt.context("a POST without an intent")?.state;
            let settled = (state != AttemptState::InDoubt).then_some((now, state));
            self.struck.push(Mishap { trouble: *trouble, at: entry.at, attempt_id, settled });
            world.fake.set_faults(Faults::default());
        }
        Ok(())
    }
}

/// Starts the real command as its own process and kills it while the provider, which has
/// accepted the call, keeps it waiting for the answer. When nothing is due, it just ends.
fn kill_a_tick(world: &World) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("find this program")?;
    let before = posts(world);
    let mut child = Command::new(program)
        .arg("tick")
        .arg("--db")
        .arg(world.db_path())
        .arg("--config")
        .arg(world.config_path())
        .env_clear()
        .envs(world.environment())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start a tick of its own")?;
    let started = clock::elapsed();
    loop {
        if before < posts(world) {
            child.kill().context("kill the tick")?;
            child.wait().context("wait for the killed tick")?;
            return Ok(());
        }
        if let Some(status) = child.try_wait().context("look at the tick")? {
            if !status.success() {
                bail!("a tick of the demo failed: {status}");
            }
            return Ok(());
        }
        if RealTime::from_secs(30) < clock::elapsed().saturating_sub(started) {
            child.kill().context("kill the tick")?;
            bail!("a tick of the demo did not come to its end");
        }
        clock::pause(RealTime::from_millis(2));
    }
}

fn posts(world: &World) -> usize {
    world.fake.journal().iter().filter(|entry| entry.event == Event::Post).count()
}
