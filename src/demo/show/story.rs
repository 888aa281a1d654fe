//! The result of the three days: the counts of the ledger, and the independent counts of the
//! provider's journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{Days, NaiveDate};
use serde_json::Value;

use crate::demo::fake_vapi::journal::Ring;
use crate::demo::show::mishaps::{Mishap, Mishaps};
use crate::demo::show::people;
use crate::demo::show::world::World;
use crate::domain::Instant;
use crate::domain::call::{CallType, Disposition, ItemStatus, Reason};
use crate::present::output;
use crate::store::Store;
use crate::store::attempts::results;
use crate::store::views::occasions::{self, Occasion};

/// The result of the demo.
#[derive(Debug)]
pub struct Story {
    pub customers: usize,
    pub zones: usize,
    pub begins: Instant,
    pub ticks: usize,
    /// The days in UTC; the last one also has the items that were queued for the next morning.
    pub days: Vec<Day>,
    /// The number of people who were rightly never called, by the reason in words.
    pub never: BTreeMap<&'static str, usize>,
    pub mishaps: Vec<Mishap>,
    /// What the last two people said.
    pub said: Vec<SaidInCall>,
    pub counted: Counted,
}

/// The result of one call.
#[derive(Clone, Debug)]
pub struct SaidInCall {
    pub name: String,
    /// The person's local time.
    pub when: String,
    pub summary: String,
    /// Name and value of each structured output.
    pub structured: Vec<(String, Value)>,
}

/// The ledger's counts of one day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Day {
    pub date: NaiveDate,
    /// Occasions that fell due.
    pub due: usize,
    /// Occasions with at least one placed call.
    pub called: usize,
    pub reached: usize,
    pub voicemail: usize,
    /// Not answered or busy.
    pub no_answer: usize,
    pub bad_number: usize,
    /// Placed and not yet ended.
    pub under_way: usize,
    /// Occasions with a placed welcome call.
    pub welcome: usize,
    /// Occasions with a second call, because nobody answered the first.
    pub retried: usize,
    pub skipped: BTreeMap<&'static str, usize>,
    /// Completed without a call, because the call was already made elsewhere.
    pub already: usize,
    pub failed: usize,
    pub in_doubt: usize,
    pub waiting: usize,
}

/// The counts of the provider's journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub rings: usize,
    /// Duplicate rings for one occasion, of one customer or of one number.
    pub duplicates: usize,
    /// POSTs beyond the one that each attempt may send.
    pub repeated_posts: usize,
    /// Rings of people who must not be called.
    pub forbidden: usize,
}

impl Counted {
    /// Whether the counts of duplicate rings, repeated POSTs and forbidden rings are all 0.
    pub fn is_clean(&self) -> bool {
        self.duplicates == 0 && self.repeated_posts == 0 && self.forbidden == 0
    }
}

pub(crate) fn tell(world: &World, mishaps: &Mishaps, ticks: usize) -> anyhow::Result<Story> {
    let store = Store::look(&world.db_path())?;
    let occasions = store.read(occasions::occasions)?;
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
        said: said(world, &store)?,
        counted: count(world),
    })
}

fn said(world: &World, store: &Store) -> anyhow::Result<Vec<SaidInCall>> {
    let newest = store.read(|conn| results::newest(conn, 2))?;
    let told = newest.into_iter().map(|(name, zone, at, result)| SaidInCall {
        name,
        when: output::local_or_utc(at, world.zones.get(&zone).as_deref()),
        summary: result.summary.unwrap_or_default(),
        structured: result.structured.into_iter().collect(),
    });
    Ok(told.collect())
}

/// Counts the occasions by day. Items that were queued ahead for day four count as day three.
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
    if occasion.placed > 0 {
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
    // Rings of one number for two rows of one person: the provider's count does not see these.
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
