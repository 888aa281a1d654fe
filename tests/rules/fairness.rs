//! Fairness: which call goes first, which waits and why, and that no call waits forever.

use chrono::Duration;
use ringonce::demo::fake_vapi::calls::Timing;
use ringonce::demo::fake_vapi::core::Setup;
use ringonce::domain::customer::CallStatus;
use ringonce::store::meta::pauses::{self, Pause};

use crate::world::{World, at, quick};

fn lasting(talk: Duration) -> Setup {
    Setup { timing: Timing { talk, ..Timing::default() }, ..quick() }
}

/// Names in the order in which they rang.
fn order(world: &World) -> Vec<String> {
    world.lines(
        "SELECT name FROM call_attempts JOIN customers ON customers.id = customer_id ORDER BY seq",
    )
}

#[test]
fn a_pause_of_everything_a_type_a_customer_or_a_number_holds_until_it_is_lifted() {
    let world = World::new();
    let ada = world.daily("Ada");
    let key = world.one("SELECT key FROM customers");
    let phone_key =
        world.context().installation.phone_key(&world.one("SELECT phone FROM customers"));
    let scopes = [
        ("all", true),
        ("type:daily", true),
        ("type:welcome", false),
        (&format!("customer:{key}"), true),
        ("customer:another", false),
        (&format!("number:{phone_key}"), true),
    ];
    for (day, (scope, holds)) in (2..).zip(scopes) {
        let (who, why) = ("Pat".to_string(), "holidays of Pat".to_string());
        let pause =
            Pause { who, why, since: "2026-02-02T11:30:00.000Z".to_string(), ..Default::default() };
        let before = world.rings().len();
        world.store().write(|tx| pauses::set_pause(tx, scope, &pause)).expect("a pause");
        world.tick_at(&format!("2026-02-{day:02}T12:00:00Z"));
        assert_eq!(world.rings().len(), before + usize::from(!holds), "{scope}");
        if holds {
            assert!(world.items().last().is_some_and(|line| line.ends_with("pending paused")));
        }
        world.store().write(|tx| pauses::lift_pause(tx, scope)).expect("a resume");
        world.tick_at(&format!("2026-02-{day:02}T12:30:00Z"));
        assert_eq!(world.rings().len(), before + 1, "{scope}");
    }
    world.sql(&format!("UPDATE customers SET call_status = 'paused' WHERE id = {ada}"));
    world.tick_at("2026-02-09T12:00:00Z");
    assert_eq!(world.rings().len(), scopes.len());
}

#[test]
fn what_is_still_paused_at_its_last_instant_is_skipped_for_that() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.sql("UPDATE customers SET call_status = 'paused'");
    for time in ["12:00", "15:00", "16:00:01"] {
        let seconds = if time.len() == 5 { ":00" } else { "" };
        world.tick_at(&format!("2026-02-02T{time}{seconds}Z"));
    }
    assert_eq!(world.items(), ["Ada daily 2026-02-02 skipped paused"]);
}

#[test]
fn welcome_calls_go_first_when_lines_are_scarce_then_the_oldest_unless_configured_otherwise() {
    let welcome_first = ["Wes", "Eve", "Dan", "Ada"];
    let daily_first = ["Dan", "Ada", "Wes", "Eve"];
    for (config, expected) in [("", welcome_first), ("priority = [\"daily\"]", daily_first)] {
        let config = format!("[dialing]\nmax_active_calls = 1\n{config}");
        let world = World::with(lasting(Duration::minutes(9)), &config);
        world.customer("Ada").at("12:10").paid().welcomed().add();
        world.customer("Dan").at("12:05").paid().welcomed().add();
        world.customer("Eve").signed_up("2026-02-02T11:45:00Z").paid().add();
        world.customer("Wes").signed_up("2026-02-02T11:44:00Z").paid().add();
        for time in ["12:20", "12:30", "12:40", "12:50"] {
            world.tick_at(&format!("2026-02-02T{time}:00Z"));
        }
        assert_eq!(order(&world), expected);
    }
}

#[test]
fn a_stream_of_welcome_calls_does_not_starve_a_daily_call() {
    let config = "[dialing]\nmax_active_calls = 1\n[schedule]\nmax_lateness_minutes = 60";
    let world = World::with(lasting(Duration::minutes(4)), config);
    world.customer("Ada").at("12:00").paid().welcomed().add();
    for number in 0..30 {
        let signed_up = at("2026-02-02T10:00:00Z") + Duration::minutes(number);
        let person = world.customer(&format!("W{number}"));
        person.signed_up(&signed_up.to_rfc3339()).paid().add();
    }
    for minute in (0..=60).step_by(5) {
        world.set_now(at("2026-02-02T12:00:00Z") + Duration::minutes(minute));
        world.tick();
    }
    let order = order(&world);
    let place = order.iter().position(|name| name == "Ada");
    assert!(place.is_some_and(|place| 8 <= place), "{order:?}");
    assert!(10 < order.len());
    assert_eq!(world.one("SELECT status FROM call_queue WHERE call_type = 'daily'"), "completed");
}

#[test]
fn consent_is_asked_for_only_where_it_is_required_and_must_be_whole() {
    let whole = "consent_at = '2026-01-01T00:00:00.000Z', consent_source = 'form',
                 consent_text = 'yes'";
    for (config, set, rings) in [
        ("", "consent_at = NULL", 1),
        ("[customers]\nrequire_consent = true", "consent_at = NULL", 0),
        ("[customers]\nrequire_consent = true", "consent_at = '2026-01-01T00:00:00.000Z'", 0),
        ("[customers]\nrequire_consent = true", whole, 1),
    ] {
        let world = World::with_config(config);
        world.daily("Ada");
        world.sql(&format!("UPDATE customers SET {set}"));
        world.tick_at("2026-02-02T12:00:00Z");
        assert_eq!(world.rings().len(), rings, "{config} {set}");
        world.tick_at("2026-02-02T16:01:00Z");
        let end = if rings == 1 { "completed" } else { "skipped no_consent" };
        assert_eq!(world.items(), [format!("Ada daily 2026-02-02 {end}")]);
    }
}

#[test]
fn a_zone_that_is_not_known_is_never_guessed() {
    let world = World::new();
    world.daily("Ada");
    world.customer("Bea").signed_up("2026-02-02T11:30:00Z").paid().add();
    world.tick_at("2026-02-02T11:45:00Z");
    world.sql("UPDATE customers SET timezone = 'Mars/Olympus'");
    for time in ["02T12:00", "02T16:01", "03T12:00"] {
        world.tick_at(&format!("2026-02-{time}:00Z"));
    }
    assert_eq!(world.posts().len(), 0);
    let mut items = world.items();
    items.sort();
    let ends =
        ["Ada daily 2026-02-02 skipped not_eligible", "Bea welcome welcome pending not_eligible"];
    assert_eq!(items, ends);
}

#[test]
fn who_is_not_to_be_called_any_more_is_asked_again_just_before_the_call() {
    for (change, reason) in [
        ("payment_status = 'Cancelled'", "not_eligible"),
        ("call_status = 'disabled'", "not_eligible"),
        ("call_status = 'paused'", "paused"),
        ("phone_validated = 0", "invalid_phone"),
    ] {
        let world = World::new();
        world.daily("Ada");
        world.tick_at("2026-02-02T11:45:00Z");
        world.sql(&format!("UPDATE customers SET {change}"));
        world.tick_at("2026-02-02T12:00:00Z");
        assert_eq!(world.items(), [format!("Ada daily 2026-02-02 pending {reason}")]);
        world.tick_at("2026-02-02T16:01:00Z");
        assert_eq!(world.items(), [format!("Ada daily 2026-02-02 skipped {reason}")]);
        assert_eq!(world.posts().len(), 0, "{change}");
    }
}

#[test]
fn after_days_of_silence_only_today_is_called_and_each_missed_date_is_recorded_once() {
    let world = World::new();
    world.customer("Ada").at("12:00").paid().welcomed().add();
    world.customer("Bea").at("12:00").paid().welcomed().status(CallStatus::Paused).add();
    world.tick_at("2026-02-05T13:00:00Z");
    world.tick_at("2026-02-05T13:15:00Z");
    let mut items = world.items();
    items.sort();
    assert_eq!(
        items,
        [
            "Ada daily 2026-02-02 skipped too_late",
            "Ada daily 2026-02-03 skipped too_late",
            "Ada daily 2026-02-04 skipped too_late",
            "Ada daily 2026-02-05 completed",
            "Bea daily 2026-02-02 skipped paused",
            "Bea daily 2026-02-03 skipped paused",
            "Bea daily 2026-02-04 skipped paused",
            "Bea daily 2026-02-05 pending paused",
        ]
    );
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn the_end_of_yesterdays_item_never_steps_over_todays_call() {
    // A retry of Monday waits; nothing runs until Tuesday's call is due.
    let setup = Setup { mix: "no_answer=1".parse().expect("a mix"), ..quick() };
    let world = World::with(setup, "");
    world.customer("Ada").at("12:00").paid().welcomed().add();
    world.tick_at("2026-02-02T12:00:00Z");
    world.tick_at("2026-02-03T12:05:00Z");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed", "Ada daily 2026-02-03 retrying"]);
    // Wednesday's call is found on Thursday, when Thursday's call is due.
    world.faults("accept-then-close list-status=503");
    world.tick_at("2026-02-04T12:00:00Z");
    world.faults("");
    world.tick_at("2026-02-05T12:05:00Z");
    let items = world.items();
    assert_eq!(items.len(), 4, "{items:?}");
    assert_eq!(items[3], "Ada daily 2026-02-05 retrying", "{items:?}");
    world.assert_no_phone_rang_twice();
}
