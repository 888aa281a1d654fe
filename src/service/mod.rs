//! The loop and its threads: one pass for a system cron (`tick`), or the service (`run`).
//!
//! Every dial of the program goes through [`dialer::Dialer`], which is the only caller of the
//! dial step. [`opening`] decides whether dialing is allowed at all.

pub mod adopting;
pub mod backups;
pub mod call;
pub mod change_log;
pub mod dialer;
pub mod follower;
pub mod no_room;
pub mod opening;
pub mod outgoing;
pub mod pace;
pub mod run;
pub mod tick;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::clock::Clock;
use crate::provider::Provider;
use crate::steps::Context;
pub use crate::steps::dial::new_id;

/// The state of a dialing process, shared by its threads.
pub struct Service {
    pub cx: Context,
    pub provider: Box<dyn Provider>,
    pub clock: Clock,
    /// Set by SIGTERM, SIGINT and SIGHUP: no new dials start, and POSTs in flight finish.
    pub stop: Arc<AtomicBool>,
    /// Why this process has halted dialing, such as an outcome that cannot be written. `None` = not
    /// halted.
    pub halted: Mutex<Option<String>>,
}

impl Service {
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sets or clears the halt of this process.
    pub fn halt(&self, why: Option<String>) {
        *self.halted.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = why;
    }

    /// Why this process has halted.
    pub fn halted(&self) -> Option<String> {
        self.halted.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}
