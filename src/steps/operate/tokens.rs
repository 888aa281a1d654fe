//! Named tokens: who may use the page and the API, and with which role. The journal names the
//! holder of each act.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::domain::role::Role;
use crate::store::journal::{self, By};
use crate::store::meta::tokens;
use crate::store::transaction::Moved;
use crate::store::{Conn, Tx};

/// The most characters of a name; it stands in the journal and on the page.
const LONGEST_NAME: usize = 40;

/// Why a token is not made or not revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    #[error("the name \"{0}\" cannot be used: give 1 to {LONGEST_NAME} letters, digits and -_.")]
    Name(String),
    #[error("\"{0}\" names a part of ringonce in the journal: choose a person's name")]
    Machine(String),
    #[error("{0} has a token already: revoke it first with `ringonce tokens revoke {0}`")]
    Taken(String),
    #[error("no token of the name {0} is in use; `ringonce tokens list` shows them")]
    Unknown(String),
}

/// Makes a token and returns it. It is shown once: only its hash is stored.
pub fn add(tx: &Tx<'_>, name: &str, role: Role, by: By<'_>) -> anyhow::Result<String> {
    check_name(name)?;
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let token = format!("ro-{}{}", random(), random());
    if tokens::add(tx, name, role, &hash(&token), by.now)? == Moved::No {
        return Err(TokenRefused::Taken(name.to_string()).into());
    }
    note(tx, name, (None, Some(role.as_str())), by)?;
    Ok(token)
}

/// Ends a token and every session that it opened.
pub fn revoke(tx: &Tx<'_>, name: &str, by: By<'_>) -> anyhow::Result<()> {
    if tokens::revoke(tx, name, by.now)? == Moved::No {
        return Err(TokenRefused::Unknown(name.to_string()).into());
    }
    note(tx, name, (Some("in use"), Some("revoked")), by)
}

/// The holder of a token that somebody showed.
pub fn holder(conn: &Conn, shown: &str) -> anyhow::Result<Option<tokens::NamedToken>> {
    if !tokens::any(conn)? {
        return Ok(None);
    }
    tokens::by_hash(conn, &hash(shown))
}

/// The stored form of a token.
pub fn hash(token: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(token.as_bytes()))
}

fn check_name(name: &str) -> Result<(), TokenRefused> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || LONGEST_NAME < name.len() || !name.chars().all(plain) {
        return Err(TokenRefused::Name(name.to_string()));
    }
    let lower = name.to_ascii_lowercase();
    if journal::MACHINES.contains(&lower.as_str()) || journal::UNNAMED.contains(&lower.as_str()) {
        return Err(TokenRefused::Machine(name.to_string()));
    }
    Ok(())
}

fn note(
    tx: &Tx<'_>,
    name: &str,
    (old, new): (Option<&str>, Option<&str>),
    by: By<'_>,
) -> anyhow::Result<()> {
    let subject = format!("token:{name}");
    let entry =
        journal::Entry { who: by.who, what: "token", subject: &subject, old, new, why: None };
    journal::add(tx, by.now, entry)
}
