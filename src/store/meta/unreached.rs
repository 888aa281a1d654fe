//! The latest requests that did not reach the provider.

use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use crate::store::meta::{get, remove, set};

const KEY: &str = "unreached";

/// Requests in a row that the provider did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreached {
    /// When the first of them failed.
    pub since: String,
    /// When the last one that counted failed.
    pub last_at: String,
    /// The last failure, in one line.
    pub why: String,
    /// POSTs of which no byte was sent. Those of one minute count once.
    pub posts: u32,
    /// Readings of the provider's list.
    pub lists: u32,
    /// The list was read after the last failure.
    pub list_answers: bool,
}

/// `None`: the provider answered the last request.
pub fn unreached(conn: &Connection) -> anyhow::Result<Option<Unreached>> {
    Ok(get(conn, KEY)?.map(|text| serde_json::from_str(&text)).transpose()?)
}

pub fn set_unreached(tx: &Transaction<'_>, unreached: &Unreached) -> anyhow::Result<()> {
    set(tx, KEY, &serde_json::to_string(unreached)?)
}

pub fn forget_unreached(tx: &Transaction<'_>) -> anyhow::Result<()> {
    remove(tx, KEY).map(drop)
}
