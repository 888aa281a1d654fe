//! Floor 3: acts. One verb a file; each takes the store, the provider where it needs one, and
//! `now`. Nothing here names Vapi, reads a clock or keeps a thread.

pub mod absence;
pub mod account;
pub mod adopt;
pub mod analysis;
pub mod audit;
pub mod audit_calendar;
pub mod audit_calls;
pub mod audit_elsewhere;
pub mod audit_since;
pub mod backup;
pub mod behind;
pub mod breaker;
pub mod call;
pub mod cancel;
pub mod csv_rows;
pub mod customers;
pub mod dial;
pub mod disarm;
pub mod dnc;
pub mod dnc_file;
pub mod doors;
pub mod due_since;
pub mod elsewhere;
pub mod entry_text;
pub mod erase;
pub mod events;
pub mod explain;
pub mod explain_json;
pub mod follow;
pub mod foreign;
pub mod gather;
pub mod guard;
pub mod holidays;
pub mod import;
pub mod import_file;
pub mod import_header;
pub mod import_report;
pub mod instance;
pub mod next;
pub mod numbers;
pub mod operate;
pub mod opt_out;
pub mod plan;
pub mod queue_import;
pub mod queue_rows;
pub mod reconcile;
pub mod record;
pub mod reschedule;
pub mod restart;
pub mod resume;
pub mod scan;
pub mod settle;
pub mod simulate;
pub mod status;
pub mod unexplained;
pub mod unread;
pub mod unwritten;
pub mod whom;
pub mod whose;

use std::sync::{Arc, OnceLock};

use chrono::{Duration, NaiveTime};

use crate::config::{Config, RetryRule as RetryConfig};
use crate::domain::Instant;
use crate::domain::call::{CallType, Disposition};
use crate::domain::gate::Rules;
use crate::domain::only_numbers::OnlyNumbers;
use crate::domain::retry::RetryRule;
use crate::domain::window::CallingWindow;
use crate::steps::instance::InstanceIds;
use crate::store::Store;
use crate::store::meta::{self, Installation};
use crate::zones::Zones;

/// What every step works with.
pub struct Context {
    pub store: Arc<Store>,
    pub config: Config,
    /// The configuration's rules as values.
    pub rules: Rules,
    pub zones: Arc<Zones>,
    pub installation: Installation,
    /// Items that wait for something without a known end are looked at again after this; zero
    /// for a single pass, which looks at each once.
    pub recheck_after: Duration,
    /// Since when this process dials and knows all calls of its own: an unknown one from later is
    /// another dialer's. Set once, by the service; empty where nothing dials all the time.
    pub dialing_since: OnceLock<Instant>,
    /// The ids that tell this machine from a clone of it.
    pub machine: InstanceIds,
}

impl Context {
    pub fn new(store: Arc<Store>, config: Config, zones: Arc<Zones>) -> anyhow::Result<Context> {
        let rules = rules(&config)?;
        let installation = store.read(meta::installation)?;
        let recheck_after = Duration::zero();
        let dialing_since = OnceLock::new();
        let machine = InstanceIds::here();
        Ok(Context {
            store,
            config,
            rules,
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
        .map_err(|_| anyhow::anyhow!("{text:?} is no local time HH:MM"))
}

/// The configured calling window: a preset, or start and end, with weekdays of their own.
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
