//! A key of another account, whose records hold none of our calls. A file that is behind the
//! provider must not conclude that nobody was called.

use std::sync::Arc;

use chrono::Duration;
use ringonce::demo::fake_vapi::core::{FakeCore, Setup};
use ringonce::demo::fake_vapi::journal::Journal;
use ringonce::demo::fake_vapi::server::FakeVapi;
use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::Patience;
use ringonce::store::meta::organization;

use crate::arming::{copy_to, restore};
use crate::world::{World, quick};

const NOON: &str = "2026-02-02T12:00:00Z";

/// The provider as another account sees it: it accepts every call and has never seen ours.
struct Elsewhere {
    fake: FakeVapi,
    ours: String,
}

impl Elsewhere {
    fn new(world: &World) -> Elsewhere {
        let setup = Setup { org_id: "11111111-2222-4333-8444-555555555555".into(), ..quick() };
        let clock = world.clock();
        let clock = Arc::new(move || clock.now().expect("the clock"));
        let core = FakeCore::new(setup, Journal::default());
        let fake = FakeVapi::on_free_port(core, clock).expect("a free port");
        Elsewhere { fake, ours: world.fake.base_url() }
    }

    fn give_key(&self, world: &World) {
        change(world, &self.ours, &self.fake.base_url());
    }

    fn take_key_back(&self, world: &World) {
        change(world, &self.fake.base_url(), &self.ours);
    }
}

fn change(world: &World, from: &str, to: &str) {
    let path = world.path("ringonce.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    assert!(config.contains(from));
    std::fs::write(path, config.replace(from, to)).unwrap();
}

/// Ada was called on Monday. Then the backup was made, and she was called on Tuesday.
fn restored_on_tuesday() -> World {
    let world = World::new();
    world.daily("Ada");
    world.tick_at(NOON);
    let backup = copy_to(&world, "backup.db");
    world.tick_at("2026-02-03T12:00:00Z");
    assert_eq!(world.rings().len(), 2);
    restore(&world, &backup);
    world.set_clock("2026-02-03T12:05:00Z");
    world
}

#[test]
fn a_restored_backup_with_the_key_of_another_account_calls_nobody_again() {
    let world = restored_on_tuesday();
    let elsewhere = Elsewhere::new(&world);
    elsewhere.give_key(&world);
    for _ in 0..2 {
        let run = world.command(&["tick", "--json"]);
        assert_eq!(run.code, Some(3), "{run:?}");
        let why = run.json()["refused"].as_str().unwrap_or_default().to_string();
        assert!(why.contains("another account") && why.contains("VAPI_API_KEY"), "{why}");
    }
    assert!(elsewhere.fake.rings().is_empty());
    elsewhere.take_key_back(&world);
    assert!(!world.tick().shut);
    assert_eq!(world.attempts().len(), 2, "Tuesday's call is loaded");
    world.pass(Duration::days(1));
    world.tick();
    assert_eq!(world.rings().len(), 3);
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_person_may_accept_an_account_whose_list_is_empty() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at(NOON);
    let elsewhere = Elsewhere::new(&world);
    elsewhere.give_key(&world);
    world.set_clock("2026-02-03T12:00:00Z");
    assert!(world.tick().shut);
    let run = world.command(&["adopt", "--reason", "the company moved"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let warning = "customers who were called since the backup may be called again";
    assert!(run.stdout.contains("another account") && run.stdout.contains(warning), "{run:?}");
    let again = world.command(&["adopt", "--reason", "to be sure"]);
    assert!(again.code == Some(0) && !again.stdout.contains("account"), "{again:?}");
    assert!(!world.tick().shut);
    assert_eq!(elsewhere.fake.rings().len(), 1);
    let org = world.store().read(organization::org_id).unwrap();
    assert_eq!(org.as_deref(), Some("11111111-2222-4333-8444-555555555555"));
    world.pass(Duration::days(1));
    assert!(!world.tick().shut, "its own calls tell the account now");
}

#[test]
fn a_call_that_another_account_accepts_is_the_last_until_a_person_looks() {
    let world = World::new();
    world.daily("Ada");
    world.daily("Bob");
    world.tick_at("2026-02-02T11:45:00Z");
    world.sql("INSERT INTO meta VALUES ('org_id', 'the account of the calls before')");
    world.set_clock(NOON);
    let service = world.start();
    let patience = Patience { pace: false, record: std::time::Duration::ZERO };
    let mut dialer = Dialer::new(&service, patience, world.now()).unwrap();
    let passed = dialer.pass(&mut |_| Ok(None)).unwrap();
    assert_eq!(passed.succeeded, 1, "{passed:?}");
    assert!(passed.shut.unwrap().to_string().contains("another account"));
    assert_eq!((world.rings().len(), world.holds()), (1, vec!["account".to_string()]));
}

#[test]
fn one_of_our_last_calls_is_enough_to_know_the_account() {
    let world = World::new();
    for name in ["Ada", "Bob", "Cy"] {
        world.daily(name);
    }
    world.tick_at(NOON);
    world.set_clock("2026-02-02T13:00:00Z");
    // The list shows no call. In the other cases some calls are not known by id, or nothing can be
    // asked.
    for (faults, shut) in [
        ("list-lag=100000", false),
        ("list-lag=100000 get-404=100000:first=2", false),
        ("list-lag=100000 get-404=100000:first=3", true),
        ("list-lag=100000 get-status=503", true),
        ("list-lag=100000 other-org", true),
    ] {
        world.faults(faults);
        assert_eq!(world.tick().shut, shut, "{faults}");
    }
    world.faults("");
    assert!(!world.tick().shut);
}

#[test]
fn a_call_of_the_last_minutes_may_not_be_visible_yet() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at(NOON);
    world.faults("list-lag=100000 get-404=100000:first=9");
    for (clock, shut) in [("2026-02-02T12:14:00Z", false), ("2026-02-02T12:16:00Z", true)] {
        world.set_clock(clock);
        assert_eq!(world.tick().shut, shut, "{clock}");
    }
}

#[test]
fn a_file_without_calls_has_no_account_to_tell() {
    let world = World::new();
    world.daily("Ada");
    let elsewhere = Elsewhere::new(&world);
    elsewhere.give_key(&world);
    assert!(!world.tick_at(NOON).shut);
    assert_eq!(elsewhere.fake.rings().len(), 1);
}
