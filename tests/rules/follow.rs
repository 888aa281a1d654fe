//! Following a placed call to its end: poll intervals, what is written, and what is not an end.

use chrono::Duration;
use ringonce::demo::fake_vapi::calls::Timing;
use ringonce::demo::fake_vapi::core::Setup;
use ringonce::demo::fake_vapi::journal::Event;
use ringonce::domain::call::AttemptState;
use ringonce::domain::parse_instant;
use ringonce::provider::{Provider, ProviderCall};
use ringonce::service::follower::{self, Which};
use ringonce::steps::follow::{self, Followed, unended};
use ringonce::store::attempts::{self, Attempt};

use crate::world::{World, at, quick};

/// A world where every call lasts two hours.
fn long_talks(config: &str) -> World {
    let seconds = Duration::seconds;
    let timing = Timing { queue: seconds(2), ring: seconds(5), talk: seconds(7200) };
    let world = World::with(Setup { timing, ..quick() }, config);
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world
}

fn placed(world: &World) -> Attempt {
    let found = world.store().read(|conn| attempts::in_state(conn, AttemptState::Placed));
    found.expect("readable").remove(0)
}

#[test]
fn a_call_is_asked_about_less_often_as_it_ages() {
    let world = long_talks("");
    let (cx, vapi) = (world.context(), world.vapi());
    for (age, distance) in [(0, 10), (60, 10), (300, 30), (1800, 180), (3600, 300), (7000, 300)] {
        world.set_now(at("2026-02-02T12:00:00Z") + Duration::seconds(age));
        let followed = follow::poll(&cx, &vapi, &placed(&world), world.now()).expect("a poll");
        assert_eq!(followed, Followed::GoesOn);
        let next = placed(&world).next_poll_at.expect("it goes on");
        assert_eq!((next - world.now()).num_seconds(), distance, "at {age} s");
    }
}

#[test]
fn only_calls_whose_time_has_come_are_asked_about_and_never_more_than_the_minute_allows() {
    let timing = Timing { talk: Duration::hours(2), ..Timing::default() };
    let config = "[follow]\nrequests_per_minute = 3\n[dialing]\nmax_active_calls = 9\n";
    let world = World::with(Setup { timing, ..quick() }, config);
    for name in ["Ada", "Bea", "Cy", "Dan", "Eve"] {
        world.daily(name);
    }
    world.tick_at("2026-02-02T12:00:00Z");
    let asked = || world.fake.journal().iter().filter(|e| e.event == Event::Get).count();
    assert_eq!((world.rings().len(), asked()), (5, 3));

    let service = world.start();
    let mut asking = follower::pace_of_asking(&service);
    let now = world.now();
    follower::follow(&service, &mut asking, Which::Due, now).expect("follow");
    assert_eq!(asked(), 3, "none is due within ten seconds");
    world.pass(Duration::seconds(11));
    for _ in 0..3 {
        follower::follow(&service, &mut asking, Which::Due, world.now()).expect("follow");
    }
    assert_eq!(asked(), 6, "three in this process's minute");
}

#[test]
fn what_is_not_an_end_leaves_the_call_where_it_was_and_its_line_in_use() {
    for (fault, why) in [
        ("get-404=3600", "404 after the 201"),
        ("status-backwards", "a status that goes back"),
        ("get-status=503", "a provider that cannot be asked"),
    ] {
        let world = World::with_faults("");
        world.faults(fault);
        world.daily("Ada");
        world.tick_at("2026-02-02T12:00:00Z");
        world.pass(Duration::seconds(30));
        let (cx, vapi) = (world.context(), world.vapi());
        let followed = follow::poll(&cx, &vapi, &placed(&world), world.now()).expect("a poll");
        assert!(!matches!(followed, Followed::Ended(_)), "{why}");
        assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 placed"], "{why}");
        let in_use = |conn: &_| unended::lines_in_use(&world.config(), conn, world.now());
        let lines = world.store().read(in_use).expect("readable");
        assert_eq!(lines, 1, "{why}");
        world.faults("");
        world.tick_at("2026-02-02T12:30:00Z");
        assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"], "{why}");
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn a_status_that_goes_backwards_is_ignored_before_the_end_and_after_it() {
    let world = long_talks("");
    let (cx, attempt) = (world.context(), placed(&world));
    let told = |status: &str| ProviderCall {
        id: attempt.vapi_call_id.clone().expect("an id"),
        status: Some(status.to_string()),
        ..ProviderCall::default()
    };
    for (status, shown) in [
        ("ringing", "ringing"),
        ("in-progress", "in-progress"),
        ("queued", "in-progress"),
        ("a-new-word", "in-progress"),
        ("forwarding", "forwarding"),
        ("ringing", "forwarding"),
        ("ended", "ended"),
        ("in-progress", "ended"),
    ] {
        follow::apply_record(&cx, &attempt, &told(status), world.now()).expect("applied");
        assert_eq!(world.one("SELECT provider_status FROM call_attempts"), shown, "{status}");
    }
    assert_eq!(world.one("SELECT state FROM call_attempts"), "ended");
}

#[test]
fn the_end_of_a_call_lands_in_the_ledger_and_words_only_where_that_is_configured() {
    for (config, words) in [("", "-"), ("[follow]\nstore_transcripts = true", "hello|a talk")] {
        let world = long_talks(config);
        let (cx, attempt) = (world.context(), placed(&world));
        let call = ProviderCall {
            id: attempt.vapi_call_id.clone().expect("an id"),
            status: Some("ended".to_string()),
            ended_reason: Some("exceeded-max-duration".to_string()),
            started_at: parse_instant("2026-02-02T12:00:07Z"),
            ended_at: parse_instant("2026-02-02T12:01:08.500Z"),
            cost: Some(0.125),
            transcript: Some("hello".to_string()),
            summary: Some("a talk".to_string()),
            ..ProviderCall::default()
        };
        for _ in 0..2 {
            follow::apply_record(&cx, &attempt, &call, at("2026-02-02T12:02:00Z"))
                .expect("applied");
        }
        assert_eq!(
            world.one(
                "SELECT started_at || ' ' || ended_at || ' ' || duration_seconds || ' ' || cost
                   || ' ' || ended_reason || ' ' || disposition FROM call_attempts"
            ),
            "2026-02-02T12:00:07.000Z 2026-02-02T12:01:08.500Z 61.5 0.125 \
             exceeded-max-duration answered"
        );
        let kept = "SELECT coalesce(max(transcript || '|' || summary), '-') FROM call_results";
        assert_eq!(world.one(kept), words);
    }
}

#[test]
fn a_call_that_never_ends_holds_its_line_and_blocks_nobody_else() {
    let world = long_talks("[dialing]\nmax_active_calls = 2");
    world.customer("Bea").at("13:30").paid().welcomed().add();
    world.tick_at("2026-02-02T13:30:00Z");
    assert_eq!(world.attempts().len(), 2);
    assert!(
        matches!(world.vapi().list(at("2026-02-02T00:00:00Z")), Ok(all) if all.calls.len() == 2)
    );
    assert_eq!(placed(&world).created_at, at("2026-02-02T12:00:00Z"), "the oldest is still there");
}
