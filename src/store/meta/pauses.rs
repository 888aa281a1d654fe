//! Pauses by a person: of everything, a call type, a customer or a number.

use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use crate::domain::call::CallType;
use crate::store::meta::{get, odd, prefixed, remove, set};
use crate::store::quarantine::notice;

const PREFIX: &str = "pause:";
/// The scope of the pause of welcome calls. `queue::WELCOME_IS_OVER` names its key.
const WELCOME_PAUSE: &str = "type:welcome";

/// A pause by a person, of everything or of a part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    pub who: String,
    pub why: String,
    pub since: String,
    /// An import paused the customer, because its file lacked them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_missing: bool,
}

/// The scope of a customer's own pause.
pub fn of_customer(customer_key: &str) -> String {
    format!("customer:{customer_key}")
}

/// The scope of a number's pause.
pub fn of_number(phone_key: &str) -> String {
    format!("number:{phone_key}")
}

/// The pause of one scope.
pub fn pause_of(conn: &Connection, scope: &str) -> anyhow::Result<Option<Pause>> {
    let key = format!("{PREFIX}{scope}");
    let read = |text: String| {
        serde_json::from_str(&text).unwrap_or_else(|_| {
            notice(odd(&key));
            unreadable()
        })
    };
    Ok(get(conn, &key)?.map(read))
}

/// A pause that cannot be read still pauses.
fn unreadable() -> Pause {
    Pause {
        who: "nobody known".to_string(),
        why: "the stored pause cannot be read; run `ringonce check`".to_string(),
        ..Pause::default()
    }
}

/// Every pause with its scope: `all`, `type:daily`, `customer:KEY`, `number:PHONE_KEY`.
///
/// A pause that cannot be read still pauses its scope. One whose scope is not known may concern
/// anybody, so it pauses all calls.
pub fn pauses(conn: &Connection) -> anyhow::Result<Vec<(String, Pause)>> {
    let mut found = Vec::new();
    for (key, value) in prefixed(conn, PREFIX)? {
        let scope = key.trim_start_matches(PREFIX);
        let read = serde_json::from_str(&value).ok();
        if read.is_some() && is_known(scope) {
            found.extend(read.map(|pause| (scope.to_string(), pause)));
            continue;
        }
        notice(odd(&key));
        let pause = read.unwrap_or_else(unreadable);
        let scope = if is_known(scope) { scope } else { "all" };
        found.push((scope.to_string(), pause));
    }
    Ok(found)
}

/// Notes that an import made this pause, because its file lacked the customer.
pub fn mark_as_missing(tx: &Transaction<'_>, scope: &str) -> anyhow::Result<()> {
    match pause_of(tx, scope)? {
        Some(pause) => set_pause(tx, scope, &Pause { as_missing: true, ..pause }),
        None => Ok(()),
    }
}

/// Whether the pause of this key can be read.
pub fn is_readable(key: &str, value: &str) -> bool {
    let scope = key.trim_start_matches(PREFIX);
    is_known(scope) && serde_json::from_str::<Pause>(value).is_ok()
}

fn is_known(scope: &str) -> bool {
    match scope.split_once(':') {
        None => scope == "all",
        Some(("type", call_type)) => CallType::parse(call_type).is_some(),
        Some((kind, whose)) => {
            let is_whole = !whose.is_empty() && !whose.contains(char::REPLACEMENT_CHARACTER);
            matches!(kind, "customer" | "number") && is_whole
        }
    }
}

/// The pause of welcome calls only. While it lasts, daily calls do not wait for the welcome call.
pub fn welcome_pause(conn: &Connection) -> anyhow::Result<Option<Pause>> {
    pause_of(conn, WELCOME_PAUSE)
}

pub fn set_pause(tx: &Transaction<'_>, scope: &str, pause: &Pause) -> anyhow::Result<()> {
    set(tx, &format!("pause:{scope}"), &serde_json::to_string(pause)?)
}

/// Lifts a pause; `true` if it existed.
pub fn lift_pause(tx: &Transaction<'_>, scope: &str) -> anyhow::Result<bool> {
    remove(tx, &format!("pause:{scope}"))
}
