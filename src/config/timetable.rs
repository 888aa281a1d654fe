//! The instants of scans and backups, and the day of the operator: the parsed values of
//! `[schedule]` and `[backup]`. Whoever needs one of them asks here, so that nothing is parsed
//! twice.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use chrono::{Duration, NaiveTime};

use crate::config::settings::Config;
use crate::domain::Instant;
use crate::domain::calendar::cron::Cron;
use crate::domain::calendar::zone::Zone;
use crate::zones::Zones;

/// See the module.
pub struct Timetable {
    timezone: String,
    zone: Mutex<Arc<Zone>>,
    scan: Cron,
    /// `None` = `run` makes no backups.
    backup: Option<Cron>,
}

impl Timetable {
    /// Fails on a value that `validate` refuses.
    pub fn of(config: &Config, zones: &Zones) -> anyhow::Result<Timetable> {
        let schedule = &config.schedule;
        let zone = zones
            .get_schedule_zone(&schedule.timezone)
            .context("schedule.timezone is not known")?;
        let cron = |key: &'static str, text: &String| Cron::parse(text).context(key);
        Ok(Timetable {
            timezone: schedule.timezone.clone(),
            zone: Mutex::new(zone),
            scan: cron("schedule.scan", &schedule.scan)?,
            backup: config
                .backup
                .cron
                .as_ref()
                .map(|text| cron("backup.cron", text))
                .transpose()?,
        })
    }

    /// The zone of both crons and of "today", by the rules that were last read.
    pub fn zone(&self) -> Arc<Zone> {
        Arc::clone(&self.zone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over zone rules that were read again.
    pub fn refresh(&self, zones: &Zones) {
        if let Some(zone) = zones.get_schedule_zone(&self.timezone) {
            *self.zone.lock().unwrap_or_else(PoisonError::into_inner) = zone;
        }
    }

    /// The first scan strictly after this instant. `None` past the year 2100.
    pub fn next_scan(&self, after: Instant) -> Option<Instant> {
        self.scan.next_after(&self.zone(), after)
    }

    /// The second scan strictly after this instant.
    pub fn second_scan(&self, after: Instant) -> Option<Instant> {
        self.next_scan(self.next_scan(after)?)
    }

    /// The time between the next two scans after this instant. `None` past the year 2100.
    pub fn scan_period(&self, after: Instant) -> Option<Duration> {
        let first = self.next_scan(after)?;
        Some(self.next_scan(first)? - first)
    }

    pub fn makes_backups(&self) -> bool {
        self.backup.is_some()
    }

    /// The first backup strictly after this instant. `None` if none are configured.
    pub fn next_backup(&self, after: Instant) -> Option<Instant> {
        self.backup.as_ref()?.next_after(&self.zone(), after)
    }

    /// The beginning of the operator's day.
    pub fn midnight(&self, now: Instant) -> Instant {
        let zone = self.zone();
        zone.resolve(zone.date(now).and_time(NaiveTime::MIN))
    }
}
