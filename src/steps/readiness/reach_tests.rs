//! When failures in a row mean that the provider does not answer, and what ends that.

use super::*;
use crate::domain::parse_instant;
use crate::store::Store;

fn at(minute: i64) -> Instant {
    parse_instant("2026-11-23T12:00:00Z").unwrap() + Duration::minutes(minute)
}

/// Plays requests, and returns whether the provider counts as unreachable at the end.
fn after(requests: &[(i64, Request, bool)], now: i64) -> bool {
    let store = Store::in_memory(at(0)).unwrap();
    store
        .write(|tx| {
            for (minute, request, answers) in requests {
                match answers {
                    true => answered(tx, *request)?,
                    false => failed(tx, *request, "refused", at(*minute))?,
                }
            }
            Ok(unreachable(tx, at(now))?.is_some())
        })
        .unwrap()
}

#[test]
fn two_failures_in_a_row_make_the_provider_unreachable_and_an_answer_ends_it() {
    let (post, list) = (Request::Post, Request::List);
    for (requests, now, expected, case) in [
        (vec![], 0, false, "nothing was asked"),
        (vec![(0, post, false)], 0, false, "one failure"),
        (vec![(0, post, false), (0, post, false)], 0, false, "two at once have one cause"),
        (vec![(0, post, false), (15, post, false)], 15, true, "both tries failed"),
        (vec![(0, post, false), (0, list, false)], 0, true, "the list fails too"),
        (vec![(0, list, false), (1, list, false)], 900, true, "an outage has no end by time"),
        (vec![(0, post, false), (0, list, false), (9, list, true)], 9, false, "it is back"),
        (vec![(0, post, false), (0, list, true)], 0, false, "a short outage"),
        (
            vec![(0, post, false), (0, list, true), (15, post, false), (15, list, true)],
            16,
            true,
            "only the POSTs fail",
        ),
        (
            vec![(0, post, false), (0, list, true), (15, post, false), (15, list, true)],
            80,
            false,
            "the list has been answered for an hour since",
        ),
        (vec![(0, post, false), (15, post, false), (30, post, true)], 30, false, "a call was made"),
    ] {
        assert_eq!(after(&requests, now), expected, "{case}");
    }
}
