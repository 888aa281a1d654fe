//! The fake provider from outside, over real HTTP: strict like the real one, with a true journal.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::fake_world::{World, id_of, order, setup, start, tag, world, world_with};
use ringonce::demo::fake_vapi::calls::Mix;
use ringonce::demo::fake_vapi::core::{FakeCore, Setup};
use ringonce::demo::fake_vapi::journal::{Event, Journal};
use ringonce::demo::fake_vapi::server::FakeVapi;
use serde_json::{Value, json};

#[test]
fn a_call_goes_through_its_stages_on_the_fakes_own_clock() {
    let world = world("");
    let placed = world.post(1);
    assert_eq!(placed.status, Some(201));
    assert!(placed.head.contains("Date: Sun, 22 Nov 2026 17:00:00 GMT"), "{}", placed.head);
    let call = placed.json();
    assert_eq!(call["createdAt"], "2026-11-22T17:00:00.000Z");
    assert_eq!(call["assistantOverrides"]["metadata"]["attemptId"], tag(1));
    assert_eq!((&call["name"], &call["customer"]["externalId"]), (&json!(tag(1)), &json!(tag(1))));
    assert_eq!(call["subscriptionLimits"]["concurrencyBlocked"], false);
    let id = id_of(&placed);
    let parsed = uuid::Uuid::parse_str(&id).expect("a UUID");
    assert_eq!(parsed.get_version_num(), 7);
    assert_eq!(parsed.get_timestamp().expect("a time").to_unix().0, 1_795_366_800);
    for (seconds, status) in
        [(0, "queued"), (2, "ringing"), (5, "in-progress"), (29, "in-progress"), (1, "ended")]
    {
        world.pass(seconds);
        assert_eq!(world.get(&id).json()["status"], status, "after {seconds} more seconds");
    }
    let ended = world.get(&id).json();
    assert_eq!(ended["endedReason"], "customer-ended-call");
    assert_eq!(ended["startedAt"], "2026-11-22T17:00:07.000Z");
    assert_eq!(ended["endedAt"], "2026-11-22T17:00:37.000Z");
    assert_eq!(ended["cost"], 0.05);
}

#[test]
fn the_fake_refuses_the_requests_that_the_provider_refuses() {
    let world = world("");
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut body = order(1);
        change(&mut body);
        body.to_string().into_bytes()
    };
    let long = "x".repeat(41);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("top", changed(&|b| b["metadata"] = json!({})), "property metadata should not exist"),
        (
            "customer",
            changed(&|b| b["customer"]["phone"] = json!("1")),
            "property phone should not",
        ),
        (
            "override",
            changed(&|b| b["assistantOverrides"]["x"] = json!(1)),
            "property x should not",
        ),
        ("no plus", changed(&|b| b["customer"]["number"] = json!("12125550101")), "E.164"),
        ("no number", changed(&|b| b["customer"] = json!({})), "E.164"),
        ("a number as a number", changed(&|b| b["customer"]["number"] = json!(1212)), "E.164"),
        ("long name", changed(&|b| b["name"] = json!(long)), "name must be shorter"),
        ("long id", changed(&|b| b["customer"]["externalId"] = json!(long)), "externalId must be"),
        ("no assistant", changed(&|b| b["assistantId"] = Value::Null), "assistantId must be"),
        ("a batch", changed(&|b| b["customers"] = json!([])), "customers is not supported"),
        ("no JSON", b"{\"name\":".to_vec(), "Unexpected token"),
        ("deep JSON", "[".repeat(60_000).into_bytes(), "Unexpected token"),
    ];
    let key = "Authorization: Bearer key\r\n";
    for (name, body, message) in cases {
        let answer = world.ask_with("POST", "/call", key, &body);
        assert_eq!(answer.status, Some(400), "{name}");
        let told = answer.json();
        assert_eq!((&told["statusCode"], &told["error"]), (&json!(400), &json!("Bad Request")));
        assert!(told["message"].to_string().contains(message), "{name}: {told}");
    }
    let body = order(1).to_string().into_bytes();
    for key in ["", "Authorization: Bearer \r\n", "Authorization: Basic key\r\n"] {
        assert_eq!(world.ask_with("POST", "/call", key, &body).status, Some(401), "{key}");
        assert_eq!(world.ask_with("GET", "/call", key, b"").status, Some(401), "{key}");
    }
    assert_eq!(world.fake.rings(), []);
    assert_eq!(world.list(""), Vec::<Value>::new());
    let journal = world.fake.journal();
    let rejects = journal.iter().filter(|e| e.event == Event::Reject && !e.accepted).count();
    assert_eq!(rejects, 15, "each POST has its line");
}

#[test]
fn only_the_configured_key_opens() {
    let clock = Arc::new(start);
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let core = FakeCore::new(setup(), Journal::default());
    let fake = FakeVapi::start(address, core, clock, Some("right".to_string())).expect("a port");
    let world = World { fake, now: Arc::new(Mutex::new(start())) };
    assert_eq!(world.post(1).status, Some(401));
    let body = order(1).to_string().into_bytes();
    let right = world.ask_with("POST", "/call", "Authorization: Bearer right\r\n", &body);
    assert_eq!(right.status, Some(201));
}

#[test]
fn a_list_is_filtered_by_time_newest_first_and_bounded() {
    let world = world("");
    let mut ids = Vec::new();
    for number in 0..120 {
        ids.push(id_of(&world.post(number)));
        world.pass(1);
    }
    let listed = |query: &str| -> Vec<String> {
        let rows = world.list(query);
        rows.iter().map(|row| row["id"].as_str().expect("an id").to_string()).collect()
    };
    let newest_first =
        |from: usize, to: usize| -> Vec<String> { ids[from..to].iter().rev().cloned().collect() };
    assert_eq!(listed(""), newest_first(20, 120), "100 unless told otherwise");
    assert_eq!(listed("limit=1000"), newest_first(0, 120));
    assert_eq!(listed("limit=3"), newest_first(117, 120));
    assert_eq!(listed("createdAtGe=2026-11-22T17:01:50Z"), newest_first(110, 120));
    assert_eq!(listed("createdAtGt=2026-11-22T17:01:50Z"), newest_first(111, 120));
    assert_eq!(listed("createdAtLe=2026-11-22T17:00:02Z"), newest_first(0, 3));
    assert_eq!(listed("createdAtLt=2026-11-22T17:00:02.000Z"), newest_first(0, 2));
    assert_eq!(
        listed("createdAtGe=2026-11-22T17:00:01%2B00:00&createdAtLe=2026-11-22T17:00:02Z"),
        newest_first(1, 3)
    );
    for query in ["limit=1001", "limit=0", "createdAtGe=yesterday", "number=1"] {
        let answer = world.ask("GET", &format!("/call?{query}"), &Value::Null);
        assert_eq!(answer.status, Some(400), "{query}");
    }
}

#[test]
fn a_call_deleted_in_the_queue_never_rings() {
    let world = world("");
    let queued = id_of(&world.post(1));
    assert_eq!(world.ask("DELETE", &format!("/call/{queued}"), &Value::Null).status, Some(200));
    assert_eq!(world.fake.rings(), []);
    let told = world.get(&queued).json();
    assert_eq!(
        (&told["status"], &told["endedReason"]),
        (&json!("ended"), &json!("manually-canceled"))
    );
    let ringing = id_of(&world.post(2));
    world.pass(3);
    world.ask("DELETE", &format!("/call/{ringing}"), &Value::Null);
    assert_eq!(world.get(&ringing).status, Some(404), "its record is gone");
    assert_eq!(world.fake.rings().len(), 1, "but it rang");
}

#[test]
fn only_a_permitted_retry_is_not_a_duplicate() {
    // The ending of the first call, the second's attempt number, seconds between, and duplicates.
    let cases = [
        ("no_answer=1", 2, 8, 0),
        ("busy=1", 2, 8, 0),
        ("never_dialed=1", 2, 0, 0),
        ("answered=1", 2, 60, 1),
        ("voicemail=1", 2, 60, 1),
        ("no_answer=1", 1, 8, 1),
        ("no_answer=1", 2, 6, 1),
    ];
    for (mix, attempt_no, seconds, duplicates) in cases {
        let mix: Mix = mix.parse().expect("a mix");
        let world = world_with(Setup { mix, ..Setup::default() }, Journal::default());
        world.post(1);
        world.pass(seconds);
        let mut again = order(1);
        again["name"] = json!(tag(2));
        again["assistantOverrides"]["metadata"]["attemptId"] = json!(tag(2));
        again["assistantOverrides"]["metadata"]["attemptNo"] = json!(attempt_no);
        assert_eq!(world.ask("POST", "/call", &again).status, Some(201));
        assert_eq!(world.fake.duplicates(), duplicates, "attempt {attempt_no} after {seconds} s");
        assert_eq!(world.fake.repeated_posts(), 0);
        world.ask("POST", "/call", &again);
        assert_eq!(world.fake.repeated_posts(), 1);
    }
}

#[test]
fn a_restarted_fake_continues_from_its_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    let open = || Journal::open(&path).expect("the journal opens");
    let faults = "delayed-accept=100:tag=-000000000002 accept-then-close:tag=-000000000003"
        .parse()
        .expect("faults");
    let first = world_with(Setup { faults, ..setup() }, open());
    first.post(1);
    first.post(2);
    first.post(3);
    let cancelled = id_of(&first.post(4));
    first.ask("DELETE", &format!("/call/{cancelled}"), &Value::Null);
    let (rings, calls) = (first.fake.rings(), first.list(""));
    assert_eq!((rings.len(), calls.len()), (2, 3));
    drop(first);
    // A kill cut off the next line.
    let mut text = std::fs::read(&path).expect("the journal");
    let whole = text.len();
    text.extend_from_slice(br#"{"at":"2026-11-22T17:0"#);
    std::fs::write(&path, text).expect("the journal");

    let second = world_with(setup(), open());
    assert_eq!(std::fs::metadata(&path).expect("the journal").len(), whole as u64);
    assert_eq!((second.fake.rings(), second.list("")), (rings, calls));
    second.pass(100);
    assert_eq!(second.fake.rings().len(), 3, "the delayed one came after the restart");
    let fresh = id_of(&second.post(5));
    assert_eq!(second.list("").iter().filter(|row| row["id"] == fresh.as_str()).count(), 1);
    for line in std::fs::read_to_string(&path).expect("the journal").lines() {
        serde_json::from_str::<Value>(line).expect("each line is JSON");
    }
}

#[test]
fn an_unreadable_journal_refuses_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    std::fs::write(&path, "{\"at\": \"nonsense\"}\n").expect("a file");
    let error = Journal::open(&path).expect_err("not a journal").to_string();
    assert!(error.contains("line 1 of"), "{error}");
}

#[test]
fn the_mix_is_kept_in_the_large() {
    let mix = Mix::default();
    let mut counts = std::collections::BTreeMap::new();
    for number in 0..2000 {
        let order = ringonce::demo::fake_vapi::calls::Order {
            number: format!("+1212555{number:04}"),
            ..Default::default()
        };
        *counts.entry(mix.choose(3, &order).as_str()).or_insert(0) += 1;
    }
    for (name, share) in
        [("answered", 0.70), ("no_answer", 0.15), ("busy", 0.05), ("voicemail", 0.10)]
    {
        let found = f64::from(counts[name]) / 2000.0;
        assert!((found - share).abs() < 0.03, "{name}: {found}");
    }
    for text in ["answered", "answered=x", "called=1", "answered=0", ""] {
        assert!(text.parse::<Mix>().is_err(), "{text}");
    }
}

#[test]
fn it_listens_nowhere_but_on_loopback() {
    let core = || FakeCore::new(Setup::default(), Journal::default());
    for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
        let address = address.parse().expect("an address");
        let refused = FakeVapi::start(address, core(), Arc::new(start), None);
        let error = refused.err().expect("not loopback").to_string();
        assert!(error.contains("loopback only"), "{error}");
    }
}

#[test]
fn a_ring_line_lost_in_a_kill_is_written_at_the_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    let first = world_with(setup(), Journal::open(&path).expect("the journal opens"));
    first.post(1);
    let before = first.fake.journal();
    drop(first);
    let text = std::fs::read_to_string(&path).expect("the journal");
    let post_line = text.lines().next().expect("a line");
    std::fs::write(&path, format!("{post_line}\n")).expect("the journal");
    for _ in 0..2 {
        let again = world_with(setup(), Journal::open(&path).expect("the journal opens"));
        assert_eq!(again.fake.journal(), before);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_journal_nothing_is_accepted() {
    let full = Journal::open(std::path::Path::new("/dev/full")).expect("a device");
    let world = world_with(setup(), full);
    assert_eq!(world.post(1).status, Some(503));
    assert_eq!((world.fake.rings().len(), world.list("").len()), (0, 0));
}
