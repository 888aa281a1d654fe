//! Guards between the provider's records and the ledger, each tested alone.

use chrono::Duration;
use ringonce::clock::Reading;
use ringonce::domain::Instant;
use ringonce::domain::start::{Acceptance, Asking};
use ringonce::provider::{Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ReadError};
use ringonce::service::{Service, adopting, tick};
use ringonce::steps::audit::audit;
use ringonce::steps::operate::{self, Word};
use ringonce::steps::{Context, reconcile};
use ringonce::store::journal::Act;
use ringonce::vapi::Vapi;

use crate::arming::{copy_to, restore};
use crate::d5_doubt::{REDIAL, id_of_ada, state_of_ada, world_in_doubt};
use crate::listed::Listed;
use crate::world::{World, at, quick};

const START: Asking = Asking::Start(Acceptance::Nothing);

fn with_unreadable(rows: &[&str], mut listing: Listing) -> Listing {
    listing.unreadable.extend(rows.iter().map(|row| row.to_string()));
    listing
}

fn with_one_unreadable_row(listing: Listing) -> Listing {
    with_unreadable(&["a row"], listing)
}

fn without_a_readable_row(listing: Listing) -> Listing {
    let unreadable = listing.calls.iter().map(|call| call.id.clone()).collect();
    Listing { unreadable, calls: Vec::new(), ..listing }
}

fn read_at(cx: &Context, provider: &dyn Provider, reading: &Reading) {
    let answer = reconcile::ask(cx, provider, reading, START).expect("the records");
    reconcile::load(cx, &answer, reading).expect("loaded");
}

/// A reading this many minutes after noon.
fn after_noon(minutes: i64, boot_id: &str) -> Reading {
    let now = at("2026-02-02T12:00:00Z") + Duration::minutes(minutes);
    Reading { now, monotonic_ms: minutes * 60_000, boot_id: boot_id.to_string() }
}

fn marks(world: &World) -> Vec<String> {
    world.lines("SELECT value FROM meta WHERE key = 'last_reconciled_at'")
}

fn last_reconciled(world: &World) -> String {
    world.one("SELECT value FROM meta WHERE key = 'last_reconciled_at'")
}

/// Ada's call was never accepted; Bob's call a quarter of an hour later was.
fn ada_in_doubt() -> World {
    let world = world_in_doubt(REDIAL, "close-before-accept");
    world.tick_at("2026-02-02T12:15:00Z");
    assert_eq!(world.attempts()[0], "Ada daily 2026-02-02 #1 in_doubt");
    world
}

#[test]
fn a_restored_file_waits_while_a_record_cannot_be_read_and_only_a_person_may_accept_that() {
    let world = World::new();
    world.daily("Ada");
    let backup = copy_to(&world, "backup.db");
    world.tick_at("2026-02-02T12:00:00Z");
    restore(&world, &backup);
    world.set_clock("2026-02-02T12:10:00Z");
    let before = marks(&world);
    // The one call of this file is the unreadable row.
    let service = Service {
        provider: Box::new(Listed(world.vapi(), Box::new(without_a_readable_row))),
        ..world.start()
    };
    let ticked = tick::tick(&service).unwrap();
    assert!(ticked.shut && ticked.refused.unwrap().contains("1 of the provider's records"));
    assert!(adopting::adopt(&service, false, "spec", "restored").is_err());
    assert_eq!((world.posts().len(), marks(&world)), (1, before));
    adopting::adopt(&service, true, "spec", "it was looked up").unwrap();
    drop(service);
    assert!(!world.tick().shut, "it is armed");
    assert_eq!(world.posts().len(), 1, "the row can be read by now");
}

#[test]
fn a_row_that_a_person_has_accepted_keeps_no_later_start_waiting_and_another_one_does() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    let listed = |rows: &'static [&str]| {
        let through = Box::new(move |listing| with_unreadable(rows, listing));
        Service { provider: Box::new(Listed(world.vapi(), through)), ..world.start() }
    };
    let is_shut = |rows| {
        let ticked = tick::tick(&listed(rows)).unwrap();
        ticked.refused.is_some_and(|why| why.contains("1 of the provider's records"))
    };
    world.set_clock("2026-02-02T12:30:00Z");
    assert!(is_shut(&["first"]));
    adopting::adopt(&listed(&["first"]), true, "spec", "it was looked up").unwrap();
    // The file looks for something older, so each list contains the row.
    world.set_clock("2026-02-03T12:00:00Z");
    assert!(!is_shut(&["first"]));
    assert_eq!(world.posts().len(), 2, "Ada is called on the next day");
    assert_eq!(last_reconciled(&world), "2026-02-03T12:00:00.000Z");
    // A row that nobody accepted counts; the accepted one does not, shown or not.
    for (rows, shut) in [(&["second"] as &[&str], true), (&[], false), (&["first"], false)] {
        assert_eq!(is_shut(rows), shut, "{rows:?}");
    }
    adopting::adopt(&listed(&["second"]), true, "spec", "this one too").unwrap();
    assert!(!is_shut(&["first", "second"]));
}

#[test]
fn a_row_that_cannot_be_read_moves_no_mark() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    let before = last_reconciled(&world);
    let (cx, reading) = (world.context(), after_noon(60, ringonce::clock::TEST_BOOT_ID));
    read_at(&cx, &Listed(world.vapi(), Box::new(with_one_unreadable_row)), &reading);
    assert_eq!(last_reconciled(&world), before);
    read_at(&cx, &world.vapi(), &reading);
    assert_eq!(last_reconciled(&world), "2026-02-02T13:00:00.000Z");
}

#[test]
fn two_people_whose_records_tell_no_number_were_not_called_at_one() {
    let without_numbers = |mut listing: Listing| {
        listing.calls.iter_mut().for_each(|call| call.customer_number = None);
        listing
    };
    let world = World::new();
    world.daily("Ada");
    world.daily("Bob");
    let backup = copy_to(&world, "backup.db");
    world.tick_at("2026-02-02T12:00:00Z");
    restore(&world, &backup);
    let service = Service {
        provider: Box::new(Listed(world.vapi(), Box::new(without_numbers))),
        ..world.start()
    };
    adopting::adopt(&service, false, "spec", "restored").unwrap();
    assert_eq!(world.attempts().len(), 2);
    let report = audit(&world.context(), world.now()).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn calls_of_another_installation_in_the_same_account_are_not_loaded() {
    let theirs = World::new();
    theirs.daily("Ada");
    theirs.tick_at("2026-02-02T12:00:00Z");
    let ours = World::new();
    let bob = ours.customer("Bob").phone("+12125550102").in_zone("America/New_York");
    bob.at("07:00").paid().welcomed().add();
    ours.set_clock("2026-02-02T11:00:00Z");
    let reading = after_noon(5, ringonce::clock::TEST_BOOT_ID);
    read_at(&ours.context(), &theirs.vapi(), &reading);
    assert!(ours.attempts().is_empty(), "{:?}", ours.attempts());
}

#[test]
fn a_higher_number_in_the_records_makes_all_of_them_be_read() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    let backup = copy_to(&world, "backup.db");
    for day in ["03", "04"] {
        world.tick_at(&format!("2026-02-{day}T12:00:00Z"));
    }
    restore(&world, &backup);
    // The file was reconciled after its second call, while the list lagged.
    world
        .sql("UPDATE meta SET value = '2026-02-04T11:00:00.000Z' WHERE key = 'last_reconciled_at'");
    world.tick_at("2026-02-04T12:30:00Z");
    assert_eq!(
        world.attempts(),
        [
            "Ada daily 2026-02-02 #1 ended answered",
            "Ada daily 2026-02-03 #1 ended answered",
            "Ada daily 2026-02-04 #1 ended answered"
        ]
    );
    world.assert_no_phone_rang_twice();
}

#[test]
fn readings_of_another_boot_prove_no_absence() {
    let world = ada_in_doubt();
    let (cx, vapi) = (world.context(), world.vapi());
    for (minute, boot) in [(20, "first"), (36, "first"), (52, "second"), (60, "second")] {
        read_at(&cx, &vapi, &after_noon(minute, boot));
        assert_eq!(state_of_ada(&world), "in_doubt", "at {minute} of the {boot} boot");
    }
    read_at(&cx, &vapi, &after_noon(68, "second"));
    assert_eq!(state_of_ada(&world), "not_placed");
}

#[test]
fn a_doubt_that_carries_no_tag_of_ours_is_never_absent() {
    let world = ada_in_doubt();
    let (cx, vapi) = (world.context(), world.vapi());
    world.sql("UPDATE call_attempts SET phone_number_id = NULL WHERE seq = 1");
    for minute in [20, 30, 40, 50, 60] {
        read_at(&cx, &vapi, &after_noon(minute, "first"));
    }
    assert_eq!(state_of_ada(&world), "in_doubt");
}

#[test]
fn no_absence_is_counted_while_the_list_holds_a_call_with_the_tag_of_the_doubt() {
    let went_elsewhere = |mut listing: Listing| {
        listing.calls[0].customer_number = Some("+442079460199".to_string());
        listing
    };
    let world = world_in_doubt(REDIAL, "accept-then-close");
    let provider = || Listed(world.vapi(), Box::new(went_elsewhere));
    for minute in [10, 15, 16, 20, 31, 40, 60, 75] {
        world.set_now(after_noon(minute, "").now);
        let service = Service { provider: Box::new(provider()), ..world.start() };
        tick::tick(&service).unwrap();
    }
    assert_eq!(state_of_ada(&world), "in_doubt");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_call_whose_id_was_given_to_another_attempt_by_mistake_is_not_made_again() {
    let world = World::with(quick(), REDIAL);
    for name in ["Ada", "Bob"] {
        world.daily(name);
    }
    world.customer("Cy").in_zone("America/New_York").at("07:15").paid().welcomed().add();
    world.faults("accept-then-close:first=2");
    let ticked = world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(ticked.in_doubt, 2, "{ticked:?}");
    let calls = world.vapi().list(at("2026-02-02T11:00:00Z")).unwrap().calls;
    let of_bob = calls.iter().find(|call| call.seq == Some(2)).unwrap();
    let (ada, bob) = (id_of_ada(&world), of_bob.id.as_str());
    let words = ["--placed", "--call-id", bob, "--reason", "looked up"];
    let resolved = world.command(&[&["attempts", "resolve", &ada], &words[..]].concat());
    assert_eq!(resolved.code, Some(0), "{resolved:?}");
    for minute in [15, 20, 31, 40, 60, 75] {
        world.set_now(after_noon(minute, "").now);
        world.tick();
    }
    assert_eq!(world.one("SELECT state FROM call_attempts WHERE seq = 2"), "in_doubt");
    let told = world.one("SELECT error_message FROM call_attempts WHERE seq = 2");
    assert!(told.contains("look there") && !told.contains("proven absent"), "{told}");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_number_that_the_provider_shows_without_its_prefix_is_the_same_number() {
    let without_prefix = |mut listing: Listing| {
        for call in &mut listing.calls {
            let number = call.customer_number.take();
            call.customer_number = number.map(|number| number[3..].to_string());
        }
        listing
    };
    let world = world_in_doubt("", "accept-then-close");
    let cx = world.context();
    let provider = Listed(world.vapi(), Box::new(without_prefix));
    read_at(&cx, &provider, &after_noon(5, ringonce::clock::TEST_BOOT_ID));
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
}

/// A provider whose records cannot be read from before an instant.
struct ReadsBackTo(Vapi, Instant);

impl Provider for ReadsBackTo {
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
        if since < self.1 {
            Err(ReadError::Unavailable("it answered 429".into()))
        } else {
            self.0.list(since)
        }
    }
}

fn tick_with(world: &World, provider: ReadsBackTo, time: &str) -> tick::Ticked {
    world.set_clock(time);
    let service = Service { provider: Box::new(provider), ..world.start() };
    tick::tick(&service).unwrap()
}

#[test]
fn an_old_doubt_whose_list_is_too_long_to_be_read_keeps_nobody_else_from_being_called() {
    let world = ada_in_doubt();
    let reads = || ReadsBackTo(world.vapi(), at("2026-02-03T00:00:00Z"));
    world.tick_at("2026-02-03T12:20:00Z");
    let rings = world.rings().len();
    let ticked = tick_with(&world, reads(), "2026-02-04T12:20:00Z");
    assert!(!ticked.shut, "{ticked:?}");
    assert_eq!(world.rings().len(), rings + 2);
    assert_eq!(state_of_ada(&world), "in_doubt");
    // The provider is asked about it again, also on the same day.
    world.tick_at("2026-02-04T13:00:00Z");
    let read_back = "SELECT value FROM meta WHERE key = 'read_back_at'";
    assert_eq!(world.one(read_back), "2026-02-04T13:00:00.000Z");
}

#[test]
fn a_call_that_was_ruled_out_and_may_be_made_again_is_looked_for_before_anybody_is_called() {
    let world = ada_in_doubt();
    let ruled_out =
        ["attempts", "resolve", &id_of_ada(&world), "--not-placed", "--reason", "asked"];
    assert_eq!(world.command(&ruled_out).code, Some(0));
    let reads = ReadsBackTo(world.vapi(), at("2026-02-02T11:50:00Z"));
    // Her time is over, and the calling window has not begun.
    let ticked = tick_with(&world, reads, "2026-02-02T13:00:00Z");
    assert!(ticked.shut, "{ticked:?}");
    assert_eq!(world.posts().len(), 2);
}

#[test]
fn a_person_can_settle_only_a_doubt() {
    let world = ada_in_doubt();
    let cx = world.context();
    for state in ["dialing", "not_placed", "placed"] {
        world.sql(&format!("UPDATE call_attempts SET state = '{state}' WHERE seq = 1"));
        for word in [Word::Placed { call_id: None }, Word::NotPlaced] {
            let reading = world.clock().read().expect("the clock");
            let said = cx.store.write(|tx| {
                let attempt = operate::attempt_of(tx, &id_of_ada(&world))?;
                operate::resolve(
                    &cx,
                    tx,
                    &attempt,
                    &word,
                    Act { who: "test", why: "a word", now: reading.now },
                    &reading,
                )
            });
            let why = said.expect_err("no doubt, no word").to_string();
            assert!(why.contains(state), "{why}");
            assert_eq!(state_of_ada(&world), state);
        }
    }
}

#[test]
fn the_id_of_a_call_that_a_person_said_was_placed_reaches_the_customer() {
    for has_later in [false, true] {
        let world = world_in_doubt("", "accept-then-close");
        let id = id_of_ada(&world);
        let resolve = ["attempts", "resolve", id.as_str(), "--placed", "--reason", "they said so"];
        assert_eq!(world.command(&resolve).code, Some(0));
        let last_id = "SELECT coalesce(last_call_id, '') FROM customers WHERE id = 1";
        assert_eq!(world.one(last_id), "");
        if has_later {
            world.sql(
                "INSERT INTO call_attempts (id, seq, customer_id, customer_key, call_type, occasion,
                   attempt_no, phone_key, state, disposition, vapi_call_id, created_at, updated_at)
                 SELECT 'later', 900, customer_id, customer_key, 'extra', 'extra:1', 1, phone_key,
                   'ended', 'answered', 'call-2', created_at, updated_at
                 FROM call_attempts WHERE customer_id = 1;
                 UPDATE customers SET last_call_id = 'call-2' WHERE id = 1",
            );
        }
        world.tick_at("2026-02-02T12:05:00Z");
        let call = world.one("SELECT vapi_call_id FROM call_attempts WHERE seq = 1");
        let expected = if has_later { "call-2" } else { &call };
        assert_eq!(world.one(last_id), expected);
    }
}

#[test]
fn a_call_with_our_tag_and_another_number_is_called_that_everywhere() {
    let world = world_in_doubt("", "accept-then-close");
    world.sql(
        "UPDATE call_attempts SET phone = '+12125550199', phone_key = 'of another number'
         WHERE customer_id = 1",
    );
    world.tick_at("2026-02-02T12:05:00Z");
    assert_eq!(state_of_ada(&world), "in_doubt");
    let what = format!("it has the tag of attempt {} but another number", id_of_ada(&world));
    let report = audit(&world.context(), world.now()).unwrap();
    assert!(report.duplicates.iter().any(|found| found.what.contains(&what)), "{report:?}");
    assert!(world.command(&["status"]).stdout.contains(&what));
}
