//! Claim, POST and record: many at once, and one at a time. For both sides the provider answers at
//! once, in this process, without a socket.

use std::sync::Mutex;
use std::time::Duration;

use ringonce::clock;
use ringonce::provider::Provider;
use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::Patience;
use ringonce::service::new_id;
use ringonce::steps::dial::{self, Pass, record};
use ringonce::steps::scan;

use crate::world::{self, AtOnce, Crowd, Folder, median, timed};
use crate::{Figure, Ratio, plain};

const CALLS: usize = 2_000;
const ROUNDS: usize = 5;

pub fn figures() -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for workers in [1, 4, 8, 16] {
        let measured = in_turns(&|| our_calls(workers), &|| plain_calls(workers))?;
        let goal = (workers == 16).then(|| (">= 3".to_string(), 3.0 <= measured.2.median));
        let work = format!("claim, POST, record at FULL, {workers} at once");
        figures.push(figure(work, measured, goal));
    }
    let measured = in_turns(&our_one_by_one, &|| plain_calls(1))?;
    let goal = Some((">= 0.9".to_string(), 0.9 <= measured.2.median));
    figures.push(figure("one claim, one record, each alone".to_string(), measured, goal));
    Ok(figures)
}

/// Calls per second of our code and of the plain loop, and the ratios of neighbouring runs.
type Measured = (f64, f64, Ratio);

fn in_turns(
    ours: &dyn Fn() -> anyhow::Result<f64>,
    plain: &dyn Fn() -> anyhow::Result<f64>,
) -> anyhow::Result<Measured> {
    let (mut our_rates, mut plain_rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (plain_took, took) = (plain()?, ours()?);
        plain_rates.push(CALLS as f64 / plain_took);
        our_rates.push(CALLS as f64 / took);
        ratios.push(plain_took / took);
    }
    Ok((median(our_rates), median(plain_rates), Ratio::of(ratios)))
}

fn figure(work: String, measured: Measured, goal: Option<(String, bool)>) -> Figure {
    let (ours, plain, ratio) = measured;
    eprintln!("  {work}: {ours:.0}/s, plain {plain:.0}/s, {ratio}");
    Figure {
        work,
        ours: format!("{ours:.0}/s"),
        plain: format!("{plain:.0}/s"),
        ratio: Some(ratio),
        goal,
    }
}

/// A database in which every call is due and queued.
fn queued() -> anyhow::Result<Folder> {
    let folder = Folder::new()?;
    let now = clock::machine_now();
    let due_from = now - chrono::Duration::minutes(5);
    let due_every = chrono::Duration::milliseconds(10);
    let crowd = Crowd { customers: CALLS, due: CALLS, due_from, due_every };
    world::fill(&folder.db(), crowd, now)?;
    let scanned = scan::scan(&world::context(&folder.db(), 1, now)?, now)?;
    anyhow::ensure!(scanned.queued == CALLS, "only {} were queued", scanned.queued);
    Ok(folder)
}

/// Seconds for all calls through the real dialer.
fn our_calls(workers: usize) -> anyhow::Result<f64> {
    let folder = queued()?;
    let service = world::service(&folder.db(), workers, clock::machine_now())?;
    let patience = Patience { pace: true, record: Duration::from_secs(10) };
    let mut dialer = Dialer::new(&service, patience, clock::machine_now())?;
    let (took, passed) = timed(|| dialer.pass(&mut |_| Ok(None)))?;
    anyhow::ensure!(passed.succeeded == CALLS, "only {} were placed", passed.succeeded);
    Ok(took)
}

/// Seconds for all calls with one commit per step and one writer behind a mutex.
fn plain_calls(workers: usize) -> anyhow::Result<f64> {
    let folder = queued()?;
    let conn = Mutex::new(world::plain_connection(&folder.db())?);
    let placed = Mutex::new(0);
    let (took, ()) = timed(|| {
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..workers).map(|_| scope.spawn(|| plain_thread(&conn, &placed))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
        })
    })?;
    let placed = placed.into_inner().expect("no panic");
    anyhow::ensure!(placed == CALLS, "the plain loop placed {placed}");
    Ok(took)
}

fn plain_thread(conn: &Mutex<rusqlite::Connection>, placed: &Mutex<usize>) -> anyhow::Result<()> {
    loop {
        let claimed = plain::claim(&mut conn.lock().expect("no panic"), clock::machine_now())?;
        let Some(claimed) = claimed else { return Ok(()) };
        AtOnce.get(&claimed.attempt).expect_err("nothing is kept");
        plain::record(&mut conn.lock().expect("no panic"), &claimed, clock::machine_now())?;
        *placed.lock().expect("no panic") += 1;
    }
}

/// Seconds to claim and record one call at a time, without batches.
fn our_one_by_one() -> anyhow::Result<f64> {
    let folder = queued()?;
    let cx = world::context(&folder.db(), 1, clock::machine_now())?;
    let clock = ringonce::clock::Clock::System;
    let mut pass = Pass::default();
    let (took, calls) = timed(|| {
        let mut calls = 0;
        loop {
            let reading = clock.read()?;
            let mut next_id = || new_id(reading.now);
            let claimed = dial::claim(&cx, &mut pass, 1, reading.now, &mut next_id)?;
            let Some(intent) = claimed.intents.into_iter().next() else { return Ok(calls) };
            let reply = dial::place(&AtOnce, &intent, &reading, &|| clock.read().ok());
            record::record(&cx, &intent, &reply, clock.now()?)?;
            calls += 1;
        }
    })?;
    anyhow::ensure!(calls == CALLS, "only {calls} were placed");
    Ok(took)
}
