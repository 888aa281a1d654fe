//! cancel: a person takes one waiting call out of the queue. The occasion is over with it; the
//! next one stands. Refuses everything that is not waiting.

use anyhow::bail;

use crate::domain::Instant;
use crate::domain::call::{ItemStatus, Reason};
use crate::steps::{Context, next};
use crate::store::moves::{self, Change, WAITING};
use crate::store::queue::{self, Item, Moved};
use crate::store::{Tx, journal};

/// Why an item cannot be cancelled: one line.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is no item {0}; `ringonce queue list` shows them")]
    Unknown(i64),
    #[error("item {id} is {status}: only a waiting call can be cancelled")]
    NotWaiting { id: i64, status: ItemStatus },
}

/// Skips a waiting item for good. The error is a [`Refused`], or one of the database.
pub fn cancel(
    cx: &Context,
    tx: &Tx<'_>,
    id: i64,
    who: &str,
    why: &str,
    now: Instant,
) -> anyhow::Result<Item> {
    let Some(item) = queue::item(tx, id)? else { return Err(Refused::Unknown(id).into()) };
    if !WAITING.contains(&item.status) {
        return Err(Refused::NotWaiting { id, status: item.status }.into());
    }
    let change = Change {
        error_message: Some(why),
        ..Change::because(ItemStatus::Skipped, Reason::Cancelled)
    };
    if moves::item(tx, &item, &WAITING, &change, who, now)? == Moved::No {
        bail!("item {id} was taken up meanwhile");
    }
    let subject = format!("item:{id}");
    let (new, why) = (Some("cancelled"), Some(why));
    let entry =
        journal::Entry { who, what: "cancel", subject: &subject, new, why, ..Default::default() };
    journal::add(tx, now, entry)?;
    next::advance(cx, tx, item.call_type, item.customer_id, now)?;
    Ok(item)
}
