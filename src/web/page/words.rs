//! Plain words and colours for the states, reasons and dispositions.

use maud::Render;

use crate::domain::call::{AttemptState, Disposition, ItemStatus, Reason};
use crate::store::customers::people::{Order, Standing};

/// The meaning of a word. The page shows it as a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Calm,
    Warn,
    Bad,
    Dim,
}

/// The class of the style sheet.
impl Render for Tone {
    fn render_to(&self, html: &mut String) {
        html.push_str(match self {
            Tone::Good => "good",
            Tone::Calm => "calm",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
            Tone::Dim => "dim",
        });
    }
}

/// How things stand with customers, as a choice of a filter.
pub fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Reached => "reached",
        Standing::NotReached => "not reached",
        Standing::InDoubt => "in doubt",
        Standing::Paused => "paused",
        Standing::NeverCall => "never call",
        Standing::NotEligible => "not eligible (payment)",
        Standing::BadNumber => "the number is not valid",
        Standing::Stopped => "stopped",
    }
}

/// The order of a list of customers.
pub fn order(order: Order) -> &'static str {
    match order {
        Order::Added => "first added",
        Order::Newest => "last added",
        Order::Name => "name",
        Order::NextCall => "next call",
    }
}

/// Why an item was skipped, failed or waits.
pub fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::AlreadyCalled => "already called",
        Reason::NotEligible => "not eligible (payment or status)",
        Reason::InvalidPhone => "the number is not valid",
        Reason::DoNotCall => "on the do-not-call list",
        Reason::Paused => "paused",
        Reason::NoConsent => "no consent on record",
        Reason::SamePhone => "the same number had this call",
        Reason::MinGap => "too soon after another call",
        Reason::Cap => "the number has had its calls",
        Reason::Holiday => "a holiday there",
        Reason::OutsideWindow => "outside the calling hours there",
        Reason::TooLate => "too late",
        Reason::CustomerGone => "the customer is gone",
        Reason::Cancelled => "cancelled by a person",
        Reason::Refused => "refused by the provider",
        Reason::AttemptsUsed => "all attempts are used",
        Reason::InDoubt => "in doubt: the phone may have rung",
        Reason::NoLine => "all lines are in use",
        Reason::Breaker => "dialing stopped after refusals",
        Reason::Held => "dialing is held",
    }
}

/// The state of an item.
pub fn item(status: ItemStatus) -> (Tone, &'static str) {
    match status {
        ItemStatus::Pending => (Tone::Calm, "waiting"),
        ItemStatus::Retrying => (Tone::Warn, "to be tried again"),
        ItemStatus::Processing => (Tone::Calm, "dialing"),
        ItemStatus::Completed => (Tone::Good, "called"),
        ItemStatus::Failed => (Tone::Bad, "failed"),
        ItemStatus::Skipped => (Tone::Dim, "skipped"),
    }
}

/// The state of an attempt, or how it ended.
pub fn attempt(state: AttemptState, disposition: Option<Disposition>) -> (Tone, &'static str) {
    match (state, disposition) {
        (AttemptState::Ended, Some(disposition)) => ended(disposition),
        (AttemptState::Ended, None) => (Tone::Dim, "ended"),
        (AttemptState::Dialing, _) => (Tone::Calm, "dialing"),
        (AttemptState::Placed, _) => (Tone::Calm, "on the line"),
        (AttemptState::InDoubt, _) => (Tone::Bad, "in doubt"),
        (AttemptState::NotPlaced, _) => (Tone::Dim, "never rang"),
    }
}

/// The provider's ended reason in words; `None` for one that says no more than the disposition.
pub fn ended_reason(text: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 12] = [
        ("customer-ended-call", "the customer hung up"),
        ("customer-did-not-answer", "nobody answered"),
        ("customer-busy", "the line was busy"),
        ("assistant-ended-call", "the assistant ended the call"),
        ("assistant-said-end-call-phrase", "the assistant said goodbye"),
        ("assistant-forwarded-call", "the assistant forwarded the call"),
        ("silence-timed-out", "nobody spoke"),
        ("exceeded-max-duration", "the call reached its longest length"),
        ("voicemail", "a voicemail answered"),
        ("twilio-failed-to-connect-call", "the line could not be connected"),
        ("vonage-failed-to-connect-call", "the line could not be connected"),
        ("sip-outbound-unallocated-number", "nobody has this number"),
    ];
    let known = KNOWN.iter().find(|(reason, _)| text.starts_with(reason)).map(|(_, words)| *words);
    let part = |part: &str, words: &'static str| text.contains(part).then_some(words);
    known
        .or_else(|| part("pipeline-error", "the assistant or its voice failed"))
        .or_else(|| part("error", "the provider had an error"))
}

fn ended(disposition: Disposition) -> (Tone, &'static str) {
    match disposition {
        Disposition::Answered => (Tone::Good, "answered"),
        Disposition::Voicemail => (Tone::Warn, "voicemail"),
        Disposition::NoAnswer => (Tone::Warn, "no answer"),
        Disposition::Busy => (Tone::Warn, "busy"),
        Disposition::BadNumber => (Tone::Bad, "bad number"),
        Disposition::NeverDialed => (Tone::Bad, "never dialed"),
        Disposition::Failed => (Tone::Bad, "failed"),
        Disposition::Unknown => (Tone::Bad, "unknown ending"),
    }
}
