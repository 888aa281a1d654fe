//! `customers import`: prints the file's findings as a preview or as the result.

use std::cell::RefCell;
use std::path::PathBuf;

use chrono::Duration;
use clap::Args;

use crate::cli::arguments::{Cx, WHO, check_clock, new_file, usage};
use crate::cli::customers::consequences::{ROW_COLUMNS, row_line};
use crate::cli::customers::printed::print;
use crate::cli::customers::progress::Bar;
use crate::cli::exit::Exit;
use crate::config::settings::Config;
use crate::domain::customer::columns::Column;
use crate::domain::customer::date_format::DateFormat;
use crate::present::{csv, output};
use crate::steps::import::column_map::ColumnMap;
use crate::steps::import::consequences::Consequences;
use crate::steps::import::consequences::outcome::{RowOutcome, RowSink};
use crate::steps::import::customers::check;
use crate::steps::import::file::Unusable;
use crate::steps::import::options::{Options, Outlook, PauseMissing, Welcome, parse_map};
use crate::steps::import::report::{ImportReport, Progress};
use crate::steps::import::sheet::file_name;
use crate::steps::{operate, rules};
use crate::store::Store;
use crate::store::file::last_seq;
use crate::store::journal::Act;
use crate::store::meta::installation;

/// The assumed length of a call, for the estimate of when the last welcome call is made.
const CALL_SECONDS: i64 = 90;

#[derive(Args)]
#[command(after_help = "\
The header names columns in any order; only phone and timezone are required:
  external_id, name, email, phone, timezone, call_time, call_schedule, payment_status,
  phone_validated, call_status, welcome_call_completed, last_call_date, next_call_scheduled_at,
  created_at, shared_phone, assistant. Every other column goes into the assistant's variables.
A phone with two readings (491713920012 in Germany) and two phones in one cell are bad rows.
The file may be UTF-8, UTF-16 or Latin-1, with commas, semicolons, tabs or pipes, and compressed with
gzip. `-` reads standard input. NULL, \\N and #N/A are empty cells.
Headers match in any case, with spaces, underscores and camelCase. A header that looks like one of
these columns is refused: say what it means with --map COLUMN=HEADER or --as-variable HEADER.
A customer is known by external_id, else email, else phone. An import undoes nothing: a made call
stays made, and only `customers resume` lifts a pause. A blank cell changes nothing.
The output shows what the file leads to: welcome calls, daily calls by hour, and who is not called.
Rows with the same phone get one welcome call, and one daily call a date, together, unless all of
them say shared_phone.
A first import with 10 or more welcome calls to customers who signed up more than a day ago needs
--welcome-existing or --no-welcome.
Exits 2 when a row is bad and --skip-bad is not given, or a decision is missing; then nothing is
written.

Example:
  ringonce customers import export.csv --dry-run --map phone='Phone Number' --as-variable 'Plan Status'")]
pub struct ImportArgs {
    /// A CSV file, or - for standard input
    file: PathBuf,
    /// Show what would change and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave bad rows out instead of refusing the file
    #[arg(long)]
    skip_bad: bool,
    /// Read a column under another header; may be given several times
    #[arg(long, value_name = "COLUMN=HEADER")]
    map: Vec<String>,
    /// Take a header that looks like a column as a variable; may be given several times
    #[arg(long, value_name = "HEADER")]
    as_variable: Vec<String>,
    /// The column with the country or the calling code of each phone: GB, 44
    #[arg(long, value_name = "HEADER", visible_alias = "calling-code-column")]
    country_column: Option<String>,
    /// How dates are written: MM/DD/YYYY, D.M.YYYY, …; 2026-11-22 is always read
    #[arg(long, value_name = "FORMAT")]
    date_format: Option<String>,
    /// The encoding of the file, if it is not found out: windows-1250, macintosh, …
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// Read what the columns mean from a file of --save-map; other flags go first
    #[arg(long, value_name = "FILE")]
    map_file: Option<PathBuf>,
    /// Write what the columns mean into a new file for the next time
    #[arg(long, value_name = "FILE")]
    save_map: Option<String>,
    /// Let blank cells erase the name, e-mail, call time, schedule, assistant and variables of known
    /// customers
    #[arg(long)]
    clear_blanks: bool,
    /// Make the welcome call also to customers who signed up more than a day ago
    #[arg(long, conflicts_with = "no_welcome")]
    welcome_existing: bool,
    /// Count the welcome call of every new customer in this file as made
    #[arg(long)]
    no_welcome: bool,
    /// Pause the customers who are not in the file; =all also if the file lacks most of them
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "few", value_parser = ["few", "all"], conflicts_with = "skip_bad")]
    pause_missing: Option<String>,
    /// Accept this database as a new one although an earlier one was here. Everybody may be called
    /// again
    #[arg(long, requires = "reason", conflicts_with = "dry_run")]
    new: bool,
    /// The reason, recorded in the journal
    #[arg(long, requires = "new")]
    reason: Option<String>,
    /// Country of phones without a +: US, GB, …
    #[arg(long, value_name = "CC")]
    default_country: Option<String>,
    /// With --dry-run: print each row with its calls as CSV, or write it to this new file
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    #[arg(requires = "dry_run", conflicts_with = "json")]
    csv: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn import(cx: &Cx<'_>, args: &ImportArgs, config: &Config) -> anyhow::Result<Exit> {
    let columns = args.columns()?;
    let map = columns.columns().map_err(usage)?;
    let date_format = columns.date_format.as_deref().map(DateFormat::parse).transpose();
    let date_format = date_format.map_err(|why| usage(format!("--date-format {why}")))?;
    let outlook = outlook(config)?;
    let assistants: Vec<String> = config.assistants.keys().cloned().collect();
    let options = Options {
        dry_run: args.dry_run,
        skip_bad: args.skip_bad,
        default_country: columns.default_country.as_deref(),
        assistants: &assistants,
        clear_blanks: args.clear_blanks,
        map: &map,
        as_variable: &columns.as_variable,
        country_column: columns.country_column.as_deref(),
        date_format: date_format.as_ref(),
        encoding: columns.encoding.as_deref(),
        welcome: args.welcome(),
        pause_missing: args.pause_missing(),
        outlook: Some(&outlook),
        rows: None,
    };
    if args.reason.as_deref().is_some_and(|why| why.trim().is_empty()) {
        return Err(usage("--reason is empty: say why"));
    }
    // Before the rows: a map that cannot be written must not leave an import behind.
    if let Some(target) = &args.save_map {
        let text = columns.text()?;
        new_file::write(target, |out| Ok(out.write_all(text.as_bytes())?))?;
    }
    let mut bar = Bar::new();
    let progress = &mut |progress| bar.show(progress);
    let imported = match &args.csv {
        Some(target) => with_rows(cx, args, options, target, progress),
        None => checked_or_applied(cx, args, options, progress),
    };
    bar.clear();
    if let (Err(_), Some(target)) = (&imported, &args.save_map) {
        new_file::take_back(target);
    }
    let report = imported.map_err(|error| {
        if error.is::<Unusable>() { usage(format!("{error:#}")) } else { error }
    })?;
    if args.json {
        output::json(&report)?;
    } else if args.csv.as_deref() != Some("-") {
        print(&file_name(&args.file), &report, &outlook)?;
    }
    if report.bad > 0 && !args.skip_bad {
        let rows = if report.bad == 1 { "1 bad row" } else { &format!("{} bad rows", report.bad) };
        return Err(usage(format!(
            "{rows}, nothing was written: fix the file, or leave bad rows out with --skip-bad"
        )));
    }
    if report.missing_needs_word {
        return Err(usage(format!(
            "{} customers are not in the file, which is more than half, so nothing was written: is \
             it a full export? Give --pause-missing=all to pause them",
            report.missing
        )));
    }
    match report.consequences.as_ref().filter(|_| report.needs_decision) {
        Some(consequences) => Err(undecided(consequences)),
        None => Ok(Exit::Done),
    }
}

impl ImportArgs {
    /// What the columns mean: by flags, else by `--map-file`.
    fn columns(&self) -> anyhow::Result<ColumnMap> {
        let parse = |text: &String| parse_map(text).map_err(|why| usage(format!("--map {why}")));
        let map: Vec<(Column, String)> = self.map.iter().map(parse).collect::<Result<_, _>>()?;
        for (index, (column, header)) in map.iter().enumerate() {
            if let Some((_, first)) = map[..index].iter().find(|(other, _)| other == column) {
                return Err(usage(format!(
                    "--map gives {column} twice, \"{first}\" and \"{header}\": keep one"
                )));
            }
        }
        let flags = ColumnMap {
            default_country: self.default_country.clone(),
            country_column: self.country_column.clone(),
            date_format: self.date_format.clone(),
            encoding: self.encoding.clone(),
            as_variable: self.as_variable.clone(),
            map: map.into_iter().map(|(column, header)| (column.to_string(), header)).collect(),
        };
        let Some(path) = &self.map_file else { return Ok(flags) };
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| usage(format!("--map-file {name}: {error}")))?;
        let kept = ColumnMap::parse(&text);
        Ok(flags.over(kept.map_err(|why| usage(format!("--map-file {name}: {why}")))?))
    }

    fn pause_missing(&self) -> PauseMissing {
        match self.pause_missing.as_deref() {
            None => PauseMissing::No,
            Some("all") => PauseMissing::All,
            Some(_) => PauseMissing::Few,
        }
    }

    fn welcome(&self) -> Welcome {
        match (self.welcome_existing, self.no_welcome) {
            (true, _) => Welcome::Existing,
            (false, true) => Welcome::Nobody,
            (false, false) => Welcome::Ask,
        }
    }
}

/// A welcome call to somebody who signed up long ago was probably made by another program.
fn undecided(found: &Consequences) -> anyhow::Error {
    let lines: Vec<String> =
        found.old_welcome_samples.iter().map(|old| old.line.to_string()).collect();
    let more = if (lines.len() as u64) < found.old_welcome_calls { ", …" } else { "" };
    usage(format!(
        "{} customers who signed up more than a day ago would get a welcome call (lines {}{more}), so \
         nothing was written: give --welcome-existing to call them, or --no-welcome to count their \
         welcome calls as made",
        found.old_welcome_calls,
        lines.join(", ")
    ))
}

fn outlook(config: &Config) -> anyhow::Result<Outlook> {
    let dialing = &config.dialing;
    let per = |seconds: i64, calls: usize| {
        Duration::milliseconds(1000 * seconds / i64::try_from(calls.max(1)).unwrap_or(i64::MAX))
    };
    let by_pace = per(60, dialing.calls_per_minute);
    let by_lines = per(CALL_SECONDS, dialing.max_active_calls);
    Ok(Outlook { rules: rules(config)?, between_calls: by_pace.max(by_lines) })
}

/// Checks the file, and writes each row with its consequences as CSV.
fn with_rows(
    cx: &Cx<'_>,
    args: &ImportArgs,
    options: Options<'_>,
    target: &str,
    progress: &mut dyn FnMut(Progress),
) -> anyhow::Result<ImportReport> {
    let mut report = None;
    new_file::write(target, |out| {
        out.write_all(csv::line(ROW_COLUMNS.map(str::to_string)).as_bytes())?;
        let state = RefCell::new((out, None));
        let take = |row: RowOutcome| {
            let (out, failed) = &mut *state.borrow_mut();
            if failed.is_none() {
                *failed = out.write_all(row_line(&row, cx.zones).as_bytes()).err();
            }
        };
        let rows = Some(RowSink(&take));
        report = Some(checked_or_applied(cx, args, Options { rows, ..options }, progress)?);
        state.into_inner().1.map_or(Ok(()), |error| Err(error.into()))
    })?;
    report.ok_or_else(|| anyhow::anyhow!("the reader of the rows ended early"))
}

/// Checks the file first, so that a refused file or a dry run does not create a database.
fn checked_or_applied(
    cx: &Cx<'_>,
    args: &ImportArgs,
    options: Options<'_>,
    progress: &mut dyn FnMut(Progress),
) -> anyhow::Result<ImportReport> {
    let known = if cx.db.exists() { cx.look()? } else { Store::in_memory(cx.now)? };
    let checked = check(&known, cx.zones, &args.file, options, cx.now, progress)?;
    if !checked.may_apply() {
        return Ok(checked.into_report());
    }
    let store = cx.create()?;
    check_clock(&store, &cx.reading)?;
    let report = checked.apply(&store, cx.zones, cx.now, progress)?;
    if let Some(why) = args.reason.as_deref().filter(|_| args.new) {
        accept_new(cx, args, &store, why)?;
    }
    Ok(report)
}

/// Records, after the rows are in, that a person decided: an earlier database's calls do not count.
fn accept_new(cx: &Cx<'_>, args: &ImportArgs, store: &Store, why: &str) -> anyhow::Result<()> {
    if !store.write(|tx| operate::accept_new(tx, Act { who: WHO, why, now: cx.now }))? {
        log::warn!("--new changed nothing: this database was accepted as new before");
        return Ok(());
    }
    let installation = store.read(installation::installation)?;
    let kept = last_seq::set_aside(store.path(), &installation.id)?;
    if args.json {
        return Ok(());
    }
    output::line("accepted as a new database; a do-not-call list beside it still counts")?;
    match kept {
        Some(kept) => output::line(&format!(
            "the earlier database's last number is kept in {}",
            kept.display()
        )),
        None => Ok(()),
    }
}
