//! `[retry]`: how often and when an ended call is retried.

use serde::{Deserialize, Serialize};

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
    pub daily: RetryTimes,
    pub welcome: RetryTimes,
    pub extra: RetryTimes,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RetryTimes {
    pub after_minutes: i64,
    /// `HH:MM` customer-local; a retry starts before it or not at all. `None` = end of date.
    pub until: Option<String>,
    /// How many more attempts; 0 = none.
    pub times: i64,
}

impl Default for Retry {
    fn default() -> Self {
        let once_daily = RetryByType {
            daily: RetryTimes { after_minutes: 120, until: Some("20:00".to_string()), times: 1 },
            ..RetryByType::default()
        };
        let machine = RetryTimes { after_minutes: 15, until: None, times: 2 };
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

/// Finds the rule of a disposition and a call type.
impl Retry {
    pub fn rule(
        &self,
        disposition: crate::domain::call::Disposition,
        call_type: crate::domain::call::CallType,
    ) -> &RetryTimes {
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
