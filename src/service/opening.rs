//! Whether dialing is open at all, asked in one place: the armed file, the provider's records,
//! the clocks, holds. A missing answer keeps it shut.

use crate::clock::{self, Reading};
use crate::service::Service;
use crate::steps::guard;
use crate::steps::reconcile::{self, Reconciled};
use crate::store::do_not_call;

/// What came of trying to open.
#[derive(Debug)]
pub struct Opening {
    pub reconciled: Reconciled,
    /// Why nothing may be dialed; `None` = open.
    pub shut: Option<String>,
    /// The clock is not trusted: not even a scan may run, because it would end occasions.
    pub clock_shut: bool,
}

/// Everything before the first dial of a start. An error is one of the database; whatever the
/// provider or the clock refuses is told in `shut`.
///
/// `accept_gap`: a person accepted a gap beyond the provider's retention (`adopt`).
pub fn open(service: &Service, reading: &Reading, accept_gap: bool) -> anyhow::Result<Opening> {
    let cx = &service.cx;
    let missing = cx.store.write(|tx| do_not_call::replay(tx, cx.store.path()))?;
    if 0 < missing {
        log::warn!("{missing} do-not-call numbers were missing from the database: put back");
    }
    let mut opening = Opening { reconciled: Reconciled::default(), shut: None, clock_shut: false };
    match reconcile::at_start(cx, service.provider.as_ref(), reading, accept_gap) {
        Ok(reconciled) => opening.reconciled = reconciled,
        Err(error) => match error.downcast::<reconcile::Closed>() {
            Ok(closed) => opening.shut = Some(closed.to_string()),
            Err(error) => return Err(error),
        },
    }
    let date = opening.reconciled.date;
    if let Some(why) = guard::watch_clock(cx, reading, date, clock::machine_now())? {
        opening.shut = Some(format!("the clocks disagree: {why}"));
        opening.clock_shut = true;
    }
    Ok(opening)
}

/// Why nothing may be dialed now; `None` = nothing stands in the way. Asked before each claim.
pub fn shut(service: &Service) -> anyhow::Result<Option<String>> {
    let cx = &service.cx;
    if let Some(why) = guard::swapped(cx.store.path(), &service.opened) {
        return Ok(Some(why));
    }
    Ok(guard::holds(cx)?.into_iter().next())
}
