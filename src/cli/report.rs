//! `ringonce report`: the figures of a span of dates.

use chrono::{Days, NaiveDate};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::arguments::configuration::{Global, Settings, settings};
use crate::cli::arguments::{known, must_exist, new_file, usage, warn_of_left_out};
use crate::cli::exit::Exit;
use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::present::csv;
use crate::present::output::{self, Table};
use crate::steps::results::report::{self, Figures, LONGEST, Report, ReportBy, ReportOf};
use crate::store::Store;

/// The days of a report without `--from`.
const USUAL_DAYS: u64 = 29;

/// Show how many calls fell due, were made and reached somebody, with minutes and cost
#[derive(Args)]
#[command(after_help = "\
An occasion counts on the customer's local date on which it fell due. Duration and cost are those
that the provider reports. The API has the same figures: GET /api/report.

Examples:
  ringonce report --from 2026-11-01 --to 2026-11-30 --by week
  ringonce report --by disposition --csv november.csv")]
pub struct ReportArgs {
    /// First date; 30 days up to today if it is not given
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Option<NaiveDate>,
    /// Last date; today if it is not given
    #[arg(long, value_name = "DATE", value_parser = date)]
    to: Option<NaiveDate>,
    /// One row for each: day, week, month, type or disposition
    #[arg(long, value_name = "WHAT", default_value = "day")]
    by: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write CSV to this new file; - for stdout
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    csv: Option<String>,
}

/// Parses a date of a flag.
pub fn date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|date| date.to_string() == text)
        .ok_or_else(|| "is not a date: write 2026-11-22".to_string())
}

/// The dates of two flags. `--to` defaults to today in the zone of the schedule.
pub fn dates(
    settings: &Settings,
    (from, to): (Option<NaiveDate>, Option<NaiveDate>),
    now: Instant,
) -> anyhow::Result<(NaiveDate, NaiveDate)> {
    let today = home(settings).date(now);
    let to = to.unwrap_or_else(|| from.map_or(today, |from| from.max(today)));
    let from = from.unwrap_or_else(|| to.checked_sub_days(Days::new(USUAL_DAYS)).unwrap_or(to));
    if to < from {
        return Err(usage(format!("--to {to} is before --from {from}: exchange them")));
    }
    if LONGEST < (to - from).num_days() {
        return Err(usage(format!("--from {from} to {to} is too long: at most {LONGEST} days")));
    }
    Ok((from, to))
}

/// The zone of the schedule.
pub fn home(settings: &Settings) -> std::sync::Arc<Zone> {
    let name = &settings.loaded.config.schedule.timezone;
    settings.zones.get_schedule_zone(name).unwrap_or_else(|| std::sync::Arc::new(Zone::utc()))
}

pub fn run(global: &Global, args: &ReportArgs) -> anyhow::Result<Exit> {
    let by = known(&args.by, "--by", ReportBy::ALL, ReportBy::as_str)?;
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    let (from, to) = dates(&settings, (args.from, args.to), now)?;
    must_exist(&settings.loaded.db)?;
    let store = Store::look(&settings.loaded.db)?;
    let wanted = ReportOf { from, to, by };
    let home = home(&settings);
    let made = store.read(|conn| report::report(conn, &settings.zones, &home, wanted, now))?;
    warn_of_left_out(made.left_out);
    match &args.csv {
        Some(target) => {
            let text = as_csv(&made);
            new_file::write(target, |out| Ok(out.write_all(text.as_bytes())?))?;
        }
        None if args.json => output::json(&made)?,
        None => print(&made)?,
    }
    Ok(Exit::Done)
}

/// The columns of the figures, in their order.
const COLUMNS: [&str; 13] = [
    "key",
    "due",
    "called",
    "reached",
    "already_called",
    "skipped",
    "failed",
    "in_doubt",
    "waiting",
    "calls",
    "minutes",
    "average_seconds",
    "cost",
];

/// The rows and the total, with one more column for each reason of skipping.
fn as_csv(made: &Report) -> String {
    let total = ("total".to_string(), &made.total);
    let rows = made.rows.iter().map(|row| (row.key.clone(), &row.figures)).chain([total]);
    let flat: Vec<Value> = rows
        .map(|(key, figures)| {
            let mut row = json!(figures);
            row["key"] = json!(key);
            row["skipped"] = json!(figures.skipped.values().sum::<i64>());
            for reason in made.total.skipped.keys() {
                let count = figures.skipped.get(reason).copied().unwrap_or(0);
                row[format!("skipped_{reason}")] = json!(count);
            }
            row
        })
        .collect();
    let reasons: Vec<String> =
        made.total.skipped.keys().map(|reason| format!("skipped_{reason}")).collect();
    let mut columns: Vec<&str> = COLUMNS.to_vec();
    columns[0] = made.by;
    columns.extend(reasons.iter().map(String::as_str));
    let flat: Vec<Value> = flat
        .into_iter()
        .map(|mut row| {
            row[made.by] = row["key"].take();
            row
        })
        .collect();
    csv::table(&columns, &flat)
}

fn print(made: &Report) -> anyhow::Result<()> {
    let by = made.by.to_uppercase();
    let header = [
        by.as_str(),
        "DUE",
        "CALLED",
        "REACHED",
        "SKIPPED",
        "FAILED",
        "IN DOUBT",
        "WAITING",
        "CALLS",
        "MINUTES",
        "AVERAGE",
        "COST",
    ];
    let mut table = Table::new(&header);
    for column in 1..header.len() {
        table = table.align_right(column);
    }
    for row in &made.rows {
        table.row(cells(&row.key, &row.figures));
    }
    table.row(cells("total", &made.total));
    table.print()?;
    if 0 < made.total.already_called {
        output::line(&format!("called before we came: {}", made.total.already_called))?;
    }
    let skipped = made.total.skipped.iter().map(|(reason, count)| format!("{reason} {count}"));
    let skipped: Vec<String> = skipped.collect();
    if !skipped.is_empty() {
        output::line(&format!("skipped: {}", skipped.join(", ")))?;
    }
    Ok(())
}

fn cells(key: &str, figures: &Figures) -> [String; 12] {
    [
        key.to_string(),
        figures.due.to_string(),
        figures.called.to_string(),
        figures.reached.to_string(),
        figures.skipped.values().sum::<i64>().to_string(),
        figures.failed.to_string(),
        figures.in_doubt.to_string(),
        figures.waiting.to_string(),
        figures.calls.to_string(),
        format!("{:.1}", figures.minutes),
        figures.average_seconds.map_or("–".to_string(), |seconds| format!("{seconds:.0} s")),
        format!("${:.2}", figures.cost),
    ]
}
