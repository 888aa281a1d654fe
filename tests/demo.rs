//! The demo as a new user runs it: the command alone, in a hostile environment.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

/// Runs the demo where the user's own configuration, database and environment would break it.
fn demo(arguments: &[&str]) -> (Output, tempfile::TempDir) {
    let place = tempfile::tempdir().expect("a folder");
    std::fs::write(place.path().join("ringonce.toml"), "this is = no configuration [").unwrap();
    std::fs::write(place.path().join("ringonce.db"), "no database").unwrap();
    let output = Command::cargo_bin("ringonce")
        .expect("the program")
        .arg("demo")
        .args(arguments)
        .current_dir(place.path())
        .env_clear()
        .env("TMPDIR", place.path())
        .env("VAPI_BASE_URL", "http://example.com")
        .env("RINGONCE_CONFIG", "/nowhere/ringonce.toml")
        .env("RINGONCE_DB", place.path().join("ringonce.db"))
        .env("RINGONCE_TEST_CLOCK", "/nowhere/clock")
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .output()
        .expect("it runs");
    (output, place)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Folders that a demo did not remove.
fn left_behind(place: &tempfile::TempDir) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place.path()).expect("the folder");
    entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect()
}

#[test]
fn three_days_end_with_no_duplicate_and_leave_nothing_behind() {
    let (output, place) = demo(&[]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    let last = told.lines().last().expect("a line");
    assert!(last.starts_with("duplicates 0 (counted by the fake provider's own journal, "));
    for line in told.lines() {
        assert!(line.chars().count() <= 80, "too long for a small window: {line}");
    }
    for expected in [
        "40 invented people in 16 time zones",
        "answer to a POST lost     found by its tag",
        "process killed in a POST  found by its tag at the next start",
        "provider answered 503     absence proven after",
        "skipped: do not call ",
        "skipped: phone already called ",
    ] {
        assert!(told.contains(expected), "{expected:?} is missing in\n{told}");
    }
    let sample = include_str!("../README.md").split("```text\nUTC ").nth(1);
    let sample = sample.and_then(|text| text.split("\n```").next()).expect("a sample");
    for line in sample.lines().filter(|line| line.trim() != "…") {
        // The time that it takes is that of another machine.
        let line = line.split(" · all in").next().unwrap_or_default();
        assert!(told.contains(line), "README.md quotes {line:?}, which is not in\n{told}");
    }
    for line in told.lines().filter(|line| line.starts_with("due ") || line.starts_with("called "))
    {
        let counts: Vec<u32> = line.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        assert_eq!(counts.len(), 4, "{line}");
        assert!(counts.iter().all(|count| 20 < *count), "{line}");
        assert_eq!(counts[..3].iter().sum::<u32>(), counts[3], "{line}");
    }
    assert_eq!(left_behind(&place), [] as [PathBuf; 0]);
    assert_eq!(std::fs::read(place.path().join("ringonce.db")).unwrap(), b"no database");
}

#[test]
fn the_kept_journal_of_the_provider_holds_no_attempt_that_rang_twice() {
    let (output, place) = demo(&["--customers", "60", "--keep"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
    let [folder] = left_behind(&place).try_into().expect("one folder");
    let journal = std::fs::read_to_string(folder.join("provider-journal.jsonl")).unwrap();
    let entries: Vec<Value> =
        journal.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let rings: Vec<&Value> = entries.iter().filter(|entry| entry["event"] == "ring").collect();
    assert!(told.contains(&format!("journal, {} rings)", rings.len())), "{told}");
    // Every attempt rings once, and each second attempt of an occasion was permitted.
    let mut attempts = HashSet::new();
    let mut occasions = HashSet::new();
    for ring in rings {
        assert!(attempts.insert(ring["attempt_id"].as_str().expect("an id")), "{ring}");
        let occasion = (
            ring["number"].to_string(),
            ring["call_type"].to_string(),
            ring["occasion"].to_string(),
            ring["attempt_no"].as_i64(),
        );
        assert!(occasions.insert(occasion), "one number, one occasion, one number twice: {ring}");
    }
    let posts = entries.iter().filter(|entry| entry["event"] == "post" && entry["fault"].is_null());
    assert!(100 < posts.count());
}

#[test]
fn fewer_people_than_make_a_story_are_refused() {
    for wrong in ["39", "1001", "many", "-1"] {
        let (output, place) = demo(&[&format!("--customers={wrong}")]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert_eq!(left_behind(&place), [] as [PathBuf; 0]);
    }
}
