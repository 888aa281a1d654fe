//! Why dialing did not begin at the last start, stored for later commands.

use serde::{Deserialize, Serialize};

use crate::domain::{Instant, instant_text};
use crate::steps::Context;
use crate::steps::readiness::armed::not_armed;
use crate::store::journal::{self, Entry};
use crate::store::{Conn, Tx, meta};

/// The key of the stored reason.
const NOT_DIALING: &str = "not_dialing";

/// Why dialing did not begin at the last start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotDialing {
    pub why: String,
    /// When a start first failed to begin dialing, after the last one that succeeded.
    pub since: String,
}

/// Why dialing has not begun; `None` if the last start began it.
pub fn not_dialing(conn: &Conn) -> anyhow::Result<Option<NotDialing>> {
    let unreadable =
        || NotDialing { why: "the stored reason cannot be read".to_string(), since: String::new() };
    let read = |text: String| serde_json::from_str(&text).unwrap_or_else(|_| unreadable());
    Ok(meta::get(conn, NOT_DIALING)?.map(read))
}

/// Stores and journals why a start did not begin dialing; `None`: it did. Writes only changes, and
/// no reason into a file that may not dial.
pub fn note_opening(cx: &Context, why: Option<&str>, now: Instant) -> anyhow::Result<()> {
    let known = cx.store.read(not_dialing)?;
    match (why, known) {
        (None, None) => Ok(()),
        (None, Some(known)) => cx.store.write(|tx| {
            meta::remove(tx, NOT_DIALING)?;
            note(tx, (Some(&known.why), None), now)
        }),
        (Some(why), Some(known)) if known.why == why => Ok(()),
        (Some(_), _) if not_armed(cx)?.is_some() => Ok(()),
        (Some(why), known) => {
            let since = known.as_ref().map_or_else(|| instant_text(now), |told| told.since.clone());
            let text = serde_json::to_string(&NotDialing { why: why.to_string(), since })?;
            let old = known.as_ref().map(|known| known.why.as_str());
            cx.store.write(|tx| {
                meta::set(tx, NOT_DIALING, &text)?;
                note(tx, (old, Some(why)), now)
            })
        }
    }
}

fn note(tx: &Tx<'_>, (old, new): (Option<&str>, Option<&str>), now: Instant) -> anyhow::Result<()> {
    let (who, what, subject) = ("start", "start", "dialing:start");
    journal::add(tx, now, Entry { who, what, subject, old, new, why: None })
}
