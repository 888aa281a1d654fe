//! A cut-over from an old scheduler: its files and its calls at the provider are taken over, and
//! nobody is called twice.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::made_elsewhere::{ADA, BOB, add_ada, call_from_elsewhere};
use crate::world::{KEY, Run, World};

const OURS: &str = "2b0f4c1e-6a55-4c0e-9d3a-0c6f5b1d7e11";

/// A call that a program without our tags makes, as the old scheduler does. Returns its id.
pub fn old_call(world: &World, phone: &str, assistant: &str) -> String {
    let order = json!({
        "assistantId": assistant,
        "phoneNumberId": "7d5e8a90-33c1-4f5e-8a1b-52b7c1f0aa22",
        "customer": { "number": phone },
    });
    let url = format!("{}/call", world.fake.base_url());
    let mut answer = ureq::post(url)
        .header("Authorization", format!("Bearer {KEY}"))
        .header("Content-Type", "application/json")
        .send(order.to_string())
        .expect("it is accepted");
    let text = answer.body_mut().read_to_string().expect("text");
    let call: Value = serde_json::from_str(&text).expect("a call");
    call["id"].as_str().expect("an id").to_string()
}

fn done(world: &World, arguments: &[&str]) -> Run {
    let run = world.command(arguments);
    assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
    run
}

fn phone(person: usize) -> String {
    format!("+1212555{:04}", 100 + person)
}

/// The old scheduler's morning: it called the first 30 of 60 people at 07:00 in New York. The first
/// ten of them were welcomed, the others had their daily call. The flags of the last two are lost.
/// The people 28 to 31 have four queue rows each.
fn old_scheduler(world: &World) -> (String, String) {
    let mut customers = "id,name,phone,timezone,call_time_hour,call_time_minute,payment_status,\
                         phone_validated,welcome_call_completed,last_call_date,created_at\n"
        .to_string();
    let mut queue =
        "id,customer_id,call_type,scheduled_for,status,attempts,max_attempts,vapi_call_id\n"
            .to_string();
    let mut row = 0;
    world.set_clock("2026-02-02T12:00:00Z");
    for person in 0..60 {
        let is_called = person < 30;
        let is_welcome = (8..10).contains(&person) || person == 29;
        let is_lost = [28, 29].contains(&person);
        let is_flagged = is_called && !is_lost;
        let welcomed = if is_welcome { is_flagged } else { true };
        let date = if is_flagged && !is_welcome { "2026-02-02" } else { "" };
        customers += &format!(
            "{person},P{person},{},America/New_York,7,0,Paid,t,{welcomed},{date},2026-02-01 12:00:00+00\n",
            phone(person)
        );
        let call = match is_called {
            true => old_call(world, &phone(person), OURS),
            false => String::new(),
        };
        let kind = if is_welcome { "welcome" } else { "daily" };
        let copies = if (28..32).contains(&person) { 4 } else { 1 };
        for _ in 0..copies {
            row += 1;
            // A lost flag: the row still waits, and knows of no call.
            let (status, call) = match is_flagged {
                true => ("completed", call.as_str()),
                false => ("pending", ""),
            };
            queue += &format!("{row},{person},{kind},2026-02-02 12:00:00+00,{status},0,3,{call}\n");
        }
    }
    (customers, queue)
}

#[test]
fn nobody_is_called_twice_after_a_cut_over_in_the_middle_of_a_morning() {
    let world = World::new();
    let (customers, queue) = old_scheduler(&world);
    std::fs::write(world.path("customers.csv"), customers).unwrap();
    std::fs::write(world.path("call_queue.csv"), queue).unwrap();
    world.set_clock("2026-02-02T12:10:00Z");
    done(&world, &["customers", "import", "customers.csv", "--dry-run"]);
    let run = done(&world, &["customers", "import", "customers.csv"]);
    assert!(run.stdout.contains("60 new"), "{run:?}");
    done(&world, &["queue", "import", "call_queue.csv", "--dry-run"]);
    let run = done(&world, &["queue", "import", "call_queue.csv"]);
    assert!(run.stdout.contains("28 called), 12 duplicates moved"), "{run:?}");

    let before = world.count("SELECT count(*) FROM calls_elsewhere");
    let preview = done(&world, &["history", "import", "--since", "2026-02-02", "--dry-run"]);
    let words = "30 calls: 2 new, 0 known, 28 of this database, 0 inbound, 0 never rang (dry run, \
                 nothing was written)";
    assert!(preview.stdout.contains(words), "{preview:?}");
    assert_eq!(world.count("SELECT count(*) FROM calls_elsewhere"), before);
    for summary in ["30 calls: 2 new, 0 known", "30 calls: 0 new, 2 known"] {
        let run = done(&world, &["history", "import", "--since", "2026-02-02"]);
        assert!(run.stdout.contains(summary), "{run:?}");
    }
    done(&world, &["queue", "dedupe"]);
    done(&world, &["check"]);
    done(&world, &["plan"]);
    for minutes in [10, 15, 20, 25, 30] {
        world.set_clock(&format!("2026-02-02T12:{minutes}:00Z"));
        done(&world, &["tick"]);
    }
    for hour in 13..24 {
        world.set_clock(&format!("2026-02-02T{hour}:05:00Z"));
        done(&world, &["tick"]);
    }
    let mut rings: BTreeMap<String, usize> = BTreeMap::new();
    for ring in world.rings() {
        *rings.entry(ring.number).or_default() += 1;
    }
    let twice: Vec<_> = rings.iter().filter(|(_, count)| 1 < **count).collect();
    assert!(twice.is_empty(), "{twice:?}\n{:#?}", world.items());
    assert_eq!(rings.len(), 60, "everybody was called once: {:#?}", world.items());
    let audit = world.command(&["audit", "--offline"]);
    assert!(audit.stdout.contains("0 duplicates"), "{audit:?}");
}

#[test]
fn an_old_call_counts_whichever_assistant_spoke_unless_some_are_named() {
    for (named, is_called) in [(&[][..], false), (&["--assistant", "another"], true)] {
        let world = World::new();
        add_ada(&world);
        old_call(&world, ADA, "0f9d6a1c-0000-4c0e-9d3a-0c6f5b1d7e99");
        world.pass(chrono::Duration::minutes(1));
        let run = done(&world, &[&["history", "import", "--since", "2026-02-01"], named].concat());
        let words = if is_called { "1 by other assistants" } else { "1 new" };
        assert!(run.stdout.contains(words), "{run:?}");
        world.set_clock("2026-02-02T17:00:00Z");
        done(&world, &["tick"]);
        assert_eq!(world.rings().len(), 1 + usize::from(is_called), "{:?}", world.items());
    }
}

#[test]
fn a_call_that_was_found_as_harmless_counts_after_the_import() {
    let world = World::new();
    add_ada(&world);
    old_call(&world, ADA, "0f9d6a1c-0000-4c0e-9d3a-0c6f5b1d7e99");
    // The service found it first: another assistant's call only keeps its distance.
    done(&world, &["tick"]);
    assert_eq!(world.count("SELECT blocks FROM calls_elsewhere"), 0);
    done(&world, &["history", "import", "--since", "2026-02-01"]);
    assert_eq!(world.count("SELECT blocks FROM calls_elsewhere"), 1);
    world.set_clock("2026-02-02T17:00:00Z");
    done(&world, &["tick"]);
    assert_eq!(world.rings().len(), 1, "{:?}", world.items());
}

#[test]
fn a_shared_number_is_listed_for_a_person_and_counts_for_everybody() {
    let world = World::new();
    for name in ["Ada", "Bob"] {
        let person = world.customer(name).phone(ADA).in_zone("America/New_York").paid();
        person.shared_phone().signed_up("2026-02-01T15:00:00Z").add();
    }
    let id = old_call(&world, ADA, OURS);
    old_call(&world, BOB, OURS);
    world.pass(chrono::Duration::minutes(1));
    let run = done(&world, &["history", "import", "--since", "2026-02-01", "--reason", "cut-over"]);
    let words = format!(
        "shared number: the call {id} of Mon 2026-02-02 11:30 UTC counts for customers 1, 2"
    );
    assert!(run.stdout.contains(&words), "{run:?}");
    assert!(run.stdout.contains("calls to numbers that no customer has: 1"), "{run:?}");
    assert!(!run.stdout.contains(ADA) && !run.stdout.contains(BOB), "{run:?}");
    let line = world.one("SELECT new || ' ' || why FROM journal WHERE subject = 'history'");
    assert_eq!(
        line,
        "2 calls: 2 new, 0 known, 0 of this database, 0 inbound, 0 never rang cut-over"
    );
    world.set_clock("2026-02-02T17:00:00Z");
    done(&world, &["tick"]);
    assert_eq!(world.rings().len(), 2, "only the old scheduler's: {:?}", world.items());
    let report = done(&world, &["history", "import", "--since", "2026-02-01", "--json"]).json();
    assert_eq!((&report["shared"][0]["customers"], &report["known"]), (&json!([1, 2]), &2.into()));
}

#[test]
fn an_old_scheduler_that_still_runs_keeps_the_new_one_shut() {
    let world = World::new();
    add_ada(&world);
    old_call(&world, BOB, OURS);
    world.pass(chrono::Duration::minutes(1));
    done(&world, &["history", "import", "--since", "2026-02-01"]);
    world.pass(chrono::Duration::minutes(1));
    old_call(&world, ADA, OURS);
    world.set_clock("2026-02-02T15:00:00Z");
    let run = world.command(&["tick"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    // Taken over again, because somebody stopped it now.
    done(&world, &["history", "import", "--since", "2026-02-01"]);
    done(&world, &["tick"]);
    assert_eq!(world.rings().len(), 2, "{:?}", world.items());
}

#[test]
fn an_import_of_history_accepts_no_lost_database() {
    let world = World::new();
    add_ada(&world);
    // It carries the tags of an installation of ours that is gone.
    call_from_elsewhere(&world, ADA);
    world.pass(chrono::Duration::minutes(1));
    done(&world, &["history", "import", "--since", "2026-02-01"]);
    world.set_clock("2026-02-02T15:00:00Z");
    assert_eq!(world.command(&["tick"]).code, Some(3));
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn a_date_that_cannot_be_meant_is_refused() {
    let world = World::new();
    add_ada(&world);
    for since in ["yesterday", "02/01/2026", "2026-02-01 07:00:00", "2026-03-01"] {
        let run = world.command(&["history", "import", "--since", since]);
        assert!(run.code == Some(2) && run.stderr.contains("--since"), "{run:?}");
    }
}
