//! The choice among our numbers for a call.

use crate::world::World;

const FIRST: &str = "7d5e8a90-33c1-4f5e-8a1b-52b7c1f0aa22";
const SECOND: &str = "99999999-33c1-4f5e-8a1b-52b7c1f0aa22";

fn pool(more: &str) -> World {
    World::with_config(&format!("phone_number_ids = [\"{FIRST}\", \"{SECOND}\"]\n{more}"))
}

/// Each called customer and the number that called: `Ada 7d5e`.
fn used(world: &World) -> Vec<String> {
    world.lines(
        "SELECT name || ' ' || substr(phone_number_id, 1, 4) FROM call_attempts
         JOIN customers ON customers.id = customer_id WHERE state = 'ended' ORDER BY seq",
    )
}

#[test]
fn a_customer_is_always_called_from_the_same_number() {
    let world = pool("");
    world.daily("Ada");
    world.daily("Bea");
    for day in 2..=4 {
        world.tick_at(&format!("2026-02-{day:02}T12:00:00Z"));
    }
    let used = used(&world);
    assert_eq!(used.len(), 6);
    assert_ne!(used[0][4..], used[1][4..]);
    assert!(used[2..].iter().all(|line| used[..2].contains(line)), "{used:?}");
}

#[test]
fn numbers_take_turns_where_that_is_chosen() {
    let world = pool("phone_number_choice = \"in_turn\"");
    for name in ["Ada", "Bea", "Cy", "Dan"] {
        world.daily(name);
    }
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(used(&world), ["Ada 7d5e", "Bea 9999", "Cy 7d5e", "Dan 9999"]);
}

#[test]
fn a_number_makes_at_most_its_daily_calls_and_the_next_utc_day_counts_from_zero() {
    let world = pool("daily_calls_per_number = 1");
    for name in ["Ada", "Bea", "Cy"] {
        world.customer(name).at("23:45").paid().welcomed().add();
    }
    world.tick_at("2026-02-02T23:45:00Z");
    world.tick_at("2026-02-02T23:59:00Z");
    let mut numbers: Vec<String> = used(&world).iter().map(|line| line[4..].to_string()).collect();
    numbers.sort();
    assert_eq!(numbers, ["7d5e", "9999"]);
    assert_eq!(world.items()[2], "Cy daily 2026-02-02 pending no_line");
    world.tick_at("2026-02-03T00:01:00Z");
    assert_eq!(used(&world).len(), 3);
}

#[test]
fn a_number_refused_for_its_daily_limit_rests_until_the_utc_day_ends_and_others_go_on() {
    let world = pool("");
    world.faults("daily-limit:first=1");
    let ada = world.daily("Ada");
    world.daily("Bea");
    world.daily("Cy");
    world.tick_at("2026-02-02T12:00:00Z");
    let resting =
        world.one("SELECT substr(key, 6, 4) || ' ' || value FROM meta WHERE key LIKE 'rest:%'");
    assert!(resting.ends_with(" 2026-02-03T00:00:00.000Z"), "{resting}");
    let rests = &resting[..4];
    assert_eq!(world.rings().len(), 3, "in the same pass: {:?}", world.items());
    assert_eq!(world.posts().len(), 4);
    assert!(used(&world).iter().all(|line| !line.ends_with(rests)), "{:?}", used(&world));
    let counted = world.one(&format!("SELECT attempts FROM call_queue WHERE customer_id = {ada}"));
    assert_eq!(counted, "1", "the refusal does not count as an attempt");
    world.tick_at("2026-02-03T12:00:00Z");
    assert!(used(&world)[3..].iter().any(|line| line.ends_with(rests)), "it calls again");
}

#[test]
fn when_every_number_rests_nothing_is_asked_and_nobodys_occasion_is_lost() {
    let world = World::with_config("");
    world.faults("daily-limit");
    world.daily("Ada");
    world.daily("Bea");
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(world.posts().len(), 1);
    world.tick_at("2026-02-02T12:02:00Z");
    assert_eq!(world.posts().len(), 1);
    let items = world.items();
    assert!(items.iter().all(|line| line.ends_with("pending breaker")), "{items:?}");
}

#[test]
fn a_call_by_hand_continues_with_another_number_at_once() {
    let world = pool("");
    world.faults("daily-limit:first=1");
    world.daily("Ada");
    world.set_clock("2026-02-02T12:00:00Z");
    let run = world.command(&["call", "1"]);
    assert_eq!((run.code, world.rings().len()), (Some(0), 1), "{run:?}");
}

#[test]
fn explain_foretells_when_a_number_of_ours_is_free_again_where_that_is_soon_enough() {
    for (time, next) in [
        ("23:45", "2026-02-03T00:00:00.000Z"),
        // Today's call is too late by then.
        ("15:00", "2026-02-03T15:00:00.000Z"),
    ] {
        let world = pool("daily_calls_per_number = 1");
        for name in ["Ada", "Bea", "Cy"] {
            world.customer(name).at(time).paid().welcomed().add();
        }
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
        let told = world.command(&["explain", "3", "--json"]).json();
        assert_eq!(told["occasions"][0]["reason"], "no_line", "{told}");
        assert_eq!(told["next_call_at"], next, "{told}");
    }
}
