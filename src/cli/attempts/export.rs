//! `attempts export`: one row per attempt, with the result of its call, for spreadsheets and
//! programs.

use std::io::Write;

use chrono::NaiveDate;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::arguments::configuration::{Global, Settings, settings};
use crate::cli::arguments::{WHO, must_exist, new_file, warn_of_left_out};
use crate::cli::exit::Exit;
use crate::cli::report::{date, dates, home};
use crate::domain::calendar::zone::Zone;
use crate::present::{attempt, csv, output};
use crate::steps::results::report::span;
use crate::store::journal::{self, By};
use crate::store::views::report::{self, ExportedAttempt};
use crate::store::{Conn, Store};

/// The most columns of structured values: a spreadsheet shows at most this many.
const MOST_NAMES: i64 = 500;

/// The columns of the CSV before the structured values.
const COLUMNS: [&str; 21] = [
    "attempt_id",
    "customer_id",
    "external_id",
    "customer_name",
    "phone",
    "call_type",
    "occasion",
    "attempt_no",
    "state",
    "local_time",
    "timezone",
    "created_at",
    "started_at",
    "ended_at",
    "ended_reason",
    "disposition",
    "duration_seconds",
    "cost",
    "vapi_call_id",
    "summary",
    "success_evaluation",
];

#[derive(Args)]
#[command(after_help = "\
An attempt counts on the customer's local date. The transcript is not exported.

Examples:
  ringonce attempts export --from 2026-11-01 --to 2026-11-30 november.csv
  ringonce attempts export --format jsonl - | jq .result.summary")]
pub struct ExportArgs {
    /// The new file; - for stdout
    file: String,
    /// First date; 30 days up to today if it is not given
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Option<NaiveDate>,
    /// Last date; today if it is not given
    #[arg(long, value_name = "DATE", value_parser = date)]
    to: Option<NaiveDate>,
    /// The form of the file
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    format: ExportFormat,
    /// Show whole phone numbers; the journal records this
    #[arg(long)]
    reveal: bool,
}

/// The form of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// For spreadsheets: one column for each structured value
    Csv,
    /// For programs: one JSON object a line
    Jsonl,
}

pub fn export(global: &Global, args: &ExportArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    let dates = dates(&settings, (args.from, args.to), now)?;
    let path = &settings.loaded.db;
    must_exist(path)?;
    let store = if args.reveal { Store::open(path, now)? } else { Store::look(path)? };
    if args.reveal {
        let by = By { who: WHO, now };
        store.write(|tx| journal::note_reveal(tx, by, "attempts", None))?;
    }
    let mut left_out = 0;
    new_file::write(&args.file, |out| {
        left_out = store.read(|conn| write(conn, &settings, args, dates, out))?;
        Ok(())
    })?;
    warn_of_left_out(left_out);
    Ok(Exit::Done)
}

fn write(
    conn: &Conn,
    settings: &Settings,
    args: &ExportArgs,
    (from, to): (NaiveDate, NaiveDate),
    out: &mut dyn Write,
) -> anyhow::Result<u64> {
    let names = match args.format {
        ExportFormat::Csv => report::structured_names(conn, span(from, to), MOST_NAMES)?,
        ExportFormat::Jsonl => Vec::new(),
    };
    if args.format == ExportFormat::Csv {
        let structured = names.iter().map(|name| csv::cell(&format!("structured: {name}")));
        let header = COLUMNS.iter().map(|name| name.to_string()).chain(structured);
        out.write_all(csv::line(header).as_bytes())?;
    }
    let home = home(settings);
    report::attempts(conn, span(from, to), &mut |row| {
        let zone = row.customer.as_ref().and_then(|(_, _, name)| settings.zones.get(name));
        let zone = zone.as_deref().unwrap_or(&home);
        let day = zone.date(row.attempt.created_at);
        if day < from || to < day {
            return Ok(());
        }
        let json = as_json(&row, zone, args.reveal);
        let line = match args.format {
            ExportFormat::Csv => as_csv(&json, &names),
            ExportFormat::Jsonl => format!("{json}\n"),
        };
        Ok(out.write_all(line.as_bytes())?)
    })
}

/// The attempt as in the API, with its customer, the local time and the result.
fn as_json(row: &ExportedAttempt, zone: &Zone, reveal: bool) -> Value {
    let (name, external_id, timezone) = match &row.customer {
        Some((name, external_id, zone)) => (name.as_str(), external_id.as_ref(), Some(zone)),
        None => ("", None, None),
    };
    let mut told = attempt::as_json(&row.attempt, Some(name), reveal);
    told["external_id"] = json!(external_id);
    told["timezone"] = json!(timezone);
    told["local_time"] = json!(output::local_rfc3339(row.attempt.created_at, zone));
    told["result"] = attempt::result_json(row.result.as_ref(), false);
    told
}

fn as_csv(told: &Value, names: &[String]) -> String {
    let cell = |name: &&str| match *name {
        "attempt_id" => csv::value(&told["id"]),
        "summary" | "success_evaluation" => csv::value(&told["result"][*name]),
        name => csv::value(&told[name]),
    };
    let structured = |name: &String| match &told["result"]["structured"][name] {
        Value::Null => String::new(),
        Value::Number(number) => number.to_string(),
        value => csv::cell(&attempt::value_text(value)),
    };
    csv::line(COLUMNS.iter().map(cell).chain(names.iter().map(structured)))
}
