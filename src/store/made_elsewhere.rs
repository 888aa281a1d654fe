//! Calls on the provider's account that this ledger did not make. Each is stored once and kept, and
//! only a person can ignore it.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::phones;
use crate::store::cells;
use crate::store::journal::Act;
use crate::store::meta::installation::{self, Installation};
use crate::store::quarantine::{self, Place};
use crate::store::queue::{ITEM_COLUMNS, Item, item_from_row};
use crate::store::transaction::Moved;

/// The `ending` of a call whose number excludes no phone.
const ANY: &str = "any";
/// The `ending` of a call of which only the key of the number is left.
const ERASED: &str = "erased";
/// The rows that may name a phone with the ending `?1`; each row is then checked on its own.
pub const MAY_NAME: &str = "(ending = ?1 OR ending = 'any' OR ending = 'erased')";
/// Excludes a call whose id the ledger has stored later: it was not made elsewhere.
const NOT_OURS: &str = "NOT EXISTS (SELECT 1 FROM call_attempts AS made
       WHERE made.vapi_call_id = calls_elsewhere.vapi_call_id)";
/// The columns that [`from_row`] reads, in its order.
pub(super) const COLUMNS: &str = "vapi_call_id, told, phone_key, ending, kind = 'inbound', assistant, \
     installation_id, occasion, created_at, blocks, found_at, ignored_at, ignored_by, \
     ignored_because";

/// A row of `calls_elsewhere`.
#[derive(Clone, Debug, PartialEq)]
pub struct ElsewhereCall {
    pub vapi_call_id: String,
    /// The number as the provider reports it.
    pub told: Option<String>,
    /// The key of the number, if the provider's text names one number without doubt.
    pub phone_key: Option<String>,
    ending: String,
    pub inbound: bool,
    pub assistant: Option<String>,
    pub installation_id: Option<String>,
    pub occasion: Option<String>,
    pub created_at: Instant,
    pub blocks: bool,
    pub found_at: Instant,
    pub ignored: Option<Ignored>,
}

/// A person's decision that the call blocks nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Ignored {
    pub at: Instant,
    pub who: String,
    pub why: String,
}

impl ElsewhereCall {
    /// A call that is found now. `told` is the number as the provider reports it.
    pub fn found(
        id: &str,
        told: Option<String>,
        installation: &Installation,
        created_at: Instant,
        now: Instant,
    ) -> ElsewhereCall {
        let named = phones::named(told.as_deref());
        let ending = phones::end_of_told(told.as_deref());
        ElsewhereCall {
            vapi_call_id: id.to_string(),
            phone_key: named.map(|number| installation.phone_key(&number)),
            ending: ending.unwrap_or_else(|| ANY.to_string()),
            told,
            inbound: false,
            assistant: None,
            installation_id: None,
            occasion: None,
            created_at,
            blocks: false,
            found_at: now,
            ignored: None,
        }
    }

    /// Whether the call may have rung this phone. `phone_key` is the key of the phone.
    pub fn may_have_rung(&self, phone: &str, phone_key: &str) -> bool {
        match self.ending.as_str() {
            ERASED => self.phone_key.as_deref() == Some(phone_key),
            _ => phones::may_have_rung(self.told.as_deref(), phone),
        }
    }

    /// Whether the call's number excludes no phone.
    pub fn may_be_anybodys(&self) -> bool {
        self.ending == ANY
    }
}

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<ElsewhereCall> {
    let ignored = match cells::optional_instant(row, 11)? {
        Some(at) => Some(Ignored {
            at,
            who: row.get::<_, Option<String>>(12)?.unwrap_or_default(),
            why: row.get::<_, Option<String>>(13)?.unwrap_or_default(),
        }),
        None => None,
    };
    Ok(ElsewhereCall {
        vapi_call_id: row.get(0)?,
        told: row.get(1)?,
        phone_key: row.get(2)?,
        ending: row.get(3)?,
        inbound: row.get(4)?,
        assistant: row.get(5)?,
        installation_id: row.get(6)?,
        occasion: row.get(7)?,
        created_at: cells::instant(row, 8)?,
        blocks: row.get(9)?,
        found_at: cells::instant(row, 10)?,
        ignored,
    })
}

/// Stores a call once; `No` if it was known.
pub fn insert(tx: &Transaction<'_>, call: &ElsewhereCall) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "INSERT INTO calls_elsewhere (vapi_call_id, told, phone_key, ending, kind, assistant,
               installation_id, occasion, created_at, blocks, found_at)
             VALUES (?1, ?2, ?3, ?4, iif(?5, 'inbound', 'outbound'), ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (vapi_call_id) DO NOTHING",
        )?
        .execute(params![
            call.vapi_call_id,
            call.told,
            call.phone_key,
            call.ending,
            call.inbound,
            call.assistant,
            call.installation_id,
            call.occasion,
            instant_text(call.created_at),
            call.blocks,
            instant_text(call.found_at),
        ])?;
    Ok(Moved::from_rows(rows))
}

pub fn by_id(conn: &Connection, call_id: &str) -> anyhow::Result<Option<ElsewhereCall>> {
    let sql = format!("SELECT {COLUMNS} FROM calls_elsewhere WHERE vapi_call_id = ?1");
    quarantine::one(Place::Elsewhere, conn.prepare_cached(&sql)?.query([call_id])?, from_row)
}

/// Every call that the ledger does not know, the newest first.
pub fn all(conn: &Connection) -> anyhow::Result<Vec<ElsewhereCall>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM calls_elsewhere WHERE {NOT_OURS}
         ORDER BY created_at DESC, vapi_call_id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    quarantine::listed(Place::Elsewhere, statement.query([])?, from_row)
}

/// Whether any call blocks a customer. Usually none does, which saves the queries per customer.
pub fn is_any_blocking(conn: &Connection) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM calls_elsewhere WHERE blocks = 1
         AND ignored_at IS NULL)";
    Ok(conn.prepare_cached(sql)?.query_one([], |row| row.get(0))?)
}

/// The calls that block this phone, the oldest first.
pub fn blocking(
    conn: &Connection,
    phone: &str,
    phone_key: &str,
) -> anyhow::Result<Vec<ElsewhereCall>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM calls_elsewhere
         WHERE {MAY_NAME} AND ignored_at IS NULL AND blocks = 1 AND {NOT_OURS}
         ORDER BY created_at, vapi_call_id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query([phones::end_of_phone(phone)])?;
    let mut calls = quarantine::every(Place::Elsewhere, rows, from_row)?;
    calls.retain(|call| call.may_have_rung(phone, phone_key));
    Ok(calls)
}

/// The instant of the latest call after `since` that names this phone's number, in either direction
/// and by any assistant. A call that names no number does not count here.
pub fn last_at_phone(
    conn: &Connection,
    phone: &str,
    phone_key: &str,
    since: Instant,
) -> anyhow::Result<Option<Instant>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM calls_elsewhere
         WHERE {MAY_NAME} AND ?2 < created_at AND ignored_at IS NULL AND {NOT_OURS}
         ORDER BY created_at DESC"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let values = params![phones::end_of_phone(phone), instant_text(since)];
    for call in quarantine::every(Place::Elsewhere, statement.query(values)?, from_row)? {
        if !call.may_be_anybodys() && call.may_have_rung(phone, phone_key) {
            return Ok(Some(call.created_at));
        }
    }
    Ok(None)
}

/// Marks outbound calls by `assistant` as blocking: it is configured now and was not when they were
/// found.
pub fn block_by(tx: &Transaction<'_>, assistant: &str) -> anyhow::Result<usize> {
    Ok(tx
        .prepare_cached(
            "UPDATE calls_elsewhere SET blocks = 1
             WHERE blocks = 0 AND kind = 'outbound' AND assistant = ?1",
        )?
        .execute([assistant])?)
}

/// Marks a call as blocking: a person said that the old scheduler made it. `No`: it blocks already,
/// or a person ignored it.
pub fn block(tx: &Transaction<'_>, call_id: &str) -> anyhow::Result<Moved> {
    let rows = tx
        .prepare_cached(
            "UPDATE calls_elsewhere SET blocks = 1
             WHERE vapi_call_id = ?1 AND blocks = 0 AND ignored_at IS NULL",
        )?
        .execute([call_id])?;
    Ok(Moved::from_rows(rows))
}

/// Deletes old calls that block nothing: they count only for the gap between calls.
pub fn forget_unblocking(tx: &Transaction<'_>, before: Instant) -> anyhow::Result<usize> {
    Ok(tx
        .prepare_cached("DELETE FROM calls_elsewhere WHERE blocks = 0 AND created_at < ?1")?
        .execute([instant_text(before)])?)
}

/// Ignores a call; `No` if it is unknown or already ignored.
pub fn ignore(tx: &Transaction<'_>, call_id: &str, act: Act<'_>) -> anyhow::Result<Moved> {
    let Act { who, why, now } = act;
    let rows = tx
        .prepare_cached(
            "UPDATE calls_elsewhere SET ignored_at = ?2, ignored_by = ?3, ignored_because = ?4
             WHERE vapi_call_id = ?1 AND ignored_at IS NULL",
        )?
        .execute(params![call_id, instant_text(now), who, why])?;
    Ok(Moved::from_rows(rows))
}

/// The items that a call made elsewhere ended.
pub fn items_ended_by(conn: &Connection, call_id: &str) -> anyhow::Result<Vec<Item>> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS} FROM call_queue
         WHERE vapi_call_id = ?1 AND status = 'completed' AND reason = 'already_called'
           AND NOT EXISTS (SELECT 1 FROM call_attempts AS made
             WHERE made.customer_id = call_queue.customer_id
               AND made.call_type = call_queue.call_type AND made.occasion = call_queue.occasion)
         ORDER BY id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    quarantine::listed(Place::Queue, statement.query([call_id])?, item_from_row)
}

/// Removes the id of a released call from the item that the call had ended.
pub fn clear_item(tx: &Transaction<'_>, item_id: i64) -> anyhow::Result<()> {
    tx.prepare_cached("UPDATE call_queue SET vapi_call_id = NULL WHERE id = ?1")?
        .execute([item_id])?;
    Ok(())
}

/// The items of welcome calls that wait.
pub fn waiting_welcomes(conn: &Connection) -> anyhow::Result<Vec<Item>> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS} FROM call_queue
         WHERE call_type = 'welcome' AND status IN ('pending', 'retrying') ORDER BY id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    quarantine::listed(Place::Queue, statement.query([])?, item_from_row)
}

/// The facts about a customer that follow from a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Callee {
    pub id: i64,
    pub timezone: String,
    /// The customer's row says that several people answer the number.
    pub shares_phone: bool,
}

/// The customers whom each call may have rung, by the call's id. Omits calls that may have rung any
/// phone. Reads each customer's number once.
pub fn callees(
    conn: &Connection,
    calls: &[ElsewhereCall],
) -> anyhow::Result<HashMap<String, Vec<Callee>>> {
    let mut by_ending: HashMap<&str, Vec<&ElsewhereCall>> = HashMap::new();
    for call in calls.iter().filter(|call| !call.may_be_anybodys()) {
        by_ending.entry(&call.ending).or_default().push(call);
    }
    let mut found: HashMap<String, Vec<Callee>> = HashMap::new();
    if by_ending.is_empty() {
        return Ok(found);
    }
    let erased = by_ending.remove(ERASED).unwrap_or_default();
    let installation = installation::installation(conn)?;
    let mut statement =
        conn.prepare_cached("SELECT id, phone, timezone, shared_phone FROM customers")?;
    let mut people = statement.query([])?;
    while let Some(row) = people.next()? {
        let phone = cells::lossy(row, 1)?;
        let at_ending = phones::end_of_phone(&phone).and_then(|ending| by_ending.get(ending));
        if at_ending.is_none() && erased.is_empty() {
            continue;
        }
        let key = installation.phone_key(&phone);
        for call in at_ending.into_iter().flatten().chain(&erased) {
            if call.may_have_rung(&phone, &key) {
                let (id, timezone, shares_phone) =
                    (row.get(0)?, cells::lossy(row, 2)?, row.get(3)?);
                let callee = Callee { id, timezone, shares_phone };
                found.entry(call.vapi_call_id.clone()).or_default().push(callee);
            }
        }
    }
    Ok(found)
}

/// Whether this database has ever dialed, or adopted calls that it made and had forgotten.
pub fn has_ever_dialed(conn: &Connection) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM call_attempts AS made
         WHERE phone_number_id IS NOT NULL OR EXISTS (SELECT 1 FROM journal
           WHERE subject = 'attempt:' || made.id AND old IS NULL AND who = 'reconcile'))";
    Ok(conn.prepare_cached(sql)?.query_one([], |row| row.get(0))?)
}

/// Removes the number of an erased customer. The key stays, so that a person who signs up with the
/// number again is not called again.
pub fn erase(tx: &Transaction<'_>, phone: &str, phone_key: &str) -> anyhow::Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM calls_elsewhere WHERE {MAY_NAME}");
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query([phones::end_of_phone(phone)])?;
    for call in quarantine::every(Place::Elsewhere, rows, from_row)? {
        if call.ending != ERASED && !call.may_be_anybodys() && call.may_have_rung(phone, phone_key)
        {
            tx.prepare_cached(
                "UPDATE calls_elsewhere SET told = NULL, ending = 'erased', phone_key = ?2
                 WHERE vapi_call_id = ?1",
            )?
            .execute([&call.vapi_call_id, phone_key])?;
        }
    }
    Ok(())
}

/// Replaces every reported number by the mask of the number that it names, and its key by the
/// mask's key. `mask` gets the key if there is one, and the number: the customer's, else the
/// reported one.
pub fn mask(
    tx: &Transaction<'_>,
    new: &Installation,
    mut mask: impl FnMut(Option<&str>, &str) -> String,
) -> anyhow::Result<()> {
    let at_ending = "SELECT phone FROM customers WHERE substr(phone, -7) = ?1 ORDER BY id LIMIT 1";
    for call in all_rows(tx)? {
        let told = call.told.clone().unwrap_or_default();
        let same: Option<String> = tx
            .prepare_cached(at_ending)?
            .query_one([&call.ending], |row| cells::lossy(row, 0))
            .optional()?
            .filter(|phone| call.may_have_rung(phone, ""));
        let masked = mask(call.phone_key.as_deref(), same.as_deref().unwrap_or(&told));
        let (number, key, ending) = match call.ending.as_str() {
            ANY => (None, None, Some(ANY)),
            ERASED => (None, Some(new.phone_key(&masked)), Some(ERASED)),
            _ => {
                let ending = phones::end_of_phone(&masked);
                (Some(&masked), Some(new.phone_key(&masked)), ending)
            }
        };
        tx.prepare_cached(
            "UPDATE calls_elsewhere SET told = ?2, phone_key = ?3, ending = ?4
             WHERE vapi_call_id = ?1",
        )?
        .execute(params![call.vapi_call_id, number, key, ending.unwrap_or(ANY)])?;
    }
    Ok(())
}

fn all_rows(conn: &Connection) -> anyhow::Result<Vec<ElsewhereCall>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM calls_elsewhere"))?;
    quarantine::every(Place::Elsewhere, statement.query([])?, from_row)
}
