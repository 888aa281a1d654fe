//! A person's act under a wrong clock would write wrong instants, which bind until they come: a
//! doubt settled in 2027 waits for 2027. So the act is refused, in one line.

use ringonce::store::file::lock::{DialerLock, LockAnswer};

use crate::d5_doubt::{id_of_ada, state_of_ada, world_in_doubt};
use crate::world::{Run, World};

/// Ways in which a clock is wrong, or not known to be right.
const WAYS: [&str; 3] = ["behind", "the provider's date disagrees", "another boot"];

/// Makes the clock wrong in this way, and runs a pass if only a pass can notice it.
fn set_wrong(world: &World, way: &str) {
    match way {
        "behind" => world.set_clock("2026-02-01T12:00:00Z"),
        "another boot" => {
            world.sql(
                "UPDATE meta SET value = replace(value, 'test-clock', 'b-1')
                 WHERE key = 'last_reading'",
            );
            world.set_clock("2027-02-02T12:05:00Z");
        }
        _ => {
            world.set_clock("2027-02-02T12:05:00Z");
            world.faults("date-skew=-31536000");
            assert!(world.tick().shut);
        }
    }
}

fn assert_refused(run: &Run, way: &str) {
    assert_eq!(run.code, Some(3), "{way}: {run:?}");
    assert!(run.stderr.contains("clock"), "{way}: {run:?}");
    assert_eq!(run.stderr.trim_end().lines().count(), 1, "{way}: {run:?}");
    assert_eq!(run.stdout, "", "{way}");
}

#[test]
fn a_doubt_is_not_settled_by_a_wrong_clock_and_is_when_the_clocks_agree_again() {
    for way in WAYS {
        let world = world_in_doubt("", "close-before-accept");
        let id = id_of_ada(&world);
        set_wrong(&world, way);
        for word in ["--not-placed", "--placed"] {
            let run = world.command(&["attempts", "resolve", &id, word, "--reason", "asked her"]);
            assert_refused(&run, way);
        }
        assert_eq!(state_of_ada(&world), "in_doubt", "{way}");
        assert_eq!(world.items()[0], "Ada daily 2026-02-02 failed in_doubt", "{way}");
        // The clock is right again, and a pass has seen it.
        world.faults("");
        assert!(!world.tick_at("2026-02-02T12:05:00Z").shut, "{way}");
        let run = world.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "hers"]);
        assert_eq!(run.code, Some(0), "{way}: {run:?}");
        world.tick();
        assert_eq!(world.attempts()[1], "Ada daily 2026-02-02 #2 ended answered", "{way}");
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn a_file_that_has_seen_no_clock_yet_takes_a_word_by_any() {
    let world = world_in_doubt("", "close-before-accept");
    world.sql("DELETE FROM meta WHERE key = 'last_reading'");
    let id = id_of_ada(&world);
    let run = world.command(&["attempts", "resolve", &id, "--not-placed", "--reason", "hers"]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn beside_a_dialer_a_call_is_not_queued_by_a_wrong_clock_and_no_occasion_ends() {
    for way in WAYS {
        let world = World::new();
        world.daily("Ada");
        world.tick_at("2026-02-02T11:45:00Z");
        let items = world.items();
        set_wrong(&world, way);
        let lock = DialerLock::take(&world.db(), world.now()).unwrap();
        assert!(matches!(lock, LockAnswer::Mine(_)));
        assert_refused(&world.command(&["call", "1"]), way);
        assert_refused(&world.command(&["call", "1", "--extra", "--reason", "asked"]), way);
        assert_eq!(world.items(), items, "{way}");
    }
}

#[test]
fn a_customer_is_neither_added_nor_changed_by_a_clock_that_the_provider_contradicts() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    let customers = || world.lines("SELECT * FROM customers ORDER BY id");
    let before = (customers(), world.items());
    let way = "the provider's date disagrees";
    set_wrong(&world, way);
    let add = ["customers", "add", "--phone", "+442079460123", "--timezone", "Europe/London"];
    assert_refused(&world.command(&add), way);
    assert_refused(&world.command(&["customers", "update", "1", "--call-time", "09:00"]), way);
    std::fs::write(world.path("new.csv"), "phone,timezone\n+442079460123,Europe/London\n").unwrap();
    assert_refused(&world.command(&["customers", "import", "new.csv"]), way);
    let old = "customer_id,call_type,scheduled_for,status\n1,daily,2026-02-03T12:00:00Z,pending\n";
    std::fs::write(world.path("old.csv"), old).unwrap();
    assert_refused(&world.command(&["queue", "import", "old.csv"]), way);
    assert_eq!((customers(), world.items()), before);
    // An act that stops calls is never refused.
    let run = world.command(&["customers", "pause", "1", "--reason", "asked"]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn who_signs_up_by_a_clock_that_is_behind_is_taken_and_called_when_it_is_right() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    set_wrong(&world, "behind");
    std::fs::write(
        world.path("new.csv"),
        "phone,timezone,call_time,payment_status,welcome_call_completed\n\
         +442079460123,Europe/London,13:00,Paid,yes\n+442079460124,Europe/London,13:00,Paid,no\n",
    )
    .unwrap();
    let run = world.command(&["customers", "import", "new.csv"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for time in ["12:00", "13:00", "13:30"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    // One welcome call, and the daily calls of all three.
    assert_eq!(world.rings().len(), 4, "{:?}", world.attempts());
    world.assert_no_phone_rang_twice();
}

#[test]
fn who_signs_up_by_a_clock_that_is_behind_the_provider_s_is_taken_unless_it_jumps_ahead() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock("2026-02-02T11:50:00Z");
    world.faults("date-skew=600");
    assert!(world.tick().shut);
    let add = |phone| ["customers", "add", "--phone", phone, "--timezone", "Europe/London"];
    let run = world.command(&add("+442079460123"));
    assert_eq!(run.code, Some(0), "{run:?}");
    // Less time passed than this clock shows, so the clock is now ahead.
    world.sql(
        "UPDATE meta SET value = json_set(value, '$.monotonic_ms', value ->> '$.monotonic_ms' + 9000000)
         WHERE key = 'last_reading'",
    );
    assert_refused(&world.command(&add("+442079460124")), "jumped");
}
