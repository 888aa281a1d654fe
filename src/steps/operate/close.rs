//! Closes a placed call that does not end, by a person's decision. It frees the line at once and
//! permits no other call. If the provider reports the end later, it attaches.

use crate::domain::call::AttemptState;
use crate::steps::operate::{ActRefused, check_reason, note};
use crate::store::Tx;
use crate::store::attempts::{Attempt, unended};
use crate::store::journal::{Act, By};
use crate::store::transaction::Moved;

/// Ends a placed attempt as `unknown`.
pub fn close(tx: &Tx<'_>, attempt: &Attempt, act: Act<'_>) -> anyhow::Result<()> {
    let Act { who, why, now } = act;
    check_reason(why)?;
    if attempt.state != AttemptState::Placed
        || unended::close(tx, attempt, why, By { who, now })? == Moved::No
    {
        let (id, state) = (attempt.id.clone(), attempt.state);
        return Err(ActRefused::NotPlaced { id, state }.into());
    }
    note(tx, "close", &format!("attempt:{}", attempt.id), (Some("placed"), Some("ended")), act)
}
