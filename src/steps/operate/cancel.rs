//! Lets a person cancel one waiting call. Its occasion ends, and the next one stays. Items that do
//! not wait are refused.

use anyhow::bail;

use crate::domain::call::{ItemStatus, Reason};
use crate::steps::Context;
use crate::steps::occasions::finish;
use crate::store::journal::Act;
use crate::store::queue::transitions::{Change, WAITING};
use crate::store::queue::{self, Item};
use crate::store::transaction::Moved;
use crate::store::{Tx, journal};

/// Why an item cannot be cancelled, in one line.
#[derive(Debug, thiserror::Error)]
pub enum CancelRefused {
    #[error("there is no item {0}; `ringonce queue list` shows them")]
    Unknown(i64),
    #[error("item {id} is {status}: only a waiting call can be cancelled")]
    NotWaiting { id: i64, status: ItemStatus },
}

/// Skips a waiting item permanently. The error is a [`CancelRefused`], or one of the database.
pub fn cancel(cx: &Context, tx: &Tx<'_>, id: i64, act: Act<'_>) -> anyhow::Result<Item> {
    let Act { who, why, now } = act;
    let Some(item) = queue::item(tx, id)? else { return Err(CancelRefused::Unknown(id).into()) };
    if !WAITING.contains(&item.status) {
        return Err(CancelRefused::NotWaiting { id, status: item.status }.into());
    }
    let change = Change {
        error_message: Some(why),
        ..Change::because(ItemStatus::Skipped, Reason::Cancelled)
    };
    if finish::item(cx, tx, &item, &WAITING, &change, act.by())? == Moved::No {
        bail!("another process claimed item {id}; try again");
    }
    let subject = format!("item:{id}");
    let (new, why) = (Some("cancelled"), Some(why));
    let entry =
        journal::Entry { who, what: "cancel", subject: &subject, new, why, ..Default::default() };
    journal::add(tx, now, entry)?;
    Ok(item)
}
