//! Ends an occasion: its item reaches a final status, and the customer's next occasion is computed
//! in the same transaction. A call made elsewhere, a placed call and an erasure end items by rules
//! of their own.

use crate::domain::call::{ItemStatus, Reason};
use crate::steps::Context;
use crate::steps::occasions::next;
use crate::store::Tx;
use crate::store::journal::By;
use crate::store::queue::transitions::{self, Change};
use crate::store::queue::{self, Item, NewItem};
use crate::store::transaction::Moved;

/// Ends an item that is in one of the `from` statuses. `No`: it is in another status, and nothing
/// changes.
pub fn item(
    cx: &Context,
    tx: &Tx<'_>,
    item: &Item,
    from: &[ItemStatus],
    change: &Change<'_>,
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let moved = transitions::item(tx, item, from, change, by)?;
    if moved == Moved::Yes {
        next::advance(cx, tx, item.call_type, item.customer_id, by.now)?;
    }
    Ok(moved)
}

/// Gives an occasion that was never queued its one final row. `No`: the occasion has a row; the
/// next occasion is computed all the same.
pub fn unqueued(
    cx: &Context,
    tx: &Tx<'_>,
    new: &NewItem<'_>,
    (status, reason): (ItemStatus, Reason),
    by: By<'_>,
) -> anyhow::Result<Moved> {
    let inserted = queue::insert_settled(tx, new, status, reason, by.now)?;
    next::advance(cx, tx, new.call_type, new.customer_id, by.now)?;
    Ok(inserted)
}
