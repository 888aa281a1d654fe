//! D5: a doubt ends only with evidence. A found call settles it at once. Absence settles it only
//! under every control, and only if the policy allows. Time alone never does; else a person
//! decides.

use crate::world::{World, quick};
use chrono::Duration;

pub const REDIAL: &str = "[reconcile]\nin_doubt = \"redial\"\n";

/// Ada's call at 12:00 fails without a clear reply. Bob is called a quarter of an hour later.
pub fn world_in_doubt(config: &str, fault: &str) -> World {
    let world = World::with(quick(), config);
    world.daily("Ada");
    world.customer("Bob").in_zone("America/New_York").at("07:15").paid().welcomed().add();
    world.faults(&format!("{fault}:first=1"));
    let ticked = world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!((ticked.in_doubt, ticked.shut), (1, false), "{ticked:?}");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 in_doubt"]);
    assert_eq!(world.items()[0], "Ada daily 2026-02-02 failed in_doubt");
    world
}

pub fn state_of_ada(world: &World) -> String {
    world.one("SELECT state FROM call_attempts WHERE seq = 1")
}

pub fn id_of_ada(world: &World) -> String {
    world.one("SELECT id FROM call_attempts WHERE seq = 1")
}

#[test]
fn a_doubt_is_found_by_any_one_of_the_three_tags() {
    for left_out in ["metadata", "name", "external-id"] {
        let world = world_in_doubt("", "accept-then-close");
        world.faults(&format!("strips={left_out}"));
        world.tick_at("2026-02-02T12:05:00Z");
        assert_eq!(world.attempts()[0], "Ada daily 2026-02-02 #1 ended answered", "{left_out}");
        assert_eq!(world.items()[0], "Ada daily 2026-02-02 completed");
        assert_eq!(world.one("SELECT last_call_date FROM customers WHERE id = 1"), "2026-02-02");
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn a_call_to_the_same_number_that_lost_every_tag_proves_nothing_either_way() {
    let world = world_in_doubt(REDIAL, "accept-then-close");
    world.faults("strips=all");
    for time in ["12:05", "12:15", "12:20", "12:40", "13:00", "13:20", "14:00", "15:00"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    assert_eq!(state_of_ada(&world), "in_doubt");
    world.assert_no_phone_rang_twice();
}

#[test]
fn absence_is_proven_by_three_clean_readings_over_a_quarter_of_an_hour_beside_a_later_call() {
    let world = world_in_doubt(REDIAL, "close-before-accept");
    for (minute, expected) in
        [(10, "in_doubt"), (15, "in_doubt"), (16, "in_doubt"), (25, "in_doubt"), (29, "in_doubt")]
    {
        world.tick_at(&format!("2026-02-02T12:{minute}:00Z"));
        assert_eq!(state_of_ada(&world), expected, "at 12:{minute}");
    }
    // Bob's call is known from the reading at 12:16 on. Absence is proven a quarter of an hour
    // later.
    world.tick_at("2026-02-02T12:31:00Z");
    assert_eq!(state_of_ada(&world), "not_placed");
    // It was 07:31 in New York: no longer her time, and not yet the calling window.
    world.tick_at("2026-02-02T13:00:00Z");
    assert_eq!(
        world.attempts(),
        [
            "Ada daily 2026-02-02 #1 not_placed",
            "Bob daily 2026-02-02 #1 ended answered",
            "Ada daily 2026-02-02 #2 ended answered"
        ]
    );
    assert_eq!(world.rings().len(), 2);
    world.assert_no_phone_rang_twice();
}

#[test]
fn proven_absence_waits_for_a_person_by_default_and_says_so_once() {
    let world = world_in_doubt("", "close-before-accept");
    for minute in [15, 20, 25, 31, 35, 45, 55] {
        let ticked = world.tick_at(&format!("2026-02-02T12:{minute}:00Z"));
        assert!(!ticked.shut, "an old doubt is not an error: {ticked:?}");
    }
    assert_eq!(state_of_ada(&world), "in_doubt");
    let told = world.one("SELECT error_message FROM call_attempts WHERE seq = 1");
    assert_eq!(told.matches("proven absent").count(), 1, "{told}");
    assert_eq!(world.posts().len(), 2);
}

#[test]
fn without_a_control_no_reading_counts_however_many_there_are() {
    let broken = [
        ("list-lag=100000", "the later call is not visible"),
        ("list-status=503", "the list cannot be read"),
        ("list-cut", "the page breaks off"),
        ("list-empty", "as from another account"),
        ("drops-rows=1", "no known call is visible"),
    ];
    for (fault, why) in broken {
        let world = world_in_doubt(REDIAL, "close-before-accept");
        world.tick_at("2026-02-02T12:15:00Z");
        world.faults(fault);
        for step in 0..20 {
            world.set_clock("2026-02-02T12:16:00Z");
            world.pass(Duration::minutes(10 * step));
            world.tick();
        }
        assert_eq!(state_of_ada(&world), "in_doubt", "{fault}: {why}");
        assert_eq!(world.rings().len(), 1, "{fault}: only Bob's phone rang");
    }
}

#[test]
fn time_alone_moves_nothing_out_of_doubt() {
    let world = World::with(quick(), REDIAL);
    world.daily("Ada");
    world.faults("close-before-accept:first=1");
    world.tick_at("2026-02-02T12:00:00Z");
    // Nobody else is called, so no later call proves that the list is up to date.
    for hour in 13..24 {
        world.tick_at(&format!("2026-02-02T{hour}:00:00Z"));
    }
    assert_eq!(state_of_ada(&world), "in_doubt");
}

#[test]
fn evidence_of_absence_does_not_survive_a_listing_that_fails_a_control() {
    let world = world_in_doubt(REDIAL, "close-before-accept");
    for minute in [15, 16, 20] {
        world.tick_at(&format!("2026-02-02T12:{minute}:00Z"));
    }
    let reads = "SELECT clean_reads FROM call_attempts WHERE seq = 1";
    assert_eq!(world.count(reads), 2);
    world.faults("drops-rows=1");
    world.tick_at("2026-02-02T12:25:00Z");
    assert_eq!(world.count(reads), 0, "no known call was visible");
    world.faults("");
    world.tick_at("2026-02-02T12:31:00Z");
    assert_eq!((state_of_ada(&world).as_str(), world.count(reads)), ("in_doubt", 1));
}

#[test]
fn another_account_opens_nothing_and_makes_the_readings_before_it_worthless() {
    let world = world_in_doubt(REDIAL, "close-before-accept");
    for minute in [15, 16, 20] {
        world.tick_at(&format!("2026-02-02T12:{minute}:00Z"));
    }
    world.faults("other-org");
    let ticked = world.tick_at("2026-02-02T12:31:00Z");
    assert!(ticked.shut && ticked.refused.unwrap().contains("another account"));
    assert_eq!(world.count("SELECT clean_reads FROM call_attempts WHERE seq = 1"), 0);
    assert_eq!(state_of_ada(&world), "in_doubt");
    // A person may accept the new account, but its records prove nothing about calls of the old
    // one.
    let run = world.command(&["adopt", "--reason", "the company moved"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for minute in [35, 45, 55] {
        let ticked = world.tick_at(&format!("2026-02-02T12:{minute}:00Z"));
        assert!(!ticked.shut, "{ticked:?}");
    }
    assert_eq!(state_of_ada(&world), "in_doubt");
}

#[test]
fn a_doubt_older_than_the_providers_records_stays_with_a_person() {
    let config = "[reconcile]\nin_doubt = \"redial\"\nsettle_minutes = 20000\n";
    let world = world_in_doubt(config, "close-before-accept");
    for day in 0..20 {
        world.set_clock("2026-02-02T12:15:00Z");
        world.pass(Duration::days(day));
        world.tick();
    }
    assert_eq!(state_of_ada(&world), "in_doubt");
}

#[test]
fn a_call_that_appears_late_is_found_and_never_made_again() {
    let world = world_in_doubt(REDIAL, "delayed-accept=900");
    for minute in [5, 10, 15, 16, 25, 31, 45] {
        world.tick_at(&format!("2026-02-02T12:{minute:02}:00Z"));
    }
    assert_eq!(world.attempts()[0], "Ada daily 2026-02-02 #1 ended answered");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_doubt_blocks_its_own_occasion_and_no_other() {
    let world = world_in_doubt("", "accept-then-close");
    world.faults("list-lag=10000000");
    world.sql("UPDATE customers SET phone = '+12125550177' WHERE id = 1");
    world.tick_at("2026-02-02T13:00:00Z");
    assert_eq!(
        world.rings().iter().filter(|r| r.occasion.as_deref() == Some("2026-02-02")).count(),
        2
    );
    world.tick_at("2026-02-03T12:00:00Z");
    assert!(world.items().contains(&"Ada daily 2026-02-03 completed".to_string()));
    assert_eq!(state_of_ada(&world), "in_doubt", "a changed number settles nothing");
}

#[test]
fn the_record_of_another_number_settles_nothing_and_holds_the_customer() {
    let world = world_in_doubt("", "accept-then-close");
    world.sql("UPDATE call_attempts SET phone = '+12125550177', phone_key = 'other'");
    world.tick_at("2026-02-02T12:05:00Z");
    assert_eq!(state_of_ada(&world), "in_doubt");
    assert_eq!(world.count("SELECT count(*) FROM second_calls"), 1);
    assert_eq!(world.count("SELECT count(*) FROM meta WHERE key LIKE 'pause:customer:%'"), 1);
}

#[test]
fn a_person_says_that_it_was_placed_and_the_provider_reports_the_end() {
    let world = world_in_doubt("", "accept-then-close");
    let id = id_of_ada(&world);
    for no_id in ["ada@example.com", "+12125550101", "2125550101", "she picked up", "it-rang"] {
        let words = ["resolve", &id, "--placed", "--call-id", no_id, "--reason", "dashboard"];
        let run = world.command(&[&["attempts"], &words[..]].concat());
        assert!(run.code == Some(2) && run.stderr.contains("is not the id of a call"), "{run:?}");
        assert!(!run.stderr.contains(no_id) && state_of_ada(&world) == "in_doubt", "{run:?}");
    }
    let run = world.command(&["attempts", "resolve", &id, "--placed", "--reason", "dashboard"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(world.items()[0], "Ada daily 2026-02-02 completed");
    assert_eq!(world.one("SELECT last_call_date FROM customers WHERE id = 1"), "2026-02-02");
    assert_eq!(world.one("SELECT why FROM journal WHERE what = 'resolve'"), "dashboard");
    world.tick_at("2026-02-02T12:05:00Z");
    assert_eq!(world.attempts()[0], "Ada daily 2026-02-02 #1 ended answered");
    let again = world.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "x"]);
    assert_eq!(again.code, Some(3), "{again:?}");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_placed_call_that_is_never_found_gives_its_line_back_after_a_day_and_is_not_made_again() {
    let world = world_in_doubt("", "close-before-accept");
    let id = id_of_ada(&world);
    world.command(&["attempts", "resolve", &id[..13], "--placed", "--reason", "Ada says so"]);
    world.tick_at("2026-02-02T20:00:00Z");
    assert_eq!(state_of_ada(&world), "placed");
    world.tick_at("2026-02-03T12:00:01Z");
    assert_eq!(world.attempts()[0], "Ada daily 2026-02-02 #1 ended unknown");
    assert_eq!(world.rings().len(), 1, "only the next day's call: {:?}", world.rings());
}

#[test]
fn a_person_says_that_it_was_not_placed_and_the_call_is_made_while_its_time_lasts() {
    let world = world_in_doubt("", "close-before-accept");
    world.set_clock("2026-02-02T12:05:00Z");
    let id = id_of_ada(&world);
    let run = world.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "asked her"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(world.items()[0], "Ada daily 2026-02-02 retrying");
    world.tick();
    assert_eq!(world.attempts()[1], "Ada daily 2026-02-02 #2 ended answered");

    let late = world_in_doubt("", "close-before-accept");
    late.set_clock("2026-02-02T18:00:00Z");
    let id = id_of_ada(&late);
    let run = late.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "asked her"]);
    assert!(run.stdout.contains("time is over"), "{run:?}");
    assert_eq!(late.items()[0], "Ada daily 2026-02-02 failed too_late");
    late.tick();
    assert_eq!(late.rings().len(), 0);
}

#[test]
fn late_truth_attaches_after_a_person_was_wrong_and_no_second_call_is_made() {
    let world = world_in_doubt("", "accept-then-close");
    world.set_clock("2026-02-02T12:05:00Z");
    let id = id_of_ada(&world);
    world.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "a guess"]);
    // The next start reads the records before it dials.
    world.tick();
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_record_that_appears_after_the_redial_counts_as_a_second_call_and_holds_the_customer() {
    let world = world_in_doubt("", "accept-then-close");
    world.faults("list-lag=1800");
    world.set_clock("2026-02-02T12:05:00Z");
    let id = id_of_ada(&world);
    world.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "a guess"]);
    world.tick();
    world.faults("");
    world.tick_at("2026-02-02T12:40:00Z");
    assert_eq!(world.count("SELECT count(*) FROM second_calls"), 1);
    world.tick_at("2026-02-03T12:00:00Z");
    assert!(world.items().contains(&"Ada daily 2026-02-03 pending paused".to_string()));
    let run = world.command(&["resume", "--customer", "1", "--reason", "she was asked"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    world.tick();
    assert!(world.items().contains(&"Ada daily 2026-02-03 completed".to_string()));
}

#[test]
fn a_record_is_still_looked_for_when_its_doubt_was_ruled_out_and_the_list_was_read_since() {
    // The list lags: before it shows the call, it is read to its end several times.
    let world = world_in_doubt("", "accept-then-close");
    world.faults("list-lag=3000");
    for time in ["12:20", "12:45"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    let id = id_of_ada(&world);
    world.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "a guess"]);
    world.faults("");
    world.tick_at("2026-02-02T13:10:00Z");
    assert_eq!(world.attempts()[0], "Ada daily 2026-02-02 #1 ended answered");
    world.assert_no_phone_rang_twice();

    let redialed = world_in_doubt("", "accept-then-close");
    redialed.faults("list-lag=3000");
    redialed.set_clock("2026-02-02T12:05:00Z");
    let id = id_of_ada(&redialed);
    redialed.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "a guess"]);
    for time in ["12:06", "12:30"] {
        redialed.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    redialed.faults("");
    redialed.tick_at("2026-02-02T13:10:00Z");
    assert_eq!(redialed.count("SELECT count(*) FROM second_calls"), 1);
}

#[test]
fn two_provider_calls_for_one_request_are_seen_and_the_customer_is_held() {
    let world = World::with_faults("twice:first=1");
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.tick_at("2026-02-02T12:05:00Z");
    assert_eq!(world.count("SELECT count(*) FROM second_calls"), 1);
    world.tick_at("2026-02-03T12:00:00Z");
    assert_eq!(world.items()[1], "Ada daily 2026-02-03 pending paused");
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn a_call_that_is_not_visible_yet_or_goes_backwards_is_followed_on() {
    for fault in ["get-404=3600", "status-backwards", "get-status=503"] {
        let world = World::with_faults(fault);
        world.daily("Ada");
        world.tick_at("2026-02-02T12:00:00Z");
        assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 placed"], "{fault}");
        world.faults("");
        world.tick_at("2026-02-02T12:10:00Z");
        assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"], "{fault}");
        world.faults(fault);
        world.tick_at("2026-02-02T12:20:00Z");
        assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"], "{fault}");
    }
}

#[test]
fn hours_without_a_readable_list_keep_everything_and_settle_it_afterwards() {
    let world = world_in_doubt("", "accept-then-close");
    world.faults("down=503");
    for hour in 13..16 {
        let ticked = world.tick_at(&format!("2026-02-02T{hour}:00:00Z"));
        assert!(ticked.shut && ticked.refused.unwrap().contains("dialing waits"));
    }
    assert_eq!(world.items()[1], "Bob daily 2026-02-02 pending held");
    world.faults("");
    world.tick_at("2026-02-02T16:10:00Z");
    assert_eq!(world.attempts()[0], "Ada daily 2026-02-02 #1 ended answered");
    assert_eq!(world.items()[1], "Bob daily 2026-02-02 completed");
    world.assert_no_phone_rang_twice();
}

#[test]
fn the_commands_show_doubts_with_masked_phones_and_refuse_unclear_words() {
    let world = world_in_doubt("", "close-before-accept");
    let list = world.command(&["attempts", "list", "--state", "in_doubt", "--json"]);
    let rows = list.json();
    assert_eq!((list.code, rows.as_array().unwrap().len()), (Some(0), 1), "{list:?}");
    assert!(rows[0]["phone"].as_str().unwrap().contains('•'), "{rows}");
    let reconcile = world.command(&["reconcile"]);
    assert_eq!(reconcile.code, Some(0), "{reconcile:?}");
    assert!(reconcile.stdout.contains("still in doubt 1"), "{reconcile:?}");
    let id = id_of_ada(&world);
    for (words, code) in [
        (vec!["attempts", "resolve", "nothing", "--placed", "--reason", "x"], 2),
        (vec!["attempts", "resolve", &id, "--placed", "--reason", " "], 2),
        (vec!["attempts", "resolve", &id, "--reason", "x"], 2),
        (vec!["attempts", "resolve", &id, "--placed", "--not-placed", "--reason", "x"], 2),
        (vec!["attempts", "list", "--state", "lost"], 2),
    ] {
        let run = world.command(&words);
        assert_eq!(run.code, Some(code), "{words:?}: {run:?}");
    }
    assert_eq!(state_of_ada(&world), "in_doubt");
}
