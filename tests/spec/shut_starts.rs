//! A start that may not dial gives the reason, and `status` shows it later.

use crate::arming::copy_to;
use crate::world::{Run, World};

const NOON: &str = "2026-02-02T12:00:00Z";

/// The reason why nothing is dialed, and since when.
fn told(world: &World) -> [String; 2] {
    let status = world.command(&["status", "--json"]).json();
    ["not_dialing_because", "not_dialing_since"].map(|key| {
        let value = status.get(key).unwrap_or_else(|| panic!("no {key}: {status}"));
        value.as_str().unwrap_or_default().to_string()
    })
}

fn shown(world: &World) -> Vec<String> {
    let run: Run = world.command(&["status"]);
    run.stdout.lines().map(str::to_string).collect()
}

#[test]
fn the_status_says_why_the_last_start_stayed_shut_and_since_when() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    assert_eq!(told(&world), ["", ""]);
    world.faults("list-status=503");
    assert!(world.tick_at(NOON).shut);
    let [why, since] = told(&world);
    assert!(why.contains("answered 503") && why.contains("asks again"), "{why}");
    assert_eq!(since, "2026-02-02T12:00:00.000Z");
    let lines = shown(&world);
    let at = lines.iter().position(|line| line.starts_with("not dialing")).expect("a line");
    assert!(lines[at].contains("since Mon 2026-02-02 12:00 UTC"), "{lines:?}");
    assert!(lines[at - 1].starts_with("armed"), "first among what is wrong: {lines:?}");
    // An unchanged reason is not written again.
    world.sql(
        "CREATE TRIGGER once BEFORE UPDATE ON meta WHEN NEW.key = 'not_dialing'
         BEGIN SELECT RAISE(ABORT, 'written again'); END",
    );
    assert!(world.tick_at("2026-02-02T12:01:00Z").shut);
    world.sql("DROP TRIGGER once");
    world.faults("list-status=401");
    assert!(world.tick_at("2026-02-02T12:02:00Z").shut);
    let [why, since] = told(&world);
    assert!(why.contains("401") && why.contains("VAPI_API_KEY"), "{why}");
    assert_eq!(since, "2026-02-02T12:00:00.000Z", "it has stayed shut since then");
    world.faults("");
    assert!(!world.tick_at("2026-02-02T12:03:00Z").shut);
    assert_eq!(told(&world), ["", ""]);
    assert!(!shown(&world).iter().any(|line| line.starts_with("not dialing")));
}

#[test]
fn a_copy_neither_keeps_nor_shows_why_a_start_stayed_shut() {
    let world = World::new();
    world.daily("Ada");
    let early = copy_to(&world, "early.db");
    world.faults("list-status=503");
    assert!(world.tick_at(NOON).shut);
    let late = copy_to(&world, "late.db");
    for copy in [&early, &late] {
        let copy = copy.to_str().expect("a path");
        let adopt = world.command(&["adopt", "--db", copy, "--reason", "the original is gone"]);
        assert_eq!(adopt.code, Some(3), "{adopt:?}");
        let status = world.command(&["status", "--json", "--db", copy]).json();
        assert!(status["not_dialing_because"].is_null(), "{status}");
    }
    let conn = rusqlite::Connection::open(&early).expect("the copy");
    let noted = "SELECT count(*) FROM meta WHERE key = 'not_dialing'";
    assert_eq!(conn.query_one(noted, [], |row| row.get::<_, i64>(0)), Ok(0));
}
