//! The steps layer: one act a file. Each takes the store, the provider if it needs one, and `now`.
//! Nothing here names Vapi, reads a clock or keeps a thread.

pub mod audit;
pub mod backup;
pub mod breaker;
pub mod customers;
pub mod dial;
pub mod do_not_call;
pub mod follow;
pub mod forecast;
pub mod import;
pub mod occasions;
pub mod operate;
pub mod readiness;
pub mod reconcile;
pub mod results;
pub mod scan;
pub mod settle;
pub mod status;

use std::sync::{Arc, OnceLock};

use chrono::{Duration, NaiveTime};

use crate::config::retry::RetryTimes as RetryConfig;
use crate::config::settings::Config;
use crate::config::timetable::Timetable;
use crate::domain::Instant;
use crate::domain::calendar::window::CallingWindow;
use crate::domain::call::{CallType, Disposition};
use crate::domain::gate::facts::Rules;
use crate::domain::gate::only_numbers::OnlyNumbers;
use crate::domain::retry::RetryRule;
use crate::steps::readiness::instance::InstanceIds;
use crate::store::Store;
use crate::store::meta::installation::{self, Installation};
use crate::zones::Zones;

/// The data that every step uses.
pub struct Context {
    pub store: Arc<Store>,
    pub config: Config,
    /// The configured rules, parsed.
    pub rules: Rules,
    /// When scans and backups run.
    pub timetable: Timetable,
    pub zones: Arc<Zones>,
    pub installation: Installation,
    /// An item that waits without a known end is checked again after this time. Zero for a single
    /// pass, which checks each item once.
    pub recheck_after: Duration,
    /// When this process began to dial. It knows all of its own calls since then, so a later
    /// unknown call is another dialer's. Set once, by the service; empty in processes that do not
    /// dial continuously.
    pub dialing_since: OnceLock<Instant>,
    /// The ids that distinguish this machine from a clone of it.
    pub machine: InstanceIds,
}

impl Context {
    pub fn new(store: Arc<Store>, config: Config, zones: Arc<Zones>) -> anyhow::Result<Context> {
        let rules = rules(&config)?;
        let timetable = Timetable::of(&config, &zones)?;
        let installation = store.read(installation::installation)?;
        let recheck_after = Duration::zero();
        let dialing_since = OnceLock::new();
        let machine = InstanceIds::here();
        Ok(Context {
            store,
            config,
            rules,
            timetable,
            zones,
            installation,
            recheck_after,
            dialing_since,
            machine,
        })
    }
}

/// The rules of a configuration that `config` has validated.
pub fn rules(config: &Config) -> anyhow::Result<Rules> {
    let retry = Disposition::ALL
        .iter()
        .map(|disposition| {
            CallType::ALL
                .iter()
                .map(|call_type| retry_rule(config.retry.rule(*disposition, *call_type)))
                .collect::<anyhow::Result<Vec<_>>>()
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let schedule = &config.schedule;
    let customers = &config.customers;
    Ok(Rules {
        eligible_payment_status: customers.eligible_payment_status.clone(),
        only_numbers: config.dialing.only_numbers.clone().map(OnlyNumbers::new),
        assistants: config.assistants.keys().cloned().collect(),
        welcome_delay: Duration::minutes(schedule.welcome_delay_minutes),
        look_ahead: Duration::minutes(schedule.look_ahead_minutes),
        max_lateness: Duration::minutes(schedule.max_lateness_minutes),
        grace: Duration::minutes(schedule.grace_minutes),
        min_gap_daily: Duration::hours(customers.min_gap_hours),
        min_gap_any: Duration::minutes(customers.min_gap_any_minutes),
        window: calling_window(config)?,
        strict: config.calling_window.strict,
        require_consent: customers.require_consent,
        calls_per_day: config.caps.calls_per_number_per_day,
        calls_per_period: config.caps.calls_per_number_per_period,
        period: Duration::days(config.caps.period_days.unwrap_or(30)),
        extra_calls_per_day: config.caps.extra_calls_per_day.unwrap_or(1),
        disable_after_failures: customers.disable_after_failures,
        max_attempts: config.dialing.max_attempts,
        back_off: config.dialing.backoff_minutes.iter().map(|m| Duration::minutes(*m)).collect(),
        retry,
    })
}

fn retry_rule(rule: &RetryConfig) -> anyhow::Result<RetryRule> {
    Ok(RetryRule {
        after: Duration::minutes(rule.after_minutes),
        until: rule.until.as_deref().map(local_time).transpose()?,
        times: usize::try_from(rule.times).unwrap_or(0),
    })
}

fn local_time(text: &str) -> anyhow::Result<NaiveTime> {
    NaiveTime::parse_from_str(text, "%H:%M")
        .map_err(|_| anyhow::anyhow!("{text:?} is not a local time HH:MM"))
}

/// The configured calling window: a preset, or start and end, optionally with separate weekdays.
fn calling_window(config: &Config) -> anyhow::Result<CallingWindow> {
    let wanted = &config.calling_window;
    CallingWindow::from_parts(
        &wanted.start,
        &wanted.end,
        wanted.preset.as_deref(),
        &wanted.days,
        wanted.stop_margin_minutes,
    )
    .map_err(|problem| anyhow::anyhow!("calling_window: {problem}"))
}
