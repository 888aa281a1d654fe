//! Which customer a person means. Commands, page and API all ask here, and a text that could mean
//! two customers is refused with the candidates.

use crate::domain::customer::{Customer, mask_phone};
use crate::domain::customer_name::{Kind, with_kind};
use crate::domain::fields::shown;
use crate::store::Conn;
use crate::store::customer_search::{by_part_of_number, find};
use crate::store::customers::{CANDIDATES_MAX, Found};

/// Why a text names nobody, or nobody for certain.
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

/// The same for what cannot be taken back: refused when the text may mean another customer too.
pub fn one_for_good(conn: &Conn, text: &str) -> anyhow::Result<Customer> {
    let customer = one(conn, text)?;
    let mut candidates = also_meant(conn, &customer, text)?;
    if candidates.is_empty() {
        return Ok(customer);
    }
    candidates.insert(0, customer);
    Err(several(conn, &quoted(text), &candidates)?.into())
}

/// Other customers whose number is shown with these digits at its end: whoever read them off the
/// page means one of those.
pub fn also_meant(conn: &Conn, named: &Customer, text: &str) -> anyhow::Result<Vec<Customer>> {
    if with_kind(text.trim()).is_some() {
        return Ok(Vec::new());
    }
    let mut others = by_part_of_number(conn, text)?;
    others.retain(|other| other.id != named.id);
    Ok(others)
}

/// The refusal of what could be several customers.
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
        let about = match customer.name.is_empty() {
            true => phone,
            false => format!("{}, {phone}", shown(&customer.name)),
        };
        names.push(format!("{} ({about})", name(conn, customer)?));
    }
    if CANDIDATES_MAX < candidates.len() {
        names.push("and others".to_string());
    }
    Ok(names.join(", "))
}

/// A text that names this customer and nobody else. It holds no number and no e-mail.
fn name(conn: &Conn, customer: &Customer) -> anyhow::Result<String> {
    let by_id = format!("{}:{}", Kind::Id, customer.id);
    match find(conn, &by_id)? {
        Found::One(_) => Ok(by_id),
        // Another customer's external id reads so.
        _ => Ok(format!("{}:{}", Kind::Key, customer.key)),
    }
}
