//! The types, states and reasons of calls, and which state may follow which.

use chrono::NaiveDate;

use crate::domain::text_enum;

text_enum! {
    /// The kind of call of an item or attempt.
    pub enum CallType {
        /// Once ever, after sign-up.
        Welcome = "welcome",
        /// Once per customer-local date.
        Daily = "daily",
        /// Requested by a person with a reason; each request is its own occasion.
        Extra = "extra",
    }
}

impl CallType {
    /// The letter before the attempt's id in the tags that are sent to the provider.
    pub fn tag_letter(self) -> char {
        match self {
            CallType::Welcome => 'w',
            CallType::Daily => 'd',
            CallType::Extra => 'x',
        }
    }
}

text_enum! {
    /// The status of a queue item.
    pub enum ItemStatus {
        /// Waits for its instant, or for the cause in `reason`.
        Pending = "pending",
        /// Waits for another attempt: a machine failed, or nobody answered.
        Retrying = "retrying",
        /// One of its attempts is `dialing`.
        Processing = "processing",
        /// An attempt was placed, or the occasion was found already called.
        Completed = "completed",
        /// Given up, or in doubt; `reason` says which.
        Failed = "failed",
        /// Never dialed; `reason` says why.
        Skipped = "skipped",
    }
}

impl ItemStatus {
    /// Whether the item is one of the at most one open items of its customer and type.
    pub fn is_active(self) -> bool {
        matches!(self, ItemStatus::Pending | ItemStatus::Retrying | ItemStatus::Processing)
    }
}

text_enum! {
    /// The state of an attempt. Each state shows whether a phone may have rung.
    pub enum AttemptState {
        /// The intent is committed. A phone may ring from this moment on.
        Dialing = "dialing",
        /// The provider's answer was lost. Only evidence or a person ends this state.
        InDoubt = "in_doubt",
        /// The provider accepted the call. It is followed to its end.
        Placed = "placed",
        /// The call is over; the disposition says how.
        Ended = "ended",
        /// Proven that no phone rang.
        NotPlaced = "not_placed",
    }
}

impl AttemptState {
    /// Whether the attempt blocks every other attempt of its occasion.
    pub fn is_live(self) -> bool {
        matches!(self, AttemptState::Dialing | AttemptState::InDoubt | AttemptState::Placed)
    }
}

text_enum! {
    /// Our small class of how a call ended.
    pub enum Disposition {
        Answered = "answered",
        Voicemail = "voicemail",
        NoAnswer = "no_answer",
        Busy = "busy",
        BadNumber = "bad_number",
        /// The provider accepted the call and proved that it never dialed.
        NeverDialed = "never_dialed",
        Failed = "failed",
        /// A reason that is not in the table. Never permits a retry.
        Unknown = "unknown",
    }
}

text_enum! {
    /// Why an item was skipped, failed, or waits. The closed list of `call_queue.reason`.
    pub enum Reason {
        AlreadyCalled = "already_called",
        NotEligible = "not_eligible",
        InvalidPhone = "invalid_phone",
        DoNotCall = "do_not_call",
        Paused = "paused",
        NoConsent = "no_consent",
        SamePhone = "same_phone",
        MinGap = "min_gap",
        Cap = "cap",
        Holiday = "holiday",
        OutsideWindow = "outside_window",
        TooLate = "too_late",
        CustomerGone = "customer_gone",
        Cancelled = "cancelled",
        Refused = "refused",
        AttemptsUsed = "attempts_used",
        InDoubt = "in_doubt",
        NoLine = "no_line",
        Breaker = "breaker",
        Held = "held",
    }
}

/// The text of the dedup key for a welcome call.
pub const WELCOME_OCCASION: &str = "welcome";

/// The key of an extra call that whoever asked for it chose. `None`: another call, or one whose key
/// is a random UUID of our own.
pub fn extra_key(occasion: &str) -> Option<&str> {
    let key = occasion.strip_prefix("extra:")?;
    let parts: Vec<&str> = key.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_uuid =
        parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(is_hex);
    (!is_uuid).then_some(key)
}

/// The occasion of a daily call: the customer-local date of its scheduled instant.
pub fn daily_occasion(date: NaiveDate) -> String {
    date.format("%Y-%m-%d").to_string()
}

impl Reason {
    /// Whether a wait for this reason ends at a known instant. All other waits end when somebody or
    /// something changes, and the item is only looked at again.
    pub fn ends_by_time(self) -> bool {
        matches!(self, Reason::OutsideWindow | Reason::Holiday | Reason::MinGap | Reason::Cap)
    }

    /// The words before the instant of a wait: `until` only if the wait ends then.
    pub fn before_instant(waits_for: Option<Reason>) -> &'static str {
        match waits_for {
            Some(reason) if !reason.ends_by_time() => "looked at again at",
            _ => "until",
        }
    }
}
