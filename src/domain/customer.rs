//! A customer: who is called, where they live, and when they want to be called.

pub mod columns;
pub mod date_format;
pub mod entry;
pub mod name;
pub mod near_header;

use chrono::NaiveDate;

use crate::domain::{Instant, text_enum};

text_enum! {
    /// The result of the last call, or why no call is made.
    pub enum CallStatus {
        Pending = "pending",
        /// The last occasion was placed.
        Completed = "completed",
        /// The last occasion failed.
        Failed = "failed",
        /// Stopped by a person, until resumed.
        Paused = "paused",
        /// Stopped by ringonce after too many failed occasions in a row.
        Disabled = "disabled",
    }
}

/// A row of `customers`.
#[derive(Clone, Debug, PartialEq)]
pub struct Customer {
    pub id: i64,
    /// Stable UUID by which the provider knows the customer.
    pub key: String,
    pub external_id: Option<String>,
    pub name: String,
    pub email: Option<String>,
    /// E.164.
    pub phone: String,
    pub phone_validated: bool,
    pub phone_validation_error: Option<String>,
    /// IANA Area/City.
    pub timezone: String,
    /// `HH:MM` in the customer's zone; `None` = no daily calls, unless there is a schedule.
    pub call_time: Option<String>,
    /// Five-field cron in the customer's zone, instead of `call_time`.
    pub call_schedule: Option<String>,
    pub payment_status: String,
    pub call_status: CallStatus,
    pub welcome_call_completed: bool,
    pub next_call_scheduled_at: Option<Instant>,
    pub last_call_date: Option<NaiveDate>,
    pub last_call_id: Option<String>,
    pub total_calls_made: i64,
    pub consecutive_failures: i64,
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// Several people answer this number; each row gets its own calls.
    pub shared_phone: bool,
    pub consent_at: Option<Instant>,
    pub consent_source: Option<String>,
    pub consent_text: Option<String>,
    /// Dates missed before this instant are not reported as too late.
    pub eligible_from: Option<Instant>,
    pub created_at: Instant,
    pub updated_at: Instant,
    /// A name from `[assistants]`; `None` = by call type.
    pub assistant: Option<String>,
}

impl Customer {
    /// Whether the phone has the E.164 form. Another program may have written the row. Two
    /// spellings would count as two numbers in the ledger and in the do-not-call list.
    pub fn has_e164_phone(&self) -> bool {
        let digits = self.phone.strip_prefix('+').unwrap_or_default();
        (1..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// `+12125550101` as `+1•••••••0101`: enough to recognise, too little to dial. There are always
/// seven dots, so that they hide the length. Text under 8 characters becomes dots only.
pub fn mask_phone(phone: &str) -> String {
    let characters: Vec<char> = phone.chars().collect();
    if characters.len() < 8 {
        return "•".repeat(characters.len());
    }
    let (first, last) = (&characters[..2], &characters[characters.len() - 4..]);
    format!("{}•••••••{}", String::from_iter(first), String::from_iter(last))
}
