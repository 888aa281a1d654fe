//! A next call that a file names, compared with the call time that it is derived from.

use chrono::{Duration, NaiveTime};

use crate::domain::Instant;
use crate::domain::calendar::schedule::Rhythm;
use crate::domain::calendar::zone::Zone;
use crate::domain::customer::Customer;
use crate::steps::import::field_values::Reader;
use crate::steps::occasions::next;

/// The instant that replaces a next call, because the customer's call time gives no call then.
/// `None`: they agree, or the customer has no call time.
///
/// The old program may have postponed the call, so the local date counts as the earliest one.
pub fn corrected(
    reader: &mut Reader<'_>,
    customer: &Customer,
    said: Instant,
    now: Instant,
) -> Option<Instant> {
    let (rhythm, zone) = (next::wanted(customer)?, reader.zone(&customer.timezone)?);
    if is_slot(&rhythm, &zone, said) {
        return None;
    }
    let midnight = zone.resolve(zone.date(said).and_time(NaiveTime::MIN));
    let after = now.max(midnight - Duration::milliseconds(1));
    rhythm.next_slot(&zone, after, customer.last_call_date, |_| true).map(|(_, at)| at)
}

fn is_slot(rhythm: &Rhythm, zone: &Zone, at: Instant) -> bool {
    rhythm.slot_on(zone, zone.date(at)) == Some(at)
}
