//! Calls that the ledger does not know: by a lost database, by a second one on the account, or by
//! hand. The provider's records count like the ledger until a person decides otherwise.

use chrono::Duration;
use ringonce::domain::Instant;
use ringonce::domain::call::CallType;
use ringonce::provider::{
    Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ProviderCall, ReadError, Speaker,
};
use ringonce::service::{Service, tick};
use ringonce::vapi::Vapi;
use std::sync::Mutex;

use crate::listed::Listed;
use crate::world::{World, at};

pub const ADA: &str = "+12125550101";
pub const BOB: &str = "+12125550102";
const OURS: &str = "2b0f4c1e-6a55-4c0e-9d3a-0c6f5b1d7e11";
const MONDAY: &str = "2026-02-02T12:00:00Z";

/// A call to this number by another database on the account, with our assistant.
pub fn call_from_elsewhere(world: &World, phone: &str) -> String {
    let id = uuid::Uuid::new_v4();
    let order = PlaceOrder {
        tag: format!("w-{id}"),
        phone: phone.to_string(),
        speaker: Speaker::Assistant { id: OURS.to_string(), version: None },
        phone_number_id: "7d5e8a90-33c1-4f5e-8a1b-52b7c1f0aa22".to_string(),
        variables: serde_json::Map::new(),
        installation_id: "another database".to_string(),
        armed_at: world.now(),
        seq: 1,
        attempt_no: 1,
        customer_key: uuid::Uuid::new_v4().to_string(),
        call_type: CallType::Welcome,
        occasion: "welcome".to_string(),
    };
    let placed = world.vapi().place(&order, &|| true).expect("it is accepted");
    placed.call.expect("a call").id
}

/// A listed call without tags, as another program, a person or a caller may have made it.
pub fn listed_call(world: &World, number: Option<&str>) -> ProviderCall {
    ProviderCall {
        id: "call-by-hand".to_string(),
        org_id: Some("0b8c1f6e-2d47-4a3b-9f10-6f2f6f1c9a01".to_string()),
        kind: Some("outboundPhoneCall".to_string()),
        assistant_id: Some(OURS.to_string()),
        created_at: Some(world.now()),
        status: Some("in-progress".to_string()),
        customer_number: number.map(str::to_string),
        ..ProviderCall::default()
    }
}

/// A pass in which the provider's list shows this call too.
pub fn tick_beside(world: &World, call: &ProviderCall) -> tick::Ticked {
    let call = call.clone();
    let through = Box::new(move |mut listing: Listing| {
        listing.calls.push(call.clone());
        listing
    });
    let service = Service { provider: Box::new(Listed(world.vapi(), through)), ..world.start() };
    tick::tick(&service).expect("the database works")
}

/// Ada waits for her welcome call and has a daily call at 07:00.
pub fn add_ada(world: &World) -> i64 {
    let ada = world.customer("Ada").phone(ADA).in_zone("America/New_York").at("07:00").paid();
    ada.signed_up("2026-02-01T15:00:00Z").add()
}

pub fn accept(world: &World) {
    world.sql("INSERT INTO meta VALUES ('new_accepted_at', '2026-02-02T11:30:00.000Z')");
}

/// Removes the file and everything beside it.
fn lose_the_database(world: &World) {
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("ringonce.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
    world.store();
}

#[test]
fn a_lost_database_calls_nobody_again_and_waits_for_a_decision() {
    let world = World::new();
    add_ada(&world);
    world.tick_at("2026-02-02T15:00:00Z");
    assert_eq!(world.attempts(), ["Ada welcome welcome #1 ended answered"]);
    lose_the_database(&world);
    world.set_clock("2026-02-02T16:00:00Z");
    add_ada(&world);
    for _ in 0..2 {
        let run = world.command(&["tick", "--json"]);
        assert_eq!(run.code, Some(3), "{run:?}");
        let why = run.json()["refused"].as_str().unwrap_or_default().to_string();
        for part in ["of this database (1)", "ringonce adopt --reason", "--new --reason"] {
            assert!(why.contains(part), "{why}");
        }
    }
    assert_eq!(world.command(&["run"]).code, Some(3), "waiting cannot help");
    let adopted = world.command(&["adopt", "--reason", "the disk is gone"]);
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    assert!(adopted.stdout.contains("1 call on the account was made elsewhere"), "{adopted:?}");
    assert!(!world.tick().shut);
    assert_eq!(world.items(), ["Ada welcome welcome completed already_called"]);
    world.tick_at("2026-02-03T12:00:00Z");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-03 #1 ended answered"]);
    assert_eq!(world.rings().len(), 2);
}

#[test]
fn an_accepted_new_database_calls_those_whom_nobody_called() {
    let world = World::new();
    call_from_elsewhere(&world, ADA);
    add_ada(&world);
    let bob = world.customer("Bob").phone(BOB).in_zone("America/New_York").paid();
    bob.signed_up("2026-02-01T15:00:00Z").add();
    world.set_clock("2026-02-02T15:00:00Z");
    assert!(world.tick().shut);
    accept(&world);
    assert!(!world.tick().shut);
    assert_eq!(world.attempts(), ["Bob welcome welcome #1 ended answered"]);
}

#[test]
fn a_database_that_has_dialed_is_not_shut_by_another_one_on_the_account() {
    let world = World::new();
    world.customer("Eve").paid().signed_up("2026-02-01T08:00:00Z").add();
    world.tick_at(MONDAY);
    assert_eq!(world.rings().len(), 1);
    add_ada(&world);
    call_from_elsewhere(&world, ADA);
    assert!(!world.tick_at("2026-02-02T15:00:00Z").shut);
    assert_eq!(world.items()[1], "Ada welcome welcome completed already_called");
    assert_eq!(world.rings().len(), 2, "Eve's, and the other database's");
}

#[test]
fn a_call_without_tags_blocks_however_its_number_is_written() {
    for number in [
        Some(ADA),
        Some("12125550101"),
        Some("2125550101"),
        Some("0012125550101"),
        Some("tel:+1-212-555-0101"),
        Some("sip:+12125550101@sip.example.com"),
        Some("sip:ada@sip.example.com"),
        Some("anonymous"),
        None,
    ] {
        let world = World::new();
        accept(&world);
        add_ada(&world);
        world.set_clock("2026-02-02T15:00:00Z");
        tick_beside(&world, &listed_call(&world, number));
        assert_eq!(world.items(), ["Ada welcome welcome completed already_called"], "{number:?}");
        assert!(world.rings().is_empty(), "{number:?}");
    }
}

#[test]
fn calls_by_others_block_nothing_and_keep_their_distance() {
    let by_others = |call: ProviderCall| {
        let kind = |kind: &str| Some(kind.to_string());
        let inbound = ProviderCall { kind: kind("inboundPhoneCall"), ..call.clone() };
        let assistant = Some("another-assistant".to_string());
        let squad_id = Some("another-squad".to_string());
        let squad = ProviderCall { assistant_id: None, squad_id, ..call.clone() };
        [inbound, ProviderCall { assistant_id: assistant, ..call }, squad]
    };
    for number in 0..3 {
        let world = World::new();
        add_ada(&world);
        world.set_clock("2026-02-02T15:00:00Z");
        let call = by_others(listed_call(&world, Some("2125550101")))[number].clone();
        assert!(!tick_beside(&world, &call).shut);
        assert_eq!(world.items(), ["Ada welcome welcome pending min_gap"], "{call:?}");
        world.tick_at("2026-02-02T16:00:01Z");
        assert_eq!(world.rings().len(), 1, "{call:?}");
    }
    // The number of an unknown caller is not known, so no call keeps a distance from it.
    for number in [None, Some("anonymous")] {
        let world = World::new();
        add_ada(&world);
        world.set_clock("2026-02-02T15:00:00Z");
        tick_beside(&world, &by_others(listed_call(&world, number))[0]);
        assert_eq!(world.rings().len(), 1, "{number:?}");
    }
}

#[test]
fn a_call_of_unknown_assistant_or_direction_may_be_ours() {
    for untold in [
        |call: ProviderCall| ProviderCall { assistant_id: None, ..call },
        |call: ProviderCall| ProviderCall { kind: None, ..call },
    ] {
        let world = World::new();
        accept(&world);
        add_ada(&world);
        world.set_clock("2026-02-02T15:00:00Z");
        tick_beside(&world, &untold(listed_call(&world, Some(ADA))));
        assert_eq!(world.items(), ["Ada welcome welcome completed already_called"]);
    }
}

#[test]
fn a_call_without_a_readable_number_stops_welcome_calls_and_every_view_says_so() {
    let world = World::new();
    accept(&world);
    add_ada(&world);
    world.set_clock("2026-02-02T15:00:00Z");
    let reasons = || world.command(&["status", "--json"]).json()["reasons"].to_string();
    tick_beside(&world, &listed_call(&world, None));
    assert_eq!(world.items(), ["Ada welcome welcome completed already_called"]);
    let words = "1 call on the provider's account shows no readable number and may have been \
                 anybody's welcome call, so no welcome call is made";
    assert!(reasons().contains(words), "{}", reasons());
    assert!(world.command(&["check", "--json"]).stdout.contains(words));
    let sign_up = "phone,timezone,payment_status\n+12125550177,America/New_York,Paid\n";
    let run = world.imported(sign_up, &["--dry-run"]);
    assert!(run.stdout.contains(&format!("warning: {words}")), "{run:?}");
    let ignored = world.command(&["history", "ignore", "call-by-hand", "--reason", "a supplier"]);
    assert_eq!(ignored.code, Some(0), "{ignored:?}");
    assert!(!reasons().contains("readable number"), "{}", reasons());
}

#[test]
fn a_call_that_rang_no_phone_does_not_count() {
    let ended = |call: ProviderCall, reason: &str| ProviderCall {
        status: Some("ended".to_string()),
        ended_reason: Some(reason.to_string()),
        ..call
    };
    let never = "call.start.error-subscription-concurrency-limit-reached";
    for of in [
        |call: ProviderCall| ProviderCall { kind: Some("webCall".to_string()), ..call },
        |call: ProviderCall| ProviderCall { customer_number: Some(BOB.to_string()), ..call },
    ] {
        let world = World::new();
        add_ada(&world);
        world.set_clock("2026-02-02T15:00:00Z");
        tick_beside(&world, &of(listed_call(&world, Some(ADA))));
        assert_eq!(world.rings().len(), 1);
    }
    let world = World::new();
    accept(&world);
    add_ada(&world);
    world.set_clock("2026-02-02T15:00:00Z");
    let call = listed_call(&world, Some(ADA));
    tick_beside(&world, &call);
    assert!(world.rings().is_empty());
    // The provider reports only later that it was never dialed.
    tick_beside(&world, &ended(call, never));
    assert_eq!(world.attempts(), ["Ada welcome welcome #1 ended answered"]);
}

#[test]
fn a_daily_call_is_blocked_on_the_local_date_of_the_call_and_on_no_other() {
    let world = World::new();
    accept(&world);
    let ada = world.customer("Ada").phone(ADA).in_zone("America/New_York").at("21:30");
    ada.paid().welcomed().add();
    // It is Monday in New York and Tuesday in UTC.
    world.set_clock("2026-02-03T01:00:00Z");
    tick_beside(&world, &listed_call(&world, Some("2125550101")));
    world.tick_at("2026-02-03T02:30:00Z");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed already_called"]);
    world.tick_at("2026-02-04T02:30:00Z");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-03 #1 ended answered"]);
}

#[test]
fn the_daily_calls_begin_at_once_when_the_welcome_call_was_made_elsewhere() {
    let world = World::new();
    accept(&world);
    call_from_elsewhere(&world, ADA);
    world.set_clock("2026-02-03T11:55:00Z");
    // She was imported just now, so her own welcome call would be due in twenty minutes.
    world.customer("Ada").phone(ADA).in_zone("America/New_York").at("07:00").paid().add();
    world.tick();
    world.tick_at("2026-02-03T12:00:00Z");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-03 #1 ended answered"], "{:?}", world.items());
}

#[test]
fn a_welcome_call_that_waits_ends_when_a_call_made_elsewhere_is_found() {
    let world = World::new();
    accept(&world);
    add_ada(&world);
    // The window is not open yet.
    world.tick_at("2026-02-02T11:00:00Z");
    assert_eq!(world.items(), ["Ada welcome welcome pending outside_window"]);
    let yesterday = at("2026-02-01T17:00:00Z");
    let call = ProviderCall { created_at: Some(yesterday), ..listed_call(&world, Some(ADA)) };
    tick_beside(&world, &call);
    assert_eq!(world.items()[0], "Ada welcome welcome completed already_called");
    world.tick_at(MONDAY);
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
}

#[test]
fn people_who_share_a_number_are_all_blocked_because_nobody_can_say_whose_call_it_was() {
    let world = World::new();
    accept(&world);
    for name in ["Ada", "Bob"] {
        let person = world.customer(name).phone(ADA).in_zone("America/New_York").paid();
        person.shared_phone().signed_up("2026-02-01T15:00:00Z").add();
    }
    call_from_elsewhere(&world, ADA);
    world.tick_at("2026-02-02T15:00:00Z");
    let over = |name: &str| format!("{name} welcome welcome completed already_called");
    assert_eq!(world.items(), [over("Ada"), over("Bob")]);
    let listed = world.command(&["history", "list", "--json"]).json();
    assert_eq!(listed[0]["customers"], serde_json::json!([1, 2]), "{listed}");
}

#[test]
fn a_late_call_after_midnight_is_for_the_day_before_too() {
    for is_tagged in [true, false] {
        let world = World::new();
        accept(&world);
        let ada = world.customer("Ada").phone(ADA).in_zone("America/New_York").at("23:50");
        ada.paid().welcomed().add();
        // It is Tuesday, 00:05 there; Monday's call may still ring, up to half an hour late.
        world.set_clock("2026-02-03T05:05:00Z");
        let mut call = listed_call(&world, Some("2125550101"));
        if is_tagged {
            call.installation_id = Some("another database".to_string());
            call.call_type = Some(CallType::Daily);
            call.occasion = Some("2026-02-02".to_string());
        }
        tick_beside(&world, &call);
        assert_eq!(world.items(), ["Ada daily 2026-02-02 completed already_called"]);
        assert!(world.rings().is_empty());
    }
}

#[test]
fn records_of_another_account_do_not_count_as_having_read_ours() {
    let world = World::new();
    accept(&world);
    world.set_clock("2026-02-02T08:00:00Z");
    call_from_elsewhere(&world, ADA);
    let ada = world.customer("Ada").phone(ADA).in_zone("America/New_York").at("07:00");
    ada.paid().welcomed().next_call(Some(MONDAY)).add();
    world.set_clock("2026-02-02T11:35:00Z");
    let theirs = Some("another account".to_string());
    let call = ProviderCall { org_id: theirs, ..listed_call(&world, Some(BOB)) };
    let through = Box::new(move |listing| Listing { calls: vec![call.clone()], ..listing });
    let provider = Box::new(Listed(world.vapi(), through));
    assert!(!tick::tick(&Service { provider, ..world.start() }).unwrap().shut);
    world.tick_at(MONDAY);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed already_called"]);
}

/// Records from when on each list is asked for.
struct Asked(Vapi, std::sync::Arc<Mutex<Vec<Instant>>>);

impl Provider for Asked {
    fn place(
        &self,
        order: &PlaceOrder,
        may_send: &(dyn Fn() -> bool + Sync),
    ) -> Result<Accepted, PlaceError> {
        self.0.place(order, may_send)
    }

    fn get(&self, call_id: &str) -> Result<Fetched, ReadError> {
        self.0.get(call_id)
    }

    fn list(&self, since: Instant) -> Result<Listing, ReadError> {
        self.1.lock().unwrap().push(since);
        self.0.list(since)
    }
}

#[test]
fn the_first_start_reads_all_that_the_provider_keeps_and_later_ones_the_rest() {
    let world = World::new();
    // Her call shows which account is the file's own.
    world.daily("Eve");
    let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
    for time in ["12:00", "12:30", "13:00"] {
        world.set_clock(&format!("2026-02-02T{time}:00Z"));
        let provider = Box::new(Asked(world.vapi(), asked.clone()));
        tick::tick(&Service { provider, ..world.start() }).unwrap();
    }
    let asked = asked.lock().unwrap();
    let kept = Duration::days(14);
    let whole = ["12:00", "12:30"].map(|time| at(&format!("2026-02-02T{time}:00Z")) - kept);
    assert_eq!(asked[..2], whole);
    assert_eq!(asked[2..], [at("2026-02-02T12:15:00Z")]);
}
