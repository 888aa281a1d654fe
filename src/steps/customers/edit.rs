//! The edit of one known customer: the rules that commands, requests and the page share.

use anyhow::anyhow;

use crate::domain::Instant;
use crate::domain::customer::Customer;
use crate::domain::customer::entry::{CustomerEntry, FieldChange, changes};
use crate::steps::customers::{plan_change, with_next_call};
use crate::steps::import::field_values::Reader;
use crate::store::Conn;
use crate::store::customers::by_external_id;

/// Why an edit is refused, in one line.
#[derive(Debug, thiserror::Error)]
pub enum EditRefused {
    #[error("customer {0} has this external id already")]
    ExternalIdTaken(i64),
    #[error(
        "{0} was changed again since, so the edit is not taken back: edit the customer instead"
    )]
    ChangedSince(String),
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
    check_external_id(conn, known.id, entry.external_id.as_deref())?;
    plan_change(conn, reader, known, &entry, now)
}

fn check_external_id(conn: &Conn, id: i64, external_id: Option<&str>) -> anyhow::Result<()> {
    match external_id.map(|text| by_external_id(conn, text)).transpose()?.flatten() {
        Some(other) if other.id != id => Err(EditRefused::ExternalIdTaken(other.id).into()),
        _ => Ok(()),
    }
}

/// The customer with the fields of an edit as they were before it. What else has changed stays. A
/// call that was made in between is not unmade.
pub fn taken_back(
    conn: &Conn,
    reader: &mut Reader<'_>,
    known: &Customer,
    (before, after): (&Customer, &Customer),
    now: Instant,
) -> anyhow::Result<Customer> {
    let since: Vec<&str> = changes(after, known).iter().map(|change| change.field).collect();
    let mut then = known.clone();
    for FieldChange { field, .. } in changes(before, after) {
        if !put_back(&mut then, before, field) {
            continue;
        }
        if since.contains(&field) {
            return Err(EditRefused::ChangedSince(field.replace('_', " ")).into());
        }
    }
    check_external_id(conn, known.id, then.external_id.as_deref())?;
    with_next_call(conn, reader, known, then, now)
}

/// `false` for a field that no edit sets.
fn put_back(then: &mut Customer, before: &Customer, field: &str) -> bool {
    match field {
        "external_id" => then.external_id.clone_from(&before.external_id),
        "name" => then.name.clone_from(&before.name),
        "email" => then.email.clone_from(&before.email),
        "phone" => then.phone.clone_from(&before.phone),
        "phone_validated" => then.phone_validated = before.phone_validated,
        "phone_validation_error" => {
            then.phone_validation_error.clone_from(&before.phone_validation_error);
        }
        "consent_text" => then.consent_text.clone_from(&before.consent_text),
        "consent_at" => then.consent_at = before.consent_at,
        "consent_source" => then.consent_source.clone_from(&before.consent_source),
        "variables" => then.variables.clone_from(&before.variables),
        "timezone" => then.timezone.clone_from(&before.timezone),
        "call_time" => then.call_time.clone_from(&before.call_time),
        "call_schedule" => then.call_schedule.clone_from(&before.call_schedule),
        "payment_status" => then.payment_status.clone_from(&before.payment_status),
        "shared_phone" => then.shared_phone = before.shared_phone,
        "assistant" => then.assistant.clone_from(&before.assistant),
        _ => return false,
    }
    true
}
