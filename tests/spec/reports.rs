//! The report adds up, by the customer's dates. Exports hold every attempt once, and no cell that a
//! spreadsheet would run.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::world::World;

/// Four people on a Monday: two are reached, one is on the do-not-call list, one waits.
fn a_morning() -> World {
    let world = World::new();
    world.daily("Ada");
    world.customer("Ben").in_zone("Pacific/Auckland").at("07:00").paid().welcomed().add();
    world.daily("Cy");
    world.daily("Di");
    world.sql(
        "UPDATE customers SET name = '=HYPERLINK(\"http://example.com\")' WHERE name = 'Ada';
         INSERT INTO do_not_call SELECT phone, 'asked', 'test', created_at FROM customers
           WHERE name = 'Cy';",
    );
    let paused = world.command(&["customers", "pause", "4", "--reason", "holiday"]);
    assert_eq!(paused.code, Some(0), "{paused:?}");
    world.tick_at("2026-02-02T12:00:00Z");
    world.tick_at("2026-02-02T18:00:00Z");
    world
}

fn report(world: &World, arguments: &[&str]) -> Value {
    let mut all = vec!["report", "--from", "2026-02-01", "--to", "2026-02-28", "--json"];
    all.extend(arguments);
    let run = world.command(&all);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.json()
}

/// Due is the sum of what became of it.
fn assert_adds_up(figures: &Value) {
    let count = |name: &str| figures[name].as_i64().expect("a count");
    let skipped: i64 = figures["skipped"]
        .as_object()
        .expect("reasons")
        .values()
        .map(|count| count.as_i64().expect("a count"))
        .sum();
    let parts = ["called", "already_called", "failed", "in_doubt", "waiting"];
    let sum = skipped + parts.map(count).iter().sum::<i64>();
    assert_eq!(count("due"), sum, "{figures}");
}

#[test]
fn a_report_adds_up_and_every_division_has_the_same_total() {
    let world = a_morning();
    let by_day = report(&world, &[]);
    let total = &by_day["total"];
    assert_adds_up(total);
    assert_eq!((&total["called"], &total["reached"]), (&Value::from(2), &Value::from(2)));
    assert_eq!(total["skipped"]["do_not_call"], 1);
    for by in ["day", "week", "month", "type", "disposition"] {
        let made = report(&world, &["--by", by]);
        assert_eq!(&made["total"], total, "{by}");
        let rows = made["rows"].as_array().expect("rows");
        rows.iter().for_each(assert_adds_up);
        let due: i64 = rows.iter().map(|row| row["due"].as_i64().expect("a count")).sum();
        assert_eq!(Value::from(due), total["due"], "{by}");
    }
    let calls = world.count("SELECT count(*) FROM call_attempts WHERE state = 'ended'");
    assert_eq!(total["calls"], calls);
}

#[test]
fn an_occasion_counts_on_the_customers_own_date() {
    let world = a_morning();
    let days: Vec<String> = report(&world, &[])["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| format!("{} {}", row["key"].as_str().expect("a date"), row["called"]))
        .collect();
    // 18:00 UTC on Monday is Tuesday morning in Auckland.
    assert_eq!(days, ["2026-02-02 1", "2026-02-03 1"]);
    let one = world.command(&["report", "--from", "2026-02-03", "--to", "2026-02-03", "--json"]);
    assert_eq!(one.json()["total"]["called"], 1);
}

#[test]
fn cost_and_minutes_are_those_that_the_provider_told() {
    let world = a_morning();
    world.sql("UPDATE call_attempts SET duration_seconds = 90.5 * seq, cost = 0.0123 * seq");
    let total = report(&world, &[])["total"].clone();
    assert_eq!(total["minutes"], 4.53);
    assert_eq!(total["average_seconds"], 135.8);
    assert_eq!(total["cost"], 0.0369);
    world.sql("UPDATE call_attempts SET duration_seconds = NULL, cost = NULL");
    let total = report(&world, &[])["total"].clone();
    assert!(total["average_seconds"].is_null() && total["cost"] == 0.0, "{total}");
}

#[test]
fn the_calls_of_an_erased_person_stay_in_the_figures_and_lose_their_words() {
    let world = a_morning();
    let before = report(&world, &[])["total"]["calls"].clone();
    let erased = world.command(&["customers", "erase", "1", "--reason", "letter"]);
    assert_eq!(erased.code, Some(0), "{erased:?}");
    assert_eq!(report(&world, &[])["total"]["calls"], before);
    let run =
        world.command(&["attempts", "export", "--from", "2026-02-01", "--format", "jsonl", "-"]);
    let rows: Vec<Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let gone = rows.iter().find(|row| row["customer_id"].is_null()).expect("the erased one");
    assert!(gone["result"].is_null() && gone["phone"].is_null(), "{gone}");
}

#[test]
fn an_export_holds_every_attempt_once_and_runs_no_formula() {
    let world = a_morning();
    world.sql(
        "UPDATE call_results SET summary = '+1 said \"yes\"', structured = '{\"=a\": \"@b\", \"n\": -5}'
         WHERE attempt_id = (SELECT id FROM call_attempts WHERE customer_id = 1)",
    );
    let arguments = ["attempts", "export", "--from", "2026-02-01", "--to", "2026-02-28", "out.csv"];
    let run = world.command(&arguments);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:?}");
    let path = world.path("out.csv");
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + world.attempts().len());
    assert!(lines[0].contains("structured: =a") && lines[0].starts_with("attempt_id,"), "{text}");
    assert!(lines[1].contains("\"'=HYPERLINK(\"\"http://example.com\"\")\""), "{text}");
    assert!(lines[1].contains("\"'+1 said \"\"yes\"\"\"") && lines[1].contains(",'@b,"), "{text}");
    assert!(
        lines[1].contains("'+4•••") && lines[1].contains("2026-02-02T07:00:00-05:00"),
        "{text}"
    );
    assert!(lines[1].ends_with(",-5"), "a number stays one: {text}");
    let again = world.command(&arguments);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("there already"), "{again:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("text"), text, "left alone");
    let nowhere = world.command(&["attempts", "export", "no/folder/x.csv"]);
    assert_eq!(nowhere.code, Some(1), "{nowhere:?}");
    let revealed = world.command(&["attempts", "export", "--from", "2026-02-01", "--reveal", "-"]);
    assert!(revealed.stdout.contains("'+4420794"), "{revealed:?}");
    assert_eq!(world.count("SELECT count(*) FROM journal WHERE what = 'reveal'"), 1);
}

#[test]
fn lists_are_csv_too() {
    let world = a_morning();
    for (list, header, rows) in [
        (vec!["customers", "list"], "id,key,external_id,name,", 4),
        (vec!["queue", "list", "--status", "all"], "id,customer_id,customer_name,", 4),
        (vec!["attempts", "list"], "id,seq,queue_id,", 2),
        (vec!["dnc", "list"], "phone,reason,source,created_at", 1),
        (vec!["history", "list"], "call_id,at,local,", 0),
        (vec!["events", "list"], "seq,id,type,state,", 0),
    ] {
        let mut arguments = list.clone();
        arguments.push("--csv");
        let run = world.command(&arguments);
        let lines: Vec<&str> = run.stdout.lines().collect();
        assert!(run.code == Some(0) && lines[0].starts_with(header), "{list:?}: {run:?}");
        assert_eq!(lines.len(), rows + 1, "{list:?}: {run:?}");
        assert!(lines.iter().all(|line| !line.starts_with(['=', '+', '-', '@'])), "{run:?}");
        let file = format!("{}.csv", list[0]);
        let mut arguments = list.clone();
        arguments.extend(["--csv", &file]);
        let run = world.command(&arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{list:?}: {run:?}");
        assert!(std::fs::read_to_string(world.path(&file)).expect("a file").starts_with(header));
    }
}

#[test]
fn a_report_refuses_dates_and_words_that_it_cannot_use() {
    let world = World::new();
    for (arguments, says) in [
        (vec!["--from", "2026-02-30"], "is not a date: write 2026-11-22"),
        (vec!["--from", "2026-2-3"], "is not a date"),
        (vec!["--from", "2026-02-03", "--to", "2026-02-01"], "exchange them"),
        (vec!["--from", "1990-01-01"], "at most 3660 days"),
        (vec!["--by", "wek"], "did you mean week?"),
    ] {
        let mut all = vec!["report"];
        all.extend(arguments.clone());
        let run = world.command(&all);
        assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(says), "{arguments:?}: {run:?}");
    }
    let csv = world.command(&["report", "--csv", "-"]);
    assert!(csv.stdout.starts_with("day,due,called,reached,"), "{csv:?}");
    assert!(csv.stdout.lines().last().is_some_and(|line| line.starts_with("total,0,")), "{csv:?}");
}
