//! Whether the provider answers. The file keeps the failures in a row, so that every view and a
//! restarted process know them.

use chrono::Duration;

use crate::domain::{Instant, instant_text, parse_instant};
use crate::steps::Context;
use crate::store::meta::unreached::{Unreached, forget_unreached, set_unreached, unreached};
use crate::store::{Conn, Tx};

/// Failures in a row from which the provider counts as unreachable. One may be a short outage.
const FAILURES: u32 = 2;
/// Failed POSTs within this time count once: they may have had one short cause.
const ONE_CAUSE: Duration = Duration::minutes(1);
/// POSTs that failed longer ago do not count while the list is answered.
const REMEMBERED: Duration = Duration::hours(1);

/// A request to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Post,
    List,
}

/// Notes that the provider answered. An answered list shows that an outage is over only if the list
/// failed in it: the POSTs alone may fail.
pub fn answered(tx: &Tx<'_>, request: Request) -> anyhow::Result<()> {
    match unreached(tx)? {
        None => Ok(()),
        Some(known) if request == Request::Post || known.lists > 0 => forget_unreached(tx),
        Some(known) if known.list_answers => Ok(()),
        Some(known) => set_unreached(tx, &Unreached { list_answers: true, ..known }),
    }
}

/// Notes that a request did not reach the provider.
pub fn failed(tx: &Tx<'_>, request: Request, why: &str, now: Instant) -> anyhow::Result<()> {
    let at = instant_text(now);
    let known = unreached(tx)?;
    let mut next = known.clone().unwrap_or_else(|| Unreached {
        since: at.clone(),
        last_at: at.clone(),
        why: String::new(),
        posts: 0,
        lists: 0,
        list_answers: false,
    });
    let is_same_cause =
        next.posts > 0 && parse_instant(&next.last_at).is_some_and(|last| now < last + ONE_CAUSE);
    match request {
        Request::Post if !is_same_cause => {
            (next.posts, next.last_at) = (next.posts.saturating_add(1), at);
        }
        // More failures prove no more, and each would be a write.
        Request::List if next.lists < FAILURES => (next.lists, next.last_at) = (next.lists + 1, at),
        _ => {}
    }
    (next.list_answers, next.why) = (false, why.to_string());
    if known.as_ref() == Some(&next) { Ok(()) } else { set_unreached(tx, &next) }
}

/// [`answered`] or [`failed`] for the list, in a transaction of its own if the file must change.
pub fn note_list(cx: &Context, failed_because: Option<&str>, now: Instant) -> anyhow::Result<()> {
    let is_known = cx.store.read(unreached)?.is_some();
    match failed_because {
        None if !is_known => Ok(()),
        None => cx.store.write(|tx| answered(tx, Request::List)),
        Some(why) => cx.store.write(|tx| failed(tx, Request::List, why, now)),
    }
}

/// Whether the list should be asked soon, because a failure was not checked yet.
pub fn wants_a_check(conn: &Conn) -> anyhow::Result<bool> {
    Ok(unreached(conn)?.is_some_and(|known| !known.list_answers))
}

/// The failures, if a call that falls due now would probably fail too.
pub fn unreachable(conn: &Conn, now: Instant) -> anyhow::Result<Option<Unreached>> {
    Ok(unreached(conn)?.filter(|known| is_unreachable(known, now)))
}

fn is_unreachable(known: &Unreached, now: Instant) -> bool {
    let is_recent = parse_instant(&known.last_at).is_some_and(|last| now < last + REMEMBERED);
    FAILURES <= known.posts.saturating_add(known.lists) && (!known.list_answers || is_recent)
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
