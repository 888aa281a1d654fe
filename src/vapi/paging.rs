//! Follows the pages of a listing until nothing can be missing.
//!
//! The provider has no cursor, no total and no promised order; only time bounds and a limit. A
//! listing is evidence of absence, so this file refuses to guess: when it cannot prove that every
//! call of the window was seen, the whole listing is an error.

use std::collections::{BTreeSet, HashMap};

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

    /// The windows still to be asked after this page, which brought so many new calls.
    ///
    /// A page in falling order is the newest part: go on from its oldest row. In any other order
    /// it may be any part, so the window is cut in two at an instant inside. The end is a page
    /// below the limit that brings nothing new: a short page alone may be a lower limit of theirs.
    fn rest(&self, rows: &[Value], new: usize) -> Result<Vec<Window>, ReadError> {
        if self.limit == SMALLER_LIMIT {
            return if self.limit < rows.len() { Err(no_end()) } else { Ok(Vec::new()) };
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
            return Ok(vec![self.between(self.from, Some(*oldest))]);
        }
        if let Some(middle) = self.middle(times) {
            return Ok(vec![self.between(self.from, Some(middle)), self.between(middle, self.to)]);
        }
        if !full {
            return Ok(self.last_doubt(rows));
        }
        if self.limit < HIGHEST_LIMIT {
            return Ok(vec![Window { limit: HIGHEST_LIMIT, ..self.clone() }]);
        }
        Err(no_end())
    }

    /// What is asked before a short page counts as the end. One of just their usual length may be
    /// the answer of a provider that looks at no limit, and then one instant may hold more. A
    /// provider that looks at no bounds either always gives the same rows: that is no page.
    fn last_doubt(&self, rows: &[Value]) -> Vec<Window> {
        let is_usual = self.limit == HIGHEST_LIMIT
            && rows.len() == USUAL_LIMIT
            && rows.iter().filter_map(created_at).all(|at| self.holds(at));
        is_usual.then(|| Window { limit: SMALLER_LIMIT, ..self.clone() }).into_iter().collect()
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

fn no_end() -> ReadError {
    ReadError::Unavailable("the pages of the list cannot be followed to their end".into())
}

/// Every call created at or after `since`. `read` answers one window; its error ends the listing.
pub(super) fn every_call(
    since: Instant,
    read: &mut dyn FnMut(&Window) -> Result<Page, ReadError>,
) -> Result<Listing, ReadError> {
    let mut seen = Seen { since, calls: HashMap::new(), unreadable: BTreeSet::new() };
    let mut date = None;
    let mut open = vec![Window { from: since, to: None, limit: USUAL_LIMIT }];
    let mut pages = 0;
    while let Some(window) = open.pop() {
        pages += 1;
        if pages > MOST_PAGES {
            let detail = format!("the list has more than {MOST_PAGES} pages");
            return Err(ReadError::Unavailable(detail));
        }
        let page = read(&window)?;
        date = page.date.or(date);
        let new = page.rows.iter().filter(|row| seen.add(row)).count();
        open.extend(window.rest(&page.rows, new)?);
    }
    Ok(seen.listing(date))
}

/// What the pages have brought so far, each row once.
struct Seen {
    since: Instant,
    calls: HashMap<String, ProviderCall>,
    /// Marks of rows without a readable id, so that overlapping pages count each once.
    unreadable: BTreeSet<String>,
}

impl Seen {
    /// Whether this row is new. A row from before the window is not ours to report.
    fn add(&mut self, row: &Value) -> bool {
        let Some(call) = wire::read_call(row) else {
            return self.unreadable.insert(mark_of(row));
        };
        if call.created_at.is_some_and(|at| at < self.since) {
            return false;
        }
        self.calls.insert(call.id.clone(), call).is_none()
    }

    fn listing(self, date: Option<Instant>) -> Listing {
        let mut calls: Vec<ProviderCall> = self.calls.into_values().collect();
        calls.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Listing { calls, unreadable: self.unreadable, date }
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
mod tests {
    use std::cell::Cell;
    use std::collections::HashSet;

    use chrono::{TimeZone, Utc};
    use serde_json::json;

    use super::*;

    fn at(ms: i64) -> Instant {
        Utc.timestamp_millis_opt(1_795_367_000_000 + ms).unwrap()
    }

    fn row(id: usize, ms: i64) -> Value {
        json!({"id": format!("c{id}"), "createdAt": instant_text(at(ms))})
    }

    /// A provider that holds `rows` in this order, and answers with the first that fit.
    fn listing(rows: &[Value], cap: usize) -> (Result<Listing, ReadError>, usize) {
        let pages = Cell::new(0);
        let mut read = |window: &Window| {
            pages.set(pages.get() + 1);
            let inside = |row: &&Value| created_at(row).is_none_or(|at| window.holds(at));
            let rows = rows.iter().filter(inside).take(window.limit.min(cap)).cloned().collect();
            Ok(Page { rows, date: None })
        };
        let listing = every_call(at(0), &mut read);
        (listing, pages.get())
    }

    fn shuffled(mut rows: Vec<Value>) -> Vec<Value> {
        rows.sort_by_key(|row| {
            let id: u64 = row["id"].as_str().unwrap()[1..].parse().unwrap();
            id.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        });
        rows
    }

    #[test]
    fn every_call_is_found_in_any_order() {
        let rising: Vec<Value> = (0..1234).map(|id| row(id, (id / 3) as i64)).collect();
        let falling: Vec<Value> = rising.iter().rev().cloned().collect();
        for rows in [rising.clone(), falling, shuffled(rising.clone())] {
            let (listing, _) = listing(&rows, HIGHEST_LIMIT);
            let ids: Vec<String> = listing.unwrap().calls.into_iter().map(|c| c.id).collect();
            assert_eq!(ids.len(), rising.len());
            let distinct: HashSet<&String> = ids.iter().collect();
            assert_eq!(distinct.len(), rising.len());
        }
    }

    #[test]
    fn one_instant_that_fills_a_page_loses_nothing() {
        let mut rows: Vec<Value> = (0..300).map(|id| row(id, 5)).collect();
        rows.extend((300..450).map(|id| row(id, 4)));
        rows.insert(0, row(1000, 9));
        for rows in [rows.clone(), shuffled(rows.clone()), rows.iter().rev().cloned().collect()] {
            assert_eq!(listing(&rows, HIGHEST_LIMIT).0.unwrap().calls.len(), 451);
        }
    }

    #[test]
    fn one_instant_that_fills_the_largest_page_is_an_error() {
        let rows: Vec<Value> = (0..HIGHEST_LIMIT + 1).map(|id| row(id, 5)).collect();
        assert!(matches!(listing(&rows, HIGHEST_LIMIT).0, Err(ReadError::Unavailable(_))));
    }

    #[test]
    fn one_instant_that_fills_a_page_whose_limit_is_ignored_is_an_error() {
        let rows: Vec<Value> = (0..300).map(|id| row(id, 5)).collect();
        let mut read = |_: &Window| Ok(Page { rows: rows[..USUAL_LIMIT].to_vec(), date: None });
        assert!(matches!(every_call(at(0), &mut read), Err(ReadError::Unavailable(_))));
        assert_eq!(listing(&rows[..USUAL_LIMIT], HIGHEST_LIMIT).0.unwrap().calls.len(), 100);
    }

    #[test]
    fn a_hundred_calls_are_no_error_where_the_provider_looks_at_no_question() {
        for order in [1, -1] {
            let rows: Vec<Value> =
                (0..USUAL_LIMIT).map(|id| row(id, 200 + order * id as i64)).collect();
            let mut read = |_: &Window| Ok(Page { rows: rows.clone(), date: None });
            assert_eq!(every_call(at(0), &mut read).unwrap().calls.len(), USUAL_LIMIT);
        }
    }

    #[test]
    fn a_lower_limit_on_their_side_is_not_taken_for_the_end() {
        let rows: Vec<Value> = (0..200).rev().map(|id| row(id, id as i64)).collect();
        assert_eq!(listing(&rows, 30).0.unwrap().calls.len(), 200);
    }

    #[test]
    fn a_provider_that_ignores_time_bounds_is_an_error_when_more_may_follow() {
        let rows: Vec<Value> = (0..2000).rev().map(|id| row(id, id as i64)).collect();
        let mut read =
            |window: &Window| Ok(Page { rows: rows[..window.limit].to_vec(), date: None });
        assert!(matches!(every_call(at(0), &mut read), Err(ReadError::Unavailable(_))));
    }

    #[test]
    fn an_empty_window_costs_one_page_and_a_short_one_two() {
        assert_eq!(listing(&[], 100).1, 1);
        let rows: Vec<Value> = (0..50).rev().map(|id| row(id, id as i64)).collect();
        assert_eq!(listing(&rows, 100).1, 2);
    }

    #[test]
    fn a_bad_row_is_counted_once_and_loses_no_other() {
        let mut rows: Vec<Value> = (0..150).rev().map(|id| row(id, id as i64)).collect();
        rows.insert(75, json!({"id": null, "createdAt": instant_text(at(75))}));
        rows.insert(20, json!("rubbish"));
        let listing = listing(&rows, 100).0.unwrap();
        assert_eq!((listing.calls.len(), listing.unreadable.len()), (150, 2));
    }

    #[test]
    fn a_row_from_before_the_window_is_left_out() {
        let rows = [row(2, 3), row(1, -1)];
        let mut read = |_: &Window| Ok(Page { rows: rows.to_vec(), date: None });
        let listing = every_call(at(0), &mut read).unwrap();
        assert_eq!(listing.calls.len(), 1);
    }

    #[test]
    fn finer_instants_are_asked_for_rounded_up() {
        let fine = json!({"createdAt": "2026-11-22T17:01:00.123456Z"});
        assert_eq!(instant_text(created_at(&fine).unwrap()), "2026-11-22T17:01:00.124Z");
        let even = json!({"createdAt": "2026-11-22T17:01:00.123Z"});
        assert_eq!(instant_text(created_at(&even).unwrap()), "2026-11-22T17:01:00.123Z");
    }
}
