//! Pauses by a person: of everything, a call type, a customer or a number.

use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use crate::store::meta::{get, prefixed, remove, set};

/// The key of the pause of welcome calls. `queue::WELCOME_IS_OVER` names it too.
const WELCOME_PAUSE: &str = "pause:type:welcome";

/// A pause by a person, of everything or of a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    pub who: String,
    pub why: String,
    pub since: String,
}

/// Every pause with its scope: `all`, `type:daily`, `customer:KEY`, `number:PHONE_KEY`.
pub fn pauses(conn: &Connection) -> anyhow::Result<Vec<(String, Pause)>> {
    let rows = prefixed(conn, "pause:")?;
    rows.into_iter()
        .map(|(key, value)| {
            let scope = key.trim_start_matches("pause:").to_string();
            Ok((scope, serde_json::from_str(&value)?))
        })
        .collect()
}

/// The pause of welcome calls only. While it lasts, daily calls do not wait for the welcome call.
pub fn welcome_pause(conn: &Connection) -> anyhow::Result<Option<Pause>> {
    let text = get(conn, WELCOME_PAUSE)?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

pub fn set_pause(tx: &Transaction<'_>, scope: &str, pause: &Pause) -> anyhow::Result<()> {
    set(tx, &format!("pause:{scope}"), &serde_json::to_string(pause)?)
}

/// Lifts a pause; `true` if it existed.
pub fn lift_pause(tx: &Transaction<'_>, scope: &str) -> anyhow::Result<bool> {
    remove(tx, &format!("pause:{scope}"))
}
