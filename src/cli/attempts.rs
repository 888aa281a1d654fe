//! `reconcile`, `adopt` and `attempts`: attempts in doubt, and the right to dial from this file.

mod export;
mod show;

use crate::cli::arguments::{context, must_exist, new_file, refused};
use crate::store::journal::{Act, By};

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use crate::cli::arguments::configuration::{Global, Settings, settings, settings_for_dialing};
use crate::cli::exit::{CliError, Exit};
use crate::cli::serve::dialing::{lock, service};
use crate::domain::call::AttemptState;
use crate::domain::{Instant, instant_text};
use crate::present::attempt;
use crate::present::output::{self, Table, Tone, clean, relative, toned};
use crate::service::{Service, adopting};
use crate::steps::operate::{self, ActRefused, Resolved, Word, close};
use crate::steps::reconcile::Reconciled;
use crate::store::attempts::{self, Attempt, unresolved};
use crate::store::{Store, journal, made_elsewhere};

/// The actor's name in the journal.
const WHO: &str = "cli";

/// Read the provider's records for calls in doubt and calls that are missing from this file
#[derive(Args)]
#[command(after_help = "`run` and `tick` do the same automatically. Nothing is dialed.")]
pub struct ReconcileArgs {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Load the provider's records and let this file dial here, after a restore, a move or a copy
#[derive(Args)]
#[command(after_help = "\
First stop every other copy that dials. `adopt` loads the provider's calls that this file does not
know, and these calls are not made again. If the file that was armed before is on this machine, it
is disarmed. If `adopt` cannot disarm it, nothing is armed, and the message names the next step.
Your reason also accepts another account, and a gap that is older than the provider's records.

Example:
  ringonce adopt --reason 'restored the backup of last night'")]
pub struct AdoptArgs {
    /// The reason, recorded in the journal
    #[arg(long)]
    reason: String,
    /// Accept permanently that some of the provider's records cannot be read. One of them may be a
    /// call that this file does not know
    #[arg(long)]
    accept_unread: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// List attempts, show or export them, resolve one in doubt, or close one that does not end
#[derive(Args)]
pub struct AttemptsArgs {
    #[command(subcommand)]
    command: AttemptsCommand,
}

#[derive(Subcommand)]
enum AttemptsCommand {
    /// List attempts, newest first
    List(ListArgs),
    /// Show one attempt whole, with what was said
    Show(show::ShowArgs),
    /// Write attempts with their results to a file, one row each
    Export(export::ExportArgs),
    /// Record whether a call in doubt was placed
    Resolve(ResolveArgs),
    /// Close a placed call that does not end: free its line, and call nobody for it again
    Close(CloseArgs),
}

#[derive(Args)]
struct ListArgs {
    /// Only in this state: dialing, in_doubt, placed, ended, not_placed
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Show at most N
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
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
#[command(group(ArgGroup::new("word").required(true).args(["placed", "not_placed"])))]
#[command(after_help = "\
Before you answer, look into the provider's dashboard, or ask the customer.
After --not-placed, ringonce retries the call until its last permitted instant. Run `ringonce
reconcile` first, because it reads the provider's list at once. For an old doubt, `run` reads that
list only every quarter of an hour.

Examples:
  ringonce attempts resolve 019ab3c4 --placed --reason 'it is in the dashboard'
  ringonce attempts resolve 019ab3c4 --not-placed --reason 'Ada says that nobody called'")]
struct ResolveArgs {
    /// The attempt's id, or at least its first 8 characters
    id: String,
    /// The phone rang
    #[arg(long)]
    placed: bool,
    /// The provider's id of the call, if you know it
    #[arg(long, value_name = "ID", requires = "placed")]
    call_id: Option<String>,
    /// The phone did not ring
    #[arg(long)]
    not_placed: bool,
    /// How you know, recorded in the journal
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
#[command(after_help = "\
First look into the provider's dashboard. If the provider reports the end later, it is stored with
the attempt.

Example:
  ringonce attempts close 019ab3c4 --reason 'the dashboard shows that it ended at noon'")]
struct CloseArgs {
    /// The attempt's id, or at least its first 8 characters
    id: String,
    /// How you know, recorded in the journal
    #[arg(long)]
    reason: String,
}

/// Loads the settings of a command that dials; the database must exist.
fn dialing_settings(global: &Global) -> anyhow::Result<Settings> {
    let settings = settings_for_dialing(&global.overrides())?;
    must_exist(&settings.loaded.db)?;
    Ok(settings)
}

pub fn reconcile(global: &Global, args: &ReconcileArgs) -> anyhow::Result<Exit> {
    let settings = dialing_settings(global)?;
    let (service, days) = service(settings)?;
    let done = match lock(&service, &days)? {
        Ok(_lock) => adopting::reconcile_alone(&service),
        Err(_) => adopting::reconcile_beside(&service),
    };
    report(&service, &done.map_err(refused)?, None, args.json)
}

pub fn adopt(global: &Global, args: &AdoptArgs) -> anyhow::Result<Exit> {
    let settings = dialing_settings(global)?;
    let path = settings.loaded.db.clone();
    let (service, days) = service(settings)?;
    let _lock = match lock(&service, &days)? {
        Ok(lock) => lock,
        Err(holder) => {
            let what = format!("another dialer is running: {holder}; stop it first");
            return Err(CliError::locked(what).into());
        }
    };
    if args.reason.trim().is_empty() {
        return Err(refused(ActRefused::NoReason.into()));
    }
    let done = adopting::adopt(&service, args.accept_unread, WHO, &args.reason).map_err(refused)?;
    if !args.json {
        output::line(&format!("{} may dial here", path.display()))?;
    }
    report(&service, &done.reconciled, Some(done.other_account), args.json)
}

#[derive(Serialize)]
struct Report {
    adopted: usize,
    found: usize,
    absent: usize,
    in_doubt: usize,
    /// Only for `adopt`: the person accepted another account.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_account: Option<bool>,
    /// The provider's records no longer cover calls between these two instants.
    unknowable: Option<[String; 2]>,
    /// Calls on the account that this file did not make and that count as made.
    made_elsewhere: usize,
}

fn report(
    service: &Service,
    done: &Reconciled,
    other_account: Option<bool>,
    json: bool,
) -> anyhow::Result<Exit> {
    let store = &service.cx.store;
    let (left, elsewhere) = store.read(|conn| {
        Ok((attempts::in_state(conn, AttemptState::InDoubt)?, made_elsewhere::all(conn)?))
    })?;
    let made_elsewhere =
        elsewhere.iter().filter(|call| call.blocks && call.ignored.is_none()).count();
    let Reconciled { adopted, found, absent, .. } = *done;
    let unknowable = done.unknowable.map(|(from, until)| [from, until].map(instant_text));
    if json {
        let in_doubt = left.len();
        output::json(&Report {
            adopted,
            found,
            absent,
            in_doubt,
            unknowable,
            other_account,
            made_elsewhere,
        })?;
    } else {
        if other_account == Some(true) {
            output::line(
                "the key belongs to another account than this file's calls, or shows none of them: \
                 calls of the earlier account cannot be read, so customers who were called since \
                 the backup may be called again",
            )?;
        }
        output::line(&format!(
            "adopted {adopted}, found {found}, proven absent {absent}; still in doubt {}",
            left.len()
        ))?;
        match made_elsewhere {
            0 => {}
            1 => output::line(
                "1 call on the account was made elsewhere and counts as made: see `ringonce \
                 history list`",
            )?,
            many => output::line(&format!(
                "{many} calls on the account were made elsewhere and count as made: see `ringonce \
                 history list`"
            ))?,
        }
        if let Some([from, until]) = unknowable {
            output::line(&format!(
                "calls between {from} and {until} stay unknown: the provider's records do not \
                 reach back that far"
            ))?;
        }
        if !left.is_empty() {
            let rows = store.read(|conn| {
                unresolved::newest(conn, Some(AttemptState::InDoubt), left.len().min(50))
            })?;
            table(&rows, false, service.clock.now()?).print()?;
        }
    }
    match &done.foreign {
        Some(why) => Err(CliError::refused(why.clone()).into()),
        None => Ok(Exit::Done),
    }
}

pub fn attempts(global: &Global, args: &AttemptsArgs) -> anyhow::Result<Exit> {
    match &args.command {
        AttemptsCommand::List(args) => list(global, args),
        AttemptsCommand::Show(args) => show::show(global, args),
        AttemptsCommand::Export(args) => export::export(global, args),
        AttemptsCommand::Resolve(args) => resolve(global, args),
        AttemptsCommand::Close(args) => close(global, args),
    }
}

fn list(global: &Global, args: &ListArgs) -> anyhow::Result<Exit> {
    let state = match &args.state {
        None => None,
        Some(text) => Some(AttemptState::parse(text).ok_or_else(|| {
            let known: Vec<&str> = AttemptState::ALL.iter().map(|s| s.as_str()).collect();
            CliError::usage(format!("there is no state \"{text}\": use {}", known.join(", ")))
        })?),
    };
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    must_exist(&settings.loaded.db)?;
    let store = if args.reveal {
        Store::open(&settings.loaded.db, now)?
    } else {
        Store::look(&settings.loaded.db)?
    };
    let rows = store.read(|conn| unresolved::newest(conn, state, args.limit as usize))?;
    if args.reveal {
        let by = By { who: WHO, now };
        store.write(|tx| journal::note_reveal(tx, by, "attempts", None))?;
    }
    if args.json || args.csv.is_some() {
        let json = |(attempt, name): &(Attempt, Option<String>)| {
            let mut row = attempt::as_json(attempt, name.as_deref(), args.reveal);
            // Scripts read the name under this key, which the API does not have.
            row["customer"] = row["customer_name"].clone();
            row
        };
        let rows: Vec<Value> = rows.iter().map(json).collect();
        new_file::rows(args.csv.as_deref(), &attempt::COLUMNS, &rows)?;
    } else if rows.is_empty() {
        output::line("no attempts")?;
    } else {
        table(&rows, args.reveal, now).print()?;
    }
    Ok(Exit::Done)
}

fn table(rows: &[(Attempt, Option<String>)], reveal: bool, now: Instant) -> Table {
    let header = ["ATTEMPT", "DIALED", "CUSTOMER", "PHONE", "CALL", "NO", "STATE", "DETAIL"];
    let mut table = Table::new(&header).align_right(5);
    for (attempt, name) in rows {
        let detail = match attempt.disposition {
            Some(disposition) => disposition.as_str(),
            None => attempt.error_message.as_deref().unwrap_or_default(),
        };
        let tone = match attempt.state {
            AttemptState::InDoubt => Tone::Bad,
            AttemptState::Dialing | AttemptState::Placed => Tone::Warn,
            AttemptState::Ended => Tone::Good,
            AttemptState::NotPlaced => Tone::Dim,
        };
        let phone = attempt.phone.as_deref().map(|phone| output::phone(phone, reveal));
        table.row([
            attempt.id.clone(),
            relative(attempt.created_at, now),
            clean(name.as_deref().unwrap_or("unknown")),
            phone.unwrap_or_default(),
            clean(&format!("{} {}", attempt.call_type, attempt.occasion)),
            attempt.attempt_no.to_string(),
            toned(tone, attempt.state.as_str()),
            clean(detail),
        ]);
    }
    table
}

fn resolve(global: &Global, args: &ResolveArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let clock = settings.loaded.clock.clone();
    let cx = context(settings, clock.now()?)?;
    let word =
        if args.placed { Word::Placed { call_id: args.call_id.clone() } } else { Word::NotPlaced };
    let resolved = cx.store.write(|tx| {
        let attempt = operate::attempt_of(tx, &args.id)?;
        // Read in the transaction: a later instant may have been written while it waited.
        let reading = clock.read()?;
        let resolved = operate::resolve(
            &cx,
            tx,
            &attempt,
            &word,
            Act { who: WHO, why: &args.reason, now: reading.now },
            &reading,
        )?;
        Ok((attempt.id, resolved))
    });
    let (id, resolved) = resolved.map_err(refused)?;
    output::line(&match resolved {
        Resolved::Placed => format!("attempt {id} counts as placed; nobody is called for it again"),
        Resolved::Retrying => format!("attempt {id} counts as not placed; the call is tried again"),
        Resolved::Closed => {
            format!("attempt {id} counts as not placed; its time is over, so nobody is called")
        }
    })?;
    Ok(Exit::Done)
}

fn close(global: &Global, args: &CloseArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let clock = settings.loaded.clock.clone();
    let cx = context(settings, clock.now()?)?;
    let closed = cx.store.write(|tx| {
        let attempt = operate::attempt_of(tx, &args.id)?;
        let now = clock.now()?;
        close::close(tx, &attempt, Act { who: WHO, why: &args.reason, now })?;
        Ok(attempt.id)
    });
    let id = closed.map_err(refused)?;
    output::line(&format!("attempt {id} is closed; nobody is called for it again"))?;
    Ok(Exit::Done)
}
