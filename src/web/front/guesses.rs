//! Limits on wrong tokens. An address that sends several gets a 429 answer for a few seconds. While
//! many addresses send wrong tokens, each address that sent one gets it too. Memory use is bounded.
//!
//! The right token as bearer is always accepted, so nobody can lock a program out. The token's
//! length protects it from being guessed; these limits only slow guesses down.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use chrono::Duration;

use crate::domain::Instant;

/// The most addresses that are remembered, which bounds memory use.
const ADDRESSES: usize = 1024;
/// Limits for the form: of one address, and of all. They allow a person to mistype a few times.
const FORM: [Rate; 2] = [rate(5, 10_000), rate(50, 1000)];
/// The same limits for bearers, counted separately from the form. A program with an old token sends
/// it often, and must not lock out a person who signs in from the same address.
const BEARER: [Rate; 2] = [rate(60, 1000), rate(600, 100)];

const fn rate(burst: i32, every_ms: i64) -> Rate {
    Rate { burst, every: Duration::milliseconds(every_ms) }
}

/// At most `burst` guesses at once, then one per `every`.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: i32,
    every: Duration,
}

/// The remaining guesses, stored as the instant at which the whole burst is available again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// Limits the deficit to one burst. Otherwise a clock that was set back would lock everybody
    /// out until it has caught up.
    fn settle(&mut self, rate: Rate, now: Instant) {
        self.full_at = self.full_at.clamp(now, now + rate.every * rate.burst);
    }

    /// How long until the next guess; `None`: a guess is allowed now.
    fn wait(&self, rate: Rate, now: Instant) -> Option<Duration> {
        let wait = self.full_at + rate.every - (now + rate.every * rate.burst);
        (Duration::zero() < wait).then_some(wait)
    }

    fn take(&mut self, rate: Rate, now: Instant) {
        self.full_at += rate.every;
        self.settle(rate, now);
    }

    fn give_back(&mut self, rate: Rate) {
        self.full_at -= rate.every;
    }
}

/// The recent guesses, by address and in total.
#[derive(Debug)]
pub struct Guesses {
    /// The limits of one address, and of all.
    rates: [Rate; 2],
    by_address: BTreeMap<IpAddr, Bucket>,
    all: Option<Bucket>,
}

impl Guesses {
    pub fn at_the_form() -> Guesses {
        Guesses { rates: FORM, by_address: BTreeMap::new(), all: None }
    }

    pub fn by_bearer() -> Guesses {
        Guesses { rates: BEARER, ..Guesses::at_the_form() }
    }

    /// Counts a guess before the token is checked, so that parallel guesses cannot outrun the
    /// count. The error is how long the address must wait; the guess is then not counted.
    ///
    /// An address without a wrong token may always try once, so that others cannot lock it out.
    pub fn count(&mut self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let from = network(from);
        let [of_one, of_all] = self.rates;
        let all = self.all.get_or_insert(Bucket { full_at: now });
        all.settle(of_all, now);
        let known = self.by_address.get_mut(&from).filter(|own| now < own.full_at);
        if let Some(own) = known {
            own.settle(of_one, now);
            let waits = [own.wait(of_one, now), all.wait(of_all, now)];
            if let Some(wait) = waits.into_iter().flatten().max() {
                return Err(wait);
            }
            all.take(of_all, now);
            own.take(of_one, now);
            return Ok(());
        }
        all.take(of_all, now);
        let mut own = Bucket { full_at: now };
        own.take(of_one, now);
        self.make_room(from, now);
        self.by_address.insert(from, own);
        Ok(())
    }

    /// Forgets the address's guesses and uncounts the last one, because it was right.
    pub fn was_right(&mut self, from: IpAddr) {
        self.by_address.remove(&network(from));
        if let Some(all) = &mut self.all {
            all.give_back(self.rates[1]);
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

/// The /64 network of an IPv6 address, because one subscriber has all 2^64 addresses of it.
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

    /// How many of 100 guesses are allowed.
    fn judged(guesses: &mut Guesses, from: IpAddr, now: Instant) -> usize {
        (0..100).filter(|_| guesses.count(from, now).is_ok()).count()
    }

    #[test]
    fn one_address_has_five_guesses_and_then_one_in_ten_seconds() {
        let mut guesses = Guesses::at_the_form();
        assert_eq!(judged(&mut guesses, v4(1), now()), 5);
        assert_eq!(guesses.count(v4(1), now()), Err(Duration::seconds(10)));
        let later = now() + Duration::seconds(4);
        assert_eq!(guesses.count(v4(1), later), Err(Duration::seconds(6)));
        assert_eq!(judged(&mut guesses, v4(1), now() + Duration::seconds(10)), 1);
        assert_eq!(judged(&mut guesses, v4(1), now() + Duration::minutes(5)), 5);
    }

    #[test]
    fn program_has_more_guesses_than_a_person() {
        let mut guesses = Guesses::by_bearer();
        assert_eq!(judged(&mut guesses, v4(1), now()), 60);
        assert_eq!(guesses.count(v4(1), now()), Err(Duration::seconds(1)));
    }

    #[test]
    fn others_lock_nobody_out_who_has_not_guessed_wrong() {
        let mut guesses = Guesses::at_the_form();
        let crowd: usize = (1..=200).map(|last| judged(&mut guesses, v4(last), now())).sum();
        assert!(crowd < 50 + 200, "{crowd}");
        assert_eq!(guesses.count(v4(0), now()), Ok(()));
        assert!(guesses.count(v4(0), now()).is_err(), "a second guess of the crowd waits");
        assert_eq!(guesses.count(v4(0), now() + Duration::seconds(2)), Ok(()));
    }

    #[test]
    fn right_token_forgets_what_the_address_guessed_before() {
        let mut guesses = Guesses::at_the_form();
        for _ in 0..30 {
            assert_eq!(guesses.count(v4(1), now()), Ok(()));
            guesses.was_right(v4(1));
        }
        assert_eq!(judged(&mut guesses, v4(1), now()), 5);
    }

    #[test]
    fn crowd_of_addresses_needs_no_extra_memory_and_keeps_the_worst() {
        let mut guesses = Guesses::at_the_form();
        assert_eq!(judged(&mut guesses, v4(0), now()), 5);
        for last in 1..5000 {
            let _ = guesses.count(v4(last), now());
        }
        assert_eq!(guesses.by_address.len(), ADDRESSES);
        assert!(guesses.count(v4(0), now()).is_err());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_and_a_mapped_ipv4_address_is_itself() {
        let mut guesses = Guesses::at_the_form();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(judged(&mut guesses, address("2001:db8::1"), now()), 5);
        assert!(guesses.count(address("2001:db8::ffff:1"), now()).is_err());
        assert_eq!(guesses.count(address("2001:db8:0:1::1"), now()), Ok(()));
        assert_eq!(judged(&mut guesses, address("::ffff:192.0.2.9"), now()), 5);
        assert!(guesses.count(address("192.0.2.9"), now()).is_err());
    }

    #[test]
    fn clock_that_is_set_back_locks_nobody_out() {
        let mut guesses = Guesses::at_the_form();
        assert_eq!(judged(&mut guesses, v4(1), now()), 5);
        let before = now() - Duration::days(30);
        let wait = guesses.count(v4(1), before).unwrap_err();
        assert!(wait <= Duration::seconds(10), "{wait}");
        assert_eq!(guesses.count(v4(1), before + wait), Ok(()));
    }
}
