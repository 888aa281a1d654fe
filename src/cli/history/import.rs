//! `history import`: the calls of an old scheduler, from the provider's records.

use std::sync::Arc;

use chrono::{Duration, NaiveDate, NaiveTime};
use clap::Args;

use crate::cli::arguments::configuration::Settings;
use crate::cli::arguments::{check_clock, must_exist, usage};
use crate::cli::exit::Exit;
use crate::clock::Reading;
use crate::domain::customer::columns::shown;
use crate::domain::{Instant, has_offset, instant_words, parse_instant, utc_words};
use crate::present::output::{self, Tone, toned};
use crate::provider::Provider as _;
use crate::steps::Context;
use crate::steps::import::history::{self, HistoryReport, Request};
use crate::steps::import::report::ImportOutcome;
use crate::store::Store;
use crate::store::file::memory_copy;
use crate::store::journal::Act;
use crate::vapi::{ApiKey, Vapi};

/// A date begins on earth this long before it begins in UTC.
const FIRST_ZONE_HOURS: i64 = 14;
/// At most this many shared numbers are printed; `--json` has all.
const SHARED_SHOWN: usize = 50;

#[derive(Args)]
#[command(after_help = "\
Reads the provider's outbound calls that carry no tags of this database. Each counts as made
elsewhere: it blocks the welcome call of the customer with its number, and the daily call of its local
date. Run it again as often as you like, also with the old scheduler still running.
A number that several customers have is listed. Its call counts for all of them, until `history
ignore` releases it.

Example:
  ringonce history import --since 2026-11-01 --dry-run")]
pub struct ImportArgs {
    /// The first date, or the first instant, of the calls to read
    #[arg(long, value_name = "DATE")]
    since: String,
    /// Count only calls by this assistant or squad; may be given several times
    #[arg(long, value_name = "ID")]
    assistant: Vec<String>,
    /// Show which calls would count and write nothing
    #[arg(long)]
    dry_run: bool,
    /// The reason, recorded in the journal
    #[arg(long)]
    reason: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn import(
    settings: Settings,
    args: &ImportArgs,
    who: &str,
    reading: &Reading,
) -> anyhow::Result<Exit> {
    let (since, now) = (since(&args.since)?, reading.now);
    if now < since {
        return Err(usage(format!("--since {} is in the future", shown(&args.since))));
    }
    let path = &settings.loaded.db;
    must_exist(path)?;
    let Some(key) = &settings.loaded.api_key else {
        return Err(usage("the provider's key is missing: set VAPI_API_KEY"));
    };
    let vapi = &settings.loaded.config.vapi;
    let provider = Vapi::new(&vapi.base_url, ApiKey::new(key.expose()), vapi.timeout_secs)?;
    // No transaction is open while the provider is asked.
    let listing = provider.list(since)?;
    let store = match args.dry_run {
        true => memory_copy::whole(&Store::look(path)?)?,
        false => Store::open(path, now)?,
    };
    if !args.dry_run {
        check_clock(&store, reading)?;
    }
    let kept_days = settings.loaded.config.reconcile.retention_days;
    let cx = Context::new(Arc::new(store), settings.loaded.config, Arc::new(settings.zones))?;
    let request = Request { since, assistants: &args.assistant };
    let act = Act { who, why: args.reason.as_deref().unwrap_or_default(), now };
    let mut report = history::import(&cx, &listing, &request, act)?;
    if args.dry_run {
        report.outcome = ImportOutcome::DryRun;
    }
    if args.json {
        output::json(&report)?;
        return Ok(Exit::Done);
    }
    if since < now - Duration::days(kept_days) {
        let line = format!(
            "warning: the provider keeps calls for {kept_days} days (reconcile.retention_days): \
             older ones are known only from the files"
        );
        output::line(&toned(Tone::Warn, &line))?;
    }
    print(&report)?;
    Ok(Exit::Done)
}

/// A date counts from where it begins first on earth.
fn since(text: &str) -> anyhow::Result<Instant> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_time(NaiveTime::MIN).and_utc() - Duration::hours(FIRST_ZONE_HOURS));
    }
    parse_instant(text).filter(|_| has_offset(text)).ok_or_else(|| {
        usage(format!(
            "--since \"{}\" is not a date: write 2026-11-22, or 2026-11-22T17:01:00Z",
            shown(text)
        ))
    })
}

fn print(report: &HistoryReport) -> anyhow::Result<()> {
    let since = instant_words(&report.since);
    output::line(&format!(
        "since {since}: {} calls count as made elsewhere; they may have reached {} customers",
        report.counted, report.customers
    ))?;
    let by: Vec<String> = report
        .assistants
        .iter()
        .map(|(assistant, count)| format!("{count} \"{}\"", output::clean(&shown(assistant))))
        .collect();
    if !by.is_empty() {
        output::line(&format!("by assistant: {}", by.join(", ")))?;
    }
    if report.to_nobody > 0 {
        let count = report.to_nobody;
        output::line(&format!("calls to numbers that no customer has: {count}"))?;
    }
    for shared in report.shared.iter().take(SHARED_SHOWN) {
        let customers: Vec<String> = shared.customers.iter().map(i64::to_string).collect();
        let at = parse_instant(&shared.at).map_or_else(|| shared.at.clone(), utc_words);
        output::line(&toned(
            Tone::Warn,
            &format!(
                "shared number: the call {} of {at} counts for customers {}; if it was not theirs, \
                 run `ringonce history ignore {0} --reason WHY`",
                shared.call_id,
                customers.join(", ")
            ),
        ))?;
    }
    let more = report.shared.len().saturating_sub(SHARED_SHOWN);
    if more > 0 {
        output::line(&format!("… and {more} more calls to shared numbers; --json lists all"))?;
    }
    let warn = |count: u64, what: &str| match count {
        0 => Ok(()),
        count => output::line(&toned(Tone::Warn, &format!("warning: {count} {what}"))),
    };
    warn(
        report.to_anybody,
        "calls name no readable number and block everybody: see `history list`",
    )?;
    warn(report.unreadable, "records of the provider cannot be read")?;
    let outcome = match report.outcome {
        ImportOutcome::DryRun => " (dry run, nothing was written)",
        _ => "",
    };
    output::line(&format!("{}{outcome}", report.summary()))
}
