//! Decides whether dialing is open: the file is armed, the provider's records are loaded, the
//! clocks agree, and no hold is set. A missing answer keeps dialing shut.

use crate::clock::{self, Reading};
use crate::domain::hold::HoldKind;
use crate::domain::start::{Acceptance, Asking, Shut};
use crate::service::Service;
use crate::steps::readiness::clock_check::{self, Heard};
use crate::steps::readiness::{armed, hold_words, last_start, quarantine, reach};
use crate::steps::reconcile::{self, Started};
use crate::store::do_not_call;
use crate::store::meta::holds;

/// Does everything that precedes the first dial of a start. An error means that the database
/// failed; refusals by the provider or the clock are in `shut`.
///
/// Compares the clocks before it loads records, because a wrong clock would assign them to the
/// wrong days.
pub fn open(service: &Service, reading: &Reading, accepted: Acceptance) -> anyhow::Result<Started> {
    let opened = try_to_open(service, reading, accepted)?;
    let cx = &service.cx;
    // The clock's hold already shows the reason, with current values on each look.
    let is_told = opened.shut.as_ref().is_some_and(Shut::is_of_the_clock)
        && cx.store.read(|conn| holds::is_held(conn, &HoldKind::Clock))?;
    if !is_told {
        let why = opened.shut.as_ref().map(Shut::to_string);
        last_start::note_opening(cx, why.as_deref(), reading.now)?;
    }
    Ok(opened)
}

fn try_to_open(
    service: &Service,
    reading: &Reading,
    accepted: Acceptance,
) -> anyhow::Result<Started> {
    let cx = &service.cx;
    quarantine::check_next_rows(cx)?;
    let missing = cx.store.write(|tx| do_not_call::replay(tx, cx.store.path()))?;
    if missing > 0 {
        log::warn!("restored {missing} do-not-call numbers that were missing from the database");
    }
    let began = service.clock.read()?;
    let asking = Asking::Start(accepted);
    let asked = match reconcile::ask(cx, service.provider.as_ref(), reading, asking) {
        Ok(answer) => Ok(answer),
        Err(error) => Err(error.downcast::<Shut>()?),
    };
    match &asked {
        Ok(_) => reach::note_list(cx, None, reading.now)?,
        Err(Shut::Unreadable(why)) => reach::note_list(cx, Some(why), reading.now)?,
        Err(_) => {}
    }
    let heard = asked.as_ref().map_or(Heard::Nothing, |answer| Heard::of(answer.date()));
    // The date is from the last page, and a long list takes minutes to read.
    let heard_at = reading.later_by(&began, &service.clock.read()?);
    let clocks = clock_check::watch_clock(cx, &heard_at, heard, clock::machine_now())?;
    reconcile::start(cx, asked, accepted, clocks, reading)
}

/// Why nothing may be dialed now; `None` = dialing is open. Checked before each claim.
pub fn shut(service: &Service) -> anyhow::Result<Option<String>> {
    let cx = &service.cx;
    if let Some(why) = armed::swapped(&cx.store) {
        return Ok(Some(why));
    }
    // Adopting a copy on this machine disarms this file, also while it is in use.
    if let Some(why) = armed::not_armed(cx)? {
        return Ok(Some(why));
    }
    Ok(hold_words::holds(cx)?.into_iter().next())
}
