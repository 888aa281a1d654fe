//! A listed call that cannot be loaded because a row of this file cannot be read. Only its customer
//! waits, unless the ledger does not have the call: then nothing else would block it later.

use crate::provider::ProviderCall;
use crate::steps::reconcile::call_tags;
use crate::store::Tx;
use crate::store::attempts::unresolved;
use crate::store::quarantine::{notice, odd_row_of};

/// How a call that could not be loaded is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// The ledger has the call, and its row keeps the occasion.
    NothingToLoad,
    /// The call belongs to a doubt, which blocks its occasion until the row can be read.
    LoadLater,
    /// Dialing is held.
    Hold,
}

pub fn treat(tx: &Tx<'_>, call: &ProviderCall, error: &anyhow::Error) -> anyhow::Result<Treatment> {
    let Some(row) = odd_row_of(error, None) else { return Ok(Treatment::Hold) };
    let tag = call.tags().find_map(call_tags::parse_tag);
    let treatment = if unresolved::has_call(tx, &call.id)? {
        Treatment::NothingToLoad
    } else if tag.is_some_and(|(_, id)| unresolved::has_attempt(tx, id).unwrap_or(false)) {
        Treatment::LoadLater
    } else {
        return Ok(Treatment::Hold);
    };
    notice(row);
    Ok(treatment)
}
