//! Follows the pages of a listing until nothing can be missing.
//!
//! The provider has no cursor, no total and no promised order; only time bounds and a limit. A
//! listing is evidence of absence, so this file refuses to guess: an instant of which it cannot prove
//! that every call was seen counts as a row that could not be read, and where not even that can be
//! told the whole listing is an error.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::Duration;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::wire;
use crate::domain::{Instant, instant_text};
use crate::provider::{Listing, ProviderCall, ReadError};

/// Rows of a page. Small, because each row may hold a transcript.
const USUAL_LIMIT: usize = 100;
/// The largest limit that the provider takes; used when one instant fills a page.
const HIGHEST_LIMIT: usize = 1000;
/// A question that shows whether limits are kept at all.
const SMALLER_LIMIT: usize = USUAL_LIMIT - 1;
/// More pages than any account fills in the provider's retention; ends a listing gone wrong.
const MOST_PAGES: usize = 5000;

/// One page as it came.
pub(super) struct Page {
    pub rows: Vec<Value>,
    pub date: Option<Instant>,
}

/// One question: calls created within these bounds, both inclusive.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub from: Instant,
    /// `None` = no upper bound.
    pub to: Option<Instant>,
    pub limit: usize,
}

impl Window {
    /// The question as the query of an address.
    pub fn query(&self) -> String {
        let upper = self.to.map(|to| format!("&createdAtLe={}", instant_text(to)));
        let from = instant_text(self.from);
        format!("limit={}&createdAtGe={from}{}", self.limit, upper.unwrap_or_default())
    }

    /// What is still to be asked after this page, which brought so many new calls.
    ///
    /// A page in falling order is the newest part: go on from its oldest row. In any other order
    /// it may be any part, so the window is cut in two at an instant inside. The end is a page
    /// below the limit that brings nothing new: a short page alone may be a lower limit of theirs.
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

    /// More calls than any question brings: the first instant apart from the others. One that alone
    /// holds so many is left, and the rest of the window asked without it.
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

    /// What is asked before a short page counts as the end. One of just their usual length may be
    /// the answer of a provider that looks at no limit, and then one instant may hold more. A
    /// provider that looks at no bounds either always gives the same rows: that is no page.
    fn last_doubt(&self, rows: &[Value]) -> Rest {
        let is_usual = self.limit == HIGHEST_LIMIT
            && rows.len() == USUAL_LIMIT
            && rows.iter().filter_map(created_at).all(|at| self.holds(at));
        match is_usual {
            true => Rest::Ask(vec![Window { limit: SMALLER_LIMIT, ..self.clone() }]),
            false => Rest::Nothing,
        }
    }

    fn holds(&self, at: Instant) -> bool {
        self.from <= at && self.to.is_none_or(|to| at <= to)
    }

    fn between(&self, from: Instant, to: Option<Instant>) -> Window {
        Window { from, to, limit: USUAL_LIMIT }
    }

    /// The middle one of the instants that lie truly inside, so that both halves are smaller.
    fn middle(&self, mut times: Vec<Instant>) -> Option<Instant> {
        times.retain(|at| *at > self.from && self.to.is_none_or(|to| *at < to));
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }
}

/// What is to be done after a page.
enum Rest {
    Ask(Vec<Window>),
    /// Nothing, unless their own limit turns out to be no higher than the page is long.
    Nothing,
    TooMany {
        at: Instant,
        others: Vec<Window>,
    },
}

/// Every call created at or after `since`. `read` answers one window; its error ends the listing.
pub(super) fn every_call(
    since: Instant,
    read: &mut dyn FnMut(&Window) -> Result<Page, ReadError>,
) -> Result<Listing, ReadError> {
    let mut seen = Seen { since, ..Seen::default() };
    let mut open = vec![seen.everything(USUAL_LIMIT)];
    // Windows that seem to be at their end, with the page that said so.
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
        // Their own limit is this low, so a page of this length is no end.
        is_cut = Some(true);
        for (window, rows) in std::mem::take(&mut ended) {
            open.extend(seen.windows(window.too_many(&rows)?));
        }
    }
}

/// What the pages have brought so far, each row once.
#[derive(Default)]
struct Seen {
    since: Instant,
    calls: HashMap<String, ProviderCall>,
    /// Marks of rows without a readable id, so that overlapping pages count each once.
    unreadable: BTreeSet<String>,
    /// Instants that hold more calls than a question brings.
    too_many: HashSet<Instant>,
    longest_page: usize,
    pages: usize,
    date: Option<Instant>,
}

impl Seen {
    fn everything(&self, limit: usize) -> Window {
        Window { from: self.since, to: None, limit }
    }

    /// Reads a page, and says how many of its rows are new.
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

    /// What is to be asked; an instant with too many calls is noted.
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

    /// Whether they send no page longer than the longest so far, though more is asked for and there.
    fn is_cut(
        &mut self,
        read: &mut dyn FnMut(&Window) -> Result<Page, ReadError>,
    ) -> Result<bool, ReadError> {
        let longest = self.longest_page;
        if self.calls.len() + self.unreadable.len() <= longest {
            return Ok(false);
        }
        // The first question was for everything, so only the limit can have cut a page this long.
        if USUAL_LIMIT <= longest {
            let everything = self.everything(HIGHEST_LIMIT);
            self.page(&everything, read)?;
        }
        Ok(self.longest_page == longest)
    }

    /// Whether this row is new. A row from before the window is not ours to report.
    fn add(&mut self, row: &Value) -> bool {
        let Some(mut call) = wire::read_call(row) else {
            return self.unreadable.insert(mark_of(row));
        };
        if call.tags().next().is_none() {
            // Nobody's call of ours, most of the list on an account with other uses: what was said
            // in it is not needed, and would fill the memory.
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

/// Equal for equal rows; tells nothing of what the row holds.
fn mark_of(row: &Value) -> String {
    let hash = Sha256::digest(row.to_string().as_bytes());
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// When a row was created, rounded up to the milliseconds of our question: rounded down, the next
/// page would leave out its neighbours.
fn created_at(row: &Value) -> Option<Instant> {
    let at = wire::read_instant(&row["createdAt"])?;
    let beyond = at.timestamp_subsec_nanos() % 1_000_000;
    let up = if beyond == 0 { 0 } else { i64::from(1_000_000 - beyond) };
    at.checked_add_signed(Duration::nanoseconds(up))
}

#[cfg(test)]
#[path = "paging_tests.rs"]
mod tests;
