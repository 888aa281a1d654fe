//! `[results]`: which parts of a call's result are kept, and for how long.

use serde::{Deserialize, Serialize};

use crate::config::error::ConfigProblem;

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Results {
    /// The provider's summary and its evaluation of success.
    pub summary: bool,
    /// Structured outputs by name, and the older structured data.
    pub structured: bool,
    pub transcript: bool,
    /// Afterwards the content is deleted; the ledger stays.
    pub keep_days: i64,
    /// How long after its end a call is asked about while a part is missing.
    pub wait_minutes: i64,
}

impl Default for Results {
    fn default() -> Self {
        Results {
            summary: true,
            structured: true,
            transcript: false,
            keep_days: 90,
            wait_minutes: 15,
        }
    }
}

impl Results {
    /// The values that cannot be used.
    pub(super) fn problems(&self) -> Vec<ConfigProblem> {
        let ranges = [
            ("keep_days", self.keep_days, 1..=3_650),
            ("wait_minutes", self.wait_minutes, 1..=1_440),
        ];
        ranges
            .into_iter()
            .filter(|(_, value, range)| !range.contains(value))
            .map(|(key, value, range)| ConfigProblem {
                key: format!("results.{key}"),
                what: format!(
                    "{value} is out of range: write {} to {}",
                    range.start(),
                    range.end()
                ),
            })
            .collect()
    }
}
