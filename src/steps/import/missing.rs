//! Customers whom a full export no longer holds. They are listed, and paused if a person says so.

use crate::domain::Instant;
use crate::domain::customer::{CallStatus, Customer};
use crate::steps::customers::paused;
use crate::steps::import::options::PauseMissing;
use crate::steps::import::repeated_rows::SeenRows;
use crate::store::journal::Act;
use crate::store::meta::pauses;
use crate::store::{Conn, Tx, customers};

/// From this many on, a file that lacks most customers is probably not a full export.
const MANY: usize = 10;

/// Customers who may be called and are not in the file.
pub(crate) struct Missing {
    pub ids: Vec<i64>,
    /// How many customers may be called.
    may_be_called: usize,
}

impl Missing {
    /// `seen`: the rows of the file, with the known customers whom they mean.
    pub fn from(conn: &Conn, seen: &SeenRows) -> anyhow::Result<Missing> {
        let mut missing = Missing { ids: Vec::new(), may_be_called: 0 };
        customers::each_not_stopped(conn, &mut |id| {
            missing.may_be_called += 1;
            if !seen.has_customer(id)? {
                missing.ids.push(id);
            }
            Ok(())
        })?;
        Ok(missing)
    }

    /// Whether a person must first say that this many customers are to be paused.
    pub fn needs_word(&self, pause: PauseMissing) -> bool {
        let are_most = self.may_be_called < 2 * self.ids.len();
        pause == PauseMissing::Few && are_most && MANY <= self.ids.len()
    }
}

/// Pauses these customers. Returns how many were not paused before.
pub(crate) fn pause(tx: &Tx<'_>, ids: &[i64], file: &str, now: Instant) -> anyhow::Result<u64> {
    let why = format!("not in {file}");
    let mut paused = 0;
    for id in ids {
        if let Some(customer) = customers::by_id(tx, *id)? {
            let act = Act { who: "import", why: &why, now };
            if paused::pause(tx, &customer, act)? {
                pauses::mark_as_missing(tx, &pauses::of_customer(&customer.key))?;
                paused += 1;
            }
        }
    }
    Ok(paused)
}

/// Whether an import paused this customer for being missing, and nobody has ended the pause.
pub(crate) fn is_still_paused(conn: &Conn, customer: &Customer) -> anyhow::Result<bool> {
    if customer.call_status != CallStatus::Paused {
        return Ok(false);
    }
    let pause = pauses::pause_of(conn, &pauses::of_customer(&customer.key))?;
    Ok(pause.is_some_and(|pause| pause.as_missing))
}
