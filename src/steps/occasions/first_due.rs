//! Whether a new customer's daily calls fall due at once. The journal keeps that for the audit,
//! because an imported file may postpone the first call or show that one was made.

use crate::domain::Instant;
use crate::domain::customer::Customer;
use crate::steps::import::field_values::Reader;
use crate::steps::occasions::next;

/// Whether the new customer's next call is the first one that their time and zone give after `now`.
pub fn is_due_from_then_on(reader: &mut Reader<'_>, customer: &Customer, now: Instant) -> bool {
    let rhythm = next::wanted(customer).zip(reader.zone(&customer.timezone));
    let first = rhythm.and_then(|(rhythm, zone)| rhythm.next_slot(&zone, now, None, |_| true));
    first.is_some_and(|(_, at)| customer.next_call_scheduled_at == Some(at))
}
