//! The events and faults that a seed switches on. Each seed tries another random part of all that
//! can happen.

use chrono::{Duration, TimeZone, Utc};
use ringonce::config::settings::{Config, DoubtPolicy};
use ringonce::domain::Instant;

use crate::dice::Dice;
use crate::faults::{Faults, ON_POST};

/// Dice of newer troubles. Do not change: the seeds in `seeds.rs` must live as when found.
const MORE: u64 = 0x6d22;
/// The dice of lives whose disk is set back.
const SET_BACK: u64 = 0x5e7b;
/// The dice of lost databases and calls by hand.
const LAST: u64 = 0x1a57;

#[derive(Clone, Debug)]
pub struct Plan {
    pub begins: Instant,
    pub days: i64,
    pub customers: usize,
    /// One of this many customers has not paid at sign-up.
    pub unpaid_in: usize,
    /// A system cron starts `tick` every quarter of an hour; otherwise a service runs all the time.
    pub ticks: bool,
    /// The number of zones and times in use.
    pub few: usize,
    /// One of this many phases is the last of its process.
    pub crash_in: usize,
    /// Before one of this many POSTs the process is stopped for a while.
    pub stop_in: usize,
    /// The average time between two events from outside.
    pub chaos_every: Duration,
    pub edits: bool,
    pub restores: bool,
    pub jumps: bool,
    pub spells: bool,
    pub webhooks: bool,
    pub recheck: Duration,
    pub idle_reconcile: Duration,
    pub redial: bool,
    /// Nobody looks up doubts before the quiet end.
    pub no_operator: bool,
    /// A customer who was just called changes the number and asks for a call, or is erased and
    /// signs up again.
    pub returns: bool,
    /// The file is lost again and again, each time soon after a backup.
    pub often_lost: bool,
    /// The whole disk is set back with the file, and nothing on it shows that.
    pub set_back: bool,
    /// Doubts are asked about at any interval, and by a person too.
    pub any_pace: bool,
    /// From then on a person dials with the key of another account; the first doubts set it.
    pub new_key_at: Option<Instant>,
    /// Until then the key is mistakenly that of an account without any call.
    pub right_key_at: Option<Instant>,
    /// Another system made some of the calls and reports them in its export.
    pub told: bool,
    /// Two dialers claim from the file at once, as if the lock were gone.
    pub two_claim: bool,
    /// The file is lost without a backup, and the same people are imported into a new one.
    pub loses_all: bool,
    /// Until then nobody has accepted the new file.
    pub accepted_at: Option<Instant>,
    /// People call by hand with our assistant.
    pub by_hand: bool,
    pub lines: usize,
    /// Pause of a running service after each call; above zero, it claims one call at a time.
    pub pace: Duration,
    pub faults: Faults,
}

impl Plan {
    pub fn new(seed: u64) -> Plan {
        let mut dice = Dice::new(seed ^ 0x51a4);
        let starts = [(2026, 3, 5), (2026, 3, 26), (2026, 6, 9), (2026, 10, 22), (2026, 10, 29)];
        let (year, month, day) = *dice.pick(&starts);
        let begins = Utc.with_ymd_and_hms(year, month, day, dice.below(24) as u32, 3, 0).unwrap();
        let mut on = || !dice.one_in(2);
        let (edits, restores, jumps, spells) = (on(), on(), on(), on());
        let (webhooks, ticks, redial) = (on(), on(), on());
        let delay = Duration::seconds([1, 60, 400][dice.below(3)]);
        let lag = Duration::seconds([0, 0, 5, 60, 400, 1500, 4000][dice.below(7)]);
        let two_claim = dice.one_in(3);
        let on_post = ON_POST.into_iter().filter(|_| !dice.one_in(2)).collect();
        let share = |dice: &mut Dice| if dice.one_in(2) { 20 + dice.below(100) } else { 0 };
        // Separate dice: a third of the seeds live as they did before these troubles were known.
        let mut more = Dice::new(seed ^ MORE);
        let knows_more = !more.one_in(3);
        let mut on = || knows_more && !more.one_in(2);
        let (no_operator, returns, told, new_key, often_lost) = (on(), on(), on(), on(), on());
        let (garbled, long_garbled, strip_all) = (on(), on(), on());
        // A wrong conclusion about an absence appears only if all of these are on.
        let mut mostly = || knows_more && !more.one_in(4);
        let (hides, any_pace, redials, bad_replica) = (mostly(), mostly(), mostly(), mostly());
        let pace =
            Duration::seconds(if mostly() && !ticks { [2, 5, 10][more.below(3)] } else { 0 });
        // The newest events have dice of their own, too: the older seeds live as they did.
        let mut last = Dice::new(seed ^ LAST);
        let (loses_all, by_hand) = (last.one_in(4), last.one_in(4));
        let few_people = 40 + more.below(260);
        let restores = restores || often_lost;
        let often_lost = often_lost || (knows_more && restores);
        let set_back = restores && Dice::new(seed ^ SET_BACK).one_in(2);
        let often_lost = often_lost || set_back;
        // Earlier calls must be in the lists within the time that the program allows.
        let (delay, lag) = if set_back {
            (delay.min(Duration::seconds(60)), lag.min(Duration::seconds(400)))
        } else {
            (delay, lag)
        };
        let bad_replica = bad_replica && !set_back;
        // With the delay of an acceptance, a hole is still shorter than the time to settle.
        let hole = if delay < Duration::seconds(100) { 800 } else { 480 };
        let faults = Faults {
            hole: Duration::seconds(if hides { hole } else { 0 }),
            bad_replica,
            // Rows unreadable for hours and for days together would block every start.
            garbled: garbled && !long_garbled,
            long_garbled,
            strip_all,
            on_post,
            post_share: [20, 60, 150][dice.below(3)],
            delay,
            lag,
            stale_share: share(&mut dice),
            list_error_share: share(&mut dice),
            unreadable_share: share(&mut dice),
            other_org_share: share(&mut dice),
            no_date_share: share(&mut dice),
            get_error_share: share(&mut dice),
            get_404: Duration::seconds([0, 30][dice.below(2)]),
            backwards_share: share(&mut dice),
            strip_share: share(&mut dice),
            strip_metadata: !restores,
        };
        Plan {
            begins,
            days: 5 + dice.below(12) as i64,
            customers: if knows_more { few_people } else { 100 + dice.below(600) },
            unpaid_in: [5, 8, 20][dice.below(3)],
            ticks,
            few: 1 + dice.below(6),
            crash_in: [60, 150, 400][dice.below(3)],
            stop_in: [50, 400, 5000][dice.below(3)],
            chaos_every: Duration::minutes([100, 240, 600][dice.below(3)]),
            edits,
            restores,
            jumps,
            spells,
            webhooks,
            recheck: Duration::minutes([15, 40][dice.below(2)]),
            idle_reconcile: Duration::minutes([15, 60, 240][dice.below(3)]),
            redial: redial || redials,
            no_operator,
            returns,
            often_lost,
            set_back,
            any_pace,
            // A file from before the new key would not know that its account changed.
            new_key_at: (new_key && !restores && !loses_all)
                .then_some(begins + Duration::days(400)),
            right_key_at: None,
            told,
            two_claim,
            loses_all: loses_all && !restores,
            accepted_at: None,
            by_hand,
            lines: [8, 30, 200][dice.below(3)],
            pace,
            faults,
        }
    }

    pub fn config(&self) -> Config {
        let mut config = Config::default();
        config.vapi.phone_number_id = Some("our-number".to_string());
        config.vapi.assistant_id = Some("our-assistant".to_string());
        config.dialing.max_active_calls = self.lines;
        if self.redial {
            config.reconcile.in_doubt = DoubtPolicy::Redial;
        }
        config
    }
}

/// The counts of one life.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub customer_days: u64,
    pub steps: u64,
    pub posts: u64,
    /// A hash of every POST, in order.
    pub posted_what: u64,
    pub faulted: u64,
    pub rings: u64,
    pub crashes: u64,
    pub restores: u64,
    /// Restores of a whole disk.
    pub set_back: u64,
    pub jumps: u64,
    pub stops: u64,
    pub edits: u64,
    pub erased: u64,
    pub extras: u64,
    /// Customers who were just called and then got a new number or a new row.
    pub returned: u64,
    /// Calls that some complete list did not show.
    pub hidden: u64,
    pub copies: u64,
    /// Files that were lost for good.
    pub lost: u64,
    pub by_hand: u64,
    pub doubts_left: u64,
    /// Rings that are only the provider's fault: two calls of one POST.
    pub doubled: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        self.customer_days += other.customer_days;
        self.steps += other.steps;
        self.posts += other.posts;
        self.posted_what ^= other.posted_what;
        self.faulted += other.faulted;
        self.rings += other.rings;
        self.crashes += other.crashes;
        self.restores += other.restores;
        self.set_back += other.set_back;
        self.jumps += other.jumps;
        self.stops += other.stops;
        self.edits += other.edits;
        self.erased += other.erased;
        self.extras += other.extras;
        self.returned += other.returned;
        self.hidden += other.hidden;
        self.copies += other.copies;
        self.lost += other.lost;
        self.by_hand += other.by_hand;
        self.doubts_left += other.doubts_left;
        self.doubled += other.doubled;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "customer-days {}, POSTs {}, faulted POSTs {}, rings {}, crashes {}, restores {} ({} \
             of a whole disk), copies started {}, lost databases {}, calls by hand {}, clock jumps \
             {}, stopped processes {}, edits {}, erased {}, extra \
             calls {}, people who returned {}, calls missing from lists {}, doubts settled by hand {}, provider's own doubles {}, steps {}, duplicates 0, unexplained 0",
            self.customer_days,
            self.posts,
            self.faulted,
            self.rings,
            self.crashes,
            self.restores,
            self.set_back,
            self.copies,
            self.lost,
            self.by_hand,
            self.jumps,
            self.stops,
            self.edits,
            self.erased,
            self.extras,
            self.returned,
            self.hidden,
            self.doubts_left,
            self.doubled,
            self.steps,
        )
    }
}
