//! `ringonce events …`: the events for the application, and what became of each.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::arguments::configuration::{Global, Settings, settings};
use crate::cli::arguments::{must_exist, new_file, time_flag, usage};
use crate::cli::exit::{CliError, Exit};
use crate::domain::{Instant, instant_text};
use crate::present::event;
use crate::present::output::{self, Table, Tone, clean, toned};
use crate::service::outgoing::events::Receiver;
use crate::store::events::outbox::{self, Event, EventFilter, Replay};
use crate::store::{Store, journal};

/// The actor's name in the journal.
const WHO: &str = "cli";
/// The longest time that a test waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// List, replay or test the events to your application
#[derive(Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Subcommand)]
enum EventsCommand {
    /// List events, newest first
    List(ListArgs),
    /// Send events again, with their old ids
    Replay(ReplayArgs),
    /// Send one event of the type `test` now, and show the answer
    Test,
}

#[derive(Args)]
struct ListArgs {
    /// Only events that wait or were given up
    #[arg(long)]
    undelivered: bool,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Print a JSON array, with the content of each event
    #[arg(long)]
    json: bool,
    /// Print CSV, or write it to this new file
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    #[arg(conflicts_with = "json")]
    csv: Option<String>,
}

#[derive(Args)]
#[command(after_help = "\
`run` sends them within a second, `tick` at its end. They keep their ids, so a receiver that drops
ids it knows loses nothing and repeats nothing.

Examples:
  ringonce events replay evt_0190a1b2c3d4e5f60718293a4b5c6d7e
  ringonce events replay --since 2026-11-22T00:00:00Z")]
struct ReplayArgs {
    /// The event's id
    #[arg(value_name = "ID", required_unless_present = "since", conflicts_with = "since")]
    id: Option<String>,
    /// Every event written at this time or later, delivered ones too
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

pub fn run(global: &Global, args: &EventsArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    match &args.command {
        EventsCommand::List(args) => list(&settings, args),
        EventsCommand::Replay(args) => replay(&settings, args),
        EventsCommand::Test => test(&settings),
    }
}

fn list(settings: &Settings, args: &ListArgs) -> anyhow::Result<Exit> {
    let now = settings.loaded.clock.now()?;
    must_exist(&settings.loaded.db)?;
    let store = Store::look(&settings.loaded.db)?;
    let filter = EventFilter { undelivered: args.undelivered, before: None };
    let found = store.read(|conn| outbox::list(conn, filter, args.limit))?;
    if args.json || args.csv.is_some() {
        let rows: Vec<Value> = found.iter().map(event::as_json).collect();
        new_file::rows(args.csv.as_deref(), &event::COLUMNS, &rows)?;
    } else if found.is_empty() {
        output::line(if args.undelivered { "every event is delivered" } else { "no events" })?;
    } else {
        table(&found, now).print()?;
    }
    Ok(Exit::Done)
}

fn table(found: &[Event], now: Instant) -> Table {
    let mut table = Table::new(&["EVENT", "TYPE", "CUSTOMER", "WRITTEN", "TRIES", "STATE"]);
    for event in found {
        let state = match (event::state(event), event.next_at, &event.last_error) {
            ("delivered", ..) => toned(Tone::Good, "delivered"),
            ("given_up", _, why) => {
                let why = why.as_deref().unwrap_or_default();
                toned(Tone::Bad, &format!("given up: {}", clean(why)))
            }
            (_, Some(at), Some(why)) => {
                let when = if at <= now { "now".to_string() } else { output::relative(at, now) };
                toned(Tone::Warn, &format!("{}; again {when}", clean(why)))
            }
            _ => "waiting".to_string(),
        };
        table.row([
            clean(&event.id),
            clean(&event.kind),
            event.customer_id.map(|id| id.to_string()).unwrap_or_default(),
            output::relative(event.created_at, now),
            event.tries.to_string(),
            state,
        ]);
    }
    table
}

fn replay(settings: &Settings, args: &ReplayArgs) -> anyhow::Result<Exit> {
    let now = settings.loaded.clock.now()?;
    must_exist(&settings.loaded.db)?;
    let what = match (&args.id, &args.since) {
        (_, Some(since)) => Replay::Since(time_flag("--since", since)?),
        (Some(id), None) => Replay::One(id.clone()),
        (None, None) => return Err(usage("name an event, or give --since TIME")),
    };
    let store = Store::open(&settings.loaded.db, now)?;
    let again = store.write(|tx| {
        let again = outbox::replay(tx, &what, now)?;
        let subject = match &what {
            Replay::One(id) => format!("event:{id}"),
            Replay::Since(since) => format!("events since {}", instant_text(*since)),
        };
        if again > 0 {
            let entry = journal::Entry {
                who: WHO,
                what: "events",
                subject: &subject,
                new: Some("replayed"),
                ..journal::Entry::default()
            };
            journal::add(tx, now, entry)?;
        }
        Ok(again)
    })?;
    match (&what, again) {
        (Replay::One(id), 0) => {
            let why = format!("there is no event {}: see `ringonce events list`", clean(id));
            Err(usage(why))
        }
        (_, again) => {
            let noun = if again == 1 { "event is" } else { "events are" };
            output::line(&format!("{again} {noun} sent again by `run`, or at the end of `tick`"))?;
            Ok(Exit::Done)
        }
    }
}

fn test(settings: &Settings) -> anyhow::Result<Exit> {
    let receiver = match Receiver::of(&settings.loaded).map_err(CliError::usage)? {
        Some(receiver) => receiver,
        None => return Err(usage("events.url is not set: write your application's address there")),
    };
    let now = settings.loaded.clock.now()?;
    let id = format!("evt_{}", uuid::Uuid::new_v4().simple());
    let body = json!({
        "type": "test",
        "timestamp": instant_text(now),
        "data": { "message": "a test by `ringonce events test`" },
    });
    match receiver.send(&id, &body.to_string(), now, PATIENCE) {
        Ok(()) => {
            output::line(&format!("delivered {id}: your application answered with success"))?;
            Ok(Exit::Done)
        }
        Err(why) => {
            let hint = "check events.url, and that your application answers 2xx within 10 seconds";
            Err(anyhow::anyhow!("the test event was not delivered: {why}; {hint}"))
        }
    }
}
