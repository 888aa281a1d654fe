//! Results over HTTP: one attempt, the attempts that changed, recordings, and the fake provider's
//! own webhooks, which bring a result also when they are doubled, shuffled or lost.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::house::{House, Plan, SECRET, TOKEN, customer};
use crate::pages::Visitor;

const RESULTS: &str = "SELECT count(*) FROM call_results WHERE structured <> '{}'";

/// A house whose fake sends webhooks, after one call that is over.
fn heard(faults: &'static str, config: &str) -> House {
    let mut house = House::build(&Plan { faults, config: config.to_string(), ..Plan::default() });
    let receiver = format!("http://{}/webhooks/vapi", house.address).parse().expect("loopback");
    house.fake.push_to(receiver, Some(SECRET.to_string())).expect("a thread");
    house.place_calls(1);
    house
}

fn the_attempt(house: &House) -> Value {
    house.get("/api/attempts")["attempts"][0].clone()
}

#[test]
fn webhooks_of_the_fake_bring_a_result_also_when_they_are_lost_doubled_or_shuffled() {
    for faults in [
        "",
        "webhook-doubled webhook-shuffled=20",
        "webhook-lost:share=0.5",
        "webhook-lost",
        "analysis-lag=40 outputs-lag=70 webhook-shuffled=30",
    ] {
        let house = heard(faults, "");
        for second in [20, 40, 55] {
            house.set_clock(&format!("2026-11-23T12:00:{second}Z"));
        }
        for minute in 1..=20 {
            house.set_clock(&format!("2026-11-23T12:{minute:02}:00Z"));
            if house.count(RESULTS) == 1 && minute > 3 {
                break;
            }
            house.wait_for("the follower", || {
                house.count(RESULTS) == 1 || house.get("/api/status").is_object()
            });
        }
        house.wait_for("the result", || house.count(RESULTS) == 1);
        // The report brings the result at once. The provider's answer ends the call.
        house.wait_for("the end", || the_attempt(&house)["state"] == "ended");
        let attempt = the_attempt(&house);
        let id = attempt["id"].as_str().expect("an id").to_string();
        let whole = house.get(&format!("/api/attempts/{id}"));
        assert_eq!(whole["state"], "ended", "{faults}: {whole}");
        assert!(whole["result"]["structured"]["Mood"].is_string(), "{faults}: {whole}");
        assert!(whole["result"].get("transcript").is_none(), "{faults}: {whole}");
        assert_eq!(house.fake.rings().len(), 1, "{faults}");
    }
}

#[test]
fn a_revealed_attempt_shows_phone_and_transcript_and_the_journal_records_it() {
    let house = heard("", "[results]\ntranscript = true\n");
    house.set_clock("2026-11-23T12:02:00Z");
    house.wait_for("the result", || house.count(RESULTS) == 1);
    let id = the_attempt(&house)["id"].as_str().expect("an id").to_string();
    let reveals = "SELECT count(*) FROM journal WHERE what = 'reveal' AND who = 'api'";
    let masked = house.get(&format!("/api/attempts/{}", &id[..10]));
    assert_eq!((masked["id"].as_str(), house.count(reveals)), (Some(id.as_str()), 0));
    assert_ne!(masked["phone"], "+12125550101");
    let whole = house.get(&format!("/api/attempts/{id}?reveal=true"));
    assert_eq!(whole["phone"], "+12125550101");
    assert!(whole["result"]["transcript"].as_str().is_some_and(|text| text.contains("Hi")));
    assert_eq!(house.count(reveals), 1);
    assert_eq!(house.api("GET", "/api/attempts/ffffffff", &Value::Null).status, 404);
}

#[test]
fn a_reader_of_changes_misses_none_and_reads_no_unchanged_attempt_again() {
    let customers = (1..=7).map(|number| customer(number, "07:00")).collect();
    let house = House::build(&Plan { customers, ..Plan::default() });
    house.place_calls(7);
    house.set_clock("2026-11-23T12:02:00Z");
    house.wait_for("the results", || house.count(RESULTS) == 7);
    let mut mirror: BTreeMap<String, Value> = BTreeMap::new();
    let mut cursor = 0;
    let mut reads = 0;
    let mut read = |mirror: &mut BTreeMap<String, Value>, limit: usize| {
        let page = house.get(&format!("/api/attempts?changed_after={cursor}&limit={limit}"));
        for row in page["attempts"].as_array().expect("rows") {
            reads += 1;
            mirror.insert(row["id"].as_str().expect("an id").to_string(), row.clone());
        }
        cursor = page["next"].as_i64().expect("a cursor");
        (page["attempts"].as_array().map_or(0, Vec::len), page["more"].clone(), reads)
    };
    // While pages are read, rows change: those read already and those not read yet.
    let change = |name: &str, row: usize| {
        let sql = format!(
            "UPDATE call_results SET summary = '{name}' WHERE attempt_id =
               (SELECT id FROM call_attempts ORDER BY seq LIMIT 1 OFFSET {row})"
        );
        house.database().execute_batch(&sql).expect("a change");
    };
    assert_eq!(read(&mut mirror, 3).0, 3);
    change("first", 0);
    change("last", 6);
    change("first again", 0);
    assert_eq!(read(&mut mirror, 3), (3, json!(true), 6));
    assert_eq!(read(&mut mirror, 3), (2, json!(false), 8));
    assert_eq!(read(&mut mirror, 3), (0, json!(false), 8), "nothing is read again");
    assert_eq!(mirror.len(), 7);
    for (id, row) in &mirror {
        assert_eq!(*row, {
            let mut whole = house.get(&format!("/api/attempts/{id}"));
            whole["result"].as_object_mut().expect("a result").remove("transcript");
            whole
        });
    }
    change("later", 3);
    assert_eq!(read(&mut mirror, 100).0, 1);
}

#[test]
fn a_cursor_of_another_database_is_refused_and_adopting_moves_the_numbers_ahead() {
    let house = House::build(&Plan::default());
    house.place_calls(1);
    let ahead = house.api("GET", "/api/attempts?changed_after=999999999999", &Value::Null);
    assert_eq!((ahead.status, &ahead.json()["field"]), (422, &json!("changed_after")));
    for query in ["changed_after=1&state=ended", "changed_after=-1", "changed_after=x"] {
        let answer = house.api("GET", &format!("/api/attempts?{query}"), &Value::Null);
        assert_eq!(answer.status, 422, "{query}");
    }
}

#[test]
fn a_recording_is_a_redirect_to_the_providers_short_lived_address() {
    let house = heard("", "");
    house.set_clock("2026-11-23T12:02:00Z");
    house.wait_for("the end", || the_attempt(&house)["state"] == "ended");
    let id = the_attempt(&house)["id"].as_str().expect("an id").to_string();
    let path = format!("/api/attempts/{id}/recording");
    let answer = house.api("GET", &path, &Value::Null);
    assert_eq!(answer.status, 302, "{}", answer.body);
    let to = answer.header("location").expect("an address").to_string();
    assert!(to.starts_with(&format!("{}/recordings/", house.fake.base_url())), "{to}");
    let reveals = "SELECT count(*) FROM journal WHERE what = 'reveal' AND new = 'recording'";
    assert_eq!(house.count(reveals), 1);
    assert_eq!(house.ask("GET", &path, &[], "").status, 401, "not without the token");
    for (faults, status) in [("no-recording", 404), ("down=500", 502), ("down=401", 502)] {
        house.fake.set_faults(faults.parse().expect("faults"));
        let answer = house.api("GET", &path, &Value::Null);
        assert_eq!(answer.status, status, "{faults}: {}", answer.body);
    }
    assert_eq!(house.count(reveals), 1, "nobody heard anything");
    let page = house.ask("GET", &format!("/calls/{id}/recording"), &[], "");
    assert_eq!(page.status, 401, "the page asks to sign in");
    let bearer = format!("Bearer {TOKEN}");
    house.fake.set_faults("".parse().expect("no faults"));
    let page =
        house.ask("GET", &format!("/calls/{id}/recording"), &[("Authorization", &bearer)], "");
    assert_eq!(page.status, 302);
    let by_page = "SELECT count(*) FROM journal WHERE what = 'reveal' AND who = 'page'";
    assert_eq!(house.count(by_page), 1);
}

#[test]
fn the_api_and_the_command_show_the_same_figures() {
    let customers = (1..=3).map(|number| customer(number, "07:00")).collect();
    let house = House::build(&Plan { customers, ..Plan::default() });
    house.place_calls(3);
    house.set_clock("2026-11-23T12:02:00Z");
    house.wait_for("the results", || house.count(RESULTS) == 3);
    for by in ["day", "week", "month", "type", "disposition"] {
        let by_api = house.get(&format!("/api/report?from=2026-11-01&to=2026-11-30&by={by}"));
        let dates = ["--from", "2026-11-01", "--to", "2026-11-30", "--by", by, "--json"];
        let said = house.said(&[["report"].as_slice(), &dates].concat());
        assert_eq!(by_api, serde_json::from_str::<Value>(&said).expect("JSON"), "{by}");
        assert_eq!(by_api["total"]["called"], 3, "{by_api}");
    }
}

#[test]
fn the_customers_page_and_explain_show_what_was_said_and_the_transcript_only_on_demand() {
    let house = heard(
        "long-transcript=300 reports-value=Wish=<b>tea</b>",
        "[results]\ntranscript = true\n",
    );
    house.set_clock("2026-11-23T12:02:00Z");
    house.wait_for("the result", || house.count(RESULTS) == 1);
    let summary: String = house
        .database()
        .query_one("SELECT summary FROM call_results", [], |row| row.get(0))
        .expect("a summary");
    let visitor = Visitor::signed_in(&house);
    let page = visitor.get("/customers/id:1");
    assert!(page.contains(&summary) && page.contains("Needs help"), "{page}");
    assert!(page.contains("&lt;b&gt;tea") && !page.contains("<b>tea"), "{page}");
    assert!(!page.contains("this is your call"), "the transcript is not on the page: {page}");
    let explained = house.said(&["explain", "u1"]);
    assert!(explained.contains(&summary) && explained.contains("Needs help: "), "{explained}");
    let as_json = house.get("/api/customers/u1/explain");
    assert_eq!(as_json["past_calls"][0]["result"]["summary"], json!(summary));
    let id = the_attempt(&house)["id"].as_str().expect("an id").to_string();
    let reveals = "SELECT count(*) FROM journal WHERE what = 'reveal' AND who = 'page'";
    let path = format!("/calls/{id}/transcript");
    assert_eq!(visitor.post(&path, "mark=wrong").status, 403);
    assert_eq!(house.count(reveals), 0);
    let words = visitor.post(&path, &format!("mark={}", visitor.mark()));
    assert!(words.status == 200 && words.body.contains("this is your call"), "{}", words.body);
    assert_eq!(house.count(reveals), 1);
    let shown = house.said(&["attempts", "show", &id]);
    assert!(shown.contains(&summary) && !shown.contains("this is your call"), "{shown}");
    let revealed = house.said(&["attempts", "show", &id, "--reveal"]);
    assert!(revealed.contains("this is your call") && revealed.contains("+12125550101"));
    assert_eq!(house.count("SELECT count(*) FROM journal WHERE what = 'reveal'"), 2);
    let reports = visitor.get("/reports?from=2026-11-01&to=2026-11-30&by=type");
    assert!(reports.contains("daily") && reports.contains("Reached"), "{reports}");
}

#[test]
fn an_opt_out_during_the_call_is_on_the_list_before_the_call_ends() {
    let house = heard("calls-tool=stop_calling", "[do_not_call]\ntool_name = \"stop_calling\"\n");
    house.set_clock("2026-11-23T12:00:12Z");
    let listed = "SELECT count(*) FROM do_not_call WHERE phone = '+12125550101'";
    house.wait_for("the list", || house.count(listed) == 1);
    assert_eq!(the_attempt(&house)["state"], "placed", "the call still goes on");
    house.set_clock("2026-11-24T12:00:00Z");
    house.wait_for("the next day", || {
        house.count("SELECT count(*) FROM call_queue WHERE reason = 'do_not_call'") == 1
    });
    assert_eq!(house.fake.rings().len(), 1);
}

#[test]
fn an_opt_out_that_comes_after_the_summary_is_heard_also_without_a_webhook() {
    let faults = "reports-output=Opt-Out outputs-lag=70 webhook-lost";
    let house = heard(faults, "[do_not_call]\nstructured_data_field = \"opt_out\"\n");
    for time in ["12:01:00", "12:01:40", "12:02:20", "12:03:00", "12:04:00"] {
        house.set_clock(&format!("2026-11-23T{time}Z"));
    }
    house.wait_for("the list", || house.count("SELECT count(*) FROM do_not_call") == 1);
    assert_eq!(house.count(RESULTS), 1);
}
