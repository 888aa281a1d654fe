//! Two features at once, each right alone. Together they must not ring a phone twice, ring one that
//! must stay silent, or silently lose an occasion.

use ringonce::store::file::lock::{DialerLock, LockAnswer};

use crate::arming::{copy_to, restore};
use crate::world::World;

const NOON: &str = "2026-02-02T12:00:00Z";
const QUEUE: &str =
    "id,customer_id,call_type,scheduled_for,status,attempts,vapi_call_id,created_at\n";

#[test]
fn a_second_configuration_beside_a_dialer_takes_no_holiday_away() {
    let world = World::with_config("[holidays]\nblackout_dates = [\"2026-02-02\"]\n");
    world.daily("Ada");
    assert_eq!(world.command(&["tick"]).code, Some(0));
    assert_eq!(world.count("SELECT count(*) FROM holidays"), 1);
    // An old crontab line, or a person in another folder, uses a file without holidays.
    let own = std::fs::read_to_string(world.path("ringonce.toml")).unwrap();
    let other = own.split("[holidays]").next().unwrap();
    std::fs::write(world.path("other.toml"), other).unwrap();
    world.set_clock(NOON);
    let LockAnswer::Mine(dialer) = DialerLock::take(&world.db(), world.now()).unwrap() else {
        panic!("nobody else dials")
    };
    for command in [&["tick"][..], &["reconcile"], &["call", "1"]] {
        let run = world.command(&[command, &["--config", "other.toml"]].concat());
        assert_eq!(world.count("SELECT count(*) FROM holidays"), 1, "{command:?}: {run:?}");
    }
    drop(dialer);
    world.tick();
    assert!(world.rings().is_empty(), "{:?}", world.items());
}

/// An old scheduler's rows for Ada, whose daily call is due at noon, imported at 12:10.
fn took_over(rows: &[&str]) -> World {
    let world = World::new();
    world.daily("Ada");
    world.sql("UPDATE customers SET external_id = '7' WHERE name = 'Ada'");
    world.set_clock("2026-02-02T12:10:00Z");
    std::fs::write(world.path("queue.csv"), format!("{QUEUE}{}\n", rows.join("\n"))).unwrap();
    let run = world.command(&["queue", "import", "queue.csv"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    world.tick_at("2026-02-02T12:15:00Z");
    world.tick_at("2026-02-02T13:00:00Z");
    world
}

#[test]
fn every_unfinished_row_of_an_old_queue_blocks_its_own_date() {
    let world = took_over(&[
        "1,7,daily,2026-02-01T12:00:00Z,processing,1,,2026-02-01T11:40:00Z",
        "2,7,daily,2026-02-02T12:00:00Z,processing,1,,2026-02-02T11:40:00Z",
    ]);
    assert!(world.rings().is_empty(), "nobody knows whether today's call was made");
    assert_eq!(
        world.items(),
        ["Ada daily 2026-02-01 failed in_doubt", "Ada daily 2026-02-02 failed in_doubt"]
    );
    assert_eq!(
        world.attempts(),
        ["Ada daily 2026-02-01 #1 in_doubt", "Ada daily 2026-02-02 #1 in_doubt"]
    );
}

#[test]
fn a_row_of_an_old_queue_that_was_called_counts_before_an_older_one_that_waits() {
    let world = took_over(&[
        "1,7,daily,2026-02-02T12:00:00Z,pending,0,,2026-02-02T11:00:00Z",
        "2,7,daily,2026-02-02T12:00:00Z,failed,1,old-1,2026-02-02T11:40:00Z",
    ]);
    assert!(world.rings().is_empty(), "{:?}", world.items());
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended unknown"]);
}

#[test]
fn a_welcome_that_is_found_late_steps_over_no_daily_call() {
    let world = World::with_faults("accept-then-close:first=1");
    let ada = world.customer("Ada").at("12:00").paid();
    ada.signed_up("2026-02-01T08:00:00Z").add();
    world.tick();
    assert_eq!(world.attempts(), ["Ada welcome welcome #1 in_doubt"]);
    // The list lags; the daily calls continue beside the doubt.
    world.faults("list-lag=100000");
    world.tick_at("2026-02-02T12:30:00Z");
    assert_eq!(world.rings().len(), 2);
    // Nothing runs until half an hour after the next day's time; then the welcome call is found.
    world.faults("");
    world.tick_at("2026-02-03T12:30:00Z");
    assert_eq!(
        world.items(),
        [
            "Ada welcome welcome completed",
            "Ada daily 2026-02-02 completed",
            "Ada daily 2026-02-03 completed"
        ]
    );
    assert_eq!(world.rings().len(), 3);
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_welcome_that_a_restored_file_adopts_steps_over_no_daily_call() {
    let world = World::new();
    let ada = world.customer("Ada").at("12:00").paid();
    ada.signed_up("2026-02-01T08:00:00Z").add();
    let backup = copy_to(&world, "backup.db");
    world.tick();
    world.tick_at("2026-02-02T12:30:00Z");
    assert_eq!(world.rings().len(), 2);
    restore(&world, &backup);
    world.tick_at("2026-02-03T12:30:00Z");
    assert_eq!(world.rings().len(), 3, "{:?}", world.items());
    assert_eq!(world.items()[2], "Ada daily 2026-02-03 completed");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_call_of_a_forgotten_zone_hides_no_date_of_the_zone_that_a_restored_file_knows() {
    let world = World::new();
    world.customer("Ada").at("20:15").paid().welcomed().add();
    world.tick_at("2026-02-02T20:15:00Z");
    let backup = copy_to(&world, "backup.db");
    // Fourteen hours ahead of UTC it is already the next date.
    let moved = ["customers", "update", "1", "--timezone", "Pacific/Kiritimati", "--call-time"];
    let moved = world.command(&[&moved[..], &["10:00"]].concat());
    assert_eq!(moved.code, Some(0), "{moved:?}");
    world.tick_at("2026-02-03T20:00:00Z");
    assert_eq!(world.rings().len(), 2, "{:?}", world.attempts());
    restore(&world, &backup);
    for time in ["2026-02-04T13:00:00Z", "2026-02-05T20:15:00Z"] {
        world.tick_at(time);
    }
    assert_eq!(
        world.items(),
        [
            "Ada daily 2026-02-02 completed",
            "Ada daily 2026-02-03 skipped too_late",
            "Ada daily 2026-02-04 completed already_called",
            "Ada daily 2026-02-05 completed",
        ]
    );
    let run = world.command(&["audit"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_welcome_that_is_tried_again_steps_over_no_daily_call() {
    let reason = "call.start.error-get-assistant";
    let world = World::with_faults(&format!("ended-reason={reason} get-status=503"));
    let ada = world.customer("Ada").at("12:00").paid();
    ada.signed_up("2026-02-01T08:00:00Z").add();
    world.tick();
    world.faults("");
    // Nothing runs until half an hour after the next day's time, which then finds the call's end.
    world.tick_at("2026-02-03T12:30:00Z");
    world.tick_at("2026-02-03T13:30:00Z");
    world.tick_at("2026-02-03T14:30:00Z");
    let daily: Vec<String> =
        world.items().into_iter().filter(|item| item.contains("daily")).collect();
    assert_eq!(
        daily,
        ["Ada daily 2026-02-02 skipped too_late", "Ada daily 2026-02-03 completed"],
        "{:?}",
        world.attempts()
    );
    assert_eq!(world.posts().len(), 3, "twice to welcome her, once for the day");
}

#[test]
fn a_welcome_flag_that_somebody_cleared_stops_no_daily_calls() {
    let world = World::new();
    let ada = world.customer("Ada").at("12:00").paid();
    ada.signed_up("2026-02-01T08:00:00Z").add();
    world.tick();
    world.sql("UPDATE customers SET welcome_call_completed = 0");
    world.tick_at("2026-02-02T12:30:00Z");
    world.tick_at("2026-02-03T12:00:00Z");
    assert_eq!(world.rings().len(), 3, "{:?}", world.items());
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_line_of_the_do_not_call_file_that_a_full_disk_cut_swallows_no_later_number() {
    let world = World::new();
    let add = |phone: &str| world.command(&["dnc", "add", phone, "--reason", "asked"]);
    assert_eq!(add("+442079460991").code, Some(0));
    // A full disk cut off a line. That number was refused, and added again later.
    let side = world.path("ringonce.db.do-not-call");
    let mut text = std::fs::read_to_string(&side).unwrap();
    text.push_str("2026-02-02T11:30:00.000Z\tadd\t+4420");
    std::fs::write(&side, text).unwrap();
    assert_eq!(add("+442079460992").code, Some(0));
    // A backup from before is restored, so only the side file has the numbers.
    world.sql("DELETE FROM do_not_call");
    world.tick();
    let listed = world.lines("SELECT phone FROM do_not_call ORDER BY phone");
    assert_eq!(listed, ["+442079460991", "+442079460992"]);
}

#[test]
fn a_date_of_a_made_call_that_has_not_come_is_refused_everywhere() {
    let world = World::new();
    let header =
        "name,phone,timezone,call_time,payment_status,welcome_call_completed,last_call_date\n";
    let row =
        |date: &str| format!("{header}Ada,+12125550101,America/New_York,07:00,Paid,1,{date}\n");
    std::fs::write(world.path("bad.csv"), row("2062-02-01")).unwrap();
    let run = world.command(&["customers", "import", "bad.csv"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    let told = format!("{}{}", run.stdout, run.stderr);
    assert!(told.contains("line 2") && told.contains("last_call_date"), "{told}");
    std::fs::write(world.path("good.csv"), row("2026-02-01")).unwrap();
    assert_eq!(world.command(&["customers", "import", "good.csv"]).code, Some(0));
    let late = ["--last-call-date", "2062-02-01"];
    let run = world.command(&[&["customers", "update", "1"], &late[..]].concat());
    assert_eq!(run.code, Some(2), "{run:?}");
    let add = ["customers", "add", "--phone", "+12125550102", "--timezone", "Europe/London"];
    assert_eq!(world.command(&[&add[..], &late[..]].concat()).code, Some(2));
    assert_eq!(world.one("SELECT last_call_date FROM customers"), "2026-02-01");
    world.tick_at(NOON);
    assert_eq!(world.rings().len(), 1, "the daily calls go on");
}

#[test]
fn a_link_to_the_database_is_the_database() {
    let world = World::new();
    world.daily("Ada");
    std::os::unix::fs::symlink(world.db(), world.path("link.db")).unwrap();
    world.set_clock(NOON);
    let tick = || world.command(&["tick", "--db", "link.db"]);
    let LockAnswer::Mine(dialer) = DialerLock::take(&world.db(), world.now()).unwrap() else {
        panic!("nobody else dials")
    };
    let run = tick();
    assert!(run.stdout.contains("another dialer is running"), "{run:?}");
    drop(dialer);
    assert_eq!(tick().code, Some(0));
    assert_eq!(world.rings().len(), 1);
    let add = ["dnc", "add", "+442079460991", "--reason", "asked", "--db", "link.db"];
    assert_eq!(world.command(&add).code, Some(0));
    assert!(world.path("ringonce.db.do-not-call").exists(), "the file lies beside the database");
}

#[test]
fn a_dialer_on_an_empty_file_says_that_it_calls_nobody() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(NOON);
    // A crontab line without --db, in a folder other than the database's.
    let elsewhere = world.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let mut tick = world.program(&["tick", "--config", "../ringonce.toml"]);
    for _ in 0..2 {
        let run = crate::world::run_of(tick.current_dir(&elsewhere).output().unwrap());
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stderr.contains("ringonce.db holds no customers"), "{run:?}");
    }
    let run = world.command(&["tick"]);
    assert!(!run.stderr.contains("holds no customers"), "{run:?}");
    assert_eq!(world.rings().len(), 1);
}
