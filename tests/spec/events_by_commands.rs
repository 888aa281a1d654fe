//! The commands about events, and `tick`, as a person runs them.

use std::process::Stdio;
use std::time::Duration;

use ringonce::http::response::{Delivery, Response};

use crate::processes::until;
use crate::receiver::{Receiver, SECRET};
use crate::world::{Run, World, run_of};

fn with_secret(world: &World, arguments: &[&str]) -> Run {
    let mut program = world.program(arguments);
    run_of(program.env("RINGONCE_EVENTS_SECRET", SECRET).output().expect("the program starts"))
}

fn called(receiver: &Receiver) -> World {
    let world = World::with_config(&receiver.config());
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock("2026-02-02T12:00:00Z");
    world
}

#[test]
fn tick_delivers_at_its_end_and_a_dead_receiver_changes_nothing_about_its_result() {
    let receiver = Receiver::new();
    let world = called(&receiver);
    let ticked = with_secret(&world, &["tick", "--json"]);
    assert_eq!((ticked.code, &ticked.json()["succeeded"]), (Some(0), &1.into()), "{ticked:?}");
    assert_eq!(receiver.kinds(), ["call.placed", "call.ended", "occasion.finished"]);
    let dead = Receiver::answering(|_| Response::new(503));
    let world = called(&dead);
    let ticked = with_secret(&world, &["tick", "--json"]);
    assert_eq!((ticked.code, &ticked.json()["succeeded"]), (Some(0), &1.into()), "{ticked:?}");
    assert_eq!(dead.heard().len(), 3, "three failures in a row leave the rest to the next pass");
    assert_eq!(world.count("SELECT count(*) FROM events WHERE delivered_at IS NULL"), 3);
}

#[test]
fn a_tick_whose_receiver_hangs_does_not_keep_the_next_tick_from_dialing() {
    let hang = Delivery::Hang(Duration::from_secs(300));
    let receiver = Receiver::answering(move |_| Response::new(204).with_delivery(hang));
    let world = called(&receiver);
    world.customer("Bob").in_zone("America/New_York").at("07:15").paid().welcomed().add();
    let mut tick = world.program(&["tick"]);
    tick.env("RINGONCE_EVENTS_SECRET", SECRET).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = tick.spawn().expect("tick starts");
    until("the receiver hangs", || !receiver.heard().is_empty());
    world.set_clock("2026-02-02T12:15:00Z");
    let next = world.command(&["tick", "--json"]);
    child.kill().expect("it is ours");
    child.wait().expect("it ended");
    assert_eq!((next.code, &next.json()["succeeded"]), (Some(0), &1.into()), "{next:?}");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_missing_or_bad_secret_stops_no_call_and_check_names_the_command_that_makes_one() {
    let receiver = Receiver::new();
    let world = called(&receiver);
    let ticked = world.command(&["tick"]);
    assert_eq!(ticked.code, Some(0), "{ticked:?}");
    assert!(ticked.stderr.contains("RINGONCE_EVENTS_SECRET is not set"), "{ticked:?}");
    assert_eq!((world.rings().len(), receiver.heard().len()), (1, 0));
    let checked = world.command(&["check"]);
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.stdout.contains("openssl rand -base64 32"), "{checked:?}");
    let mut check = world.program(&["check"]);
    let bad = run_of(check.env("RINGONCE_EVENTS_SECRET", "whsec_canary").output().unwrap());
    assert_eq!(bad.code, Some(2));
    assert!(!format!("{bad:?}").contains("canary"), "{bad:?}");
    let good = with_secret(&world, &["check"]);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.stdout.contains("ringonce events test"), "{good:?}");
    // With the secret, what waited is sent.
    with_secret(&world, &["tick"]);
    assert_eq!(receiver.kinds().len(), 3);
}

#[test]
fn a_test_event_is_signed_and_its_failure_says_what_to_check() {
    let receiver = Receiver::answering(|n| Response::new(if n == 0 { 200 } else { 418 }));
    let world = World::with_config(&receiver.config());
    let sent = with_secret(&world, &["events", "test"]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let heard = receiver.heard().remove(0);
    assert!(heard.is_signed() && heard.kind() == "test", "{heard:?}");
    let refused = with_secret(&world, &["events", "test"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(
        refused.stderr,
        "ringonce: the test event was not delivered: it answered 418; check events.url, and that \
         your application answers 2xx within 10 seconds\n"
    );
    let without = World::new().command(&["events", "test"]);
    assert_eq!(without.code, Some(2));
    assert!(without.stderr.contains("events.url is not set"), "{without:?}");
}

#[test]
fn events_are_listed_and_replayed_by_id_or_by_time_with_their_old_ids() {
    let receiver = Receiver::new();
    let world = called(&receiver);
    assert_eq!(world.command(&["events", "list"]).stdout, "no events\n");
    with_secret(&world, &["tick"]);
    let undelivered = world.command(&["events", "list", "--undelivered"]);
    assert_eq!(undelivered.stdout, "every event is delivered\n");
    let listed = world.command(&["events", "list", "--json"]).json();
    let listed = listed.as_array().expect("a list");
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|event| event["state"] == "delivered" && event["tries"] == 1));
    let id = listed[1]["id"].as_str().expect("an id");
    assert_eq!(listed[1]["type"], "call.ended");
    assert_eq!(world.command(&["events", "replay", id]).code, Some(0));
    let since = world.command(&["events", "replay", "--since", "2026-02-02T12:00:01Z"]);
    assert!(since.stdout.starts_with("0 events are sent again"), "{since:?}");
    with_secret(&world, &["tick"]);
    let heard = receiver.heard();
    assert_eq!((heard.len(), heard[3].id.as_str()), (4, id));
    assert_eq!(heard[3].body, heard.iter().find(|one| one.id == id).unwrap().body);
    world.command(&["events", "replay", "--since", "2026-02-02T12:00:00Z"]);
    with_secret(&world, &["tick"]);
    assert_eq!(receiver.heard().len(), 7);
    let unknown = world.command(&["events", "replay", "evt_none"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert_eq!(
        unknown.stderr,
        "ringonce: there is no event evt_none: see `ringonce events list`\n"
    );
    for wrong in [vec!["events", "replay"], vec!["events", "replay", "--since", "soon"]] {
        assert_eq!(world.command(&wrong).code, Some(2), "{wrong:?}");
    }
    let posts = world.posts().len();
    assert_eq!(posts, 1, "a replay causes no call");
}

#[test]
fn settings_that_cannot_work_are_refused_with_line_and_nearest_word() {
    for (config, says) in [
        ("[events]\nurl = \"http://app.example.com\"\n", "events.url: must be https"),
        ("[events]\ntypes = [\"call.end\"]\n", "did you mean call.ended?"),
        ("[events]\nsecret = \"canary\"\n", "set RINGONCE_EVENTS_SECRET in the environment"),
        ("[events]\nurls = \"x\"\n", "did you mean events.url?"),
    ] {
        let refused = World::new();
        refused.set_config(config);
        let run = refused.command(&["status"]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains(says) && !run.stderr.contains("canary"), "{run:?}");
    }
}
