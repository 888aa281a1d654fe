//! Retries: who is called again, when and how often; and that a retry clears no flag.

use chrono::Duration;
use ringonce::demo::fake_vapi::calls::Timing;
use ringonce::demo::fake_vapi::core::Setup;
use ringonce::provider::{PlaceError, Refusal};
use ringonce::service::{follower, new_id};
use ringonce::steps::dial::{self, Pass, record};

use crate::world::{World, at, nobody_home, quick};

const NOON: &str = "2026-02-02T12:00:00Z";

/// One daily call in London at this local time.
fn daily_at(world: &World, time: &str) -> i64 {
    world.customer("Ada").at(time).paid().welcomed().add()
}

/// A daily call at noon that nobody answered.
fn unanswered() -> World {
    let world = World::with(nobody_home(), "");
    daily_at(&world, "12:00");
    world.tick_at(NOON);
    world
}

/// The waiting items, as `Ada daily 2026-02-02T14:00:00.000Z`.
fn waiting(world: &World) -> Vec<String> {
    world.lines(
        "SELECT name || ' ' || call_type || ' ' || not_before FROM call_queue
         JOIN customers ON customers.id = customer_id
         WHERE status = 'retrying' ORDER BY call_queue.id",
    )
}

#[test]
fn by_default_only_no_answer_and_busy_of_a_daily_call_and_calls_never_dialed_are_tried_again() {
    let daily_later = ["Ada daily 2026-02-02T14:00:00.000Z"].as_slice();
    let both_soon = ["Ada daily 2026-02-02T12:15:00.000Z", "Bea welcome 2026-02-02T12:15:00.000Z"];
    for (fault, expected) in [
        ("ended-reason=customer-ended-call", [].as_slice()),
        ("ended-reason=voicemail", &[]),
        ("ended-reason=customer-did-not-answer", daily_later),
        ("ended-reason=customer-busy", daily_later),
        ("ended-reason=twilio-reported-customer-misdialed", &[]),
        ("ended-reason=pipeline-error-openai-llm-failed", &[]),
        ("ended-reason=a-reason-of-tomorrow", &[]),
        ("never-dialed=call.start.error-get-transport", &both_soon),
    ] {
        let world = World::with_faults(fault);
        daily_at(&world, "12:00");
        world.customer("Bea").signed_up("2026-02-02T11:40:00Z").paid().add();
        world.tick_at(NOON);
        assert_eq!(world.attempts().len(), 2, "{fault}");
        let mut found = waiting(&world);
        found.sort();
        assert_eq!(found, expected, "{fault}");
    }
}

#[test]
fn a_retry_clears_no_flag_and_is_attempt_two_of_the_same_occasion() {
    let world = unanswered();
    let flags = "SELECT last_call_date || ' ' || next_call_scheduled_at FROM customers";
    let set = world.one(flags);
    assert_eq!(set, "2026-02-02 2026-02-03T12:00:00.000Z");
    for (time, rings) in [("13:59:59", 1), ("14:00:00", 2), ("16:00:00", 2), ("19:59:00", 2)] {
        world.tick_at(&format!("2026-02-02T{time}Z"));
        assert_eq!((world.rings().len(), world.one(flags)), (rings, set.clone()), "{time}");
    }
    assert_eq!(
        world.attempts(),
        ["Ada daily 2026-02-02 #1 ended no_answer", "Ada daily 2026-02-02 #2 ended no_answer"]
    );
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
    world.assert_no_phone_rang_twice();
}

#[test]
fn the_next_allowed_instant_of_a_retry_is_shown_on_the_customers_clock() {
    let world = World::with(nobody_home(), "");
    let ada = world.daily("Ada").to_string();
    world.tick_at("2026-02-02T12:00:00Z");
    world.set_clock("2026-02-02T12:30:00Z");
    let explained = world.command(&["explain", &ada]).stdout;
    let words = "  waits until Mon 2026-02-02 09:00 (in 1 h); attempt 2 of it, after no_answer, not \
                 after Mon 2026-02-02 20:00";
    assert!(explained.lines().any(|line| line == words), "{explained}");
    let json = world.command(&["explain", &ada, "--json"]).json();
    let told = &json["occasions"][0];
    assert_eq!(
        (&told["attempts_made"], &told["last_attempt"], &told["until"], &told["until_local"]),
        (
            &1.into(),
            &"no_answer".into(),
            &"2026-02-02T14:00:00.000Z".into(),
            &"Mon 2026-02-02 09:00".into()
        )
    );
    let listed = world.command(&["queue", "list"]).stdout;
    assert!(listed.contains("Mon 2026-02-02 09:00  in 1 h  retrying    1"), "{listed}");
    let json = world.command(&["queue", "list", "--json"]).json();
    assert_eq!(json[0]["due_at"], "2026-02-02T14:00:00.000Z", "{json}");
}

#[test]
fn a_retry_starts_before_its_local_limit_and_on_its_date_or_never() {
    let late = "[retry.no_answer]\ndaily = { until = \"23:59\" }";
    for (config, chosen, expected) in [
        ("", "17:59", Some("2026-02-02T19:59:00.000Z")),
        ("", "18:00", None),
        ("", "20:30", None),
        (late, "18:30", Some("2026-02-02T20:30:00.000Z")),
        (late, "22:00", None),
        (late, "23:00", None),
    ] {
        let world = World::with(nobody_home(), config);
        daily_at(&world, chosen);
        world.tick_at(&format!("2026-02-02T{chosen}:00Z"));
        assert_eq!(world.rings().len(), 1, "{chosen}");
        let expected: Vec<String> =
            expected.iter().map(|instant| format!("Ada daily {instant}")).collect();
        // A retry that the window never allows may wait, but it must not ring.
        if chosen != "22:00" {
            assert_eq!(waiting(&world), expected, "{config} {chosen}");
        }
        world.tick_at("2026-02-03T00:01:00Z");
        assert_eq!(world.rings().len(), 1, "{chosen}");
        assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"], "{chosen}");
    }
}

#[test]
fn the_wait_counts_from_the_end_of_the_call_however_late_we_hear_of_it() {
    let seconds = Duration::seconds;
    let timing = Timing { queue: seconds(0), ring: seconds(40), talk: seconds(1) };
    let world = World::with(Setup { timing, ..nobody_home() }, "");
    daily_at(&world, "12:00");
    world.tick_at(NOON);
    world.tick_at("2026-02-02T12:15:00Z");
    assert_eq!(waiting(&world), ["Ada daily 2026-02-02T14:00:40.000Z"]);
}

#[test]
fn a_retry_whose_time_has_gone_ends_as_called_and_not_as_skipped() {
    let world = unanswered();
    world.set_clock("2026-02-02T20:00:01Z");
    let (cx, now) = (world.context(), world.now());
    let mut pass = Pass::default();
    let claimed = dial::claim(&cx, &mut pass, 8, now, &mut || new_id(now)).expect("a claim");
    assert_eq!((claimed.intents.len(), claimed.skipped, claimed.completed), (0, 0, 1));
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
}

#[test]
fn a_retry_of_a_number_that_said_stop_ends_as_called_and_does_not_ring() {
    let world = unanswered();
    world.sql(
        "INSERT INTO do_not_call SELECT phone, 'asked', 'test', '2026-02-02T13:00:00.000Z'
         FROM customers",
    );
    world.tick_at("2026-02-02T14:00:00Z");
    assert_eq!(world.rings().len(), 1);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
}

#[test]
fn a_welcome_retry_never_crosses_the_local_date() {
    for (after, second) in [(30, Some("19:30")), (120, None), (600, None)] {
        let config =
            format!("[retry.no_answer]\nwelcome = {{ after_minutes = {after}, times = 1 }}");
        let world = World::with(nobody_home(), &config);
        world.customer("Bea").signed_up("2026-02-02T18:40:00Z").paid().add();
        world.tick_at("2026-02-02T19:00:00Z");
        assert_eq!(world.rings().len(), 1, "{after}");
        // Retries are at least an hour apart, and the window ends at 21:00.
        for time in ["02T19:30", "02T20:00", "02T21:00", "03T05:00", "03T08:00", "03T12:00"] {
            world.tick_at(&format!("2026-02-{time}:00Z"));
        }
        let expected = 1 + usize::from(second.is_some());
        assert_eq!(world.rings().len(), expected, "{after}");
        assert_eq!(world.items(), ["Bea welcome welcome completed"], "{after}");
    }
}

#[test]
fn a_welcome_call_that_was_never_dialed_rings_the_next_morning() {
    let world = World::with_faults("never-dialed=call.start.error-get-transport:first=1");
    world.customer("Bea").signed_up("2026-02-02T20:30:00Z").paid().add();
    world.tick_at("2026-02-02T20:50:00Z");
    for (time, rings) in [("02T21:05", 0), ("03T07:59", 0), ("03T08:00", 1), ("03T12:00", 1)] {
        let ticked = world.tick_at(&format!("2026-02-{time}:00Z"));
        assert_eq!(world.rings().len(), rings, "{time} {ticked:?}");
    }
    assert_eq!(
        world.attempts(),
        ["Bea welcome welcome #1 ended never_dialed", "Bea welcome welcome #2 ended answered"]
    );
}

#[test]
fn a_call_never_dialed_is_tried_again_a_few_times_and_only_while_its_occasion_lasts() {
    let world = World::with_faults("never-dialed=call.start.error-get-transport");
    daily_at(&world, "12:00");
    for time in ["12:00", "12:15", "12:30", "12:45", "13:00", "14:00", "16:01"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    assert_eq!(world.attempts().len(), 3);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);

    // The chosen time is outside the window, so only its half hour remains.
    let world = World::with_faults("never-dialed=call.start.error-get-transport:first=1");
    daily_at(&world, "22:00");
    world.tick_at("2026-02-02T22:00:00Z");
    for time in ["02T22:15", "02T22:31", "03T08:00"] {
        world.tick_at(&format!("2026-02-{time}:00Z"));
    }
    assert_eq!((world.attempts().len(), world.rings().len()), (1, 0));
}

#[test]
fn rules_for_each_type_and_disposition_are_counted_apart() {
    let config = "[retry.voicemail]\ndaily = { after_minutes = 90, times = 2 }\n\
                  [retry.busy]\nwelcome = { after_minutes = 60, times = 1 }\n";
    let setup = Setup { mix: "voicemail=1".parse().expect("a mix"), ..quick() };
    let world = World::with(setup, config);
    daily_at(&world, "12:00");
    world.customer("Bea").signed_up("2026-02-02T11:40:00Z").paid().add();
    for time in ["12:00", "13:30", "15:00", "16:30", "18:00"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    let of = |name: &str| world.attempts().iter().filter(|line| line.starts_with(name)).count();
    assert_eq!((of("Ada"), of("Bea")), (3, 1));
    assert_eq!(at(NOON) + Duration::minutes(180), world.rings().last().expect("three").at);
}

#[test]
fn a_second_call_that_fails_is_not_a_failed_occasion_because_the_first_rang() {
    for (fault, item, doubts) in [
        // The call backs off twice. Then its attempts are used up, or the retry's time is over.
        ("close-before-accept", "Ada daily 2026-02-02 failed in_doubt", 1),
        ("status=422", "Ada daily 2026-02-02 completed", 0),
        ("status=400", "Ada daily 2026-02-02 completed", 0),
    ] {
        let world = World::with(nobody_home(), "[breaker]\nsample = 100");
        daily_at(&world, "12:00");
        world.tick_at(NOON);
        world.faults(fault);
        for time in ["14:00", "14:15", "14:30", "14:45", "15:15", "16:00", "20:01"] {
            world.tick_at(&format!("2026-02-02T{time}:00Z"));
        }
        assert_eq!(world.items(), [item], "{fault}: {:?}", world.attempts());
        let told = world.one("SELECT consecutive_failures || call_status FROM customers");
        assert_eq!(told, "0completed", "{fault}");
        let in_doubt = world.count("SELECT count(*) FROM call_attempts WHERE state = 'in_doubt'");
        assert_eq!((world.rings().len(), in_doubt), (1, doubts), "{fault}");
        let Some(id) = world.lines("SELECT id FROM call_attempts WHERE state = 'in_doubt'").pop()
        else {
            continue;
        };
        let say = ["attempts", "resolve", &id, "--not-placed", "--reason", "it did not ring"];
        assert_eq!(world.command(&say).code, Some(0), "{fault}");
        assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"], "{fault}");
    }
}

#[test]
fn a_second_call_that_is_under_way_does_not_count_as_the_first() {
    let world = unanswered();
    world.set_clock("2026-02-02T14:00:00Z");
    let (service, now) = (world.start(), world.now());
    let mut new_id = || dial::new_id(now);
    let claimed = dial::claim(&service.cx, &mut Pass::default(), 8, now, &mut new_id);
    let intent = claimed.expect("a claim").intents.pop().expect("the second call");
    // The follower does this each second while the POST waits for its reply.
    assert_eq!(follower::repair_unproven(&service, now).expect("looked"), 0);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 processing"]);
    let detail = "connection refused".to_string();
    let reply = Err(PlaceError::NotPlaced { refusal: Refusal::NeverSent, detail });
    record::record(&service.cx, &intent, &reply, now).expect("the answer is kept");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 retrying"]);
}
