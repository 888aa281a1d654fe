//! The counts of one pass of the dialer, and the reason why it stopped.

use std::time::Duration;

/// How long a pass may last before the rest waits for the next one.
pub const PASS_AT_MOST: Duration = Duration::from_secs(600);

/// Why a pass ended before it examined every due item.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Stop {
    #[error("stopping")]
    Stopping,
    /// The file may not dial, or a hold is set.
    #[error("{0}")]
    Held(String),
    #[error("the clock jumped")]
    ClockJumped,
    #[error("the breaker is open: {0}")]
    Breaker(String),
}

/// The counts of one pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passed {
    /// Items that were dialed, skipped, or found already called.
    pub processed: usize,
    pub succeeded: usize,
    pub failed: usize,
    pub skipped: usize,
    pub in_doubt: usize,
    pub shut: Option<Stop>,
    /// Due items were left because no line was free or the pace was used up.
    pub no_line: bool,
}

/// How long a dialer waits for the pace and for the database.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Wait inside a pass until the pace allows the next POST.
    pub pace: bool,
    /// How long to retry writing a reply before the pass ends with an error. The service retries
    /// until it is stopped.
    pub record: Duration,
}
