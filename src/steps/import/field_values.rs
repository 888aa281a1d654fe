//! Parses text about a customer, field by field, into a `CustomerEntry`.
//!
//! Files, flags and the API all use this module, so that a text always means the same. Text that it
//! cannot parse is refused, never replaced by a default.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::Datelike;
use serde_json::Value;

use crate::domain::calendar::schedule::{call_time_text, parse_call_schedule, parse_call_time};
use crate::domain::calendar::zone::Zone;
use crate::domain::customer::CallStatus;
use crate::domain::customer::columns::{
    Column, nearest, parse_bool, parse_date, parse_email, shown, zone_of_label,
};
use crate::domain::customer::entry::{CustomerEntry, EntryPhone};
use crate::domain::customer::name::check_external_id;
use crate::domain::{Instant, has_offset, parse_instant};
use crate::phones;
use crate::zones::Zones;

/// The most characters in a name, key or status.
const TEXT_CHARACTERS_MAX: usize = 250;
/// The most characters in a variable or consent text.
const LONG_TEXT_CHARACTERS_MAX: usize = 10_000;
/// How many similar zones an error suggests.
const SUGGESTIONS: usize = 3;

/// Parses texts, and caches the zones.
pub struct Reader<'a> {
    zones: &'a Zones,
    default_country: Option<&'a str>,
    /// The names of `[assistants]`.
    assistants: Vec<String>,
    met: HashMap<String, Arc<Zone>>,
    /// The country of the next phone, as its row says it, or why it cannot be read.
    pub country_of_row: Option<Result<String, String>>,
    /// The next phone was checked before: it is valid, and it is what `likely_phone` says.
    pub next_phone_is_likely: bool,
    /// Phones written in a form from before a renumbering, and converted to today's.
    pub renumbered: u64,
}

/// An entry being built. The old export has a time in two columns.
#[derive(Debug, Default)]
pub struct Draft {
    pub entry: CustomerEntry,
    hour: Option<u32>,
    minute: Option<u32>,
}

impl<'a> Reader<'a> {
    /// `default_country` is the country of phones without a country code.
    pub fn new(zones: &'a Zones, default_country: Option<&'a str>) -> Reader<'a> {
        Reader {
            zones,
            default_country,
            assistants: Vec::new(),
            met: HashMap::new(),
            country_of_row: None,
            next_phone_is_likely: false,
            renumbered: 0,
        }
    }

    /// With the names that the column `assistant` may hold; without them it may hold none.
    pub fn with_assistants<N: ToString>(self, names: impl IntoIterator<Item = N>) -> Reader<'a> {
        Reader { assistants: names.into_iter().map(|name| name.to_string()).collect(), ..self }
    }

    /// The rules of a zone; `None` for a name that is not an IANA Area/City.
    pub fn zone(&mut self, name: &str) -> Option<Arc<Zone>> {
        if let Some(zone) = self.met.get(name) {
            return Some(zone.clone());
        }
        let zone = self.zones.get(name)?;
        self.met.insert(name.to_string(), zone.clone());
        Some(zone)
    }

    /// The IANA release of the zone rules.
    pub fn zone_rules(&self) -> &'static str {
        self.zones.version()
    }

    /// Sets one field. An empty text changes nothing, except that it removes an e-mail, a call
    /// time, a schedule, an assistant and a name.
    pub fn set(&mut self, draft: &mut Draft, column: Column, text: &str) -> Result<(), String> {
        let entry = &mut draft.entry;
        match column {
            Column::Phone => entry.phone = Some(self.phone(text)?),
            Column::Timezone => entry.timezone = Some(self.zone_name(text)?),
            Column::Name => entry.name = Some(short(text)?),
            Column::Email if text.is_empty() => entry.email = Some(None),
            Column::CallTime if text.is_empty() => entry.call_time = Some(None),
            Column::CallSchedule if text.is_empty() => entry.call_schedule = Some(None),
            Column::Assistant if text.is_empty() => entry.assistant = Some(None),
            _ if text.is_empty() => {}
            Column::Assistant => entry.assistant = Some(Some(self.assistant(text)?)),
            Column::Email => entry.email = Some(Some(parse_email(&short(text)?)?)),
            Column::CallTime => {
                entry.call_time = Some(Some(call_time_text(parse_call_time(text)?)));
            }
            Column::CallSchedule => {
                let schedule = short(text)?;
                parse_call_schedule(&schedule)?;
                entry.call_schedule = Some(Some(schedule));
            }
            Column::ExternalId => entry.external_id = Some(external_id(text)?),
            Column::Id if entry.external_id.is_none() => {
                entry.external_id = Some(external_id(text)?);
            }
            Column::Id => {}
            Column::PaymentStatus => entry.payment_status = Some(short(text)?),
            Column::CallStatus => entry.call_status = Some(call_status(text)?),
            Column::PhoneValidated => entry.phone_validated = Some(parse_bool(text)?),
            Column::SharedPhone => entry.shared_phone = Some(parse_bool(text)?),
            Column::WelcomeCallCompleted => {
                entry.welcome_call_completed = Some(parse_bool(text)?);
            }
            Column::LastCallDate => entry.last_call_date = Some(parse_date(text)?),
            Column::NextCallScheduledAt => {
                entry.next_call_scheduled_at = Some(instant_with_offset(text)?);
            }
            Column::CreatedAt => entry.created_at = Some(instant(text)?),
            Column::ConsentAt => entry.consent_at = Some(instant(text)?),
            Column::ConsentSource => entry.consent_source = Some(short(text)?),
            Column::ConsentText => entry.consent_text = Some(long(text)?),
            Column::LastCallId => entry.last_call_id = Some(short(text)?),
            Column::TotalCallsMade => entry.total_calls_made = Some(count(text)?),
            Column::ConsecutiveFailures => entry.consecutive_failures = Some(count(text)?),
            Column::CallTimeHour => draft.hour = Some(part_of_time(text, 23)?),
            Column::CallTimeMinute => draft.minute = Some(part_of_time(text, 59)?),
            Column::Variables => match serde_json::from_str(text) {
                Ok(Value::Object(variables)) => entry.variables.extend(variables),
                _ => return Err(format!("\"{}\" is not a JSON object", shown(text))),
            },
            // Only ringonce sets these, so they are ignored.
            Column::Key | Column::PhoneValidationError => {}
            Column::EligibleFrom | Column::UpdatedAt => {}
        }
        Ok(())
    }

    /// Sets a variable from a column that is not a field of ours.
    pub fn set_variable(&self, draft: &mut Draft, name: &str, text: &str) -> Result<(), String> {
        draft.entry.variables.insert(name.to_string(), Value::String(long(text)?));
        Ok(())
    }

    /// Parses a phone number. The error says why the text is not a phone number.
    pub fn phone(&mut self, text: &str) -> Result<EntryPhone, String> {
        if self.next_phone_is_likely
            && let Some(e164) = self.likely_phone(text)
        {
            return Ok(EntryPhone { e164, valid: true, error: None });
        }
        let phone = phones::parse(text, self.country_of(text)?)?;
        self.renumbered += u64::from(phone.today.as_ref() == Some(&phone.e164));
        Ok(EntryPhone { e164: phone.e164, valid: phone.valid, error: phone.error })
    }

    /// The number that a phone probably is, for the row that was read last.
    pub fn likely_phone(&self, text: &str) -> Option<String> {
        phones::likely(text, self.country_of(text).ok()?)
    }

    /// The country of a phone, or why it is not known.
    fn country_of(&self, text: &str) -> Result<Option<&str>, String> {
        match &self.country_of_row {
            Some(Err(reason)) if !text.contains('+') => Err(reason.clone()),
            Some(Ok(country)) => Ok(Some(country)),
            _ => Ok(self.default_country),
        }
    }

    /// Whether a phone was refused only because its row's country cannot be read.
    pub fn lacks_country(&self, reason: &str) -> bool {
        matches!(&self.country_of_row, Some(Err(why)) if why == reason)
    }

    /// A name of `[assistants]`: an unknown one would leave the customer without a call.
    fn assistant(&self, text: &str) -> Result<String, String> {
        if self.assistants.iter().any(|name| name == text) {
            return Ok(text.to_string());
        }
        let names = self.assistants.iter().map(String::as_str);
        let advice = match nearest(text, names) {
            Some(near) => format!("did you mean {near}?"),
            None if self.assistants.is_empty() => {
                "write a table [assistants.NAME] into ringonce.toml first".to_string()
            }
            None => format!("write one of {}", self.assistants.join(", ")),
        };
        Err(format!("\"{}\" is not an assistant of ringonce.toml: {advice}", shown(text)))
    }

    fn zone_name(&mut self, text: &str) -> Result<String, String> {
        const HINT: &str = "write an IANA Area/City, such as America/New_York";
        if text.is_empty() {
            return Err(format!("is empty: {HINT}"));
        }
        let name = zone_of_label(text).unwrap_or(text);
        if self.zone(name).is_some() {
            return Ok(name.to_string());
        }
        let near = self.zones.suggest(&shown(text), SUGGESTIONS);
        Err(match near.is_empty() {
            true => format!("\"{}\" is not an IANA zone: {HINT}", shown(text)),
            false => {
                format!("\"{}\" is not an IANA zone; nearest: {}", shown(text), near.join(", "))
            }
        })
    }
}

impl Draft {
    /// The entry. If it has no call time, the old hour and minute become the call time.
    pub fn finish(self) -> CustomerEntry {
        let mut entry = self.entry;
        let is_silent = !matches!(entry.call_time, Some(Some(_)));
        if let (true, Some(hour)) = (is_silent, self.hour) {
            entry.call_time = Some(Some(format!("{hour:02}:{:02}", self.minute.unwrap_or(0))));
        }
        entry
    }
}

fn short(text: &str) -> Result<String, String> {
    limited(text, TEXT_CHARACTERS_MAX)
}

fn external_id(text: &str) -> Result<String, String> {
    check_external_id(text)?;
    short(text)
}

fn long(text: &str) -> Result<String, String> {
    limited(text, LONG_TEXT_CHARACTERS_MAX)
}

fn limited(text: &str, characters_max: usize) -> Result<String, String> {
    if characters_max < text.len() && characters_max < text.chars().count() {
        return Err(format!("is longer than {characters_max} characters"));
    }
    if text.contains('\0') {
        return Err("holds a NUL byte".to_string());
    }
    Ok(text.to_string())
}

fn call_status(text: &str) -> Result<CallStatus, String> {
    CallStatus::parse(&text.to_ascii_lowercase()).ok_or_else(|| {
        let known: Vec<&str> = CallStatus::ALL.iter().map(|status| status.as_str()).collect();
        format!("\"{}\" is not a call status: write {}", shown(text), known.join(", "))
    })
}

/// Years with five digits would break the sort order of stored texts.
fn instant(text: &str) -> Result<Instant, String> {
    parse_instant(text)
        .filter(|at| (1970..=9999).contains(&at.year()))
        .ok_or_else(|| format!("\"{}\" is not an instant: write 2026-11-22T17:01:00Z", shown(text)))
}

/// A next call without an offset would be read as UTC and ring hours early or late.
fn instant_with_offset(text: &str) -> Result<Instant, String> {
    let at = instant(text)?;
    if has_offset(text) {
        return Ok(at);
    }
    Err(format!(
        "\"{}\" has no offset, so its instant is not known: write 2026-11-22T17:01:00Z, or leave it \
         empty, and it is computed from the call time",
        shown(text)
    ))
}

fn count(text: &str) -> Result<i64, String> {
    text.parse()
        .ok()
        .filter(|count| (0..=i64::from(u32::MAX)).contains(count))
        .ok_or_else(|| format!("\"{}\" is not a count: write a whole number", shown(text)))
}

fn part_of_time(text: &str, max: u32) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|part| *part <= max)
        .ok_or_else(|| format!("\"{}\" is not a number from 0 to {max}", shown(text)))
}
