//! Calls to a number that are known only from the flag and date of a row. The row has left the
//! number, and no attempt in the ledger explains the calls. They are stored under the key of the
//! number, so that no other row with the number is called.

use chrono::NaiveDate;
use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use crate::domain::call::CallType;
use crate::store::meta;
use crate::store::quarantine::Unreadable;

/// The keys of `meta`: calls from rows that mark their number as shared, and calls from other rows.
const SHARED: &str = "called:shared:";
const OWN: &str = "called:own:";

/// The beginning of both kinds of keys; the key of the number follows the last colon.
pub const PREFIX: &str = "called:";

/// The known calls of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NumberFlags {
    pub welcome: bool,
    /// The latest local date of a daily call.
    pub last_date: Option<NaiveDate>,
}

/// Adds to the known calls of a number; removes nothing.
pub fn keep(
    tx: &Transaction<'_>,
    phone_key: &str,
    shared: bool,
    known: NumberFlags,
) -> anyhow::Result<()> {
    if known == NumberFlags::default() {
        return Ok(());
    }
    let key = key(phone_key, shared);
    let before = read(tx, &key)?;
    let welcome = before.welcome || known.welcome;
    let after = NumberFlags { welcome, last_date: before.last_date.max(known.last_date) };
    if after == before {
        return Ok(());
    }
    meta::set(tx, &key, &serde_json::to_string(&after)?)
}

/// Whether a row that has left this number had a call of this occasion. `shared`: the asking row
/// says that the number is shared, so only rows that did not say so count.
pub fn is_called(
    conn: &Connection,
    phone_key: &str,
    shared: bool,
    call_type: CallType,
    occasion: &str,
) -> anyhow::Result<bool> {
    let mut kinds = vec![false];
    if !shared {
        kinds.push(true);
    }
    for kind in kinds {
        let known = read(conn, &key(phone_key, kind))?;
        let called = match call_type {
            CallType::Welcome => known.welcome,
            // An occasion that is not a date is blocked by any date.
            CallType::Daily => {
                known.last_date.is_some() && occasion.parse().ok() <= known.last_date
            }
            CallType::Extra => false,
        };
        if called {
            return Ok(true);
        }
    }
    Ok(false)
}

fn key(phone_key: &str, shared: bool) -> String {
    format!("{}{phone_key}", if shared { SHARED } else { OWN })
}

fn read(conn: &Connection, key: &str) -> anyhow::Result<NumberFlags> {
    match meta::get(conn, key)? {
        // The number may have been called, so nobody with the number is.
        Some(text) => serde_json::from_str(&text).map_err(|_| Unreadable(meta::odd(key)).into()),
        None => Ok(NumberFlags::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_instant;
    use crate::store::Store;

    #[test]
    fn a_number_keeps_every_call_and_the_latest_date() {
        let store = Store::in_memory(parse_instant("2026-02-02T12:00:00Z").unwrap()).unwrap();
        let on = |date: &str| NumberFlags { welcome: false, last_date: date.parse().ok() };
        let welcome = NumberFlags { welcome: true, last_date: None };
        store
            .write(|tx| {
                for known in [on("2026-02-02"), welcome, on("2026-02-01")] {
                    keep(tx, "k", false, known)?;
                }
                keep(tx, "s", true, welcome)
            })
            .unwrap();
        let ask = |key: &str, shared: bool, call_type: CallType, occasion: &str| {
            store.read(|conn| is_called(conn, key, shared, call_type, occasion)).unwrap()
        };
        for shared in [false, true] {
            assert!(ask("k", shared, CallType::Welcome, "welcome"));
            assert!(ask("k", shared, CallType::Daily, "2026-02-02"));
            assert!(!ask("k", shared, CallType::Daily, "2026-02-03"));
            assert_eq!(ask("s", shared, CallType::Welcome, "welcome"), !shared);
            assert!(!ask("s", shared, CallType::Daily, "2026-02-02"));
            assert!(!ask("nobody", shared, CallType::Welcome, "welcome"));
        }
        assert!(!ask("k", false, CallType::Extra, "extra:1"));
    }
}
