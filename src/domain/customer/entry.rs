//! An entry holds new values for one customer, and applies them to the customer.
//!
//! One rule holds for files, flags and requests. A value that is not given stays as it is, and an
//! event that already happened is never taken back. An entry cannot clear `welcome_call_completed`,
//! move the date of a made call backward, or lift a pause.

use chrono::{Duration, NaiveDate};
use serde_json::{Map, Value};

use crate::domain::calendar::zone::Zone;
use crate::domain::customer::{CallStatus, Customer};
use crate::domain::{Instant, instant_text};

/// The offset of the places where each date begins first.
const FURTHEST_OFFSET_HOURS: i64 = 14;
/// The clock of the program that stored a sign-up may be this far ahead of ours.
const CLOCKS_DIFFER_AT_MOST: Duration = Duration::minutes(5);

/// One row of a file or one set of flags, checked. `None` = not given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomerEntry {
    pub external_id: Option<String>,
    pub name: Option<String>,
    /// `Some(None)` removes the address.
    pub email: Option<Option<String>>,
    pub phone: Option<EntryPhone>,
    /// The claim of the source; a number that the phone library refuses stays invalid.
    pub phone_validated: Option<bool>,
    /// IANA Area/City.
    pub timezone: Option<String>,
    /// `HH:MM`; `Some(None)` ends the daily calls.
    pub call_time: Option<Option<String>>,
    /// Five-field cron; `Some(None)` returns to `call_time`.
    pub call_schedule: Option<Option<String>>,
    pub payment_status: Option<String>,
    pub call_status: Option<CallStatus>,
    pub welcome_call_completed: Option<bool>,
    pub next_call_scheduled_at: Option<Instant>,
    pub last_call_date: Option<NaiveDate>,
    pub last_call_id: Option<String>,
    pub total_calls_made: Option<i64>,
    pub consecutive_failures: Option<i64>,
    pub shared_phone: Option<bool>,
    pub consent_at: Option<Instant>,
    pub consent_source: Option<String>,
    pub consent_text: Option<String>,
    pub created_at: Option<Instant>,
    /// `Some(None)` returns to the assistant of the call type.
    pub assistant: Option<Option<String>>,
    /// Added to the known variables; a variable that is not named stays.
    pub variables: Map<String, Value>,
}

/// A number with the verdict of the phone library.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryPhone {
    /// E.164.
    pub e164: String,
    pub valid: bool,
    /// Why it is not valid.
    pub error: Option<String>,
}

impl CustomerEntry {
    /// An impossible value and its column: a sign-up or a last call in the future.
    ///
    /// No entry can move `last_call_date` backward, so a future one would stop the daily calls until
    /// then. `zone` is the customer's. Without it, a date counts if it has come anywhere on earth.
    pub fn contradiction(
        &self,
        zone: Option<&Zone>,
        now: Instant,
    ) -> Option<(&'static str, String)> {
        let furthest = (now + Duration::hours(FURTHEST_OFFSET_HOURS)).date_naive();
        let today = zone.map_or(furthest, |zone| zone.date(now));
        if let Some(date) = self.last_call_date.filter(|date| *date > today) {
            let why = format!("{date} is in the future: no call was made then");
            return Some(("last_call_date", why));
        }
        let created_at = self.created_at.filter(|at| *at > now + CLOCKS_DIFFER_AT_MOST)?;
        let why = format!("{} is in the future: nobody signed up then", instant_text(created_at));
        Some(("created_at", why))
    }

    /// The new customer of this entry. `id` is 0 and `key` empty until the database assigns them;
    /// `next_call_scheduled_at` is only the given value. Refuses an entry without a phone or a
    /// time zone.
    pub fn new_customer(&self, now: Instant) -> Result<Customer, String> {
        let phone = self.phone.as_ref().ok_or("a new customer needs a phone")?;
        let timezone = self.timezone.as_ref().ok_or("a new customer needs a timezone")?;
        let mut customer = blank(&phone.e164, timezone, self.created_at.unwrap_or(now), now);
        customer.phone_validated = phone.valid && self.phone_validated.unwrap_or(true);
        customer.phone_validation_error = phone.error.clone();
        customer.call_status = self.call_status.unwrap_or(CallStatus::Pending);
        customer.consecutive_failures = self.consecutive_failures.unwrap_or(0);
        customer.next_call_scheduled_at = self.next_call_scheduled_at;
        self.apply_to(&mut customer);
        Ok(customer)
    }

    /// The known customer after this entry. `next_call_scheduled_at` stays: whether it changes
    /// depends on the zone and on the present time.
    pub fn applied_to(&self, known: &Customer) -> Customer {
        let mut after = known.clone();
        self.apply_to(&mut after);
        after
    }

    fn apply_to(&self, after: &mut Customer) {
        replace(&mut after.name, &self.name);
        replace(&mut after.email, &self.email);
        replace(&mut after.timezone, &self.timezone);
        replace(&mut after.call_time, &self.call_time);
        replace(&mut after.call_schedule, &self.call_schedule);
        replace(&mut after.payment_status, &self.payment_status);
        replace(&mut after.shared_phone, &self.shared_phone);
        replace(&mut after.created_at, &self.created_at);
        replace(&mut after.assistant, &self.assistant);
        replace_some(&mut after.external_id, &self.external_id);
        replace_some(&mut after.consent_at, &self.consent_at);
        replace_some(&mut after.consent_source, &self.consent_source);
        replace_some(&mut after.consent_text, &self.consent_text);
        self.apply_phone(after);
        // An entry can stop a customer; only a person's `resume` lifts the stop. Only calls set
        // `completed` and `failed`.
        if let Some(stop @ (CallStatus::Paused | CallStatus::Disabled)) = self.call_status {
            after.call_status = stop;
        }
        after.welcome_call_completed |= self.welcome_call_completed.unwrap_or(false);
        after.last_call_date = after.last_call_date.max(self.last_call_date);
        after.total_calls_made = after.total_calls_made.max(self.total_calls_made.unwrap_or(0));
        if after.last_call_id.is_none() {
            after.last_call_id.clone_from(&self.last_call_id);
        }
        for (name, value) in &self.variables {
            after.variables.insert(name.clone(), value.clone());
        }
    }

    /// The same number keeps its verdict unless the entry gives one; another number gets a new one.
    fn apply_phone(&self, after: &mut Customer) {
        let Some(phone) = &self.phone else { return };
        let same = after.phone == phone.e164;
        if same && self.phone_validated.is_none() {
            return;
        }
        after.phone.clone_from(&phone.e164);
        after.phone_validated = phone.valid && self.phone_validated.unwrap_or(true);
        after.phone_validation_error.clone_from(&phone.error);
    }
}

fn replace<T: Clone>(field: &mut T, said: &Option<T>) {
    if let Some(said) = said {
        field.clone_from(said);
    }
}

fn replace_some<T: Clone>(field: &mut Option<T>, said: &Option<T>) {
    if said.is_some() {
        field.clone_from(said);
    }
}

fn blank(phone: &str, timezone: &str, created_at: Instant, now: Instant) -> Customer {
    Customer {
        id: 0,
        key: String::new(),
        external_id: None,
        name: String::new(),
        email: None,
        phone: phone.to_string(),
        phone_validated: false,
        phone_validation_error: None,
        timezone: timezone.to_string(),
        call_time: None,
        call_schedule: None,
        payment_status: "Pending".to_string(),
        call_status: CallStatus::Pending,
        welcome_call_completed: false,
        next_call_scheduled_at: None,
        last_call_date: None,
        last_call_id: None,
        total_calls_made: 0,
        consecutive_failures: 0,
        variables: Map::new(),
        shared_phone: false,
        consent_at: None,
        consent_source: None,
        consent_text: None,
        eligible_from: None,
        created_at,
        updated_at: now,
        assistant: None,
    }
}

/// One field that became different.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    pub field: &'static str,
    /// Old and new text. `None` for fields that identify the person: their values stay out of the
    /// journal, which can never be erased.
    pub values: Option<(String, String)>,
}

/// The differences between two states of one customer: personal fields first, then the others.
pub fn changes(before: &Customer, after: &Customer) -> Vec<FieldChange> {
    let mut found = Vec::new();
    let mut personal = |field, differs: bool| {
        if differs {
            found.push(FieldChange { field, values: None });
        }
    };
    personal("external_id", before.external_id != after.external_id);
    personal("name", before.name != after.name);
    personal("email", before.email != after.email);
    personal("phone", before.phone != after.phone);
    personal("consent_text", before.consent_text != after.consent_text);
    personal("variables", before.variables != after.variables);
    let (old, new) = (plain_fields(before), plain_fields(after));
    for ((field, old), (_, new)) in old.into_iter().zip(new) {
        if old != new {
            found.push(FieldChange { field, values: Some((old, new)) });
        }
    }
    found
}

/// The fields that do not identify the person, as text.
fn plain_fields(customer: &Customer) -> [(&'static str, String); 18] {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let instant = |value: Option<Instant>| value.map(instant_text).unwrap_or_default();
    [
        ("phone_validated", customer.phone_validated.to_string()),
        ("phone_validation_error", text(&customer.phone_validation_error)),
        ("timezone", customer.timezone.clone()),
        ("call_time", text(&customer.call_time)),
        ("call_schedule", text(&customer.call_schedule)),
        ("payment_status", customer.payment_status.clone()),
        ("call_status", customer.call_status.to_string()),
        ("welcome_call_completed", customer.welcome_call_completed.to_string()),
        ("next_call_scheduled_at", instant(customer.next_call_scheduled_at)),
        ("last_call_date", customer.last_call_date.map(|d| d.to_string()).unwrap_or_default()),
        ("last_call_id", text(&customer.last_call_id)),
        ("total_calls_made", customer.total_calls_made.to_string()),
        ("consecutive_failures", customer.consecutive_failures.to_string()),
        ("shared_phone", customer.shared_phone.to_string()),
        ("consent_at", instant(customer.consent_at)),
        ("consent_source", text(&customer.consent_source)),
        ("created_at", instant(Some(customer.created_at))),
        ("assistant", text(&customer.assistant)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_instant;

    fn known() -> Customer {
        let now = parse_instant("2026-11-22T12:00:00Z").unwrap();
        let mut customer = blank("+12125550101", "America/New_York", now, now);
        customer.phone_validated = true;
        customer.welcome_call_completed = true;
        customer.last_call_date = NaiveDate::from_ymd_opt(2026, 11, 22);
        customer.call_status = CallStatus::Paused;
        customer.total_calls_made = 9;
        customer
    }

    #[test]
    fn an_empty_entry_changes_nothing() {
        assert_eq!(CustomerEntry::default().applied_to(&known()), known());
        assert_eq!(changes(&known(), &known()), []);
    }

    #[test]
    fn nothing_that_happened_is_taken_back() {
        let entry = CustomerEntry {
            welcome_call_completed: Some(false),
            last_call_date: NaiveDate::from_ymd_opt(2026, 11, 1),
            call_status: Some(CallStatus::Pending),
            total_calls_made: Some(1),
            ..CustomerEntry::default()
        };
        assert_eq!(entry.applied_to(&known()), known());
    }

    #[test]
    fn a_later_date_and_a_stop_are_taken_over() {
        let entry = CustomerEntry {
            last_call_date: NaiveDate::from_ymd_opt(2026, 11, 23),
            call_status: Some(CallStatus::Disabled),
            ..CustomerEntry::default()
        };
        let fields: Vec<&str> =
            changes(&known(), &entry.applied_to(&known())).iter().map(|c| c.field).collect();
        assert_eq!(fields, ["call_status", "last_call_date"]);
    }

    #[test]
    fn a_claim_cannot_make_a_refused_number_valid() {
        let phone =
            EntryPhone { e164: "+1212555010".into(), valid: false, error: Some("x".into()) };
        let entry = CustomerEntry {
            phone: Some(phone),
            phone_validated: Some(true),
            timezone: Some("America/New_York".into()),
            ..CustomerEntry::default()
        };
        let customer = entry.new_customer(known().created_at).unwrap();
        assert!(!customer.phone_validated);
        assert_eq!(customer.phone_validation_error.as_deref(), Some("x"));
    }

    #[test]
    fn personal_fields_are_named_without_their_values() {
        let entry = CustomerEntry { name: Some("Ada".into()), ..CustomerEntry::default() };
        let found = changes(&known(), &entry.applied_to(&known()));
        assert_eq!(found, [FieldChange { field: "name", values: None }]);
    }
}
