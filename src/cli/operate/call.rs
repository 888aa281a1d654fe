//! `ringonce call`: calls one customer now, through the same gate as every other call. If a dialer
//! is running, the command only queues the call, and that dialer dials it.

use clap::Args;

use crate::cli::arguments::configuration::{Global, settings_for_dialing};
use crate::cli::arguments::{call_type, one_for_good, time_flag, usage};
use crate::cli::exit::{CliError, Exit};
use crate::cli::serve::dialing::{lock, service};
use crate::domain::call::{CallType, ItemStatus, Reason};
use crate::domain::customer::Customer;
use crate::present::output;
use crate::service::{self, Service};
use crate::steps::forecast::explain::explain;
use crate::steps::operate::call_now::{
    CallRefused, ExtraWish, QueuedExtra, WHO, WishRefused, due_item, queue_extra_at,
};
use crate::steps::readiness::clock_check;
use crate::store::Store;
use crate::store::queue::{self, Item};

/// Call one customer now: the call that is due, or an extra one
#[derive(Args)]
#[command(after_help = "\
Exits 1 when no call is made, with the reason; 3 when nothing may be dialed at all.

Examples:
  ringonce call ada@example.com
  ringonce call ada@example.com --extra --reason 'asked to be called back'
  ringonce call ada --extra --reason 'wants it' --at 2026-11-22T17:00:00Z --key callback-17")]
pub struct CallArgs {
    /// Id, external id, e-mail or phone; id:7, external:7, … match one kind only
    customer: String,
    /// The type to call if both are due: welcome or daily
    #[arg(long, value_name = "TYPE", conflicts_with = "extra")]
    r#type: Option<String>,
    /// Make an extra call, in addition to the welcome call and the daily calls
    #[arg(long, requires = "reason")]
    extra: bool,
    /// The reason, recorded in the journal
    #[arg(long)]
    reason: Option<String>,
    /// Make the extra call at this instant; without it, now
    #[arg(long, value_name = "TIME", requires = "extra")]
    at: Option<String>,
    /// Your own id of the extra call: the same key never causes a second call
    #[arg(long, value_name = "KEY", requires = "extra")]
    key: Option<String>,
}

pub fn run(global: &Global, args: &CallArgs) -> anyhow::Result<Exit> {
    let wanted = args.r#type.as_deref().map(call_type).transpose()?;
    let reason = args.reason.as_deref().unwrap_or_default();
    if args.extra && reason.trim().is_empty() {
        return Err(usage("--reason is empty: say why"));
    }
    if wanted == Some(CallType::Extra) {
        return Err(usage("--type extra: give --extra --reason WHY instead"));
    }
    let at = args.at.as_deref().map(|text| time_flag("--at", text)).transpose()?;
    let settings = settings_for_dialing(&global.overrides())?;
    let path = settings.loaded.db.clone();
    let customer = Store::look(&path)?.read(|conn| one_for_good(conn, &args.customer))?;
    let (service, days) = service(settings)?;
    let lock = lock(&service, &days)?;
    let extra = ExtraWish { who: WHO, why: reason, at, key: args.key.as_deref() };
    let wish = Wish { customer: &customer, wanted, extra: args.extra.then_some(extra) };
    let called = queue_and_dial(&service, &wish, lock.as_ref().err());
    if lock.is_ok() {
        service::call::close(&service)?;
    }
    called
}

/// The requested call.
struct Wish<'a> {
    customer: &'a Customer,
    wanted: Option<CallType>,
    /// `None`: the call that is due.
    extra: Option<ExtraWish<'a>>,
}

/// `holder`: the process that holds the dialer's lock; `None`: this process holds it.
fn queue_and_dial(
    service: &Service,
    wish: &Wish<'_>,
    holder: Option<&String>,
) -> anyhow::Result<Exit> {
    let shut = match holder {
        None => service::call::open(service)?,
        // The running dialer has asked the provider, but the new item's times are from our clock.
        Some(_) => {
            let reading = service.clock.read()?;
            service.cx.store.read(|conn| clock_check::unproven_clock(conn, &reading))?
        }
    };
    if let Some(why) = shut {
        return Err(CliError::refused(format!("nothing is dialed: {why}")).into());
    }
    let customer = wish.customer;
    let queued = match &wish.extra {
        Some(wish) => extra(service, customer, wish)?,
        None => QueuedExtra { item: due(service, customer, wish.wanted)?, is_new: true },
    };
    let item = queued.item;
    let name = format!("item {}, the {} call of customer {}", item.id, item.call_type, customer.id);
    if !queued.is_new && !item.status.is_active() {
        return known_already(&item, &name);
    }
    if service.clock.now()? < item.scheduled_for {
        let zone = service.cx.zones.get(&customer.timezone);
        let when = output::local_or_utc(item.scheduled_for, zone.as_deref());
        output::line(&format!("queued {name}, for {when} there; `run` or `tick` calls it then"))?;
        return Ok(Exit::Done);
    }
    match holder {
        Some(holder) => {
            output::line(&format!("queued {name}; the running dialer calls it ({holder})"))?;
            Ok(Exit::Done)
        }
        None => dial(service, &item, &name),
    }
}

fn due(service: &Service, customer: &Customer, wanted: Option<CallType>) -> anyhow::Result<Item> {
    let now = service.clock.now()?;
    let explained = explain(&service.cx, customer.id, now, None)?;
    let explained = explained.ok_or_else(|| usage(format!("customer {} is gone", customer.id)))?;
    due_item(&service.cx, &explained, wanted, now).map_err(failed)
}

fn extra(
    service: &Service,
    customer: &Customer,
    wish: &ExtraWish<'_>,
) -> anyhow::Result<QueuedExtra> {
    let now = service.clock.now()?;
    let cx = &service.cx;
    cx.store.write(|tx| queue_extra_at(cx, tx, customer, wish, now)).map_err(failed)
}

/// The key was given before, and its item is over.
fn known_already(item: &Item, name: &str) -> anyhow::Result<Exit> {
    let reason = item.reason.map(|reason| format!(", {reason}")).unwrap_or_default();
    let what =
        format!("{name} has this key and is {}{reason}; nothing more is called", item.status);
    match (item.status, item.reason) {
        (ItemStatus::Completed, _) => {
            output::line(&what)?;
            Ok(Exit::Done)
        }
        (_, Some(Reason::InDoubt)) => Err(CliError::refused(what).into()),
        _ => Err(CliError { exit: Exit::Failed, message: what }.into()),
    }
}

fn failed(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<CallRefused>() {
        Ok(refused) => CliError { exit: Exit::Failed, message: refused.to_string() }.into(),
        Err(error) => match error.downcast::<WishRefused>() {
            Ok(why @ (WishRefused::Key(_) | WishRefused::At(_))) => usage(format!("--{why}")),
            Ok(why) => CliError { exit: Exit::Failed, message: format!("--{why}") }.into(),
            Err(error) => error,
        },
    }
}

/// Dials the item and reports the outcome.
fn dial(service: &Service, item: &Item, name: &str) -> anyhow::Result<Exit> {
    let passed = service::call::dial(service, item.id)?;
    let after = service.cx.store.read(|conn| queue::item(conn, item.id))?;
    let after = after.as_ref().unwrap_or(item);
    if passed.succeeded > 0 {
        let id = after.vapi_call_id.as_deref().unwrap_or("without an id yet");
        output::line(&format!("placed {name}: {}", output::clean(id)))?;
        return Ok(Exit::Done);
    }
    if passed.in_doubt > 0 {
        return Err(CliError::refused(format!(
            "{name} is in doubt: it is not known whether the phone rang; see `ringonce status`"
        ))
        .into());
    }
    if let Some(why) = passed.shut {
        return Err(CliError::refused(format!("{name} waits: {why}")).into());
    }
    let why = match (&after.error_message, after.reason) {
        (Some(message), _) => message.clone(),
        (None, Some(reason)) => reason.to_string(),
        (None, None) => "no line is free".to_string(),
    };
    let what = match after.status {
        ItemStatus::Pending | ItemStatus::Retrying => "was not placed and is tried again later",
        _ => "was not placed",
    };
    Err(CliError { exit: Exit::Failed, message: format!("{name} {what}: {why}") }.into())
}
