//! The facts that every `Provider` must satisfy; the steps rely on no others.

use std::collections::HashSet;

use ringonce::domain::call::CallType;
use ringonce::provider::{PlaceError, Provider, ReadError, Refusal};

use super::little_vapi::{Order, little_vapi};
use super::{client, order, place};

/// Checks all facts of a provider that accepts every call and shows it at once. It may hold earlier
/// calls.
pub fn provider_conformance(provider: &dyn Provider) {
    let first = an_accepted_call_is_found_by_its_id_with_all_its_tags(provider);
    an_order_that_grew_stale_leaves_no_trace(provider, &first);
    every_later_call_is_listed_once_oldest_first(provider, &first);
    the_same_order_twice_is_two_calls(provider, &first);
    assert_eq!(provider.get("no-such-call").unwrap_err(), ReadError::NotFound);
}

fn an_accepted_call_is_found_by_its_id_with_all_its_tags(provider: &dyn Provider) -> String {
    let order = order(CallType::Welcome, 1);
    let id = place(provider, &order).unwrap().call.expect("an accepted call has an id").id;
    let call = provider.get(&id).unwrap().call;
    assert_eq!(call.id, id);
    for carrier in [&call.attempt_tag, &call.name, &call.external_id] {
        assert_eq!(carrier.as_ref(), Some(&order.tag));
    }
    assert_eq!(call.installation_id.as_ref(), Some(&order.installation_id));
    assert_eq!(call.armed_at, Some(order.armed_at));
    assert_eq!((call.seq, call.attempt_no), (Some(order.seq), Some(order.attempt_no)));
    assert_eq!(call.customer_key.as_ref(), Some(&order.customer_key));
    assert_eq!(call.call_type, Some(CallType::Welcome));
    assert_eq!(call.occasion.as_ref(), Some(&order.occasion));
    assert_eq!(call.customer_number.as_ref(), Some(&order.phone));
    assert!(call.created_at.is_some() && call.org_id.is_some() && call.status.is_some());
    id
}

fn an_order_that_grew_stale_leaves_no_trace(provider: &dyn Provider, first: &str) {
    let order = order(CallType::Extra, 2);
    let error = provider.place(&order, &|| false).unwrap_err();
    assert!(matches!(error, PlaceError::NotPlaced { refusal: Refusal::Stale, .. }), "{error:?}");
    let since = provider.get(first).unwrap().call.created_at.unwrap();
    assert!(!provider.list(since).unwrap().calls.iter().any(|call| call.carries(&order.tag)));
}

fn every_later_call_is_listed_once_oldest_first(provider: &dyn Provider, first: &str) {
    let since = provider.get(first).unwrap().call.created_at.unwrap();
    let orders: Vec<_> = (10..14).map(|number| order(CallType::Daily, number)).collect();
    orders.iter().for_each(|order| drop(place(provider, order).unwrap()));
    let listing = provider.list(since).unwrap();
    assert!(listing.unreadable.is_empty());
    assert!(listing.calls.is_sorted_by_key(|call| call.created_at));
    assert!(listing.calls.iter().all(|call| call.created_at >= Some(since)));
    let ids: HashSet<&str> = listing.calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids.len(), listing.calls.len());
    assert!(ids.contains(first), "the lower bound belongs to the window");
    for order in &orders {
        assert_eq!(listing.calls.iter().filter(|call| call.carries(&order.tag)).count(), 1);
    }
    let newest = listing.calls.last().unwrap().created_at.unwrap();
    let after = provider.list(newest + chrono::Duration::milliseconds(1)).unwrap();
    assert!(after.calls.is_empty());
}

/// The provider has no idempotency key, which is why nobody may post twice.
fn the_same_order_twice_is_two_calls(provider: &dyn Provider, first: &str) {
    let order = order(CallType::Daily, 20);
    let ids: HashSet<String> =
        (0..2).map(|_| place(provider, &order).unwrap().call.unwrap().id).collect();
    assert_eq!(ids.len(), 2);
    let since = provider.get(first).unwrap().call.created_at.unwrap();
    let listing = provider.list(since).unwrap();
    assert_eq!(listing.calls.iter().filter(|call| call.carries(&order.tag)).count(), 2);
}

#[test]
fn vapi_over_http_shows_every_fact() {
    for order in [Order::NewestFirst, Order::OldestFirst, Order::Mixed, Order::LimitIgnored] {
        let server = little_vapi(Vec::new(), order);
        provider_conformance(&client(&server.url()));
    }
}
