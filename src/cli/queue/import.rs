//! `queue import`: imports the rows, or prints why no row was imported.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::cli::arguments::configuration::Settings;
use crate::cli::arguments::{check_clock, usage};
use crate::cli::customers::printed::describe;
use crate::cli::exit::Exit;
use crate::clock::Reading;
use crate::present::output;
use crate::steps::Context;
use crate::steps::import::file::Unusable;
use crate::steps::import::queue::{self, QueueImportReport, summary};
use crate::steps::import::report::ImportOutcome;
use crate::steps::import::sheet::file_name;
use crate::store::Store;
use crate::store::file::memory_copy;

/// At most this many bad rows are printed; all are counted.
const PROBLEMS_SHOWN: usize = 50;

#[derive(Args)]
#[command(after_help = "\
Columns: customer_id (the external_id of a customer), call_type (welcome or daily), scheduled_for,
status; also attempts, max_attempts, error_message, vapi_call_id, created_at, processed_at. Other
columns are skipped. Rows in the middle of a call (processing) are imported as in doubt: see
`attempts list`. A row with a vapi_call_id enters the ledger: its occasion is not called again.")]
pub struct ImportArgs {
    /// A CSV file with a header
    file: PathBuf,
    /// Show which rows would be imported and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn import(settings: Settings, args: &ImportArgs, reading: &Reading) -> anyhow::Result<Exit> {
    let now = reading.now;
    let path = &settings.loaded.db;
    let looked = Store::look(path)?;
    let store = if args.dry_run { memory_copy::whole(&looked)? } else { Store::open(path, now)? };
    if !args.dry_run {
        check_clock(&store, reading)?;
    }
    let cx = Context::new(Arc::new(store), settings.loaded.config, Arc::new(settings.zones))?;
    let mut report = queue::import(&cx, &args.file, now).map_err(|error| {
        if error.is::<Unusable>() { usage(format!("{error:#}")) } else { error }
    })?;
    if args.dry_run && report.outcome == ImportOutcome::Applied {
        report.outcome = ImportOutcome::DryRun;
    }
    if args.json {
        output::json(&report)?
    } else {
        print(&file_name(&args.file), &report)?
    }
    if report.bad > 0 {
        return Err(usage(format!("{} bad rows, nothing was written: fix the file", report.bad)));
    }
    Ok(Exit::Done)
}

fn print(file: &str, report: &QueueImportReport) -> anyhow::Result<()> {
    for problem in report.problems.iter().take(PROBLEMS_SHOWN) {
        output::line(&output::clean(&describe(file, problem)))?;
    }
    let outcome = match report.outcome {
        ImportOutcome::Applied => "",
        ImportOutcome::DryRun => " (dry run, nothing was written)",
        ImportOutcome::Refused => " (refused, nothing was written)",
    };
    output::line(&format!("{}{outcome}", summary(report)))
}
