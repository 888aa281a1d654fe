//! Builds the customers of a test; every method sets one thing about them.

use ringonce::domain::Instant;
use ringonce::domain::calendar::schedule::Rhythm;
use ringonce::domain::customer::entry::{CustomerEntry, EntryPhone};
use ringonce::domain::customer::{CallStatus, Customer};
use ringonce::store::customers;

use crate::world::{World, at, date};

/// A customer who is not in the database yet.
#[must_use = "add() puts the customer into the database"]
pub struct Person<'w> {
    world: &'w World,
    customer: Customer,
    next_is_given: bool,
}

impl<'w> Person<'w> {
    /// Signed up now, in London, unpaid, without daily calls, and with a number of their own.
    pub fn new(world: &'w World, name: &str, number: u32) -> Person<'w> {
        let phone = format!("+4420794{:05}", 60000 + number % 1000);
        let entry = CustomerEntry {
            name: Some(name.to_string()),
            phone: Some(EntryPhone { e164: phone, valid: true, error: None }),
            timezone: Some("Europe/London".to_string()),
            payment_status: Some("Pending".to_string()),
            ..CustomerEntry::default()
        };
        let customer = entry.new_customer(world.now()).expect("an entry");
        Person { world, customer, next_is_given: false }
    }

    pub fn in_zone(mut self, zone: &str) -> Self {
        self.customer.timezone = zone.to_string();
        self
    }

    /// Daily at this local time, `HH:MM`.
    pub fn at(mut self, time: &str) -> Self {
        self.customer.call_time = Some(time.to_string());
        self
    }

    /// Daily calls by a cron expression in local time.
    pub fn on_schedule(mut self, schedule: &str) -> Self {
        self.customer.call_schedule = Some(schedule.to_string());
        self
    }

    pub fn phone(mut self, e164: &str) -> Self {
        self.customer.phone = e164.to_string();
        self
    }

    pub fn shared_phone(mut self) -> Self {
        self.customer.shared_phone = true;
        self
    }

    pub fn unvalidated(mut self) -> Self {
        self.customer.phone_validated = false;
        self.customer.phone_validation_error = Some("not a number".to_string());
        self
    }

    pub fn paid(self) -> Self {
        self.payment("Paid")
    }

    pub fn payment(mut self, status: &str) -> Self {
        self.customer.payment_status = status.to_string();
        self
    }

    pub fn status(mut self, status: CallStatus) -> Self {
        self.customer.call_status = status;
        self
    }

    pub fn welcomed(mut self) -> Self {
        self.customer.welcome_call_completed = true;
        self
    }

    pub fn last_called(mut self, day: &str) -> Self {
        self.customer.last_call_date = Some(date(day));
        self
    }

    pub fn signed_up(mut self, time: &str) -> Self {
        self.customer.created_at = at(time);
        self
    }

    /// Sets the next call, instead of the next occasion after now.
    pub fn next_call(mut self, time: Option<&str>) -> Self {
        self.customer.next_call_scheduled_at = time.map(at);
        self.next_is_given = true;
        self
    }

    fn next_occasion(&self) -> Option<Instant> {
        let (time, schedule) = (&self.customer.call_time, &self.customer.call_schedule);
        let rhythm = Rhythm::of(time.as_deref(), schedule.as_deref()).expect("a rhythm")?;
        let zone = self.world.zones().get(&self.customer.timezone)?;
        let last = self.customer.last_call_date;
        rhythm.next_slot(&zone, self.world.now(), last, |_| true).map(|(_, at)| at)
    }

    /// Adds the customer to the database and returns their id.
    pub fn add(mut self) -> i64 {
        if !self.next_is_given {
            self.customer.next_call_scheduled_at = self.next_occasion();
        }
        let store = self.world.store();
        store.write(|tx| customers::insert(tx, &self.customer)).expect("a new customer")
    }
}
