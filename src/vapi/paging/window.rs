//! One query of a listing, and the queries that remain after its page.

use std::collections::BTreeSet;

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::domain::{Instant, instant_text};
use crate::provider::ReadError;
use crate::vapi::paging::row::Row;

/// Rows of a page. Small, because each row may hold a transcript.
pub(super) const USUAL_LIMIT: usize = 100;
/// The largest limit that the provider accepts; used when one instant fills a page.
pub(super) const HIGHEST_LIMIT: usize = 1000;
/// Fewer rows than this may be in descending order by chance.
const ORDERED_FROM: usize = 10;
/// The limit of a query that shows whether the provider obeys limits.
const SMALLER_LIMIT: usize = USUAL_LIMIT - 1;

/// One query: calls created within these bounds, both inclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub from: Instant,
    /// `None` = no upper bound.
    pub to: Option<Instant>,
    pub limit: usize,
    /// The limit was not chosen for this window, so it follows what the provider can send in time.
    pub is_usual: bool,
}

/// The next step after a page.
pub(crate) enum Rest {
    Ask(Vec<Window>),
    /// No query, unless the provider's own limit is at most the length of the page.
    Nothing,
    TooMany {
        at: Instant,
        others: Vec<Window>,
    },
}

impl Window {
    /// A window with the usual limit.
    pub fn usual(from: Instant, to: Option<Instant>) -> Window {
        Window { from, to, limit: USUAL_LIMIT, is_usual: true }
    }

    /// The query part of the address.
    pub fn query(&self) -> String {
        let upper = self.to.map(|to| format!("&createdAtLe={}", instant_text(to)));
        let from = instant_text(self.from);
        format!("limit={}&createdAtGe={from}{}", self.limit, upper.unwrap_or_default())
    }

    /// The queries that remain after this page, which has `new` new calls. `is_cut`: the page broke
    /// off after these rows, so it counts as full.
    ///
    /// A page in descending order is the newest part, so the next query ends at its oldest row. A
    /// page in another order may be any part, so the window is cut in two at an instant inside. The
    /// end is a page below the limit without new calls. A short page with new calls is not an end,
    /// because the provider may have a lower limit.
    pub fn rest(&self, rows: &[Row], is_cut: bool, new: usize) -> Result<Rest, ReadError> {
        if self.limit == SMALLER_LIMIT && !is_cut {
            return if self.limit < rows.len() { self.too_many(rows) } else { Ok(Rest::Nothing) };
        }
        let full = is_cut || rows.len() >= self.limit;
        if !full && new == 0 {
            return Ok(self.last_doubt(rows));
        }
        let times: Vec<Instant> =
            rows.iter().filter_map(|row| row.at).filter(|at| self.holds(*at)).collect();
        let is_short = full && self.limit.min(times.len()) < ORDERED_FROM;
        let falls = !is_short && times.is_sorted_by(|a, b| a >= b);
        if let (Some(newest), Some(oldest)) = (times.first(), times.last())
            && falls
            && oldest < newest
        {
            return Ok(Rest::Ask(vec![Window::usual(self.from, Some(*oldest))]));
        }
        let first = times.first().copied();
        if let Some(middle) = self.middle(times) {
            let halves =
                vec![Window::usual(self.from, Some(middle)), Window::usual(middle, self.to)];
            return Ok(Rest::Ask(halves));
        }
        if !full {
            return Ok(self.last_doubt(rows));
        }
        if is_cut || self.limit < USUAL_LIMIT {
            return self.alone(rows, first, is_cut);
        }
        if self.limit < HIGHEST_LIMIT {
            return Ok(Rest::Ask(vec![self.with_limit(HIGHEST_LIMIT)]));
        }
        self.too_many(rows)
    }

    /// For a full page of a lowered limit, or one that broke off, whose rows show one instant: asks
    /// for that instant alone, then for more rows of it.
    fn alone(&self, rows: &[Row], at: Option<Instant>, is_cut: bool) -> Result<Rest, ReadError> {
        let is_alone = self.to == Some(self.from);
        match at {
            Some(at) if is_alone && is_cut => Ok(Rest::TooMany { at, others: Vec::new() }),
            Some(at) if !is_alone && rows.iter().all(|row| !row.is_fine) => {
                let exact = Window::usual(at, Some(at));
                Ok(Rest::Ask(self.without(at).into_iter().chain([exact]).collect()))
            }
            _ if is_cut => self.too_many(rows),
            _ => Ok(Rest::Ask(vec![self.with_limit(self.limit * 2)])),
        }
    }

    /// For more calls than one page brings: separates the first instant from the others. If one
    /// instant alone has too many, the queries leave it out and cover the rest of the window.
    pub fn too_many(&self, rows: &[Row]) -> Result<Rest, ReadError> {
        let times: Vec<Option<Instant>> = rows.iter().map(|row| row.at).collect();
        self.too_many_at(&times)
    }

    /// The same for the instants of the rows.
    pub fn too_many_at(&self, times: &[Option<Instant>]) -> Result<Rest, ReadError> {
        let times: Option<BTreeSet<Instant>> =
            times.iter().map(|at| at.filter(|at| self.holds(*at))).collect();
        let Some(at) = times.as_ref().and_then(|times| times.first().copied()) else {
            return Err(ReadError::Unavailable(
                "the pages of the list cannot be followed to their end".into(),
            ));
        };
        if times.is_some_and(|times| 1 < times.len()) {
            let before = Window::usual(self.from, Some(at));
            let after = self.after(at);
            return Ok(Rest::Ask(after.into_iter().chain([before]).collect()));
        }
        Ok(Rest::TooMany { at, others: self.without(at) })
    }

    /// The windows before and after an instant.
    pub fn without(&self, at: Instant) -> Vec<Window> {
        let step = Duration::milliseconds(1);
        let before = (self.from < at).then(|| Window::usual(self.from, Some(at - step)));
        before.into_iter().chain(self.after(at)).collect()
    }

    fn after(&self, at: Instant) -> Option<Window> {
        let step = Duration::milliseconds(1);
        self.to.is_none_or(|to| at < to).then(|| Window::usual(at + step, self.to))
    }

    /// The halves of the window by time, for a page of one row that does not come. `None`: the
    /// window is too small, or its end is not known. `latest`: no call is younger.
    pub fn halves(&self, latest: Option<Instant>) -> Option<Vec<Window>> {
        let end = self.to.or(latest)?;
        let length = end - self.from;
        if length <= Duration::milliseconds(1) {
            return None;
        }
        let middle = match self.to {
            Some(_) => self.from + Duration::milliseconds(length.num_milliseconds() / 2),
            None => end,
        };
        Some(vec![Window::usual(self.from, Some(middle)), Window::usual(middle, self.to)])
    }

    fn with_limit(&self, limit: usize) -> Window {
        Window { limit, is_usual: false, ..self.clone() }
    }

    /// The last query before a short page counts as the end. A page of exactly the usual length may
    /// come from a provider that ignores limits, and then one instant may hold more. A provider
    /// that ignores the bounds too always sends the same rows, which are not a page of the window.
    fn last_doubt(&self, rows: &[Row]) -> Rest {
        let is_usual = self.limit == HIGHEST_LIMIT
            && rows.len() == USUAL_LIMIT
            && rows.iter().filter_map(|row| row.at).all(|at| self.holds(at));
        if is_usual { Rest::Ask(vec![self.with_limit(SMALLER_LIMIT)]) } else { Rest::Nothing }
    }

    pub fn holds(&self, at: Instant) -> bool {
        self.from <= at && self.to.is_none_or(|to| at <= to)
    }

    /// The middle of the instants strictly inside the window, so that both halves are smaller.
    fn middle(&self, mut times: Vec<Instant>) -> Option<Instant> {
        times.retain(|at| *at > self.from && self.to.is_none_or(|to| *at < to));
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }
}
