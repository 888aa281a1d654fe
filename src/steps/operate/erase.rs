//! Erases a person, but keeps the fact that they were called. Refused while a call to them is
//! between its intent and its reply, because that reply must find its customer.

use anyhow::bail;

use crate::domain::Instant;
use crate::domain::call::{
    AttemptState, CallType, Disposition, ItemStatus, Reason, WELCOME_OCCASION, daily_occasion,
};
use crate::domain::customer::Customer;
use crate::store::attempts::{self, Attempt, history};
use crate::store::customers::erase::{self, Erased};
use crate::store::journal::{Act, By};
use crate::store::meta::installation;
use crate::store::queue::transitions::{self, Change};
use crate::store::transaction::Moved;
use crate::store::{Store, Tx, journal};

/// The result of an erasure.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct ErasureReport {
    pub customer: i64,
    #[serde(flatten)]
    pub erased: Erased,
    /// Waiting items that were skipped.
    pub skipped: usize,
    /// The number stays on the do-not-call list, because that is the list's purpose.
    pub stays_on_do_not_call: bool,
    /// An earlier journal entry, written by a person, names them.
    pub journal_mentions: bool,
}

/// Why nobody was erased.
#[derive(Debug, thiserror::Error)]
pub enum ErasureRefused {
    #[error(
        "names the person, and the journal keeps it for good: leave out name, e-mail and phone"
    )]
    NamesThem,
    #[error("a call to customer {0} is being placed right now; try again")]
    Dialing(i64),
}

/// Erases the customer that `find` finds, also in the WAL and in backups that are restored later.
/// The second value says whether the WAL could be emptied.
pub fn erase_for_good(
    store: &Store,
    find: impl FnOnce(&Tx<'_>) -> anyhow::Result<Customer>,
    act: Act<'_>,
) -> anyhow::Result<(ErasureReport, bool)> {
    let report = store.write(|tx| {
        let customer = find(tx)?;
        if names_them(&customer, act.why) {
            return Err(ErasureRefused::NamesThem.into());
        }
        let report = erase(tx, &customer, act)?;
        // Before the commit: after a crash in between, the next start erases the customer.
        erase::remember(store.path(), &customer.key, act.now)?;
        Ok(report)
    })?;
    Ok((report, erase::empty_log(store)?))
}

/// Erases one customer in the caller's transaction. `why` is journaled and must not name the
/// person.
pub fn erase(tx: &Tx<'_>, customer: &Customer, act: Act<'_>) -> anyhow::Result<ErasureReport> {
    let Act { who, why, now } = act;
    if erase::is_dialing(tx, customer.id)? {
        return Err(ErasureRefused::Dialing(customer.id).into());
    }
    let skipped = end_items(tx, customer, By { who, now })?;
    keep_flags_in_ledger(tx, customer, By { who, now })?;
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
    let stays_on_do_not_call = history::do_not_call(tx, &customer.phone)?;
    let journal_mentions = erase::journal_mentions(tx, &names(customer))?;
    let customer = customer.id;
    Ok(ErasureReport { customer, erased, skipped, stays_on_do_not_call, journal_mentions })
}

/// Erases again the customers that a restored backup brought back, and returns how many. Called
/// only while nothing dials.
pub fn again(store: &Store, now: Instant) -> anyhow::Result<usize> {
    let back = store.read(|conn| erase::back_again(conn, store.path()))?;
    if back.is_empty() {
        return Ok(0);
    }
    store.write(|tx| {
        for customer in &back {
            erase(
                tx,
                customer,
                Act { who: "start", why: "erased before, and back with a restored file", now },
            )?;
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

/// The texts that identify a person. A very short name would match everywhere, so it is left out.
fn names(customer: &Customer) -> Vec<&str> {
    let email = customer.email.as_deref().unwrap_or_default();
    [customer.phone.as_str(), email, customer.name.as_str()]
        .into_iter()
        .filter(|text| 3 <= text.chars().count())
        .collect()
}

/// Ends open items: waiting ones as skipped, one whose call was placed as completed.
fn end_items(tx: &Tx<'_>, customer: &Customer, by: By<'_>) -> anyhow::Result<usize> {
    let mut skipped = 0;
    for item in erase::open_items(tx, customer.id)? {
        let waits = item.status != ItemStatus::Processing;
        let change = if waits {
            Change::because(ItemStatus::Skipped, Reason::CustomerGone)
        } else {
            Change::to(ItemStatus::Completed)
        };
        if transitions::item(tx, &item, &[item.status], &change, by)? == Moved::No {
            bail!("another process changed item {}; try again", item.id);
        }
        skipped += usize::from(waits);
    }
    Ok(skipped)
}

/// A flag may have no attempt at this number, because it came with an import or the number changed.
/// It is then the only record against a second call, and erasure deletes it with the row. So it is
/// copied into the ledger.
fn keep_flags_in_ledger(tx: &Tx<'_>, customer: &Customer, by: By<'_>) -> anyhow::Result<()> {
    let By { who, now } = by;
    let mut flags = Vec::new();
    if customer.welcome_call_completed {
        flags.push((CallType::Welcome, WELCOME_OCCASION.to_string()));
    }
    if let Some(date) = customer.last_call_date {
        flags.push((CallType::Daily, daily_occasion(date)));
    }
    let phone_key = installation::installation(tx)?.phone_key(&customer.phone);
    for (call_type, occasion) in flags {
        let (was_called, was_called_here) =
            erase::is_in_ledger(tx, customer.id, &phone_key, call_type.as_str(), &occasion)?;
        if was_called_here {
            continue;
        }
        // If the ledger has a call at an earlier number, this row must not count as a second call.
        let customer_key =
            if was_called { uuid::Uuid::new_v4().to_string() } else { customer.key.clone() };
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
