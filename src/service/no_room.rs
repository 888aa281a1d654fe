//! Keeps the service running while the disk has no room: nothing is dialed, the page stays open for
//! reading, and dialing continues by itself.

use std::time::Duration;

use crate::service::Service;
use crate::service::change_log::ChangeLog;
use crate::service::follower::rest;
use crate::store::{self, meta};

/// How often the service tries to write again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The key that is written and removed to see whether there is room.
const PROBE: &str = "is_there_room";

/// Whether the last round failed because the disk has no room.
#[derive(Default)]
pub struct NoRoom {
    halted: bool,
}

impl NoRoom {
    /// Waits while the disk has no room. Returns whether the next round may begin.
    pub fn is_over(&mut self, service: &Service, log: &mut ChangeLog) -> anyhow::Result<bool> {
        if !self.halted {
            return Ok(true);
        }
        let tried = service.cx.store.write(|tx| {
            meta::set(tx, PROBE, "yes")?;
            meta::remove(tx, PROBE).map(drop)
        });
        match tried {
            Ok(()) => {
                self.halted = false;
                service.halt(None);
                log.tell(None);
                Ok(true)
            }
            Err(error) if store::is_no_room(&error) => {
                rest(service, TRY_AGAIN);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The result of a round. `None`: it failed for want of room, and dialing is halted.
    pub fn outlast<T>(
        &mut self,
        service: &Service,
        log: &mut ChangeLog,
        round: anyhow::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        match round {
            Ok(value) => Ok(Some(value)),
            Err(error) if store::is_no_room(&error) => {
                let why = format!("{error:#}");
                log.tell(Some(&why));
                service.halt(Some(why));
                self.halted = true;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
