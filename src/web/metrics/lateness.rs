//! The histogram of how late calls begin, kept between scrapes.

use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::store::Store;
use crate::store::views::page;

/// Bucket limits in seconds after the due instant. The goal is to begin a call within one second.
const LATENESS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 14400.0];

pub(crate) type Labels = Vec<(&'static str, String)>;

/// The state between scrapes.
pub struct Lateness {
    pub(crate) lateness: Family<Labels, Histogram, fn() -> Histogram>,
    /// Attempts up to this `seq` are in the histogram, or are older than this process.
    pub(crate) seen: i64,
    /// The last scrape's text, and the process time (`clock::elapsed`) at which it was made.
    pub(crate) text: Option<(Duration, String)>,
}

impl Lateness {
    /// Starts after the newest attempt in the file: earlier ones are not observed.
    pub fn new(store: &Store) -> anyhow::Result<Lateness> {
        let seen = store.read(page::newest_seq)?;
        let lateness = Family::new_with_constructor(histogram as fn() -> Histogram);
        Ok(Lateness { lateness, seen, text: None })
    }
}

pub(crate) fn histogram() -> Histogram {
    Histogram::new(LATENESS)
}
