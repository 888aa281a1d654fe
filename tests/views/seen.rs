//! Lists and counts, and how a person acts on them.

use std::sync::Arc;

use chrono::Duration;
use ringonce::domain::call::{CallType, Reason};
use ringonce::steps::do_not_call::{file, list};
use ringonce::steps::forecast::explain::{Outcome, Question, answer, explain};
use ringonce::steps::forecast::plan::plan;
use ringonce::steps::import::holidays;
use ringonce::steps::operate::call_now::{self, due_item, queue_extra};
use ringonce::steps::operate::cancel::{CancelRefused, cancel};
use ringonce::steps::readiness::reach;
use ringonce::steps::status::status;
use ringonce::store::journal::{Act, By};
use ringonce::store::meta::{holds, pauses, scan_inputs};
use ringonce::store::views::{self, ItemFilter};

use crate::world::{World, at};

fn queued() -> (World, i64) {
    let mut world = World::new("2026-03-02T11:00:00Z");
    let ada = world.add("call_time=07:00");
    world.now = at("2026-03-02T11:50:00Z");
    world.scan();
    (world, ada)
}

fn stand(world: &World) -> ringonce::steps::status::Status {
    status(&world.cx.store, (&world.cx.config, &world.cx.timetable), &world.cx.zones, world.now)
        .unwrap()
}

#[test]
fn the_status_counts_what_waits_is_due_and_was_called() {
    let (mut world, _) = queued();
    let before = stand(&world);
    assert!(before.armed, "{:?}", before.not_armed_because);
    assert_eq!((before.due, before.lines_in_use, before.today.called), (0, 0, 0));
    assert_eq!((before.waiting[0].word.as_str(), before.waiting[0].count), ("scheduled", 1));
    assert_eq!(before.next_call_at.as_deref(), Some("2026-03-02T12:00:00.000Z"));
    world.now = at("2026-03-02T12:00:00Z");
    assert_eq!(stand(&world).due, 1);
    world.tick("2026-03-02T12:00:00Z");
    let after = stand(&world);
    assert_eq!((after.due, after.lines_in_use, after.today.called), (0, 1, 1));
    assert_eq!(after.overdue_call.as_ref().map(|call| call.minutes), None);
    world.pass_time(Duration::minutes(61));
    assert_eq!(stand(&world).overdue_call.map(|call| call.minutes), Some(61));
}

#[test]
fn the_next_call_of_a_new_file_waits_for_the_window_and_says_what_holds_it() {
    let mut world = World::new("2026-03-02T04:00:00Z");
    world.add("timezone=America/New_York welcome_call_completed=no");
    world.add("timezone=Europe/London welcome_call_completed=no");
    world.now = at("2026-03-02T05:00:00Z");
    // No scan has run. London's window opens at 08:00.
    let found = stand(&world);
    assert_eq!(found.next_call_at.as_deref(), Some("2026-03-02T08:00:00.000Z"));
    let pause =
        pauses::Pause { who: "Eve".to_string(), why: "busy".to_string(), ..Default::default() };
    world.cx.store.write(|tx| pauses::set_pause(tx, "all", &pause)).unwrap();
    assert_eq!(stand(&world).next_call_waits, Some("paused"));
}

#[test]
fn explain_and_health_judge_a_failing_provider_by_the_same_count_of_failures() {
    let (mut world, ada) = queued();
    world.tick("2026-03-02T11:50:00Z");
    let fails = |world: &World| {
        let write = |tx: &ringonce::store::Tx<'_>| {
            reach::failed(tx, reach::Request::Post, "the connection was refused", world.now)
        };
        world.cx.store.write(write).unwrap();
    };
    let seen = |world: &World| {
        let reasons = stand(world).causes;
        let question = Question { now: world.now, at: world.now, on: None };
        let explained = answer(&world.cx, ada, &question, None).unwrap().unwrap();
        let answers = explained.occasions.iter().flat_map(|told| &told.answers);
        (
            reasons.iter().any(|told| told.cause == "provider_unreachable"),
            answers.filter(|answer| answer.rule == "the provider takes calls").count() > 0,
        )
    };
    fails(&world);
    world.now = at("2026-03-02T12:00:00Z");
    assert_eq!(seen(&world), (false, false));
    fails(&world);
    assert_eq!(seen(&world), (true, true));
}

#[test]
fn a_doubt_is_shown_with_what_to_type() {
    let (mut world, _) = queued();
    world.now = at("2026-03-02T12:00:00Z");
    let intent = world.claim().remove(0);
    let reply = Err(ringonce::provider::PlaceError::InDoubt {
        detail: "the connection was reset".to_string(),
        stop_dialing: false,
    });
    ringonce::steps::dial::record::record(&world.cx, &intent, &reply, world.now).unwrap();
    let found = stand(&world);
    let typed = format!("ringonce attempts resolve {} ", intent.attempt.id);
    assert!(found.in_doubt[0].resolve.starts_with(&typed), "{:?}", found.in_doubt);
    assert_eq!(found.today.failed, 0, "a doubt is not a failure");
}

#[test]
fn a_copied_file_shows_that_it_is_not_armed() {
    let (world, _) = queued();
    let copy = world.folder.path().join("copy.db");
    for ending in ["", "-wal"] {
        let from = format!("{}{ending}", world.cx.store.path().display());
        std::fs::copy(from, format!("{}{ending}", copy.display())).unwrap();
    }
    let store = ringonce::store::Store::look(&copy).unwrap();
    let found = status(&store, (&world.cx.config, &world.cx.timetable), &world.cx.zones, world.now)
        .unwrap();
    assert!(!found.armed);
    assert!(found.not_armed_because.unwrap().contains("adopt"));
}

#[test]
fn a_cancelled_call_is_skipped_and_the_next_date_stands() {
    let (mut world, ada) = queued();
    let id = world.items(ada)[0].id;
    let cx = &world.cx;
    cx.store
        .write(|tx| {
            cancel(cx, tx, id, Act { who: "test", why: "asked", now: world.now }).map(|_| ())
        })
        .unwrap();
    assert_eq!(world.told(ada), ["2026-03-02 skipped cancelled"]);
    let next = world.customer(ada).next_call_scheduled_at.unwrap();
    assert_eq!(next, at("2026-03-03T12:00:00Z"));
    assert!(world.tick("2026-03-02T12:00:00Z").is_empty());
    let cx = &world.cx;
    let again = cx.store.write(|tx| {
        cancel(cx, tx, id, Act { who: "test", why: "asked", now: world.now }).map(|_| ())
    });
    let refused = again.unwrap_err().downcast::<CancelRefused>().unwrap();
    assert!(refused.to_string().contains("is skipped"), "{refused}");
    assert_eq!(world.tick("2026-03-03T12:00:00Z"), [ada]);
}

#[test]
fn a_list_shows_open_items_soonest_first() {
    let (world, ada) = queued();
    let bob = world.add("phone=+12125550102 call_time=06:55");
    world.scan();
    let open = ItemFilter { open: true, ..ItemFilter::default() };
    let listed = world.cx.store.read(|conn| views::items(conn, &open, 9)).unwrap();
    let ids: Vec<i64> = listed.iter().map(|listed| listed.item.customer_id).collect();
    assert_eq!(ids, [bob, ada]);
}

#[test]
fn a_number_on_the_list_is_not_called_although_its_call_is_queued() {
    let (mut world, ada) = queued();
    let file = world.folder.path().join("dnc.csv");
    std::fs::write(&file, "name,phone,reason\nAda,(212) 555-0101,asked\n").unwrap();
    let numbers = file::read_file(&file, Some("US"), None).unwrap().numbers;
    let installation = world.cx.installation.clone();
    assert_eq!(
        list::add(&world.cx.store, &installation, &numbers, By { who: "test", now: world.now })
            .unwrap(),
        1
    );
    assert_eq!(
        list::add(&world.cx.store, &installation, &numbers, By { who: "test", now: world.now })
            .unwrap(),
        0
    );
    assert!(world.tick("2026-03-02T12:00:00Z").is_empty());
    assert_eq!(world.told(ada), ["2026-03-02 skipped do_not_call"]);
    let phone = &numbers[0].phone;
    let gone = list::remove(
        &world.cx.store,
        &installation,
        phone,
        "back",
        By { who: "test", now: world.now },
    );
    assert!(gone.unwrap());
    assert_eq!(world.tick("2026-03-03T12:00:00Z"), [ada]);
}

#[test]
fn a_customer_in_an_unknown_zone_is_never_dialed_is_shown_and_stops_nobody() {
    let mut world = World::new("2026-03-02T11:00:00Z");
    let (ada, bea) =
        (world.add("call_time=07:00"), world.add("phone=+12125550102 call_time=07:00"));
    let new = "phone=+12125550103 welcome_call_completed=0 created_at=2026-03-02T11:00:00Z";
    let (cy, dan) = (world.add(new), world.add("phone=+12125550104 call_time=07:00"));
    let store = Arc::clone(&world.cx.store);
    let move_to = |zone: &str, ids: &[i64]| {
        for id in ids {
            let sql = "UPDATE customers SET timezone = ?1 WHERE id = ?2";
            store.write(|tx| Ok(tx.execute(sql, (zone, id))?)).unwrap();
        }
    };
    let alarm = || store.read(scan_inputs::zoneless).unwrap().map(|found| found.to_string());
    move_to("Mars/Olympus", &[ada, cy]);
    assert!(world.tick("2026-03-02T11:50:00Z").is_empty());
    // Dan's call is already queued when his zone is lost.
    move_to("New York", &[dan]);
    let day = ["12:00", "12:30", "16:30", "18:00"].map(|time| format!("2026-03-02T{time}:00Z"));
    let called: Vec<i64> = day.iter().flat_map(|time| world.tick(time)).collect();
    assert_eq!(called, [bea]);
    let words =
        format!("3 customers are in an unknown time zone, so never called: id {ada}, {cy}, {dan}");
    assert_eq!(alarm(), Some(words));
    for (id, near) in [(ada, ""), (dan, ", such as America/New_York")] {
        let explained = explain(&world.cx, id, world.now, None).unwrap().unwrap();
        let place = explained.place.expect("a warning");
        assert!(place.contains("is not known, so nobody is called"), "{place}");
        assert!(place.ends_with(&format!("names one{near}")), "{place}");
        assert_eq!(explained.rhythm.as_deref(), Some("every day at 07:00"));
        assert_eq!(explained.next_call_at, None);
    }
    assert_eq!(world.told(dan), ["2026-03-02 skipped not_eligible"]);
    move_to("America/New_York", &[ada, cy, dan]);
    let day = ["19:00", "19:15"].map(|time| format!("2026-03-02T{time}:00Z"));
    let called: Vec<i64> = day.iter().flat_map(|time| world.tick(time)).collect();
    assert_eq!((called.as_slice(), alarm()), ([cy].as_slice(), None));
    assert_eq!(world.tick("2026-03-03T12:00:00Z"), [ada, bea, dan]);
}

#[test]
fn explain_foretells_no_ring_that_cannot_be() {
    let retry = |listed: bool| {
        let mut world = World::new("2026-03-02T11:00:00Z");
        let ada = world.add("call_time=07:00");
        world.tick("2026-03-02T12:00:00Z");
        world.end_as("customer-did-not-answer");
        if listed {
            world.never_call(ada);
        }
        explain(&world.cx, ada, world.now, None).unwrap().unwrap()
    };
    assert_eq!(retry(false).next_call_at, Some(at("2026-03-02T14:00:00Z")));
    let told = retry(true);
    let wait = Outcome::Waits { reason: Some(Reason::DoNotCall), until: None };
    assert_eq!((told.occasions[0].outcome, told.next_call_at), (wait, None));

    // The occasion of a holiday ends before the holiday does. The next call is that of the next
    // open date.
    let mut world = World::new("2026-03-02T11:00:00Z");
    let ada = world.add("call_time=07:00");
    let feasts =
        "INSERT INTO holidays VALUES ('*', '2026-03-02', 'one'), ('*', '2026-03-03', 'two')";
    world.cx.store.write(|tx| Ok(tx.execute(feasts, [])?)).unwrap();
    for now in ["2026-03-02T11:30:00Z", "2026-03-02T12:10:00Z"] {
        assert!(world.tick(now).is_empty());
        let told = explain(&world.cx, ada, world.now, None).unwrap().unwrap();
        assert_eq!(told.next_call_at, Some(at("2026-03-04T12:00:00Z")), "{now}");
    }

    // A daily call waits until the welcome call has ended.
    let new = "phone=+12125550102 call_time=07:00 welcome_call_completed=0 \
               created_at=2026-03-02T11:00:00Z payment_status=Paid";
    let mut world = World::with("2026-03-02T11:30:00Z", |config| {
        config.customers.require_consent = true;
    });
    let bea = world.add(new);
    assert!(world.tick("2026-03-02T14:00:00Z").is_empty());
    let told = explain(&world.cx, bea, world.now, None).unwrap().unwrap();
    assert_eq!(told.occasions[0].call_type, CallType::Welcome);
    assert_eq!(told.next_call_at, None);
}

#[test]
fn a_pause_is_shown_in_words_with_its_since() {
    let (world, ada) = queued();
    let customer = world.customer(ada);
    let key = world.cx.installation.phone_key(&customer.phone);
    for (scope, words) in [
        ("all".to_string(), "all calls are"),
        ("type:daily".to_string(), "daily calls are"),
        (format!("customer:{}", customer.key), "this customer is"),
        (format!("number:{key}"), "this number is"),
    ] {
        let since = "2026-03-02T11:40:00.000Z".to_string();
        let pause =
            pauses::Pause { who: "Eve".into(), why: "busy".into(), since, ..Default::default() };
        world.cx.store.write(|tx| pauses::set_pause(tx, &scope, &pause)).unwrap();
        let told = explain(&world.cx, ada, world.now, None).unwrap().unwrap();
        let answers = &told.occasions[0].answers;
        let detail = &answers.iter().find(|answer| answer.rule == "not paused").unwrap().detail;
        let expected = format!("{words} paused by Eve since Mon 2026-03-02 11:40 UTC: busy");
        assert_eq!(detail, &expected);
        world.cx.store.write(|tx| pauses::lift_pause(tx, &scope)).unwrap();
    }
}

#[test]
fn a_do_not_call_file_with_a_line_that_is_not_a_number_is_refused_whole() {
    let world = World::new("2026-03-02T11:00:00Z");
    let file = world.folder.path().join("dnc.txt");
    std::fs::write(&file, "+12125550101\nhello\n+12125550102\n1.4E+10\n").unwrap();
    let read = |reason| file::read_file(&file, None, reason).unwrap();
    let lines: Vec<u64> = read(Some("asked")).problems.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [2, 4]);
    assert_eq!(read(None).problems.len(), 4, "without a reason nothing is taken");
}

#[test]
fn nobody_is_called_on_a_holiday_and_the_plan_says_so_before() {
    let (mut world, ada) = queued();
    let file = world.folder.path().join("days.csv");
    std::fs::write(&file, "country,date,name\nUS,2026-03-02,Tea Day\n").unwrap();
    world.cx.config.holidays.files = vec![file.display().to_string()];
    let days = holidays::read(&world.cx.config.holidays).unwrap();
    let planned = plan(&world.cx, world.now, world.now + Duration::days(2), &days).unwrap();
    let told: Vec<(&str, Option<Reason>)> =
        planned.iter().map(|call| (call.occasion.as_str(), call.against)).collect();
    assert_eq!(told, [("2026-03-02", Some(Reason::Holiday)), ("2026-03-03", None)]);
    world.cx.store.write(|tx| holidays::apply(tx, &days)).unwrap();
    assert!(world.tick("2026-03-02T12:00:00Z").is_empty());
    assert!(world.tick("2026-03-02T17:00:00Z").is_empty());
    assert_eq!(world.told(ada), ["2026-03-02 skipped holiday"]);
    let told = answer(&world.cx, ada, &Question::now(world.now), None).unwrap().unwrap();
    assert_eq!(told.skips[0].detail().as_deref(), Some("Tea Day"));
    assert_eq!(world.tick("2026-03-03T12:00:00Z"), [ada]);
}

#[test]
fn a_holiday_file_that_is_gone_is_an_error_that_names_it() {
    let config = ringonce::config::settings::Holidays {
        files: vec!["/nowhere/days.csv".to_string()],
        blackout_dates: Vec::new(),
    };
    let error = holidays::read(&config).unwrap_err();
    assert!(error.contains("/nowhere/days.csv"), "{error}");
}

#[test]
fn a_call_by_hand_goes_through_the_gate() {
    let (mut world, ada) = queued();
    let ask = |world: &World| {
        let explained = explain(&world.cx, ada, world.now, None).unwrap().unwrap();
        due_item(&world.cx, &explained, None, world.now)
    };
    let early = ask(&world).unwrap_err().downcast::<call_now::CallRefused>().unwrap();
    assert!(early.0.contains("is not due"), "{early}");
    world.now = at("2026-03-02T12:00:00Z");
    assert_eq!(ask(&world).unwrap().occasion, "2026-03-02");
    world.tick("2026-03-02T12:00:00Z");
    let taken = ask(&world).unwrap_err().downcast::<call_now::CallRefused>().unwrap();
    assert!(taken.0.contains("made already"), "{taken}");
}

#[test]
fn an_extra_call_is_its_own_occasion_and_capped() {
    let mut world = World::new("2026-03-02T15:00:00Z");
    let ada = world.add("call_time=07:00");
    let extra = |world: &World| {
        let customer = world.customer(ada);
        let cx = &world.cx;
        cx.store.write(|tx| queue_extra(cx, tx, &customer, "asked", world.now))
    };
    let item = extra(&world).unwrap();
    assert_eq!(item.call_type, CallType::Extra);
    assert!(item.occasion.starts_with("extra:"));
    let waiting = extra(&world).unwrap_err().downcast::<call_now::CallRefused>().unwrap();
    assert!(waiting.0.contains("waits already"), "{waiting}");
    assert_eq!(world.tick("2026-03-02T15:00:00Z"), [ada]);
    world.now = at("2026-03-02T18:00:00Z");
    let capped = extra(&world).unwrap_err().downcast::<call_now::CallRefused>().unwrap();
    assert!(capped.0.contains("cap"), "{capped}");
    assert_eq!(world.customer(ada).last_call_date, None, "an extra call is not a daily call");
    assert_eq!(world.tick("2026-03-03T12:00:00Z"), [ada], "the daily call stands");
}

#[test]
fn explain_shows_what_holds_everything_back() {
    let (mut world, ada) = queued();
    world.now = at("2026-03-02T12:00:00Z");
    let hold = |tx: &ringonce::store::Tx<'_>| holds::hold(tx, "flag", "not proven", world.now);
    world.cx.store.write(hold).unwrap();
    let explained = explain(&world.cx, ada, world.now, None).unwrap().unwrap();
    let outcome = explained.verdict().unwrap().outcome;
    assert_eq!(outcome, Outcome::Waits { reason: Some(Reason::Held), until: None });
}
