//! The faults of the provider, and how often they occur.

use chrono::Duration;

/// A fault of one POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPost {
    LostReply,
    UnreadReply,
    AcceptedWith500,
    RefusedWith500,
    Closed,
    Delayed,
    NeverSent,
    RefusedNumber,
    RefusedRequest,
    RateLimited,
    DailyLimit,
    Redirect,
    NeverDialed,
    AccountWide,
    UnknownEnd,
    WaitsInQueue,
    Twice,
}

pub const ON_POST: [OnPost; 17] = [
    OnPost::LostReply,
    OnPost::UnreadReply,
    OnPost::AcceptedWith500,
    OnPost::RefusedWith500,
    OnPost::Closed,
    OnPost::Delayed,
    OnPost::NeverSent,
    OnPost::RefusedNumber,
    OnPost::RefusedRequest,
    OnPost::RateLimited,
    OnPost::DailyLimit,
    OnPost::Redirect,
    OnPost::NeverDialed,
    OnPost::AccountWide,
    OnPost::UnknownEnd,
    OnPost::WaitsInQueue,
    OnPost::Twice,
];

/// The faults that the seed switched on. Shares are per thousand.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub on_post: Vec<OnPost>,
    pub post_share: usize,
    /// The longest delay of an acceptance.
    pub delay: Duration,
    pub lag: Duration,
    pub stale_share: usize,
    pub list_error_share: usize,
    pub unreadable_share: usize,
    pub other_org_share: usize,
    pub no_date_share: usize,
    pub get_error_share: usize,
    pub get_404: Duration,
    pub backwards_share: usize,
    pub strip_share: usize,
    /// Half of the stripped calls come back without any carrier.
    pub strip_all: bool,
    /// Metadata may be stripped too; only in lives without a restored file.
    pub strip_metadata: bool,
    /// Single calls are missing from complete lists that show later ones, for at most this long.
    pub hole: Duration,
    /// Two of three applied lists come from a replica that lacks single calls for hours.
    pub bad_replica: bool,
    /// The rows of single calls cannot be read for hours.
    pub garbled: bool,
    /// Single rows cannot be read for days.
    pub long_garbled: bool,
}

/// A fault of the whole provider that lasts for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spell {
    Fine,
    Unreachable,
    Fails,
    RefusesKey,
    /// It places calls and answers about a single call, but does not list calls.
    ListsNothing,
    /// Its clock is a day ahead.
    WrongDate,
}
