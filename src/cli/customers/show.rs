//! `customers list` and `customers show`. Phones are masked unless revealed; the journal records
//! each reveal.

use crate::present::customer::{self, as_json};
use clap::Args;
use serde_json::Value;

use crate::cli::arguments::{Cx, new_file, one, usage};
use crate::cli::exit::Exit;
use crate::domain::Instant;
use crate::domain::customer::columns::shown;
use crate::domain::customer::{CallStatus, Customer};
use crate::present::output::{self, Table, clean};
use crate::store::customers::{self, Filter};
use crate::store::journal::{self, By};

#[derive(Args)]
pub struct ListArgs {
    /// Only customers with this call status: pending, completed, failed, paused, disabled
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only customers with this payment status
    #[arg(long, value_name = "STATUS")]
    payment_status: Option<String>,
    /// Only customers whose name, e-mail or external id contains this text, or whose number ends
    /// with it
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Show at most N
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Start after this id
    #[arg(long, default_value_t = 0, value_name = "ID")]
    after: i64,
    /// Show whole phone numbers; the journal records this
    #[arg(long)]
    reveal: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    /// Print CSV, or write it to this new file
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    #[arg(conflicts_with = "json")]
    csv: Option<String>,
}

#[derive(Args)]
pub struct ShowArgs {
    /// Id, external id, e-mail or phone; id:7, external:7, … match one kind only
    customer: String,
    /// Show the whole phone number; the journal records this
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
    if args.json || args.csv.is_some() {
        let rows: Vec<Value> = found.iter().map(|c| as_json(c, args.reveal)).collect();
        new_file::rows(args.csv.as_deref(), &customer::COLUMNS, &rows)?;
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

/// `Sun 2026-11-22 07:00` in the customer's zone.
fn local(cx: &Cx<'_>, customer: &Customer, at: Option<Instant>) -> String {
    let zone = cx.zones.get(&customer.timezone);
    at.map_or("–".to_string(), |at| output::local_or_utc(at, zone.as_deref()))
}

fn note_reveal(cx: &Cx<'_>, subject: &str) -> anyhow::Result<()> {
    let by = By { who: "cli", now: cx.now };
    cx.edit()?.write(|tx| journal::note_reveal(tx, by, subject, None))
}
