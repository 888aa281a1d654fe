//! Finds the customer that a row of a file means, and what the row makes of them.

use std::borrow::Cow;

use anyhow::anyhow;

use crate::domain::Instant;
use crate::domain::customer::Customer;
use crate::domain::customer::entry::CustomerEntry;
use crate::steps::customers::{plan_change, plan_new};
use crate::steps::import::file::FilePass;
use crate::steps::import::next_call;
use crate::steps::import::options::{Options, Welcome};
use crate::store::Conn;
use crate::store::customers::{Found, matching};

/// The customer that a row creates or changes.
pub(crate) struct Plan {
    pub whom: Whom,
    /// The next call of the row disagreed with the call time.
    pub next_call_recomputed: bool,
}

pub(crate) enum Whom {
    New(Box<Customer>),
    /// The known customer, before and after the row.
    Known(Box<(Customer, Customer)>),
}

impl Plan {
    pub fn after(&self) -> &Customer {
        match &self.whom {
            Whom::New(customer) => customer,
            Whom::Known(pair) => &pair.1,
        }
    }

    pub fn known(&self) -> Option<&Customer> {
        match &self.whom {
            Whom::New(_) => None,
            Whom::Known(pair) => Some(&pair.0),
        }
    }

    pub fn is_new(&self) -> bool {
        self.known().is_none()
    }
}

/// Why a row has no plan.
pub(crate) enum Unplanned {
    /// The number of known customers that it could be.
    Several(usize),
    /// A new customer needs this column, and its cell is blank.
    Blank(&'static str),
}

/// Finds the customer of a row.
pub(crate) fn plan(
    conn: &Conn,
    pass: &mut FilePass<'_>,
    entry: &CustomerEntry,
    (options, now): (&Options<'_>, Instant),
    nobody_yet: bool,
) -> anyhow::Result<Result<Plan, Unplanned>> {
    let email = entry.email.as_ref().and_then(|email| email.as_deref());
    let phone = entry.phone.as_ref().map_or("", |phone| phone.e164.as_str());
    let found = if nobody_yet {
        Found::Nobody
    } else {
        matching(conn, entry.external_id.as_deref(), email, phone)?
    };
    let reader = &mut pass.reader;
    let mut entry = Cow::Borrowed(entry);
    match &found {
        Found::Several(candidates) => return Ok(Err(Unplanned::Several(candidates.len()))),
        Found::Nobody if entry.phone.is_none() => return Ok(Err(Unplanned::Blank("phone"))),
        Found::Nobody if entry.timezone.is_none() => return Ok(Err(Unplanned::Blank("timezone"))),
        Found::Nobody if options.welcome == Welcome::Nobody => {
            entry.to_mut().welcome_call_completed = Some(true);
        }
        Found::Nobody | Found::One(_) => {}
    }
    let mut corrected = None;
    if let Some(said) = entry.next_call_scheduled_at {
        let wanted = match &found {
            Found::One(known) => entry.applied_to(known),
            _ => entry.new_customer(now).map_err(|reason| anyhow!(reason))?,
        };
        corrected = next_call::corrected(reader, &wanted, said, now);
    }
    if corrected.is_some() {
        entry.to_mut().next_call_scheduled_at = corrected;
    }
    let whom = match found {
        Found::One(known) => {
            let after = plan_change(conn, reader, &known, &entry, now)?;
            Whom::Known(Box::new((*known, after)))
        }
        _ => Whom::New(Box::new(plan_new(reader, &entry, now)?)),
    };
    Ok(Ok(Plan { whom, next_call_recomputed: corrected.is_some() }))
}
