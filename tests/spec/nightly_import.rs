//! The same export every night: only what changed is shown, and customers whom the file no longer
//! holds are listed, or paused.

use crate::world::{Run, World};

const HEADER: &str = "external_id,name,phone,timezone,call_time,payment_status,\
                      welcome_call_completed";

fn import(world: &World, people: std::ops::Range<usize>, time: &str, more: &[&str]) -> Run {
    let row =
        |n: usize| format!("c{n},Ada {n},+121255501{n:02},America/New_York,{time},Paid,yes\n");
    let rows: String = people.map(row).collect();
    std::fs::write(world.path("people.csv"), format!("{HEADER}\n{rows}")).expect("written");
    world.command(&[&["customers", "import", "people.csv"], more].concat())
}

fn paused(world: &World) -> i64 {
    world.count("SELECT count(*) FROM customers WHERE call_status = 'paused'")
}

#[test]
fn an_export_that_brings_nothing_new_is_one_line() {
    let world = World::new();
    assert_eq!(import(&world, 0..5, "09:00", &[]).code, Some(0));
    let before = world.lines("SELECT updated_at FROM customers");
    world.pass(chrono::Duration::days(1));
    let run = import(&world, 0..5, "09:00", &[]);
    assert_eq!(run.stdout, "0 new, 0 changed, 5 unchanged, 0 bad\n", "{run:?}");
    assert_eq!(world.lines("SELECT updated_at FROM customers"), before);
    let run = import(&world, 0..1, "09:30", &[]);
    assert!(run.stdout.contains("changed: line 2, Ada 0: call_time"), "{run:?}");
}

#[test]
fn customers_who_are_not_in_the_file_are_listed_and_paused_only_when_asked() {
    let world = World::new();
    import(&world, 0..9, "09:00", &[]);
    for more in [&[][..], &["--dry-run", "--pause-missing"]] {
        let run = import(&world, 0..7, "09:00", more);
        assert!(run.stdout.contains("not in the file: customer 9, Ada 8"), "{run:?}");
        assert_eq!(paused(&world), 0, "{run:?}");
    }
    let run = import(&world, 0..7, "09:00", &["--pause-missing"]);
    assert!(run.stdout.contains("paused, because they are not in the file: 2"), "{run:?}");
    assert_eq!(paused(&world), 2);
    let why = "SELECT why FROM journal WHERE what = 'pause' ORDER BY id LIMIT 1";
    assert_eq!(world.one(why), "not in people.csv");
    world.set_clock("2026-02-02T14:00:00Z");
    assert_eq!(world.command(&["tick"]).code, Some(0));
    assert_eq!(world.rings().len(), 7, "{:?}", world.items());
    // The next night is quiet, and a customer who is back stays paused until a person resumes them.
    let run = import(&world, 0..7, "09:00", &["--pause-missing"]);
    assert_eq!(run.stdout, "0 new, 0 changed, 7 unchanged, 0 bad\n");
    // Each night says so. A pause that a person made for another reason is not of this kind.
    world.command(&["pause", "--customer", "id:3", "--reason", "on holiday"]);
    for more in [&["--dry-run"][..], &["--pause-missing"]] {
        let run = import(&world, 0..9, "09:00", more);
        for (id, name) in [(8, "Ada 7"), (9, "Ada 8")] {
            let line = format!("in the file again, but still paused: customer {id}, {name}: ");
            assert!(run.stdout.contains(&line), "{run:?}");
        }
        assert_eq!(run.stdout.matches("still paused").count(), 2, "{run:?}");
    }
    assert_eq!(paused(&world), 3);
    world.command(&["resume", "--customer", "id:8", "--reason", "is back"]);
    let run = import(&world, 0..9, "09:00", &["--json"]);
    let returned = run.json();
    assert_eq!((&returned["returned"], paused(&world)), (&serde_json::json!(1), 2));
    assert_eq!(returned["returned_samples"], serde_json::json!([[9, "Ada 8"]]));
}

#[test]
fn a_file_that_lacks_most_customers_pauses_nobody_without_a_word() {
    let world = World::new();
    import(&world, 0..20, "09:00", &[]);
    let run = import(&world, 0..5, "09:30", &["--pause-missing"]);
    let words = "15 customers are not in the file, which is more than half, so nothing was written";
    assert!(run.code == Some(2) && run.stderr.contains(words), "{run:?}");
    assert_eq!(
        (paused(&world), world.count("SELECT count(*) FROM customers WHERE call_time = '09:30'")),
        (0, 0)
    );
    let run = import(&world, 0..5, "09:30", &["--pause-missing=all"]);
    assert_eq!((run.code, paused(&world)), (Some(0), 15), "{run:?}");
}

#[test]
fn a_bad_row_does_not_pause_its_customer() {
    let world = World::new();
    import(&world, 0..3, "09:00", &[]);
    let run = import(&world, 0..3, "25:00", &["--pause-missing"]);
    assert_eq!((run.code, paused(&world)), (Some(2), 0));
    let run = import(&world, 0..3, "25:00", &["--pause-missing", "--skip-bad"]);
    assert_eq!((run.code, paused(&world)), (Some(2), 0), "{run:?}");
}
