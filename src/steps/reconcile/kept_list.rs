//! Keeps an interrupted listing in the database, so that a start that is cut goes on where it was.

use crate::provider::{ListKeeper, ProviderCall};
use crate::store::{Store, kept_list};

/// A failure only costs time: the next start reads the pages again.
impl ListKeeper for Store {
    fn kept(&self) -> Option<(String, Vec<ProviderCall>)> {
        self.read(kept_list::kept).unwrap_or_else(|error| {
            log::warn!("the provider's list is read from its beginning: {error:#}");
            None
        })
    }

    fn keep(&self, calls: &[&ProviderCall], progress: &str) {
        if let Err(error) = self.write(|tx| kept_list::keep(tx, calls, progress)) {
            log::warn!("a start that is cut will read the provider's list again: {error:#}");
        }
    }

    fn forget(&self) {
        let forgotten = self
            .read(kept_list::is_any)
            .and_then(|is_any| if is_any { self.write(kept_list::forget) } else { Ok(()) });
        if let Err(error) = forgotten {
            log::warn!("a part of the provider's list is kept for longer: {error:#}");
        }
    }
}
