//! `[backup]`: the copies that `run` makes by itself.

use serde::{Deserialize, Serialize};

use super::Problem;
use crate::domain::cron::Cron;

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// Five-field Unix cron in `schedule.timezone`; `None`: `run` makes no backups.
    pub cron: Option<String>,
    /// Where the copies go; made when it is missing.
    pub folder: Option<String>,
    /// How many copies stay.
    pub keep: usize,
}

impl Default for Backup {
    fn default() -> Self {
        Backup { cron: None, folder: None, keep: 14 }
    }
}

impl Backup {
    /// What of it cannot be used.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let problem = |key: &str, what: &str| Problem {
            key: format!("backup.{key}"),
            what: what.to_string(),
        };
        let mut found = Vec::new();
        match (&self.cron, self.folder.as_deref().map(str::trim)) {
            (Some(_), None | Some("")) => {
                found.push(problem("folder", "is not set: name a folder"))
            }
            (None, Some(_)) => {
                found.push(problem(
                    "cron",
                    "is not set, so nothing is copied: write \"30 3 * * *\"",
                ));
            }
            _ => {}
        }
        if let Some(Err(error)) = self.cron.as_deref().map(Cron::parse) {
            found.push(problem("cron", &error.to_string()));
        }
        if !(1..=10_000).contains(&self.keep) {
            let what = format!("{} is out of range: write 1 to 10000", self.keep);
            found.push(problem("keep", &what));
        }
        found
    }
}
