//! `ringonce demo`: three days of calls in seconds, through the real scan, dialer, client and
//! database. Only the provider and the clock are fake. The demo connects only to loopback and
//! writes only into its own folder.

pub mod mishaps;
pub mod people;
pub mod story;
pub mod world;

use std::sync::atomic::Ordering;

use anyhow::bail;
use chrono::Duration;

use crate::demo::show::mishaps::Mishaps;
use crate::demo::show::people::Role;
use crate::demo::show::story::Story;
use crate::demo::show::world::{Wanted, World};
use crate::domain::{Instant, instant_text};

const TICK_EVERY: Duration = Duration::minutes(15);

const TICKS_OF_A_DAY: u64 = 24 * 4;
/// The number of ticks in the three days, including the one at their end.
pub const TICKS: u64 = 3 * TICKS_OF_A_DAY + 1;

/// Runs the three days. After each tick, `progress` gets its time and the number of placed calls.
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
        // Restart at every midnight, and before a process is to be killed.
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
