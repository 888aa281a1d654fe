//! `ringonce customers …`: who is called, where they live, and when they want to be called.

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::customers_fields::FieldArgs;
use super::customers_import::{ImportArgs, RENUMBERED, import};
use super::customers_show::{ListArgs, ShowArgs, list, show};
use super::erase;
use super::exit::{CliError, Exit};
use super::{Global, output, settings};
use crate::clock::Reading;
use crate::domain::Instant;
use crate::domain::customer::Customer;
use crate::domain::entry::Entry;
use crate::domain::fields::shown;
use crate::steps::customers::{
    change, create, pause, plan_change, plan_new, resume, same_phone_words,
};
use crate::steps::entry_text::Reader;
use crate::steps::guard;
use crate::steps::whom::{self, Unclear};
use crate::store::customers::{self, Found, by_external_id, matching, payment_statuses};
use crate::store::{Conn, Store, StoreError, traces};
use crate::zones::Zones;

/// Who acts, in the journal.
pub const WHO: &str = "cli";

/// Customers: import, add, list, show, update, pause, resume.
#[derive(Args)]
pub struct CustomersArgs {
    #[command(subcommand)]
    pub command: CustomersCommand,
}

/// What is done with customers. CUSTOMER is an id, external id, e-mail or phone.
#[derive(Subcommand)]
pub enum CustomersCommand {
    /// Take a CSV file over: all of it or nothing
    Import(ImportArgs),
    /// Add one customer
    Add(AddArgs),
    /// List customers
    List(ListArgs),
    /// Show everything about one customer
    Show(ShowArgs),
    /// Change one customer; what is not named stays
    Update(UpdateArgs),
    /// Stop all calls to one customer, until resumed
    Pause(ReasonArgs),
    /// Let a paused or disabled customer be called again
    Resume(ReasonArgs),
    /// Forget a customer; the ledger keeps only that a number was called
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
    /// Id, external id, e-mail or phone; id:7, external:7, … ask for one kind only
    customer: String,
    #[command(flatten)]
    fields: FieldArgs,
}

#[derive(Args)]
pub struct ReasonArgs {
    /// Id, external id, e-mail or phone; id:7, external:7, … ask for one kind only
    customer: String,
    /// Why; goes into the journal
    #[arg(long)]
    reason: String,
}

/// What a command on customers works with. Each opens the database itself, after its arguments
/// proved to be right: bad input leaves no new file behind.
pub struct Cx<'a> {
    pub db: &'a Path,
    pub zones: &'a Zones,
    pub now: Instant,
    pub reading: Reading,
}

impl Cx<'_> {
    /// Opens to read; changes nothing.
    pub fn look(&self) -> anyhow::Result<Store> {
        Store::look(self.db)
    }

    /// Opens a database that is there to write.
    pub fn edit(&self) -> anyhow::Result<Store> {
        match self.db.exists() {
            true => self.create(),
            false => Err(StoreError::Missing(self.db.to_path_buf()).into()),
        }
    }

    /// Opens to write; creates a database that is not there.
    pub fn create(&self) -> anyhow::Result<Store> {
        Store::open(self.db, self.now)
    }
}

/// Runs one command with the configuration's database, zones and clock.
pub fn run(global: &Global, args: &CustomersArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let reading = settings.loaded.clock.read()?;
    let (db, zones) = (&settings.loaded.db, &settings.zones);
    let cx = &Cx { db, zones, now: reading.now, reading };
    let changes = match &args.command {
        CustomersCommand::Import(args) => import(cx, args),
        CustomersCommand::Add(args) => add(cx, args),
        CustomersCommand::Update(args) => update(cx, args),
        CustomersCommand::List(args) => return list(cx, args),
        CustomersCommand::Show(args) => return show(cx, args),
        CustomersCommand::Pause(args) => return set_paused(cx, args, true),
        CustomersCommand::Resume(args) => return set_paused(cx, args, false),
        CustomersCommand::Erase(args) => return erase::run(cx, args),
    };
    if changes.is_ok() && cx.db.exists() {
        warn_if_new_beside(&cx.look()?)?;
        warn_of_statuses(cx, &settings.loaded.config.customers.eligible_payment_status)?;
    }
    changes
}

fn add(cx: &Cx<'_>, args: &AddArgs) -> anyhow::Result<Exit> {
    let mut reader = Reader::new(cx.zones, args.fields.default_country());
    let entry = args.fields.entry(&mut reader, cx.now)?;
    let customer = plan_new(&mut reader, &entry, cx.now).map_err(usage)?;
    let store = cx.create()?;
    check_clock(&store, &cx.reading)?;
    let id = store.write(|tx| {
        let (external_id, email) = (customer.external_id.as_deref(), customer.email.as_deref());
        match matching(tx, external_id, email, &customer.phone)? {
            Found::Nobody => create(tx, &mut reader, &customer, WHO, cx.now),
            Found::One(known) => Err(usage(format!(
                "this is customer {} already: use `customers update`, or tell them apart by \
                 --external-id",
                known.id
            ))),
            Found::Several(known) => Err(usage(whom::several(tx, "this customer", &known)?)),
        }
    })?;
    let trouble = match &customer.phone_validation_error {
        Some(reason) => format!(", whose phone cannot be dialed: {reason}"),
        None if 0 < reader.renumbered => format!(", whose phone was {RENUMBERED}"),
        None => String::new(),
    };
    output::line(&format!("added customer {id}{}{trouble}", same_phone(&store, id)?))?;
    Ok(Exit::Done)
}

fn update(cx: &Cx<'_>, args: &UpdateArgs) -> anyhow::Result<Exit> {
    let mut reader = Reader::new(cx.zones, args.fields.default_country());
    let mut entry = args.fields.entry(&mut reader, cx.now)?;
    if entry == Entry::default() {
        return Err(usage("nothing to change was named; see `customers update --help`"));
    }
    // The schedule would win silently; who sets a time means it instead.
    if matches!(entry.call_time, Some(Some(_))) && entry.call_schedule.is_none() {
        entry.call_schedule = Some(None);
    }
    let store = cx.edit()?;
    check_clock(&store, &cx.reading)?;
    let (id, changes) = store.write(|tx| {
        let known = one(tx, &args.customer)?;
        if entry.phone.is_none() && entry.phone_validated.is_some() {
            entry.phone = Some(reader.phone(&known.phone).map_err(usage)?);
        }
        if let Some(external_id) = &entry.external_id
            && let Some(other) = by_external_id(tx, external_id)?
            && other.id != known.id
        {
            return Err(usage(format!("customer {} has this external id already", other.id)));
        }
        let after = plan_change(tx, &mut reader, &known, &entry, cx.now)?;
        Ok((known.id, change(tx, &mut reader, &known, &after, WHO, cx.now)?))
    })?;
    let fields: Vec<&str> = changes.iter().map(|change| change.field).collect();
    let same_phone = same_phone(&store, id)?;
    output::line(&match fields.is_empty() {
        true => format!("customer {id} is unchanged{same_phone}"),
        false => format!("customer {id}: changed {}{same_phone}", fields.join(", ")),
    })?;
    if 0 < reader.renumbered {
        output::line(&format!("the phone was {RENUMBERED}"))?;
    }
    Ok(Exit::Done)
}

/// `, same phone as customer 1`; empty where nobody else has the number.
fn same_phone(store: &Store, id: i64) -> anyhow::Result<String> {
    let others = store.read(|conn| match customers::by_id(conn, id)? {
        Some(customer) => customers::with_same_phone(conn, &customer),
        None => Ok(Vec::new()),
    })?;
    Ok(same_phone_words(&others).map_or(String::new(), |words| format!(", {words}")))
}

fn set_paused(cx: &Cx<'_>, args: &ReasonArgs, paused: bool) -> anyhow::Result<Exit> {
    if args.reason.trim().is_empty() {
        return Err(usage("--reason is empty: say why"));
    }
    let (id, moved) = cx.edit()?.write(|tx| {
        let known = one(tx, &args.customer)?;
        let moved = match paused {
            true => pause(tx, &known, WHO, &args.reason, cx.now)?,
            false => resume(tx, &known, WHO, &args.reason, cx.now)?,
        };
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

/// Refuses to write, by a clock that is known to be wrong, what binds until its instants come: when
/// somebody signed up, and their next call.
pub fn check_clock(store: &Store, reading: &Reading) -> anyhow::Result<()> {
    match store.read(|conn| guard::wrong_clock(conn, reading))? {
        None => Ok(()),
        Some(why) => Err(CliError::refused(format!(
            "nothing was written, because the clock is wrong: {why}; then say it again"
        ))
        .into()),
    }
}

/// Says that nobody is dialed from a new database beside the traces of another one.
pub fn warn_if_new_beside(store: &Store) -> anyhow::Result<()> {
    if let Some(new) = store.read(traces::not_accepted)? {
        log::warn!("nobody is dialed: {new}");
    }
    Ok(())
}

/// A status that is eligible but for its capitals looks like a paying customer, and nobody calls.
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

/// The one customer that a text names.
pub fn one(conn: &Conn, text: &str) -> anyhow::Result<Customer> {
    whom::one(conn, text).map_err(unclear)
}

/// The same for what cannot be taken back.
pub fn one_for_good(conn: &Conn, text: &str) -> anyhow::Result<Customer> {
    whom::one_for_good(conn, text).map_err(unclear)
}

fn unclear(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Unclear>() {
        Ok(why) => usage(why),
        Err(error) => error,
    }
}

/// An error of exit code 2.
pub fn usage(message: impl std::fmt::Display) -> anyhow::Error {
    anyhow!(CliError::usage(message.to_string()))
}
