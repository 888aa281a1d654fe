//! Follows the pages of a listing until no call can be missing.
//!
//! The provider offers no cursor, no total and no promised order, only time bounds and a limit. A
//! listing is evidence of absence, so nothing is guessed. If the calls of one instant may be
//! incomplete, the instant counts as an unreadable row. If the instant is unknown, the whole
//! listing is an error.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::Duration;
use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::{Instant, instant_text};
use crate::provider::{Listing, ProviderCall, ReadError};
use crate::vapi::{values, wire};

/// Rows of a page. Small, because each row may hold a transcript.
const USUAL_LIMIT: usize = 100;
/// The largest limit that the provider accepts; used when one instant fills a page.
const HIGHEST_LIMIT: usize = 1000;
/// The limit of a query that shows whether the provider obeys limits.
const SMALLER_LIMIT: usize = USUAL_LIMIT - 1;
/// A longer listing is an error: no account fills this many pages in the provider's retention.
const MOST_PAGES: usize = 5000;

/// One page as the provider sent it.
pub(super) struct Page {
    pub rows: Vec<Value>,
    pub date: Option<Instant>,
}

/// One query: calls created within these bounds, both inclusive.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub from: Instant,
    /// `None` = no upper bound.
    pub to: Option<Instant>,
    pub limit: usize,
}

impl Window {
    /// The query part of the address.
    pub fn query(&self) -> String {
        let upper = self.to.map(|to| format!("&createdAtLe={}", instant_text(to)));
        let from = instant_text(self.from);
        format!("limit={}&createdAtGe={from}{}", self.limit, upper.unwrap_or_default())
    }

    /// The queries that remain after this page, which has `new` new calls.
    ///
    /// A page in descending order is the newest part, so the next query ends at its oldest row. A
    /// page in another order may be any part, so the window is cut in two at an instant inside. The
    /// end is a page below the limit without new calls. A short page with new calls is not an end,
    /// because the provider may have a lower limit.
    fn rest(&self, rows: &[Value], new: usize) -> Result<Rest, ReadError> {
        if self.limit == SMALLER_LIMIT {
            return if self.limit < rows.len() { self.too_many(rows) } else { Ok(Rest::Nothing) };
        }
        let full = rows.len() >= self.limit;
        if !full && new == 0 {
            return Ok(self.last_doubt(rows));
        }
        let times: Vec<Instant> =
            rows.iter().filter_map(created_at).filter(|at| self.holds(*at)).collect();
        let falls = times.is_sorted_by(|a, b| a >= b);
        if let (Some(newest), Some(oldest)) = (times.first(), times.last())
            && falls
            && oldest < newest
        {
            return Ok(Rest::Ask(vec![self.between(self.from, Some(*oldest))]));
        }
        if let Some(middle) = self.middle(times) {
            let halves = vec![self.between(self.from, Some(middle)), self.between(middle, self.to)];
            return Ok(Rest::Ask(halves));
        }
        if !full {
            return Ok(self.last_doubt(rows));
        }
        if self.limit < HIGHEST_LIMIT {
            return Ok(Rest::Ask(vec![Window { limit: HIGHEST_LIMIT, ..self.clone() }]));
        }
        self.too_many(rows)
    }

    /// For more calls than one page brings: separates the first instant from the others. If one
    /// instant alone has too many, the queries leave it out and cover the rest of the window.
    fn too_many(&self, rows: &[Value]) -> Result<Rest, ReadError> {
        let times: Option<BTreeSet<Instant>> =
            rows.iter().map(|row| created_at(row).filter(|at| self.holds(*at))).collect();
        let Some(at) = times.as_ref().and_then(|times| times.first().copied()) else {
            return Err(ReadError::Unavailable(
                "the pages of the list cannot be followed to their end".into(),
            ));
        };
        let step = Duration::milliseconds(1);
        let after = self.to.is_none_or(|to| at < to).then(|| self.between(at + step, self.to));
        if times.is_some_and(|times| 1 < times.len()) {
            let before = self.between(self.from, Some(at));
            return Ok(Rest::Ask(after.into_iter().chain([before]).collect()));
        }
        let before = (self.from < at).then(|| self.between(self.from, Some(at - step)));
        Ok(Rest::TooMany { at, others: before.into_iter().chain(after).collect() })
    }

    /// The last query before a short page counts as the end. A page of exactly the usual length may
    /// come from a provider that ignores limits, and then one instant may hold more. A provider
    /// that ignores the bounds too always sends the same rows, which are not a page of the window.
    fn last_doubt(&self, rows: &[Value]) -> Rest {
        let is_usual = self.limit == HIGHEST_LIMIT
            && rows.len() == USUAL_LIMIT
            && rows.iter().filter_map(created_at).all(|at| self.holds(at));
        if is_usual {
            Rest::Ask(vec![Window { limit: SMALLER_LIMIT, ..self.clone() }])
        } else {
            Rest::Nothing
        }
    }

    fn holds(&self, at: Instant) -> bool {
        self.from <= at && self.to.is_none_or(|to| at <= to)
    }

    fn between(&self, from: Instant, to: Option<Instant>) -> Window {
        Window { from, to, limit: USUAL_LIMIT }
    }

    /// The middle of the instants strictly inside the window, so that both halves are smaller.
    fn middle(&self, mut times: Vec<Instant>) -> Option<Instant> {
        times.retain(|at| *at > self.from && self.to.is_none_or(|to| *at < to));
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }
}

/// The next step after a page.
enum Rest {
    Ask(Vec<Window>),
    /// No query, unless the provider's own limit is at most the length of the page.
    Nothing,
    TooMany {
        at: Instant,
        others: Vec<Window>,
    },
}

/// Every call created at or after `since`. `read` reads one window; its error ends the listing.
pub(super) fn every_call(
    since: Instant,
    read: &mut dyn FnMut(&Window) -> Result<Page, ReadError>,
) -> Result<Listing, ReadError> {
    let mut seen = Seen { since, ..Seen::default() };
    let mut open = vec![seen.everything(USUAL_LIMIT)];
    // Windows that seem complete, each with its last page.
    let mut ended: Vec<(Window, Vec<Value>)> = Vec::new();
    let mut is_cut = None;
    loop {
        while let Some(window) = open.pop() {
            let (rows, new) = seen.page(&window, read)?;
            match window.rest(&rows, new)? {
                Rest::Nothing => ended.push((window, rows)),
                rest => open.extend(seen.windows(rest)),
            }
        }
        ended.retain(|(window, rows)| {
            !rows.is_empty() && seen.longest_page.min(window.limit) <= rows.len()
        });
        if ended.is_empty() || !is_cut.map_or_else(|| seen.is_cut(read), Ok)? {
            return Ok(seen.listing());
        }
        // The provider's own limit is this low, so a page of this length is not the end.
        is_cut = Some(true);
        for (window, rows) in std::mem::take(&mut ended) {
            open.extend(seen.windows(window.too_many(&rows)?));
        }
    }
}

/// The rows of all pages so far, each once.
#[derive(Default)]
struct Seen {
    since: Instant,
    calls: HashMap<String, ProviderCall>,
    /// Marks of rows without a readable id, so that overlapping pages count each row once.
    unreadable: BTreeSet<String>,
    /// Instants with more calls than one page brings.
    too_many: HashSet<Instant>,
    longest_page: usize,
    pages: usize,
    date: Option<Instant>,
}

impl Seen {
    fn everything(&self, limit: usize) -> Window {
        Window { from: self.since, to: None, limit }
    }

    /// Reads a page and counts its new rows.
    fn page(
        &mut self,
        window: &Window,
        read: &mut dyn FnMut(&Window) -> Result<Page, ReadError>,
    ) -> Result<(Vec<Value>, usize), ReadError> {
        self.pages += 1;
        if self.pages > MOST_PAGES {
            let detail = format!("the list has more than {MOST_PAGES} pages");
            return Err(ReadError::Unavailable(detail));
        }
        let page = read(window)?;
        self.date = page.date.or(self.date);
        self.longest_page = self.longest_page.max(page.rows.len());
        let new = page.rows.iter().filter(|row| self.add(row)).count();
        Ok((page.rows, new))
    }

    /// The next queries; notes an instant with too many calls.
    fn windows(&mut self, rest: Rest) -> Vec<Window> {
        match rest {
            Rest::Ask(windows) => windows,
            Rest::Nothing => Vec::new(),
            Rest::TooMany { at, others } => {
                self.too_many.insert(at);
                others
            }
        }
    }

    /// Whether the provider cuts pages at the longest length so far, although more calls exist.
    fn is_cut(
        &mut self,
        read: &mut dyn FnMut(&Window) -> Result<Page, ReadError>,
    ) -> Result<bool, ReadError> {
        let longest = self.longest_page;
        if self.calls.len() + self.unreadable.len() <= longest {
            return Ok(false);
        }
        // The first query was for everything, so only its limit can have cut a page this long.
        if USUAL_LIMIT <= longest {
            let everything = self.everything(HIGHEST_LIMIT);
            self.page(&everything, read)?;
        }
        Ok(self.longest_page == longest)
    }

    /// Adds a row; whether it is new. A row from before `since` is left out.
    fn add(&mut self, row: &Value) -> bool {
        let Some(mut call) = wire::read_call(row) else {
            return self.unreadable.insert(mark_of(row));
        };
        if call.tags().next().is_none() {
            // On an account with other uses, most calls of the list do not carry our tags. Their
            // texts are not needed and would fill the memory.
            (call.transcript, call.summary) = (None, None);
        }
        if call.created_at.is_some_and(|at| at < self.since) {
            return false;
        }
        self.calls.insert(call.id.clone(), call).is_none()
    }

    fn listing(self) -> Listing {
        let too_many = self.too_many.iter().map(|at| format!("calls at {}", instant_text(*at)));
        let unreadable = self.unreadable.into_iter().chain(too_many).collect();
        let mut calls: Vec<ProviderCall> = self.calls.into_values().collect();
        calls.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Listing { calls, unreadable, date: self.date }
    }
}

/// A hash of the row: equal for equal rows, and free of the row's content.
fn mark_of(row: &Value) -> String {
    let hash = Sha256::digest(row.to_string().as_bytes());
    HEXLOWER.encode(&hash[..16])
}

/// When a row was created, rounded up to the milliseconds of our queries. Rounded down, the next
/// page would leave out its neighbours.
fn created_at(row: &Value) -> Option<Instant> {
    let at = values::read_instant(&row["createdAt"])?;
    let beyond = at.timestamp_subsec_nanos() % 1_000_000;
    let up = if beyond == 0 { 0 } else { i64::from(1_000_000 - beyond) };
    at.checked_add_signed(Duration::nanoseconds(up))
}

#[cfg(test)]
#[path = "paging_tests.rs"]
mod tests;
