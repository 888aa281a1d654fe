//! The conditions before the gate, each set at random, with a real dialer behind them. `explain`
//! shows whether anything is dialed in the same list as the rules.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration as StdDuration;

use chrono::Duration;
use ringonce::clock::Clock;
use ringonce::domain::{Instant, instant_text};
use ringonce::provider::{
    Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ProviderCall, ReadError, Refusal,
};
use ringonce::service::Service;
use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::{Passed, Patience};
use ringonce::steps::Context;
use ringonce::steps::follow::unended;
use ringonce::store::meta::breaker::{self, Breaker};
use ringonce::store::meta::{holds, sequence};

use crate::agreement::Dice;
use crate::world::World;

/// The conditions before the gate at one look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doors {
    pub held: bool,
    pub breaker: Stands,
    pub lines_full: bool,
    /// The provider refuses every POST.
    pub refuses: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Stands {
    #[default]
    Closed,
    /// Its probe must still wait.
    Open,
    /// Its probe is allowed. `until_ended`: only the end of a call closes the breaker.
    HalfOpen { until_ended: bool },
}

impl Doors {
    pub fn throw(dice: &mut Dice) -> Doors {
        let breaker = match dice.roll(5) {
            0 => Stands::Open,
            1 | 2 => Stands::HalfOpen { until_ended: dice.one_in(2) },
            _ => Stands::Closed,
        };
        let half_open = matches!(breaker, Stands::HalfOpen { .. });
        Doors {
            held: dice.one_in(5),
            breaker,
            lines_full: dice.one_in(5),
            refuses: half_open && dice.one_in(2),
        }
    }

    /// Whether one probe is allowed and its reply does not close the breaker.
    pub fn lets_one_through(&self) -> bool {
        let stays = self.refuses || self.breaker == Stands::HalfOpen { until_ended: true };
        stays && !self.held && !self.lines_full
    }

    /// Writes the conditions into the file; the returned context limits the lines.
    pub fn shut(&self, world: &World) -> Context {
        let now = world.now;
        let breaker = |probe_at: Instant, until_ended| Breaker {
            probe_failed: false,
            why: "no credits".to_string(),
            opened_at: instant_text(now - Duration::minutes(4)),
            probe_at: instant_text(probe_at),
            until_ended,
        };
        let open = match self.breaker {
            Stands::Closed => None,
            Stands::Open => Some(breaker(now + Duration::minutes(1), false)),
            Stands::HalfOpen { until_ended } => Some(breaker(now, until_ended)),
        };
        let written = world.cx.store.write(|tx| {
            if self.held {
                holds::hold(tx, "record", "a test", now)?;
            }
            let highest = sequence::highest_seq(tx)?;
            open.map_or(Ok(()), |open| breaker::open_breaker(tx, &open, highest))
        });
        written.expect("written");
        let mut config = world.cx.config.clone();
        if self.lines_full {
            let lines = |conn: &_| unended::lines_in_use(&world.cx.config, conn, world.now);
            let in_use = world.cx.store.read(lines).expect("the lines");
            config.dialing.max_active_calls = in_use;
        }
        let (store, zones) = (Arc::clone(&world.cx.store), Arc::clone(&world.cx.zones));
        Context::new(store, config, zones).expect("a context")
    }

    /// Clears all conditions for the next look.
    pub fn open(&self, world: &World) {
        let opened = world.cx.store.write(|tx| {
            holds::lift_hold(tx, "record")?;
            breaker::close_breaker(tx, world.now)
        });
        opened.expect("written");
    }

    /// One pass of a real dialer that has just started.
    pub fn pass(&self, cx: Context, world: &World) -> Passed {
        let clock = world.folder.path().join("clock");
        std::fs::write(&clock, instant_text(world.now)).expect("a clock");
        let service = Service {
            cx,
            provider: Box::new(Answers { refuses: self.refuses }),
            clock: Clock::File(clock),
            stop: Arc::new(AtomicBool::new(false)),
            halted: Mutex::new(None),
        };
        let patience = Patience { pace: false, record: StdDuration::from_secs(5) };
        let mut dialer = Dialer::new(&service, patience, world.now).expect("a dialer");
        dialer.pass(&mut |_| Ok(None)).expect("a pass")
    }
}

/// A provider that accepts every call, or refuses each one because of the account.
struct Answers {
    refuses: bool,
}

impl Provider for Answers {
    fn place(
        &self,
        order: &PlaceOrder,
        may_send: &(dyn Fn() -> bool + Sync),
    ) -> Result<Accepted, PlaceError> {
        assert!(may_send(), "an intent is stale under a clock that stands");
        if self.refuses {
            let detail = "402: no credits".to_string();
            return Err(PlaceError::NotPlaced { refusal: Refusal::Everybody, detail });
        }
        let call = ProviderCall {
            id: format!("call-{}", order.tag),
            status: Some("queued".to_string()),
            ..ProviderCall::default()
        };
        Ok(Accepted { call: Some(call), date: None })
    }

    fn get(&self, _: &str) -> Result<Fetched, ReadError> {
        Err(ReadError::NotFound)
    }

    fn list(&self, _: Instant) -> Result<Listing, ReadError> {
        Ok(Listing::default())
    }
}
