//! The state of one listing: the calls so far, and the windows that are still open. It can be kept
//! and go on at the next start.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::domain::start::VISIBLE_AFTER;
use crate::domain::{Instant, instant_text};
use crate::provider::{ListKeeper, Listing, ProviderCall, ReadError};
use crate::vapi::paging::row::{Cut, Page, Row};
use crate::vapi::paging::window::{HIGHEST_LIMIT, Rest, USUAL_LIMIT, Window};

/// A longer listing is an error: no account fills this many pages in the provider's retention.
const MOST_PAGES: usize = 5000;
/// How long an interrupted listing is worth going on with.
const KEPT_FOR: Duration = Duration::hours(24);
/// The first lower limit, after a page of which nothing came in time.
const LOWERED: usize = USUAL_LIMIT / 4;
/// While our own limit is lowered, shorter pages than this do not show a limit of the provider.
const LEAST_LIMIT_OF_THEIRS: usize = 10;

type Read<'r> = &'r mut dyn FnMut(&Window) -> Result<Page, ReadError>;

/// What a kept listing needs besides its calls.
#[derive(Clone, Serialize, Deserialize)]
struct Progress {
    since: Instant,
    /// The provider's date of the first page. Calls since shortly before it are read again.
    begun_at: Option<Instant>,
    open: Vec<Window>,
    /// Windows that seem complete, each with the instants of its last page.
    ended: Vec<(Window, Vec<Option<Instant>>)>,
    /// Marks of rows without a readable id, so that overlapping pages count each row once.
    unreadable: BTreeSet<String>,
    /// Instants with more calls than one page brings, or with a call that does not come in time.
    too_many: HashSet<Instant>,
    longest_page: usize,
    /// The usual limit of now. Lower while pages are too large or too slow.
    usual: usize,
    /// The usual limit does not grow beyond this.
    ceiling: usize,
    /// Whether the provider cuts pages at the longest length so far; `None`: not asked yet.
    is_limited: Option<bool>,
}

/// The rows of all pages so far, each once.
pub(super) struct Seen {
    progress: Progress,
    calls: HashMap<String, ProviderCall>,
    /// The calls that are not kept yet.
    unkept: Vec<String>,
    pages: usize,
    date: Option<Instant>,
    is_resumed: bool,
    /// The accounts that the calls name.
    accounts: HashSet<String>,
    /// The last page was full or broke off: a long listing, which is worth keeping.
    is_long: bool,
}

impl Seen {
    pub fn new(since: Instant) -> Seen {
        Seen {
            progress: Progress {
                since,
                begun_at: None,
                open: vec![Window::usual(since, None)],
                ended: Vec::new(),
                unreadable: BTreeSet::new(),
                too_many: HashSet::new(),
                longest_page: 0,
                usual: USUAL_LIMIT,
                ceiling: USUAL_LIMIT,
                is_limited: None,
            },
            calls: HashMap::new(),
            unkept: Vec::new(),
            pages: 0,
            date: None,
            is_resumed: false,
            accounts: HashSet::new(),
            is_long: false,
        }
    }

    /// The kept listing if it covers `since`, with the window of the calls that may have appeared
    /// since; else a new one.
    pub fn of(since: Instant, keeper: &ListKeeper<'_>) -> (Seen, Option<Window>) {
        let new = (Seen::new(since), None);
        let Some((progress, calls)) = (keeper.kept)() else { return new };
        let Ok(progress) = serde_json::from_str::<Progress>(&progress) else { return new };
        let Some(begun_at) = progress.begun_at.filter(|_| progress.since <= since) else {
            return new;
        };
        let accounts = calls.iter().filter_map(|call| call.org_id.clone()).collect();
        let calls = calls.into_iter().map(|call| (call.id.clone(), call)).collect();
        let newest = Window::usual(begun_at - VISIBLE_AFTER, None);
        let progress = Progress { since, ..progress };
        let seen = Seen { progress, calls, accounts, is_resumed: true, ..Seen::new(since) };
        (seen, Some(newest))
    }

    /// Reads the newest part of a kept listing. `false`: the listing is too old, or of another
    /// account, so that it must begin again.
    pub fn goes_on(&mut self, newest: &Window, read: Read<'_>) -> Result<bool, ReadError> {
        self.look_into(newest.clone(), read)?;
        let is_young = self
            .progress
            .begun_at
            .zip(self.date)
            .is_some_and(|(begun, now)| begun <= now && now - begun <= KEPT_FOR);
        Ok(is_young && !self.is_mixed())
    }

    /// Whether the kept part is of another account than the pages of now.
    pub fn is_mixed(&self) -> bool {
        self.is_resumed && self.accounts.len() > 1
    }

    /// The next window to read.
    pub fn next(&mut self) -> Option<Window> {
        self.progress.open.pop()
    }

    /// Reads a window, and opens the windows that remain.
    pub fn look_into(&mut self, window: Window, read: Read<'_>) -> Result<(), ReadError> {
        let limit = if window.is_usual { self.progress.usual } else { window.limit };
        let window = Window { limit, ..window };
        let (page, new) = self.page(&window, read)?;
        let is_cut = page.cut.is_some();
        self.is_long = is_cut || window.limit <= page.rows.len();
        match page.cut {
            Some(cut) if page.rows.is_empty() => return self.nothing_came(window, cut),
            // The next pages end in time.
            Some(_) => self.lower((page.rows.len() / 2).max(1)),
            None if self.is_long && window.is_usual => {
                self.progress.usual = (limit * 2).min(self.progress.ceiling);
            }
            None => {}
        }
        match window.rest(&page.rows, is_cut, new)? {
            Rest::Nothing => {
                let times = page.rows.iter().map(|row| row.at).collect();
                self.progress.ended.push((window, times));
            }
            rest => self.open(rest),
        }
        Ok(())
    }

    /// Reads a page and counts its new rows.
    fn page(&mut self, window: &Window, read: Read<'_>) -> Result<(Page, usize), ReadError> {
        self.pages += 1;
        if self.pages > MOST_PAGES {
            let detail = format!("the list has more than {MOST_PAGES} pages");
            return Err(ReadError::Unavailable(detail));
        }
        let page = read(window)?;
        self.date = page.date.or(self.date);
        self.progress.begun_at = self.progress.begun_at.or(page.date);
        self.progress.longest_page = self.progress.longest_page.max(page.rows.len());
        let new = page.rows.iter().filter(|row| self.add(row)).count();
        Ok((page, new))
    }

    /// For a page of which no row came in time: asks for fewer rows. If a single row does not come,
    /// its instant counts as unreadable, and the windows around it are read.
    fn nothing_came(&mut self, window: Window, cut: Cut) -> Result<(), ReadError> {
        if !window.is_usual && window.to == Some(window.from) {
            self.progress.too_many.insert(window.from);
            return Ok(());
        }
        if 1 < window.limit {
            self.progress.ceiling = self.progress.ceiling.min(window.limit / 2).max(1);
            self.lower((window.limit / 4).clamp(1, LOWERED));
            self.progress.open.push(Window::usual(window.from, window.to));
            return Ok(());
        }
        let at = match cut {
            // The provider does not answer at all.
            Cut::Silent(why) => return Err(ReadError::Unavailable(why)),
            Cut::Inside(at) => at.filter(|at| window.holds(*at)),
        };
        let parts = match at {
            Some(at) => {
                self.unread(at);
                window.without(at)
            }
            None => match (window.halves(self.date), window.to) {
                (Some(halves), _) => halves,
                (None, Some(_)) => {
                    self.unread(window.from);
                    Vec::new()
                }
                (None, None) => {
                    let detail = "one record is too large or too slow to be read";
                    return Err(ReadError::Unavailable(detail.to_string()));
                }
            },
        };
        self.progress.open.extend(parts);
        Ok(())
    }

    /// Notes the instant of a row that does not come. The other rows are not slower than before.
    fn unread(&mut self, at: Instant) {
        self.progress.too_many.insert(at);
        (self.progress.usual, self.progress.ceiling) = (LOWERED, USUAL_LIMIT);
    }

    fn lower(&mut self, limit: usize) {
        self.progress.usual = self.progress.usual.min(limit);
    }

    /// Opens the next queries; notes an instant with too many calls.
    fn open(&mut self, rest: Rest) {
        let windows = match rest {
            Rest::Ask(windows) => windows,
            Rest::Nothing => Vec::new(),
            Rest::TooMany { at, others } => {
                self.progress.too_many.insert(at);
                others
            }
        };
        self.progress.open.extend(windows);
    }

    /// Whether no call can be missing, once no window is open. If the provider's own limit may have
    /// cut a page, its window opens again.
    pub fn is_complete(&mut self, read: Read<'_>) -> Result<bool, ReadError> {
        let longest = self.longest_of_theirs();
        let mut ended = mem::take(&mut self.progress.ended);
        ended.retain(|(window, times)| {
            !times.is_empty() && longest.min(window.limit) <= times.len()
        });
        let known = self.progress.is_limited;
        if ended.is_empty() || !known.map_or_else(|| self.is_limited(read), Ok)? {
            return Ok(true);
        }
        // The provider's own limit is this low, so a page of this length is not the end.
        self.progress.is_limited = Some(true);
        for (window, times) in ended {
            self.open(window.too_many_at(&times)?);
        }
        Ok(false)
    }

    /// The longest page, which may show a limit of the provider's own.
    fn longest_of_theirs(&self) -> usize {
        let is_ours = self.progress.usual.min(self.progress.ceiling) < USUAL_LIMIT;
        let least = if is_ours { LEAST_LIMIT_OF_THEIRS } else { 0 };
        self.progress.longest_page.max(least)
    }

    /// Whether the provider cuts pages at the longest length so far, although more calls exist.
    fn is_limited(&mut self, read: Read<'_>) -> Result<bool, ReadError> {
        let longest = self.longest_of_theirs();
        if self.calls.len() + self.progress.unreadable.len() <= longest {
            return Ok(false);
        }
        // The first query was for everything, so only its limit can have cut a page this long.
        if USUAL_LIMIT <= longest && self.progress.usual == USUAL_LIMIT {
            let everything = Window::usual(self.progress.since, None);
            let highest = Window { limit: HIGHEST_LIMIT, is_usual: false, ..everything };
            self.page(&highest, read)?;
        }
        Ok(self.longest_of_theirs() == longest)
    }

    /// Adds a row; whether it is new. A row from before the listing is left out.
    fn add(&mut self, row: &Row) -> bool {
        let call = match &row.call {
            Ok(call) => call,
            Err(mark) => return self.progress.unreadable.insert(mark.clone()),
        };
        if call.created_at.is_some_and(|at| at < self.progress.since) {
            return false;
        }
        if let Some(account) = call.org_id.as_ref().filter(|id| !self.accounts.contains(*id)) {
            self.accounts.insert(account.clone());
        }
        let is_new = self.calls.insert(call.id.clone(), (**call).clone()).is_none();
        if is_new {
            self.unkept.push(call.id.clone());
        }
        is_new
    }

    /// Keeps a long listing, so that a start that is cut goes on here.
    pub fn keep(&mut self, keeper: &ListKeeper<'_>) {
        let is_over = self.progress.open.is_empty();
        if !self.is_long || is_over || self.progress.begun_at.is_none() {
            return;
        }
        let unkept = mem::take(&mut self.unkept);
        let calls: Vec<&ProviderCall> = unkept.iter().filter_map(|id| self.calls.get(id)).collect();
        let progress = serde_json::to_string(&self.progress).unwrap_or_default();
        (keeper.keep)(&calls, &progress);
    }

    pub fn listing(self) -> Listing {
        let Progress { since, unreadable, too_many, .. } = self.progress;
        let too_many = too_many.iter().map(|at| format!("calls at {}", instant_text(*at)));
        let unreadable = unreadable.into_iter().chain(too_many).collect();
        // A kept listing may have begun earlier.
        let is_wanted = |call: &ProviderCall| call.created_at.is_none_or(|at| since <= at);
        let mut calls: Vec<ProviderCall> = self.calls.into_values().filter(is_wanted).collect();
        calls.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Listing { calls, unreadable, date: self.date, is_resumed: self.is_resumed }
    }
}
