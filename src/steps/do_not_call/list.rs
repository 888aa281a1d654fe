//! Numbers that are never called, listed by a person or from a file. An entry is effective before
//! the next POST, also for queued items: the gate checks the list in the transaction that writes
//! the intent.
//!
//! A listed number protects its subscriber in the forms from before and after a renumbering.

use crate::domain::Instant;
use crate::phones;
use crate::store::do_not_call::{self, DoNotCallEntry};
use crate::store::journal::By;
use crate::store::meta::installation::Installation;
use crate::store::transaction::Moved;
use crate::store::{Store, Tx, journal};

/// One number of a file, and why it is on the list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedNumber {
    /// E.164.
    pub phone: String,
    pub reason: String,
}

/// Adds numbers in one transaction, and returns how many were new. The side file is written first,
/// so that a crash in between does not lose them.
pub fn add(
    store: &Store,
    installation: &Installation,
    numbers: &[ListedNumber],
    by: By<'_>,
) -> anyhow::Result<usize> {
    let By { now, .. } = by;
    store.write(|tx| {
        let mut new = 0;
        for listed in numbers {
            let entry = entry(&listed.phone, &listed.reason, by);
            if do_not_call::add(tx, store.path(), &entry)? == Moved::Yes {
                note(tx, installation, &entry, "added", now)?;
                new += 1;
            }
        }
        Ok(new)
    })
}

/// Removes a number and its other listed forms from the list; `false` if none was listed.
pub fn remove(
    store: &Store,
    installation: &Installation,
    phone: &str,
    reason: &str,
    by: By<'_>,
) -> anyhow::Result<bool> {
    let By { now, .. } = by;
    let entry = entry(phone, reason, by);
    store.write(|tx| {
        let moved = do_not_call::remove(tx, store.path(), &entry)?;
        if moved == Moved::Yes {
            note(tx, installation, &entry, "removed", now)?;
        }
        Ok(moved == Moved::Yes)
    })
}

fn entry(phone: &str, reason: &str, by: By<'_>) -> DoNotCallEntry {
    let By { who, now } = by;
    DoNotCallEntry {
        phone: phone.to_string(),
        reason: reason.to_string(),
        source: who.to_string(),
        created_at: now,
    }
}

/// The journal outlives an erasure, so it stores only the number's key.
fn note(
    tx: &Tx<'_>,
    installation: &Installation,
    entry: &DoNotCallEntry,
    what: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let subject = format!("number:{}", installation.phone_key(&entry.phone));
    let (who, why) = (entry.source.as_str(), Some(entry.reason.as_str()));
    let new = Some(what);
    journal::add(
        tx,
        now,
        journal::Entry { who, what: "do not call", subject: &subject, old: None, new, why },
    )
}

/// A number that a person gave, in the form in which it is listed.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadNumber {
    /// E.164. A number in a form from before a renumbering is converted to today's form.
    pub phone: String,
    pub is_old_form: bool,
}

/// Parses a number for the list. A number that cannot exist is refused: it would protect nobody.
pub fn number(text: &str, default_country: Option<&str>) -> Result<ReadNumber, String> {
    let phone = phones::parse(text, default_country)?;
    if !phone.exists {
        let why = phone.error.unwrap_or_default();
        return Err(format!("is not a number that could ring: {why}"));
    }
    let is_old_form = phone.today.is_some();
    Ok(ReadNumber { phone: phone.today.unwrap_or(phone.e164), is_old_form })
}
