//! Ids that distinguish a (virtual) machine from a clone with the same machine id. Not every
//! machine has them, and not every user may read them. Only ids that were readable both times
//! count.

use std::collections::BTreeMap;
use std::path::Path;

use crate::store::{Conn, Tx, meta};

/// The path of each id, and its name in messages.
const PLACES: [(&str, &str); 3] = [
    ("sys/class/dmi/id/product_uuid", "the machine's product UUID"),
    ("sys/hypervisor/uuid", "the hypervisor's UUID of this machine"),
    ("var/lib/cloud/data/instance-id", "the cloud's instance id"),
];
const ARMED_INSTANCE: &str = "armed_instance_ids";
/// A longer file does not contain an id.
const LONGEST: usize = 200;

/// The ids that are readable here, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceIds(BTreeMap<String, String>);

impl InstanceIds {
    /// The ids below a folder, which is `/` outside tests.
    pub fn read(root: &Path) -> InstanceIds {
        let ids = PLACES.iter().filter_map(|(place, _)| {
            let id = std::fs::read_to_string(root.join(place)).ok()?.trim().to_string();
            (!id.is_empty() && id.len() <= LONGEST).then(|| (place.to_string(), id))
        });
        InstanceIds(ids.collect())
    }

    /// The ids of this machine.
    pub fn here() -> InstanceIds {
        InstanceIds::read(Path::new("/"))
    }

    /// The first difference from the ids with which the file was armed, in words.
    pub fn mismatch(&self, conn: &Conn) -> anyhow::Result<Option<String>> {
        let armed = armed(conn)?;
        let differs = |place: &str| matches!((armed.get(place), self.0.get(place)), (Some(was), Some(is)) if was != is);
        let differing = PLACES.iter().find(|(place, _)| differs(place));
        Ok(differing.map(|(place, name)| {
            format!("{name} (/{place}) differs from the one that the database was armed with")
        }))
    }

    /// Adds ids that were not readable when the file was armed.
    pub fn learn(&self, tx: &Tx<'_>) -> anyhow::Result<()> {
        let known = armed(tx)?;
        let mut all = self.0.clone();
        all.extend(known.clone());
        if all == known { Ok(()) } else { keep(tx, &all) }
    }

    /// Replaces the armed ids with exactly these.
    pub fn arm(&self, tx: &Tx<'_>) -> anyhow::Result<()> {
        keep(tx, &self.0)
    }
}

fn armed(conn: &Conn) -> anyhow::Result<BTreeMap<String, String>> {
    let text = meta::get(conn, ARMED_INSTANCE)?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default())
}

fn keep(tx: &Tx<'_>, ids: &BTreeMap<String, String>) -> anyhow::Result<()> {
    meta::set(tx, ARMED_INSTANCE, &serde_json::to_string(ids)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ids_are_read() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(InstanceIds::read(root.path()), InstanceIds::default());
        for (place, text) in [(PLACES[0].0, "  \n"), (PLACES[2].0, " i-0abc \n")] {
            let file = root.path().join(place);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let ids = InstanceIds::read(root.path());
        assert_eq!(ids.0.into_iter().collect::<Vec<_>>(), [(PLACES[2].0.into(), "i-0abc".into())]);
    }
}
