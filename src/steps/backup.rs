//! The automatic backups of `run`, made at the instants of `[backup] cron`. A backup uses a
//! separate connection, so that no dial waits for it. A backup missed while nothing ran is made at
//! the next start. A failed one is retried, and reported until it succeeds.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context as _;
use chrono::Duration;

use crate::config::timetable::Timetable;
use crate::domain::{Instant, instant_words, parse_instant};
use crate::steps::Context;
use crate::store::file::backup::{self, backup, rotate};
use crate::store::file::verify::Verified;
use crate::store::meta::marks::{self, Mark};
use crate::store::{Conn, Store};

/// Minutes from a failed backup to its retry.
const AGAIN_AFTER_MINUTES: i64 = 10;

/// Whether a backup is due now. Before the first backup, the schedule counts from `since`.
pub fn is_due(cx: &Context, since: Instant, now: Instant) -> anyhow::Result<bool> {
    if !cx.timetable.makes_backups() {
        return Ok(false);
    }
    let (trouble, last) =
        cx.store.read(|conn| Ok((backup::trouble(conn)?, marks::mark(conn, Mark::LastBackup)?)))?;
    let again = trouble.and_then(|trouble| parse_instant(&trouble.again_at));
    // A wrong clock may have written a future mark, which must not delay backups until then.
    let last = last.filter(|at| *at <= now).unwrap_or(since);
    let next = again.or_else(|| cx.timetable.next_backup(last));
    Ok(next.is_some_and(|at| at <= now))
}

/// Makes one backup and removes the ones outside the rotation. A failure is also written to the
/// database for `status`, the health check and the metrics.
pub fn make(cx: &Context, now: Instant) -> anyhow::Result<Verified> {
    match copy_and_rotate(cx, now) {
        Ok(made) => {
            cx.store.write(|tx| {
                backup::forget_trouble(tx)?;
                marks::set_mark(tx, Mark::LastBackup, now)
            })?;
            Ok(made)
        }
        Err(error) => {
            let again_at = now + Duration::minutes(AGAIN_AFTER_MINUTES);
            let why = format!("{error:#}");
            cx.store.write(|tx| backup::set_trouble(tx, &why, now, again_at))?;
            Err(error)
        }
    }
}

fn copy_and_rotate(cx: &Context, now: Instant) -> anyhow::Result<Verified> {
    let backups = &cx.config.backup;
    let folder = Path::new(backups.folder.as_deref().context("backup.folder is not set")?);
    if !folder.is_dir() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("make the folder {}", folder.display()))?;
    }
    let store = Store::look(cx.store.path())?;
    let made = backup(&store, &folder.join(backup::dated_name(now)))?;
    rotate(folder, backups.keep)?;
    Ok(made)
}

/// Why a person should check the backups, in one line. `None`: all is well, or none are configured.
pub fn trouble(conn: &Conn, timetable: &Timetable, now: Instant) -> anyhow::Result<Option<String>> {
    if !timetable.makes_backups() {
        return Ok(None);
    }
    if let Some(trouble) = backup::trouble(conn)? {
        return Ok(Some(format!(
            "no backup since {}: {}",
            instant_words(&trouble.since),
            trouble.why
        )));
    }
    let last = marks::mark(conn, Mark::LastBackup)?;
    let second_next =
        |at: Instant| timetable.next_backup(at).and_then(|next| timetable.next_backup(next));
    let late = last.filter(|at| second_next(*at).is_some_and(|due| due < now));
    Ok(late.map(|at| format!("the last backup is {} hours old", (now - at).num_hours())))
}
