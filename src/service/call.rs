//! One call that a person asked for: opened like a tick, dialed by the one dialer.

use crate::service::dialer::{Dialer, Passed, Patience};
use crate::service::follower;
use crate::service::{Service, opening};
use crate::steps::{guard, restart};

/// Whether anything may be dialed now, after everything that stands before the first dial of a
/// start. The caller holds the dialer's lock. `Some`: why not.
pub fn open(service: &Service) -> anyhow::Result<Option<String>> {
    if let Some(why) = guard::not_armed(&service.cx)? {
        return Ok(Some(why));
    }
    let reading = service.clock.read()?;
    restart::begin(&service.cx, &reading)?;
    let opened = opening::open(service, &reading, false)?;
    if opened.shut.is_none() {
        follower::repair_unproven(service, reading.now)?;
    }
    match opened.shut {
        Some(why) => Ok(Some(why)),
        None => opening::shut(service),
    }
}

/// The last write, whatever came of the call. The caller still holds the lock.
pub fn close(service: &Service) -> anyhow::Result<()> {
    restart::end(&service.cx, &service.clock.read()?);
    Ok(())
}

/// Dials one item, if the gate lets it through. The caller holds the lock and opened.
pub fn dial(service: &Service, item_id: i64) -> anyhow::Result<Passed> {
    let patience = Patience { pace: true, record: std::time::Duration::from_secs(20) };
    Dialer::new(service, patience, service.clock.now()?)?.only(item_id).pass(&mut |_| Ok(None))
}
