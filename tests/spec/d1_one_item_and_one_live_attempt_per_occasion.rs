//! D1: an occasion has one queue item and at most one live attempt, by unique indexes.

use crate::world::World;

#[test]
fn a_daily_call_rings_once_however_often_the_clock_comes_by() {
    let world = World::new();
    world.daily("Ada");
    for time in ["11:30", "11:45", "12:00", "12:00", "12:15", "12:30", "16:00", "23:59"] {
        let ticked = world.tick_at(&format!("2026-02-02T{time}:00Z"));
        assert!(!ticked.shut, "{ticked:?}");
    }
    assert_eq!(world.rings().len(), 1);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed"]);
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    let run = world.command(&["tick", "--json"]);
    assert_eq!((run.code, run.json()["queued"].as_i64()), (Some(0), Some(0)), "{run:?}");
    world.assert_no_phone_rang_twice();
}
