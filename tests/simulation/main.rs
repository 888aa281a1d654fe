//! The deterministic simulation: the real steps over real SQLite under a virtual clock. The
//! provider lies, processes die between any two phases, clocks jump and files are restored. The
//! same seed always lives the same life; `scripts/simulate` runs millions of customer-days.
//!
//! `SIM_SEED=N` lives one life, `SIM_SEEDS=A..B` a range. `SIM_CUSTOMER_DAYS=N` lives as many lives
//! as it takes to reach N customer-days.

mod acts;
mod calls;
mod chaos;
mod dice;
mod elsewhere;
mod faults;
#[path = "../spec/inner_loop.rs"]
#[allow(dead_code)]
mod inner_loop;
mod life;
mod lost;
mod oracle;
mod outbox;
mod outside;
mod people;
mod plan;
mod process;
mod seeds;
mod vapi;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ringonce::zones::Zones;

use crate::inner_loop::sized;
use crate::life::Life;
use crate::plan::Counts;

/// The one life that a plain `cargo test` runs: a short one with restored files, jumping clocks and
/// dying processes. `scripts/check` runs many more, optimised.
const QUICK_SEED: u64 = 17;

/// Runs one life; the error is the one line that replays it.
pub fn live(seed: u64, zones: &Arc<Zones>) -> Result<Counts, String> {
    live_and_tell(seed, zones, true)
}

/// The same, with or without an application that hears the events.
fn live_and_tell(seed: u64, zones: &Arc<Zones>, hears: bool) -> Result<Counts, String> {
    let failed = |step: u64, what: String| {
        format!("SEED={seed} STEP={step} {what} — replay: scripts/simulate --seed {seed}")
    };
    let mut life =
        Life::new(seed, zones, hears).map_err(|error| failed(0, format!("{error:#}")))?;
    match life.live() {
        Ok(()) => Ok(life.counts),
        Err(error) => Err(failed(life.counts.steps, format!("{error:#}"))),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// The range of seeds, and the number of customer-days that is enough.
fn wanted() -> (u64, u64, u64) {
    if let Some(seed) = number("SIM_SEED") {
        return (seed, seed + 1, u64::MAX);
    }
    if let Ok(range) = std::env::var("SIM_SEEDS") {
        let (from, to) = range.split_once("..").expect("A..B");
        return (from.parse().expect("a seed"), to.parse().expect("a seed"), u64::MAX);
    }
    match number("SIM_CUSTOMER_DAYS") {
        Some(enough) => (1, u64::MAX, enough),
        None => (QUICK_SEED, QUICK_SEED + 1, u64::MAX),
    }
}

#[test]
fn no_life_rings_twice_or_loses_an_occasion() {
    let (from, to, enough) = wanted();
    let zones = Arc::new(Zones::load());
    let next = AtomicU64::new(from);
    let failed = AtomicBool::new(false);
    let total = Mutex::new((Counts::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(16);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if to <= seed || enough <= total.lock().unwrap().0.customer_days {
                        return;
                    }
                    let lived = live(seed, &zones);
                    let mut total = total.lock().unwrap();
                    match lived {
                        Ok(counts) => tell(&mut total.0, &counts),
                        Err(line) => {
                            eprintln!("{line} (after {} customer-days)", total.0.customer_days);
                            total.1.push(line);
                            let go_on = std::env::var_os("SIM_GO_ON").is_some();
                            failed.store(!go_on, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let (counts, failures) = total.into_inner().unwrap();
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
    println!("simulated: {counts}");
}

/// Adds a life, and prints a line after each hundred thousand customer-days.
fn tell(total: &mut Counts, counts: &Counts) {
    let before = total.customer_days / 100_000;
    total.add(counts);
    if before < total.customer_days / 100_000 {
        eprintln!("so far: {total}");
    }
}

#[test]
fn the_same_seed_lives_the_same_life() {
    let zones = Arc::new(Zones::load());
    let seed = sized(QUICK_SEED, 53);
    assert_eq!(live(seed, &zones), live(seed, &zones));
}

/// The counts hold a hash of every POST, the rings and every step.
#[test]
fn the_provider_hears_the_same_whether_or_not_an_application_hears_the_events() {
    let zones = Arc::new(Zones::load());
    assert_eq!(live_and_tell(53, &zones, true), live_and_tell(53, &zones, false));
}
