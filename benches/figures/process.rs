//! The program as a process: start, memory, idle cost and punctuality with 1,000,000 customers,
//! against the fake provider on loopback, by the machine's own clock.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ringonce::clock;
use ringonce::demo::fake_vapi::calls::Timing;
use ringonce::demo::fake_vapi::core::{FakeCore, Setup};
use ringonce::demo::fake_vapi::journal::{Event, FakeEntry, Journal};
use ringonce::demo::fake_vapi::server::FakeVapi;
use ringonce::domain::{Instant, parse_instant};
use rusqlite::Connection;

use crate::Figure;
use crate::world::{self, Crowd, Folder, memory_of, quantile, timed};

const CUSTOMERS: usize = 1_000_000;
/// Calls whose lateness is measured, one each tenth of a second.
const PUNCTUAL: usize = 200;
const IDLE: Duration = Duration::from_secs(10);

pub fn figures() -> anyhow::Result<Vec<Figure>> {
    let folder = Folder::new()?;
    let begun = clock::machine_now();
    let due_every = chrono::Duration::milliseconds(100);
    let crowd = Crowd { customers: CUSTOMERS, due: 0, due_from: begun, due_every };
    world::fill(&folder.db(), crowd, begun)?;
    let now = clock::machine_now();
    // One call is due at once; the others are due only after everything runs.
    let due_from = now + chrono::Duration::seconds(45);
    let mut conn = world::plain_connection(&folder.db())?;
    let tx = conn.transaction()?;
    let places = world::open_places(now)?;
    let falls_due = |number: usize, at: Instant| {
        tx.execute(
            "UPDATE customers SET next_call_scheduled_at = ?1, timezone = ?2, call_time = ?3
             WHERE external_id = ?4",
            [
                ringonce::domain::instant_text(at),
                places[0].name.to_string(),
                places[0].call_time(at),
                format!("bench-{number}"),
            ],
        )
    };
    falls_due(CUSTOMERS - 1, now - chrono::Duration::minutes(1))?;
    for number in 0..PUNCTUAL {
        falls_due(number, due_from + due_every * i32::try_from(number)?)?;
    }
    tx.commit()?;
    drop(conn);
    let fake = fake()?;
    std::fs::write(folder.path().join("ringonce.toml"), configuration(&fake))?;

    let mut figures = vec![status(&folder)?];
    let spawned = clock::machine_now();
    let mut run = ringonce(&folder).arg("run").stderr(Stdio::null()).spawn()?;
    let measured = watch(&mut run, &fake, spawned, due_from);
    end(&mut run)?;
    figures.extend(measured?);
    // The first call was due before `run` was started.
    figures.push(lateness(&late_by(&folder, &fake, 1)?));
    Ok(figures)
}

pub fn fake() -> anyhow::Result<FakeVapi> {
    let zero = chrono::Duration::zero();
    let setup = Setup {
        timing: Timing { queue: zero, ring: zero, talk: zero },
        mix: "answered=1".parse().map_err(|problem: String| anyhow::anyhow!(problem))?,
        ..Setup::default()
    };
    let mut journal = Journal::default();
    journal.without_reads = true;
    Ok(FakeVapi::on_free_port(FakeCore::new(setup, journal), Arc::new(clock::machine_now))?)
}

pub fn configuration(fake: &FakeVapi) -> String {
    format!(
        "[vapi]\nbase_url = \"{}\"\nphone_number_id = \"line\"\nassistant_id = \"assistant\"\n\
         [dialing]\nmax_active_calls = 1000\ncalls_per_minute = 100000\nworkers = 16\n",
        fake.base_url()
    )
}

pub fn ringonce(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringonce"));
    command.arg("--db").arg(folder.db()).env("VAPI_API_KEY", "bench");
    command.env_remove("RINGONCE_TEST_CLOCK").env_remove("VAPI_BASE_URL");
    command.current_dir(folder.path()).stdout(Stdio::null());
    command
}

fn status(folder: &Folder) -> anyhow::Result<Figure> {
    let mut peak = 0.0_f64;
    let mut took = Vec::new();
    for _ in 0..9 {
        let (seconds, ()) = timed(|| {
            let mut child = ringonce(folder).arg("status").stderr(Stdio::null()).spawn()?;
            loop {
                peak = peak.max(memory_of(child.id(), "VmHWM").unwrap_or(0.0));
                if let Some(status) = child.try_wait()? {
                    anyhow::ensure!(status.success(), "`status` ended with {status}");
                    return Ok(());
                }
            }
        })?;
        took.push(seconds);
    }
    Ok(Figure {
        work: "status with 1,000,000 customers: time, peak memory".to_string(),
        ours: format!("{:.0} ms, {peak:.0} MB", world::median(took) * 1e3),
        plain: String::new(),
        ratio: None,
        goal: None,
    })
}

/// Measures the start, idle cost and memory of a `run` that has just begun.
fn watch(
    run: &mut Child,
    fake: &FakeVapi,
    spawned: Instant,
    due_from: Instant,
) -> anyhow::Result<Vec<Figure>> {
    let first = wait_for_posts(run, fake, 1, Duration::from_secs(20))?[0].at;
    let start = (first - spawned).num_milliseconds();
    let before = processor_time(run)?;
    clock::pause(IDLE);
    let used = processor_time(run)? - before;
    anyhow::ensure!(clock::machine_now() < due_from, "the machine was too slow to be idle");
    wait_for_posts(run, fake, 1 + PUNCTUAL, Duration::from_secs(90))?;
    let (resident, peak) = (memory_of(run.id(), "VmRSS")?, memory_of(run.id(), "VmHWM")?);
    let share = used / IDLE.as_secs_f64() * 100.0;
    Ok(vec![
        Figure {
            work: "run, 1,000,000 customers: start to the first POST".to_string(),
            ours: format!("{start} ms"),
            plain: String::new(),
            ratio: None,
            goal: Some(("<= 50 ms".to_string(), start <= 50)),
        },
        Figure {
            work: "run: memory resident, at its peak".to_string(),
            ours: format!("{resident:.0} MB, {peak:.0} MB"),
            plain: String::new(),
            ratio: None,
            goal: Some(("<= 20 MB".to_string(), resident <= 20.0)),
        },
        Figure {
            work: "run: processor use while nothing is due".to_string(),
            ours: format!("{share:.1} %"),
            plain: String::new(),
            ratio: None,
            goal: Some(("near 0".to_string(), share <= 1.0)),
        },
    ])
}

pub fn wait_for_posts(
    run: &mut Child,
    fake: &FakeVapi,
    count: usize,
    patience: Duration,
) -> anyhow::Result<Vec<FakeEntry>> {
    let started = clock::elapsed();
    loop {
        let mut posts = fake.journal();
        posts.retain(|entry| entry.event == Event::Post);
        if count <= posts.len() {
            return Ok(posts);
        }
        if let Some(status) = run.try_wait()? {
            anyhow::bail!("`run` ended with {status}");
        }
        let waited = clock::elapsed().saturating_sub(started);
        anyhow::ensure!(waited < patience, "only {} of {count} calls came", posts.len());
        clock::pause(Duration::from_millis(1));
    }
}

/// Seconds of processor time that a process has used.
fn processor_time(run: &Child) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", run.id()))?;
    let rest = text.rsplit(')').next().context("no name in stat")?;
    let ticks: Vec<f64> =
        rest.split_whitespace().skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

pub fn end(run: &mut Child) -> anyhow::Result<()> {
    let asked = Command::new("kill").arg(run.id().to_string()).status()?;
    anyhow::ensure!(asked.success(), "`run` could not be asked to stop");
    let status = run.wait()?;
    anyhow::ensure!(status.success(), "`run` ended with {status}");
    Ok(())
}

/// Milliseconds from each call's due instant to its POST, the shortest first, without the first
/// calls.
pub fn late_by(folder: &Folder, fake: &FakeVapi, skipped: usize) -> anyhow::Result<Vec<f64>> {
    let conn = Connection::open(folder.db())?;
    let mut late = Vec::new();
    for post in fake.journal().iter().filter(|entry| entry.event == Event::Post).skip(skipped) {
        let attempt = post.attempt_id.as_deref().unwrap_or_default();
        let due: String = conn.query_one(
            "SELECT scheduled_for FROM call_queue JOIN call_attempts ON queue_id = call_queue.id
             WHERE call_attempts.id = ?1",
            [attempt],
            |row| row.get(0),
        )?;
        let due = parse_instant(&due).context("an instant")?;
        late.push((post.at - due).num_milliseconds() as f64);
    }
    late.sort_by(f64::total_cmp);
    Ok(late)
}

fn lateness(late: &[f64]) -> Figure {
    let (half, most) = (quantile(late, 0.5), quantile(late, 0.99));
    let early = late.first().is_some_and(|first| *first < 0.0);
    Figure {
        work: "run: lateness of a call when a line is free, p50, p99".to_string(),
        ours: format!("{half:.0} ms, {most:.0} ms"),
        plain: String::new(),
        ratio: None,
        goal: Some(("p99 <= 100 ms, never early".to_string(), most <= 100.0 && !early)),
    }
}
