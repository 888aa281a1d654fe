//! Local time: cron expressions, call times, calling windows, zones and their countries.

pub mod cron;
pub mod schedule;
pub mod window;
pub mod zone;
pub mod zone_country;
