//! `customers list` and `customers show`. Phones are masked unless revealed, and a reveal is
//! journaled.

use clap::Args;
use serde_json::{Value, json};

use super::customers::{Cx, one, usage};
use super::exit::Exit;
use super::output::{self, Table, clean};
use crate::domain::customer::{CallStatus, Customer};
use crate::domain::fields::shown;
use crate::domain::{Instant, instant_text};
use crate::store::customers::{self, Filter};
use crate::store::journal;

#[derive(Args)]
pub struct ListArgs {
    /// Only with this call status: pending, completed, failed, paused, disabled
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only with this payment status
    #[arg(long, value_name = "STATUS")]
    payment_status: Option<String>,
    /// Only whose name, e-mail or external id holds this text, or whose number ends so
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on after this id
    #[arg(long, default_value_t = 0, value_name = "ID")]
    after: i64,
    /// Show whole phone numbers; goes into the journal
    #[arg(long)]
    reveal: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ShowArgs {
    /// Id, external id, e-mail or phone; id:7, external:7, … ask for one kind only
    customer: String,
    /// Show the whole phone number; goes into the journal
    #[arg(long)]
    reveal: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn list(cx: &Cx<'_>, args: &ListArgs) -> anyhow::Result<Exit> {
    let call_status = args.status.as_deref().map(call_status).transpose()?;
    let payment_status = args.payment_status.clone();
    let filter = Filter { call_status, payment_status, text: args.search.clone() };
    let store = cx.look()?;
    let found =
        store.read(|conn| customers::list(conn, &filter, args.limit as usize, args.after))?;
    if args.reveal {
        note_reveal(cx, "customers")?;
    }
    if args.json {
        let rows: Vec<Value> = found.iter().map(|c| as_json(c, args.reveal)).collect();
        output::json(&rows)?;
        return Ok(Exit::Done);
    }
    let Some(last) = found.last() else {
        output::line("no customers")?;
        return Ok(Exit::Done);
    };
    let mut table = Table::new(&[
        "ID",
        "EXTERNAL",
        "NAME",
        "PHONE",
        "ZONE",
        "CALL AT",
        "PAYMENT",
        "STATUS",
        "WELCOME",
        "LAST CALL",
        "NEXT CALL",
    ])
    .align_right(0);
    for customer in &found {
        table.row(cells(cx, customer, args.reveal));
    }
    table.print()?;
    if found.len() == args.limit as usize {
        output::line(&format!("there may be more: --after {}", last.id))?;
    }
    Ok(Exit::Done)
}

fn call_status(text: &str) -> anyhow::Result<CallStatus> {
    CallStatus::parse(text).ok_or_else(|| {
        let known: Vec<&str> = CallStatus::ALL.iter().map(|status| status.as_str()).collect();
        usage(format!("--status \"{}\": give one of {}", shown(text), known.join(", ")))
    })
}

fn cells(cx: &Cx<'_>, customer: &Customer, reveal: bool) -> [String; 11] {
    let text = |value: Option<&String>| value.map_or("–".to_string(), |text| clean(text));
    let phone = output::phone(&customer.phone, reveal);
    [
        customer.id.to_string(),
        text(customer.external_id.as_ref()),
        clean(&customer.name),
        if customer.phone_validated { phone } else { format!("{phone} (invalid)") },
        clean(&customer.timezone),
        text(customer.call_schedule.as_ref().or(customer.call_time.as_ref())),
        clean(&customer.payment_status),
        customer.call_status.to_string(),
        if customer.welcome_call_completed { "called" } else { "due" }.to_string(),
        customer.last_call_date.map_or("–".to_string(), |date| date.to_string()),
        local(cx, customer, customer.next_call_scheduled_at),
    ]
}

pub fn show(cx: &Cx<'_>, args: &ShowArgs) -> anyhow::Result<Exit> {
    let customer = cx.look()?.read(|conn| one(conn, &args.customer))?;
    if args.reveal {
        note_reveal(cx, &format!("customer:{}", customer.id))?;
    }
    let fields = as_json(&customer, args.reveal);
    if args.json {
        output::json(&fields)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["FIELD", "VALUE"]);
    for (name, value) in fields.as_object().into_iter().flatten() {
        let text = match value {
            Value::Null => "–".to_string(),
            Value::String(text) => clean(text),
            other => clean(&other.to_string()),
        };
        table.row([name.clone(), text]);
    }
    let next = local(cx, &customer, customer.next_call_scheduled_at);
    table.row(["next call, local time".to_string(), next]);
    table.print()?;
    Ok(Exit::Done)
}

/// `Sun 2026-11-22 07:00` on the customer's clock.
fn local(cx: &Cx<'_>, customer: &Customer, at: Option<Instant>) -> String {
    let zone = cx.zones.get(&customer.timezone);
    at.map_or("–".to_string(), |at| output::local_or_utc(at, zone.as_deref()))
}

fn note_reveal(cx: &Cx<'_>, subject: &str) -> anyhow::Result<()> {
    let entry = journal::Entry { who: "cli", what: "reveal", subject, ..Default::default() };
    cx.edit()?.write(|tx| journal::add(tx, cx.now, entry))
}

/// Every column, with the phone masked unless it is revealed.
pub fn as_json(customer: &Customer, reveal: bool) -> Value {
    json!({
        "id": customer.id,
        "key": customer.key,
        "external_id": customer.external_id,
        "name": customer.name,
        "email": customer.email,
        "phone": output::phone(&customer.phone, reveal),
        "phone_validated": customer.phone_validated,
        "phone_validation_error": customer.phone_validation_error,
        "timezone": customer.timezone,
        "call_time": customer.call_time,
        "call_schedule": customer.call_schedule,
        "payment_status": customer.payment_status,
        "call_status": customer.call_status.as_str(),
        "welcome_call_completed": customer.welcome_call_completed,
        "next_call_scheduled_at": customer.next_call_scheduled_at.map(instant_text),
        "last_call_date": customer.last_call_date.map(|date| date.to_string()),
        "last_call_id": customer.last_call_id,
        "total_calls_made": customer.total_calls_made,
        "consecutive_failures": customer.consecutive_failures,
        "variables": customer.variables,
        "shared_phone": customer.shared_phone,
        "consent_at": customer.consent_at.map(instant_text),
        "consent_source": customer.consent_source,
        "consent_text": customer.consent_text,
        "eligible_from": customer.eligible_from.map(instant_text),
        "created_at": instant_text(customer.created_at),
        "updated_at": instant_text(customer.updated_at),
    })
}
