//! `reconcile`, `adopt` and `attempts`: doubt, and the right to dial from this file.

use std::path::Path;
use std::sync::Arc;

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;

use super::dialing::{lock, service};
use super::exit::{CliError, Exit};
use super::output::{self, Table, Tone, clean, relative, toned};
use super::{Global, Settings, settings, settings_for_dialing};
use crate::domain::call::AttemptState;
use crate::domain::{Instant, instant_text};
use crate::service::{Service, adopting, run};
use crate::steps::Context;
use crate::steps::operate::{self, Refused, Resolved, Word};
use crate::steps::reconcile::Reconciled;
use crate::store::attempts::{self, Attempt};
use crate::store::{Store, StoreError, doubts, journal};

/// Who acts, in the journal.
const WHO: &str = "cli";

/// Ask the provider's records about calls in doubt and calls that this file does not know
#[derive(Args)]
#[command(after_help = "`run` and `tick` do the same by themselves. Nothing is dialed.")]
pub struct ReconcileArgs {
    /// Print what came of it as JSON
    #[arg(long)]
    json: bool,
}

/// Let this file dial here: after a restore, a move or a copy, once the records are taken in
#[derive(Args)]
#[command(after_help = "\
First stop every other copy that dials. Then the provider's calls are read back, and those that
this file does not know are taken in; nobody is called for them again. The file that was armed
before loses the right to dial where it lies on this machine; where that cannot be taken from it,
nothing is armed, and you are told what to do. A gap that is older than the provider's records, and
another account, are accepted by your reason.

Example:
  ringonce adopt --reason 'restored the backup of last night'")]
pub struct AdoptArgs {
    /// Why; goes into the journal
    #[arg(long)]
    reason: String,
    /// Accept for good that these records of the provider cannot be read: one may be a call that
    /// nobody knows
    #[arg(long)]
    accept_unread: bool,
    /// Print what came of it as JSON
    #[arg(long)]
    json: bool,
}

/// The ledger of attempts: list them, or say what became of one in doubt
#[derive(Args)]
pub struct AttemptsArgs {
    #[command(subcommand)]
    command: AttemptsCommand,
}

#[derive(Subcommand)]
enum AttemptsCommand {
    /// List attempts, the newest first
    List(ListArgs),
    /// Say whether a call in doubt was placed
    Resolve(ResolveArgs),
}

#[derive(Args)]
struct ListArgs {
    /// Only in this state: dialing, in_doubt, placed, ended, not_placed
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Show whole phone numbers; noted in the journal
    #[arg(long)]
    reveal: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(group(ArgGroup::new("word").required(true).args(["placed", "not_placed"])))]
#[command(after_help = "\
Look into the provider's dashboard, or ask the person, before you answer.
With --not-placed the call is tried again while its time lasts. Run `ringonce reconcile` first: it
reads the provider's list once more, and `run` reads it for an old doubt each quarter of an hour only.

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
    /// Why you know; goes into the journal
    #[arg(long)]
    reason: String,
}

/// The settings of a command that dials, on a database that must be there.
fn dialing_settings(global: &Global) -> anyhow::Result<Settings> {
    let settings = settings_for_dialing(&global.overrides())?;
    must_exist(&settings.loaded.db)?;
    Ok(settings)
}

/// Opening to write would create it.
pub fn must_exist(path: &Path) -> anyhow::Result<()> {
    match path.exists() {
        true => Ok(()),
        false => Err(StoreError::Missing(path.to_path_buf()).into()),
    }
}

/// An open database with what the steps need.
pub fn context(settings: Settings, now: Instant) -> anyhow::Result<Context> {
    let Settings { loaded, zones } = settings;
    must_exist(&loaded.db)?;
    let store = Arc::new(Store::open(&loaded.db, now)?);
    Context::new(store, loaded.config, Arc::new(zones))
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
        return Err(refused(Refused::NoReason.into()));
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
    /// Of an adoption.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_account: Option<bool>,
    /// Between these instants calls may lie that nobody can look up any more.
    unknowable: Option<[String; 2]>,
}

fn report(
    service: &Service,
    done: &Reconciled,
    other_account: Option<bool>,
    json: bool,
) -> anyhow::Result<Exit> {
    let store = &service.cx.store;
    let left = store.read(|conn| attempts::in_state(conn, AttemptState::InDoubt))?;
    let Reconciled { adopted, found, absent, .. } = *done;
    let unknowable = done.unknowable.map(|(from, until)| [from, until].map(instant_text));
    if json {
        let in_doubt = left.len();
        output::json(&Report { adopted, found, absent, in_doubt, unknowable, other_account })?;
    } else {
        if other_account == Some(true) {
            output::line(
                "the key belongs to another account than this file's calls, or shows none of them: \
                 what that account called cannot be seen any more, and whoever was called since the \
                 backup may be called again",
            )?;
        }
        output::line(&format!(
            "adopted {adopted}, found {found}, proven absent {absent}; still in doubt {}",
            left.len()
        ))?;
        if let Some([from, until]) = unknowable {
            output::line(&format!(
                "calls between {from} and {until} cannot be known any more: the provider's records \
                 reach back no further"
            ))?;
        }
        if !left.is_empty() {
            let rows = store.read(|conn| {
                doubts::newest(conn, Some(AttemptState::InDoubt), left.len().min(50))
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
        AttemptsCommand::Resolve(args) => resolve(global, args),
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
    let store = match args.reveal {
        true => Store::open(&settings.loaded.db, now)?,
        false => Store::look(&settings.loaded.db)?,
    };
    let rows = store.read(|conn| doubts::newest(conn, state, args.limit as usize))?;
    if args.reveal {
        let (what, subject) = ("reveal", "attempts");
        let entry = journal::Entry { who: WHO, what, subject, ..Default::default() };
        store.write(|tx| journal::add(tx, now, entry))?;
    }
    if args.json {
        let shown: Vec<Shown<'_>> = rows.iter().map(|row| Shown::of(row, args.reveal)).collect();
        output::json(&shown)?;
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

/// An attempt as JSON; the phone is masked unless it is revealed.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    seq: i64,
    queue_id: Option<i64>,
    customer_id: Option<i64>,
    customer: Option<&'a str>,
    call_type: &'a str,
    occasion: &'a str,
    attempt_no: i64,
    phone: Option<String>,
    state: &'a str,
    vapi_call_id: Option<&'a str>,
    disposition: Option<&'a str>,
    ended_reason: Option<&'a str>,
    error_message: Option<&'a str>,
    clean_reads: i64,
    created_at: String,
    updated_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    duration_seconds: Option<f64>,
    cost: Option<f64>,
}

impl<'a> Shown<'a> {
    fn of((attempt, name): &'a (Attempt, Option<String>), reveal: bool) -> Shown<'a> {
        Shown {
            id: &attempt.id,
            seq: attempt.seq,
            queue_id: attempt.queue_id,
            customer_id: attempt.customer_id,
            customer: name.as_deref(),
            call_type: attempt.call_type.as_str(),
            occasion: &attempt.occasion,
            attempt_no: attempt.attempt_no,
            phone: attempt.phone.as_deref().map(|phone| output::phone(phone, reveal)),
            state: attempt.state.as_str(),
            vapi_call_id: attempt.vapi_call_id.as_deref(),
            disposition: attempt.disposition.map(|disposition| disposition.as_str()),
            ended_reason: attempt.ended_reason.as_deref(),
            error_message: attempt.error_message.as_deref(),
            clean_reads: attempt.clean_reads,
            created_at: instant_text(attempt.created_at),
            updated_at: instant_text(attempt.updated_at),
            started_at: attempt.started_at.map(instant_text),
            ended_at: attempt.ended_at.map(instant_text),
            duration_seconds: attempt.duration_seconds,
            cost: attempt.cost,
        }
    }
}

fn resolve(global: &Global, args: &ResolveArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let clock = settings.loaded.clock.clone();
    let cx = context(settings, clock.now()?)?;
    let word = match args.placed {
        true => Word::Placed { call_id: args.call_id.clone() },
        false => Word::NotPlaced,
    };
    let resolved = cx.store.write(|tx| {
        let attempt = operate::attempt_of(tx, &args.id)?;
        // Read here: while this waited for its turn the file may have seen a later instant.
        let reading = clock.read()?;
        let resolved = operate::resolve(&cx, tx, &attempt, &word, WHO, &args.reason, &reading)?;
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

/// Gives a refusal its exit code: a wrong argument, or a state that needs a person.
pub fn refused(error: anyhow::Error) -> anyhow::Error {
    if let Some(why) = error.downcast_ref::<Refused>() {
        let text = why.to_string();
        return match why {
            Refused::NotInDoubt { .. } | Refused::WrongClock(_) => CliError::refused(text).into(),
            _ => CliError::usage(text).into(),
        };
    }
    match error.downcast::<run::Refused>() {
        Ok(refused) => CliError::refused(refused.0).into(),
        Err(error) => error,
    }
}
