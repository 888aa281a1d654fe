//! `ringonce history …`: calls on the provider's account that this database did not make.

pub mod import;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use crate::cli::arguments::configuration::{Global, settings};
use crate::cli::arguments::{context, must_exist, new_file, refused};
use crate::cli::exit::Exit;
use crate::cli::history::import::{ImportArgs, import};
use crate::domain::{Instant, instant_text, utc_words};
use crate::present::output::{self, Table, Tone, clean, toned};
use crate::steps::operate::ignore_elsewhere;
use crate::steps::reconcile::made_elsewhere;
use crate::store::journal::{Act, By};
use crate::store::made_elsewhere::{Callee, ElsewhereCall};
use crate::store::{Store, journal};
use crate::zones::Zones;

const WHO: &str = "cli";

/// List, import or ignore calls on the provider's account that this database did not make
#[derive(Args)]
pub struct HistoryArgs {
    #[command(subcommand)]
    command: HistoryCommand,
}

#[derive(Subcommand)]
enum HistoryCommand {
    /// List the calls that were made elsewhere, newest first
    List(ListArgs),
    /// Count the calls of an old scheduler as made elsewhere
    Import(ImportArgs),
    /// Ignore a call and release the occasions that it blocks
    Ignore(IgnoreArgs),
}

#[derive(Args)]
#[command(after_help = "\
An outbound call by one of the configured assistants blocks the welcome call of every customer that
it may have reached, and the daily call of its local date. Calls by other assistants and inbound
calls block nothing, but they count for min_gap_any_minutes.")]
struct ListArgs {
    /// Show whole phone numbers; the journal records this
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

#[derive(Args)]
#[command(after_help = "\
Items that only this call had ended wait again, and are dialed while their time lasts.

Example:
  ringonce history ignore 01a20438-c93b-7206-9206-000000000206 --reason 'a test of our own'")]
struct IgnoreArgs {
    /// The provider's id of the call
    #[arg(value_name = "CALL_ID")]
    id: String,
    /// The reason, recorded in the journal
    #[arg(long)]
    reason: String,
}

pub fn run(global: &Global, args: &HistoryArgs) -> anyhow::Result<Exit> {
    match &args.command {
        HistoryCommand::List(args) => list(global, args),
        HistoryCommand::Import(args) => {
            let settings = settings(&global.overrides())?;
            let reading = settings.loaded.clock.read()?;
            import(settings, args, WHO, &reading)
        }
        HistoryCommand::Ignore(args) => ignore(global, args),
    }
}

fn list(global: &Global, args: &ListArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    must_exist(&settings.loaded.db)?;
    let store = if args.reveal {
        Store::open(&settings.loaded.db, now)?
    } else {
        Store::look(&settings.loaded.db)?
    };
    let found = store.read(made_elsewhere::history)?;
    if args.reveal {
        let by = By { who: WHO, now };
        store.write(|tx| journal::note_reveal(tx, by, "history", None))?;
    }
    let zones = &settings.zones;
    if args.json || args.csv.is_some() {
        let shown: Vec<Shown<'_>> =
            found.iter().map(|(call, who)| Shown::of(call, who, zones, args.reveal)).collect();
        if args.json {
            output::json(&shown)?;
            return Ok(Exit::Done);
        }
        let rows: Vec<Value> = shown.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
        new_file::rows(args.csv.as_deref(), &COLUMNS, &rows)?;
    } else if found.is_empty() {
        output::line("no calls were made elsewhere")?;
    } else {
        table(&found, zones, args.reveal, now).print()?;
    }
    Ok(Exit::Done)
}

fn table(
    found: &[(ElsewhereCall, Vec<Callee>)],
    zones: &Zones,
    reveal: bool,
    now: Instant,
) -> Table {
    let header = ["CALL", "MADE", "LOCAL TIME", "PHONE", "CUSTOMERS", "BLOCKS"];
    let mut table = Table::new(&header);
    for (call, who) in found {
        let shown = Shown::of(call, who, zones, reveal);
        let customers: Vec<String> = who.iter().map(|callee| callee.id.to_string()).collect();
        let blocks = match &shown.ignored {
            Some(ignored) => toned(Tone::Dim, &format!("ignored: {}", clean(ignored.why))),
            None if shown.blocks.is_empty() => toned(Tone::Dim, "nothing"),
            None => toned(Tone::Warn, &shown.blocks.join(", ")),
        };
        table.row([
            clean(shown.call_id),
            format!("{} ({})", utc_words(call.created_at), output::relative(call.created_at, now)),
            shown.local.unwrap_or_default(),
            clean(&shown.phone.unwrap_or_default()),
            if shown.anybody { "anybody".to_string() } else { customers.join(" ") },
            blocks,
        ]);
    }
    table
}

/// The columns of the list as CSV.
const COLUMNS: [&str; 12] = [
    "call_id",
    "at",
    "local",
    "phone",
    "direction",
    "assistant",
    "installation_id",
    "customers",
    "anybody",
    "blocks",
    "found_at",
    "ignored",
];

#[derive(Serialize)]
struct Shown<'a> {
    call_id: &'a str,
    at: String,
    /// Local time of the first customer.
    local: Option<String>,
    /// The provider's text, masked unless revealed.
    phone: Option<String>,
    direction: &'static str,
    assistant: Option<&'a str>,
    installation_id: Option<&'a str>,
    customers: Vec<i64>,
    /// The call's number excludes no phone, so the call may concern any customer.
    anybody: bool,
    blocks: Vec<String>,
    found_at: String,
    ignored: Option<ShownIgnored<'a>>,
}

#[derive(Serialize)]
struct ShownIgnored<'a> {
    at: String,
    who: &'a str,
    why: &'a str,
}

impl<'a> Shown<'a> {
    fn of(call: &'a ElsewhereCall, who: &[Callee], zones: &Zones, reveal: bool) -> Shown<'a> {
        let zone = who.iter().find_map(|callee| zones.get(&callee.timezone));
        let ignored = call.ignored.as_ref().map(|ignored| ShownIgnored {
            at: instant_text(ignored.at),
            who: &ignored.who,
            why: &ignored.why,
        });
        let blocks =
            if call.blocks && ignored.is_none() { blocked(call, who, zones) } else { Vec::new() };
        Shown {
            call_id: &call.vapi_call_id,
            at: instant_text(call.created_at),
            local: zone.as_deref().map(|zone| output::local_time(call.created_at, zone)),
            phone: call.told.as_deref().map(|told| output::phone(told, reveal)),
            direction: if call.inbound { "inbound" } else { "outbound" },
            assistant: call.assistant.as_deref(),
            installation_id: call.installation_id.as_deref(),
            customers: who.iter().map(|callee| callee.id).collect(),
            anybody: call.may_be_anybodys(),
            blocks,
            found_at: instant_text(call.found_at),
            ignored,
        }
    }
}

/// The occasions that a call blocks: the welcome call, and the daily call of its date in each
/// customer's zone.
fn blocked(call: &ElsewhereCall, who: &[Callee], zones: &Zones) -> Vec<String> {
    let date = |callee: &Callee| zones.get(&callee.timezone).map(|z| z.date(call.created_at));
    let mut dates: Vec<String> = who.iter().filter_map(date).map(|date| date.to_string()).collect();
    if dates.is_empty() {
        dates.push(call.created_at.date_naive().to_string());
    }
    dates.extend(call.occasion.clone());
    dates.sort();
    dates.dedup();
    let dailies = dates.into_iter().map(|date| format!("daily {date}"));
    std::iter::once("welcome".to_string()).chain(dailies).collect()
}

fn ignore(global: &Global, args: &IgnoreArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let clock = settings.loaded.clock.clone();
    let cx = context(settings, clock.now()?)?;
    let done = cx.store.write(|tx| {
        let now = clock.now()?;
        ignore_elsewhere::ignore(&cx, tx, &args.id, Act { who: WHO, why: &args.reason, now })
    });
    let id = clean(&args.id);
    output::line(&match done.map_err(refused)? {
        None => format!("the call {id} was ignored before"),
        Some(0) => format!("the call {id} is ignored; it no longer blocks anything"),
        Some(1) => format!("the call {id} is ignored; the item that it had ended waits again"),
        Some(items) => {
            format!("the call {id} is ignored; the {items} items that it had ended wait again")
        }
    })?;
    Ok(Exit::Done)
}
