//! Disarms the other files of this installation on this machine. A file that cannot be read does
//! not count as gone.

use std::path::Path;

use anyhow::{anyhow, bail};

use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::domain::start::VISIBLE_AFTER;
use crate::steps::Context;
use crate::steps::readiness::armed;
use crate::store::attempts::{self, Attempt, unresolved};
use crate::store::error::StoreError;
use crate::store::file::identity::Identity;
use crate::store::file::side_files;
use crate::store::journal::Act;
use crate::store::journal::{self, Entry};
use crate::store::meta::installation;
use crate::store::{self, Store};

/// At most this many of the newest attempts are checked. Fewer are made while the list may lag.
const LOOK_AT: usize = 5000;

/// Disarms the file from which this one was copied, and every later armed copy, if they are on this
/// machine. An error: one of them may still dial.
pub fn others(cx: &Context, here: &Identity, act: Act<'_>) -> anyhow::Result<()> {
    let Act { now, .. } = act;
    let mut seen = vec![here.file.clone()];
    let mut next = cx.store.read(installation::armed_identity)?;
    while let Some(place) = next.take().filter(|place| place.machine_id == here.machine_id) {
        let path = Path::new(&place.path);
        let unseen = |error| {
            in_the_way(format!("cannot check whether {} may still dial", place.path), error)
        };
        let there = match Identity::of(path) {
            Ok(there) => there,
            Err(error) if store::is_gone(&error) => break,
            Err(error) => return Err(unseen(error)),
        };
        // This file under another name.
        if seen.contains(&there.file) {
            break;
        }
        seen.push(there.file.clone());
        let told = Store::look(path).and_then(|other| {
            other.read(|conn| {
                Ok((installation::installation(conn)?, installation::armed_identity(conn)?))
            })
        });
        let (installation, armed) = match told {
            Ok(told) => told,
            Err(error) if is_no_database(&error) => break,
            Err(error) => return Err(unseen(error)),
        };
        if installation.id != cx.installation.id {
            break;
        }
        if armed::mismatch(armed.as_ref(), &there).is_none() {
            disarm(&there, here, act)?;
        }
        let dialed = dialed_just_now(cx, path, now).map_err(|error| {
            in_the_way(format!("cannot check what {} has just dialed", there.path), error)
        });
        if dialed? {
            bail!(
                "a call that {} has just dialed is not in the provider's list yet; that file is \
                 disarmed: run `ringonce adopt` again in some minutes",
                there.path
            );
        }
        next = armed;
    }
    Ok(())
}

fn is_no_database(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::NotOurs(_)))
}

/// The error about an unreadable or unwritable file, with the person's next step.
fn in_the_way(what: String, error: anyhow::Error) -> anyhow::Error {
    let why = match error.downcast_ref() {
        Some(StoreError::Damaged { what, .. }) => what.clone(),
        Some(StoreError::NotOpened(_)) => "it cannot be opened".to_string(),
        _ => format!("{error:#}"),
    };
    let advice = if store::is_denied(&error) {
        "run `ringonce adopt` as a user who may read and write it"
    } else {
        "stop what dials from it, move that file away, then run `ringonce adopt` again"
    };
    anyhow!("{what} ({why}): {advice}")
}

/// Whether another file of this installation has a call that this file does not know, too recent
/// for the provider's list.
fn dialed_just_now(cx: &Context, path: &Path, now: Instant) -> anyhow::Result<bool> {
    let newest = Store::look(path)?.read(|conn| unresolved::newest(conn, None, LOOK_AT))?;
    let since = now - VISIBLE_AFTER;
    let may_have_rung =
        |attempt: &Attempt| since < attempt.created_at && attempt.state != AttemptState::NotPlaced;
    cx.store.read(|conn| {
        for (attempt, _) in newest.iter().filter(|(attempt, _)| may_have_rung(attempt)) {
            if attempts::by_id(conn, &attempt.id)?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// Moves the right to dial from another file of this installation to this one. A file on a
/// read-only disk cannot commit an intent either, so it keeps a right that it cannot use.
fn disarm(there: &Identity, here: &Identity, act: Act<'_>) -> anyhow::Result<()> {
    let Act { who, why, now } = act;
    let path = Path::new(&there.path);
    let disarmed = Store::open(path, now).and_then(|other| {
        other.write(|tx| {
            installation::arm(tx, &here.armed())?;
            let (old, new) = (Some(&*there.path), Some(&*here.path));
            let (what, subject) = ("disarm", "file");
            journal::add(tx, now, Entry { who, what, subject, old, new, why: Some(why) })
        })
    });
    match disarmed {
        Ok(()) => log::warn!("{} was armed before, and is now disarmed", there.path),
        Err(_) if side_files::is_on_a_read_only_disk(path) => {
            log::warn!("{} is on a disk that is mounted read-only, so it cannot dial", there.path);
        }
        Err(error) => {
            let what = format!("{} may still dial, and cannot be disarmed", there.path);
            return Err(in_the_way(what, error));
        }
    }
    Ok(())
}
