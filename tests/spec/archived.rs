//! `ringonce archive`: old results and old machine lines of the journal move into a file. What
//! decides about calls stays, so nobody is called again, and nothing is lost if it is killed.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::world::World;

const NOON: &str = "2026-02-02T12:00:00Z";
const LATER: &str = "2026-06-01T12:00:00Z";

/// A world in which Ada was called in February, was asked how she is, and it is June now.
fn called_long_ago() -> World {
    let world = World::new();
    world.daily("Ada");
    world.command(&["pause", "--customer", "id:1", "--reason", "holidays"]);
    world.command(&["resume", "--customer", "id:1", "--reason", "back"]);
    world.tick_at(NOON);
    assert_eq!(world.rings().len(), 1);
    world.sql(
        "INSERT OR REPLACE INTO call_results (attempt_id, summary, structured, source, received_at,
           updated_at)
         SELECT id, 'Slept well.', '{\"mood\":\"calm\"}', 'poll', '2026-02-02T12:01:00.000Z',
           '2026-02-02T12:01:00.000Z' FROM call_attempts",
    );
    world.set_clock(LATER);
    world
}

fn archived(world: &World) -> Value {
    let run = world.command(&["archive", "--before", "2026-03-01", "old.archive.db", "--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.json()
}

fn in_archive(world: &World, query: &str) -> String {
    let conn = rusqlite::Connection::open(world.path("old.archive.db")).unwrap();
    conn.query_one(query, [], |row| row.get(0)).unwrap()
}

/// The tables that decide about calls.
fn deciding(world: &World) -> Vec<String> {
    let tables = ["customers", "call_queue", "call_attempts", "do_not_call", "calls_elsewhere"];
    let conn = world.connection();
    tables
        .iter()
        .map(|table| {
            let sql = format!("SELECT * FROM {table} ORDER BY 1");
            let mut read = conn.prepare(&sql).unwrap();
            let columns = read.column_count();
            let rows = read.query_map([], |row| {
                (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at)).collect()
            });
            let rows: Vec<Vec<_>> = rows.unwrap().collect::<Result<_, _>>().unwrap();
            format!("{rows:?}")
        })
        .collect()
}

#[test]
fn old_results_and_machine_lines_move_into_a_private_file_and_nothing_else_changes() {
    let world = called_long_ago();
    let before = deciding(&world);
    let people = "SELECT group_concat(who || ' ' || what) FROM journal WHERE who = 'cli'";
    let acts = world.one(people);
    let lines = world.count("SELECT count(*) FROM journal");
    let told = archived(&world);

    assert_eq!((&told["results"], told["path"].as_str()), (&json!(1), Some("old.archive.db")));
    let moved = told["journal_lines"].as_i64().unwrap();
    assert!(moved >= 4, "{told}");
    assert_eq!(deciding(&world), before);
    assert_eq!(world.count("SELECT count(*) FROM call_results"), 0);
    // The line that tells of the archive came.
    assert_eq!(world.count("SELECT count(*) FROM journal"), lines - moved + 1);
    assert_eq!(world.one(people), format!("{acts},cli archive"));
    assert_eq!(in_archive(&world, "SELECT summary FROM call_results"), "Slept well.");
    assert_eq!(in_archive(&world, "SELECT CAST(count(*) AS TEXT) FROM journal"), moved.to_string());
    assert_eq!(in_archive(&world, "SELECT before_utc FROM about"), "2026-03-01T00:00:00.000Z");
    let mode = std::fs::metadata(world.path("old.archive.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn nobody_is_called_again_after_an_archive_and_the_audit_finds_nothing() {
    let world = called_long_ago();
    world.set_clock("2026-04-10T12:00:00Z");
    archived(&world);
    let audit = world.command(&["audit", "--offline", "--json"]);
    assert_eq!(audit.json()["duplicates"], json!([]), "{audit:?}");
    // The clock of a restored machine may stand in February again; the ledger still knows.
    world.set_clock("2026-02-02T12:05:00Z");
    let _ = world.try_tick();
    world.assert_no_phone_rang_twice();
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn the_journal_still_refuses_every_other_deletion_after_an_archive() {
    let world = called_long_ago();
    archived(&world);
    let refused = world.connection().execute("DELETE FROM journal", []);
    assert!(refused.unwrap_err().to_string().contains("append-only"));
}

#[test]
fn lines_that_later_decisions_ask_for_stay() {
    let world = called_long_ago();
    // A doubt that a person ruled out, a retry that the rule permitted, a call that came with an
    // import, and an item that still waits.
    world.sql(
        "INSERT INTO journal (at, who, what, subject, old, new, build) VALUES
           ('2026-02-02T13:00:00.000Z', 'settle', 'attempt', 'attempt:x', 'in_doubt', 'not_placed', '1'),
           ('2026-02-02T13:00:00.000Z', 'follow', 'item', 'item:77', 'completed', 'retrying', '1'),
           ('2026-02-02T13:00:00.000Z', 'reconcile', 'attempt', 'attempt:y', NULL, 'placed', '1'),
           ('2026-02-02T13:00:00.000Z', 'record', 'attempt', 'attempt:z', 'dialing', 'placed', '1');
         INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for, max_attempts,
             created_at, updated_at, status)
           VALUES (1, 'extra', 'extra:k', '2026-07-01T12:00:00.000Z', 1,
             '2026-02-02T13:00:00.000Z', '2026-02-02T13:00:00.000Z', 'pending');
         INSERT INTO journal (at, who, what, subject, old, new, build)
           SELECT '2026-02-02T13:00:00.000Z', 'dial', 'item', 'item:' || id, 'pending', 'pending', '1'
           FROM call_queue WHERE occasion = 'extra:k'",
    );
    archived(&world);
    let stayed = world.lines(
        "SELECT subject FROM journal WHERE who IN ('settle', 'follow', 'reconcile', 'dial', 'record')
         ORDER BY subject",
    );
    let waiting = world.one("SELECT 'item:' || id FROM call_queue WHERE occasion = 'extra:k'");
    assert_eq!(stayed, ["attempt:x", "attempt:y", &waiting, "item:77"]);
    assert_eq!(
        in_archive(&world, "SELECT subject FROM journal WHERE subject = 'attempt:z'"),
        "attempt:z"
    );
}

#[test]
fn a_result_that_changes_while_it_is_archived_stays() {
    let world = called_long_ago();
    let store = world.store();
    let target = world.path("old.archive.db");
    let before = crate::world::at("2026-03-01T00:00:00Z");
    let now = crate::world::at(LATER);
    ringonce::store::file::archive::archive_with(&store, &target, before, now, &mut || {
        world.sql("UPDATE call_results SET summary = 'Slept badly.', updated_at = '2026-06-01T12:00:00.000Z'");
    })
    .unwrap();
    assert_eq!(world.one("SELECT summary FROM call_results"), "Slept badly.");
    assert_eq!(in_archive(&world, "SELECT summary FROM call_results"), "Slept well.");
}

#[test]
fn an_archive_refuses_a_recent_date_an_existing_file_and_a_missing_database() {
    let world = called_long_ago();
    let archive = |before: &str, file: &str| {
        let run = world.command(&["archive", "--before", before, file]);
        (run.code, run.stderr)
    };
    let recent = archive("2026-05-01", "x.db");
    assert_eq!(recent.0, Some(2));
    assert!(recent.1.contains("give 2026-04-27 or earlier"), "{}", recent.1);
    std::fs::write(world.path("there.db"), "mine").unwrap();
    let there = archive("2026-03-01", "there.db");
    assert_eq!(there.0, Some(1));
    assert!(there.1.contains("there.db is there already"), "{}", there.1);
    assert_eq!(std::fs::read(world.path("there.db")).unwrap(), b"mine");
    assert_eq!(world.count("SELECT count(*) FROM call_results"), 1);
    let nothing = world.command(&["archive", "--before", "2025-01-01", "none.db"]);
    assert_eq!(nothing.code, Some(0));
    assert!(nothing.stdout.starts_with("Nothing to move is older"), "{nothing:?}");
    assert!(!world.path("none.db").exists());
    let missing =
        world.command(&["archive", "--before", "2025-01-01", "none.db", "--db", "missing.db"]);
    assert_ne!(missing.code, Some(0));
    assert!(!world.path("missing.db").exists());
}
