//! erase: forgets a person, and never that they were called. Refuses while a call to them is
//! between its intent and its reply, because that reply must find its customer.

use anyhow::bail;

use crate::domain::Instant;
use crate::domain::call::{
    AttemptState, CallType, Disposition, ItemStatus, Reason, WELCOME_OCCASION, daily_occasion,
};
use crate::domain::customer::Customer;
use crate::store::attempts::{self, Attempt};
use crate::store::erase::{self, Erased};
use crate::store::meta;
use crate::store::moves::{self, Change};
use crate::store::queue::Moved;
use crate::store::{Store, Tx, facts, journal};

/// What an erasure came to.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Report {
    pub customer: i64,
    #[serde(flatten)]
    pub erased: Erased,
    /// Items that waited and were skipped.
    pub skipped: usize,
    /// The number stays on the do-not-call list, because that is what the list is for.
    pub stays_on_do_not_call: bool,
    /// An earlier line of the journal, written by a person, names them.
    pub journal_mentions: bool,
}

/// Erases one customer in the caller's transaction. `why` goes into the journal and must not name
/// the person.
pub fn erase(
    tx: &Tx<'_>,
    customer: &Customer,
    who: &str,
    why: &str,
    now: Instant,
) -> anyhow::Result<Report> {
    if erase::is_dialing(tx, customer.id)? {
        bail!("a call to customer {} is being placed right now; try again", customer.id);
    }
    let skipped = end_items(tx, customer, who, now)?;
    keep_flags_in_ledger(tx, customer, who, now)?;
    let erased = erase::remove(tx, customer, now)?;
    let subject = format!("customer:{}", customer.id);
    let entry = journal::Entry {
        who,
        what: "customer",
        subject: &subject,
        new: Some("erased"),
        why: Some(why),
        ..journal::Entry::default()
    };
    journal::add(tx, now, entry)?;
    let stays_on_do_not_call = facts::do_not_call(tx, &customer.phone)?;
    let journal_mentions = erase::journal_mentions(tx, &names(customer))?;
    let customer = customer.id;
    Ok(Report { customer, erased, skipped, stays_on_do_not_call, journal_mentions })
}

/// Erases again whom a restored backup brought back; says how many. Only called while nobody dials.
pub fn again(store: &Store, now: Instant) -> anyhow::Result<usize> {
    let back = store.read(|conn| erase::back_again(conn, store.path()))?;
    if back.is_empty() {
        return Ok(0);
    }
    store.write(|tx| {
        for customer in &back {
            erase(tx, customer, "start", "erased before, and back with a restored file", now)?;
        }
        Ok(())
    })?;
    erase::empty_log(store)?;
    Ok(back.len())
}

/// Whether a text names the person: the phone in any spelling, the e-mail, or the name.
pub fn names_them(customer: &Customer, text: &str) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let national = digits(&customer.phone).chars().skip(2).collect::<String>();
    let lower = text.to_lowercase();
    (7 <= national.len() && digits(text).contains(&national))
        || names(customer).iter().any(|name| lower.contains(&name.to_lowercase()))
}

/// What recognises a person in a text. A very short name would be found in everything.
fn names(customer: &Customer) -> Vec<&str> {
    let email = customer.email.as_deref().unwrap_or_default();
    [customer.phone.as_str(), email, customer.name.as_str()]
        .into_iter()
        .filter(|text| 3 <= text.chars().count())
        .collect()
}

/// Open items end: waiting ones as skipped, one whose call was placed as completed.
fn end_items(tx: &Tx<'_>, customer: &Customer, who: &str, now: Instant) -> anyhow::Result<usize> {
    let mut skipped = 0;
    for item in erase::open_items(tx, customer.id)? {
        let waits = item.status != ItemStatus::Processing;
        let change = match waits {
            true => Change::because(ItemStatus::Skipped, Reason::CustomerGone),
            false => Change::to(ItemStatus::Completed),
        };
        if moves::item(tx, &item, &[item.status], &change, who, now)? == Moved::No {
            bail!("item {} moved meanwhile; try again", item.id);
        }
        skipped += usize::from(waits);
    }
    Ok(skipped)
}

/// A flag without an attempt at this number (it came with an import, or the number has changed) is
/// all that stands against a second call, and goes with the row: the ledger takes it over.
fn keep_flags_in_ledger(
    tx: &Tx<'_>,
    customer: &Customer,
    who: &str,
    now: Instant,
) -> anyhow::Result<()> {
    let mut flags = Vec::new();
    if customer.welcome_call_completed {
        flags.push((CallType::Welcome, WELCOME_OCCASION.to_string()));
    }
    if let Some(date) = customer.last_call_date {
        flags.push((CallType::Daily, daily_occasion(date)));
    }
    let phone_key = meta::installation(tx)?.phone_key(&customer.phone);
    for (call_type, occasion) in flags {
        let (was_called, was_called_here) =
            erase::is_in_ledger(tx, customer.id, &phone_key, call_type.as_str(), &occasion)?;
        if was_called_here {
            continue;
        }
        // Of a call at an earlier number this row is no second one.
        let customer_key = match was_called {
            true => uuid::Uuid::new_v4().to_string(),
            false => customer.key.clone(),
        };
        let attempt = Attempt {
            id: uuid::Uuid::new_v4().to_string(),
            seq: erase::number_that_never_travels(tx)?,
            customer_key,
            call_type,
            occasion,
            attempt_no: 1,
            phone_key: phone_key.clone(),
            state: AttemptState::Ended,
            disposition: Some(Disposition::Unknown),
            created_at: customer.created_at.min(now),
            updated_at: now,
            ..Attempt::default()
        };
        attempts::insert(tx, &attempt, who)?;
    }
    Ok(())
}
