//! `reconcile` and `adopt`: a person asks for what every start does by itself, and may accept
//! what a start refuses. Nothing here dials.

use crate::clock;
use crate::service::follower::{self, Which};
use crate::service::run::Refused;
use crate::service::{Service, opening};
use crate::steps::guard::{self, Clocks, Heard};
use crate::steps::reconcile::{self, Asking, Closed, Reconciled};
use crate::steps::{account, disarm, operate, restart, unread};
use crate::store::files::Identity;
use crate::store::given::{self, Given};
use crate::store::meta::{self, Mark};

/// Asks the provider's records as a start does. The caller holds the dialer's lock.
pub fn reconcile_alone(service: &Service) -> anyhow::Result<Reconciled> {
    if let Some(why) = guard::not_armed(&service.cx)? {
        return Err(Refused(why).into());
    }
    reconcile::read_back(&service.cx)?;
    let reading = service.clock.read()?;
    let opened = opening::open(service, &reading, false)?;
    if let Some(why) = opened.shut.filter(|_| !opened.waits) {
        return Err(Refused(why).into());
    }
    let mut asking = follower::pace_of_asking(service);
    follower::follow(service, &mut asking, Which::All, reading.now)?;
    Ok(opened.reconciled)
}

/// The same while another process dials: what that one has under way is left alone.
pub fn reconcile_beside(service: &Service) -> anyhow::Result<Reconciled> {
    if let Some(why) = guard::not_armed(&service.cx)? {
        return Err(Refused(why).into());
    }
    reconcile::read_back(&service.cx)?;
    let reading = service.clock.read()?;
    let asking = Asking::Beside { dialing_since: None };
    reconcile::ask(&service.cx, service.provider.as_ref(), &reading, asking)
        .and_then(|answer| {
            let heard = Heard::of(answer.date());
            let now = service.clock.read()?;
            match guard::watch_clock(&service.cx, &now, heard, clock::machine_now())? {
                Clocks::Agree => reconcile::take_in(&service.cx, &answer, &reading),
                Clocks::Disagree(why) => Err(Refused(why).into()),
                Clocks::Unproven => Err(Refused("nothing vouches for the clock".into()).into()),
            }
        })
        .map_err(|error| match error.downcast::<Closed>() {
            Ok(closed) => Refused(closed.to_string()).into(),
            Err(error) => error,
        })
}

/// What an adoption came to.
#[derive(Debug)]
pub struct Adopted {
    pub reconciled: Reconciled,
    /// The person accepted another account than the one whose calls the file knows.
    pub other_account: bool,
}

/// Takes in the provider's records and arms this file, here. A person says that no other copy
/// dials, and accepts a gap beyond the records, another account, and a mark that a wrong clock
/// has left. Refuses a damaged file. The caller holds the dialer's lock.
///
/// `unread`: the person also accepts records that cannot be read, which may be calls of this file. What a
/// start waits for after an end out of order is waited for all the same: no person can see a lagging list.
pub fn adopt(service: &Service, unread: bool, who: &str, why: &str) -> anyhow::Result<Adopted> {
    let cx = &service.cx;
    cx.store.check()?;
    if cx.store.read(meta::armed_identity)?.is_none() {
        let what = "this file is a snapshot for debugging: its people cannot be called; adopt a \
                    backup instead";
        return Err(Refused(what.to_string()).into());
    }
    restart::begin(cx, &service.clock.read()?)?;
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
    let was_behind = cx.store.read(|conn| guard::behind_mark(conn, reading.now))?.is_some();
    if was_behind {
        check_against_the_provider(service)?;
        cx.store.write(|tx| guard::accept_clock(tx, &reading))?;
    }
    let opened = opening::open(service, &reading, true)?;
    let shut = opened.shut.filter(|_| !opened.waits && (!unread || opened.unread.is_empty()));
    let here = Identity::of(cx.store.path())?;
    // While calls of another file are awaited, that file must make no more.
    if shut.is_none() || opened.behind {
        disarm::others(cx, &here, who, why, reading.now)
            .map_err(|error| Refused(format!("{error:#}")))?;
    }
    if let Some(why) = shut {
        return Err(Refused(why).into());
    }
    let other_account = cx.store.read(account::is_newer_than_the_arming)?;
    cx.store.write(|tx| {
        if !opened.unread.is_empty() {
            unread::accept(tx, &opened.unread)?;
            meta::reset_mark(tx, Mark::LastReconciled, reading.now)?;
        }
        cx.machine.arm(tx)?;
        operate::arm(tx, &here, who, why, &reading)
    })?;
    let given = Given { seq: cx.store.read(meta::highest_seq)?, at: reading.now };
    given::note(cx.store.path(), &cx.installation.id, given)?;
    // What another copy did is taken in, and the person says that it is over.
    Ok(Adopted { reconciled: Reconciled { foreign: None, ..opened.reconciled }, other_account })
}

/// A clock that is behind what the file has seen is accepted only when the provider's agrees.
fn check_against_the_provider(service: &Service) -> anyhow::Result<()> {
    let reading = service.clock.read()?;
    let listing = service.provider.list(reading.now).map_err(Closed::from);
    let listing = listing.map_err(|closed| Refused(closed.to_string()))?;
    if listing.date.is_none() {
        return Err(Refused(guard::NOBODY_VOUCHES.to_string()).into());
    }
    match guard::date_disagrees(&reading, listing.date, clock::machine_now()) {
        Some(why) => Err(Refused(format!("the clocks disagree: {why}")).into()),
        None => Ok(()),
    }
}
