//! Finds the customer that a person means: the one search of commands, page and API.

use rusqlite::{Connection, params};

use crate::domain::customer::Customer;
use crate::domain::customer::name::{self, DIGITS_SHOWN, Kind, NumberPart};
use crate::phones;
use crate::store::customers::{CANDIDATES_MAX, Found, by_external_id, by_id, by_key, select};

/// The customer whose id, external id, e-mail or phone is `text`.
///
/// All kinds are searched. A text that is the id of one customer and the external id of another
/// therefore gives `Several`. A kind before the text (`id:7`, `external:7`, `email:…`, `phone:…`,
/// `key:…`) searches only that kind. An external id that looks like this is still searched, because
/// other programs also write rows.
pub fn find(conn: &Connection, text: &str) -> anyhow::Result<Found> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Found::Nobody);
    }
    let mut found: Vec<Customer> = by_external_id(conn, text)?.into_iter().collect();
    match name::with_kind(text) {
        Some((kind, name)) => found.extend(of_kind(conn, kind, name)?),
        None => {
            for kind in [Kind::Id, Kind::Email, Kind::Phone] {
                found.extend(of_kind(conn, kind, text)?);
            }
        }
    }
    Ok(Found::of(found))
}

fn of_kind(conn: &Connection, kind: Kind, name: &str) -> anyhow::Result<Vec<Customer>> {
    let one = |found: Option<Customer>| found.into_iter().collect();
    Ok(match kind {
        Kind::Id => match name::id(name) {
            Some(id) => one(by_id(conn, id)?),
            None => Vec::new(),
        },
        Kind::External => one(by_external_id(conn, name)?),
        Kind::Key => one(by_key(conn, name)?),
        Kind::Email => {
            let same = "email IS NOT NULL AND lower(email) = ?1";
            select(conn, same, params![name.to_lowercase()], CANDIDATES_MAX)?
        }
        Kind::Phone => {
            let mut found = Vec::new();
            for number in phones::readings(name) {
                found.extend(select(conn, "phone = ?1", params![number], CANDIDATES_MAX)?);
            }
            found
        }
    })
}

/// The customers with this number, in the form in which the provider writes it, with its plus.
pub fn by_number(conn: &Connection, number: &str) -> anyhow::Result<Vec<Customer>> {
    match phones::e164(number) {
        Some(phone) => select(conn, "phone = ?1", params![phone], CANDIDATES_MAX),
        None => Ok(Vec::new()),
    }
}

/// The customers whose number ends as the text says, and behind a mask also begins so. Empty for a
/// text that shows fewer digits than a mask does. At most one more than `CANDIDATES_MAX`.
pub fn by_part_of_number(conn: &Connection, text: &str) -> anyhow::Result<Vec<Customer>> {
    let part = name::number_part(&phones::with_plain_digits(text));
    let Some(NumberPart { head, tail }) = part.filter(|part| DIGITS_SHOWN <= part.tail.len())
    else {
        return Ok(Vec::new());
    };
    let like = "substr(phone, -length(?2)) = ?2 AND substr(phone, 1, length(?1)) = ?1";
    select(conn, like, params![head, tail], CANDIDATES_MAX + 1)
}
