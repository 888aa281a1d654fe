//! A number is protected by the flags and dates of every row with it. Flags and dates from an
//! import count too, even after their row has left the number.

use crate::world::{Run, World};

const HEADER: &str = "external_id,name,email,phone,timezone,call_time,payment_status,\
                      welcome_call_completed,last_call_date,shared_phone\n";
/// Two rows of the same person, as two exports write her; the second lacks her welcome call.
const KNOWN: &str = "00417,Mia,,+442079460141,Europe/London,13:00,Paid,yes,,\n";
const AGAIN: &str = "417,Mia,,+442079460141,Europe/London,14:00,Paid,no,,\n";
const AFTER_ALL: &str = "2026-02-02T19:00:00Z";

/// The name of a way, and how it imports both rows.
type Way<'a> = (&'a str, &'a dyn Fn(&World));

fn import(world: &World, name: &str, rows: &str) -> Run {
    std::fs::write(world.path(name), format!("{HEADER}{rows}")).expect("a file");
    let run = world.command(&["customers", "import", name]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run
}

fn add(world: &World, fields: &[&str]) -> Run {
    let mut arguments = vec!["customers", "add", "--timezone", "Europe/London"];
    arguments.extend(["--payment-status", "Paid"]);
    arguments.extend(fields);
    let run = world.command(&arguments);
    assert_eq!(run.code, Some(0), "{run:?}");
    run
}

/// Passes over a whole afternoon, so that every permitted call is made.
fn live_through_the_day(world: &World) {
    for time in ["11:45", "12:00", "13:00", "13:10", "14:00", "15:10", "18:00"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
}

fn welcomes(world: &World) -> usize {
    world.rings().iter().filter(|ring| ring.call_type.as_deref() == Some("welcome")).count()
}

#[test]
fn a_welcome_call_that_only_another_row_knows_of_is_not_made_again() {
    let by_email = "00417,Mia,,+442079460141,Europe/London,,Paid,yes,,\n\
                    ,Mia,mia@example.com,+44 20 7946 0141,Europe/London,,Paid,no,,\n";
    let by_case = "abc,Mia,,+442079460141,Europe/London,,Paid,yes,,\n\
                   ABC,Mia,,+44 (0)20 7946 0141,Europe/London,,Paid,no,,\n";
    let ways: [Way<'_>; 5] = [
        ("a second file", &|world| {
            import(world, "one.csv", KNOWN);
            import(world, "two.csv", AGAIN);
        }),
        ("one file, the flag last", &|world| {
            drop(import(world, "one.csv", &format!("{AGAIN}{KNOWN}")))
        }),
        ("a key of another kind", &|world| drop(import(world, "one.csv", by_email))),
        ("a key in other letters", &|world| drop(import(world, "one.csv", by_case))),
        ("customers add", &|world| {
            import(world, "one.csv", KNOWN);
            add(world, &["--external-id", "417", "--phone", "+442079460141"]);
        }),
    ];
    for (way, bring_in) in ways {
        let world = World::new();
        bring_in(&world);
        assert_eq!(world.count("SELECT count(*) FROM customers"), 2, "{way}");
        live_through_the_day(&world);
        assert_eq!(welcomes(&world), 0, "{way}: {:?}", world.items());
        let skipped = "SELECT count(*) FROM call_queue
            WHERE call_type = 'welcome' AND status = 'skipped' AND reason = 'same_phone'";
        assert_eq!(world.count(skipped), 1, "{way}: {:?}", world.items());
    }
}

#[test]
fn a_daily_call_that_only_another_row_knows_of_is_not_made_again_on_its_date() {
    for (date, calls) in [("2026-02-01", 1), ("2026-02-02", 0), ("2026-02-03", 0)] {
        let world = World::new();
        world.customer("Ada").phone("+442079460150").welcomed().last_called(date).add();
        world.customer("Bob").phone("+442079460150").welcomed().paid().at("14:00").add();
        live_through_the_day(&world);
        assert_eq!(world.rings().len(), calls, "{date}: {:?}", world.items());
        let end = if calls == 1 { "completed" } else { "skipped same_phone" };
        assert_eq!(world.items(), [format!("Bob daily 2026-02-02 {end}")], "{date}");
    }
}

#[test]
fn the_next_date_is_free_again() {
    let world = World::new();
    world.customer("Ada").phone("+442079460150").welcomed().last_called("2026-02-02").add();
    world.customer("Bob").phone("+442079460150").welcomed().paid().at("14:00").add();
    live_through_the_day(&world);
    world.tick_at("2026-02-03T14:00:00Z");
    let today = "Bob daily 2026-02-02 skipped same_phone";
    assert_eq!(world.items(), [today, "Bob daily 2026-02-03 completed"]);
}

#[test]
fn rows_that_all_say_that_the_number_is_shared_do_not_block_each_other() {
    for (first, second, calls) in [(true, true, 1), (true, false, 0), (false, true, 0)] {
        let world = World::new();
        let person = |name: &str, shares: bool| {
            let person = world.customer(name).phone("+442079460150").paid();
            if shares { person.shared_phone() } else { person }
        };
        person("Ada", first).welcomed().add();
        person("Bob", second).add();
        live_through_the_day(&world);
        assert_eq!(world.rings().len(), calls, "{first} {second}: {:?}", world.items());
    }
}

#[test]
fn a_number_remembers_what_a_row_knew_that_has_left_it() {
    let world = World::new();
    import(&world, "one.csv", KNOWN);
    import(&world, "two.csv", "9,Zed,,+442079460149,Europe/London,,Paid,no,,\n");
    let moved = world.command(&["customers", "update", "00417", "--phone", "+442079460142"]);
    assert_eq!(moved.code, Some(0), "{moved:?}");
    // Another person gets the number that Mia had, and one more the number that she has now.
    add(&world, &["--external-id", "old", "--phone", "+442079460141"]);
    let here = world.command(&["customers", "update", "9", "--phone", "+442079460142"]);
    assert!(here.stdout.contains("same phone as customer 1"), "{here:?}");
    live_through_the_day(&world);
    assert_eq!(welcomes(&world), 0, "{:?}", world.items());
    let skipped = "SELECT count(*) FROM call_queue WHERE reason = 'same_phone'";
    assert_eq!(world.count(skipped), 2, "{:?}", world.items());
}

#[test]
fn a_number_that_was_left_keeps_its_date_for_all_who_do_not_share_it() {
    for (shares, calls) in [(false, 0), (true, 1)] {
        let world = World::new();
        let person = |name: &str| {
            let person = world.customer(name).phone("+442079460150").welcomed().paid();
            if shares { person.shared_phone() } else { person }
        };
        let ada = person("Ada").last_called("2026-02-02").add().to_string();
        let moved = world.command(&["customers", "update", &ada, "--phone", "+442079460151"]);
        assert_eq!(moved.code, Some(0), "{moved:?}");
        person("Bob").at("14:00").add();
        live_through_the_day(&world);
        assert_eq!(world.rings().len(), calls, "{shares}: {:?}", world.items());
    }
}

#[test]
fn an_erased_row_protects_its_number_still() {
    let world = World::new();
    let ada = world.customer("Ada").phone("+442079460150").welcomed();
    let ada = ada.last_called("2026-02-02").add().to_string();
    let erased = world.command(&["customers", "erase", &ada, "--reason", "asked"]);
    assert_eq!(erased.code, Some(0), "{erased:?}");
    world.customer("Bob").phone("+442079460150").paid().at("14:00").add();
    live_through_the_day(&world);
    assert_eq!(world.rings().len(), 0, "{:?}", world.items());
}

/// The ledger knows the call, so the number that the row left does not block its own retry.
#[test]
fn a_retry_is_made_at_the_number_that_was_left_and_taken_back() {
    let world = World::with(crate::world::nobody_home(), "");
    let ada = world.customer("Ada").welcomed().paid().at("12:00").add().to_string();
    let phone = world.one("SELECT phone FROM customers");
    world.tick_at("2026-02-02T12:00:00Z");
    world.tick_at("2026-02-02T12:10:00Z");
    for number in ["+442079460151", phone.as_str()] {
        let moved = world.command(&["customers", "update", &ada, "--phone", number]);
        assert_eq!(moved.code, Some(0), "{moved:?}");
    }
    world.tick_at("2026-02-02T14:15:00Z");
    assert_eq!(world.rings().len(), 2, "{:?}", world.items());
}

#[test]
fn explain_plan_and_simulate_know_what_the_other_row_knows() {
    let world = World::new();
    import(&world, "one.csv", KNOWN);
    world.command(&["customers", "update", "00417", "--phone", "+442079460142"]);
    add(&world, &["--external-id", "left", "--phone", "+442079460141"]);
    add(&world, &["--external-id", "here", "--phone", "+442079460142"]);
    for who in ["left", "here"] {
        let explained = world.command(&["explain", who, "--at", AFTER_ALL]);
        assert!(explained.stdout.contains("same_phone"), "{explained:?}");
    }
    let plan = world.command(&["plan", "--json"]).json();
    let against: Vec<&str> = plan
        .as_array()
        .expect("a list")
        .iter()
        .filter(|call| call["call_type"] == "welcome")
        .filter_map(|call| call["against"].as_str())
        .collect();
    assert_eq!(against, ["same_phone", "same_phone"], "{plan}");
    let days = ["simulate", "--from", "2026-02-02", "--days", "1", "--json"];
    let simulated = world.command(&days).json();
    let skipped = simulated["skipped"].to_string();
    assert!(skipped.contains("same_phone") && skipped.contains('2'), "{simulated}");
}

#[test]
fn import_add_and_update_name_the_customers_with_the_same_phone() {
    let world = World::new();
    import(&world, "one.csv", KNOWN);
    let again = import(&world, "two.csv", AGAIN);
    assert!(again.stdout.contains("same phone as customer 1"), "{again:?}");
    let dry = world.command(&["customers", "import", "two.csv", "--dry-run", "--json"]).json();
    assert_eq!(dry["same_phone"], 1, "{dry}");
    assert_eq!(dry["same_phone_samples"][0]["customers"], serde_json::json!([1]), "{dry}");
    let one_file = "a,A,,+442079460160,Europe/London,,Paid,no,,\n\
                    b,B,,+442079460160,Europe/London,,Paid,no,,\n";
    let both = import(&world, "three.csv", one_file);
    assert!(both.stdout.contains("same phone as line 2"), "{both:?}");
    let added = add(&world, &["--external-id", "x", "--phone", "+442079460141"]);
    assert!(added.stdout.contains("same phone as customer 1, 2"), "{added:?}");
    let alone = add(&world, &["--external-id", "y", "--phone", "+442079460177"]);
    assert!(!alone.stdout.contains("same phone"), "{alone:?}");
    // A pair that is marked as sharing the number is not reported.
    let pair = "p,P,,+442079460161,Europe/London,,Paid,no,,yes\n\
                q,Q,,+442079460161,Europe/London,,Paid,no,,yes\n";
    let shared = import(&world, "four.csv", pair);
    assert!(!shared.stdout.contains("same phone"), "{shared:?}");
}

#[test]
fn a_call_that_an_old_queue_completed_protects_the_other_row() {
    let world = World::new();
    import(&world, "one.csv", &KNOWN.replace("yes", "no"));
    import(&world, "two.csv", AGAIN);
    let queue = "id,customer_id,call_type,scheduled_for,status,attempts,max_attempts,\
        error_message,vapi_call_id,created_at,processed_at\n\
        1,00417,welcome,2026-01-05 12:00:00+00,completed,1,3,,,2026-01-05 11:00:00+00,\n\
        2,417,welcome,2026-02-02 11:50:00+00,pending,0,3,,,2026-02-02 11:00:00+00,\n";
    std::fs::write(world.path("queue.csv"), queue).expect("a file");
    let run = world.command(&["queue", "import", "queue.csv"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    live_through_the_day(&world);
    assert_eq!(welcomes(&world), 0, "{:?}", world.items());
}
