//! A start whose list is cut. The next start goes on with the pages that were read, and nothing is
//! dialed before the list is complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::Duration;
use ringonce::domain::instant_text;
use ringonce::provider::Listing;
use ringonce::service::{Service, tick};
use serde_json::{Value, json};

use crate::d5_doubt::{REDIAL, state_of_ada, world_in_doubt};
use crate::listed::Listed;
use crate::vapi_client::client;
use crate::vapi_client::little_vapi::{Order, answered_rows};
use crate::vapi_client::server::{Server, answer, own_form};
use crate::world::{START, World, at};

const DATE: &str = "Date: Mon, 02 Feb 2026 11:30:00 GMT\r\n";

/// Calls of the last days that other programs made on the account.
fn calls_of_others(count: usize) -> Vec<Value> {
    let row = |number: usize| {
        let created = at(START) - Duration::minutes(10 + 20 * i64::try_from(number).unwrap());
        json!({"id": format!("other-{number}"), "orgId": "org-1", "type": "outboundPhoneCall",
            "assistantId": "another", "createdAt": instant_text(created), "status": "ended",
            "customer": {"number": "+442079460999"}})
    };
    (0..count).map(row).collect()
}

#[test]
fn a_start_that_is_cut_goes_on_where_it_was_and_dials_only_with_the_whole_list() {
    let world = World::new();
    world.daily("Ada");
    let rows = calls_of_others(700);
    let (asked, is_down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let server = {
        let (asked, is_down) = (Arc::clone(&asked), Arc::clone(&is_down));
        Server::replying(move |request| {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            if is_down.load(Ordering::SeqCst) && number >= 4 {
                return own_form(503, "down");
            }
            answer(200, DATE, &answered_rows(request, &rows, Order::NewestFirst).to_string())
        })
    };
    let start = || {
        let service = Service { provider: Box::new(client(&server.url())), ..world.start() };
        tick::tick(&service).expect("the database works")
    };
    let kept = || world.count("SELECT count(*) FROM kept_list");
    assert!(start().shut);
    let read = kept();
    assert!(read >= 300, "{read}");
    // A later start that reads nothing loses nothing.
    assert!(start().shut);
    assert_eq!(kept(), read);
    is_down.store(false, Ordering::SeqCst);
    let before = asked.load(Ordering::SeqCst);
    let ticked = start();
    assert!(!ticked.shut, "{ticked:?}");
    let pages = asked.load(Ordering::SeqCst) - before;
    assert!(pages <= 7, "{pages} pages for 700 calls, of which {read} were known");
    assert_eq!(kept(), 0, "the list is complete");
    let progress = "SELECT count(*) FROM meta WHERE key = 'kept_list'";
    assert_eq!(world.count(progress), 0);
}

#[test]
fn a_list_that_goes_on_with_an_earlier_start_proves_no_absence() {
    let world = world_in_doubt(REDIAL, "close-before-accept");
    for minute in [10, 15, 16, 25, 29, 31, 45, 50, 55] {
        world.set_clock(&format!("2026-02-02T12:{minute}:00Z"));
        let resumed = |listing| Listing { is_resumed: true, ..listing };
        let provider = Box::new(Listed(world.vapi(), Box::new(resumed)));
        tick::tick(&Service { provider, ..world.start() }).expect("the database works");
        assert_eq!(state_of_ada(&world), "in_doubt", "at 12:{minute}");
    }
    world.assert_no_phone_rang_twice();
}
