//! `ringonce backup`, `snapshot`, `verify`, `restore` and `archive`: copies to keep, copies for
//! debugging, a check that a copy is whole, a copy put back, and old rows moved out. Only the last
//! two change the database.

use std::path::PathBuf;

use chrono::{Duration, NaiveDate, NaiveTime};
use clap::Args;
use serde_json::json;

use crate::cli::arguments::configuration::{Global, settings};
use crate::cli::exit::{CliError, Exit};
use crate::present::output;
use crate::store::Store;
use crate::store::file::archive::archive;
use crate::store::file::backup::{self, backup};
use crate::store::file::restore::{Refusal, Restored, restore};
use crate::store::file::side_files;
use crate::store::file::snapshot::snapshot;
use crate::store::file::verify::{Verified, verify};

/// Copy the database to a new file while it is in use, and verify the copy
#[derive(Args)]
#[command(after_help = "\
A backup holds everything, also phones, so only you can read it (mode 0600). A restored backup does
not dial until `ringonce adopt` has loaded the later calls from the provider.

Examples:
  ringonce backup /var/backups/before-upgrade.db
  30 3 * * *  ringonce backup /var/backups/ringonce --keep 14     (in a crontab)")]
pub struct BackupArgs {
    /// The new file, or the folder with --keep
    #[arg(value_name = "FILE")]
    target: PathBuf,
    /// Name the file by its time, in the folder FILE, and keep only the newest N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Copy the database for debugging: disarmed, with phones, names and texts redacted
#[derive(Args)]
#[command(after_help = "\
Equal numbers stay equal; zones, times and states stay as they are. The copy can never dial.
The copy is made in memory, so that no secret is written to the disk.

Example:
  ringonce snapshot for-the-report.db
  ringonce status --db for-the-report.db")]
pub struct SnapshotArgs {
    /// The new file
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Read every page of a database, backup or snapshot, and report soundness, counts and checksum
#[derive(Args)]
#[command(after_help = "\
Exits 1 with the reason if the file is damaged, cut or not a ringonce database.

Example:
  ringonce verify /var/backups/before-upgrade.db")]
pub struct VerifyArgs {
    /// The file to read
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Put a backup in the place of the database; the old files are moved aside, never deleted
#[derive(Args)]
#[command(after_help = "\
Stop every process that dials from the database first. The backup is checked, and commits in a WAL
beside it are included. The restored file dials nobody until `ringonce adopt` has loaded the later
calls from the provider.

Example:
  ringonce restore /var/backups/ringonce/ringonce-2026-03-03T033000Z.db
  ringonce adopt --reason \"restored the backup of 3 March\"")]
pub struct RestoreArgs {
    /// The backup; it stays where it is
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Move old results and journal lines to a new file; nobody is called again for it
#[derive(Args)]
#[command(after_help = "\
The ledger, the queue, the customers and all that people did stay in the database. What moves is
what was said in calls, and what ringonce noted about items and calls that are over. The archive is
an SQLite file that only you can read (mode 0600). `customers erase` does not reach it.
The service may run meanwhile.

Example:
  ringonce archive --before 2026-01-01 ringonce-2025.archive.db
  sqlite3 ringonce-2025.archive.db '.dump call_results'")]
pub struct ArchiveArgs {
    /// Move what is older than this date, from midnight UTC
    #[arg(long, value_name = "DATE", value_parser = crate::cli::report::date)]
    before: NaiveDate,
    /// The new file
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Dates up to 31 days back may still be repaired, and their calls explained.
const KEPT_DAYS: i64 = 35;

pub fn run_archive(global: &Global, args: &ArchiveArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    let newest = (now - Duration::days(KEPT_DAYS)).date_naive();
    if args.before > newest {
        let why = format!("--before {} is too late: give {newest} or earlier", args.before);
        return Err(CliError::usage(why).into());
    }
    // Opening for writing would make a database that is not there.
    drop(Store::look(&settings.loaded.db)?);
    let store = Store::open(&settings.loaded.db, now)?;
    let before = args.before.and_time(NaiveTime::MIN).and_utc();
    let Some(made) = archive(&store, &args.file, before, now)? else {
        return tell_nothing_old(args);
    };
    if args.json {
        output::json(&made)?;
        return Ok(Exit::Done);
    }
    output::line(&format!("archived {}", made.path.display()))?;
    output::line(&format!(
        "  {} results and {} journal lines from before {} 00:00 UTC",
        made.results, made.journal_lines, args.before
    ))?;
    output::line(&format!("  {} bytes, sha256 {}", made.bytes, made.sha256))?;
    output::line(
        "The database keeps every attempt, item and customer. Its file does not shrink: new rows \
         take the space that is free now.",
    )?;
    Ok(Exit::Done)
}

fn tell_nothing_old(args: &ArchiveArgs) -> anyhow::Result<Exit> {
    if args.json {
        output::json(&json!({ "path": null, "results": 0, "journal_lines": 0 }))?;
    } else {
        output::line(&format!("Nothing to move is older than {}; no file was made.", args.before))?;
    }
    Ok(Exit::Done)
}

pub fn run_restore(global: &Global, args: &RestoreArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    let done = restore(&args.backup, &settings.loaded.db, now, &mut |_| {});
    let done = done.map_err(|error| match error.downcast::<Refusal>() {
        Ok(Refusal::Usage(why)) => CliError::usage(why).into(),
        Ok(Refusal::Person(why)) => CliError::refused(why).into(),
        Ok(Refusal::Locked(why)) => CliError::locked(why).into(),
        Err(error) => error,
    })?;
    tell_restored(args, &done)
}

/// The command that must follow a restore.
const AFTER_RESTORE: &str = "ringonce adopt --reason \"restored a backup\"";

fn tell_restored(args: &RestoreArgs, done: &Restored) -> anyhow::Result<Exit> {
    if args.json {
        output::json(&json!({
            "restored": done.verified,
            "backup": args.backup,
            "with_write_ahead_log": done.with_log,
            "old_files": done.old_files,
            "copied_lists": done.copied,
            "next": AFTER_RESTORE,
        }))?;
        return Ok(Exit::Done);
    }
    tell("restored", &done.verified, false)?;
    if done.with_log {
        output::line("  the commits in the WAL beside the backup are included")?;
    }
    for list in &done.copied {
        output::line(&format!("  copied {} from beside the backup", list.display()))?;
    }
    match &done.old_files {
        Some(folder) => output::line(&format!("  the old files are in {}", folder.display()))?,
        None => output::line("  there was no database before")?,
    }
    output::line(&format!("It dials nobody yet. Next: {AFTER_RESTORE}"))?;
    Ok(Exit::Done)
}

pub fn run_backup(global: &Global, args: &BackupArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let store = Store::look(&settings.loaded.db)?;
    let Some(keep) = args.keep else {
        if args.target.is_dir() {
            return Err(CliError::usage(format!(
                "{} is a folder: name a new file, or add --keep N",
                args.target.display()
            ))
            .into());
        }
        let made = backup(&store, &args.target)?;
        return tell("backup", &made, args.json);
    };
    if !args.target.is_dir() {
        return Err(CliError::usage(format!(
            "--keep needs an existing folder, and {} is not one",
            args.target.display()
        ))
        .into());
    }
    let name = backup::dated_name(settings.loaded.clock.now()?);
    let made = backup(&store, &args.target.join(name))?;
    let removed = backup::rotate(&args.target, usize::from(keep))?;
    if !removed.is_empty() {
        log::info!("removed {} older backups", removed.len());
    }
    tell("backup", &made, args.json)
}

pub fn run_snapshot(global: &Global, args: &SnapshotArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let store = Store::look(&settings.loaded.db)?;
    let made = snapshot(&store, &args.file)?;
    tell("snapshot", &made, args.json)
}

pub fn run_verify(args: &VerifyArgs) -> anyhow::Result<Exit> {
    let found = verify(&args.file)?;
    if found.write_ahead_log && !args.json {
        let log = side_files::beside(&args.file, "-wal");
        log::warn!("the counts include {}; the checksum does not", log.display());
    }
    tell("verified", &found, args.json)
}

fn tell(what: &str, file: &Verified, json: bool) -> anyhow::Result<Exit> {
    if json {
        output::json(file)?;
        return Ok(Exit::Done);
    }
    output::line(&format!("{what} {}", file.path.display()))?;
    output::line(&format!(
        "  {} customers, {} queue items, {} attempts ({} in doubt), {} do-not-call numbers, \
         {} journal lines",
        file.customers,
        file.queue_items,
        file.attempts,
        file.in_doubt,
        file.do_not_call,
        file.journal
    ))?;
    if let Some(newest) = &file.newest_intent {
        output::line(&format!(
            "  newest call {newest}, number {} of the ledger",
            file.highest_seq
        ))?;
    }
    output::line(&format!("  {} bytes, schema {}, integrity ok", file.bytes, file.schema))?;
    output::line(&format!("  sha256 {}", file.sha256))?;
    Ok(Exit::Done)
}
