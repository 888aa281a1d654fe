//! One complete listing of the provider's records.

use std::collections::BTreeSet;

use chrono::Duration;

use crate::domain::Instant;
use crate::domain::start::Asking;
use crate::provider::Listing;

/// How far before an intent its call is searched for, because the provider's clock may differ.
pub const MARGIN: Duration = Duration::minutes(15);

/// One complete listing, with the facts needed to judge it.
#[derive(Clone, Debug)]
pub struct ListAnswer {
    pub listing: Listing,
    pub asking: Asking,
    /// Calls created from here on are in the listing.
    pub from: Instant,
    /// Where the provider's records begin.
    pub oldest: Instant,
    /// The records are known up to here; `None`: this file was never reconciled.
    pub(crate) last_good: Option<Instant>,
    /// The listing reaches back to every unexplained attempt, as it does once a day.
    pub(crate) reads_back: bool,
    pub(crate) created: Instant,
    /// Our highest number before this listing is loaded.
    pub(crate) highest_seq: i64,
    /// The listing shows a call of ours with a higher number.
    pub(crate) shows_later: bool,
    pub(crate) left_dialing: usize,
    /// Marks of the unreadable rows that no person has accepted.
    pub unread: BTreeSet<String>,
    /// The listing's account is the one of our calls, or this file has no call that could show it.
    pub account_shown: bool,
}

impl ListAnswer {
    /// The provider's date, if its answer had one.
    pub fn date(&self) -> Option<Instant> {
        self.listing.date
    }
}
