//! Shows what a tick would do for one customer, and why.
//!
//! The customer's part of the database is copied into memory, and the real scan and claim run on
//! the copy. The answer therefore cannot differ from theirs. For an earlier instant, the copy is
//! brought back to it. Nothing is written to the file and no network request is made, so facts that
//! only the provider knows are missing.

mod next_call;
mod on_date;
mod outcome;
mod trial;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::NaiveDate;

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::calendar::zone_country;
use crate::domain::customer::Customer;
use crate::domain::customer::columns::shown;
use crate::phones;
use crate::steps::Context;
use crate::steps::forecast::explain::trial::Trial;
use crate::steps::forecast::past::{self, Day, PastItem};
use crate::steps::forecast::preconditions;
use crate::steps::forecast::stops::{Stop, stops};
use crate::steps::occasions::next;
use crate::store::attempts::Attempt;
use crate::store::attempts::results::{self, CallResult};
use crate::store::holidays::{self, Holiday};
use crate::store::{Tx, customers, views};

pub use crate::steps::forecast::explain::outcome::{Explanation, InQueue, Outcome, Said, Tried};

/// At most this many past calls are listed.
const PAST_CALLS: usize = 20;

/// The effect of a tick on one customer at an instant, if nothing else happens before it.
#[derive(Clone, Debug)]
pub struct Explained {
    pub customer: Customer,
    /// `None`: the zone is unknown.
    pub zone: Option<Arc<Zone>>,
    pub at: Instant,
    /// A note for a person when the time zone is unknown, or belongs to another country than the
    /// phone.
    pub place: Option<String>,
    /// The daily rhythm for people; `None` = no daily calls.
    pub rhythm: Option<String>,
    /// Occasions that wait, are due, or end with this tick. Without one, the next one, not
    /// queued.
    pub occasions: Vec<Explanation>,
    /// When the phone rings next, as far as is known. If it rings in this tick, that is the answer.
    pub next_call_at: Option<Instant>,
    /// The newest calls first.
    pub past: Vec<Attempt>,
    /// What was said in them, by the attempt's id; without transcripts.
    pub said: HashMap<String, CallResult>,
    /// The newest occasions that ended without a call first.
    pub skips: Vec<PastItem>,
    /// What stopped the calls at `at`.
    pub stops: Vec<Stop>,
    /// What happened on the date in question. `None`: the question is about now or later.
    pub day: Option<Day>,
    /// The question named a date, not an instant.
    pub is_about_a_date: bool,
    pub now: Instant,
}

/// What a person asks about one customer.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub now: Instant,
    /// The instant to judge. An earlier one is judged by what was true then.
    pub at: Instant,
    /// A local date of the customer, instead of an instant.
    pub on: Option<NaiveDate>,
}

impl Question {
    pub fn now(now: Instant) -> Question {
        Question { now, at: now, on: None }
    }
}

impl Explained {
    /// The explanation that matters most: an occasion that rings, else the first one.
    pub fn verdict(&self) -> Option<&Explanation> {
        let rings = |explanation: &&Explanation| explanation.outcome == Outcome::Rings;
        self.occasions.iter().find(rings).or(self.occasions.first())
    }
}

/// Predicts what a tick at `at` would do for one customer. `cx` may use a read-only store. `None`:
/// there is no such customer. The past is left out. `days` are the dates without calls that the next start loads; without
/// `days`, those of the last start count.
pub fn explain(
    cx: &Context,
    customer_id: i64,
    at: Instant,
    days: Option<&[Holiday]>,
) -> anyhow::Result<Option<Explained>> {
    let Some(customer) = cx.store.read(|conn| customers::by_id(conn, customer_id))? else {
        return Ok(None);
    };
    let trial = Trial::new(cx, &customer, Vec::new(), at)?;
    explained(cx, customer, &trial, days).map(Some)
}

/// Answers what a tick would do if `after` were the customer: `edit` is written to the copy in memory, never
/// to the file.
pub fn edited(
    cx: &Context,
    after: &Customer,
    now: Instant,
    edit: impl FnOnce(&Tx<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<Explained> {
    let mut trial = Trial::new(cx, after, stops(cx, after)?, now)?;
    trial.add_doors(preconditions::of_the_last_tries(cx, now)?);
    trial.cx.store.write(edit)?;
    explained(cx, after.clone(), &trial, None)
}

/// Answers a person's question about one customer. For now, a call counts as ringing only if the
/// last start opened dialing and the provider takes calls.
pub fn answer(
    cx: &Context,
    customer_id: i64,
    question: &Question,
    days: Option<&[Holiday]>,
) -> anyhow::Result<Option<Explained>> {
    let Some(customer) = cx.store.read(|conn| customers::by_id(conn, customer_id))? else {
        return Ok(None);
    };
    let stops = stops(cx, &customer)?;
    let zone = cx.zones.get(&customer.timezone);
    let asked = question.on.zip(zone.as_ref());
    let at = match asked {
        Some((date, zone)) => {
            let (due, is_open) = past::instant_on(cx, &customer, (zone, date))?;
            // Today's call may still be to come, or wait.
            let is_today = date == zone.date(question.now);
            if is_today && (is_open || question.now < due) { question.now } else { due }
        }
        None => question.at,
    };
    let is_past = at < question.now;
    let trial = if is_past {
        Trial::then(cx, &customer, stops.clone(), at)?
    } else {
        let mut trial = Trial::new(cx, &customer, stops.clone(), at)?;
        trial.add_doors(preconditions::of_the_last_tries(cx, at)?);
        trial
    };
    let day = match zone {
        Some(zone) if is_past || asked.is_some() => {
            let date = question.on.unwrap_or(zone.date(at));
            let day = |conn: &_| past::day(conn, &customer, (&zone, date), &stops, question.now);
            Some(cx.store.read(day)?)
        }
        _ => None,
    };
    let skips = cx.store.read(|conn| past::skips(conn, &customer, &stops))?;
    let mut told = explained(cx, customer, &trial, days)?;
    if is_past {
        // The question may be about the past, but the next call is not.
        let coming = explain(cx, customer_id, question.now, days)?;
        told.next_call_at = coming.and_then(|coming| coming.next_call_at);
    }
    let is_about_a_date = question.on.is_some();
    let stops = stops.into_iter().filter(|stop| stop.stood_at(at)).collect();
    Ok(Some(Explained { day, skips, stops, is_about_a_date, now: question.now, ..told }))
}

fn explained(
    cx: &Context,
    customer: Customer,
    trial: &Trial,
    days: Option<&[Holiday]>,
) -> anyhow::Result<Explained> {
    let at = trial.at;
    if let Some(days) = days {
        trial.cx.store.write(|tx| holidays::replace(tx, days))?;
    }
    let occasions = trial.run(customer.id)?;
    let (past, said) = cx.store.read(|conn| {
        let past = views::calls_of_customer(conn, customer.id, PAST_CALLS)?;
        let said = results::of_attempts(conn, past.iter().map(|call| call.id.as_str()))?;
        Ok((past, said))
    })?;
    let zone = cx.zones.get(&customer.timezone);
    let next_call_at = trial.next_call_at(customer.id, &occasions)?;
    let rhythm = match next::reading(&customer) {
        Ok(rhythm) => rhythm.map(|rhythm| rhythm.describe(zone.as_deref(), at)),
        Err(why) => Some(format!("no daily calls, because ringonce cannot parse its {why}")),
    };
    let place = place(cx, &customer);
    Ok(Explained {
        customer,
        zone,
        at,
        place,
        rhythm,
        occasions,
        next_call_at,
        past,
        said,
        skips: Vec::new(),
        stops: Vec::new(),
        day: None,
        is_about_a_date: false,
        now: at,
    })
}

/// The note for [`Explained::place`]; for a zone in another country, it says whose hours count.
fn place(cx: &Context, customer: &Customer) -> Option<String> {
    if cx.zones.get(&customer.timezone).is_none() {
        let near = cx.zones.suggest(&customer.timezone, 1).pop();
        let hint = near.map_or(String::new(), |near| format!(", such as {near}"));
        return Some(format!(
            "the time zone {:?} is not known, so nobody is called until `ringonce customers update \
             id:{} --timezone ZONE` names one{hint}",
            shown(&customer.timezone),
            customer.id
        ));
    }
    let phone = phones::country_of(&customer.phone)?;
    let zone = zone_country::country_of(&customer.timezone).filter(|zone| *zone != phone)?;
    let counts =
        if cx.rules.strict { "the windows of both count" } else { "the zone's window counts" };
    Some(format!("the phone is of {phone}, the time zone of {zone}; {counts}"))
}
