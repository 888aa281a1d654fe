//! `explain` about the past: an earlier date or instant is judged by what was true then, and says
//! who stopped a call and why.

use serde_json::Value;

use crate::commands::Here;

/// Ada and others, in New York, at 06:45 there on a Monday; everybody is due at 07:00.
fn here() -> Here {
    let here = Here::new();
    here.set_clock("2026-03-02T11:45:00Z");
    here
}

fn add(here: &Here, name: &str) {
    let number = format!("+121255501{:02}", name.len() * 7 + usize::from(name.as_bytes()[0] % 7));
    let mut words = vec!["customers", "add", "--external-id", name, "--phone", &number];
    words.extend(["--timezone", "America/New_York", "--call-time", "07:00"]);
    words.extend(["--payment-status", "Paid", "--welcome-call-completed", "yes"]);
    let run = here.run(&words);
    assert_eq!(run.code, 0, "{run:?}");
}

fn ok(here: &Here, words: &[&str]) -> String {
    let run = here.run(words);
    assert_eq!(run.code, 0, "{words:?}: {run:?}");
    run.stdout
}

fn json(here: &Here, words: &[&str]) -> Value {
    serde_json::from_str(&ok(here, &[words, &["--json"]].concat())).expect("JSON")
}

fn ticks(here: &Here, times: &[&str]) {
    for time in times {
        here.set_clock(&format!("2026-03-{time}:00Z"));
        here.run(&["tick"]);
    }
}

/// The answer for a date: the verdict and the reason.
fn on(here: &Here, who: &str, date: &str) -> (String, String) {
    let told = json(here, &["explain", who, "--on", date]);
    assert_eq!(told["verdict"], told["on"]["verdict"], "{told:#}");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
    (text(&told["verdict"]), text(&told["reason"]))
}

fn said(verdict: &str, reason: &str) -> (String, String) {
    (verdict.to_string(), reason.to_string())
}

#[test]
fn explain_says_of_an_earlier_date_who_stopped_the_call_and_why() {
    let here = here();
    for name in ["ada", "bea", "cyril", "dan", "ernest"] {
        add(&here, name);
    }
    ok(&here, &["pause", "--customer", "ada", "--reason", "on a journey"]);
    ok(&here, &["customers", "pause", "bea", "--reason", "asked us to wait"]);
    ok(&here, &["customers", "update", "cyril", "--payment-status", "Overdue"]);
    let phone = json(&here, &["customers", "show", "dan", "--reveal"])["phone"].clone();
    ok(&here, &["dnc", "add", phone.as_str().expect("a phone"), "--reason", "never again"]);
    ticks(&here, &["02T11:50", "02T12:00", "02T17:00", "03T00:00"]);
    // Everything that stopped the calls has gone since.
    ok(&here, &["resume", "--customer", "ada", "--reason", "she is back"]);
    here.run(&["customers", "resume", "bea", "--reason", "she is back"]);
    ok(&here, &["customers", "update", "cyril", "--payment-status", "Paid"]);
    ok(&here, &["dnc", "remove", phone.as_str().expect("a phone"), "--reason", "asked for calls"]);
    ticks(&here, &["03T11:45", "03T12:00"]);
    for (who, verdict, reason, words) in [
        ("ada", "skipped", "paused", "by cli from Mon 2026-03-02 11:45 UTC"),
        ("bea", "skipped", "paused", "asked us to wait"),
        ("cyril", "not_called", "not_eligible", "the payment status is Overdue"),
        ("dan", "skipped", "do_not_call", "never again"),
    ] {
        assert_eq!(on(&here, who, "2026-03-02"), said(verdict, reason), "{who}");
        assert_eq!(on(&here, who, "2026-03-03"), said("called", "-"), "{who}");
        let text = ok(&here, &["explain", who, "--on", "2026-03-02"]);
        assert!(text.contains(words), "{who}: {text}");
        // At the instant itself, the rules answer as they did then.
        let then = json(&here, &["explain", who, "--at", "2026-03-02T12:00:00Z"]);
        assert_eq!(then["occasions"][0]["reason"], reason, "{then:#}");
        assert_eq!(then["occasions"][0]["occasion"], "2026-03-02", "{then:#}");
    }
    assert_eq!(on(&here, "ernest", "2026-03-02"), said("called", "-"));
    let then = json(&here, &["explain", "ernest", "--at", "2026-03-02T12:00:00Z"]);
    assert_eq!(then["verdict"], "rings", "{then:#}");
    let skips = json(&here, &["explain", "ada"])["past_skips"].clone();
    assert_eq!(skips[0]["reason"], "paused", "{skips:#}");
    assert_eq!(skips[0]["stopped_by"][0]["who"], "cli", "{skips:#}");
    assert_eq!(skips[0]["stopped_by"][0]["ended_because"], "she is back", "{skips:#}");
}

#[test]
fn a_date_without_a_call_and_a_word_that_is_no_date_are_told_apart() {
    let here = here();
    add(&here, "ada");
    ok(&here, &["customers", "update", "ada", "--call-schedule", "0 9 * * 1"]);
    // A Tuesday before she signed up, one to come, and a Monday to come.
    assert_eq!(on(&here, "ada", "2026-02-24"), said("nothing_due", "-"));
    assert_eq!(on(&here, "ada", "2026-03-03"), said("nothing_due", "-"));
    assert_eq!(on(&here, "ada", "2026-03-09"), said("rings", "-"));
    let run = here.run(&["explain", "ada", "--on", "yesterday"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("is not a date"), "{run:?}");
}

#[test]
fn a_customer_whose_own_status_is_paused_gets_a_row_for_each_date() {
    let here = here();
    add(&here, "ada");
    ok(&here, &["customers", "pause", "ada", "--reason", "on a journey"]);
    ticks(&here, &["02T12:00", "02T17:00", "03T17:00"]);
    for date in ["2026-03-02", "2026-03-03"] {
        assert_eq!(on(&here, "ada", date), said("skipped", "paused"), "{date}");
    }
}

/// The verdict and the reason for now.
fn now(here: &Here, who: &str) -> (String, String) {
    let told = json(here, &["explain", who]);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
    (text(&told["verdict"]), text(&told["reason"]))
}

#[test]
fn explain_says_rings_now_only_of_a_call_that_would_be_dialed() {
    let here = here();
    add(&here, "ada");
    ticks(&here, &["02T11:50"]);
    here.set_clock("2026-03-02T12:00:00Z");
    assert_eq!(now(&here, "ada"), said("rings", "-"));
    // The provider's list cannot be read, so the start does not open dialing.
    here.fake.set_faults("list-status=500".parse().expect("faults"));
    here.run(&["tick"]);
    assert_eq!(now(&here, "ada"), said("waits", "held"));
    let text = ok(&here, &["explain", "ada"]);
    assert!(text.contains("the last start opened dialing  wait: held"), "{text}");
    here.set_clock("2026-03-02T12:10:00Z");
    here.fake.set_faults("".parse().expect("faults"));
    here.run(&["tick"]);
    assert_eq!(on(&here, "ada", "2026-03-02"), said("called", "-"));
    // Then, the start was still shut.
    let then = json(&here, &["explain", "ada", "--at", "2026-03-02T12:05:00Z"]);
    assert_eq!(then["occasions"][0]["reason"], "held", "{then:#}");
    assert_eq!(then["stops"][0]["kind"], "start", "{then:#}");
}

#[test]
fn the_answers_for_a_full_line_a_pause_and_a_customer_with_the_same_number_name_the_cause() {
    let here = here();
    add(&here, "ada");
    add(&here, "bea");
    std::fs::write(
        here.path("ringonce.toml"),
        format!("{}[dialing]\nmax_active_calls = 1\n", crate::commands::CONFIG),
    )
    .expect("write");
    ticks(&here, &["02T11:50", "02T12:00"]);
    assert_eq!(now(&here, "bea"), said("waits", "no_line"));
    ok(&here, &["pause", "--reason", "the text is wrong"]);
    let text = ok(&here, &["explain", "bea"]);
    assert!(text.contains("all calls are paused by cli since Mon 2026-03-02 12:00 UTC"), "{text}");
    ok(&here, &["resume", "--reason", "mended"]);
    // Customer 1 took the only line at 07:00. Another row with that number is not called.
    let phone = json(&here, &["customers", "show", "a1", "--reveal"])["phone"].clone();
    ok(&here, &["customers", "update", "bea", "--phone", phone.as_str().expect("a phone")]);
    let text = ok(&here, &["explain", "bea"]);
    assert!(text.contains("no: same_phone  same phone as customer 1"), "{text}");
}
