//! The fields of a customer that the page edits: their labels, and how a form becomes an entry. The
//! texts are parsed by the one reader that files, flags and requests use.

use crate::domain::customer::Customer;
use crate::domain::customer::columns::{Column, shown};
use crate::domain::customer::entry::CustomerEntry;
use crate::domain::{Instant, instant_text};
use crate::present::attempt::value_text;
use crate::steps::import::field_values::{Draft, Reader};
use crate::web::asked::Asked;

/// How a field is edited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Text(&'static str),
    /// The number is never shown; an empty field keeps it.
    Phone,
    Zone,
    YesNo,
    Long,
}

/// One field of the form.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub column: Column,
    pub label: &'static str,
    pub hint: &'static str,
    pub kind: Kind,
}

const fn field(column: Column, label: &'static str, hint: &'static str, kind: Kind) -> Field {
    Field { column, label, hint, kind }
}

/// The fields that are edited often.
pub const FIELDS: [Field; 10] = [
    field(Column::Name, "Name", "", Kind::Text("text")),
    field(Column::Phone, "Phone", "Empty: the number stays.", Kind::Phone),
    field(Column::Email, "E-mail", "", Kind::Text("email")),
    field(Column::Timezone, "Time zone", "An IANA name: Europe/London.", Kind::Zone),
    field(
        Column::CallTime,
        "Call time",
        "Local time: 07:30 or 7:30 pm. Empty: no daily calls.",
        Kind::Text("text"),
    ),
    field(
        Column::CallSchedule,
        "Schedule",
        "Instead of a call time, in five fields: 30 7 * * MON-FRI.",
        Kind::Text("text"),
    ),
    field(Column::PaymentStatus, "Payment", "", Kind::Text("text")),
    field(
        Column::Assistant,
        "Assistant",
        "A name of [assistants]. Empty: by type of call.",
        Kind::Text("text"),
    ),
    field(
        Column::SharedPhone,
        "Shared phone",
        "Several people answer this number, and each gets calls.",
        Kind::YesNo,
    ),
    field(Column::PhoneValidated, "The number may be dialed", "", Kind::YesNo),
];

/// Fields that are edited seldom.
pub const SELDOM: [Field; 4] = [
    field(Column::ExternalId, "External id", "The id in your application.", Kind::Text("text")),
    field(
        Column::ConsentAt,
        "Consent given at",
        "An instant: 2026-11-22T17:01:00Z.",
        Kind::Text("text"),
    ),
    field(Column::ConsentSource, "Consent given where", "", Kind::Text("text")),
    field(Column::ConsentText, "Consent text", "", Kind::Long),
];

/// The prefix of a variable's name in the form.
pub const VARIABLE: &str = "var.";
/// The prefix of the values with which the form was opened.
pub const WAS: &str = "was.";
pub const NEW_NAME: &str = "new-variable";
pub const NEW_VALUE: &str = "new-value";

/// A field with a value that cannot be used, and why.
pub type Refusal = (String, String);

/// The present value as the form shows it.
pub fn current(customer: &Customer, column: Column) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    match column {
        Column::Name => customer.name.clone(),
        Column::Email => text(&customer.email),
        Column::Timezone => customer.timezone.clone(),
        Column::CallTime => text(&customer.call_time),
        Column::CallSchedule => text(&customer.call_schedule),
        Column::PaymentStatus => customer.payment_status.clone(),
        Column::Assistant => text(&customer.assistant),
        Column::SharedPhone => customer.shared_phone.to_string(),
        Column::PhoneValidated => customer.phone_validated.to_string(),
        Column::ExternalId => text(&customer.external_id),
        Column::ConsentAt => customer.consent_at.map(instant_text).unwrap_or_default(),
        Column::ConsentSource => text(&customer.consent_source),
        Column::ConsentText => text(&customer.consent_text),
        _ => String::new(),
    }
}

/// The variables with their values as the form shows them.
pub fn variables(customer: &Customer) -> Vec<(String, String)> {
    customer.variables.iter().map(|(name, value)| (name.clone(), value_text(value))).collect()
}

/// The new text of a sent field. `None`: it is the present value, or the value with which the form
/// was opened. A value that somebody else changed in the meantime is not overwritten.
fn said<'a>(asked: &'a Asked<'_>, name: &str, now: &str) -> Result<Option<&'a str>, String> {
    let Some(sent) = asked.sent(name) else { return Ok(None) };
    let same = |one: &str, other: &str| one.lines().eq(other.trim().lines());
    let was = asked.sent(&format!("{WAS}{name}"));
    if same(sent, now) || was.is_some_and(|was| same(sent, was)) {
        return Ok(None);
    }
    match was {
        Some(was) if !same(was, now) => Err(format!(
            "was changed to \"{}\" after this form was opened; open the form again",
            shown(now)
        )),
        _ => Ok(Some(sent)),
    }
}

/// The entry of a sent form: only the fields that differ. Else every field that cannot be used.
pub fn entry(
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
    customer: &Customer,
    now: Instant,
) -> Result<CustomerEntry, Vec<Refusal>> {
    let mut draft = Draft::default();
    let mut refused: Vec<Refusal> = Vec::new();
    for field in FIELDS.iter().chain(&SELDOM) {
        let name = field.column.as_str();
        let set = said(asked, name, &current(customer, field.column)).and_then(|sent| match sent {
            Some("") if field.kind == Kind::Phone => Ok(()),
            Some(text) => reader.set(&mut draft, field.column, text),
            None => Ok(()),
        });
        if let Err(why) = set {
            refused.push((name.to_string(), on_the_page(&why)));
        }
    }
    for (name, value) in variables(customer) {
        let sent = format!("{VARIABLE}{name}");
        let set = said(asked, &sent, &value).and_then(|said| match said {
            Some(text) => reader.set_variable(&mut draft, &name, text),
            None => Ok(()),
        });
        refused.extend(set.err().map(|why| (sent, why)));
    }
    let new = asked.form(NEW_NAME);
    if !new.is_empty() {
        let set = reader.set_variable(&mut draft, new, asked.form(NEW_VALUE));
        refused.extend(set.err().map(|why| (NEW_NAME.to_string(), why)));
    } else if !asked.form(NEW_VALUE).is_empty() {
        refused.push((NEW_NAME.to_string(), "has no name: give the variable one".to_string()));
    }
    let entry = draft.finish();
    let zone = reader.zone(entry.timezone.as_ref().unwrap_or(&customer.timezone));
    if let Some((column, why)) = entry.contradiction(zone.as_deref(), now) {
        refused.push((column.to_string(), why));
    }
    if refused.is_empty() { Ok(entry) } else { Err(refused) }
}

/// The words of the command line, without its flag.
fn on_the_page(why: &str) -> String {
    why.replace("write it as +…, or give --default-country", "write it as +1 212 555 0101")
}
