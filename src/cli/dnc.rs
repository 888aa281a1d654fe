//! `ringonce dnc …`: numbers that nobody calls.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::customers::{usage, warn_if_new_beside};
use super::exit::Exit;
use super::output::{self, Table, clean};
use super::{Global, Settings, settings};
use crate::domain::{Instant, instant_text};
use crate::phones;
use crate::steps::dnc::{self, Listed};
use crate::store::{Store, do_not_call, journal, meta};

/// Who acts, in the journal.
const WHO: &str = "cli";
/// Bad lines of a file that are printed; all are counted.
const PROBLEMS_SHOWN: usize = 20;

/// Do not call: numbers that nobody calls, whoever carries them
#[derive(Args)]
pub struct DncArgs {
    #[command(subcommand)]
    command: DncCommand,
}

#[derive(Subcommand)]
enum DncCommand {
    /// Never call a number again; effective before the next call, also for what is queued
    Add(NumberArgs),
    /// Take a file over: one number a line, or a CSV with a column phone and perhaps reason
    Import(FileArgs),
    /// Let a number be called again
    Remove(NumberArgs),
    /// Show the list
    List(ListArgs),
}

#[derive(Args)]
struct NumberArgs {
    /// The number, with + and country
    phone: String,
    /// Why; goes into the journal
    #[arg(long)]
    reason: String,
    /// Country of a number that is written without one: US, GB, …
    #[arg(long, value_name = "CC")]
    default_country: Option<String>,
}

#[derive(Args)]
struct FileArgs {
    file: PathBuf,
    /// Why, for lines that do not say
    #[arg(long)]
    reason: Option<String>,
    /// Country of numbers that are written without one: US, GB, …
    #[arg(long, value_name = "CC")]
    default_country: Option<String>,
}

#[derive(Args)]
struct ListArgs {
    /// Show whole numbers; goes into the journal
    #[arg(long)]
    reveal: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
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

fn number(args: &NumberArgs) -> anyhow::Result<String> {
    if args.reason.trim().is_empty() {
        return Err(usage("--reason is empty: say why"));
    }
    country(args.default_country.as_deref())?;
    dnc::phone(&args.phone, args.default_country.as_deref()).map_err(usage)
}

fn country(code: Option<&str>) -> anyhow::Result<()> {
    code.map_or(Ok(()), phones::check_country).map_err(usage)
}

fn add(settings: &Settings, args: &NumberArgs, now: Instant) -> anyhow::Result<Exit> {
    let phone = number(args)?;
    let store = Store::open(&settings.loaded.db, now)?;
    let installation = store.read(meta::installation)?;
    let listed = Listed { phone, reason: args.reason.clone() };
    let shown = output::phone(&listed.phone, false);
    let new = dnc::add(&store, &installation, &[listed], WHO, now)?;
    warn_if_new_beside(&store)?;
    output::line(&match new {
        0 => format!("{shown} was on the list already"),
        _ => format!("{shown} is never called again"),
    })?;
    Ok(Exit::Done)
}

fn import(settings: &Settings, args: &FileArgs, now: Instant) -> anyhow::Result<Exit> {
    country(args.default_country.as_deref())?;
    let reason = args.reason.as_deref().filter(|reason| !reason.trim().is_empty());
    let read = dnc::read_file(&args.file, args.default_country.as_deref(), reason);
    let numbers = read.map_err(|problems| {
        if let [only] = problems.as_slice() {
            return usage(format!("{only}; nothing was written"));
        }
        for problem in problems.iter().take(PROBLEMS_SHOWN) {
            // The exit code says it, too; a reader that has gone needs no lines.
            let _ = output::line(&clean(problem));
        }
        usage(format!("{} bad lines, nothing was written: mend the file", problems.len()))
    })?;
    let store = Store::open(&settings.loaded.db, now)?;
    let installation = store.read(meta::installation)?;
    let new = dnc::add(&store, &installation, &numbers, WHO, now)?;
    warn_if_new_beside(&store)?;
    output::line(&format!("{new} added, {} were on the list already", numbers.len() - new))?;
    Ok(Exit::Done)
}

fn remove(settings: &Settings, args: &NumberArgs, now: Instant) -> anyhow::Result<Exit> {
    let phone = number(args)?;
    Store::look(&settings.loaded.db)?;
    let store = Store::open(&settings.loaded.db, now)?;
    let installation = store.read(meta::installation)?;
    let shown = output::phone(&phone, false);
    if !dnc::remove(&store, &installation, &phone, &args.reason, WHO, now)? {
        return Err(usage(format!("{shown} is not on the list; `ringonce dnc list` shows it")));
    }
    output::line(&format!("{shown} may be called again"))?;
    Ok(Exit::Done)
}

fn list(settings: &Settings, args: &ListArgs, now: Instant) -> anyhow::Result<Exit> {
    let path = &settings.loaded.db;
    let store = if args.reveal { Store::open(path, now)? } else { Store::look(path)? };
    let entries = store.read(|conn| do_not_call::all(conn, path))?;
    if args.reveal {
        let (what, subject) = ("reveal", "do not call");
        let entry = journal::Entry { who: WHO, what, subject, ..Default::default() };
        store.write(|tx| journal::add(tx, now, entry))?;
    }
    if args.json {
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
        output::json(&rows)?;
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
