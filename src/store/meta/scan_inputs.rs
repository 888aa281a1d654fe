//! Inputs and findings of the last scan: eligible statuses, rules, zone rules, customers without a
//! zone.

use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use crate::store::meta::{get, remove, set};

/// Customers who are due, or have no next call, and whose time zone is unknown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Zoneless {
    pub customers: usize,
    /// The ids of the first few of them.
    pub ids: Vec<i64>,
}

impl std::fmt::Display for Zoneless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let are = if self.customers == 1 { "customer is" } else { "customers are" };
        let ids: Vec<String> = self.ids.iter().map(i64::to_string).collect();
        let more = if self.ids.len() < self.customers { ", …" } else { "" };
        let (count, ids) = (self.customers, ids.join(", "));
        write!(f, "{count} {are} in an unknown time zone, so never called: id {ids}{more}")
    }
}

/// Customers without a zone, as the last scan found them; `None`: none.
pub fn zoneless(conn: &Connection) -> anyhow::Result<Option<Zoneless>> {
    // The next scan writes a value that cannot be read again.
    Ok(get(conn, "zoneless")?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// The payment statuses that were eligible at the last scan.
pub fn eligible_statuses(conn: &Connection) -> anyhow::Result<Vec<String>> {
    let text = get(conn, "eligible_statuses")?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// The rules of the last scan, in a form that serves only for comparison.
pub fn rules(conn: &Connection) -> anyhow::Result<Option<String>> {
    get(conn, "rules")
}

/// Writes only a change, so that a scan that finds nothing writes nothing.
pub fn set_rules(tx: &Transaction<'_>, rules: &str, eligible: &[String]) -> anyhow::Result<()> {
    if get(tx, "rules")?.as_deref() != Some(rules) {
        set(tx, "rules", rules)?;
        set(tx, "eligible_statuses", &serde_json::to_string(eligible)?)?;
    }
    Ok(())
}

/// The IANA release whose rules gave the stored instants; `None`: not known.
pub fn zone_rules(conn: &Connection) -> anyhow::Result<Option<String>> {
    get(conn, "zone_rules")
}

pub fn set_zone_rules(tx: &Transaction<'_>, version: &str) -> anyhow::Result<()> {
    set(tx, "zone_rules", version)
}

pub fn set_zoneless(tx: &Transaction<'_>, zoneless: &Zoneless) -> anyhow::Result<()> {
    match zoneless.customers {
        0 => remove(tx, "zoneless").map(drop),
        _ => set(tx, "zoneless", &serde_json::to_string(zoneless)?),
    }
}
