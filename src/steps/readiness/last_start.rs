//! Why dialing did not begin at the last start, stored for later commands.

use serde::{Deserialize, Serialize};

use crate::domain::{Instant, instant_text};
use crate::steps::Context;
use crate::steps::readiness::armed::not_armed;
use crate::store::{Conn, meta};

/// The key of the stored reason.
pub(crate) const NOT_DIALING: &str = "not_dialing";

/// Why dialing did not begin at the last start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotDialing {
    pub why: String,
    /// When a start first failed to begin dialing, after the last one that succeeded.
    pub since: String,
}

/// Why dialing has not begun; `None` if the last start began it.
pub fn not_dialing(conn: &Conn) -> anyhow::Result<Option<NotDialing>> {
    Ok(meta::get(conn, NOT_DIALING)?.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// Stores why a start did not begin dialing; `None`: it did. Writes only changes, and no reason
/// into a file that may not dial.
pub fn note_opening(cx: &Context, why: Option<&str>, now: Instant) -> anyhow::Result<()> {
    let known = cx.store.read(not_dialing)?;
    match (why, known) {
        (None, None) => Ok(()),
        (None, Some(_)) => cx.store.write(|tx| meta::remove(tx, NOT_DIALING).map(drop)),
        (Some(why), Some(known)) if known.why == why => Ok(()),
        (Some(_), _) if not_armed(cx)?.is_some() => Ok(()),
        (Some(why), known) => {
            let since = known.map_or_else(|| instant_text(now), |known| known.since);
            let text = serde_json::to_string(&NotDialing { why: why.to_string(), since })?;
            cx.store.write(|tx| meta::set(tx, NOT_DIALING, &text))
        }
    }
}
