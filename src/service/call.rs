//! One call that a person requested. It opens as a tick does and uses the same dialer.

use crate::domain::start::Acceptance;
use crate::service::dialer::Dialer;
use crate::service::dialer::passed::{Passed, Patience};
use crate::service::{Service, follower, opening};
use crate::steps::readiness::{armed, restart};

/// Does everything that precedes the first dial of a start. Returns why nothing may be dialed;
/// `None` = dialing is open. The caller holds the dialer's lock.
pub fn open(service: &Service) -> anyhow::Result<Option<String>> {
    if let Some(why) = armed::not_armed(&service.cx)? {
        return Ok(Some(why));
    }
    let reading = service.clock.read()?;
    restart::begin(&service.cx, &reading)?;
    let opened = opening::open(service, &reading, Acceptance::Nothing)?;
    if opened.shut.is_none() {
        follower::repair_unproven(service, reading.now)?;
    }
    match opened.shut {
        Some(why) => Ok(Some(why.to_string())),
        None => opening::shut(service),
    }
}

/// Writes the mark of a clean end, whatever the call's outcome. The caller still holds the lock.
pub fn close(service: &Service) -> anyhow::Result<()> {
    restart::end(&service.cx, &service.clock.read()?);
    Ok(())
}

/// Dials one item if the gate allows it. The caller holds the lock and has called [`open`].
pub fn dial(service: &Service, item_id: i64) -> anyhow::Result<Passed> {
    let patience = Patience { pace: true, record: std::time::Duration::from_secs(20) };
    Dialer::new(service, patience, service.clock.now()?)?.only(item_id).pass(&mut |_| Ok(None))
}
