//! The edit of one known customer: the rules that commands, requests and the page share.

use anyhow::anyhow;

use crate::domain::Instant;
use crate::domain::customer::Customer;
use crate::domain::customer::entry::CustomerEntry;
use crate::steps::customers::plan_change;
use crate::steps::import::field_values::Reader;
use crate::store::Conn;
use crate::store::customers::by_external_id;

/// Why an edit is refused, in one line.
#[derive(Debug, thiserror::Error)]
pub enum EditRefused {
    #[error("customer {0} has this external id already")]
    ExternalIdTaken(i64),
}

/// The known customer after an edit by a person or a program.
pub fn planned(
    conn: &Conn,
    reader: &mut Reader<'_>,
    known: &Customer,
    mut entry: CustomerEntry,
    now: Instant,
) -> anyhow::Result<Customer> {
    // A schedule would override the new call time, so setting a time removes the schedule.
    if matches!(entry.call_time, Some(Some(_))) && entry.call_schedule.is_none() {
        entry.call_schedule = Some(None);
    }
    if entry.phone.is_none() && entry.phone_validated.is_some() {
        entry.phone = Some(reader.phone(&known.phone).map_err(|why| anyhow!(why))?);
    }
    if let Some(external_id) = &entry.external_id
        && let Some(other) = by_external_id(conn, external_id)?
        && other.id != known.id
    {
        return Err(EditRefused::ExternalIdTaken(other.id).into());
    }
    plan_change(conn, reader, known, &entry, now)
}
