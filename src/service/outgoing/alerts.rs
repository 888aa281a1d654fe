//! Tells a person that something needs them: in its own thread beside `run`, and once at the end of
//! `tick`. Each channel gets one message for each cause, one for its end, and one reminder a day. A
//! file that is not armed sends none.

pub mod alarms;

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;

use crate::clock;
use crate::config::alerts::AlertKind;
use crate::config::load::LoadedConfig;
use crate::domain::alarm::{Alarm, Need, Told, needs};
use crate::domain::{Instant, instant_text};
use crate::service::outgoing::alerts::alarms::{Counts, alarms};
use crate::service::outgoing::email::Postbox;
use crate::service::outgoing::message::{self, Delivery, Message, MessageKind};
use crate::service::{Service, follower};
use crate::steps::readiness::health::{Cause, evidence};
use crate::steps::readiness::{armed, clock_check};
use crate::steps::status::figures;
use crate::store::meta::alerts::{self, FailingChannel};
use crate::store::meta::breaker;
use crate::store::views::causes as counts;

/// How often the thread looks for causes.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The key of the last message of a service whose dialing stopped for good.
const STOPPED: &str = "stopped";
/// The next command after a cause that is over: it shows what else is the matter.
const LOOK: &str = "ringonce status";
/// A cause that lifts itself within this time wakes nobody.
const TOLD_AFTER_SECONDS: i64 = 60;
/// The longest time that one message may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The rests after a message that failed: the first, and the longest.
const RESTS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(1800));

/// A way to a person.
pub struct Channel {
    /// `url` or `email`, as in the configuration.
    pub name: &'static str,
    way: Way,
}

enum Way {
    Http { url: String, kind: AlertKind },
    Email(Box<Postbox>),
}

impl Channel {
    /// Every configured channel. `Err`: a setting cannot be used.
    pub fn all(loaded: &LoadedConfig) -> Result<Vec<Channel>, String> {
        let config = &loaded.config.alerts;
        let mut found = Vec::new();
        if let (Some(url), Some(kind)) = (config.url.clone(), config.kind) {
            found.push(Channel { name: "url", way: Way::Http { url, kind } });
        }
        if let Some(postbox) = Postbox::of(&config.email, loaded.smtp_password.as_ref())? {
            found.push(Channel { name: "email", way: Way::Email(Box::new(postbox)) });
        }
        Ok(found)
    }

    /// Whether the settings can be used, as far as that is known without the network.
    pub fn check(&self) -> Result<(), String> {
        match &self.way {
            Way::Http { .. } => Ok(()),
            Way::Email(postbox) => postbox.check(),
        }
    }

    /// Sends one message once, in this time at most.
    pub fn send(&self, message: &Message, time: Duration) -> Result<Delivery, String> {
        match &self.way {
            Way::Http { url, kind } => {
                message::post(url, *kind, message, time.min(PATIENCE)).map(|()| Delivery::Whole)
            }
            Way::Email(postbox) => postbox.send(message, time.min(PATIENCE)),
        }
    }
}

/// The present alarms.
fn look(service: &Service, now: Instant) -> anyhow::Result<Vec<Alarm>> {
    let cx = &service.cx;
    let halted: Vec<Cause> = service.halted().into_iter().map(Cause::Halted).collect();
    let causes = evidence::causes_of(&cx.store, (&cx.config, &cx.timetable), halted, now)?;
    let unsettled = now - chrono::Duration::minutes(cx.config.reconcile.settle_minutes);
    let failures = cx.config.customers.disable_after_failures;
    let counts = cx.store.read(|conn| {
        Ok(Counts {
            breaker_is_open: breaker::breaker(conn)?.is_some(),
            doubts: counts::old_doubts(conn, unsettled)?,
            disabled: counts::disabled_by_failures(conn, failures)?,
            second_calls: counts::open_second_calls(conn)?,
        })
    })?;
    Ok(alarms(&causes, counts))
}

/// Sends what the channel needs to hear now, until `until` (process time). Returns why the first
/// message failed; the rest then waits. No transaction is open while a message is sent.
pub fn tell(
    service: &Service,
    channel: &Channel,
    patience: chrono::Duration,
    until: Duration,
) -> anyhow::Result<Result<(), String>> {
    let cx = &service.cx;
    let reading = service.clock.read()?;
    let now = reading.now;
    if armed::swapped(&cx.store).is_some() || armed::not_armed(cx)?.is_some() {
        return Ok(Ok(()));
    }
    let present = look(service, now)?;
    let told = cx.store.read(|conn| alerts::told(conn, channel.name))?;
    for (key, need) in needs(&present, &told, patience, now) {
        let known = told.get(&key);
        let alarm = present.iter().find(|alarm| alarm.key == key);
        if let Some(message) = message_for(&key, need, alarm, known, now)
            && let Err(why) = send(service, channel, &message, (now, until))?
        {
            return Ok(Err(why));
        }
        let what = alarm.map(|alarm| alarm.what.clone());
        let next = match need {
            Need::Begin => Some(Told { since: now, at: None, what: what.unwrap_or_default() }),
            Need::Alert | Need::Remind => Some(Told {
                since: known.map_or(now, |known| known.since),
                at: Some(now),
                what: what.unwrap_or_default(),
            }),
            Need::Resolve | Need::Forget => None,
        };
        cx.store.write(|tx| alerts::tell(tx, channel.name, &key, next.as_ref()))?;
    }
    // A wrong clock would send the summary of another day.
    if !clock_check::is_trusted(cx, &reading)? {
        return Ok(Ok(()));
    }
    summarize(service, channel, &present, (now, until))
}

fn send(
    service: &Service,
    channel: &Channel,
    message: &Message,
    (now, until): (Instant, Duration),
) -> anyhow::Result<Result<(), String>> {
    let left = until.saturating_sub(clock::elapsed());
    if left.is_zero() {
        return Ok(Err("there was no time left".to_string()));
    }
    let sent = channel.send(message, left);
    let (store, name) = (&service.cx.store, channel.name);
    let failing = match &sent {
        Ok(Delivery::Whole) => None,
        // The others have it, so it is not sent again.
        Ok(Delivery::WithoutSome(why)) => Some(format!("refused for {why}")),
        Err(why) => Some(why.clone()),
    };
    match failing {
        None => {
            if store.write(|tx| alerts::works(tx, name))? {
                log::info!("alerts by {name} work again");
            }
        }
        Some(why) => {
            log::error!("an alert by {name} could not be sent: {why}");
            let (channel, since) = (name.to_string(), instant_text(now));
            store.write(|tx| alerts::fails(tx, &FailingChannel { channel, since, why }))?;
        }
    }
    Ok(sent.map(drop))
}

fn message_for(
    key: &str,
    need: Need,
    alarm: Option<&Alarm>,
    known: Option<&Told>,
    now: Instant,
) -> Option<Message> {
    let (kind, word) = match need {
        Need::Begin | Need::Forget => return None,
        Need::Alert => (MessageKind::Problem, ""),
        Need::Remind => (MessageKind::Reminder, "still: "),
        Need::Resolve => (MessageKind::Resolved, "resolved: "),
    };
    let what = match alarm {
        Some(alarm) => &alarm.what,
        None => &known?.what,
    };
    let form = "%Y-%m-%d %H:%M UTC";
    let since = known.map_or(now, |known| known.since).format(form);
    let text = match need {
        Need::Resolve => {
            format!("this is over: {what}; it lasted from {since} to {}", now.format(form))
        }
        _ => format!("{what}, since {since}"),
    };
    Some(Message {
        kind,
        cause: Some(key.to_string()),
        title: format!("ringonce: {word}{what}"),
        text,
        command: Some(alarm.map_or(LOOK.to_string(), |alarm| alarm.command.clone())),
        at: instant_text(now),
    })
}

/// Sends the daily summary at its time, once a date.
fn summarize(
    service: &Service,
    channel: &Channel,
    present: &[Alarm],
    (now, until): (Instant, Duration),
) -> anyhow::Result<Result<(), String>> {
    let cx = &service.cx;
    let Some(time) = cx.config.alerts.summary_at() else { return Ok(Ok(())) };
    let zone = cx.timetable.zone();
    let today = zone.date(now);
    let is_due = zone.resolve(today.and_time(time)) <= now;
    let last = cx.store.read(|conn| alerts::last_summary(conn, channel.name))?;
    if !is_due || last >= Some(today) {
        return Ok(Ok(()));
    }
    let seen = cx.store.read(|conn| {
        figures::figures(conn, (&cx.config, &cx.timetable), (&cx.rules, &cx.zones), now)
    })?;
    let mut text = format!(
        "{} called, {} reached, {} failed, {} skipped, {} in doubt, {} waiting",
        seen.today.called,
        seen.today.reached,
        seen.today.failed,
        seen.skipped(),
        seen.in_doubt,
        seen.waiting(),
    );
    for alarm in present {
        text.push_str(&format!("\n{}: {}", alarm.what, alarm.command));
    }
    let message = Message {
        kind: MessageKind::Summary,
        cause: None,
        title: format!("ringonce: {today}"),
        text,
        command: Some(LOOK.to_string()),
        at: instant_text(now),
    };
    let sent = send(service, channel, &message, (now, until))?;
    if sent.is_ok() {
        cx.store.write(|tx| alerts::set_last_summary(tx, channel.name, today))?;
    }
    Ok(sent)
}

/// Tells every channel once, at the end of a pass, in this time at most. Errors are only logged: the
/// pass is done.
pub fn tell_all(service: &Service, channels: &[Channel], time: Duration) {
    let until = clock::elapsed() + time;
    for channel in channels {
        if let Err(error) = tell(service, channel, chrono::Duration::zero(), until) {
            log::error!("causes for alerts could not be read: {error:#}");
        }
    }
}

/// The last message of a service whose dialing stopped for good: the file is not armed any more, or
/// needs a person. It is not stored, because the file may be another one now.
pub fn tell_stopped(channels: &[Channel], now: Instant) {
    let message = Message {
        kind: MessageKind::Problem,
        cause: Some(STOPPED.to_string()),
        title: "ringonce: dialing has stopped, and the service has ended".to_string(),
        text: "the service may not dial from its file any more, and a person must decide"
            .to_string(),
        command: Some("ringonce check".to_string()),
        at: instant_text(now),
    };
    for channel in channels {
        if let Err(why) = channel.send(&message, PATIENCE) {
            log::error!("an alert by {} could not be sent: {why}", channel.name);
        }
    }
}

/// Watches for causes until the service stops. One thread for each channel, so that one that hangs
/// delays no other.
pub fn keep_watching(
    service: &Arc<Service>,
    channels: &Arc<Vec<Channel>>,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let mut watchers = Vec::new();
    for place in 0..channels.len() {
        let (service, channels) = (Arc::clone(service), Arc::clone(channels));
        let watcher = Builder::new().name("alerts".to_string()).spawn(move || {
            watch(&service, &channels[place]);
        });
        watchers.push(watcher.context("start the thread for alerts")?);
    }
    Ok(watchers)
}

fn watch(service: &Service, channel: &Channel) {
    let patience = chrono::Duration::seconds(TOLD_AFTER_SECONDS);
    let (mut rest, mut next) = (RESTS.0, Duration::ZERO);
    while !service.stopping() {
        if next <= clock::elapsed() {
            match tell(service, channel, patience, Duration::MAX) {
                Ok(Ok(())) => rest = RESTS.0,
                failed => {
                    if let Err(error) = failed {
                        log::error!("causes for alerts could not be read: {error:#}");
                    }
                    next = clock::elapsed() + rest;
                    rest = (rest * 2).min(RESTS.1);
                }
            }
        }
        follower::rest(service, LOOK_EVERY);
    }
}
