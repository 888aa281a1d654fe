//! What was said in a call is kept by name, whenever it arrives and whoever tells it, and for as
//! long as the configuration says. No result causes a call.

use chrono::Duration;
use ringonce::domain::Instant;
use ringonce::domain::call::AttemptState;
use ringonce::provider::{
    Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ProviderCall, ReadError,
};
use ringonce::service::follower::{self, Which};
use ringonce::steps::follow::analysis;
use ringonce::steps::follow::webhook_events::{self, WebhookReport};
use ringonce::steps::operate;
use ringonce::steps::results;
use ringonce::store::attempts::{self, Attempt};
use ringonce::store::journal::Act;
use ringonce::store::webhook_events::Awaited;
use serde_json::{Value, json};

use crate::world::{World, at, quick};

const RESULT: &str = "SELECT coalesce(summary, '-') || '|' || structured || '|'
    || coalesce(transcript, '-') || '|' || source FROM call_results";
const AWAITED: &str = "SELECT count(*) FROM meta WHERE key LIKE 'awaited:%'";
const RESULTS: &str = "SELECT count(*) FROM call_results";

/// A world in which Ada was called at noon, and her call is over.
fn called(faults: &str, config: &str) -> World {
    let world = World::with_config(config);
    world.faults(faults);
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(world.attempts(), ["Ada daily 2026-02-02 #1 ended answered"]);
    world
}

/// The follower's rounds, a step apart, until a time has passed. Returns how often it asked.
fn follow_for(world: &World, time: Duration, step: Duration) -> usize {
    let service = world.start();
    let mut asking = follower::pace_of_asking(&service);
    let before = world.fake.journal().len();
    let until = world.now() + time;
    while world.now() < until {
        world.pass(step);
        follower::follow(&service, &mut asking, Which::Due, world.now()).expect("followed");
    }
    world.fake.journal().len() - before
}

fn the_attempt(world: &World) -> Attempt {
    let id = world.one("SELECT id FROM call_attempts");
    world.store().read(|conn| attempts::by_id(conn, &id)).expect("read").expect("an attempt")
}

fn report(world: &World, change: impl FnOnce(&mut ProviderCall)) -> WebhookReport {
    let mut call = ProviderCall {
        id: world.one("SELECT vapi_call_id FROM call_attempts WHERE vapi_call_id IS NOT NULL"),
        status: Some("ended".to_string()),
        ..ProviderCall::default()
    };
    change(&mut call);
    WebhookReport { kind: "end-of-call-report".to_string(), status: String::new(), call }
}

fn output(name: &str, value: Value) -> Option<Value> {
    Some(json!({ "o1": {"name": name, "result": value} }))
}

#[test]
fn a_result_is_kept_by_the_names_of_its_outputs() {
    let world = called("reports-value=Next=[{\"at\":7}] reports=wish", "");
    let kept: Value =
        serde_json::from_str(&world.one("SELECT structured FROM call_results")).unwrap();
    let names: Vec<&String> = kept.as_object().unwrap().keys().collect();
    assert_eq!(names, ["Mood", "Needs help", "Next", "structuredData"]);
    assert_eq!(
        (&kept["Next"][0]["at"], &kept["structuredData"]["wish"]),
        (&json!(7), &json!(true))
    );
    let rest =
        "SELECT (summary IS NOT NULL) || success_evaluation || (transcript IS NULL) || source
        FROM call_results";
    assert_eq!(world.one(rest), "1true1poll");
}

#[test]
fn only_the_wanted_parts_are_kept() {
    for (config, parts) in [
        ("", "110"),
        ("[results]\nsummary = false", "010"),
        ("[results]\nstructured = false", "100"),
        ("[results]\ntranscript = true", "111"),
        ("[follow]\nstore_transcripts = true", "111"),
    ] {
        let world = called("", config);
        let kept =
            "SELECT (summary IS NOT NULL) || (structured <> '{}') || (transcript IS NOT NULL)
            FROM call_results";
        assert_eq!(world.one(kept), parts, "{config}");
        assert_eq!(world.one("SELECT count(transcript) FROM call_attempts"), "0", "{config}");
    }
    let world = called("", "[results]\nsummary = false\nstructured = false");
    assert_eq!(world.count(RESULTS), 0);
}

#[test]
fn outputs_that_come_a_minute_late_are_asked_for_and_kept() {
    let world = called("outputs-lag=60", "");
    assert!(world.one("SELECT structured FROM call_results") == "{}" && world.count(AWAITED) == 1);
    follow_for(&world, Duration::seconds(50), Duration::seconds(5));
    assert_eq!(world.one("SELECT structured FROM call_results"), "{}");
    let asked = follow_for(&world, Duration::seconds(40), Duration::seconds(5));
    assert!(world.one("SELECT structured FROM call_results").contains("Mood"));
    assert_eq!(world.count(AWAITED), 0, "nothing is missing");
    assert!(asked < 5, "{asked}");
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn an_analysis_that_never_comes_is_asked_for_until_wait_minutes_have_passed() {
    for (config, minutes, most) in [("", 15, 25), ("[results]\nwait_minutes = 5", 5, 18)] {
        let world = called("analysis-lag=1000000", config);
        let (time, step) = (Duration::minutes(minutes + 2), Duration::seconds(10));
        let asked = follow_for(&world, time, step);
        assert!(5 < asked && asked < most, "{config}: {asked}");
        assert_eq!(world.count(AWAITED), 0, "{config}");
        assert_eq!(follow_for(&world, Duration::minutes(30), Duration::minutes(1)), 0, "{config}");
    }
}

#[test]
fn a_report_attaches_whenever_it_comes_and_the_later_of_two_wins_by_name() {
    let world = called("analysis-lag=1000000", "");
    let cx = world.context();
    follow_for(&world, Duration::minutes(20), Duration::minutes(1));
    let first = report(&world, |call| {
        call.summary = Some("Early.".to_string());
        call.structured_outputs = output("Mood", json!("good"));
    });
    let second = report(&world, |call| call.structured_outputs = output("Mood", json!("tired")));
    let third = report(&world, |call| call.structured_outputs = output("Visit", json!(true)));
    world.pass(Duration::days(3));
    for told in [&first, &second, &first, &third, &second] {
        let _ = webhook_events::store(&cx, told, world.now()).expect("stored");
    }
    let kept = "Early.|{\"Mood\":\"tired\",\"Visit\":true}|-|webhook";
    assert_eq!(world.one(RESULT), kept, "a copy of an earlier report changes nothing");
    world.tick();
    assert_eq!(world.one(RESULT), kept);
    let calls =
        ["2026-02-02", "2026-02-05"].map(|date| format!("Ada daily {date} #1 ended answered"));
    assert_eq!(world.attempts(), calls, "the call of its own date, and no other");
}

#[test]
fn a_report_of_another_call_or_about_an_erased_person_is_not_kept() {
    let world = called("analysis-lag=1000000", "");
    let (cx, attempt) = (world.context(), the_attempt(&world));
    let mut other = report(&world, |call| call.summary = Some("Of somebody else.".to_string()));
    other.call.id = "another-call".to_string();
    other.call.name = Some(attempt.tag());
    let _ = webhook_events::store(&cx, &other, world.now()).expect("stored");
    let running = report(&world, |call| {
        call.status = Some("in-progress".to_string());
        call.summary = Some("Not over.".to_string());
    });
    let _ = webhook_events::store(&cx, &running, world.now()).expect("stored");
    assert_eq!(world.one("SELECT count(summary) FROM call_results"), "0");
    let told = report(&world, |call| call.summary = Some("Before.".to_string()));
    let _ = webhook_events::store(&cx, &told, world.now()).expect("stored");
    assert_eq!(world.count(RESULTS), 1);
    let ada = cx.store.read(|conn| ringonce::store::customers::by_id(conn, 1)).unwrap().unwrap();
    let act = Act { who: "test", why: "letter", now: world.now() };
    cx.store.write(|tx| operate::erase::erase(tx, &ada, act)).expect("erased");
    assert_eq!(world.count(RESULTS), 0);
    let late = report(&world, |call| call.summary = Some("After.".to_string()));
    let _ = webhook_events::store(&cx, &late, world.now()).expect("stored");
    assert_eq!(world.count(RESULTS), 0);
    let bodies = world.lines("SELECT body FROM webhook_events").concat();
    assert!(!bodies.contains("After"), "{bodies}");
}

#[test]
fn content_is_deleted_after_keep_days_and_never_comes_back() {
    let world = called("", "[results]\nkeep_days = 7");
    let (cx, attempt) = (world.context(), the_attempt(&world));
    world.pass(Duration::days(7));
    follow_for(&world, Duration::seconds(1), Duration::seconds(1));
    assert_eq!(world.count(RESULTS), 0);
    assert_eq!(world.attempts().len(), 1, "the ledger stays");
    let again = report(&world, |call| call.summary = Some("Again.".to_string()));
    let _ = webhook_events::store(&cx, &again, world.now()).expect("stored");
    let mut call = again.call;
    call.ended_reason = Some("customer-ended-call".to_string());
    cx.store
        .write(|tx| ringonce::steps::follow::end(&cx, tx, &attempt, &call, world.now()))
        .expect("read again");
    assert_eq!(world.count(RESULTS), 0);
}

/// A provider whose record of the one call is given.
struct Told(ProviderCall);

impl Provider for Told {
    fn place(&self, _: &PlaceOrder, _: &(dyn Fn() -> bool + Sync)) -> Result<Accepted, PlaceError> {
        panic!("nobody is called for a result")
    }

    fn get(&self, _: &str) -> Result<Fetched, ReadError> {
        Ok(Fetched { call: self.0.clone(), date: None })
    }

    fn list(&self, _: Instant) -> Result<Listing, ReadError> {
        Ok(Listing::default())
    }
}

#[test]
fn a_cost_that_the_provider_tells_late_reaches_the_ledger() {
    let world = called("analysis-lag=1000000", "");
    let (cx, attempt) = (world.context(), the_attempt(&world));
    let call_id = attempt.vapi_call_id.clone().expect("an id");
    let awaited = Awaited {
        attempt_id: attempt.id.clone(),
        call_id: call_id.clone(),
        ended_at: world.now(),
        next_at: world.now(),
    };
    let call = ProviderCall {
        id: call_id,
        status: Some("ended".to_string()),
        cost: Some(0.4321),
        started_at: Some(at("2026-02-02T12:00:00Z")),
        ended_at: Some(at("2026-02-02T12:01:30Z")),
        ..ProviderCall::default()
    };
    let facts = "SELECT cost || ' ' || duration_seconds FROM call_attempts";
    analysis::ask(&cx, &Told(call.clone()), &awaited, world.now()).expect("asked");
    assert_eq!(world.one(facts), "0.4321 90.0");
    let silent = ProviderCall { cost: None, started_at: None, ended_at: None, ..call };
    analysis::ask(&cx, &Told(silent), &awaited, world.now()).expect("asked");
    assert_eq!(world.one(facts), "0.4321 90.0", "silence erases nothing");
}

#[test]
fn a_transcript_of_five_megabytes_is_kept_whole_if_it_is_wanted() {
    let world = called("long-transcript=5000000", "[results]\ntranscript = true");
    assert_eq!(world.count("SELECT length(transcript) FROM call_results"), 5_000_000);
    let listed = world.vapi().list(at("2026-02-02T00:00:00Z")).expect("a list");
    assert!(listed.calls.iter().all(|call| call.transcript.is_none()), "a list is small");
}

#[test]
fn words_that_an_older_version_kept_in_the_ledger_move_to_the_results() {
    let world = called("", "");
    world.sql(
        "DROP TABLE call_results; DROP TABLE attempt_changes; DROP TRIGGER attempt_changes_as_updated;
         DROP TRIGGER attempt_changes_as_inserted;
         UPDATE call_attempts SET transcript = 'old words', summary = 'old summary';
         PRAGMA user_version = 3",
    );
    let run = world.command(&["attempts", "list"]);
    assert_eq!(run.code, Some(0), "an older file can be read: {run:?}");
    let store = world.store();
    assert_eq!(world.one(RESULT), "old summary|{}|old words|poll");
    assert_eq!(world.one("SELECT count(transcript) + count(summary) FROM call_attempts"), "0");
    assert_eq!(world.one("SELECT count(*) FROM attempt_changes"), "1");
    drop(store);
}

#[test]
fn a_report_before_the_reply_to_the_post_belongs_to_its_attempt_by_the_tag() {
    let world = World::with(quick(), "");
    world.faults("accept-then-close list-lag=100000");
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    let (cx, attempt) = (world.context(), the_attempt(&world));
    assert_eq!(attempt.state, AttemptState::InDoubt);
    let call = ProviderCall {
        id: world.rings()[0].call_id.clone(),
        name: Some(attempt.tag()),
        status: Some("ended".to_string()),
        summary: Some("Heard all the same.".to_string()),
        ..ProviderCall::default()
    };
    assert_eq!(
        cx.store.read(|conn| results::attempt_of(conn, &call)).unwrap().map(|found| found.id),
        Some(attempt.id)
    );
    let told = WebhookReport { kind: "end-of-call-report".into(), status: String::new(), call };
    let _ = webhook_events::store(&cx, &told, world.now()).expect("stored");
    assert_eq!(world.one("SELECT summary FROM call_results"), "Heard all the same.");
    assert_eq!(the_attempt(&world).state, AttemptState::InDoubt, "a report decides nothing");
}
