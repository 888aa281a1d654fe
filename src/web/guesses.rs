//! Wrong tokens. An address that shows several is answered 429 for a few seconds, and so is
//! everybody who has shown one while many do. Needs the same memory for every crowd, and is handed
//! the time.
//!
//! The right token as bearer is always taken, so nobody can lock a program out. What keeps a token
//! from being guessed is its length.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use chrono::Duration;

use crate::domain::Instant;

/// The most addresses that are remembered.
const ADDRESSES: usize = 1024;
/// One address: five wrong tokens at once, then one in ten seconds.
const ONE: Rate = Rate { burst: 5, every: Duration::seconds(10) };
/// All addresses together: fifty at once, then one a second.
const ALL: Rate = Rate { burst: 50, every: Duration::seconds(1) };

#[derive(Clone, Copy)]
struct Rate {
    burst: i32,
    every: Duration,
}

/// How many guesses are left, as the instant at which all of them will be.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    fn new(now: Instant) -> Bucket {
        Bucket { full_at: now }
    }

    /// How long until the next guess; `None`: it may be made now.
    fn wait(&self, rate: Rate, now: Instant) -> Option<Duration> {
        let wait = self.at(rate, now) + rate.every - (now + rate.every * rate.burst);
        (Duration::zero() < wait).then_some(wait)
    }

    fn take(&mut self, rate: Rate, now: Instant) {
        self.full_at = (self.at(rate, now) + rate.every).min(now + rate.every * rate.burst);
    }

    fn give_back(&mut self, rate: Rate) {
        self.full_at -= rate.every;
    }

    /// A clock that was set back must not lock anybody out for longer than an empty bucket does.
    fn at(&self, rate: Rate, now: Instant) -> Instant {
        self.full_at.clamp(now, now + rate.every * rate.burst)
    }
}

/// The guesses of the last minutes.
#[derive(Debug, Default)]
pub struct Guesses {
    by_address: BTreeMap<IpAddr, Bucket>,
    all: Option<Bucket>,
}

impl Guesses {
    /// Counts a guess before it is judged, so that no crowd is faster than the count. The error is how
    /// long the address has to wait; nothing was counted then.
    ///
    /// An address without a wrong token yet may always try once: others cannot lock it out.
    pub fn count(&mut self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let from = network(from);
        let own = self.by_address.get(&from).copied().filter(|bucket| now < bucket.full_at);
        let mut all = self.all.unwrap_or(Bucket::new(now));
        if let Some(own) = own {
            let waits = [own.wait(ONE, now), all.wait(ALL, now)];
            if let Some(wait) = waits.into_iter().flatten().max() {
                return Err(wait);
            }
        }
        let mut own = own.unwrap_or(Bucket::new(now));
        own.take(ONE, now);
        all.take(ALL, now);
        self.all = Some(all);
        self.make_room(from, now);
        self.by_address.insert(from, own);
        Ok(())
    }

    /// The guess that was counted last was right.
    pub fn was_right(&mut self, from: IpAddr) {
        self.by_address.remove(&network(from));
        if let Some(all) = &mut self.all {
            all.give_back(ALL);
        }
    }

    fn make_room(&mut self, newcomer: IpAddr, now: Instant) {
        if self.by_address.len() < ADDRESSES || self.by_address.contains_key(&newcomer) {
            return;
        }
        self.by_address.retain(|_, bucket| now < bucket.full_at);
        if self.by_address.len() < ADDRESSES {
            return;
        }
        let mildest = self.by_address.iter().min_by_key(|(_, bucket)| bucket.full_at);
        if let Some(mildest) = mildest.map(|(address, _)| *address) {
            self.by_address.remove(&mildest);
        }
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_instant;

    fn now() -> Instant {
        parse_instant("2026-11-22T17:00:00Z").unwrap()
    }

    fn v4(last: u32) -> IpAddr {
        IpAddr::from(std::net::Ipv4Addr::from(0xC000_0200 + last))
    }

    /// How many guesses of many are judged.
    fn judged(guesses: &mut Guesses, from: IpAddr, now: Instant) -> usize {
        (0..100).filter(|_| guesses.count(from, now).is_ok()).count()
    }

    #[test]
    fn one_address_has_five_guesses_and_then_one_in_ten_seconds() {
        let mut guesses = Guesses::default();
        assert_eq!(judged(&mut guesses, v4(1), now()), 5);
        assert_eq!(guesses.count(v4(1), now()), Err(Duration::seconds(10)));
        let later = now() + Duration::seconds(4);
        assert_eq!(guesses.count(v4(1), later), Err(Duration::seconds(6)));
        assert_eq!(judged(&mut guesses, v4(1), now() + Duration::seconds(10)), 1);
        assert_eq!(judged(&mut guesses, v4(1), now() + Duration::minutes(5)), 5);
    }

    #[test]
    fn others_lock_nobody_out_who_has_not_guessed_wrong() {
        let mut guesses = Guesses::default();
        let crowd: usize = (1..=200).map(|last| judged(&mut guesses, v4(last), now())).sum();
        assert!(crowd < 50 + 200, "{crowd}");
        assert_eq!(guesses.count(v4(0), now()), Ok(()));
        assert!(guesses.count(v4(0), now()).is_err(), "a second guess of the crowd waits");
        assert_eq!(guesses.count(v4(0), now() + Duration::seconds(2)), Ok(()));
    }

    #[test]
    fn right_token_forgets_what_the_address_guessed_before() {
        let mut guesses = Guesses::default();
        for _ in 0..30 {
            assert_eq!(guesses.count(v4(1), now()), Ok(()));
            guesses.was_right(v4(1));
        }
        assert_eq!(judged(&mut guesses, v4(1), now()), 5);
    }

    #[test]
    fn crowd_of_addresses_needs_no_more_memory_and_keeps_the_worst() {
        let mut guesses = Guesses::default();
        assert_eq!(judged(&mut guesses, v4(0), now()), 5);
        for last in 1..5000 {
            let _ = guesses.count(v4(last), now());
        }
        assert_eq!(guesses.by_address.len(), ADDRESSES);
        assert!(guesses.count(v4(0), now()).is_err());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_and_a_mapped_ipv4_address_is_itself() {
        let mut guesses = Guesses::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(judged(&mut guesses, address("2001:db8::1"), now()), 5);
        assert!(guesses.count(address("2001:db8::ffff:1"), now()).is_err());
        assert_eq!(guesses.count(address("2001:db8:0:1::1"), now()), Ok(()));
        assert_eq!(judged(&mut guesses, address("::ffff:192.0.2.9"), now()), 5);
        assert!(guesses.count(address("192.0.2.9"), now()).is_err());
    }

    #[test]
    fn clock_that_is_set_back_locks_nobody_out() {
        let mut guesses = Guesses::default();
        assert_eq!(judged(&mut guesses, v4(1), now()), 5);
        let before = now() - Duration::days(30);
        let wait = guesses.count(v4(1), before).unwrap_err();
        assert!(wait <= Duration::seconds(10), "{wait}");
        let after = before + Duration::seconds(10);
        assert!(guesses.count(v4(1), after).is_err(), "it was not counted before");
    }
}
