//! What the three days came to: the ledger's own account, and beside it what the provider's
//! journal says, which knows nothing of the ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{Days, NaiveDate};

use crate::demo::journal::Ring;
use crate::demo::mishaps::{Mishap, Mishaps};
use crate::demo::people;
use crate::demo::show::World;
use crate::domain::Instant;
use crate::domain::call::{CallType, Disposition, ItemStatus, Reason};
use crate::store::Store;
use crate::store::tally::{self, Occasion};

/// The days' account.
#[derive(Debug)]
pub struct Story {
    pub customers: usize,
    pub zones: usize,
    pub begins: Instant,
    pub ticks: usize,
    /// In UTC; the last one may hold what was queued for the next morning.
    pub days: Vec<Day>,
    /// How many people were rightly never called, by the reason in words.
    pub never: BTreeMap<&'static str, usize>,
    pub mishaps: Vec<Mishap>,
    pub counted: Counted,
}

/// One day of the ledger.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Day {
    pub date: NaiveDate,
    /// Occasions that fell due.
    pub due: usize,
    /// Of those, placed at least once.
    pub called: usize,
    pub reached: usize,
    pub voicemail: usize,
    /// Busy ones too.
    pub no_answer: usize,
    pub bad_number: usize,
    /// Placed, and not over yet.
    pub under_way: usize,
    /// Welcome calls among those that were placed.
    pub welcome: usize,
    /// Called a second time because nobody answered the first.
    pub retried: usize,
    pub skipped: BTreeMap<&'static str, usize>,
    /// Placed by somebody else before: completed without a call.
    pub already: usize,
    pub failed: usize,
    pub in_doubt: usize,
    pub waiting: usize,
}

/// What the provider's journal counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub rings: usize,
    /// Rings too many for one occasion, of one customer or of one number.
    pub duplicates: usize,
    /// POSTs beyond the one that an attempt may make.
    pub repeated_posts: usize,
    /// Rings of people who must not be called.
    pub forbidden: usize,
}

impl Counted {
    /// Whether the promise was kept.
    pub fn is_clean(&self) -> bool {
        self.duplicates == 0 && self.repeated_posts == 0 && self.forbidden == 0
    }
}

pub(super) fn tell(world: &World, mishaps: &Mishaps, ticks: usize) -> anyhow::Result<Story> {
    let store = Store::look(&world.db_path())?;
    let occasions = store.read(tally::occasions)?;
    let mut never = BTreeMap::new();
    for why in world.people.iter().filter_map(|person| person.role.never_due_because()) {
        *never.entry(why).or_default() += 1;
    }
    Ok(Story {
        customers: world.people.len(),
        zones: people::count_zones(&world.people),
        begins: world.begins,
        ticks,
        days: days(&occasions, world.begins.date_naive()),
        never,
        mishaps: mishaps.struck.clone(),
        counted: count(world),
    })
}

/// The three days. What was queued ahead for the fourth counts with the third.
fn days(occasions: &[Occasion], first: NaiveDate) -> Vec<Day> {
    let mut days: Vec<Day> =
        (0..3).map(|n| Day { date: first + Days::new(n), ..Day::default() }).collect();
    for occasion in occasions {
        let index = (occasion.day() - first).num_days().clamp(0, 2);
        add(&mut days[usize::try_from(index).unwrap_or(0)], occasion);
    }
    days
}

fn add(day: &mut Day, occasion: &Occasion) {
    day.due += 1;
    if 0 < occasion.placed {
        day.called += 1;
        day.welcome += usize::from(occasion.call_type == CallType::Welcome);
        day.retried += usize::from(1 < occasion.placed);
        match occasion.disposition {
            Some(Disposition::Answered) => day.reached += 1,
            Some(Disposition::Voicemail) => day.voicemail += 1,
            Some(Disposition::NoAnswer | Disposition::Busy) => day.no_answer += 1,
            Some(_) => day.bad_number += 1,
            None => day.under_way += 1,
        }
        return;
    }
    match (occasion.status, occasion.reason) {
        (ItemStatus::Completed, _) => day.already += 1,
        (ItemStatus::Failed, Some(Reason::InDoubt)) => day.in_doubt += 1,
        (ItemStatus::Failed, _) => day.failed += 1,
        (ItemStatus::Skipped, reason) => {
            *day.skipped.entry(reason.map_or("", Reason::as_str)).or_default() += 1;
        }
        _ => day.waiting += 1,
    }
}

fn count(world: &World) -> Counted {
    let rings = world.fake.rings();
    let mut people_of: HashMap<(&str, &str, &str), BTreeSet<&str>> = HashMap::new();
    for ring in &rings {
        let occasion = (text(&ring.call_type), text(&ring.occasion));
        let people = people_of.entry((ring.number.as_str(), occasion.0, occasion.1)).or_default();
        people.insert(text(&ring.customer_key));
    }
    // One number rung for two rows of the same person: the provider cannot see that as double.
    let twins: usize = people_of.values().map(|people| people.len() - 1).sum();
    let forbidden = |ring: &&Ring| {
        let person = world.people.iter().find(|person| person.phone == ring.number);
        person.is_none_or(|person| !person.role.may_be_called())
    };
    Counted {
        rings: rings.len(),
        duplicates: world.fake.duplicates() + twins,
        repeated_posts: world.fake.repeated_posts(),
        forbidden: rings.iter().filter(forbidden).count(),
    }
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}
