//! One occasion of a customer, and what a tick would do with it.

use crate::domain::Instant;
use crate::domain::call::{CallType, Reason};
use crate::domain::gate::facts::Answer;

/// One occasion and its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub in_queue: InQueue,
    pub call_type: CallType,
    pub occasion: String,
    pub scheduled_for: Instant,
    pub expires_at: Option<Instant>,
    /// `None`: no attempt before this tick.
    pub tried: Option<Tried>,
    pub outcome: Outcome,
    /// Every rule's answer, in the order of precedence.
    pub answers: Vec<Answer>,
}

/// Whether the occasion has a queue item. An item that exists only in the copy has no id here,
/// because in the file that id is, or will be, another customer's item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InQueue {
    /// The item's id in the file.
    Item(i64),
    /// This tick queues the item.
    ByThisTick,
    No,
}

/// The attempts that an occasion has had.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    pub attempts: usize,
    /// The disposition of the last attempt, or its state if it has no disposition.
    pub last: String,
}

/// The effect of a tick on one occasion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The phone rings.
    Rings,
    /// Not now. A `reason` of `None` means that the due time has not come.
    Waits { reason: Option<Reason>, until: Option<Instant> },
    /// The occasion ends without a call.
    Skipped(Reason),
    /// The occasion ends, because a phone rang for it or may have rung.
    AlreadyCalled,
    /// An attempt is under way.
    InFlight,
}

/// What became of a date's call.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub verdict: &'static str,
    pub reason: Option<Reason>,
    pub detail: Option<String>,
}
