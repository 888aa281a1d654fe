//! Rows of one file that mean the same customer.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::domain::customer::Customer;
use crate::domain::customer::entry::CustomerEntry;

/// The keys of the rows so far, as hashes, with their lines.
#[derive(Default)]
pub(crate) struct SeenRows {
    /// The store has no customers, so no row can match one.
    pub(crate) nobody_yet: bool,
    pub(crate) hasher: RandomState,
    pub(crate) keys: HashMap<u64, SeenKey>,
    /// Known customers named by a row, with the row's line.
    pub(crate) customers: HashMap<i64, u64>,
}

impl SeenRows {
    /// The first line with the same number, unless all rows with it mark it as shared.
    pub(crate) fn same_phone(&mut self, after: &Customer, line: u64) -> Option<u64> {
        let hash = self.hasher.hash_one(("phone", after.phone.as_str()));
        let new = SeenKey { line, is_own: false, is_shared: true };
        let seen = self.keys.entry(hash).or_insert(new);
        seen.is_shared &= after.shared_phone;
        (seen.line != line && !seen.is_shared).then_some(seen.line)
    }

    /// The line of an earlier row about the same customer, and the key that shows it.
    ///
    /// Two rows may share an e-mail or a phone while another key distinguishes them.
    pub(crate) fn repeated(
        &mut self,
        entry: &CustomerEntry,
        line: u64,
    ) -> Option<(&'static str, u64)> {
        let own = key_of(entry);
        let email = entry.email.as_ref().and_then(|email| email.as_deref());
        let phone = entry.phone.as_ref().map(|phone| phone.e164.as_str());
        let keys =
            [("external_id", entry.external_id.as_deref()), ("email", email), ("phone", phone)];
        let mut repeated = None;
        for (column, key) in keys {
            let Some(key) = key else { continue };
            let is_own = column == own;
            let new = SeenKey { line, is_own, is_shared: true };
            let seen = self.keys.entry(self.hasher.hash_one((column, key))).or_insert(new);
            if seen.line != line && (is_own || seen.is_own) && repeated.is_none() {
                repeated = Some((column, seen.line));
            }
            seen.is_own |= is_own;
        }
        repeated
    }
}

/// The first line with a key.
pub(crate) struct SeenKey {
    pub(crate) line: u64,
    /// Whether a row was identified by this key, not only contained it.
    pub(crate) is_own: bool,
    /// Whether every row with this number marks it as shared.
    pub(crate) is_shared: bool,
}

/// The column by which a row names its customer: external id, else e-mail, else phone.
pub(crate) fn key_of(entry: &CustomerEntry) -> &'static str {
    match (&entry.external_id, &entry.email) {
        (Some(_), _) => "external_id",
        (None, Some(Some(_))) => "email",
        (None, _) => "phone",
    }
}
