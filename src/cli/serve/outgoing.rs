//! Events and alerts beside `run` and after `tick`. Nothing here may delay a call, so a server that
//! hangs delays neither the next pass nor the end of the service.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cli::arguments::configuration::Settings;
use crate::clock;
use crate::service::Service;
use crate::service::outgoing::alerts::{self, Channel};
use crate::service::outgoing::events::{self, Receiver};

/// How long `tick` spends on events at most, and as long again on alerts.
const TICK_AT_MOST: Duration = Duration::from_secs(10);
/// How long the end of the service waits for a message that is being sent. What it leaves is sent
/// after the next start.
const END_AT_MOST: Duration = Duration::from_secs(1);

/// The ways out of this machine.
pub struct Outgoing {
    receiver: Option<Receiver>,
    channels: Arc<Vec<Channel>>,
}

impl Outgoing {
    /// Settings and secrets that cannot be used stop no call: the events wait, and `check` shows why.
    pub fn of(settings: &Settings) -> Outgoing {
        let receiver = Receiver::of(&settings.loaded).unwrap_or_else(|why| {
            log::error!("{why}");
            None
        });
        let channels = Channel::all(&settings.loaded).unwrap_or_else(|why| {
            log::error!("no alert is sent: {why}");
            Vec::new()
        });
        Outgoing { receiver, channels: Arc::new(channels) }
    }

    /// Delivers after a pass. The dialer's lock is free again, so that the next pass does not wait.
    pub fn after_tick(&self, service: &Service) {
        if let Some(receiver) = &self.receiver {
            events::deliver_for(service, receiver, TICK_AT_MOST);
        }
        alerts::tell_all(service, &self.channels, TICK_AT_MOST);
    }

    /// Delivers until the service stops.
    pub fn keep_sending(self, service: &Arc<Service>) -> anyhow::Result<Sending> {
        let mut threads = alerts::keep_watching(service, &self.channels)?;
        threads.extend(events::keep_delivering(service, self.receiver)?);
        Ok(Sending { channels: self.channels, threads })
    }
}

/// The threads that send.
pub struct Sending {
    channels: Arc<Vec<Channel>>,
    threads: Vec<JoinHandle<()>>,
}

impl Sending {
    /// The last message of a service that may not dial any more.
    pub fn tell_stopped(&self, service: &Service) -> anyhow::Result<()> {
        alerts::tell_stopped(&self.channels, service.clock.now()?);
        Ok(())
    }

    /// Waits a moment for what is being sent. The process ends without the rest.
    pub fn end(self) {
        let until = clock::elapsed() + END_AT_MOST;
        while clock::elapsed() < until && self.threads.iter().any(|thread| !thread.is_finished()) {
            clock::pause(Duration::from_millis(20));
        }
    }
}
