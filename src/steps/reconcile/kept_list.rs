//! Keeps an interrupted listing in the database, so that a start that is cut goes on where it was. A
//! failure to keep it only costs time: the next start reads the pages again.

use crate::domain::Instant;
use crate::provider::{ListKeeper, Listing, Provider, ProviderCall, ReadError};
use crate::store::Store;
use crate::store::meta::kept_list;

/// Every call since an instant, going on with the listing that an earlier start left.
pub fn list(store: &Store, provider: &dyn Provider, since: Instant) -> Result<Listing, ReadError> {
    let kept = || {
        store.read(kept_list::kept).unwrap_or_else(|error| {
            log::warn!("the provider's list is read from its beginning: {error:#}");
            None
        })
    };
    let keep = |calls: &[&ProviderCall], progress: &str| {
        if let Err(error) = store.write(|tx| kept_list::keep(tx, calls, progress)) {
            log::warn!("a start that is cut will read the provider's list again: {error:#}");
        }
    };
    let forget = || {
        let forgotten = store
            .read(kept_list::is_any)
            .and_then(|is_any| if is_any { store.write(kept_list::forget) } else { Ok(()) });
        if let Err(error) = forgotten {
            log::warn!("a part of the provider's list is kept for longer: {error:#}");
        }
    };
    provider.list_on(since, &ListKeeper { kept: &kept, keep: &keep, forget: &forget })
}
