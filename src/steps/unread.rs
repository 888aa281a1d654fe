//! unread: which rows of the provider's records cannot be read, and were accepted by a person. They
//! keep no start waiting; any other one does.

use std::collections::BTreeSet;

use crate::provider::Listing;
use crate::store::{Conn, Tx, meta};

/// Where the marks of accepted rows are kept.
const ACCEPTED: &str = "accepted_unread";

/// The marks of the rows that nobody has accepted.
pub fn of(conn: &Conn, listing: &Listing) -> anyhow::Result<BTreeSet<String>> {
    let accepted = accepted(conn)?;
    Ok(listing.unreadable.difference(&accepted).cloned().collect())
}

/// A person accepts that these rows cannot be read (`adopt --accept-unread`).
pub fn accept(tx: &Tx<'_>, unread: &BTreeSet<String>) -> anyhow::Result<()> {
    let mut accepted = accepted(tx)?;
    accepted.extend(unread.iter().cloned());
    meta::set(tx, ACCEPTED, &serde_json::to_string(&accepted)?)
}

fn accepted(conn: &Conn) -> anyhow::Result<BTreeSet<String>> {
    let text = meta::get(conn, ACCEPTED)?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default())
}
