//! disarm: takes the right to dial from the other files of this installation on this machine. What
//! cannot be seen is not taken for gone.

use std::path::Path;

use anyhow::{anyhow, bail};

use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::steps::account::VISIBLE_AFTER;
use crate::steps::{Context, guard};
use crate::store::attempts::{self, Attempt};
use crate::store::files::{self, Identity};
use crate::store::journal::{self, Entry};
use crate::store::{self, Store, StoreError, doubts, meta};

/// More calls are not dialed in the time that the provider's list may lag.
const LOOK_AT: usize = 5000;

/// Takes the right to dial from the file that this one was copied from, and from whichever took it
/// over since, where they lie on this machine. An error: one of them may still dial.
pub fn others(
    cx: &Context,
    here: &Identity,
    who: &str,
    why: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let mut seen = vec![here.file.clone()];
    let mut next = cx.store.read(meta::armed_identity)?;
    while let Some(place) = next.take().filter(|place| place.machine_id == here.machine_id) {
        let path = Path::new(&place.path);
        let unseen = |error| {
            in_the_way(format!("whether {} may still dial cannot be seen", place.path), error)
        };
        let there = match Identity::of(path) {
            Ok(there) => there,
            Err(error) if store::is_gone(&error) => break,
            Err(error) => return Err(unseen(error)),
        };
        // This file by another name.
        if seen.contains(&there.file) {
            break;
        }
        seen.push(there.file.clone());
        let told = Store::look(path).and_then(|other| {
            other.read(|conn| Ok((meta::installation(conn)?, meta::armed_identity(conn)?)))
        });
        let (installation, armed) = match told {
            Ok(told) => told,
            Err(error) if is_no_database(&error) => break,
            Err(error) => return Err(unseen(error)),
        };
        if installation.id != cx.installation.id {
            break;
        }
        if guard::mismatch(armed.as_ref(), &there).is_none() {
            disarm(&there, here, who, why, now)?;
        }
        let dialed = dialed_just_now(cx, path, now).map_err(|error| {
            in_the_way(format!("what {} has just dialed cannot be seen", there.path), error)
        });
        if dialed? {
            bail!(
                "a call that {} has just dialed is not in the provider's list yet; that file may not \
                 dial any more: run `ringonce adopt` again in some minutes",
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

/// What a person has to do about a file that lies there and cannot be read or written.
fn in_the_way(what: String, error: anyhow::Error) -> anyhow::Error {
    let why = match error.downcast_ref() {
        Some(StoreError::Damaged { what, .. }) => what.clone(),
        Some(StoreError::NotOpened(_)) => "it cannot be opened".to_string(),
        _ => format!("{error:#}"),
    };
    let advice = match store::is_denied(&error) {
        true => "run `ringonce adopt` as a user who may read and write it",
        false => "stop what dials from it, move that file away, then run `ringonce adopt` again",
    };
    anyhow!("{what} ({why}): {advice}")
}

/// Whether another file of this installation knows a call that is too young for the provider's list,
/// and that this file does not know.
fn dialed_just_now(cx: &Context, path: &Path, now: Instant) -> anyhow::Result<bool> {
    let newest = Store::look(path)?.read(|conn| doubts::newest(conn, None, LOOK_AT))?;
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

/// Binds the right to dial of another file of this installation to the one here. One that nobody can
/// write commits no intent either, so it keeps a right that it cannot use.
fn disarm(
    there: &Identity,
    here: &Identity,
    who: &str,
    why: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let path = Path::new(&there.path);
    let disarmed = Store::open(path, now).and_then(|other| {
        other.write(|tx| {
            meta::arm(tx, &here.armed())?;
            let (old, new) = (Some(&*there.path), Some(&*here.path));
            let (what, subject) = ("disarm", "file");
            journal::add(tx, now, Entry { who, what, subject, old, new, why: Some(why) })
        })
    });
    match disarmed {
        Ok(()) => log::warn!("{} was the file that dialed, and may not any more", there.path),
        Err(_) if files::is_on_a_read_only_disk(path) => {
            log::warn!("{} lies on a disk that is mounted read-only: it cannot dial", there.path);
        }
        Err(error) => {
            let what = format!("{} may still dial, and that cannot be taken from it", there.path);
            return Err(in_the_way(what, error));
        }
    }
    Ok(())
}
