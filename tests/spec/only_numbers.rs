//! `[dialing] only_numbers`: while it is set, nobody else is dialed, and the output shows it.

use crate::world::World;

const DUE: &str = "2026-02-02T12:00:00Z";
const ONLY: &str = "[dialing]\nonly_numbers = [\"+442079460150\", \"+12125550199\"]\n";

/// Ada is in the list and Bob is not. Each has a daily call now, and a person asks for an extra
/// one.
fn world(config: &str) -> World {
    let world = World::with_config(config);
    world.customer("Ada").phone("+442079460150").paid().welcomed().at("12:00").add();
    world.customer("Bob").phone("+442079460151").paid().welcomed().at("12:00").add();
    world.customer("Cyd").phone("+442079460152").paid().add();
    world
}

#[test]
fn nobody_outside_the_list_is_dialed_whatever_the_call() {
    let world = world(ONLY);
    let extra = ["call", "2", "--extra", "--reason", "asked"];
    let asked = world.command(&extra);
    assert!(asked.code.is_some(), "{asked:?}");
    world.tick_at(DUE);
    let waiting = world.items();
    assert!(waiting.contains(&"Bob daily 2026-02-02 pending not_eligible".into()), "{waiting:?}");
    let explained = world.command(&["explain", "2", "--at", DUE]);
    assert!(explained.stdout.contains("dialing.only_numbers"), "{explained:?}");
    for time in ["12:30", "14:00", "15:00", "16:00", "17:00"] {
        world.tick_at(&format!("2026-02-02T{time}:00Z"));
    }
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    let ended = world.items();
    assert!(ended.contains(&"Bob daily 2026-02-02 skipped not_eligible".into()), "{ended:?}");
    assert!(ended.contains(&"Cyd welcome welcome pending not_eligible".into()), "{ended:?}");
    // Without the list, the welcome call is still owed.
    world.set_config("");
    world.tick_at("2026-02-02T17:15:00Z");
    assert!(world.items().contains(&"Cyd welcome welcome completed".into()), "{:?}", world.items());
}

#[test]
fn check_and_status_say_that_others_are_not_dialed() {
    let world = world(ONLY);
    let check = world.command(&["check"]);
    let says = "dialing.only_numbers names 2 numbers: 2 of 3 customers are never dialed";
    assert!(check.stdout.contains(says), "{check:?}");
    let status = world.command(&["status"]);
    assert!(status.stdout.contains("2 numbers (dialing.only_numbers)"), "{status:?}");
    assert_eq!(world.command(&["status", "--json"]).json()["only_numbers"], 2);
    world.set_config("");
    let check = world.command(&["check"]);
    assert!(!check.stdout.contains("only_numbers"), "{check:?}");
    let status = world.command(&["status"]);
    assert!(!status.stdout.contains("only_numbers"), "{status:?}");
    assert!(world.command(&["status", "--json"]).json()["only_numbers"].is_null());
}

#[test]
fn a_number_in_another_form_stops_every_command_with_its_line() {
    let world = World::new();
    world.set_config("[dialing]\nworkers = 2\nonly_numbers = [\"+1 212 555 0199\"]\n");
    for command in ["tick", "status", "check"] {
        let run = world.command(&[command]);
        assert_eq!(run.code, Some(2), "{run:?}");
        let said = format!("{}{}", run.stdout, run.stderr);
        let line = "ringonce.toml:7: dialing.only_numbers: \"+1 212 555 0199\"";
        assert!(said.contains(line), "{said}");
        assert!(said.contains("write \"+12125550199\""), "{said}");
    }
}
