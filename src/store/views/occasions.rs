//! The result of every occasion, in one query, for reports over whole days. Does not judge.

use chrono::NaiveDate;
use rusqlite::Connection;

use crate::domain::Instant;
use crate::domain::call::{CallType, Disposition, ItemStatus, Reason};
use crate::store::cells::{self, bad_text};
use crate::store::quarantine::{self, Place};

/// One occasion that fell due.
#[derive(Clone, Debug, PartialEq)]
pub struct Occasion {
    pub call_type: CallType,
    pub scheduled_for: Instant,
    pub status: ItemStatus,
    pub reason: Option<Reason>,
    /// Attempts that were placed.
    pub placed: i64,
    /// The disposition of the last ended attempt; `None`: none has ended.
    pub disposition: Option<Disposition>,
}

/// Every occasion, in the order in which they fell due.
pub fn occasions(conn: &Connection) -> anyhow::Result<Vec<Occasion>> {
    let mut statement = conn.prepare_cached(
        "SELECT call_type, scheduled_for, status, reason,
           (SELECT count(*) FROM call_attempts AS made
             WHERE made.queue_id = call_queue.id AND made.state IN ('placed', 'ended')),
           (SELECT disposition FROM call_attempts AS made
             WHERE made.queue_id = call_queue.id AND made.state = 'ended'
             ORDER BY attempt_no DESC LIMIT 1), id, customer_id
         FROM call_queue ORDER BY scheduled_for, id",
    )?;
    quarantine::listed(Place::Queue, statement.query([])?, |row| {
        let call_type: String = row.get(0)?;
        let status: String = row.get(2)?;
        let reason: Option<String> = row.get(3)?;
        let disposition = cells::optional_lossy(row, 5)?;
        Ok(Occasion {
            call_type: CallType::parse(&call_type).ok_or_else(|| bad_text(0, &call_type))?,
            scheduled_for: cells::instant(row, 1)?,
            status: ItemStatus::parse(&status).ok_or_else(|| bad_text(2, &status))?,
            reason: reason.as_deref().and_then(Reason::parse),
            placed: row.get(4)?,
            disposition: disposition.as_deref().and_then(Disposition::parse),
        })
    })
}

impl Occasion {
    /// The day of the scheduled instant, in UTC.
    pub fn day(&self) -> NaiveDate {
        self.scheduled_for.date_naive()
    }
}
