//! backup: the copies that `run` makes by itself at the instants of `[backup] cron`. A copy is made
//! over a connection of its own, so that no dial waits for it. One that was missed while nothing
//! ran is made at the next start; one that failed is tried again, and is told until it is made.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use chrono::Duration;

use crate::config::Config;
use crate::domain::cron::Cron;
use crate::domain::zone::Zone;
use crate::domain::{Instant, instant_words, parse_instant};
use crate::steps::Context;
use crate::store::backup::{self, backup, rotate};
use crate::store::meta::{self, Mark};
use crate::store::verify::Verified;
use crate::store::{Conn, Store};
use crate::zones::Zones;

/// So long after a failure it is tried again.
const AGAIN_AFTER_MINUTES: i64 = 10;

/// The instants of `[backup] cron`; `None` where no backups are configured.
fn instants(config: &Config, zones: &Zones) -> Option<(Cron, Arc<Zone>)> {
    let cron = Cron::parse(config.backup.cron.as_deref()?).ok()?;
    Some((cron, zones.get_schedule_zone(&config.schedule.timezone)?))
}

/// Whether a backup is to be made now. Without an earlier one they begin to count at `since`.
pub fn is_due(cx: &Context, since: Instant, now: Instant) -> anyhow::Result<bool> {
    let Some((cron, zone)) = instants(&cx.config, &cx.zones) else { return Ok(false) };
    let (trouble, last) =
        cx.store.read(|conn| Ok((backup::trouble(conn)?, meta::mark(conn, Mark::LastBackup)?)))?;
    let again = trouble.and_then(|trouble| parse_instant(&trouble.again_at));
    // A mark from a future that a wrong clock saw must not keep backups away until then.
    let last = last.filter(|at| *at <= now).unwrap_or(since);
    let next = again.or_else(|| cron.next_after(&zone, last));
    Ok(next.is_some_and(|at| at <= now))
}

/// Makes one backup and removes what rotation does not keep. A failure is also written to the
/// database, where `status`, the health check and the metrics find it.
pub fn make(cx: &Context, now: Instant) -> anyhow::Result<Verified> {
    match copy_and_rotate(cx, now) {
        Ok(made) => {
            cx.store.write(|tx| {
                backup::forget_trouble(tx)?;
                meta::set_mark(tx, Mark::LastBackup, now)
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

/// Why a person should look after the backups, in one line; `None`: all is well, or none are
/// configured.
pub fn trouble(
    conn: &Conn,
    config: &Config,
    zones: &Zones,
    now: Instant,
) -> anyhow::Result<Option<String>> {
    let Some((cron, zone)) = instants(config, zones) else { return Ok(None) };
    if let Some(trouble) = backup::trouble(conn)? {
        return Ok(Some(format!(
            "no backup since {}: {}",
            instant_words(&trouble.since),
            trouble.why
        )));
    }
    let last = meta::mark(conn, Mark::LastBackup)?;
    let second_next =
        |at: Instant| cron.next_after(&zone, at).and_then(|next| cron.next_after(&zone, next));
    let late = last.filter(|at| second_next(*at).is_some_and(|due| due < now));
    Ok(late.map(|at| format!("the last backup is {} hours old", (now - at).num_hours())))
}
