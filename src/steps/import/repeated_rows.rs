//! Rows of one file that mean the same customer.

mod sorted_file;
mod table;

use std::hash::{BuildHasher, RandomState};

use anyhow::Context;

use crate::domain::customer::Customer;
use crate::domain::customer::entry::CustomerEntry;
use crate::steps::import::consequences::outcome::CallsOfNumber;
use crate::steps::import::repeated_rows::table::HashTable;

/// The keys of the rows so far, as hashes, with their lines. The memory for them does not grow with
/// the file.
#[derive(Default)]
pub(crate) struct SeenRows {
    /// The store has no customers, so no row can match one.
    pub(crate) nobody_yet: bool,
    hasher: RandomState,
    table: HashTable,
}

impl SeenRows {
    pub(crate) fn new(nobody_yet: bool) -> SeenRows {
        SeenRows { nobody_yet, ..SeenRows::default() }
    }

    /// The first line with the same number, and the calls that earlier rows take, unless all rows
    /// with it mark it as shared. `takes`: the calls that this row takes.
    pub(crate) fn same_phone(
        &mut self,
        after: &Customer,
        line: u64,
        takes: CallsOfNumber,
    ) -> anyhow::Result<Option<(u64, CallsOfNumber)>> {
        let new = SeenKey { line, is_own: false, is_shared: true, taken: CallsOfNumber::default() };
        let seen = self.change(("phone", after.phone.as_str()), |seen| {
            let seen = seen.unwrap_or(new);
            let is_shared = seen.is_shared && after.shared_phone;
            SeenKey { is_shared, taken: seen.taken.or(takes), ..seen }
        })?;
        let seen = seen.unwrap_or(new);
        let is_shared = seen.is_shared && after.shared_phone;
        Ok((seen.line != line && !is_shared).then_some((seen.line, seen.taken)))
    }

    /// The line of an earlier row about the same customer, and the key that shows it.
    ///
    /// Two rows may share an e-mail or a phone while another key distinguishes them.
    pub(crate) fn repeated(
        &mut self,
        entry: &CustomerEntry,
        line: u64,
    ) -> anyhow::Result<Option<(&'static str, u64)>> {
        let own = key_of(entry);
        let email = entry.email.as_ref().and_then(|email| email.as_deref());
        let phone = entry.phone.as_ref().map(|phone| phone.e164.as_str());
        let keys =
            [("external_id", entry.external_id.as_deref()), ("email", email), ("phone", phone)];
        let mut repeated = None;
        for (column, key) in keys {
            let Some(key) = key else { continue };
            let is_own = column == own;
            let new = SeenKey { line, is_own, is_shared: true, taken: CallsOfNumber::default() };
            let seen = self.change((column, key), |seen| {
                let seen = seen.unwrap_or(new);
                SeenKey { is_own: seen.is_own || is_own, ..seen }
            })?;
            let seen = seen.unwrap_or(new);
            if seen.line != line && (is_own || seen.is_own) && repeated.is_none() {
                repeated = Some((column, seen.line));
            }
        }
        Ok(repeated)
    }

    /// The line of the latest earlier row about a known customer.
    pub(crate) fn same_customer(&mut self, id: i64, line: u64) -> anyhow::Result<Option<u64>> {
        let taken = CallsOfNumber::default();
        let new = SeenKey { line, is_own: false, is_shared: false, taken };
        Ok(self.change(("customer", id), |_| new)?.map(|seen| seen.line))
    }

    /// Whether a row is about this known customer.
    pub(crate) fn has_customer(&self, id: i64) -> anyhow::Result<bool> {
        let hash = self.hasher.hash_one(("customer", id));
        Ok(self.table.get(hash).with_context(no_room)?.is_some())
    }

    /// Replaces what is known of a key, and returns what was known.
    fn change(
        &mut self,
        key: impl std::hash::Hash,
        change: impl FnOnce(Option<SeenKey>) -> SeenKey,
    ) -> anyhow::Result<Option<SeenKey>> {
        let hash = self.hasher.hash_one(key);
        let change = |number: Option<u64>| change(number.map(SeenKey::of)).number();
        Ok(self.table.change(hash, change).with_context(no_room)?.map(SeenKey::of))
    }
}

fn no_room() -> String {
    let folder = std::env::temp_dir();
    format!(
        "the temporary file for the keys of the rows in {} cannot be used; set TMPDIR to a folder \
         with room",
        folder.display()
    )
}

/// The first line with a key.
#[derive(Clone, Copy)]
struct SeenKey {
    /// From 1 on.
    line: u64,
    /// Whether a row was identified by this key, not only contained it.
    is_own: bool,
    /// Whether every row with this number marks it as shared.
    is_shared: bool,
    /// The calls that rows with this number take.
    taken: CallsOfNumber,
}

impl SeenKey {
    fn number(self) -> u64 {
        let flags = [self.is_own, self.is_shared, self.taken.welcome, self.taken.daily];
        flags.into_iter().fold(self.line, |number, flag| number << 1 | u64::from(flag))
    }

    fn of(number: u64) -> SeenKey {
        let flag = |place: u64| number >> place & 1 == 1;
        let taken = CallsOfNumber { welcome: flag(1), daily: flag(0) };
        SeenKey { line: number >> 4, is_own: flag(3), is_shared: flag(2), taken }
    }
}

/// The column by which a row names its customer: external id, else e-mail, else phone.
pub(crate) fn key_of(entry: &CustomerEntry) -> &'static str {
    match (&entry.external_id, &entry.email) {
        (Some(_), _) => "external_id",
        (None, Some(Some(_))) => "email",
        (None, _) => "phone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Instant;
    use crate::domain::customer::entry::EntryPhone;

    /// A row with these keys. An empty text leaves its key out.
    fn row([external_id, email, phone]: [&str; 3]) -> CustomerEntry {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_string());
        let phone = text(phone).map(|e164| EntryPhone { e164, valid: true, error: None });
        CustomerEntry {
            external_id: text(external_id),
            email: text(email).map(Some),
            phone,
            timezone: text("Europe/London"),
            ..CustomerEntry::default()
        }
    }

    #[test]
    fn a_row_repeats_another_if_one_of_them_is_known_by_the_same_key() {
        const ONE: &str = "+442079460001";
        const TWO: &str = "+442079460002";
        for (rows, expected) in [
            ([["7", "", ONE], ["7", "", TWO]], Some(("external_id", 2))),
            // Couples share an address and a phone.
            ([["7", "a@example.com", ONE], ["8", "a@example.com", ONE]], None),
            ([["7", "a@example.com", ONE], ["", "a@example.com", TWO]], Some(("email", 2))),
            ([["", "a@example.com", ONE], ["7", "a@example.com", TWO]], Some(("email", 2))),
            ([["", "a@example.com", ONE], ["", "", ONE]], Some(("phone", 2))),
            ([["", "", ONE], ["7", "", ONE]], Some(("phone", 2))),
            ([["", "", ONE], ["", "", TWO]], None),
        ] {
            let mut seen = SeenRows::default();
            let [first, second] = rows.map(row);
            assert_eq!(seen.repeated(&first, 2).unwrap(), None);
            assert_eq!(seen.repeated(&second, 3).unwrap(), expected, "{rows:?}");
        }
    }

    #[test]
    fn a_phone_is_shared_only_while_all_rows_with_it_say_so() {
        let same = |marks: [bool; 3]| {
            let mut seen = SeenRows::default();
            let entry = row(["", "", "+442079460001"]);
            let mut customer = entry.new_customer(Instant::UNIX_EPOCH).unwrap();
            [2, 3, 4].map(|line| {
                customer.shared_phone = marks[line as usize - 2];
                let found = seen.same_phone(&customer, line, CallsOfNumber::default()).unwrap();
                found.map(|(line, _)| line)
            })
        };
        assert_eq!(same([true, true, true]), [None, None, None]);
        assert_eq!(same([true, false, true]), [None, Some(2), Some(2)]);
        assert_eq!(same([false, true, true]), [None, Some(2), Some(2)]);
    }

    #[test]
    fn a_known_customer_is_remembered_with_the_latest_line() {
        let mut seen = SeenRows::default();
        assert_eq!(seen.same_customer(7, 2).unwrap(), None);
        assert_eq!(seen.same_customer(7, 5).unwrap(), Some(2));
        assert_eq!(seen.same_customer(7, 9).unwrap(), Some(5));
        assert!(seen.has_customer(7).unwrap() && !seen.has_customer(8).unwrap());
    }
}
