//! Finds the customer that a person names, for commands, page and API. A text that matches two
//! customers is refused, with the candidates.

use crate::domain::customer::columns::shown;
use crate::domain::customer::name::{Kind, with_kind};
use crate::domain::customer::{Customer, mask_phone};
use crate::store::Conn;
use crate::store::customers::search::{by_part_of_number, find};
use crate::store::customers::{CANDIDATES_MAX, Found};

/// Why a text matches no customer, or more than one.
#[derive(Debug, thiserror::Error)]
pub enum Unclear {
    #[error("{0}")]
    Nobody(String),
    #[error("{0}")]
    Several(String),
}

/// The one customer that a text names.
pub fn one(conn: &Conn, text: &str) -> anyhow::Result<Customer> {
    match find(conn, text)? {
        Found::One(customer) => Ok(*customer),
        Found::Several(candidates) => Err(several(conn, &quoted(text), &candidates)?.into()),
        Found::Nobody => {
            let candidates = by_part_of_number(conn, text)?;
            if candidates.is_empty() {
                return Err(Unclear::Nobody(format!(
                    "there is no customer {}: give an id, external id, e-mail or phone, or search \
                     with `ringonce customers list --search TEXT`",
                    quoted(text)
                ))
                .into());
            }
            Err(Unclear::Several(format!(
                "{} is only a part of a phone number: name one of {}",
                quoted(text),
                listed(conn, &candidates)?
            ))
            .into())
        }
    }
}

/// The same for an irreversible act: refused if the text may also mean another customer.
pub fn one_for_good(conn: &Conn, text: &str) -> anyhow::Result<Customer> {
    let customer = one(conn, text)?;
    let mut candidates = also_meant(conn, &customer, text)?;
    if candidates.is_empty() {
        return Ok(customer);
    }
    candidates.insert(0, customer);
    Err(several(conn, &quoted(text), &candidates)?.into())
}

/// Other customers whose number is shown with these final digits. A person who copied the digits
/// from the page may mean them.
pub fn also_meant(conn: &Conn, named: &Customer, text: &str) -> anyhow::Result<Vec<Customer>> {
    if with_kind(text.trim()).is_some() {
        return Ok(Vec::new());
    }
    let mut others = by_part_of_number(conn, text)?;
    others.retain(|other| other.id != named.id);
    Ok(others)
}

/// The error for a text that may mean several customers.
pub fn several(conn: &Conn, what: &str, candidates: &[Customer]) -> anyhow::Result<Unclear> {
    let candidates = listed(conn, candidates)?;
    Ok(Unclear::Several(format!("{what} may be several customers: name one of {candidates}")))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

/// `id:5 (Ada, +1•••••••0192), id:7 (+4•••••••0105)`.
fn listed(conn: &Conn, candidates: &[Customer]) -> anyhow::Result<String> {
    let mut names = Vec::new();
    for customer in candidates.iter().take(CANDIDATES_MAX) {
        let phone = mask_phone(&customer.phone);
        let about = if customer.name.is_empty() {
            phone
        } else {
            format!("{}, {phone}", shown(&customer.name))
        };
        names.push(format!("{} ({about})", name(conn, customer)?));
    }
    if CANDIDATES_MAX < candidates.len() {
        names.push("and others".to_string());
    }
    Ok(names.join(", "))
}

/// A text that names only this customer. It contains no number and no e-mail.
fn name(conn: &Conn, customer: &Customer) -> anyhow::Result<String> {
    let by_id = format!("{}:{}", Kind::Id, customer.id);
    match find(conn, &by_id)? {
        Found::One(_) => Ok(by_id),
        // Another customer's external id has this form.
        _ => Ok(format!("{}:{}", Kind::Key, customer.key)),
    }
}
