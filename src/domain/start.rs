//! Decides whether a start may dial. Its findings are evidence; the answer is open, or shut with a
//! typed reason. Also used beside a running dialer, before the provider's list is loaded.

use chrono::Duration;

use crate::domain::{Instant, instant_text};

/// The provider's list may lack a younger call, so its absence from the list proves nothing.
pub const VISIBLE_AFTER: Duration = Duration::minutes(15);

/// How this machine's clock compares with the provider's and with what the file has seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Clocks {
    Agree,
    /// The machine was rebooted, and no other clock has been read since.
    Unproven,
    /// Dialing is held, for this reason.
    Disagree(String),
}

/// The acceptance of a person. `adopt` accepts a gap in the records, another account and a database
/// that never dialed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Acceptance {
    Nothing,
    Adoption {
        /// `--accept-unread`: records that cannot be read may be calls of this database.
        unreadable_rows: bool,
    },
}

/// The reader of the provider's list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asking {
    /// A start, before its first dial.
    Start(Acceptance),
    /// Beside a dialer that has dialed since then. An unknown call of ours that began later belongs
    /// to another dialer. `None` = the dialer is another process.
    Beside { dialing_since: Option<Instant> },
}

impl Asking {
    pub fn is_start(self) -> bool {
        matches!(self, Asking::Start(_))
    }

    /// Since when this process has dialed, and knows all of its calls; `None` if it does not dial.
    pub fn dialing_since(self) -> Option<Instant> {
        match self {
            Asking::Beside { dialing_since } => dialing_since,
            Asking::Start(_) => None,
        }
    }

    pub fn accepts_adoption(self) -> bool {
        matches!(self, Asking::Start(Acceptance::Adoption { .. }))
    }

    fn accepts_unreadable_rows(self) -> bool {
        self == Asking::Start(Acceptance::Adoption { unreadable_rows: true })
    }
}

/// The account of the records that the provider shows for the configured key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Account {
    /// The account of our calls, or the file has no call for a comparison.
    Ours,
    Another,
    /// The list shows none of this file's last calls.
    Unshown,
}

/// A time that the provider's records no longer cover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// The records were known up to here.
    pub last_good: Instant,
    /// The oldest instant that the provider still shows.
    pub oldest: Instant,
    pub retention_days: i64,
}

/// Numbers of calls that this database does not know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Missed {
    /// The highest number that was given to a call at this place.
    pub given: i64,
    pub given_at: Instant,
    /// The highest number in this database.
    pub known: i64,
}

impl Missed {
    /// How many numbers are missing.
    fn count(&self) -> i64 {
        self.given - self.known
    }

    /// Whether they prevent dialing. A person may accept them once the list must show the calls.
    pub fn keeps_shut(&self, asking: Asking, now: Instant) -> bool {
        !asking.accepts_adoption() || self.is_recent(now)
    }

    /// Whether the list may not show the last of these calls yet.
    fn is_recent(&self, now: Instant) -> bool {
        now < self.given_at + VISIBLE_AFTER
    }

    fn shut(&self) -> Shut {
        let from = instant_text(self.given_at + VISIBLE_AFTER);
        Shut::Behind { given: self.given, known: self.known, from }
    }
}

/// The wait of a start after an unclean end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wait {
    /// The latest end of the wait.
    pub until: Instant,
    /// The machine was rebooted, so the disk may have lost the latest calls of this file.
    pub rebooted: bool,
}

/// The findings in the provider's list and in the files beside the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Records {
    pub account: Account,
    pub gap: Option<Gap>,
    pub missed: Option<Missed>,
    /// Calls in the list that may be ours and are not in the ledger. Unreadable rows count.
    pub unknown: i64,
    /// Unreadable rows that no person has accepted.
    pub unreadable_rows: usize,
    /// `None` = the list is not loaded yet.
    pub loaded: Option<Loaded>,
}

/// The findings after the list is loaded into the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub missed: Option<Missed>,
    /// In a database that never dialed: customers that calls made elsewhere may have reached.
    pub called_elsewhere: usize,
    pub wait: Option<Wait>,
}

/// All findings of a start.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub now: Instant,
    pub asking: Asking,
    pub clocks: Clocks,
    /// The error is [`Shut::Unreadable`].
    pub records: Result<Records, Shut>,
}

/// Why nothing is dialed. The messages name the next step.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Shut {
    #[error("the clocks disagree: {0}")]
    ClocksDisagree(String),
    #[error(
        "the clock is unconfirmed: the provider has not sent its time; `ringonce run` and \
         `ringonce tick` ask for it"
    )]
    ClockUnproven,
    #[error("{0}; until the provider answers, the clock is unconfirmed")]
    UnreadableByAnUnprovenClock(Box<Shut>),
    #[error(
        "dialing waits: {0}; `ringonce run` asks again automatically, and `ringonce tick` at its \
         next start"
    )]
    Unreadable(String),
    #[error(
        "the key belongs to another account than the calls of this file; set the right \
         VAPI_API_KEY, or accept the account with `ringonce adopt --reason WHY`"
    )]
    OtherAccount,
    #[error(
        "dialing waits: the provider shows none of this file's last calls, so the key may belong \
         to another account; set the right VAPI_API_KEY, or accept the account with `ringonce \
         adopt --reason WHY`"
    )]
    AccountUnshown,
    #[error(
        "the provider's records reach back {days} days, and this file was last reconciled at \
         {last_good}; calls in between may be missing; accept that with `ringonce adopt --reason \
         WHY`"
    )]
    BeyondRetention { days: i64, last_good: String },
    #[error(
        "dialing waits: calls up to number {given} were made before, and this database knows \
         them up to {known}; the provider's list does not show the others yet; try again later, or \
         from {from} on accept that with `ringonce adopt --reason WHY`"
    )]
    Behind { given: i64, known: i64, from: String },
    #[error(
        "the provider's records show calls to customers of this database ({customers}), which has \
         never dialed; if it takes the place of the database that made them, run `ringonce adopt \
         --reason WHY`, else run `ringonce customers import FILE --new --reason WHY`"
    )]
    CalledElsewhere { customers: usize },
    #[error(
        "dialing waits: {0} of the provider's records cannot be read, and may be calls \
         that this file does not know; try again later, or accept that with `ringonce adopt \
         --accept-unread --reason WHY`"
    )]
    UnreadableRows(usize),
    #[error(
        "dialing waits until {until} at the latest: the process before this one did not end in \
         order, and the provider's list does not show this file's last call yet; dialing starts \
         automatically"
    )]
    AwaitsTheLastCall { until: String },
    #[error(
        "dialing waits until {until}: the machine was rebooted, and ringonce did not end in order \
         shortly before, so this disk may be older than the calls of the last minutes; dialing \
         starts automatically"
    )]
    AwaitsAnyCall { until: String },
}

impl Shut {
    /// Whether waiting cannot help.
    pub fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Shut::OtherAccount | Shut::BeyondRetention { .. } | Shut::CalledElsewhere { .. }
        )
    }

    /// Whether the clock cannot be trusted. Then not even a scan may run: it would end occasions.
    pub fn is_of_the_clock(&self) -> bool {
        matches!(
            self,
            Shut::ClocksDisagree(_) | Shut::ClockUnproven | Shut::UnreadableByAnUnprovenClock(_)
        )
    }

    /// Whether only dialing waits, and only for the provider's list. Scans and following continue.
    pub fn waits_for_the_list(&self) -> bool {
        matches!(self, Shut::AwaitsTheLastCall { .. } | Shut::AwaitsAnyCall { .. })
    }

    /// Whether calls were made here that the list does not show yet.
    pub fn is_behind(&self) -> bool {
        matches!(self, Shut::Behind { .. })
    }
}

/// Decides from the evidence. Before the list is loaded, `Ok` means that it may be loaded; later,
/// that dialing is open.
pub fn may_dial(evidence: &Evidence) -> Result<(), Shut> {
    let records = match (&evidence.clocks, &evidence.records) {
        (Clocks::Agree, Ok(records)) => records,
        (Clocks::Agree, Err(unreadable)) => return Err(unreadable.clone()),
        (Clocks::Disagree(why), _) => return Err(Shut::ClocksDisagree(why.clone())),
        (Clocks::Unproven, Ok(_)) => return Err(Shut::ClockUnproven),
        (Clocks::Unproven, Err(unreadable)) => {
            return Err(Shut::UnreadableByAnUnprovenClock(Box::new(unreadable.clone())));
        }
    };
    may_load(evidence, records)?;
    match &records.loaded {
        Some(loaded) => is_complete(evidence, records, loaded),
        None => Ok(()),
    }
}

/// Whether the list is from our account and may be written into the ledger.
fn may_load(evidence: &Evidence, records: &Records) -> Result<(), Shut> {
    let asking = evidence.asking;
    if let Some(gap) = &records.gap
        && asking == Asking::Start(Acceptance::Nothing)
    {
        let last_good = instant_text(gap.last_good);
        return Err(Shut::BeyondRetention { days: gap.retention_days, last_good });
    }
    match records.account {
        _ if asking.accepts_adoption() => {}
        Account::Ours => {}
        Account::Another => return Err(Shut::OtherAccount),
        Account::Unshown => return Err(Shut::AccountUnshown),
    }
    // A list may show the last call and not yet the one before. Once the last one is loaded, no
    // number shows that another is missing. Numbers of refused calls never appear in a list.
    match &records.missed {
        Some(missed)
            if asking.is_start()
                && missed.is_recent(evidence.now)
                && records.unknown < missed.count() =>
        {
            Err(missed.shut())
        }
        _ => Ok(()),
    }
}

/// Whether the loaded list leaves no open question.
fn is_complete(evidence: &Evidence, records: &Records, loaded: &Loaded) -> Result<(), Shut> {
    let asking = evidence.asking;
    if loaded.called_elsewhere > 0 && asking == Asking::Start(Acceptance::Nothing) {
        return Err(Shut::CalledElsewhere { customers: loaded.called_elsewhere });
    }
    if records.unreadable_rows > 0 && !asking.accepts_unreadable_rows() {
        return Err(Shut::UnreadableRows(records.unreadable_rows));
    }
    // The accepted rows may be the calls that are missing.
    let unreadable = i64::try_from(records.unreadable_rows).unwrap_or(i64::MAX);
    let missed = loaded.missed.filter(|missed| unreadable < missed.count());
    if let Some(missed) = missed.filter(|missed| missed.keeps_shut(asking, evidence.now)) {
        return Err(missed.shut());
    }
    match loaded.wait {
        Some(Wait { until, rebooted: false }) => {
            Err(Shut::AwaitsTheLastCall { until: instant_text(until) })
        }
        Some(Wait { until, rebooted: true }) => {
            Err(Shut::AwaitsAnyCall { until: instant_text(until) })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
