//! The flags for a customer's columns.

use clap::Args;

use crate::cli::arguments::usage;
use crate::domain::Instant;
use crate::domain::customer::columns::{Column, shown};
use crate::domain::customer::entry::CustomerEntry;
use crate::steps::import::field_values::{Draft, Reader};

/// One flag per column.
#[derive(Args)]
pub struct FieldArgs {
    /// The id in your application
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// The name by which the assistant addresses the customer
    #[arg(long)]
    name: Option<String>,
    /// E-mail address
    #[arg(long)]
    email: Option<String>,
    /// Phone number with country code: +1 212 555 0101
    #[arg(long)]
    phone: Option<String>,
    /// IANA Area/City, such as Europe/London
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Local time of the daily call: 07:30, 7:30 pm
    #[arg(long, value_name = "TIME")]
    call_time: Option<String>,
    /// Five-field cron in local time, instead of a call time
    #[arg(long, value_name = "CRON")]
    call_schedule: Option<String>,
    /// Payment status, such as Paid or Pending
    #[arg(long, value_name = "STATUS")]
    payment_status: Option<String>,
    /// Whether the number may be dialed
    #[arg(long, value_name = "BOOL")]
    phone_validated: Option<String>,
    /// Whether the welcome call was already made
    #[arg(long, value_name = "BOOL")]
    welcome_call_completed: Option<String>,
    /// Local date of the last daily call
    #[arg(long, value_name = "DATE")]
    last_call_date: Option<String>,
    /// The instant of the next daily call; computed if it is not given
    #[arg(long, value_name = "INSTANT")]
    next_call_scheduled_at: Option<String>,
    /// Time of the sign-up
    #[arg(long, value_name = "INSTANT")]
    created_at: Option<String>,
    /// Whether several customers answer this number and each gets calls
    #[arg(long, value_name = "BOOL")]
    shared_phone: Option<String>,
    /// Time of the consent to be called
    #[arg(long, value_name = "INSTANT")]
    consent_at: Option<String>,
    /// Where the customer gave the consent
    #[arg(long, value_name = "TEXT")]
    consent_source: Option<String>,
    /// Exact text of the consent
    #[arg(long, value_name = "TEXT")]
    consent_text: Option<String>,
    /// Who speaks, by a table of assistants in ringonce.toml; '' = by the type of call
    #[arg(long, value_name = "NAME")]
    assistant: Option<String>,
    /// A variable for the assistant; may be given several times
    #[arg(long = "var", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Country of a phone that has no country code: US, GB, …
    #[arg(long, value_name = "CC")]
    default_country: Option<String>,
}

impl FieldArgs {
    pub fn default_country(&self) -> Option<&str> {
        self.default_country.as_deref()
    }

    /// Parses the flags into an entry; an error names the flag.
    pub fn entry(&self, reader: &mut Reader<'_>, now: Instant) -> anyhow::Result<CustomerEntry> {
        let mut draft = Draft::default();
        for (column, text) in self.texts() {
            let Some(text) = text else { continue };
            let flag = column.as_str().replace('_', "-");
            reader
                .set(&mut draft, column, text.trim())
                .map_err(|reason| usage(format!("--{flag}: {reason}")))?;
        }
        for pair in &self.variables {
            let (name, value) = pair
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| usage(format!("--var \"{}\": write NAME=VALUE", shown(pair))))?;
            reader.set_variable(&mut draft, name, value).map_err(usage)?;
        }
        let entry = draft.finish();
        let zone = entry.timezone.as_deref().and_then(|name| reader.zone(name));
        match entry.contradiction(zone.as_deref(), now) {
            Some((column, why)) => Err(usage(format!("--{}: {why}", column.replace('_', "-")))),
            None => Ok(entry),
        }
    }

    fn texts(&self) -> [(Column, &Option<String>); 18] {
        [
            (Column::ExternalId, &self.external_id),
            (Column::Name, &self.name),
            (Column::Email, &self.email),
            (Column::Phone, &self.phone),
            (Column::Timezone, &self.timezone),
            (Column::CallTime, &self.call_time),
            (Column::CallSchedule, &self.call_schedule),
            (Column::PaymentStatus, &self.payment_status),
            (Column::PhoneValidated, &self.phone_validated),
            (Column::WelcomeCallCompleted, &self.welcome_call_completed),
            (Column::LastCallDate, &self.last_call_date),
            (Column::NextCallScheduledAt, &self.next_call_scheduled_at),
            (Column::CreatedAt, &self.created_at),
            (Column::SharedPhone, &self.shared_phone),
            (Column::ConsentAt, &self.consent_at),
            (Column::ConsentSource, &self.consent_source),
            (Column::ConsentText, &self.consent_text),
            (Column::Assistant, &self.assistant),
        ]
    }
}
