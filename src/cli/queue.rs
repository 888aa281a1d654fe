//! `ringonce queue …`: lists, imports and cancels queue items, and moves duplicates out.

pub(crate) mod import;

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::cli::arguments::configuration::{Global, Settings, settings};
use crate::cli::arguments::{call_type, known, new_file, usage};
use crate::cli::exit::{CliError, Exit};
use crate::cli::forecast::explain::occasion;
use crate::cli::queue::import::{ImportArgs, import};
use crate::domain::Instant;
use crate::domain::call::{CallType, ItemStatus, extra_key};
use crate::domain::customer::columns::shown;
use crate::domain::customer::name;
use crate::present::output::{self, Table, Tone, clean, toned};
use crate::present::queue_item::{self, Whose, as_json};
use crate::steps::Context;
use crate::steps::operate::cancel::{CancelRefused, cancel};
use crate::store::Store;
use crate::store::journal::Act;
use crate::store::queue::dedupe::{self, DedupeReport};
use crate::store::views::{self, ItemFilter, ListedItem};
use crate::zones::Zones;

/// Manage the queue: list, cancel, move duplicates out, import an old queue
#[derive(Args)]
pub struct QueueArgs {
    #[command(subcommand)]
    command: QueueCommand,
}

#[derive(Subcommand)]
enum QueueCommand {
    /// List the waiting calls, or others with --status
    List(ListArgs),
    /// Import an old call_queue export: all rows or none
    Import(ImportArgs),
    /// Move duplicate rows out, keeping the oldest of each group; deletes nothing
    Dedupe(DedupeArgs),
    /// Skip one waiting call permanently
    Cancel(CancelArgs),
}

#[derive(Args)]
struct ListArgs {
    /// Only items with this status: open, all, pending, retrying, processing, completed, failed,
    /// skipped
    #[arg(long, value_name = "STATUS", default_value = "open")]
    status: String,
    /// Only calls of this type: welcome, daily, extra
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// Show at most N
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    /// Print CSV, or write it to this new file
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    #[arg(conflicts_with = "json")]
    csv: Option<String>,
}

#[derive(Args)]
struct DedupeArgs {
    /// Show what would move and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct CancelArgs {
    /// The item's id, as `queue list` shows it under ITEM
    #[arg(value_name = "ITEM", value_parser = item_id)]
    id: i64,
    /// The reason, recorded in the journal
    #[arg(long)]
    reason: String,
}

/// Parses `4`, or `item:4` as the journal writes it. Refuses ids of other kinds, such as a
/// customer's.
fn item_id(text: &str) -> Result<i64, String> {
    name::id(text.strip_prefix("item:").unwrap_or(text))
        .ok_or_else(|| "is not the id of a queue item: see ITEM in `ringonce queue list`".into())
}

pub fn run(global: &Global, args: &QueueArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let reading = settings.loaded.clock.read()?;
    let now = reading.now;
    match &args.command {
        QueueCommand::List(args) => list(&settings, args, now),
        QueueCommand::Import(args) => import(settings, args, &reading),
        QueueCommand::Dedupe(args) => dedupe(&settings, args, now),
        QueueCommand::Cancel(args) => cancel_one(settings, args, now),
    }
}

fn list(settings: &Settings, args: &ListArgs, now: Instant) -> anyhow::Result<Exit> {
    let filter = filter(args)?;
    let store = Store::look(&settings.loaded.db)?;
    let found = store.read(|conn| views::items(conn, &filter, args.limit as usize))?;
    if args.json || args.csv.is_some() {
        let json = |listed: &ListedItem| {
            let (name, assistant) = (listed.customer_name.as_deref(), listed.assistant.as_deref());
            as_json(&listed.item, Whose { name, assistant })
        };
        let rows: Vec<Value> = found.iter().map(json).collect();
        new_file::rows(args.csv.as_deref(), &queue_item::COLUMNS, &rows)?;
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        output::line(if filter.open { "no call waits" } else { "no such items" })?;
        return Ok(Exit::Done);
    }
    let mut table =
        Table::new(&["ITEM", "CUSTOMER", "TYPE", "DUE, LOCAL", "WHEN", "STATUS", "TRY"])
            .align_right(0)
            .align_right(6);
    for listed in &found {
        table.row(cells(listed, &settings.zones, now));
    }
    table.print()?;
    if found.len() == args.limit as usize {
        output::line("there may be more: --limit N")?;
    }
    Ok(Exit::Done)
}

fn filter(args: &ListArgs) -> anyhow::Result<ItemFilter> {
    let call_type = match args.r#type.as_deref() {
        None => None,
        Some(text) => Some(call_type(text)?),
    };
    let (status, open) = match args.status.as_str() {
        "open" => (None, true),
        "all" => (None, false),
        text => (Some(known(text, "--status", ItemStatus::ALL, ItemStatus::as_str)?), false),
    };
    Ok(ItemFilter { status, call_type, open })
}

fn cells(listed: &ListedItem, zones: &Zones, now: Instant) -> [String; 7] {
    let item = &listed.item;
    let zone = listed.timezone.as_deref().and_then(|name| zones.get(name));
    let due = item.due_at();
    let local = output::local_or_utc(due, zone.as_deref());
    let name = match listed.customer_name.as_deref() {
        None => "gone".to_string(),
        Some("") => item.customer_id.to_string(),
        Some(name) => format!("{} {}", item.customer_id, clean(&shown(name))),
    };
    let name = match listed.assistant.as_deref() {
        None => name,
        Some(assistant) => format!("{name} [{}]", clean(&shown(assistant))),
    };
    let status = match item.reason {
        Some(reason) => format!("{}: {reason}", item.status),
        None => item.status.to_string(),
    };
    let tone = match item.status {
        ItemStatus::Pending | ItemStatus::Retrying if item.reason.is_none() => Tone::Good,
        ItemStatus::Pending | ItemStatus::Retrying => Tone::Warn,
        ItemStatus::Processing => Tone::Good,
        ItemStatus::Completed => Tone::Dim,
        ItemStatus::Failed | ItemStatus::Skipped => Tone::Bad,
    };
    let what = match item.call_type {
        CallType::Daily => format!("daily {}", occasion(&item.occasion)),
        other => match extra_key(&item.occasion) {
            Some(key) => format!("{other} {}", clean(key)),
            None => other.to_string(),
        },
    };
    [
        item.id.to_string(),
        name,
        what,
        local,
        output::relative(due, now),
        toned(tone, &status),
        item.attempts.to_string(),
    ]
}

/// Reports duplicates before the file is opened to write, because opening it moves them out.
fn dedupe(settings: &Settings, args: &DedupeArgs, now: Instant) -> anyhow::Result<Exit> {
    let path = &settings.loaded.db;
    let report = Store::look(path)?.read(dedupe::audit)?;
    if !args.dry_run {
        let store = Store::open(path, now)?;
        store.write(|tx| dedupe::clean(tx, now, "cli"))?;
    }
    if args.json {
        output::json(&report)?;
    } else {
        print_report(&report, args.dry_run)?;
    }
    Ok(Exit::Done)
}

fn print_report(report: &DedupeReport, dry_run: bool) -> anyhow::Result<()> {
    if report.groups.is_empty() {
        return output::line("no duplicates");
    }
    let mut table = Table::new(&["CUSTOMER", "TYPE", "SAME", "KEPT", "MOVED"]).align_right(0);
    for group in &report.groups {
        let moved: Vec<String> = group.surplus.iter().map(i64::to_string).collect();
        table.row([
            group.customer_id.to_string(),
            clean(&group.call_type),
            clean(&group.key),
            group.keep.to_string(),
            moved.join(", "),
        ]);
    }
    table.print()?;
    let (rows, groups) = (report.moved, report.groups.len());
    output::line(&if dry_run {
        format!("{rows} rows of {groups} groups would move (dry run, nothing was written)")
    } else {
        format!("{rows} rows of {groups} groups moved to call_queue_duplicates")
    })
}

fn cancel_one(settings: Settings, args: &CancelArgs, now: Instant) -> anyhow::Result<Exit> {
    if args.reason.trim().is_empty() {
        return Err(usage("--reason is empty: say why"));
    }
    Store::look(&settings.loaded.db)?;
    let store = Arc::new(Store::open(&settings.loaded.db, now)?);
    let cx = Context::new(store, settings.loaded.config, Arc::new(settings.zones))?;
    let cancelled =
        cx.store.write(|tx| cancel(&cx, tx, args.id, Act { who: "cli", why: &args.reason, now }));
    let item = cancelled.map_err(|error| match error.downcast::<CancelRefused>() {
        Ok(CancelRefused::Unknown(id)) => usage(CancelRefused::Unknown(id)),
        Ok(refused) => CliError { exit: Exit::Failed, message: refused.to_string() }.into(),
        Err(error) => error,
    })?;
    output::line(&format!(
        "cancelled item {}: the {} call {} of customer {}",
        item.id,
        item.call_type,
        occasion(&item.occasion),
        item.customer_id
    ))?;
    Ok(Exit::Done)
}
