//! The demo's deliberate failures, one at a time, each at a moment when calls are due, and how each
//! was settled.

use std::process::{Command, Stdio};
use std::time::Duration as RealTime;

use anyhow::{Context as _, bail};
use chrono::Duration;

use crate::clock;
use crate::demo::fake_vapi::faults::Faults;
use crate::demo::fake_vapi::journal::{Event, FakeEntry};
use crate::demo::show::world::World;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::store::{Store, attempts};

/// A failure that the demo causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MishapKind {
    /// The call is placed, but its answer is lost.
    LostReply,
    /// The process is killed between the POST and the record.
    Killed,
    /// The provider answers 503: no call was placed, but nothing proves it.
    Unavailable,
}

const SCRIPT: [(MishapKind, i64, &str); 3] = [
    (MishapKind::LostReply, 7, "accept-then-close:first=1"),
    (MishapKind::Killed, 30, "accept-then-hang=8:first=1"),
    (MishapKind::Unavailable, 52, "status=503:first=1"),
];

impl MishapKind {
    /// The failure in words.
    pub fn what(self) -> &'static str {
        match self {
            MishapKind::LostReply => "answer to a POST lost",
            MishapKind::Killed => "process killed in a POST",
            MishapKind::Unavailable => "provider answered 503",
        }
    }
}

/// A failure that happened.
#[derive(Clone, Debug)]
pub struct Mishap {
    pub trouble: MishapKind,
    pub at: Instant,
    attempt_id: String,
    /// When the doubt was settled, and the attempt's state then.
    pub settled: Option<(Instant, AttemptState)>,
}

/// The failures so far.
#[derive(Clone, Debug, Default)]
pub struct Mishaps {
    pub struck: Vec<Mishap>,
}

impl Mishaps {
    /// Sets the fault of the next failure before a tick, if it is due.
    pub fn prepare(&mut self, world: &World, now: Instant) -> anyhow::Result<()> {
        let Some((trouble, faults)) = self.next(world, now) else { return Ok(()) };
        let faults: Faults = faults.parse().map_err(|problem| anyhow::anyhow!("{problem}"))?;
        world.fake.set_faults(faults);
        if trouble == MishapKind::Killed {
            kill_a_tick(world)?;
            world.fake.set_faults(Faults::default());
        }
        Ok(())
    }

    /// The next failure, if its time has come and all earlier ones are settled.
    fn next(&self, world: &World, now: Instant) -> Option<(MishapKind, &'static str)> {
        let (trouble, hour, faults) = SCRIPT.get(self.struck.len())?;
        let settled = self.struck.iter().all(|mishap| mishap.settled.is_some());
        let come = world.begins + Duration::hours(*hour) <= now;
        (settled && come).then_some((*trouble, *faults))
    }

    /// Whether `prepare` will start a separate process and kill it.
    pub fn kills_next(&self, world: &World, now: Instant) -> bool {
        self.next(world, now).is_some_and(|(trouble, _)| trouble == MishapKind::Killed)
    }

    /// Notes after a tick which failures happened and which doubts were settled.
    pub fn learn(&mut self, world: &World, now: Instant) -> anyhow::Result<()> {
        let journal = world.fake.journal();
        let hit: Vec<&FakeEntry> = journal
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

/// Starts the real command as a separate process. Kills it while it waits for the answer to a call
/// that the provider has accepted. If nothing is due, the process ends normally.
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
