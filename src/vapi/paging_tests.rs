//! Tests listings of every order, length and limit.

use std::cell::Cell;

use chrono::{TimeZone, Utc};
use serde_json::json;

use super::*;

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
        Ok(Page { rows: rows.to_vec(), date: None })
    };
    let listing = every_call(at(0), &mut read).unwrap();
    assert_eq!((listing.calls.len(), listing.unreadable.len()), (USUAL_LIMIT, 1));
}

#[test]
fn a_full_first_page_is_accepted_from_a_provider_that_ignores_filters() {
    for order in [1, -1] {
        let rows: Vec<Value> =
            (0..USUAL_LIMIT).map(|id| row(id, 200 + order * id as i64)).collect();
        let mut read = |_: &Window| Ok(Page { rows: rows.clone(), date: None });
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
    let mut read = |window: &Window| Ok(Page { rows: rows[..window.limit].to_vec(), date: None });
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
