//! `queue import`: what came in, or why nothing did.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::customers::{check_clock, usage};
use super::customers_import::describe;
use super::exit::Exit;
use super::{Settings, output};
use crate::clock::Reading;
use crate::steps::Context;
use crate::steps::import_file::{Unusable, file_name};
use crate::steps::import_report::Outcome;
use crate::steps::queue_import::{self, Report, summary};
use crate::store::{Store, copy};

/// Bad rows that are printed; all are counted.
const PROBLEMS_SHOWN: usize = 50;

#[derive(Args)]
#[command(after_help = "\
Columns: customer_id (the external_id of a customer), call_type (welcome or daily), scheduled_for,
status; also attempts, max_attempts, error_message, vapi_call_id, created_at, processed_at. Others
are read over. Rows in the middle of a call (processing) come in as in doubt: see `attempts list`.
A row with a vapi_call_id is in the ledger from then on: nobody is called again for its occasion.")]
pub struct ImportArgs {
    /// A CSV file with a header
    file: PathBuf,
    /// Show what would come in and write nothing
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
    let store = match args.dry_run {
        true => copy::whole(&looked)?,
        false => Store::open(path, now)?,
    };
    if !args.dry_run {
        check_clock(&store, reading)?;
    }
    let cx = Context::new(Arc::new(store), settings.loaded.config, Arc::new(settings.zones))?;
    let mut report = queue_import::import(&cx, &args.file, now).map_err(|error| match error
        .is::<Unusable>()
    {
        true => usage(format!("{error:#}")),
        false => error,
    })?;
    if args.dry_run && report.outcome == Outcome::Applied {
        report.outcome = Outcome::DryRun;
    }
    match args.json {
        true => output::json(&report)?,
        false => print(&file_name(&args.file), &report)?,
    }
    if 0 < report.bad {
        return Err(usage(format!("{} bad rows, nothing was written: mend the file", report.bad)));
    }
    Ok(Exit::Done)
}

fn print(file: &str, report: &Report) -> anyhow::Result<()> {
    for problem in report.problems.iter().take(PROBLEMS_SHOWN) {
        output::line(&output::clean(&describe(file, problem)))?;
    }
    let outcome = match report.outcome {
        Outcome::Applied => "",
        Outcome::DryRun => " (dry run, nothing was written)",
        Outcome::Refused => " (refused, nothing was written)",
    };
    output::line(&format!("{}{outcome}", summary(report)))
}
