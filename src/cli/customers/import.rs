//! `customers import`: prints the file's findings as a preview or as the result.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use chrono::Duration;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::arguments::{Cx, WHO, check_clock, usage};
use crate::cli::customers::consequences;
use crate::cli::exit::Exit;
use crate::config::settings::Config;
use crate::domain::customer::columns::shown;
use crate::domain::instant_words;
use crate::present::output;
use crate::steps::customers::same_phone_words;
use crate::steps::import::consequences::Consequences;
use crate::steps::import::customers::check;
use crate::steps::import::file::{Unusable, file_name};
use crate::steps::import::header::meant_by;
use crate::steps::import::options::{Options, Outlook, Welcome, parse_map};
use crate::steps::import::report::{ImportOutcome, ImportReport, RowProblem, SamePhone, Sample};
use crate::steps::{operate, rules};
use crate::store::Store;
use crate::store::file::last_seq;
use crate::store::journal::Act;
use crate::store::meta::installation;

/// The assumed length of a call, for the estimate of when the last welcome call is made.
const CALL_SECONDS: i64 = 90;

/// The warning for a phone in the form of before a renumbering.
pub const RENUMBERED: &str = "given as before a renumbering: today's form is stored";

#[derive(Args)]
#[command(after_help = "\
The header names columns in any order; only phone and timezone are required:
  external_id, name, email, phone, timezone, call_time, call_schedule, payment_status,
  phone_validated, call_status, welcome_call_completed, last_call_date, next_call_scheduled_at,
  created_at, shared_phone. Every other column goes into the assistant's variables.
A phone with two readings (491713920012 in Germany) and two phones in one cell are bad rows.
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
    /// A CSV file, UTF-8, with commas, semicolons or tabs
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
    /// Let blank cells erase the name, e-mail, call time, schedule and variables of known customers
    #[arg(long)]
    clear_blanks: bool,
    /// Make the welcome call also to customers who signed up more than a day ago
    #[arg(long, conflicts_with = "no_welcome")]
    welcome_existing: bool,
    /// Count the welcome call of every new customer in this file as made
    #[arg(long)]
    no_welcome: bool,
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
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn import(cx: &Cx<'_>, args: &ImportArgs, config: &Config) -> anyhow::Result<Exit> {
    let map = args.map.iter().map(|text| parse_map(text)).collect::<Result<Vec<_>, String>>();
    let map = map.map_err(|why| usage(format!("--map {why}")))?;
    let outlook = outlook(config)?;
    let options = Options {
        dry_run: args.dry_run,
        skip_bad: args.skip_bad,
        default_country: args.default_country.as_deref(),
        clear_blanks: args.clear_blanks,
        map: &map,
        as_variable: &args.as_variable,
        welcome: args.welcome(),
        outlook: Some(&outlook),
    };
    if args.reason.as_deref().is_some_and(|why| why.trim().is_empty()) {
        return Err(usage("--reason is empty: say why"));
    }
    let bar = progress_bar(args);
    let imported = checked_or_applied(cx, args, options, &mut |done| bar.set_position(done));
    bar.finish_and_clear();
    let report = imported.map_err(|error| {
        if error.is::<Unusable>() { usage(format!("{error:#}")) } else { error }
    })?;
    if args.json {
        output::json(&report)?;
    } else {
        print(&file_name(&args.file), &report, &outlook)?;
    }
    if report.bad > 0 && !args.skip_bad {
        let rows = if report.bad == 1 { "1 bad row" } else { &format!("{} bad rows", report.bad) };
        return Err(usage(format!(
            "{rows}, nothing was written: fix the file, or leave bad rows out with --skip-bad"
        )));
    }
    match report.consequences.as_ref().filter(|_| report.needs_decision) {
        Some(consequences) => Err(undecided(consequences)),
        None => Ok(Exit::Done),
    }
}

impl ImportArgs {
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

/// Checks the file first, so that a refused file or a dry run does not create a database.
fn checked_or_applied(
    cx: &Cx<'_>,
    args: &ImportArgs,
    options: Options<'_>,
    progress: &mut dyn FnMut(u64),
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

/// A progress bar; hidden if stderr is not a terminal.
fn progress_bar(args: &ImportArgs) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let size = std::fs::metadata(&args.file).map_or(0, |about| about.len());
    let bar = ProgressBar::new(if args.dry_run { size } else { 2 * size });
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {elapsed}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn print(file: &str, report: &ImportReport, outlook: &Outlook) -> anyhow::Result<()> {
    for problem in &report.problems {
        output::line(&describe(file, problem))?;
    }
    let listed = report.problems.iter().map(|p| p.line).collect::<HashSet<_>>().len() as u64;
    if listed < report.bad {
        output::line(&format!("… and {} more bad rows", report.bad - listed))?;
    }
    for warning in &report.warnings {
        output::line(&format!("{}; kept, not dialed", describe(file, warning)))?;
    }
    let listed = report.warnings.len() as u64;
    if listed < report.undialable {
        let more = report.undialable - listed;
        output::line(&format!("… and {more} more that cannot be dialed"))?;
    }
    print_same_phone(report)?;
    if report.renumbered > 0 {
        let count = report.renumbered;
        output::line(&format!("{count} {RENUMBERED}"))?;
    }
    print_samples("new", report.new, &report.new_samples)?;
    print_samples("changed", report.changed, &report.changed_samples)?;
    if !report.variables.is_empty() {
        let names: Vec<String> =
            report.variables.iter().map(|name| describe_variable(name)).collect();
        output::line(&format!("into variables: {}", names.join(", ")))?;
    }
    if !report.ignored.is_empty() {
        output::line(&format!("columns skipped: {}", report.ignored.join(", ")))?;
    }
    if let Some(found) = report.consequences.as_ref().filter(|found| found.customers > 0) {
        consequences::print(found, outlook)?;
        print_old_sign_ups(report, found)?;
    }
    let outcome = match report.outcome {
        ImportOutcome::Applied => "",
        ImportOutcome::DryRun => " (dry run, nothing was written)",
        ImportOutcome::Refused => " (refused, nothing was written)",
    };
    output::line(&format!("{}{outcome}", report.summary()))
}

/// Names the first customers about whom a person must decide.
fn print_old_sign_ups(report: &ImportReport, found: &Consequences) -> anyhow::Result<()> {
    for old in found.old_welcome_samples.iter().filter(|_| report.needs_decision) {
        let (who, since) = (shown(&old.who), instant_words(&old.created_at));
        output::line(&format!("old sign-up: line {}, {who}, of {since}", old.line))?;
    }
    Ok(())
}

fn print_same_phone(report: &ImportReport) -> anyhow::Result<()> {
    for sample in &report.same_phone_samples {
        let who = shown(&sample.who);
        output::line(&format!("line {}, {who}: {}", sample.line, same_phone(sample)))?;
    }
    let more = report.same_phone.saturating_sub(report.same_phone_samples.len() as u64);
    if more > 0 {
        output::line(&format!("… and {more} more rows whose phone somebody else has"))?;
    }
    if report.same_phone == 0 {
        return Ok(());
    }
    output::line(
        "Rows with the same phone get one welcome call, and one daily call a date, together. Where \
         several people answer the phone, set shared_phone to yes in each row.",
    )
}

/// `same phone as customer 1; same phone as line 2`
fn same_phone(sample: &SamePhone) -> String {
    let line = sample.first_line.map(|line| format!("same phone as line {line}"));
    let words: Vec<String> = same_phone_words(&sample.customers).into_iter().chain(line).collect();
    words.join("; ")
}

fn print_samples(kind: &str, count: u64, samples: &[Sample]) -> anyhow::Result<()> {
    for sample in samples {
        let fields = if sample.fields.is_empty() {
            String::new()
        } else {
            format!(": {}", sample.fields.join(", "))
        };
        output::line(&format!("{kind}: line {}, {}{fields}", sample.line, shown(&sample.who)))?;
    }
    let more = count.saturating_sub(samples.len() as u64);
    if more > 0 { output::line(&format!("… and {more} more {kind}")) } else { Ok(()) }
}

/// `customers.csv line 7, column timezone: "Eastern Time" is not an IANA zone; nearest: …`
pub fn describe(file: &str, problem: &RowProblem) -> String {
    let line = problem.line;
    match &problem.column {
        Some(column) => format!("{file} line {line}, column {column}: {}", problem.reason),
        None => format!("{file} line {line}: {}", problem.reason),
    }
}

/// Suggests a column that may have been meant.
fn describe_variable(name: &str) -> String {
    match meant_by(name) {
        Some(field) => format!("{} (did you mean {field}?)", shown(name)),
        None => shown(name).into_owned(),
    }
}
