//! The columns of a customer as flags.

use clap::Args;

use super::customers::usage;
use crate::domain::Instant;
use crate::domain::entry::Entry;
use crate::domain::fields::{Column, shown};
use crate::steps::entry_text::{Draft, Reader};

/// One flag a column.
#[derive(Args)]
pub struct FieldArgs {
    /// The id in your application
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// How the assistant may call them
    #[arg(long)]
    name: Option<String>,
    /// E-mail address
    #[arg(long)]
    email: Option<String>,
    /// With country: +1 212 555 0101
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
    /// Such as Paid or Pending
    #[arg(long, value_name = "STATUS")]
    payment_status: Option<String>,
    /// Whether the number may be dialed
    #[arg(long, value_name = "BOOL")]
    phone_validated: Option<String>,
    /// The welcome call was made already
    #[arg(long, value_name = "BOOL")]
    welcome_call_completed: Option<String>,
    /// Local date of the last daily call
    #[arg(long, value_name = "DATE")]
    last_call_date: Option<String>,
    /// The instant of the next daily call; computed when it is not given
    #[arg(long, value_name = "INSTANT")]
    next_call_scheduled_at: Option<String>,
    /// When they signed up
    #[arg(long, value_name = "INSTANT")]
    created_at: Option<String>,
    /// Several customers answer this number and each gets calls
    #[arg(long, value_name = "BOOL")]
    shared_phone: Option<String>,
    /// When they agreed to be called
    #[arg(long, value_name = "INSTANT")]
    consent_at: Option<String>,
    /// Where they agreed
    #[arg(long, value_name = "TEXT")]
    consent_source: Option<String>,
    /// What they agreed to, word for word
    #[arg(long, value_name = "TEXT")]
    consent_text: Option<String>,
    /// A variable of the assistant; may be given again
    #[arg(long = "var", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Country of a phone that is written without one: US, GB, …
    #[arg(long, value_name = "CC")]
    default_country: Option<String>,
}

impl FieldArgs {
    pub fn default_country(&self) -> Option<&str> {
        self.default_country.as_deref()
    }

    /// The flags as an entry; the error names the flag.
    pub fn entry(&self, reader: &mut Reader<'_>, now: Instant) -> anyhow::Result<Entry> {
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
        match entry.contradiction(now) {
            Some((column, why)) => Err(usage(format!("--{}: {why}", column.replace('_', "-")))),
            None => Ok(entry),
        }
    }

    fn texts(&self) -> [(Column, &Option<String>); 17] {
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
        ]
    }
}
