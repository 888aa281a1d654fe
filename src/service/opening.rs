//! Whether dialing is open at all, asked in one place: the armed file, the provider's records,
//! the clocks, holds. A missing answer keeps it shut.

use std::collections::BTreeSet;

use crate::clock::{self, Reading};
use crate::service::Service;
use crate::steps::guard::{self, Clocks, Heard};
use crate::steps::reconcile::{self, Asking, Closed, Reconciled};
use crate::steps::{behind, erase, restart};
use crate::store::{do_not_call, meta};

/// What came of trying to open.
#[derive(Debug)]
pub struct Opening {
    pub reconciled: Reconciled,
    /// Why nothing may be dialed; `None` = open.
    pub shut: Option<String>,
    /// Marks of records that cannot be read. Where there are any, they are all that stands in the way,
    /// and a person may accept that.
    pub unread: BTreeSet<String>,
    /// Calls were made that the list does not show yet.
    pub behind: bool,
    /// Only dialing waits, and for nothing but the list: the rest of the work goes on.
    pub waits: bool,
    /// The clock is not trusted: not even a scan may run, because it would end occasions.
    pub clock_shut: bool,
    /// Waiting does not open it.
    pub needs_a_person: bool,
}

impl Opening {
    fn shut(why: String) -> Opening {
        Opening {
            reconciled: Reconciled::default(),
            shut: Some(why),
            unread: BTreeSet::new(),
            behind: false,
            waits: false,
            clock_shut: false,
            needs_a_person: false,
        }
    }
}

/// Everything before the first dial of a start. An error is one of the database; whatever the
/// provider or the clock refuses is told in `shut`.
///
/// The clocks are compared before anything is taken in: by a wrong clock the records would be
/// read for the wrong days. `accepted`: a person accepted a gap beyond the provider's retention,
/// and the account of the key (`adopt`).
pub fn open(service: &Service, reading: &Reading, accepted: bool) -> anyhow::Result<Opening> {
    let opened = try_to_open(service, reading, accepted)?;
    let cx = &service.cx;
    // A hold of the clock tells by itself, in words that are new at each look.
    let told =
        opened.clock_shut && cx.store.read(meta::holds)?.iter().any(|hold| hold.kind == "clock");
    if !told {
        guard::note_opening(cx, opened.shut.as_deref(), reading.now)?;
    }
    Ok(opened)
}

fn try_to_open(service: &Service, reading: &Reading, accepted: bool) -> anyhow::Result<Opening> {
    let cx = &service.cx;
    let missing = cx.store.write(|tx| do_not_call::replay(tx, cx.store.path()))?;
    if 0 < missing {
        log::warn!("{missing} do-not-call numbers were missing from the database: put back");
    }
    let began = service.clock.read()?;
    let asked = reconcile::ask(cx, service.provider.as_ref(), reading, Asking::Start { accepted });
    let (asked, closed) = match asked {
        Ok(answer) => (Some(answer), None),
        Err(error) => (None, Some(error.downcast::<Closed>()?)),
    };
    let heard = asked.as_ref().map_or(Heard::Nothing, |answer| Heard::of(answer.date()));
    // The date is that of the last page, and a long list takes minutes.
    let heard_at = reading.later_by(&began, &service.clock.read()?);
    let clocks = guard::watch_clock(cx, &heard_at, heard, clock::machine_now())?;
    let wrong = match (clocks, &closed) {
        (Clocks::Agree, _) => None,
        (Clocks::Disagree(why), _) => Some(format!("the clocks disagree: {why}")),
        (Clocks::Unproven, Some(closed)) => {
            Some(format!("{closed}; nothing vouches for the clock"))
        }
        (Clocks::Unproven, None) => Some("nothing vouches for the clock".to_string()),
    };
    if let Some(why) = wrong {
        return Ok(Opening { clock_shut: true, ..Opening::shut(why) });
    }
    let Some(answer) = asked else {
        return Ok(Opening::shut(closed.map(|closed| closed.to_string()).unwrap_or_default()));
    };
    match reconcile::take_in(cx, &answer, reading) {
        Ok(reconciled) => {
            // After the records: what they tell of these people stays in the ledger, without them.
            let erased = erase::again(&cx.store, reading.now)?;
            if 0 < erased {
                log::warn!("{erased} erased customers were back in the database: erased again");
            }
            let behind = cx.store.read(|conn| behind::behind(cx, conn, accepted, reading.now))?;
            let restart_why = restart::waits(cx, &answer, reading)?.map(|why| why.to_string());
            let unread_why = answer.unread_rows();
            let behind_why = behind.map(|missed| Closed::behind(&missed).to_string());
            Ok(Opening {
                reconciled,
                behind: behind_why.is_some(),
                waits: unread_why.is_none() && behind_why.is_none() && restart_why.is_some(),
                shut: unread_why.or(behind_why).or(restart_why),
                unread: answer.unread,
                clock_shut: false,
                needs_a_person: false,
            })
        }
        Err(error) => {
            let closed = error.downcast::<Closed>()?;
            let needs_a_person = closed.needs_a_person();
            let behind = matches!(closed, Closed::Behind { .. });
            Ok(Opening { needs_a_person, behind, ..Opening::shut(closed.to_string()) })
        }
    }
}

/// Why nothing may be dialed now; `None` = nothing stands in the way. Asked before each claim.
pub fn shut(service: &Service) -> anyhow::Result<Option<String>> {
    let cx = &service.cx;
    if let Some(why) = guard::swapped(&cx.store) {
        return Ok(Some(why));
    }
    // Whoever adopts a copy on this machine takes the right to dial from this file.
    if let Some(why) = guard::not_armed(cx)? {
        return Ok(Some(why));
    }
    Ok(guard::holds(cx)?.into_iter().next())
}
