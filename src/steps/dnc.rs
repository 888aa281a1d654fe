//! dnc: numbers that nobody calls, by a person or from a file. Effective before the next POST,
//! also for what is queued: the gate asks the list in the transaction that writes the intent.
//!
//! A listed number protects its subscriber in the forms of before and after a renumbering.

use crate::domain::Instant;
use crate::phones;
use crate::store::do_not_call::{self, Entry};
use crate::store::meta::Installation;
use crate::store::queue::Moved;
use crate::store::{Store, Tx, journal};

/// One number of a file and why it is on the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// E.164.
    pub phone: String,
    pub reason: String,
}

/// Adds numbers in one transaction; returns how many were new. The side file is written first, so
/// that a crash in between keeps them.
pub fn add(
    store: &Store,
    installation: &Installation,
    numbers: &[Listed],
    who: &str,
    now: Instant,
) -> anyhow::Result<usize> {
    store.write(|tx| {
        let mut new = 0;
        for listed in numbers {
            let entry = entry(&listed.phone, &listed.reason, who, now);
            if do_not_call::add(tx, store.path(), &entry)? == Moved::Yes {
                note(tx, installation, &entry, "added", now)?;
                new += 1;
            }
        }
        Ok(new)
    })
}

/// Takes a number off the list, with the other forms of it that are there; `false` when none was.
pub fn remove(
    store: &Store,
    installation: &Installation,
    phone: &str,
    reason: &str,
    who: &str,
    now: Instant,
) -> anyhow::Result<bool> {
    let entry = entry(phone, reason, who, now);
    store.write(|tx| {
        let moved = do_not_call::remove(tx, store.path(), &entry)?;
        if moved == Moved::Yes {
            note(tx, installation, &entry, "removed", now)?;
        }
        Ok(moved == Moved::Yes)
    })
}

fn entry(phone: &str, reason: &str, who: &str, now: Instant) -> Entry {
    Entry {
        phone: phone.to_string(),
        reason: reason.to_string(),
        source: who.to_string(),
        created_at: now,
    }
}

/// The journal outlives erasure, so it knows the number by its key only.
fn note(
    tx: &Tx<'_>,
    installation: &Installation,
    entry: &Entry,
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
pub struct Told {
    /// E.164: today's form of a number that was told as before a renumbering.
    pub phone: String,
    pub is_old_form: bool,
}

/// Reads a number to list. Refuses one that its country does not have: it would protect nobody.
pub fn number(text: &str, default_country: Option<&str>) -> Result<Told, String> {
    let phone = phones::parse(text, default_country)?;
    if !phone.exists {
        let why = phone.error.unwrap_or_default();
        return Err(format!("is no number that could ring: {why}"));
    }
    let is_old_form = phone.today.is_some();
    Ok(Told { phone: phone.today.unwrap_or(phone.e164), is_old_form })
}
