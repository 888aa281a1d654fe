//! Follows the pages of a listing until no call can be missing.
//!
//! The provider offers no cursor, no total and no promised order, only time bounds and a limit. A
//! listing is evidence of absence, so nothing is guessed. If the calls of one instant may be
//! incomplete, the instant counts as an unreadable row. If the instant is unknown, the whole
//! listing is an error.
//!
//! A page that is too large or too slow breaks off. Its rows count, and the rest is asked for in
//! smaller pages. After each long page the listing is kept, so that the next start goes on there.

pub(crate) mod row;
mod seen;
pub(crate) mod window;

use crate::domain::Instant;
use crate::provider::{ListKeeper, Listing, ReadError};
use crate::vapi::paging::row::Page;
use crate::vapi::paging::seen::Seen;
use crate::vapi::paging::window::Window;

/// Every call created at or after `since`. `read` reads one window; its error ends the listing.
pub(super) fn every_call(
    since: Instant,
    keeper: &ListKeeper<'_>,
    read: &mut dyn FnMut(&Window) -> Result<Page, ReadError>,
) -> Result<Listing, ReadError> {
    let (mut seen, resumed) = Seen::of(since, keeper);
    if let Some(newest) = resumed
        && !seen.goes_on(&newest, read)?
    {
        seen = Seen::new(since);
    }
    loop {
        while let Some(window) = seen.next() {
            seen.look_into(window, read)?;
            if seen.is_mixed() {
                seen = Seen::new(since);
                continue;
            }
            seen.keep(keeper);
        }
        if seen.is_complete(read)? {
            (keeper.forget)();
            return Ok(seen.listing());
        }
    }
}

#[cfg(test)]
#[path = "paging_tests.rs"]
mod tests;
