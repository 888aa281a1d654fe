//! The past of one customer: a copy of the file as it was at an earlier instant, and the results of
//! earlier occasions with what stopped them.

use std::sync::Arc;

use chrono::{Duration, NaiveDate, NaiveTime};

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::calendar::zone_country;
use crate::domain::call::{AttemptState, CallType, ItemStatus, Reason, daily_occasion};
use crate::domain::customer::{CallStatus, Customer};
use crate::steps::Context;
use crate::steps::customers::same_phone_words;
use crate::steps::forecast::stops::{self, Stop, StopKind};
use crate::steps::occasions::next;
use crate::store::attempts::{self, Attempt, history};
use crate::store::file::memory_copy::{self, rewind};
use crate::store::journal::stops::{StopEntry, of_subject};
use crate::store::queue::{self, Item};
use crate::store::{Conn, Store, customers, do_not_call, views};

/// At most this many past occasions without a call are listed.
const PAST_SKIPS: usize = 20;
/// More calls than one customer has on a date.
const CALLS_ENOUGH: usize = 10_000;

/// An occasion with an item, and what stopped it.
#[derive(Clone, Debug)]
pub struct PastItem {
    pub item: Item,
    pub stopped_by: Vec<Stop>,
    /// For `same_phone` the other customers with the number, for a doubt what ends it.
    pub note: Option<String>,
}

/// What happened to a customer on one local date.
#[derive(Clone, Debug)]
pub struct Day {
    pub date: NaiveDate,
    pub items: Vec<PastItem>,
    pub calls: Vec<Attempt>,
    /// Everything that stood on the date.
    pub stops: Vec<Stop>,
}

impl Day {
    /// The item of the date's daily call.
    pub fn daily(&self) -> Option<&PastItem> {
        self.items.iter().find(|past| past.item.date() == Some(self.date))
    }
}

/// The latest occasions that ended without a call of ours, the newest first.
pub fn skips(conn: &Conn, customer: &Customer, stops: &[Stop]) -> anyhow::Result<Vec<PastItem>> {
    let mut items = views::items_of_customer(conn, customer.id)?;
    items.retain(|item| match item.status {
        ItemStatus::Skipped | ItemStatus::Failed => true,
        // A call that was made elsewhere; one of ours is among the calls.
        ItemStatus::Completed => item.reason.is_some() && item.vapi_call_id.is_none(),
        _ => false,
    });
    items.sort_by_key(|item| std::cmp::Reverse(item.scheduled_for));
    items.truncate(PAST_SKIPS);
    past_items(conn, customer, items, stops)
}

/// The items and calls of a local date. `now` ends a date that is not over.
pub fn day(
    conn: &Conn,
    customer: &Customer,
    (zone, date): (&Zone, NaiveDate),
    stops: &[Stop],
    now: Instant,
) -> anyhow::Result<Day> {
    let midnight = |date: NaiveDate| zone.resolve(date.and_time(NaiveTime::MIN));
    let (from, end) = (midnight(date), date.succ_opt().map_or(now, midnight));
    let to = end.min(now);
    let is_of_the_date = |item: &Item| match item.date() {
        Some(of) => of == date,
        None => item.scheduled_for < end && item.processed_at.is_none_or(|ended| from <= ended),
    };
    let mut items = views::items_of_customer(conn, customer.id)?;
    items.retain(is_of_the_date);
    let occasion = daily_occasion(date);
    let mut calls = views::calls_of_customer(conn, customer.id, CALLS_ENOUGH)?;
    calls.retain(|call| {
        (from <= call.created_at && call.created_at < end)
            || (call.call_type == CallType::Daily && call.occasion == occasion)
    });
    let stood = |stop: &&Stop| from <= to && stop.stood_between(from, to);
    Ok(Day {
        date,
        items: past_items(conn, customer, items, stops)?,
        calls,
        stops: stops.iter().filter(stood).cloned().collect(),
    })
}

fn past_items(
    conn: &Conn,
    customer: &Customer,
    items: Vec<Item>,
    stops: &[Stop],
) -> anyhow::Result<Vec<PastItem>> {
    let is_same_phone = |item: &Item| item.reason == Some(Reason::SamePhone);
    let others = if items.iter().any(is_same_phone) {
        same_phone_words(&customers::with_same_phone(conn, customer)?)
    } else {
        None
    };
    let doubts = attempts::in_state(conn, AttemptState::InDoubt)?;
    let country = zone_country::country_of(&customer.timezone);
    let mut found = Vec::new();
    for item in items {
        let doubt = doubts.iter().find(|attempt| attempt.queue_id == Some(item.id));
        let note = match (item.reason, item.date()) {
            (Some(Reason::SamePhone), _) => others.clone(),
            (Some(Reason::InDoubt), _) => doubt.map(in_doubt),
            (Some(Reason::Holiday), Some(date)) => history::holiday(conn, country, date)?,
            _ => None,
        };
        found.push(PastItem { note, ..past_item(item, stops) });
    }
    Ok(found)
}

fn in_doubt(attempt: &Attempt) -> String {
    format!(
        "the phone may have rung; look at the provider's page, then run `ringonce attempts resolve \
         {} (--placed | --not-placed) --reason WHY`",
        attempt.id
    )
}

fn past_item(item: Item, stops: &[Stop]) -> PastItem {
    let ended = item.processed_at.unwrap_or(item.scheduled_for).max(item.scheduled_for);
    // A scan ends the item some time after the last instant at which it could have been dialed.
    let last = item.expires_at.map_or(ended, |last| last.min(ended));
    let explains = |stop: &&Stop| {
        item.reason.is_some_and(|reason| stop.explains(reason))
            && stop.stops(item.call_type)
            && stop.stood_between(item.scheduled_for, last)
    };
    let stopped_by = stops.iter().filter(explains).cloned().collect();
    PastItem { item, stopped_by, note: None }
}

/// A copy in memory of the customer's part of the file, as it was at `at`.
pub fn copy_then(
    cx: &Context,
    customer: &Customer,
    stops: &[Stop],
    at: Instant,
) -> anyhow::Result<Store> {
    let phone_key = cx.installation.phone_key(&customer.phone);
    let copy = cx.store.read(|conn| {
        let copy = memory_copy::of_customer_until(conn, customer, &phone_key, at)?;
        copy.write(|tx| rewind::calls(tx, conn, at))?;
        Ok(copy)
    })?;
    let people = copy.read(|conn| customers::list(conn, &customers::Filter::default(), 1000, 0))?;
    let then: Vec<Customer> = cx.store.read(|conn| {
        let then = |person: &Customer| {
            // Calls of others at this very instant were made, and the customer's own were not.
            let moment = Duration::milliseconds(i64::from(person.id == customer.id));
            customer_then(cx, conn, person, at - moment)
        };
        people.iter().map(then).collect()
    })?;
    let listed = cx.store.read(|conn| listed_then(cx, conn, customer, stops, at))?;
    copy.write(|tx| {
        for customer in &then {
            rewind::customer(tx, customer)?;
        }
        rewind::stops(tx, &listed, &stops::pauses_at(stops, at))
    })?;
    Ok(copy)
}

/// The entries of the list that protected the number at `at`.
fn listed_then(
    cx: &Context,
    conn: &Conn,
    customer: &Customer,
    stops: &[Stop],
    at: Instant,
) -> anyhow::Result<Vec<do_not_call::DoNotCallEntry>> {
    let is_listed = |stop: &&Stop| stop.kind == StopKind::DoNotCall && stop.stood_at(at);
    let entry = |stop: &Stop| do_not_call::DoNotCallEntry {
        phone: customer.phone.clone(),
        reason: stop.why.clone(),
        source: stop.who.clone(),
        created_at: stop.from,
    };
    let mut listed: Vec<_> = stops.iter().find(is_listed).map(entry).into_iter().collect();
    if listed.is_empty() {
        listed = do_not_call::entries_of(conn, cx.store.path(), &customer.phone)?;
        listed.retain(|entry| entry.created_at <= at);
    }
    Ok(listed)
}

/// The customer's fields at `at`: later edits are undone, and the ledger shows which calls had been
/// made.
fn customer_then(
    cx: &Context,
    conn: &Conn,
    customer: &Customer,
    at: Instant,
) -> anyhow::Result<Customer> {
    let mut then = customer.clone();
    let edits = of_subject(conn, &format!("customer:{}", customer.id))?;
    for edit in edits.iter().rev().take_while(|edit| at < edit.at) {
        undo(&mut then, edit);
    }
    let calls = views::calls_of_customer(conn, customer.id, CALLS_ENOUGH)?;
    let made = |call: &&Attempt, call_type| {
        let states = [AttemptState::Placed, AttemptState::Ended];
        call.call_type == call_type && states.contains(&call.state)
    };
    let made_of = |call_type| calls.iter().filter(move |call| made(call, call_type));
    let (earlier, later): (Vec<_>, Vec<_>) =
        made_of(CallType::Welcome).partition(|call| call.created_at <= at);
    if earlier.is_empty() && !later.is_empty() {
        then.welcome_call_completed = false;
    }
    let dates = |call: &&Attempt| call.occasion.parse::<NaiveDate>().ok();
    let (earlier, later): (Vec<_>, Vec<_>) =
        made_of(CallType::Daily).partition(|call| call.created_at <= at);
    if later.iter().any(|call| dates(call) <= then.last_call_date) && !later.is_empty() {
        then.last_call_date = earlier.iter().filter_map(dates).max();
    }
    then.next_call_scheduled_at = next_then(cx, conn, &then, at)?;
    Ok(then)
}

fn undo(then: &mut Customer, edit: &StopEntry) {
    let filled = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
    if edit.what == "call_status"
        && let Some(old) = edit.old.as_deref().and_then(CallStatus::parse)
    {
        then.call_status = old;
    }
    if edit.what == "customer" && edit.new.as_deref() == Some(CallStatus::Disabled.as_str()) {
        then.call_status = CallStatus::Failed;
    }
    for (field, (old, _)) in &edit.facts.values {
        match field.as_str() {
            "timezone" => then.timezone = old.clone(),
            "call_time" => then.call_time = filled(old),
            "call_schedule" => then.call_schedule = filled(old),
            "payment_status" => then.payment_status = old.clone(),
            "call_status" => then.call_status = CallStatus::parse(old).unwrap_or(then.call_status),
            "phone_validated" => then.phone_validated = old == "true",
            "shared_phone" => then.shared_phone = old == "true",
            "welcome_call_completed" => then.welcome_call_completed = old == "true",
            "last_call_date" => then.last_call_date = old.parse().ok(),
            _ => {}
        }
    }
}

/// The next call as it stood: the occasion of that date, or the first one after it.
fn next_then(
    cx: &Context,
    conn: &Conn,
    then: &Customer,
    at: Instant,
) -> anyhow::Result<Option<Instant>> {
    let Some((rhythm, zone)) = next::rhythm(cx, then) else { return Ok(None) };
    if at < then.created_at {
        return Ok(None);
    }
    let today = zone.date(at);
    let item = queue::item_of_occasion(conn, then.id, CallType::Daily, &daily_occasion(today))?;
    let is_called = Some(today) <= then.last_call_date;
    let has_ended = |item: &Item| item.processed_at.is_some_and(|ended| ended <= at);
    if !is_called && !item.as_ref().is_some_and(has_ended) {
        let slot = rhythm.slot_on(&zone, today);
        if let Some(due) = item.map(|item| item.scheduled_for).or(slot) {
            return Ok(Some(due));
        }
    }
    let tomorrow = today.succ_opt().unwrap_or(today).and_time(NaiveTime::MIN);
    let after = zone.resolve(tomorrow) - Duration::milliseconds(1);
    Ok(rhythm.next_slot(&zone, after, then.last_call_date, |_| true).map(|(_, at)| at))
}

/// The instant to judge for a date: when its daily call was due, or noon on a date without one. And
/// whether the call still waits.
pub fn instant_on(
    cx: &Context,
    customer: &Customer,
    (zone, date): (&Arc<Zone>, NaiveDate),
) -> anyhow::Result<(Instant, bool)> {
    let occasion = daily_occasion(date);
    let item = cx
        .store
        .read(|conn| queue::item_of_occasion(conn, customer.id, CallType::Daily, &occasion))?;
    let rhythm = next::wanted(customer);
    let slot = rhythm.and_then(|rhythm| rhythm.slot_on(zone, date));
    let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap_or(NaiveTime::MIN);
    let is_open = item.as_ref().is_some_and(|item| item.status.is_active());
    let due = item.map(|item| item.scheduled_for).or(slot);
    Ok((due.unwrap_or(zone.resolve(date.and_time(noon))), is_open))
}

impl PastItem {
    /// What stopped it, else the text that was stored with it.
    pub fn detail(&self) -> Option<String> {
        let mut stops: Vec<String> = self.stopped_by.iter().map(Stop::words).collect();
        // A pause stands in the customer's status too.
        stops.dedup();
        let text = self.item.error_message.clone().filter(|text| !text.is_empty());
        if stops.is_empty() { self.note.clone().or(text) } else { Some(stops.join("; ")) }
    }
}
