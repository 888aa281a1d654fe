//! `reconcile` and `adopt`: a person requests the checks that every start runs, and may accept
//! gaps that a start refuses. Nothing here dials.

use crate::clock;
use crate::domain::start::{Acceptance, Asking, Clocks, Shut};
use crate::provider::ReadError;
use crate::service::follower::{self, Which};
use crate::service::run::NeedsPerson;
use crate::service::{Service, opening};
use crate::steps::operate;
use crate::steps::readiness::clock_check::{self, Heard};
use crate::steps::readiness::{armed, disarm_others, restart};
use crate::steps::reconcile::{self, Reconciled, account, unreadable_rows};
use crate::store::attempts::changes;
use crate::store::file::identity::Identity;
use crate::store::file::last_seq::{self, Given};
use crate::store::journal::Act;
use crate::store::meta::marks::{self, Mark};
use crate::store::meta::{installation, sequence};

/// Loads the provider's records as a start does. The caller holds the dialer's lock.
pub fn reconcile_alone(service: &Service) -> anyhow::Result<Reconciled> {
    if let Some(why) = armed::not_armed(&service.cx)? {
        return Err(NeedsPerson(why).into());
    }
    reconcile::read_back(&service.cx)?;
    let reading = service.clock.read()?;
    let opened = opening::open(service, &reading, Acceptance::Nothing)?;
    if let Some(why) = opened.shut.filter(|why| !why.waits_for_the_list()) {
        return Err(NeedsPerson(why.to_string()).into());
    }
    let mut asking = follower::pace_of_asking(service);
    follower::follow(service, &mut asking, Which::All, reading.now)?;
    Ok(opened.reconciled.unwrap_or_default())
}

/// The same while another process dials; leaves that process's POSTs in flight alone.
pub fn reconcile_beside(service: &Service) -> anyhow::Result<Reconciled> {
    if let Some(why) = armed::not_armed(&service.cx)? {
        return Err(NeedsPerson(why).into());
    }
    reconcile::read_back(&service.cx)?;
    let reading = service.clock.read()?;
    let asking = Asking::Beside { dialing_since: None };
    reconcile::ask(&service.cx, service.provider.as_ref(), &reading, asking)
        .and_then(|answer| {
            let heard = Heard::of(answer.date());
            let now = service.clock.read()?;
            match clock_check::watch_clock(&service.cx, &now, heard, clock::machine_now())? {
                Clocks::Agree => reconcile::load(&service.cx, &answer, &reading),
                Clocks::Disagree(why) => Err(NeedsPerson(why).into()),
                Clocks::Unproven => Err(Shut::ClockUnproven.into()),
            }
        })
        .map_err(|error| match error.downcast::<Shut>() {
            Ok(shut) => NeedsPerson(shut.to_string()).into(),
            Err(error) => error,
        })
}

/// The result of an adoption.
#[derive(Debug)]
pub struct Adopted {
    pub reconciled: Reconciled,
    /// The person accepted a provider account that differs from the one in the file's calls.
    pub other_account: bool,
}

/// Loads the provider's records and arms this file at this place. The person confirms that no
/// other copy dials. The person accepts a gap beyond the records, another account, and a mark
/// left by a wrong clock. Refuses a damaged file. The caller holds the dialer's lock.
///
/// `unread`: the person also accepts unreadable records, which may be calls of this file. After
/// an unclean end, the next start still waits for the list: no person can see that it lags.
pub fn adopt(service: &Service, unread: bool, who: &str, why: &str) -> anyhow::Result<Adopted> {
    let cx = &service.cx;
    cx.store.check()?;
    if cx.store.read(installation::armed_identity)?.is_none() {
        let what = "this file is a snapshot for debugging, which never dials; adopt a \
                    backup instead";
        return Err(NeedsPerson(what.to_string()).into());
    }
    restart::begin(cx, &service.clock.read()?)?;
    // Before the records are loaded, because each call that they add is a change.
    cx.store.write(changes::leap)?;
    let adopted = take_in_and_arm(service, unread, who, why);
    restart::end(cx, &service.clock.read()?);
    adopted
}

fn take_in_and_arm(
    service: &Service,
    unread: bool,
    who: &str,
    why: &str,
) -> anyhow::Result<Adopted> {
    let cx = &service.cx;
    let reading = service.clock.read()?;
    let was_behind = cx.store.read(|conn| clock_check::behind_mark(conn, reading.now))?.is_some();
    if was_behind {
        check_against_the_provider(service)?;
        cx.store.write(|tx| clock_check::accept_clock(tx, &reading))?;
    }
    let accepted = Acceptance::Adoption { unreadable_rows: unread };
    let opened = opening::open(service, &reading, accepted)?;
    let shut = opened.shut.filter(|why| !why.waits_for_the_list());
    let here = Identity::of(cx.store.path())?;
    // While the records lack calls that another file made, that file must not make more.
    if shut.is_none() || opened.is_behind {
        disarm_others::others(cx, &here, Act { who, why, now: reading.now })
            .map_err(|error| NeedsPerson(format!("{error:#}")))?;
    }
    if let Some(why) = shut {
        return Err(NeedsPerson(why.to_string()).into());
    }
    let other_account = cx.store.read(account::is_newer_than_the_arming)?;
    cx.store.write(|tx| {
        if !opened.unreadable_rows.is_empty() {
            unreadable_rows::accept(tx, &opened.unreadable_rows)?;
            marks::reset_mark(tx, Mark::LastReconciled, reading.now)?;
        }
        cx.machine.arm(tx)?;
        operate::arm(tx, &here, Act { who, why, now: reading.now }, &reading)
    })?;
    let given = Given { seq: cx.store.read(sequence::highest_seq)?, at: reading.now };
    last_seq::note(cx.store.path(), &cx.installation.id, given)?;
    // The other copy's calls are loaded, and the person confirmed that it has stopped.
    Ok(Adopted {
        reconciled: Reconciled { foreign: None, ..opened.reconciled.unwrap_or_default() },
        other_account,
    })
}

/// Accepts a clock behind the file's mark only if the provider's date agrees with it.
fn check_against_the_provider(service: &Service) -> anyhow::Result<()> {
    let reading = service.clock.read()?;
    let listing = service.provider.list(reading.now);
    let unreadable =
        |error: ReadError| NeedsPerson(Shut::Unreadable(error.to_string()).to_string());
    let listing = listing.map_err(unreadable)?;
    if listing.date.is_none() {
        return Err(NeedsPerson(clock_check::UNCONFIRMED.to_string()).into());
    }
    match clock_check::date_disagrees(&reading, listing.date, clock::machine_now()) {
        Some(why) => Err(NeedsPerson(format!("the clocks disagree: {why}")).into()),
        None => Ok(()),
    }
}
