//! `ringonce customers …`: adds, imports, lists, shows, changes, pauses, exports and erases
//! customers.

pub(crate) mod consequences;
pub(crate) mod erase;
mod export;
pub(crate) mod fields;
pub(crate) mod import;
pub mod printed;
mod progress;
pub mod show;

use crate::cli::arguments::{Cx, WHO, check_clock, context, one, usage, warn_if_new_beside};
use crate::config::settings::Config;
use crate::store::journal::{Act, By};

use clap::{Args, Subcommand};

use crate::cli::arguments::configuration::{Global, settings};
use crate::cli::customers::fields::FieldArgs;
use crate::cli::customers::import::{ImportArgs, import};
use crate::cli::customers::printed::RENUMBERED;
use crate::cli::customers::show::{ListArgs, ShowArgs, list, show};
use crate::cli::exit::Exit;
use crate::domain::customer::columns::shown;
use crate::domain::customer::entry::CustomerEntry;
use crate::present::output;
use crate::steps::customers::edit::{self, EditRefused};
use crate::steps::customers::{
    change_because, create, find, pause, plan_new, resume, same_phone_words,
};
use crate::steps::import::field_values::Reader;
use crate::store::Store;
use crate::store::customers::{self, Found, matching, payment_statuses};

/// Manage customers: import, add, list, show, update, pause, resume, export, erase
#[derive(Args)]
pub struct CustomersArgs {
    #[command(subcommand)]
    pub command: CustomersCommand,
}

/// The commands on customers. CUSTOMER is an id, external id, e-mail or phone.
#[derive(Subcommand)]
pub enum CustomersCommand {
    /// Import a CSV file: all rows or none
    Import(ImportArgs),
    /// Add one customer
    Add(AddArgs),
    /// List customers
    List(ListArgs),
    /// Show everything about one customer
    Show(ShowArgs),
    /// Change one customer; fields that are not given stay
    Update(UpdateArgs),
    /// Stop all calls to one customer, until resumed
    Pause(ReasonArgs),
    /// Let a paused or disabled customer be called again
    Resume(ReasonArgs),
    /// Write everything that is stored about one person, as JSON
    Export(export::ExportArgs),
    /// Erase a customer's data; the ledger keeps only that a number was called
    Erase(erase::EraseArgs),
}

#[derive(Args)]
#[command(after_help = "\
Example:
  ringonce customers add --name Ada --phone '+1 212 555 0101' --timezone America/New_York \\
    --call-time 7:30am --payment-status Paid")]
pub struct AddArgs {
    #[command(flatten)]
    fields: FieldArgs,
}

#[derive(Args)]
#[command(after_help = "\
An empty value takes away: --call-time '' ends the daily calls.

Example:
  ringonce customers update ada@example.com --timezone Europe/London --call-time 08:00")]
pub struct UpdateArgs {
    /// Id, external id, e-mail or phone; id:7, external:7, … match one kind only
    customer: String,
    /// The reason, recorded in the journal
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    fields: FieldArgs,
}

#[derive(Args)]
pub struct ReasonArgs {
    /// Id, external id, e-mail or phone; id:7, external:7, … match one kind only
    customer: String,
    /// The reason, recorded in the journal
    #[arg(long)]
    reason: String,
}

/// Runs one command with the configuration's database, zones and clock.
pub fn run(global: &Global, args: &CustomersArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let reading = settings.loaded.clock.read()?;
    let (db, zones) = (&settings.loaded.db, &settings.zones);
    let cx = &Cx { db, zones, now: reading.now, reading };
    let changes = match &args.command {
        CustomersCommand::Import(args) => import(cx, args, &settings.loaded.config),
        CustomersCommand::Add(args) => add(cx, args, &settings.loaded.config),
        CustomersCommand::Update(args) => update(cx, args, &settings.loaded.config),
        CustomersCommand::List(args) => return list(cx, args),
        CustomersCommand::Show(args) => return show(cx, args),
        CustomersCommand::Pause(args) => return set_paused(global, args, true),
        CustomersCommand::Resume(args) => return set_paused(global, args, false),
        CustomersCommand::Export(args) => return export::run(cx, args),
        CustomersCommand::Erase(args) => return erase::run(cx, args),
    };
    if changes.is_ok() && cx.db.exists() {
        warn_if_new_beside(&cx.look()?)?;
        warn_of_statuses(cx, &settings.loaded.config.customers.eligible_payment_status)?;
    }
    changes
}

fn add(cx: &Cx<'_>, args: &AddArgs, config: &Config) -> anyhow::Result<Exit> {
    let mut reader = reader(cx, &args.fields, config);
    let entry = args.fields.entry(&mut reader, cx.now)?;
    let customer = plan_new(&mut reader, &entry, cx.now).map_err(usage)?;
    let store = cx.create()?;
    check_clock(&store, &cx.reading)?;
    let id = store.write(|tx| {
        let (external_id, email) = (customer.external_id.as_deref(), customer.email.as_deref());
        match matching(tx, external_id, email, &customer.phone)? {
            Found::Nobody => create(tx, &mut reader, &customer, By { who: WHO, now: cx.now }),
            Found::One(known) => Err(usage(format!(
                "this is customer {} already: use `customers update`, or tell them apart by \
                 --external-id",
                known.id
            ))),
            Found::Several(known) => Err(usage(find::several(tx, "this customer", &known)?)),
        }
    })?;
    let trouble = match &customer.phone_validation_error {
        Some(reason) => format!(", whose phone cannot be dialed: {reason}"),
        None if reader.renumbered > 0 => format!(", whose phone was {RENUMBERED}"),
        None => String::new(),
    };
    output::line(&format!("added customer {id}{}{trouble}", same_phone(&store, id)?))?;
    Ok(Exit::Done)
}

fn reader<'a>(cx: &Cx<'a>, fields: &'a FieldArgs, config: &Config) -> Reader<'a> {
    Reader::new(cx.zones, fields.default_country()).with_assistants(config.assistants.keys())
}

fn update(cx: &Cx<'_>, args: &UpdateArgs, config: &Config) -> anyhow::Result<Exit> {
    let mut reader = reader(cx, &args.fields, config);
    let entry = args.fields.entry(&mut reader, cx.now)?;
    if entry == CustomerEntry::default() {
        return Err(usage("nothing to change was named; see `customers update --help`"));
    }
    let why = args.reason.as_deref().map(str::trim).filter(|why| !why.is_empty());
    let store = cx.edit()?;
    check_clock(&store, &cx.reading)?;
    let (id, changes) = store.write(|tx| {
        let known = one(tx, &args.customer)?;
        let planned = edit::planned(tx, &mut reader, &known, entry, cx.now);
        let after = planned.map_err(|error| match error.downcast::<EditRefused>() {
            Ok(refused) => usage(refused),
            Err(error) => error,
        })?;
        let by = By { who: WHO, now: cx.now };
        Ok((known.id, change_because(tx, &mut reader, &known, &after, by, why)?))
    })?;
    let fields: Vec<&str> = changes.iter().map(|change| change.field).collect();
    let same_phone = same_phone(&store, id)?;
    output::line(&if fields.is_empty() {
        format!("customer {id} is unchanged{same_phone}")
    } else {
        format!("customer {id}: changed {}{same_phone}", fields.join(", "))
    })?;
    if reader.renumbered > 0 {
        output::line(&format!("the phone was {RENUMBERED}"))?;
    }
    Ok(Exit::Done)
}

/// `, same phone as customer 1`; empty if no other customer has the number.
fn same_phone(store: &Store, id: i64) -> anyhow::Result<String> {
    let others = store.read(|conn| match customers::by_id(conn, id)? {
        Some(customer) => customers::with_same_phone(conn, &customer),
        None => Ok(Vec::new()),
    })?;
    Ok(same_phone_words(&others).map_or(String::new(), |words| format!(", {words}")))
}

fn set_paused(global: &Global, args: &ReasonArgs, paused: bool) -> anyhow::Result<Exit> {
    if args.reason.trim().is_empty() {
        return Err(usage("--reason is empty: say why"));
    }
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    let cx = context(settings, now)?;
    let act = Act { who: WHO, why: &args.reason, now };
    let (id, moved) = cx.store.write(|tx| {
        let known = one(tx, &args.customer)?;
        let moved = if paused { pause(tx, &known, act)? } else { resume(&cx, tx, &known, act)? };
        Ok((known.id, moved))
    })?;
    output::line(&match (paused, moved) {
        (true, true) => format!("customer {id} is paused until `customers resume`"),
        (true, false) => format!("customer {id} was paused already"),
        (false, true) => format!("customer {id} may be called again"),
        (false, false) => format!("customer {id} was neither paused nor disabled"),
    })?;
    Ok(Exit::Done)
}

/// Warns of payment statuses that differ from an eligible one only in capitals: such customers
/// look eligible and are never called.
fn warn_of_statuses(cx: &Cx<'_>, eligible: &[String]) -> anyhow::Result<()> {
    for (status, count) in cx.look()?.read(payment_statuses)? {
        let meant = eligible.iter().find(|word| word.eq_ignore_ascii_case(&status));
        if let Some(meant) = meant.filter(|_| !eligible.contains(&status)) {
            let who =
                if count == 1 { "1 customer has" } else { &format!("{count} customers have") };
            log::warn!(
                "{who} the payment status \"{}\", which is not eligible: is it \"{meant}\"?",
                shown(&status)
            );
        }
    }
    Ok(())
}
