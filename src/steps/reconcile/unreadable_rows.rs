//! Finds rows of the provider's records that cannot be read. A start waits for them, unless a
//! person has accepted them.

use std::collections::BTreeSet;

use crate::provider::Listing;
use crate::store::{Conn, Tx, meta};

/// The key of the marks of accepted rows.
const ACCEPTED: &str = "accepted_unread";

/// The marks of the rows that nobody has accepted.
pub fn of(conn: &Conn, listing: &Listing) -> anyhow::Result<BTreeSet<String>> {
    let accepted = accepted(conn)?;
    Ok(listing.unreadable.difference(&accepted).cloned().collect())
}

/// Accepts rows that cannot be read, by a person's decision (`adopt --accept-unread`).
pub fn accept(tx: &Tx<'_>, unread: &BTreeSet<String>) -> anyhow::Result<()> {
    let mut accepted = accepted(tx)?;
    accepted.extend(unread.iter().cloned());
    meta::set(tx, ACCEPTED, &serde_json::to_string(&accepted)?)
}

fn accepted(conn: &Conn) -> anyhow::Result<BTreeSet<String>> {
    let text = meta::get(conn, ACCEPTED)?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default())
}
