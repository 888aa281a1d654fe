//! `ringonce dnc …`: the do-not-call list.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::arguments::configuration::{Global, Settings, settings};
use crate::cli::arguments::{new_file, usage, warn_if_new_beside};
use crate::cli::customers::printed::describe;
use crate::cli::exit::Exit;
use crate::domain::customer::columns::shown;
use crate::domain::{Instant, instant_text};
use crate::phones;
use crate::present::output::{self, Table, clean};
use crate::steps::do_not_call::file::read_file;
use crate::steps::do_not_call::list::{self, ListedNumber};
use crate::steps::import::sheet::file_name;
use crate::store::journal::{self, By};
use crate::store::meta::installation;
use crate::store::{Store, do_not_call};

/// The actor's name in the journal.
const WHO: &str = "cli";
/// At most this many bad lines of a file are printed; all are counted.
const PROBLEMS_SHOWN: usize = 1_000;

/// Manage the do-not-call list: numbers that are never called, for any customer
#[derive(Args)]
pub struct DncArgs {
    #[command(subcommand)]
    command: DncCommand,
}

#[derive(Subcommand)]
enum DncCommand {
    /// Never call a number again; applies from the next call on, also to queued calls
    Add(NumberArgs),
    /// Add the numbers of a file
    Import(FileArgs),
    /// Let a number be called again
    Remove(NumberArgs),
    /// Show the list
    List(ListArgs),
}

#[derive(Args)]
struct NumberArgs {
    /// The number, with + and country code
    phone: String,
    /// The reason, recorded in the journal
    #[arg(long)]
    reason: String,
    /// Country of a number that has no country code: US, GB, …
    #[arg(long, value_name = "CC")]
    default_country: Option<String>,
}

#[derive(Args)]
#[command(after_help = "\
The file holds one of these:
  one number a line
  a CSV whose header names a column phone, and perhaps reason and area_code
  area code and number in two columns without a header, such as 212,5550101
A line that is not a number of its country's plan is a bad row: a date, an area code alone.
A number in its form from before a renumbering (Mexico, Brazil, Ivory Coast and others) is listed in
today's form, and neither form is called.
Exits 2 when a row is bad and --skip-bad is not given; then nothing is written.")]
struct FileArgs {
    /// A text or CSV file, UTF-8
    file: PathBuf,
    /// Leave bad rows out instead of refusing the file
    #[arg(long)]
    skip_bad: bool,
    /// The reason for lines that do not give one
    #[arg(long)]
    reason: Option<String>,
    /// Country of numbers that have no country code: US, GB, …
    #[arg(long, value_name = "CC")]
    default_country: Option<String>,
}

#[derive(Args)]
struct ListArgs {
    /// Show whole numbers; the journal records this
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

pub fn run(global: &Global, args: &DncArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    match &args.command {
        DncCommand::Add(args) => add(&settings, args, now),
        DncCommand::Import(args) => import(&settings, args, now),
        DncCommand::Remove(args) => remove(&settings, args, now),
        DncCommand::List(args) => list(&settings, args, now),
    }
}

/// Checks `--reason` and `--default-country` before the number is parsed.
fn check_words(args: &NumberArgs) -> anyhow::Result<()> {
    if args.reason.trim().is_empty() {
        return Err(usage("--reason is empty: say why"));
    }
    country(args.default_country.as_deref())
}

fn country(code: Option<&str>) -> anyhow::Result<()> {
    code.map_or(Ok(()), phones::check_country).map_err(usage)
}

fn add(settings: &Settings, args: &NumberArgs, now: Instant) -> anyhow::Result<Exit> {
    check_words(args)?;
    let read = list::number(&args.phone, args.default_country.as_deref());
    let told = read.map_err(|why| usage(format!("\"{}\" {why}", shown(&args.phone))))?;
    let store = Store::open(&settings.loaded.db, now)?;
    let installation = store.read(installation::installation)?;
    let listed = ListedNumber { phone: told.phone, reason: args.reason.clone() };
    let number = output::phone(&listed.phone, false);
    let new = list::add(&store, &installation, &[listed], By { who: WHO, now })?;
    warn_if_new_beside(&store)?;
    output::line(&match new {
        0 => format!("{number} was on the list already"),
        _ => format!("{number} is never called again"),
    })?;
    if told.is_old_form {
        output::line("given as before a renumbering: today's form is listed, neither is called")?;
    }
    Ok(Exit::Done)
}

fn import(settings: &Settings, args: &FileArgs, now: Instant) -> anyhow::Result<Exit> {
    country(args.default_country.as_deref())?;
    let reason = args.reason.as_deref().filter(|reason| !reason.trim().is_empty());
    let read = read_file(&args.file, args.default_country.as_deref(), reason)
        .map_err(|error| usage(error.to_string()))?;
    let (bad, file) = (read.problems.len(), file_name(&args.file));
    if let Some(line) = read.heading {
        output::line(&format!("{file} line {line} is read as the header"))?;
    }
    for problem in read.problems.iter().take(PROBLEMS_SHOWN) {
        output::line(&clean(&describe(&file, problem)))?;
    }
    if PROBLEMS_SHOWN < bad {
        output::line(&format!("… and {} more bad rows", bad - PROBLEMS_SHOWN))?;
    }
    if bad > 0 && !args.skip_bad {
        let rows = if bad == 1 { "1 bad row" } else { &format!("{bad} bad rows") };
        return Err(usage(format!(
            "{rows}, nothing was written: fix the file, or leave bad rows out with --skip-bad"
        )));
    }
    let store = Store::open(&settings.loaded.db, now)?;
    let installation = store.read(installation::installation)?;
    let new = list::add(&store, &installation, &read.numbers, By { who: WHO, now })?;
    warn_if_new_beside(&store)?;
    if read.old_forms > 0 {
        output::line(&format!(
            "{} in a form from before a renumbering: today's is listed, neither is called",
            read.old_forms
        ))?;
    }
    let known = read.numbers.len() - new;
    output::line(&format!("{new} added, {known} were on the list already, {bad} bad"))?;
    Ok(Exit::Done)
}

fn remove(settings: &Settings, args: &NumberArgs, now: Instant) -> anyhow::Result<Exit> {
    check_words(args)?;
    // Accept a number that is no longer valid, because an older version may have listed it.
    let parsed = phones::parse(&args.phone, args.default_country.as_deref());
    let phone = parsed.map_err(|why| usage(format!("\"{}\" {why}", shown(&args.phone))))?.e164;
    Store::look(&settings.loaded.db)?;
    let store = Store::open(&settings.loaded.db, now)?;
    let installation = store.read(installation::installation)?;
    let number = output::phone(&phone, false);
    if !list::remove(&store, &installation, &phone, &args.reason, By { who: WHO, now })? {
        return Err(usage(format!("{number} is not on the list; `ringonce dnc list` shows it")));
    }
    output::line(&format!("{number} may be called again"))?;
    Ok(Exit::Done)
}

fn list(settings: &Settings, args: &ListArgs, now: Instant) -> anyhow::Result<Exit> {
    let path = &settings.loaded.db;
    let store = if args.reveal { Store::open(path, now)? } else { Store::look(path)? };
    let entries = store.read(|conn| do_not_call::all(conn, path))?;
    if args.reveal {
        let by = By { who: WHO, now };
        store.write(|tx| journal::note_reveal(tx, by, "do not call", None))?;
    }
    if args.json || args.csv.is_some() {
        let rows: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "phone": output::phone(&entry.phone, args.reveal),
                    "reason": entry.reason,
                    "source": entry.source,
                    "created_at": instant_text(entry.created_at),
                })
            })
            .collect();
        let columns = ["phone", "reason", "source", "created_at"];
        new_file::rows(args.csv.as_deref(), &columns, &rows)?;
        return Ok(Exit::Done);
    }
    if entries.is_empty() {
        output::line("the list is empty")?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["PHONE", "SINCE", "BY", "REASON"]);
    for entry in &entries {
        table.row([
            output::phone(&entry.phone, args.reveal),
            entry.created_at.format("%F %H:%MZ").to_string(),
            clean(&entry.source),
            clean(&entry.reason),
        ]);
    }
    table.print()?;
    Ok(Exit::Done)
}
