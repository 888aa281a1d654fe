//! The result of an audit.

use serde::Serialize;

use crate::store::views::audit::Size;

/// A fault that the audit found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditFinding {
    /// `None`: a customer who is not in the file.
    pub customer: Option<i64>,
    pub call_type: String,
    pub occasion: String,
    /// The attempt that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// Findings of one cause have one remedy, and are printed as one line.
    pub cause: Cause,
    /// One line; holds no phone number.
    pub what: String,
}

/// What findings share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// More calls than an occasion may have.
    SecondCall,
    /// A row cannot be read.
    Unreadable,
    /// An occasion fell due and has no result.
    NoResult,
    /// An item is open after its last permitted instant.
    OpenItem,
    /// An item without a last instant waits, and no scan has looked at it.
    WaitingItem,
    /// A call was placed, and the customer's flag or date does not say so.
    NotMarked,
    /// An item is processing without a call.
    NoCallUnderWay,
    /// A completed item has no call in the ledger.
    NoCallInLedger,
    /// An item ended without a call, and a call of it was answered.
    AnsweredAllTheSame,
    /// An item failed without a reason.
    NoReason,
    /// The provider has a call that the file does not know, or knows as not placed.
    UnknownHere,
    /// The provider has no record of a placed call.
    UnknownThere,
}

/// The findings of an audit, and the data that it covers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AuditReport {
    /// Calls beyond the permitted ones.
    pub duplicates: Vec<AuditFinding>,
    /// Due occasions without an outcome, and outcomes without evidence.
    pub gaps: Vec<AuditFinding>,
    pub looked_at: Size,
    /// Occasions that the audit found due and that have an outcome.
    pub ended: u64,
    /// The part of `ended` with a call in the ledger.
    pub called: u64,
    /// Due occasions whose outcome the next scan writes.
    pub wait_for_scan: u64,
    pub last_scan: Option<String>,
    /// Calls that this ledger did not make, to customers of this file.
    pub elsewhere: Vec<ElsewhereFinding>,
    /// How many of the provider's calls were compared. `None`: the list was not read.
    pub provider_calls: Option<usize>,
    /// Calls of the ledger that the list lacks. `None`: it has them all, or was not read.
    pub list_lacks: Option<Lacks>,
}

impl AuditReport {
    pub fn is_clean(&self) -> bool {
        self.duplicates.is_empty() && self.gaps.is_empty()
    }
}

/// Calls of the ledger that the provider's list lacks. They are fetched one by one, because a list
/// may have gaps.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Lacks {
    pub calls: usize,
    /// Calls that the provider finds by id.
    pub known_by_id: usize,
    /// Calls that are not found by id either, but are not gaps: older than the list, or too young.
    pub unknown: usize,
    /// Each of the calls.
    pub named: Vec<AuditFinding>,
}

impl Lacks {
    /// The counts as one line of text.
    pub fn told(&self) -> String {
        let mut told = format!("the list lacks {} calls of the ledger", self.calls);
        if self.known_by_id > 0 {
            let known = self.known_by_id;
            told += &format!("; {known} of them are known by id, so the list is not evidence");
        }
        if self.unknown > 0 {
            let unknown = self.unknown;
            told += &format!(
                "; {unknown} are not known by id either, but are too young to be missed, or the key \
                 is another account's, or its records begin later: look again in two hours"
            );
        }
        told
    }
}

/// A call made elsewhere, as an audit reports it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ElsewhereFinding {
    pub call_id: String,
    pub at: String,
    /// The customers whom it may have called.
    pub customers: Vec<i64>,
    /// Its number does not exclude anybody.
    pub anybody: bool,
    pub ignored: bool,
}
