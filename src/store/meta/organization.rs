//! The organization id that the provider's records show.

use rusqlite::{Connection, Transaction};

use crate::store::meta::{get, remove, set};

/// The id of the provider's account, stored with the first accepted call.
pub fn org_id(conn: &Connection) -> anyhow::Result<Option<String>> {
    get(conn, "org_id")
}

pub fn set_org_id(tx: &Transaction<'_>, org_id: &str) -> anyhow::Result<()> {
    set(tx, "org_id", org_id)
}

/// Forgets the account. A person accepted one whose id is still unknown, and the next accepted call
/// stores it.
pub fn forget_org_id(tx: &Transaction<'_>) -> anyhow::Result<()> {
    remove(tx, "org_id").map(drop)
}
