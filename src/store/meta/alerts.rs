//! What each channel of alerts has sent: alarms, the date of the last summary, and failures.

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;
use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use crate::domain::alarm::Told;
use crate::domain::instant_words;
use crate::store::meta::{get, prefixed, remove, set};

fn prefix(channel: &str) -> String {
    format!("alert:{channel}:")
}

/// The alarms that a channel knows, by key.
pub fn told(conn: &Connection, channel: &str) -> anyhow::Result<BTreeMap<String, Told>> {
    let prefix = prefix(channel);
    let mut found = BTreeMap::new();
    for (key, value) in prefixed(conn, &prefix)? {
        if let Some(alarm) = key.strip_prefix(&prefix) {
            found.insert(alarm.to_string(), serde_json::from_str(&value)?);
        }
    }
    Ok(found)
}

/// Stores what a channel knows about an alarm; `None` forgets it.
pub fn tell(
    tx: &Transaction<'_>,
    channel: &str,
    alarm: &str,
    told: Option<&Told>,
) -> anyhow::Result<()> {
    let key = format!("{}{alarm}", prefix(channel));
    match told {
        Some(told) => set(tx, &key, &serde_json::to_string(told)?),
        None => remove(tx, &key).map(drop),
    }
}

/// The local date of a channel's last daily summary.
pub fn last_summary(conn: &Connection, channel: &str) -> anyhow::Result<Option<NaiveDate>> {
    let text = get(conn, &format!("alerts_summary:{channel}"))?;
    Ok(text.and_then(|text| text.parse().ok()))
}

pub fn set_last_summary(
    tx: &Transaction<'_>,
    channel: &str,
    date: NaiveDate,
) -> anyhow::Result<()> {
    set(tx, &format!("alerts_summary:{channel}"), &date.to_string())
}

/// A channel whose last message could not be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailingChannel {
    pub channel: String,
    pub since: String,
    pub why: String,
}

impl fmt::Display for FailingChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (channel, since, why) = (&self.channel, instant_words(&self.since), &self.why);
        write!(f, "alerts by {channel} could not be sent since {since}: {why}")
    }
}

/// The channels that fail now.
pub fn failing(conn: &Connection) -> anyhow::Result<Vec<FailingChannel>> {
    let rows = prefixed(conn, "alerts_failed:")?;
    rows.into_iter().map(|(_, value)| Ok(serde_json::from_str(&value)?)).collect()
}

/// Stores that a channel fails, since its first failure.
pub fn fails(tx: &Transaction<'_>, failed: &FailingChannel) -> anyhow::Result<()> {
    let key = format!("alerts_failed:{}", failed.channel);
    let known: Option<FailingChannel> =
        get(tx, &key)?.map(|text| serde_json::from_str(&text)).transpose()?;
    let since = known.map_or(failed.since.clone(), |known| known.since);
    set(tx, &key, &serde_json::to_string(&FailingChannel { since, ..failed.clone() })?)
}

/// Stores that a channel works; `true` if it failed before.
pub fn works(tx: &Transaction<'_>, channel: &str) -> anyhow::Result<bool> {
    remove(tx, &format!("alerts_failed:{channel}"))
}
