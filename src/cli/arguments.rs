//! Arguments that several commands share: a customer, a call type, an instant.

pub mod configuration;
pub(crate) mod new_file;
pub(crate) mod usage;

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;

use crate::cli::arguments::configuration::Settings;
use crate::cli::exit::CliError;
use crate::clock::Reading;
use crate::domain::call::CallType;
use crate::domain::customer::Customer;
use crate::domain::customer::columns::{nearest, shown};
use crate::domain::{Instant, has_offset, parse_instant};
use crate::service::run;
use crate::steps::Context;
use crate::steps::customers::find::{self, Unclear};
use crate::steps::operate::ActRefused;
use crate::steps::readiness::clock_check;
use crate::store::error::StoreError;
use crate::store::file::lost_database;
use crate::store::{Conn, Store};
use crate::zones::Zones;

/// The actor's name in the journal.
pub const WHO: &str = "cli";

/// The context of a command on customers. Each command opens the database itself, after checking
/// its arguments, so that bad input does not create a file.
pub struct Cx<'a> {
    pub db: &'a Path,
    pub zones: &'a Zones,
    pub now: Instant,
    pub reading: Reading,
}

impl Cx<'_> {
    /// Opens the database to read; changes nothing.
    pub fn look(&self) -> anyhow::Result<Store> {
        Store::look(self.db)
    }

    /// Opens an existing database to write.
    pub fn edit(&self) -> anyhow::Result<Store> {
        if self.db.exists() {
            self.create()
        } else {
            Err(StoreError::Missing(self.db.to_path_buf()).into())
        }
    }

    /// Opens the database to write; creates it if it is missing.
    pub fn create(&self) -> anyhow::Result<Store> {
        Store::open(self.db, self.now)
    }
}

/// Refuses to write when the clock is known to be wrong. A wrong clock would store a sign-up time
/// or a next call in the future, and calls would wait until then.
pub fn check_clock(store: &Store, reading: &Reading) -> anyhow::Result<()> {
    match store.read(|conn| clock_check::wrong_clock(conn, reading))? {
        None => Ok(()),
        Some(why) => Err(CliError::refused(format!(
            "nothing was written, because the clock is wrong: {why}; then run the command again"
        ))
        .into()),
    }
}

/// Warns of rows that a list leaves out.
pub fn warn_of_left_out(rows: u64) {
    match rows {
        0 => {}
        1 => log::warn!("1 row cannot be read and is left out; `ringonce check` names it"),
        _ => log::warn!("{rows} rows cannot be read and are left out; `ringonce check` names them"),
    }
}

/// Warns that a new database beside traces of another one does not dial.
pub fn warn_if_new_beside(store: &Store) -> anyhow::Result<()> {
    if let Some(new) = store.read(lost_database::not_accepted)? {
        log::warn!("nobody is dialed: {new}");
    }
    Ok(())
}

/// Finds the one customer that a text names.
pub fn one(conn: &Conn, text: &str) -> anyhow::Result<Customer> {
    find::one(conn, text).map_err(unclear)
}

/// The same for an act that cannot be undone: refuses a text that may mean another customer too.
pub fn one_for_good(conn: &Conn, text: &str) -> anyhow::Result<Customer> {
    find::one_for_good(conn, text).map_err(unclear)
}

fn unclear(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Unclear>() {
        Ok(why) => usage(why),
        Err(error) => error,
    }
}

/// An error with exit code 2.
pub fn usage(message: impl std::fmt::Display) -> anyhow::Error {
    anyhow!(CliError::usage(message.to_string()))
}

/// Parses the call type of `--type`.
pub fn call_type(text: &str) -> anyhow::Result<CallType> {
    known(text, "--type", CallType::ALL, CallType::as_str)
}

/// Parses a word of a closed list; the error suggests the nearest one.
pub(crate) fn known<T: Copy>(
    text: &str,
    flag: &str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> anyhow::Result<T> {
    if let Some(found) = all.iter().find(|known| word(**known) == text) {
        return Ok(*found);
    }
    let words: Vec<&str> = all.iter().map(|known| word(*known)).collect();
    let hint = match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("give one of {}", words.join(", ")),
    };
    Err(usage(format!("{flag} \"{}\" is not known: {hint}", shown(text))))
}

/// Parses the RFC 3339 time of a flag.
pub fn time_flag(flag: &str, text: &str) -> anyhow::Result<Instant> {
    const WRITE: &str = "write 2026-11-22T17:01:00Z or 2026-11-22T12:01:00-05:00";
    let (at, text) = (parse_instant(text).filter(|_| has_offset(text)), shown(text));
    at.ok_or_else(|| {
        let what =
            if parse_instant(&text).is_some() { "has no offset from UTC" } else { "is not a time" };
        usage(format!("{flag} \"{text}\" {what}: {WRITE}"))
    })
}

/// Refuses a missing database, because opening it to write would create it.
pub fn must_exist(path: &Path) -> anyhow::Result<()> {
    if path.exists() { Ok(()) } else { Err(StoreError::Missing(path.to_path_buf()).into()) }
}

/// Opens an existing database and builds the context of the steps.
pub fn context(settings: Settings, now: Instant) -> anyhow::Result<Context> {
    let Settings { loaded, zones } = settings;
    must_exist(&loaded.db)?;
    let store = Arc::new(Store::open(&loaded.db, now)?);
    Context::new(store, loaded.config, Arc::new(zones))
}

/// Gives a refusal its exit code: 2 for a wrong argument, 3 for a state that needs a person.
pub fn refused(error: anyhow::Error) -> anyhow::Error {
    if let Some(why) = error.downcast_ref::<ActRefused>() {
        let text = why.to_string();
        return match why {
            ActRefused::NotInDoubt { .. } | ActRefused::WrongClock(_) => {
                CliError::refused(text).into()
            }
            _ => CliError::usage(text).into(),
        };
    }
    match error.downcast::<run::NeedsPerson>() {
        Ok(refused) => CliError::refused(refused.0).into(),
        Err(error) => error,
    }
}
