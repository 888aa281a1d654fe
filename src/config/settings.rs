//! Every table of `ringonce.toml` as a value, with its defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::alerts::Alerts;
use crate::config::assistants::NamedAssistant;
use crate::config::error::ConfigProblem;
use crate::config::events::Events;
use crate::config::results::Results;
use crate::config::retry::Retry;
use crate::config::webhook::Webhook;
use crate::domain::calendar::cron::Cron;

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// Five-field Unix cron in `schedule.timezone`; `None` = `run` makes no backups.
    pub cron: Option<String>,
    /// The folder of the copies; created when it is missing.
    pub folder: Option<String>,
    /// How many copies are kept.
    pub keep: usize,
}

impl Default for Backup {
    fn default() -> Self {
        Backup { cron: None, folder: None, keep: 14 }
    }
}

impl Backup {
    /// The values that cannot be used.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let problem = |key: &str, what: &str| ConfigProblem {
            key: format!("backup.{key}"),
            what: what.to_string(),
        };
        let mut found = Vec::new();
        match (&self.cron, self.folder.as_deref().map(str::trim)) {
            (Some(_), None | Some("")) => {
                found.push(problem("folder", "is not set: name a folder"))
            }
            (None, Some(_)) => {
                found.push(problem(
                    "cron",
                    "is not set, so nothing is copied: write \"30 3 * * *\"",
                ));
            }
            _ => {}
        }
        if let Some(Err(error)) = self.cron.as_deref().map(Cron::parse) {
            found.push(problem("cron", &error.to_string()));
        }
        if !(1..=10_000).contains(&self.keep) {
            let what = format!("{} is out of range: write 1 to 10000", self.keep);
            found.push(problem("keep", &what));
        }
        found
    }
}

/// All tables of `ringonce.toml`. Every key has a default except the provider's ids.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub vapi: VapiSettings,
    /// By the name that customers have in their column `assistant`.
    pub assistants: BTreeMap<String, NamedAssistant>,
    pub schedule: Schedule,
    pub customers: Customers,
    pub calling_window: WindowSettings,
    pub dialing: Dialing,
    pub caps: Caps,
    pub breaker: BreakerSettings,
    pub retry: Retry,
    pub holidays: Holidays,
    pub do_not_call: DoNotCall,
    pub follow: Follow,
    pub results: Results,
    pub reconcile: Reconcile,
    pub web: Web,
    pub webhook: Webhook,
    pub events: Events,
    pub alerts: Alerts,
    pub backup: Backup,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct VapiSettings {
    /// https only, except on loopback.
    pub base_url: String,
    pub phone_number_id: Option<String>,
    pub phone_number_ids: Vec<String>,
    /// `sticky` (each customer keeps one of our numbers) or `in_turn`.
    pub phone_number_choice: NumberChoice,
    /// Calls a number may make per UTC day; numbers bought at VapiSettings allow about 10. `None` = no cap.
    pub daily_calls_per_number: Option<u32>,
    pub assistant_id: Option<String>,
    pub welcome_assistant_id: Option<String>,
    pub daily_assistant_id: Option<String>,
    pub timeout_secs: u64,
    /// The assistant gets the summary of the customer's last call.
    pub send_last_summary: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum NumberChoice {
    #[default]
    Sticky,
    InTurn,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Five-field Unix cron in `timezone`.
    pub scan: String,
    pub timezone: String,
    pub look_ahead_minutes: i64,
    pub welcome_delay_minutes: i64,
    pub max_lateness_minutes: i64,
    /// For this long after its chosen time a call is on time, and the window does not limit it.
    pub grace_minutes: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Customers {
    pub eligible_payment_status: Vec<String>,
    /// The least time between two daily calls to one customer or number.
    pub min_gap_hours: i64,
    /// The least time between any two calls to one number, and to one customer.
    pub min_gap_any_minutes: i64,
    pub disable_after_failures: i64,
    pub require_consent: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct WindowSettings {
    /// `HH:MM`, customer-local.
    pub start: String,
    pub end: String,
    /// `us-federal`, `us-florida`, `uk`, `ca`, `au` or `fr`; replaces `start` and `end`.
    pub preset: Option<String>,
    /// No call starts within this many minutes before the end.
    pub stop_margin_minutes: i64,
    /// The window also limits the time that the customer chose. If the phone's country differs from
    /// the zone's, the window of the phone's country must be open too.
    pub strict: bool,
    /// Weekday (`monday` … `sunday`) to `"09:00-17:00"` (several with commas) or `"closed"`.
    pub days: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Dialing {
    pub workers: usize,
    pub max_active_calls: usize,
    pub calls_per_minute: usize,
    pub max_attempts: i64,
    pub backoff_minutes: Vec<i64>,
    /// The order of call types when lines are scarce.
    pub priority: Vec<String>,
    /// Minutes over which the pace grows back to full after an outage.
    pub ramp_minutes: i64,
    /// In E.164; no other number is dialed. `None` = every number may be dialed.
    pub only_numbers: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// Calls to one number, and to one customer at any number, on one local date of the
    /// customer; `None` = no cap.
    pub calls_per_number_per_day: Option<i64>,
    /// The same within `period_days`; `None` = no cap.
    pub calls_per_number_per_period: Option<i64>,
    /// The period of the cap above; 30 when unset.
    pub period_days: Option<i64>,
    /// Extra calls of one customer on one of their dates; 1 when unset.
    pub extra_calls_per_day: Option<i64>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// The breaker opens when more than this share of the last `sample` POSTs failed.
    pub failure_share: f64,
    pub sample: usize,
    /// How long it stays open before one probe call is permitted.
    pub probe_after_minutes: i64,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Holidays {
    /// CSV (`country,date,name`) or iCalendar files, read at start.
    pub files: Vec<String>,
    /// Dates (`2026-12-25`) on which nobody is called.
    pub blackout_dates: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct DoNotCall {
    /// Ended reasons that add the number to the do-not-call list.
    pub ended_reasons: Vec<String>,
    /// A field of the structured data or of a structured output, or the name of an output. The
    /// value `true` adds the number.
    pub structured_data_field: Option<String>,
    /// The name of an assistant's tool. A use of the tool adds the number.
    pub tool_name: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Follow {
    pub requests_per_minute: usize,
    /// A placed call older than this raises an alarm; it still occupies its line.
    pub alarm_minutes: i64,
    /// A placed call older than this no longer occupies a line. At least `alarm_minutes`.
    pub line_minutes: i64,
    /// The older name of `results.transcript`.
    pub store_transcripts: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Reconcile {
    pub in_doubt: DoubtPolicy,
    pub settle_minutes: i64,
    pub poll_seconds: i64,
    /// How many days back the provider's records reach.
    pub retention_days: i64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum DoubtPolicy {
    /// Proven absence waits for a person.
    #[default]
    Hold,
    /// Proven absence becomes `not_placed`, and the occasion may be dialed again.
    Redial,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// `None`: no listener.
    pub listen: Option<String>,
    /// The path below which a reverse proxy serves everything: see `base_path`.
    pub base_path: Option<String>,
    /// Fetched with GET after each good tick, as a dead-man's switch.
    pub ping_url: Option<String>,
    /// A reverse proxy in front of ringonce sets `X-Forwarded-For`.
    pub forwarded_for: bool,
}

impl Default for VapiSettings {
    fn default() -> Self {
        VapiSettings {
            base_url: "https://api.vapi.ai".to_string(),
            phone_number_id: None,
            phone_number_ids: Vec::new(),
            phone_number_choice: NumberChoice::Sticky,
            daily_calls_per_number: None,
            assistant_id: None,
            welcome_assistant_id: None,
            daily_assistant_id: None,
            timeout_secs: 20,
            send_last_summary: false,
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            scan: "*/15 * * * *".to_string(),
            timezone: "UTC".to_string(),
            look_ahead_minutes: 20,
            welcome_delay_minutes: 20,
            max_lateness_minutes: 240,
            grace_minutes: 30,
        }
    }
}

impl Default for Customers {
    fn default() -> Self {
        Customers {
            eligible_payment_status: vec!["Paid".to_string()],
            min_gap_hours: 12,
            min_gap_any_minutes: 60,
            disable_after_failures: 5,
            require_consent: false,
        }
    }
}

impl Default for WindowSettings {
    fn default() -> Self {
        WindowSettings {
            start: "08:00".to_string(),
            end: "21:00".to_string(),
            preset: None,
            stop_margin_minutes: 0,
            strict: false,
            days: BTreeMap::new(),
        }
    }
}

impl Default for Dialing {
    fn default() -> Self {
        Dialing {
            workers: 4,
            max_active_calls: 8,
            calls_per_minute: 30,
            max_attempts: 3,
            backoff_minutes: vec![15, 30, 45],
            priority: vec!["welcome".to_string(), "extra".to_string(), "daily".to_string()],
            ramp_minutes: 5,
            only_numbers: None,
        }
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        BreakerSettings { failure_share: 0.5, sample: 10, probe_after_minutes: 5 }
    }
}

impl Default for Follow {
    fn default() -> Self {
        Follow {
            requests_per_minute: 300,
            alarm_minutes: 60,
            line_minutes: 120,
            store_transcripts: false,
        }
    }
}

impl Default for Reconcile {
    fn default() -> Self {
        Reconcile {
            in_doubt: DoubtPolicy::Hold,
            settle_minutes: 15,
            poll_seconds: 10,
            retention_days: 14,
        }
    }
}
