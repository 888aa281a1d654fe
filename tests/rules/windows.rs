//! Calling windows by the customer's local time at the moment of dialing; holidays and blackouts.

use crate::world::World;

const NEW_YORK: &str = "America/New_York";

fn not_before(world: &World) -> String {
    world.one("SELECT coalesce(not_before, '-') FROM call_queue")
}

/// A welcome call that falls due long before `now`, asked for at `now`.
fn welcome(world: &World, zone: &str, phone: &str, now: &str) {
    world.customer("Bea").in_zone(zone).phone(phone).signed_up("2026-02-02T00:00:00Z").paid().add();
    world.tick_at(now);
}

#[test]
fn each_preset_opens_and_closes_by_the_customers_own_clock_and_weekday() {
    let us = "+12125550101";
    let uk = "+442079460101";
    for (preset, zone, phone, now, opens) in [
        ("us-federal", NEW_YORK, us, "2026-02-03T01:59:00Z", None),
        ("us-federal", NEW_YORK, us, "2026-02-03T02:00:00Z", Some("2026-02-03T13:00:00.000Z")),
        ("us-florida", NEW_YORK, us, "2026-02-03T00:59:00Z", None),
        ("us-florida", NEW_YORK, us, "2026-02-03T01:00:00Z", Some("2026-02-03T13:00:00.000Z")),
        ("us-federal", "Pacific/Honolulu", us, "2026-02-03T02:00:00Z", None),
        ("uk", "Europe/London", uk, "2026-02-07T08:59:00Z", Some("2026-02-07T09:00:00.000Z")),
        ("uk", "Europe/London", uk, "2026-02-08T12:00:00Z", Some("2026-02-09T08:00:00.000Z")),
        ("ca", "America/Toronto", us, "2026-02-07T14:30:00Z", Some("2026-02-07T15:00:00.000Z")),
        ("ca", "America/Toronto", us, "2026-02-04T02:29:00Z", None),
        ("au", "Australia/Perth", uk, "2026-02-07T09:00:00Z", Some("2026-02-09T01:00:00.000Z")),
        ("fr", "Europe/Paris", uk, "2026-02-04T12:30:00Z", Some("2026-02-04T13:00:00.000Z")),
        ("fr", "Europe/Paris", uk, "2026-02-06T19:00:00Z", Some("2026-02-09T09:00:00.000Z")),
    ] {
        let world = World::with_config(&format!("[calling_window]\npreset = \"{preset}\""));
        welcome(&world, zone, phone, now);
        assert_eq!(world.rings().len(), usize::from(opens.is_none()), "{preset} {now}");
        if let Some(opens) = opens {
            assert_eq!(not_before(&world), opens, "{preset} {now}");
            assert_eq!(world.items(), ["Bea welcome welcome pending outside_window"]);
            world.tick_at(opens);
            assert_eq!(world.rings().len(), 1, "{preset} {opens}");
        }
    }
}

#[test]
fn weekdays_of_their_own_and_the_stop_margin_bind_every_call_not_at_its_chosen_time() {
    let config = "[calling_window]\nstop_margin_minutes = 10\n\
                  days = { monday = \"09:00-12:00,14:00-16:00\", tuesday = \"closed\" }";
    for (now, opens) in [
        ("2026-02-02T11:49:59Z", None),
        ("2026-02-02T11:50:00Z", Some("2026-02-02T14:00:00.000Z")),
        ("2026-02-02T15:50:00Z", Some("2026-02-04T08:00:00.000Z")),
        ("2026-02-04T20:50:00Z", Some("2026-02-05T08:00:00.000Z")),
    ] {
        let world = World::with_config(config);
        welcome(&world, "Europe/London", "+442079460101", now);
        assert_eq!(world.rings().len(), usize::from(opens.is_none()), "{now}");
        assert_eq!(not_before(&world), opens.unwrap_or("-"), "{now}");
    }
}

#[test]
fn the_time_that_the_customer_chose_is_honoured_unless_the_window_is_strict() {
    for (config, scanned, expected) in [
        ("", "22:00", "Ada daily 2026-02-02 completed"),
        ("", "22:29", "Ada daily 2026-02-02 completed"),
        ("", "22:31", "Ada daily 2026-02-02 skipped too_late"),
        ("[calling_window]\nstrict = true", "22:00", "Ada daily 2026-02-02 skipped outside_window"),
        ("[calling_window]\nstrict = true", "22:29", "Ada daily 2026-02-02 skipped outside_window"),
    ] {
        let world = World::with_config(config);
        world.customer("Ada").at("22:00").paid().welcomed().add();
        world.tick_at(&format!("2026-02-02T{scanned}:00Z"));
        world.tick_at("2026-02-02T23:00:00Z");
        assert_eq!(world.items(), [expected], "{config} {scanned}");
        let rings = usize::from(expected.ends_with("completed"));
        assert_eq!(world.rings().len(), rings, "{config} {scanned}");
    }
}

#[test]
fn an_early_time_waits_for_a_strict_window_and_a_late_call_for_the_next_date() {
    let world = World::with_config("[calling_window]\nstrict = true");
    world
        .customer("Ada")
        .at("07:00")
        .paid()
        .welcomed()
        .next_call(Some("2026-02-03T07:00:00Z"))
        .add();
    world.tick_at("2026-02-03T07:00:00Z");
    assert_eq!((world.rings().len(), not_before(&world).as_str()), (0, "2026-02-03T08:00:00.000Z"));
    world.tick_at("2026-02-03T08:00:00Z");
    assert_eq!(world.rings().len(), 1);

    // Chosen 20:45, the window ends at 21:00, the half hour of the chosen time at 21:15.
    for (now, rings) in [("21:15", 1), ("21:16", 0)] {
        let world = World::new();
        world.customer("Ada").at("20:45").paid().welcomed().add();
        world.tick_at(&format!("2026-02-02T{now}:00Z"));
        assert_eq!(world.rings().len(), rings, "{now}");
    }
}

#[test]
fn the_window_follows_the_clocks_when_they_change() {
    for (now, opens) in [
        ("2026-03-07T12:30:00Z", "2026-03-07T13:00:00.000Z"),
        ("2026-03-08T06:30:00Z", "2026-03-08T12:00:00.000Z"),
        ("2026-11-01T05:30:00Z", "2026-11-01T13:00:00.000Z"),
        ("2026-10-31T11:30:00Z", "2026-10-31T12:00:00.000Z"),
    ] {
        let world = World::new();
        welcome(&world, NEW_YORK, "+12125550101", now);
        assert_eq!(not_before(&world), opens, "{now}");
    }
}

#[test]
fn a_zone_that_contradicts_the_phone_needs_both_countries_open_when_the_window_is_strict() {
    let strict = "[calling_window]\nstrict = true";
    let us = "+12125550101";
    for (config, zone, phone, now, opens) in [
        ("", "Europe/London", us, "2026-02-02T12:00:00Z", None),
        (strict, NEW_YORK, us, "2026-02-02T13:00:00Z", None),
        // The last of the American zones opens at 18:00 in London.
        (strict, "Europe/London", us, "2026-02-02T12:00:00Z", Some("2026-02-02T18:00:00.000Z")),
        (strict, "Europe/London", us, "2026-02-02T18:00:00Z", None),
        // A British number is not called on Sunday, whichever zone the customer gives.
        (
            strict,
            NEW_YORK,
            "+442079460101",
            "2026-02-08T15:00:00Z",
            Some("2026-02-09T13:00:00.000Z"),
        ),
        // No hour is open in both places.
        (strict, "Australia/Sydney", us, "2026-02-02T12:00:00Z", Some("never")),
    ] {
        let world = World::with_config(config);
        welcome(&world, zone, phone, now);
        assert_eq!(world.rings().len(), usize::from(opens.is_none()), "{zone} {now}");
        match opens {
            Some("never") => {
                assert_eq!(world.items(), ["Bea welcome welcome pending outside_window"])
            }
            Some(opens) => assert_eq!(not_before(&world), opens, "{zone} {now}"),
            None => {}
        }
    }
}

#[test]
fn explain_flags_a_phone_of_another_country_than_the_time_zones() {
    let strict = "[calling_window]\nstrict = true";
    for (config, zone, phone, says) in [
        ("", "Europe/London", "+442079460101", ""),
        ("", NEW_YORK, "+12125550101", ""),
        ("", "Europe/London", "+12125550101", "the phone is of US, the time zone of GB; the zone"),
        (strict, NEW_YORK, "+442079460101", "the phone is of GB, the time zone of US; the windows"),
    ] {
        let world = World::with_config(config);
        world.customer("Ada").in_zone(zone).phone(phone).at("12:00").paid().welcomed().add();
        let json = world.command(&["explain", "--json", "1"]).json();
        let place = json["customer"]["place"].as_str().unwrap_or_default().to_string();
        assert!(place.starts_with(says) && place.is_empty() == says.is_empty(), "{zone} {place}");
        let told = world.command(&["explain", "1"]).stdout;
        assert_eq!(told.contains("the phone is of"), !says.is_empty(), "{told}");
    }
}

#[test]
fn on_a_holiday_or_a_blackout_date_nobody_there_is_called() {
    for (country, zone, skips) in [
        ("GB", "Europe/London", true),
        ("US", "Europe/London", false),
        ("*", "Europe/London", true),
        ("US", NEW_YORK, true),
        ("GB", NEW_YORK, false),
    ] {
        let world = World::new();
        world.sql(&format!("INSERT INTO holidays VALUES ('{country}', '2026-02-02', 'a feast')"));
        let phone = |n: u32| format!("+44207946020{n}");
        world.customer("Ada").phone(&phone(1)).in_zone(zone).at("12:00").paid().welcomed().add();
        let bea = world.customer("Bea").phone(&phone(2)).in_zone(zone);
        bea.signed_up("2026-02-02T11:00:00Z").paid().add();
        for time in ["02T12:00", "02T17:00", "02T21:30", "03T04:59", "03T13:00", "03T17:00"] {
            world.tick_at(&format!("2026-02-{time}:00Z"));
        }
        let mut items = world.items();
        items.sort();
        let today = if skips { "skipped holiday" } else { "completed" };
        let expected = [
            format!("Ada daily 2026-02-02 {today}"),
            "Ada daily 2026-02-03 completed".to_string(),
            "Bea welcome welcome completed".to_string(),
        ];
        assert_eq!(items, expected, "{country} {zone}");
        let early = world
            .rings()
            .iter()
            .filter(|ring| ring.at.to_rfc3339().as_str() < "2026-02-03")
            .count();
        assert_eq!(early, if skips { 0 } else { 2 }, "{country} {zone}");
    }
}
