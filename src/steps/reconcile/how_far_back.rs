//! Decides how far back the provider's records are read for calls that are not known yet.

use chrono::Duration;

use crate::domain::start::Asking;
use crate::domain::{Instant, parse_instant};
use crate::provider::Listing;
use crate::steps::Context;
use crate::steps::readiness::restart;
use crate::steps::reconcile::account;
use crate::steps::reconcile::listing::MARGIN;
use crate::store::attempts::{unlisted, unresolved};
use crate::store::meta::marks::{self, Mark};
use crate::store::meta::{self, organization, sequence};
use crate::store::{Conn, Tx};

/// The key of when the records were last read back to the oldest doubt of any age.
pub const READ_BACK_AT: &str = "read_back_at";
/// How often a doubt that waits for a person widens the listing. A younger doubt always does.
const READ_BACK_EVERY: Duration = Duration::hours(24);

/// The oldest attempt whose call is unknown, or was ruled out but may still appear, and whether all
/// ages count. Old attempts count once a day, because that reads many pages.
pub fn first(
    conn: &Conn,
    oldest: Instant,
    now: Instant,
) -> anyhow::Result<(Option<Instant>, bool)> {
    let read_back = meta::get(conn, READ_BACK_AT)?.and_then(|text| parse_instant(&text));
    if read_back.is_some_and(|at| at <= now && now - at < READ_BACK_EVERY) {
        let young = now - READ_BACK_EVERY;
        let open = unresolved::oldest_unexplained(conn, Some(young))?;
        let ruled_out = unresolved::oldest_ruled_out(conn, young)?;
        let not_listed = unlisted::oldest(conn, young)?;
        return Ok((open.into_iter().chain(ruled_out).chain(not_listed).min(), false));
    }
    let open = unresolved::oldest_unexplained(conn, None)?;
    let ruled_out = unresolved::oldest_ruled_out(conn, oldest)?;
    let given_up = unresolved::oldest_given_up(conn, oldest)?;
    let not_listed = unlisted::oldest(conn, oldest)?;
    let all = open.into_iter().chain(ruled_out).chain(given_up).chain(not_listed);
    Ok((all.min(), true))
}

/// The key of the account whose records were read completely, because another database may have
/// called before this one was created. Empty: no call named the account.
const READ_WHOLE_OF: &str = "read_whole_of";

/// Whether this file's account was read completely. Before the first accepted call the account is
/// unknown, and the key may have been another account's.
pub fn is_read_whole(conn: &Conn) -> anyhow::Result<bool> {
    let ours = organization::org_id(conn)?;
    Ok(ours.is_some() && meta::get(conn, READ_WHOLE_OF)? == ours)
}

pub fn note_whole(tx: &Tx<'_>, listing: &Listing) -> anyhow::Result<()> {
    meta::set(tx, READ_WHOLE_OF, account::shown(listing).unwrap_or_default())
}

/// How far back the next listing has to reach.
pub(crate) struct Reach {
    /// The provider's records begin here.
    pub(crate) oldest: Instant,
    pub(crate) last_good: Option<Instant>,
    pub(crate) created: Instant,
    /// The records are known up to here.
    pub(crate) known_until: Instant,
    /// The first instant that the listing must cover besides what is not known yet.
    pub(crate) first: Option<Instant>,
    /// `first` covers every unexplained attempt.
    pub(crate) reads_back: bool,
    pub(crate) read_whole: bool,
    pub(crate) highest_seq: i64,
}

impl Reach {
    pub(crate) fn back_to(&self, first: Option<Instant>) -> Instant {
        let from = first.map_or(self.known_until, |first| first.min(self.known_until));
        (from - MARGIN).max(self.oldest)
    }
}

pub(crate) fn reach(
    cx: &Context,
    asking: Asking,
    oldest: Instant,
    now: Instant,
) -> anyhow::Result<Reach> {
    cx.store.read(|conn| {
        let last_good = marks::mark(conn, Mark::LastReconciled)?;
        let created = marks::mark(conn, Mark::Created)?.unwrap_or(now);
        let (first_open, reads_back) = first(conn, oldest, now)?;
        let last_call = match asking {
            Asking::Start(_) => restart::asks_since(conn, oldest, now)?,
            Asking::Beside { .. } => None,
        };
        let known_until = match last_good {
            // A wrong clock wrote a future mark, so nothing counts as known.
            Some(at) if now < at => oldest,
            Some(at) => at,
            None => created.min(now),
        };
        Ok(Reach {
            oldest,
            last_good,
            created,
            known_until,
            first: first_open.into_iter().chain(last_call).min(),
            reads_back,
            read_whole: is_read_whole(conn)?,
            highest_seq: sequence::highest_seq(conn)?,
        })
    })
}
