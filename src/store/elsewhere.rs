//! Calls on the provider's account that this ledger did not make. Found once, kept, and ignored only
//! by a person.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::{Instant, instant_text};
use crate::phones;
use crate::store::meta::{self, Installation};
use crate::store::queue::{ITEM_COLUMNS, Item, Moved, item_from_row};
use crate::store::rows;

/// An ending that excludes nobody's phone.
const ANY: &str = "any";
/// An ending after which only the key of the number counts.
const ERASED: &str = "erased";
/// Which rows may be of a phone with the ending `?1`; each is then asked by itself.
pub const MAY_NAME: &str = "(ending = ?1 OR ending = 'any' OR ending = 'erased')";
/// A call whose id the ledger learned later is not made elsewhere.
const NOT_OURS: &str = "NOT EXISTS (SELECT 1 FROM call_attempts AS made
       WHERE made.vapi_call_id = calls_elsewhere.vapi_call_id)";
const COLUMNS: &str = "vapi_call_id, told, phone_key, ending, kind = 'inbound', assistant, \
     installation_id, occasion, created_at, blocks, found_at, ignored_at, ignored_by, \
     ignored_because";

/// A row of `calls_elsewhere`.
#[derive(Clone, Debug, PartialEq)]
pub struct ElsewhereCall {
    pub vapi_call_id: String,
    /// The number as the provider tells it.
    pub told: Option<String>,
    /// Of the number that it names beyond doubt.
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

/// A person's word that the call blocks nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Ignored {
    pub at: Instant,
    pub who: String,
    pub why: String,
}

impl ElsewhereCall {
    /// A call that is found now. `told` is the number as the provider tells it.
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

    /// Whether it may have rung this phone. `phone_key` is the key of the phone.
    pub fn may_have_rung(&self, phone: &str, phone_key: &str) -> bool {
        match self.ending.as_str() {
            ERASED => self.phone_key.as_deref() == Some(phone_key),
            _ => phones::may_have_rung(self.told.as_deref(), phone),
        }
    }

    /// Whether no phone at all is excluded by its number.
    pub fn may_be_anybodys(&self) -> bool {
        self.ending == ANY
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<ElsewhereCall> {
    let ignored = match rows::optional_instant(row, 11)? {
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
        created_at: rows::instant(row, 8)?,
        blocks: row.get(9)?,
        found_at: rows::instant(row, 10)?,
        ignored,
    })
}

/// Stores a call once; `No` when it was known.
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
    Ok(conn.prepare_cached(&sql)?.query_one([call_id], from_row).optional()?)
}

/// Every call that the ledger does not know, the newest first.
pub fn all(conn: &Connection) -> anyhow::Result<Vec<ElsewhereCall>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM calls_elsewhere WHERE {NOT_OURS}
         ORDER BY created_at DESC, vapi_call_id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([], from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Whether any call blocks anybody: mostly not, and then nobody has to be asked about.
pub fn is_any_blocking(conn: &Connection) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM calls_elsewhere WHERE blocks = 1
         AND ignored_at IS NULL)";
    Ok(conn.prepare_cached(sql)?.query_one([], |row| row.get(0))?)
}

/// The calls that block somebody at this phone, the oldest first.
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
    let found = statement.query_map([phones::end_of_phone(phone)], from_row)?;
    let mut calls: Vec<ElsewhereCall> = found.collect::<Result<_, _>>()?;
    calls.retain(|call| call.may_have_rung(phone, phone_key));
    Ok(calls)
}

/// When the latest call since an instant was made whose number is this phone's, in either direction
/// and by any assistant. A call that names no number counts for nobody here.
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
    for call in statement.query_map(values, from_row)? {
        let call = call?;
        if !call.may_be_anybodys() && call.may_have_rung(phone, phone_key) {
            return Ok(Some(call.created_at));
        }
    }
    Ok(None)
}

/// An outbound call by an assistant that is configured by now blocks, though it did not when it was
/// found.
pub fn block_by(tx: &Transaction<'_>, assistant: &str) -> anyhow::Result<usize> {
    Ok(tx
        .prepare_cached(
            "UPDATE calls_elsewhere SET blocks = 1
             WHERE blocks = 0 AND kind = 'outbound' AND assistant = ?1",
        )?
        .execute([assistant])?)
}

/// Calls that block nothing count for the gap between calls only, so the old ones go.
pub fn forget_unblocking(tx: &Transaction<'_>, before: Instant) -> anyhow::Result<usize> {
    Ok(tx
        .prepare_cached("DELETE FROM calls_elsewhere WHERE blocks = 0 AND created_at < ?1")?
        .execute([instant_text(before)])?)
}

/// Ignores a call; `No` when it is not known, or was ignored before.
pub fn ignore(
    tx: &Transaction<'_>,
    call_id: &str,
    who: &str,
    why: &str,
    now: Instant,
) -> anyhow::Result<Moved> {
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
    let found = statement.query_map([call_id], item_from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Takes the id of a released call from the item that it had ended.
pub fn clear_item(tx: &Transaction<'_>, item_id: i64) -> anyhow::Result<()> {
    tx.prepare_cached("UPDATE call_queue SET vapi_call_id = NULL WHERE id = ?1")?
        .execute([item_id])?;
    Ok(())
}

/// Welcome calls that wait, with their customers' phones.
pub fn waiting_welcomes(conn: &Connection) -> anyhow::Result<Vec<Item>> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS} FROM call_queue
         WHERE call_type = 'welcome' AND status IN ('pending', 'retrying') ORDER BY id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([], item_from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// A customer as far as it can be told from a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Callee {
    pub id: i64,
    pub timezone: String,
    /// Their row says that several people answer the number.
    pub shares_phone: bool,
}

/// Whom each of these calls may have rung, by the call's id. A call that may be anybody's is left
/// out. Looks each customer's number over once.
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
    let installation = meta::installation(conn)?;
    let mut statement =
        conn.prepare_cached("SELECT id, phone, timezone, shared_phone FROM customers")?;
    let mut people = statement.query([])?;
    while let Some(row) = people.next()? {
        let phone: String = row.get(1)?;
        let at_ending = phones::end_of_phone(&phone).and_then(|ending| by_ending.get(ending));
        if at_ending.is_none() && erased.is_empty() {
            continue;
        }
        let key = installation.phone_key(&phone);
        for call in at_ending.into_iter().flatten().chain(&erased) {
            if call.may_have_rung(&phone, &key) {
                let (id, timezone, shares_phone) = (row.get(0)?, row.get(2)?, row.get(3)?);
                let callee = Callee { id, timezone, shares_phone };
                found.entry(call.vapi_call_id.clone()).or_default().push(callee);
            }
        }
    }
    Ok(found)
}

/// Whether this database dialed anybody, or took in calls that it made and had forgotten.
pub fn has_ever_dialed(conn: &Connection) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM call_attempts AS made
         WHERE phone_number_id IS NOT NULL OR EXISTS (SELECT 1 FROM journal
           WHERE subject = 'attempt:' || made.id AND old IS NULL AND who = 'reconcile'))";
    Ok(conn.prepare_cached(sql)?.query_one([], |row| row.get(0))?)
}

/// Removes the number of an erased customer. The key stays: whoever signs up with it again is not
/// called again.
pub fn erase(tx: &Transaction<'_>, phone: &str, phone_key: &str) -> anyhow::Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM calls_elsewhere WHERE {MAY_NAME}");
    let mut statement = tx.prepare_cached(&sql)?;
    let found = statement.query_map([phones::end_of_phone(phone)], from_row)?;
    for call in found.collect::<Result<Vec<_>, _>>()? {
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

/// Replaces every told number by the mask of the number that it names, and its key by the mask's.
/// `mask` is given the key where there is one, else the number of the customer or as it is told.
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
            .query_one([&call.ending], |row| row.get::<_, String>(0))
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
    let found = statement.query_map([], from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}
