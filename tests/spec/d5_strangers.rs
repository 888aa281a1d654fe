//! D5, continued: a listed call without tags may be the one in doubt, however the provider writes
//! its number. Only a parsed number that differs excludes it.

use ringonce::provider::{Listing, ProviderCall};
use ringonce::service::{Service, tick};

use crate::d5_doubt::{REDIAL, state_of_ada};
use crate::listed::Listed;
use crate::world::{World, quick};

const ADA: &str = "+12125550101";

/// Spellings that may be Ada's number.
const MAY_BE_HERS: [Option<&str>; 20] = [
    Some("12125550101"),
    Some("2125550101"),
    Some("0012125550101"),
    Some("01112125550101"),
    Some("+1 (212) 555-0101"),
    Some("212.555.0101"),
    Some("5550101"),
    Some("tel:+12125550101"),
    Some("tel:+1-212-555-0101;ext=5"),
    Some("sip:+12125550101@sip.example.com"),
    Some("SIP:2125550101@10.0.0.1;transport=udp"),
    Some("<sip:+12125550101@sip.example.com>"),
    Some("sip:ada@sip.example.com"),
    Some("+1 212 555 0101 x5"),
    Some("+1•••••••0101"),
    Some("+012125550101"),
    Some("anonymous"),
    Some("101"),
    Some(""),
    None,
];

/// Numbers that belong to somebody else.
const IS_NOT_HERS: [&str; 5] = [
    "+12125550177",
    "+442079460101",
    "2125550177",
    "tel:+1-415-555-0101",
    "sip:+12125550177@sip.example.com",
];

/// The list with Bob's call as it is, and Ada's as a call without tags to this number.
fn respelled(listing: Listing, number: Option<&str>) -> Listing {
    let stranger = |call: ProviderCall| match call.customer_number.as_deref() == Some(ADA) {
        true => ProviderCall {
            id: call.id,
            org_id: call.org_id,
            created_at: call.created_at,
            status: call.status,
            customer_number: number.map(str::to_string),
            ..ProviderCall::default()
        },
        false => call,
    };
    Listing { calls: listing.calls.into_iter().map(stranger).collect(), ..listing }
}

/// Ada's call was placed and its reply lost. Bob's call succeeded a quarter of an hour later,
/// before any list showed hers. Four complete lists over half an hour show her call with this
/// number and no tag.
fn asked_four_times(config: &str, number: Option<&'static str>) -> World {
    let world = World::with(quick(), config);
    world
        .customer("Ada")
        .phone(ADA)
        .in_zone("America/New_York")
        .at("07:00")
        .paid()
        .welcomed()
        .add();
    world.customer("Bob").in_zone("America/New_York").at("07:15").paid().welcomed().add();
    world.faults("accept-then-close:first=1");
    assert_eq!(world.tick_at("2026-02-02T12:00:00Z").in_doubt, 1);
    for minute in [15, 16, 25, 35, 50] {
        world.set_clock(&format!("2026-02-02T12:{minute}:00Z"));
        let through = Box::new(move |mut listing: Listing| {
            let is_hers = |call: &ProviderCall| call.customer_number.as_deref() == Some(ADA);
            listing.calls.retain(|call| 15 < minute || !is_hers(call));
            respelled(listing, number)
        });
        let service =
            Service { provider: Box::new(Listed(world.vapi(), through)), ..world.start() };
        assert!(!tick::tick(&service).unwrap().shut);
    }
    world
}

#[test]
fn a_call_that_may_have_rung_the_number_disproves_absence_however_it_is_written() {
    for number in MAY_BE_HERS {
        let world = asked_four_times(REDIAL, number);
        assert_eq!(state_of_ada(&world), "in_doubt", "{number:?}");
        assert_eq!(world.rings().len(), 2, "{number:?}");
    }
}

#[test]
fn a_call_that_may_be_in_the_list_is_not_reported_absent() {
    for number in MAY_BE_HERS {
        let world = asked_four_times("", number);
        let told = world.one("SELECT error_message FROM call_attempts WHERE seq = 1");
        assert!(!told.contains("absent"), "{number:?}: {told}");
    }
}

#[test]
fn a_call_to_another_number_keeps_no_doubt_open_however_it_is_written() {
    for number in IS_NOT_HERS {
        let world = asked_four_times("", Some(number));
        let told = world.one("SELECT error_message FROM call_attempts WHERE seq = 1");
        assert!(told.contains("proven absent"), "{number}: {told}");
    }
}
