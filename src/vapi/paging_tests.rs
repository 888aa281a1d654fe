//! Tests listings of every order, length and limit.

use std::cell::Cell;

use chrono::{TimeZone, Utc};
use serde_json::json;

use std::collections::HashSet;

use serde_json::Value;

use super::*;
use crate::domain::instant_text;
use crate::provider::{KEEPS_NOTHING, ProviderCall};
use crate::vapi::paging::row::{Cut, Row, created_at};
use crate::vapi::paging::window::{HIGHEST_LIMIT, USUAL_LIMIT};

fn page(rows: &[Value]) -> Page {
    Page { rows: rows.iter().map(Row::read).collect(), ..Page::default() }
}

fn every_call(
    since: Instant,
    read: &mut dyn FnMut(&Window) -> Result<Page, ReadError>,
) -> Result<Listing, ReadError> {
    super::every_call(since, &KEEPS_NOTHING, read)
}

fn at(ms: i64) -> Instant {
    Utc.timestamp_millis_opt(1_795_367_000_000 + ms).unwrap()
}

fn row(id: usize, ms: i64) -> Value {
    json!({"id": format!("c{id}"), "createdAt": instant_text(at(ms))})
}

/// Lists from a provider that holds `rows` in this order and sends the first that fit.
fn listing(rows: &[Value], cap: usize) -> (Result<Listing, ReadError>, usize) {
    let pages = Cell::new(0);
    let mut read = |window: &Window| {
        pages.set(pages.get() + 1);
        let inside = |row: &&Value| created_at(row).is_none_or(|at| window.holds(at));
        let rows: Vec<Value> =
            rows.iter().filter(inside).take(window.limit.min(cap)).cloned().collect();
        Ok(page(&rows))
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

/// The number of calls found, and the number of unread instants or rows.
fn found(rows: &[Value], cap: usize) -> (usize, usize) {
    let listing = listing(rows, cap).0.unwrap();
    (listing.calls.len(), listing.unreadable.len())
}

#[test]
fn one_instant_that_fills_the_largest_page_is_unread_and_hides_no_other() {
    let mut rows: Vec<Value> = (0..HIGHEST_LIMIT + 1).map(|id| row(id, 5)).collect();
    assert_eq!(found(&rows, HIGHEST_LIMIT), (HIGHEST_LIMIT, 1));
    rows.insert(0, row(5000, 9));
    rows.push(row(5001, 2));
    assert_eq!(found(&rows, HIGHEST_LIMIT), (HIGHEST_LIMIT + 2, 1));
}

#[test]
fn one_instant_that_fills_a_page_of_a_lower_limit_of_theirs_is_unread_and_hides_no_other() {
    let mut falling: Vec<Value> = (0..150).map(|id| row(id, 5)).collect();
    falling.insert(0, row(1000, 9));
    falling.push(row(1001, 2));
    let rising: Vec<Value> = falling.iter().rev().cloned().collect();
    for rows in [falling.clone(), rising, shuffled(falling)] {
        for cap in [20, 50, 99, 100, 149] {
            assert_eq!(found(&rows, cap), (cap + 2, 1), "at most {cap}");
        }
        for cap in [151, HIGHEST_LIMIT] {
            assert_eq!(found(&rows, cap), (152, 0), "at most {cap}");
        }
    }
}

#[test]
fn one_instant_that_just_fills_a_page_is_read() {
    for count in [1, 50, USUAL_LIMIT, 250] {
        let mut rows: Vec<Value> = (0..count).map(|id| row(id, 5)).collect();
        assert_eq!(found(&rows, HIGHEST_LIMIT), (count, 0));
        rows.push(row(1001, 2));
        assert_eq!(found(&rows, HIGHEST_LIMIT), (count + 1, 0));
    }
}

#[test]
fn one_instant_that_fills_a_page_whose_limit_is_ignored_is_unread() {
    let rows: Vec<Value> = (0..300).map(|id| row(id, 5)).collect();
    let mut read = |window: &Window| {
        let rows = if window.holds(at(5)) { &rows[..USUAL_LIMIT] } else { &[] };
        Ok(page(rows))
    };
    let listing = every_call(at(0), &mut read).unwrap();
    assert_eq!((listing.calls.len(), listing.unreadable.len()), (USUAL_LIMIT, 1));
}

#[test]
fn a_full_first_page_is_accepted_from_a_provider_that_ignores_filters() {
    for order in [1, -1] {
        let rows: Vec<Value> =
            (0..USUAL_LIMIT).map(|id| row(id, 200 + order * id as i64)).collect();
        let mut read = |_: &Window| Ok(page(&rows));
        assert_eq!(every_call(at(0), &mut read).unwrap().calls.len(), USUAL_LIMIT);
    }
}

#[test]
fn a_lower_limit_of_the_provider_does_not_end_the_list() {
    let rows: Vec<Value> = (0..200).rev().map(|id| row(id, id as i64)).collect();
    assert_eq!(listing(&rows, 30).0.unwrap().calls.len(), 200);
}

#[test]
fn a_provider_that_ignores_time_bounds_is_an_error_when_more_may_follow() {
    let rows: Vec<Value> = (0..2000).rev().map(|id| row(id, id as i64)).collect();
    let mut read = |window: &Window| Ok(page(&rows[..window.limit]));
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
    let mut read = |_: &Window| Ok(page(&rows));
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

/// A provider whose pages break off after this many rows, or after the row `heavy`, which never
/// comes. It does not answer at all when a page has more than `most` rows.
struct Slow<'r> {
    rows: &'r [Value],
    in_time: usize,
    most: usize,
    heavy: Option<&'r str>,
    shows_the_instant: bool,
    pages: Cell<usize>,
}

impl Slow<'_> {
    fn page(&self, window: &Window) -> Page {
        self.pages.set(self.pages.get() + 1);
        let date = Some(at(10_000_000));
        let inside = |row: &&Value| created_at(row).is_none_or(|at| window.holds(at));
        let asked: Vec<&Value> = self.rows.iter().filter(inside).take(window.limit).collect();
        if self.most < asked.len().max(1) {
            return Page { date, cut: Some(Cut::Silent("timeout".into())), ..Page::default() };
        }
        let is_heavy = |row: &&Value| row["id"].as_str() == self.heavy;
        let comes = asked.iter().position(is_heavy).unwrap_or(asked.len()).min(self.in_time);
        let cut = asked
            .get(comes)
            .map(|row| Cut::Inside(created_at(row).filter(|_| self.shows_the_instant)));
        let rows = asked[..comes].iter().map(|row| Row::read(row)).collect();
        Page { rows, date, cut }
    }

    fn list(&self) -> Listing {
        every_call(at(0), &mut |window| Ok(self.page(window))).unwrap()
    }
}

fn slow(rows: &[Value]) -> Slow<'_> {
    let pages = Cell::new(0);
    Slow { rows, in_time: 1000, most: 1000, heavy: None, shows_the_instant: true, pages }
}

fn in_each_order(falling: &[Value]) -> [Vec<Value>; 3] {
    let rising = falling.iter().rev().cloned().collect();
    [falling.to_vec(), rising, shuffled(falling.to_vec())]
}

#[test]
fn pages_that_break_off_lose_no_call_in_any_order() {
    let rows: Vec<Value> = (0..110).rev().map(|id| row(id, (id * 3) as i64)).collect();
    for rows in in_each_order(&rows) {
        for in_time in [1, 2, 10, 57, 99] {
            let provider = Slow { in_time, ..slow(&rows) };
            let listing = provider.list();
            assert_eq!((listing.calls.len(), listing.unreadable.len()), (110, 0), "{in_time}");
        }
    }
}

#[test]
fn rows_that_broke_off_are_not_asked_for_again() {
    let rows: Vec<Value> = (0..1000).rev().map(|id| row(id, id as i64)).collect();
    let provider = Slow { in_time: 50, ..slow(&rows) };
    assert_eq!(provider.list().calls.len(), 1000);
    assert!(provider.pages.get() < 60, "{} pages", provider.pages.get());
}

#[test]
fn a_provider_that_is_silent_about_long_pages_is_asked_for_shorter_ones() {
    let rows: Vec<Value> = (0..40).rev().map(|id| row(id, id as i64)).collect();
    for rows in in_each_order(&rows) {
        for most in [1, 5, 24] {
            let listing = Slow { most, ..slow(&rows) }.list();
            assert_eq!((listing.calls.len(), listing.unreadable.len()), (40, 0), "{most}");
        }
    }
}

#[test]
fn a_provider_that_never_answers_is_an_error_after_few_questions() {
    let provider = Slow { most: 0, ..slow(&[]) };
    let error = every_call(at(0), &mut |window| Ok(provider.page(window))).unwrap_err();
    assert_eq!(error, ReadError::Unavailable("timeout".into()));
    assert!(provider.pages.get() <= 5, "{}", provider.pages.get());
}

#[test]
fn one_instant_of_a_slow_provider_is_read_or_unread_and_hides_no_other() {
    let mut rows: Vec<Value> = (0..30).map(|id| row(id, 50)).collect();
    rows.extend((30..60).map(|id| row(id, 40 - (id as i64 - 30))));
    for rows in in_each_order(&rows) {
        let whole = Slow { in_time: 31, ..slow(&rows) }.list();
        assert_eq!((whole.calls.len(), whole.unreadable.len()), (60, 0));
        let cut = Slow { in_time: 10, ..slow(&rows) }.list();
        assert_eq!(cut.unreadable.len(), 1, "more calls of one instant than come in time");
        let others = cut.calls.iter().filter(|call| call.created_at != Some(at(50))).count();
        assert_eq!(others, 30);
    }
}

#[test]
fn one_record_that_never_comes_is_unread_and_hides_no_other() {
    let rows: Vec<Value> = (0..150).rev().map(|id| row(id, (id * 60_000) as i64)).collect();
    for shows_the_instant in [true, false] {
        for rows in in_each_order(&rows) {
            for heavy in ["c0", "c1", "c75", "c149"] {
                let provider = Slow { heavy: Some(heavy), shows_the_instant, ..slow(&rows) };
                let listing = provider.list();
                assert_eq!(listing.calls.len(), 149, "{heavy}");
                // Where the record's instant is not known, the mark may name both neighbours.
                let marks = if shows_the_instant { 1..=1 } else { 1..=2 };
                assert!(marks.contains(&listing.unreadable.len()), "{heavy} {listing:?}");
            }
        }
    }
}

/// Keeps a listing as the database does.
#[derive(Default)]
struct Kept(std::cell::RefCell<Option<(String, Vec<ProviderCall>)>>);

impl Kept {
    fn kept(&self) -> Option<(String, Vec<ProviderCall>)> {
        self.0.borrow().clone()
    }

    fn list(
        &self,
        read: &mut dyn FnMut(&Window) -> Result<Page, ReadError>,
    ) -> Result<Listing, ReadError> {
        let keep = |calls: &[&ProviderCall], progress: &str| {
            let mut kept = self.0.borrow_mut();
            let (known, all) = kept.get_or_insert_default();
            *known = progress.to_string();
            all.extend(calls.iter().map(|call| (*call).clone()));
        };
        let keeper = ListKeeper {
            kept: &|| self.kept(),
            keep: &keep,
            forget: &|| *self.0.borrow_mut() = None,
        };
        super::every_call(at(0), &keeper, read)
    }
}

/// Lists until the provider fails after so many pages; then the result and the pages read.
fn starts(
    rows: &[Value],
    date: Instant,
    kept: &Kept,
    pages: usize,
) -> (Result<Listing, ReadError>, usize) {
    let read_so_far = Cell::new(0);
    let mut read = |window: &Window| {
        if read_so_far.get() == pages {
            return Err(ReadError::Unavailable("it answered 503".into()));
        }
        read_so_far.set(read_so_far.get() + 1);
        Ok(Page { date: Some(date), ..slow(rows).page(window) })
    };
    let listing = kept.list(&mut read);
    (listing, read_so_far.get())
}

#[test]
fn a_start_that_is_cut_goes_on_where_it_was_and_sees_calls_made_meanwhile() {
    let mut rows: Vec<Value> = (0..2000).rev().map(|id| row(id, id as i64)).collect();
    let kept = Kept::default();
    let date = at(1_000_000);
    for _ in 0..3 {
        assert!(starts(&rows, date, &kept, 5).0.is_err());
    }
    rows.insert(0, row(5000, 1_200_000));
    // It was made before the first start, and the list showed it late.
    rows.insert(1, row(5001, 900_000));
    let (listing, pages) = starts(&rows, at(1_260_000), &kept, 100);
    let listing = listing.unwrap();
    assert_eq!((listing.calls.len(), listing.unreadable.len()), (2002, 0));
    assert!(listing.is_resumed && pages < 12, "{pages} pages");
    assert!(kept.kept().is_none(), "a complete listing is not kept");
    let (fresh, _) = starts(&rows, at(1_260_000), &kept, 100);
    assert!(!fresh.unwrap().is_resumed);
}

#[test]
fn a_kept_listing_of_another_account_or_of_yesterday_begins_again() {
    let rows: Vec<Value> = (0..1000).rev().map(|id| row(id, id as i64)).collect();
    let of = |org: &str, rows: &[Value]| -> Vec<Value> {
        let with = |row: &Value| {
            let mut row = row.clone();
            row["orgId"] = json!(org);
            row
        };
        rows.iter().map(with).collect()
    };
    let kept = Kept::default();
    assert!(starts(&of("org-1", &rows), at(1_000_000), &kept, 5).0.is_err());
    let listing = starts(&of("org-2", &rows), at(1_000_000), &kept, 100).0.unwrap();
    assert!(!listing.is_resumed);
    assert!(listing.calls.iter().all(|call| call.org_id.as_deref() == Some("org-2")));

    assert!(starts(&rows, at(1_000_000), &kept, 5).0.is_err());
    let listing = starts(&rows, at(1_000_000 + 25 * 3_600_000), &kept, 100).0.unwrap();
    assert!(!listing.is_resumed);
    assert_eq!(listing.calls.len(), 1000);
}
