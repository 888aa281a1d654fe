//! Backups while the service dials, in a separate thread.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;

use crate::domain::Instant;
use crate::service::{Service, follower};
use crate::steps::backup;
use crate::steps::readiness::clock_check;

/// How often the thread checks whether a backup is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Makes backups by `backup.cron` until the service stops; `None` if no cron is configured.
pub fn keep_making(service: &Arc<Service>) -> anyhow::Result<Option<JoinHandle<()>>> {
    if service.cx.config.backup.cron.is_none() {
        return Ok(None);
    }
    let service = Arc::clone(service);
    let since = service.clock.now()?;
    let maker = Builder::new().name("backup".to_string()).spawn(move || {
        while !service.stopping() {
            if let Err(error) = make_if_due(&service, since) {
                log::error!("the backup failed: {error:#}");
            }
            follower::rest(&service, LOOK_EVERY);
        }
    });
    maker.context("start the thread for backups").map(Some)
}

fn make_if_due(service: &Service, since: Instant) -> anyhow::Result<()> {
    let reading = service.clock.read()?;
    // A wrong clock would give a wrong file name, and rotation sorts by name.
    if !backup::is_due(&service.cx, since, reading.now)?
        || !clock_check::is_trusted(&service.cx, &reading)?
    {
        return Ok(());
    }
    let made = backup::make(&service.cx, reading.now)?;
    log::info!("backup {}, {} bytes, verified", made.path.display(), made.bytes);
    Ok(())
}
