//! unexplained: how far back the provider's records are read for calls that nobody knows yet.

use chrono::Duration;

use crate::domain::{Instant, parse_instant};
use crate::provider::Listing;
use crate::steps::account;
use crate::store::{Conn, Tx, doubts, meta};

/// When the records were last read back to the oldest doubt, however old.
pub const READ_BACK_AT: &str = "read_back_at";
/// A doubt that waits for a person widens the listing once in that time; a younger one always.
const READ_BACK_EVERY: Duration = Duration::hours(24);

/// The oldest attempt whose call is not known, or was ruled out and may still come to light, and
/// whether all of them count. Old ones are asked about once a day, because that reads many pages.
pub fn first(
    conn: &Conn,
    oldest: Instant,
    now: Instant,
) -> anyhow::Result<(Option<Instant>, bool)> {
    let read_back = meta::get(conn, READ_BACK_AT)?.and_then(|text| parse_instant(&text));
    if read_back.is_some_and(|at| at <= now && now - at < READ_BACK_EVERY) {
        let young = now - READ_BACK_EVERY;
        let open = doubts::oldest_unexplained(conn, Some(young))?;
        let ruled_out = doubts::oldest_ruled_out(conn, young)?;
        return Ok((open.into_iter().chain(ruled_out).min(), false));
    }
    let open = doubts::oldest_unexplained(conn, None)?;
    let ruled_out = doubts::oldest_ruled_out(conn, oldest)?;
    let given_up = doubts::oldest_given_up(conn, oldest)?;
    Ok((open.into_iter().chain(ruled_out).chain(given_up).min(), true))
}

/// Whose records were read as far as the provider keeps them, because another database may have called
/// before this one was made. Empty: no call told the account.
const READ_WHOLE_OF: &str = "read_whole_of";

/// Whether the records of this file's account were read whole. Before the first accepted call nothing
/// tells which account is its own, and the key may have been another one's.
pub fn is_read_whole(conn: &Conn) -> anyhow::Result<bool> {
    let ours = meta::org_id(conn)?;
    Ok(ours.is_some() && meta::get(conn, READ_WHOLE_OF)? == ours)
}

pub fn note_whole(tx: &Tx<'_>, listing: &Listing) -> anyhow::Result<()> {
    meta::set(tx, READ_WHOLE_OF, account::shown(listing).unwrap_or_default())
}
