//! Creates, changes, pauses and resumes customers, with the journal in the same transaction.
//!
//! Files, flags and requests all use this module. A record of a call is never removed. A change of
//! zone or time always recomputes the next occasion. Customers are not deleted here.

pub mod census;
pub mod edit;
pub mod find;
pub mod journaled;
pub mod paused;

use anyhow::anyhow;

use crate::domain::calendar::schedule::Rhythm;
use crate::domain::call::{CallType, WELCOME_OCCASION, daily_occasion};
use crate::domain::customer::entry::{CustomerEntry, FieldChange, changes};
use crate::domain::customer::{CallStatus, Customer};
use crate::domain::{Instant, instant_text};
use crate::steps::import::field_values::Reader;
use crate::steps::occasions::first_due::is_due_from_then_on;
use crate::steps::occasions::reschedule::{movable_item, record_dates_before_edit, reschedule};
use crate::steps::occasions::zone_rules;
use crate::store::customers::left_numbers::{self, NumberFlags};
use crate::store::customers::{self, called_flags, erase};
use crate::store::journal::facts::{self, EntryFacts};
use crate::store::journal::{self, Act, By};
use crate::store::meta::{installation, pauses};
use crate::store::{Conn, Tx};

pub use paused::{pause, resume};

/// Fields that decide whether and when a customer is called. The journal's facts keep their values,
/// so that `explain` can judge an earlier instant.
const DECIDING: [&str; 9] = [
    "timezone",
    "call_time",
    "call_schedule",
    "payment_status",
    "call_status",
    "phone_validated",
    "shared_phone",
    "welcome_call_completed",
    "last_call_date",
];

/// A new customer from an entry. The next call is the first occasion after now, unless the entry
/// names it.
pub fn plan_new(
    reader: &mut Reader<'_>,
    entry: &CustomerEntry,
    now: Instant,
) -> anyhow::Result<Customer> {
    let mut customer = entry.new_customer(now).map_err(|reason| anyhow!(reason))?;
    if customer.next_call_scheduled_at.is_none() {
        customer.next_call_scheduled_at = next_call(None, reader, &customer, now)?;
    }
    Ok(customer)
}

/// The known customer after an entry.
///
/// The next call moves when the zone, the time, the schedule or the last called date changes. It
/// also moves when the entry names a future instant after the last called date.
pub fn plan_change(
    conn: &Conn,
    reader: &mut Reader<'_>,
    known: &Customer,
    entry: &CustomerEntry,
    now: Instant,
) -> anyhow::Result<Customer> {
    let mut after = entry.applied_to(known);
    let zone = reader.zone(&after.timezone);
    let said = entry.next_call_scheduled_at.filter(|at| {
        let date = zone.as_ref().map(|zone| zone.date(*at));
        now < *at && date > after.last_call_date
    });
    if said.is_some() {
        after.next_call_scheduled_at = said;
        return Ok(after);
    }
    with_next_call(conn, reader, known, after, now)
}

/// The same customer, with another next call if the change asks for one.
fn with_next_call(
    conn: &Conn,
    reader: &mut Reader<'_>,
    known: &Customer,
    mut after: Customer,
    now: Instant,
) -> anyhow::Result<Customer> {
    if has_other_rhythm(reader, known, &after) || known.last_call_date != after.last_call_date {
        after.next_call_scheduled_at = next_call(Some(conn), reader, &after, now)?;
    }
    Ok(after)
}

/// `same phone as customer 1, 7`; `None`: nobody else has the number, or all mark it as shared.
pub fn same_phone_words(others: &[i64]) -> Option<String> {
    let ids: Vec<String> = others.iter().map(i64::to_string).collect();
    (!ids.is_empty()).then(|| format!("same phone as customer {}", ids.join(", ")))
}

/// Inserts a planned customer and journals it.
pub fn create(
    tx: &Tx<'_>,
    reader: &mut Reader<'_>,
    customer: &Customer,
    by: By<'_>,
) -> anyhow::Result<i64> {
    let By { who, now } = by;
    let id = customers::insert(tx, customer)?;
    zone_rules::note_first(tx, reader.zone_rules())?;
    let subject = format!("customer:{id}");
    let is_due_from_then_on = is_due_from_then_on(reader, customer, now);
    let new = Some("created");
    let entry =
        journal::Entry { who, what: "customer", subject: &subject, new, ..Default::default() };
    facts::add(
        tx,
        now,
        entry,
        &EntryFacts { is_created: true, is_due_from_then_on, ..EntryFacts::default() },
    )?;
    // The file gives the key, without which a pause would be nobody's.
    if customer.call_status == CallStatus::Paused
        && let Some(stored) = customers::by_id(tx, id)?
    {
        record_pause(tx, &stored, by, None)?;
    }
    Ok(id)
}

/// Writes a planned change and journals it. An unchanged customer is not touched. A change of the
/// call time also moves the waiting item: see `reschedule`.
pub fn change(
    tx: &Tx<'_>,
    reader: &mut Reader<'_>,
    known: &Customer,
    after: &Customer,
    by: By<'_>,
) -> anyhow::Result<Vec<FieldChange>> {
    change_because(tx, reader, known, after, by, None)
}

/// The same with a person's reason, for the journal.
pub fn change_because(
    tx: &Tx<'_>,
    reader: &mut Reader<'_>,
    known: &Customer,
    after: &Customer,
    by: By<'_>,
    why: Option<&str>,
) -> anyhow::Result<Vec<FieldChange>> {
    let By { who, now } = by;
    let changes = changes(known, after);
    if changes.is_empty() {
        return Ok(changes);
    }
    let has_moved = known.next_call_scheduled_at != after.next_call_scheduled_at;
    if has_moved && let Some(zone) = reader.zone(&known.timezone) {
        let next = after.next_call_scheduled_at;
        let next_date = next.zip(reader.zone(&after.timezone)).map(|(at, zone)| zone.date(at));
        record_dates_before_edit(tx, known, &zone, (after.last_call_date, next_date), now)?;
    }
    keep_for_the_number(tx, known, after)?;
    customers::update_fields(tx, after, now)?;
    if has_other_rhythm(reader, known, after)
        || (has_moved && known.last_call_date == after.last_call_date)
    {
        let zone = reader.zone(&after.timezone);
        reschedule(tx, after.id, after.next_call_scheduled_at, zone.as_deref(), now)?;
    } else if has_moved {
        called_flags::set_next(tx, after.id, after.next_call_scheduled_at)?;
    }
    let (old, new) = journal_texts(&changes);
    let subject = format!("customer:{}", known.id);
    let (old, new) = (Some(old.as_str()), Some(new.as_str()));
    let entry = journal::Entry { who, what: "customer", subject: &subject, old, new, why };
    let moved_to = after.next_call_scheduled_at.filter(|_| has_moved).map(instant_text);
    let fields = changes.iter().map(|change| change.field.to_string()).collect();
    let decides = changes.iter().filter(|change| DECIDING.contains(&change.field));
    let value = |change: &FieldChange| Some((change.field.to_string(), change.values.clone()?));
    let values = decides.filter_map(value).collect();
    let facts =
        EntryFacts { fields, values, next_call_scheduled_at: moved_to, ..EntryFacts::default() };
    facts::add(tx, now, entry, &facts)?;
    if known.call_status != CallStatus::Paused {
        record_pause(tx, after, by, why)?;
    }
    Ok(changes)
}

/// An entry that pauses a customer leaves the record that every pause leaves.
fn record_pause(
    tx: &Tx<'_>,
    after: &Customer,
    by: By<'_>,
    why: Option<&str>,
) -> anyhow::Result<()> {
    let scope = pauses::of_customer(&after.key);
    if after.call_status != CallStatus::Paused || pauses::pause_of(tx, &scope)?.is_some() {
        return Ok(());
    }
    let why = why.unwrap_or("call_status was set to paused");
    paused::record(tx, &scope, Act { who: by.who, why, now: by.now })
}

/// When a customer's number changes, the old number keeps the calls that only the customer's row
/// records. A call in the ledger stays under its own number, and permits its own customer's
/// retries.
fn keep_for_the_number(tx: &Tx<'_>, known: &Customer, after: &Customer) -> anyhow::Result<()> {
    if known.phone == after.phone {
        return Ok(());
    }
    let phone_key = installation::installation(tx)?.phone_key(&known.phone);
    let only_the_row_knows = |call_type: CallType, occasion: &str| {
        let call_type = call_type.as_str();
        let in_ledger = erase::is_in_ledger(tx, known.id, &phone_key, call_type, occasion);
        in_ledger.map(|(is_in_ledger, _)| !is_in_ledger)
    };
    let mut left = NumberFlags::default();
    if known.welcome_call_completed {
        left.welcome = only_the_row_knows(CallType::Welcome, WELCOME_OCCASION)?;
    }
    if let Some(date) = known.last_call_date
        && only_the_row_knows(CallType::Daily, &daily_occasion(date))?
    {
        left.last_date = Some(date);
    }
    left_numbers::keep(tx, &phone_key, known.shared_phone, left)
}

/// The first occasion after now that is later than the last call and free in the ledger. `conn` is
/// `None` for a customer who cannot be in the ledger yet.
fn next_call(
    conn: Option<&Conn>,
    reader: &mut Reader<'_>,
    customer: &Customer,
    now: Instant,
) -> anyhow::Result<Option<Instant>> {
    let (time, schedule) = (customer.call_time.as_deref(), customer.call_schedule.as_deref());
    let rhythm = Rhythm::of(time, schedule).map_err(|reason| anyhow!(reason))?;
    let (Some(rhythm), Some(zone)) = (rhythm, reader.zone(&customer.timezone)) else {
        return Ok(None);
    };
    let mut failed = None;
    let own = conn.map(|conn| movable_item(conn, customer.id)).transpose()?.flatten();
    let own_date = own.and_then(|item| item.date());
    // The waiting item moves too, so its own date counts as free.
    let is_free = |date| {
        let Some(conn) = conn.filter(|_| Some(date) != own_date) else { return true };
        called_flags::date_is_free(conn, customer.id, date).unwrap_or_else(|error| {
            failed = Some(error);
            true
        })
    };
    let slot = rhythm.next_slot(&zone, now, customer.last_call_date, is_free);
    match failed {
        Some(error) => Err(error),
        None => Ok(slot.map(|(_, at)| at)),
    }
}

/// A different name of the same zone does not move a call.
fn has_other_rhythm(reader: &mut Reader<'_>, known: &Customer, after: &Customer) -> bool {
    let is_same_zone = known.timezone == after.timezone
        || match (reader.zone(&known.timezone), reader.zone(&after.timezone)) {
            (Some(known), Some(after)) => known.has_rules_of(&after),
            _ => false,
        };
    !is_same_zone
        || (&known.call_time, &known.call_schedule) != (&after.call_time, &after.call_schedule)
}

/// `call_time 07:00, name` and `call_time 08:00, name`.
fn journal_texts(changes: &[FieldChange]) -> (String, String) {
    let text = |side: fn(&(String, String)) -> &String| {
        let fields: Vec<String> = changes
            .iter()
            .map(|change| match &change.values {
                Some(values) => format!("{} {}", change.field, side(values)),
                None => change.field.to_string(),
            })
            .collect();
        fields.join(", ")
    };
    (text(|values| &values.0), text(|values| &values.1))
}
