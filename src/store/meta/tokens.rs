//! Named tokens for the page and the API. Only a hash of each is stored; a token is random, so its
//! hash cannot be guessed back.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::role::Role;
use crate::domain::{Instant, instant_text};
use crate::store::transaction::Moved;

/// A token as the database knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedToken {
    pub name: String,
    pub role: Role,
    pub created_at: String,
    pub revoked_at: Option<String>,
}

/// Adds a token. `No`: the name has a token that is not revoked.
pub fn add(
    tx: &Transaction<'_>,
    name: &str,
    role: Role,
    hash: &str,
    now: Instant,
) -> anyhow::Result<Moved> {
    let rows = tx.execute(
        "INSERT INTO tokens (name, role, hash, created_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET role = ?2, hash = ?3, created_at = ?4, revoked_at = NULL
         WHERE revoked_at IS NOT NULL",
        params![name, role.as_str(), hash, instant_text(now)],
    )?;
    Ok(Moved::from_rows(rows))
}

/// Ends a token. `No`: there is none of this name, or it was revoked before.
pub fn revoke(tx: &Transaction<'_>, name: &str, now: Instant) -> anyhow::Result<Moved> {
    let rows = tx.execute(
        "UPDATE tokens SET revoked_at = ?2 WHERE name = ?1 AND revoked_at IS NULL",
        params![name, instant_text(now)],
    )?;
    Ok(Moved::from_rows(rows))
}

/// The token with this hash, unless it was revoked.
pub fn by_hash(conn: &Connection, hash: &str) -> anyhow::Result<Option<NamedToken>> {
    let mut statement = conn.prepare_cached(
        "SELECT name, role, created_at, revoked_at FROM tokens
         WHERE hash = ?1 AND revoked_at IS NULL",
    )?;
    Ok(statement.query_one([hash], token_from_row).optional()?.flatten())
}

/// Every token by name, the revoked ones too.
pub fn all(conn: &Connection) -> anyhow::Result<Vec<NamedToken>> {
    let mut statement =
        conn.prepare_cached("SELECT name, role, created_at, revoked_at FROM tokens ORDER BY name")?;
    let rows = statement.query_map([], token_from_row)?;
    Ok(rows.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Whether any token opens the page. A file of an earlier version has no such table.
pub fn any(conn: &Connection) -> anyhow::Result<bool> {
    if !conn.table_exists(None, "tokens")? {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM tokens WHERE revoked_at IS NULL)";
    Ok(conn.prepare_cached(sql)?.query_one([], |row| row.get(0))?)
}

/// `None`: a role that this version does not know opens nothing.
fn token_from_row(row: &Row<'_>) -> rusqlite::Result<Option<NamedToken>> {
    let role: String = row.get(1)?;
    let Some(role) = Role::parse(&role) else { return Ok(None) };
    Ok(Some(NamedToken {
        name: row.get(0)?,
        role,
        created_at: row.get(2)?,
        revoked_at: row.get(3)?,
    }))
}
