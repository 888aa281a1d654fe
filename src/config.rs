//! Configuration: flags over environment over `ringonce.toml`. Secrets never come from the file.

mod address;
mod backup;
mod file;
mod load;
mod only_numbers;
mod secret;
mod validate;
mod webhook;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use address::BaseUrl;
pub use backup::Backup;
pub use file::{Parsed, known_keys, parse};
pub use load::{DEFAULT_FILE, Environment, Loaded, Overrides, load};
pub use secret::Secret;
pub use validate::{Problem, WEEKDAYS, WINDOW_PRESETS, missing_for_dialing, validate};
pub use webhook::{Algorithm as WebhookAlgorithm, Encoding as WebhookEncoding, Webhook};

/// Why the configuration cannot be used: one line, ready to print.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    fn new(message: String) -> ConfigError {
        ConfigError(message)
    }
}

/// Everything of `ringonce.toml`. Every key has a default but the provider's ids.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub vapi: Vapi,
    pub schedule: Schedule,
    pub customers: Customers,
    pub calling_window: CallingWindow,
    pub dialing: Dialing,
    pub caps: Caps,
    pub breaker: Breaker,
    pub retry: Retry,
    pub holidays: Holidays,
    pub do_not_call: DoNotCall,
    pub follow: Follow,
    pub reconcile: Reconcile,
    pub web: Web,
    pub webhook: Webhook,
    pub backup: Backup,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Vapi {
    /// https only, except on loopback.
    pub base_url: String,
    pub phone_number_id: Option<String>,
    pub phone_number_ids: Vec<String>,
    /// `sticky` (each customer keeps its number) or `in_turn`.
    pub phone_number_choice: NumberChoice,
    /// Calls a number may make per UTC day; numbers bought at Vapi allow about 10. `None` = no cap.
    pub daily_calls_per_number: Option<u32>,
    pub assistant_id: Option<String>,
    pub welcome_assistant_id: Option<String>,
    pub daily_assistant_id: Option<String>,
    pub timeout_secs: u64,
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
    /// A call counts as at its chosen time for so long; the window does not bind it.
    pub grace_minutes: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Customers {
    pub eligible_payment_status: Vec<String>,
    /// Between two daily calls of one customer.
    pub min_gap_hours: i64,
    /// Between any two calls to one number, and to one customer.
    pub min_gap_any_minutes: i64,
    pub disable_after_failures: i64,
    pub require_consent: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct CallingWindow {
    /// `HH:MM`, customer-local.
    pub start: String,
    pub end: String,
    /// `us-federal`, `us-florida`, `uk`, `ca`, `au` or `fr`; start and end then do not apply.
    pub preset: Option<String>,
    /// No call starts within so many minutes before the end.
    pub stop_margin_minutes: i64,
    /// The window binds also the time that the customer chose, and the window of the phone's
    /// country is intersected where it differs from the zone's.
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
    /// The order of types when lines are scarce.
    pub priority: Vec<String>,
    /// Minutes over which the pace grows back to full after an outage.
    pub ramp_minutes: i64,
    /// In E.164; nobody else is dialed. `None`: everybody is.
    pub only_numbers: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// Calls to one number, and to one customer at whatever number, in 24 hours; `None` = no cap.
    pub calls_per_number_per_day: Option<i64>,
    /// The same within `period_days`; `None` = no cap.
    pub calls_per_number_per_period: Option<i64>,
    /// The period of the cap above; 30 when unset.
    pub period_days: Option<i64>,
    /// Extra calls of one customer in 24 hours; 1 when unset.
    pub extra_calls_per_day: Option<i64>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// The breaker opens when more than this share of the last `sample` POSTs failed.
    pub failure_share: f64,
    pub sample: usize,
    /// How long it stays open before one probe call is let through.
    pub probe_after_minutes: i64,
}

/// Retry rules by disposition, then by call type.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    pub no_answer: RetryByType,
    pub busy: RetryByType,
    pub voicemail: RetryByType,
    pub answered: RetryByType,
    pub bad_number: RetryByType,
    pub never_dialed: RetryByType,
    pub failed: RetryByType,
    pub unknown: RetryByType,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RetryByType {
    pub daily: RetryRule,
    pub welcome: RetryRule,
    pub extra: RetryRule,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RetryRule {
    pub after_minutes: i64,
    /// `HH:MM` customer-local; a retry that would start later is not made. `None` = end of date.
    pub until: Option<String>,
    /// How many more attempts; 0 = none.
    pub times: i64,
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
    /// Field of the structured data or of a structured output, or the name of one, whose `true` adds
    /// the number.
    pub structured_data_field: Option<String>,
    /// Name of an assistant's tool whose call adds the number.
    pub tool_name: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Follow {
    pub requests_per_minute: usize,
    /// A placed call older than this shows as an alarm; it still holds its line.
    pub alarm_minutes: i64,
    pub store_transcripts: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Reconcile {
    pub in_doubt: DoubtPolicy,
    pub settle_minutes: i64,
    pub poll_seconds: i64,
    /// How far back the provider's records reach.
    pub retention_days: i64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum DoubtPolicy {
    /// Proven absence is kept for a person.
    #[default]
    Hold,
    /// Proven absence becomes `not_placed`, and the occasion may be tried again.
    Redial,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// `None`: no listener.
    pub listen: Option<String>,
    /// Asked with GET after each good tick; a dead-man's switch.
    pub ping_url: Option<String>,
    /// A reverse proxy stands in front and writes `X-Forwarded-For`.
    pub forwarded_for: bool,
}

impl Default for Vapi {
    fn default() -> Self {
        Vapi {
            base_url: "https://api.vapi.ai".to_string(),
            phone_number_id: None,
            phone_number_ids: Vec::new(),
            phone_number_choice: NumberChoice::Sticky,
            daily_calls_per_number: None,
            assistant_id: None,
            welcome_assistant_id: None,
            daily_assistant_id: None,
            timeout_secs: 20,
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

impl Default for CallingWindow {
    fn default() -> Self {
        CallingWindow {
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

impl Default for Breaker {
    fn default() -> Self {
        Breaker { failure_share: 0.5, sample: 10, probe_after_minutes: 5 }
    }
}

impl Default for Retry {
    fn default() -> Self {
        let once_daily = RetryByType {
            daily: RetryRule { after_minutes: 120, until: Some("20:00".to_string()), times: 1 },
            ..RetryByType::default()
        };
        let machine = RetryRule { after_minutes: 15, until: None, times: 2 };
        Retry {
            no_answer: once_daily.clone(),
            busy: once_daily,
            voicemail: RetryByType::default(),
            answered: RetryByType::default(),
            bad_number: RetryByType::default(),
            never_dialed: RetryByType {
                daily: machine.clone(),
                welcome: machine.clone(),
                extra: machine,
            },
            failed: RetryByType::default(),
            unknown: RetryByType::default(),
        }
    }
}

impl Default for Follow {
    fn default() -> Self {
        Follow { requests_per_minute: 300, alarm_minutes: 60, store_transcripts: false }
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

/// What ended, for whom: the rule that says whether anybody is called again.
impl Retry {
    pub fn rule(
        &self,
        disposition: crate::domain::call::Disposition,
        call_type: crate::domain::call::CallType,
    ) -> &RetryRule {
        use crate::domain::call::{CallType, Disposition::*};
        let by_type = match disposition {
            NoAnswer => &self.no_answer,
            Busy => &self.busy,
            Voicemail => &self.voicemail,
            Answered => &self.answered,
            BadNumber => &self.bad_number,
            NeverDialed => &self.never_dialed,
            Failed => &self.failed,
            Unknown => &self.unknown,
        };
        match call_type {
            CallType::Welcome => &by_type.welcome,
            CallType::Daily => &by_type.daily,
            CallType::Extra => &by_type.extra,
        }
    }
}
