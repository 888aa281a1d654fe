//! Computes whom an import leads to call, when, and whom not.
//!
//! A wrong column shows here first: a welcome call for old customers, a status that nobody listed,
//! calls at midnight.

pub mod outcome;
pub(crate) mod same_phone;

use std::collections::{BTreeMap, HashMap};

use chrono::{Duration, NaiveTime, Timelike};
use serde::Serialize;

use crate::domain::customer::entry::changes;
use crate::domain::customer::{CallStatus, Customer};
use crate::domain::gate::facts::Rules;
use crate::domain::{Instant, instant_text};
use crate::phones;
use crate::steps::import::consequences::outcome::{Outcome, RowOutcome, SamePhone, Tally, why_not};
use crate::steps::import::field_values::Reader;
use crate::steps::import::options::{Options, Outlook, Welcome};
use crate::steps::occasions::next;

/// A sign-up is old after this time: its welcome call was probably made by another program.
const OLD_AFTER: Duration = Duration::days(1);
/// A first import with at least this many welcome calls to old sign-ups needs a decision.
pub const MANY: u64 = 10;
/// At most this many old sign-ups are named.
const NAMED: usize = 5;
/// Numbers with the same first characters are in one country: +, country code and area.
const COUNTRY_PREFIX: usize = 7;

/// The customers of a file, counted by what will happen to them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Consequences {
    /// Rows that are not bad.
    pub customers: u64,
    /// Of those, customers whose payment status is eligible.
    pub eligible: u64,
    /// Customers by a payment status that is not eligible.
    pub not_eligible: BTreeMap<String, u64>,
    pub welcome_calls: u64,
    /// The first and the last welcome call; the last is estimated from the pace and the lines.
    pub welcome_from: Option<String>,
    pub welcome_until: Option<String>,
    /// Of the welcome calls, new customers without `created_at`: they count as signed up now.
    pub without_created_at: u64,
    /// Of the welcome calls, new customers who signed up more than a day ago.
    pub old_welcome_calls: u64,
    /// The first of them.
    pub old_welcome_samples: Vec<OldSignUp>,
    /// New customers whose welcome call counts as made because of `--no-welcome`.
    pub welcome_marked: u64,
    pub daily_calls: u64,
    /// Daily calls by the hour on the customer's clock: `07:00`.
    pub daily_by_hour: BTreeMap<String, u64>,
    /// Customers who could be called, and have neither a call time nor a schedule.
    pub without_call_time: u64,
    /// Call times at 00:00, which is often only the default of a database.
    pub at_midnight: u64,
    /// Call times at which the calling window is never open.
    pub outside_window: u64,
    /// Rows whose number a known customer also has.
    pub known_numbers: u64,
    /// Customers by the country of their number.
    pub countries: BTreeMap<String, u64>,
    /// Calls made elsewhere without a readable number. While there is one, no welcome call is made.
    pub unknown_numbers: usize,
    /// Known customers who got daily calls and will no longer get them.
    pub daily_calls_end: u64,
    /// Next calls that disagreed with the call time and were computed again.
    pub next_call_recomputed: u64,
    pub all: Tally,
    pub by_status: BTreeMap<String, Tally>,
    pub by_country: BTreeMap<String, Tally>,
    /// Customers whom nobody calls, by the reason.
    pub not_called: BTreeMap<&'static str, u64>,
}

/// A new customer who signed up more than a day ago and would be welcomed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OldSignUp {
    pub line: u64,
    /// Name, external id or e-mail, whichever exists.
    pub who: String,
    pub created_at: String,
}

/// One row that is not bad.
pub(crate) struct Row<'r> {
    /// `None`: the customer is new.
    pub known: Option<&'r Customer>,
    pub after: &'r Customer,
    pub has_created_at: bool,
    pub line: u64,
    pub who: &'r dyn Fn() -> String,
    pub same_phone: Option<&'r SamePhone>,
    /// The do-not-call list holds the number.
    pub is_listed: bool,
}

/// Counts the rows of one file.
#[derive(Default)]
pub(crate) struct Counter {
    pub found: Consequences,
    /// Welcome calls by the minute at which they fall due.
    due: BTreeMap<i64, u64>,
    /// Countries by the beginning of a number, because parsing a number is slow.
    countries: HashMap<String, Option<String>>,
}

impl Counter {
    pub(crate) fn add(
        &mut self,
        outlook: &Outlook,
        reader: &mut Reader<'_>,
        row: &Row<'_>,
        now: Instant,
    ) -> Outcome {
        let (rules, after) = (&outlook.rules, row.after);
        self.found.customers += 1;
        if rules.eligible_payment_status.contains(&after.payment_status) {
            self.found.eligible += 1;
        } else {
            *self.found.not_eligible.entry(after.payment_status.clone()).or_default() += 1;
        }
        let country = self.country(&after.phone);
        if let Some(country) = country.clone() {
            *self.found.countries.entry(country).or_default() += 1;
        }
        let taken = row.same_phone.map(|same| same.taken).unwrap_or_default();
        let gets_daily_calls = gets_daily(rules, after) && !taken.daily && !row.is_listed;
        self.call_time(rules, after, gets_daily_calls);
        let had_daily = row.known.is_some_and(|known| gets_daily(rules, known));
        self.found.daily_calls_end += u64::from(had_daily && !gets_daily(rules, after));
        let is_welcomed = gets_welcome(rules, after) && !taken.welcome && !row.is_listed;
        let welcome = is_welcomed.then(|| self.welcome(rules, reader, row, now));
        let time = || next::wanted(after).and_then(|rhythm| rhythm.time_of_day());
        let daily = gets_daily_calls.then(time);
        let is_called = welcome.is_some() || daily.is_some();
        let has_own = gets_welcome(rules, after) || gets_daily(rules, after);
        let why = || match has_own {
            true if row.is_listed => "do-not-call list",
            true => "same phone",
            false => why_not(rules, after),
        };
        let not_called = (!is_called).then(why);
        let outcome = Outcome { welcome, daily, not_called };
        self.tally(&after.payment_status, country, &outcome);
        outcome
    }

    fn tally(&mut self, status: &str, country: Option<String>, outcome: &Outcome) {
        let found = &mut self.found;
        let country = country.unwrap_or_else(|| "unknown".to_string());
        found.all.add(outcome);
        found.by_status.entry(status.to_string()).or_default().add(outcome);
        found.by_country.entry(country).or_default().add(outcome);
        if let Some(why) = outcome.not_called {
            *found.not_called.entry(why).or_default() += 1;
        }
    }

    /// The row with its outcome, for a table of rows.
    pub(crate) fn row(&mut self, row: &Row<'_>, outcome: Outcome) -> RowOutcome {
        let change = match row.known {
            None => "new",
            Some(known) if changes(known, row.after).is_empty() => "unchanged",
            Some(_) => "changed",
        };
        RowOutcome {
            line: row.line,
            who: (row.who)(),
            change,
            payment_status: row.after.payment_status.clone(),
            country: self.country(&row.after.phone),
            timezone: row.after.timezone.clone(),
            outcome,
            same_phone: row.same_phone.map(|same| (same.customers.clone(), same.first_line)),
        }
    }

    /// The time of the daily calls, also of customers who are not eligible yet.
    fn call_time(&mut self, rules: &Rules, after: &Customer, gets_daily_calls: bool) {
        let found = &mut self.found;
        let Some(time) = next::wanted(after).and_then(|rhythm| rhythm.time_of_day()) else {
            found.without_call_time += u64::from(may_be_called(rules, after));
            return;
        };
        found.at_midnight += u64::from(time == NaiveTime::MIN);
        found.outside_window += u64::from(!rules.window.ever_opens_at(time));
        if gets_daily_calls {
            found.daily_calls += 1;
            *found.daily_by_hour.entry(format!("{:02}:00", time.hour())).or_default() += 1;
        }
    }

    /// Counts a welcome call. Returns when it is permitted first.
    fn welcome(
        &mut self,
        rules: &Rules,
        reader: &mut Reader<'_>,
        row: &Row<'_>,
        now: Instant,
    ) -> Instant {
        let after = row.after;
        let due = now.max(after.created_at + rules.welcome_delay);
        let zone = reader.zone(&after.timezone);
        let opens = zone.and_then(|zone| rules.window.next_open(&zone, due)).unwrap_or(due);
        *self.due.entry(opens.timestamp().div_euclid(60)).or_default() += 1;
        let found = &mut self.found;
        found.welcome_calls += 1;
        if row.known.is_some() {
            return opens;
        }
        if !row.has_created_at {
            found.without_created_at += 1;
        } else if after.created_at < now - OLD_AFTER {
            found.old_welcome_calls += 1;
            if found.old_welcome_samples.len() < NAMED {
                let (line, who) = (row.line, (row.who)());
                let created_at = instant_text(after.created_at);
                found.old_welcome_samples.push(OldSignUp { line, who, created_at });
            }
        }
        opens
    }

    fn country(&mut self, phone: &str) -> Option<String> {
        let prefix: String = phone.chars().take(COUNTRY_PREFIX).collect();
        self.countries.entry(prefix).or_insert_with(|| phones::country_of(phone)).clone()
    }

    pub(crate) fn finish(mut self, outlook: &Outlook) -> Consequences {
        let at = |second: i64| Instant::from_timestamp(second, 0).map(instant_text);
        self.found.welcome_from = self.due.keys().next().and_then(|minute| at(minute * 60));
        let mut last = None;
        for (minute, count) in &self.due {
            let begins = last.map_or(minute * 60, |last: i64| last.max(minute * 60));
            let calls = i64::try_from(*count).unwrap_or(i64::MAX);
            let takes = outlook.between_calls.num_milliseconds().saturating_mul(calls) / 1000;
            last = Some(begins.saturating_add(takes));
        }
        self.found.welcome_until = last.and_then(at);
        self.found
    }
}

impl Consequences {
    /// Whether a person must decide first whether old sign-ups are welcomed. `is_first`: no call was
    /// ever made from this database.
    pub fn needs_decision(&self, options: &Options<'_>, is_first: bool) -> bool {
        is_first && options.welcome == Welcome::Ask && MANY <= self.old_welcome_calls
    }
}

/// Whether the scan may queue this customer.
fn may_be_called(rules: &Rules, customer: &Customer) -> bool {
    rules.eligible_payment_status.contains(&customer.payment_status)
        && customer.phone_validated
        && !matches!(customer.call_status, CallStatus::Paused | CallStatus::Disabled)
}

pub(crate) fn gets_welcome(rules: &Rules, customer: &Customer) -> bool {
    may_be_called(rules, customer) && !customer.welcome_call_completed
}

pub(crate) fn gets_daily(rules: &Rules, customer: &Customer) -> bool {
    may_be_called(rules, customer) && next::wanted(customer).is_some()
}
