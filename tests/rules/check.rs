//! `check` inspects an existing database and, if asked to, queries the provider once.

use ringonce::demo::fake_vapi::journal::Event;
use ringonce::store::file::lock::{DialerLock, LockAnswer};
use ringonce::store::meta::holds;
use serde_json::{Value, json};

use crate::world::{Run, World};

/// The findings for one item: `state detail`.
fn told(run: &Run, item: &str) -> Vec<String> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_string();
    let findings = run.json();
    let findings = findings.as_array().expect("a list").iter();
    findings
        .filter(|finding| finding["item"] == item)
        .map(|finding| format!("{} {}", text(finding, "state"), text(finding, "detail")))
        .collect()
}

fn check(world: &World, more: &[&str]) -> Run {
    world.command(&[&["check", "--json"], more].concat())
}

#[test]
fn a_database_in_its_place_is_armed_and_a_copy_is_not() {
    let world = World::new();
    let run = check(&world, &[]);
    let identity = told(&run, "file identity").concat();
    assert!(identity.starts_with("ok armed here, recognized by inode and "), "{identity}");
    assert_eq!(told(&run, "dialer"), ["ok none is running"]);
    assert_eq!(run.code, Some(0), "{run:?}");

    std::fs::copy(world.db(), world.path("copy.db")).expect("a copy");
    let run = check(&world, &["--db", "copy.db"]);
    let identity = told(&run, "file identity").concat();
    assert!(
        identity.starts_with("problem not armed here: the database was armed at"),
        "{identity}"
    );
    assert_eq!(run.code, Some(2));
}

#[test]
fn the_one_who_dials_is_named_without_being_disturbed() {
    let world = World::new();
    let LockAnswer::Mine(lock) = DialerLock::take(&world.db(), world.now()).expect("a lock") else {
        panic!("nobody else is here");
    };
    let dialer = told(&check(&world, &[]), "dialer").concat();
    assert!(dialer.starts_with(&format!("ok running: pid {}", std::process::id())), "{dialer}");
    drop(lock);
    assert_eq!(told(&check(&world, &[]), "dialer"), ["ok none is running"]);
}

#[test]
fn customers_nowhere_known_and_phones_of_another_country_are_counted_and_named() {
    let world = World::new();
    world.customer("Ada").add();
    world.customer("Bea").in_zone("America/New_York").phone("+12125550101").add();
    let cy = world.customer("Cy").in_zone("America/Chicago").add();
    let dan = world.customer("Dan").add();
    world.sql(&format!("UPDATE customers SET timezone = 'Eastern (ET)' WHERE id = {dan}"));
    assert_eq!(
        told(&check(&world, &[]), "customers"),
        [
            "ok 4 known".to_string(),
            format!("warning 1 customer in an unknown time zone (never called): id {dan}"),
            format!(
                "warning 1 customer with a phone of another country than their time zone's: id {cy}"
            ),
        ]
    );
    world.sql("UPDATE customers SET timezone = 'America/Chicago' WHERE phone LIKE '+44%'");
    for _ in 0..4 {
        world.customer("Eve").in_zone("Asia/Tokyo").add();
    }
    let customers = told(&check(&world, &[]), "customers");
    assert!(customers[1].starts_with("warning 7 customers with"), "{customers:?}");
    assert!(customers[1].ends_with(", …"), "{customers:?}");
}

#[test]
fn holidays_assistants_and_daring_retry_rules_are_shown() {
    let config = "daily_assistant_id = \"d-1\"\n[retry.answered]\ndaily = { after_minutes = 60, times = 1 }\n\
                  [retry.unknown]\nextra = { after_minutes = 60, times = 2 }";
    let world = World::with_config(config);
    world.sql("INSERT INTO holidays VALUES ('GB', '2026-12-25', 'Christmas')");
    let run = check(&world, &[]);
    assert_eq!(
        told(&run, "holidays"),
        ["ok 1 dates without calls are loaded, the last is 2026-12-25"]
    );
    let assistant = told(&run, "assistant").concat();
    assert!(
        assistant.starts_with("ok assistant_id ") && assistant.ends_with("daily_assistant_id d-1")
    );
    let because = "calls people again who may have been reached";
    let configuration = told(&run, "configuration");
    assert_eq!(
        configuration[1..],
        ["answered", "unknown"].map(|rule| format!("warning retry.{rule}: {because}"))
    );
}

#[test]
fn a_holiday_file_is_read_by_the_check_as_a_start_reads_it() {
    let world = World::with_config("[holidays]\nfiles = [\"h.csv\"]");
    for (text, expected) in [
        ("country,date,name\nUS,2026-11-26,Thanksgiving\n", "ok h.csv: 1 dates without calls"),
        (
            "country,date,name\nUSA,2026-12-25,Christmas\n",
            "problem h.csv: line 2: \"USA\" is not a country code: write two letters, such as US, \
             or *",
        ),
    ] {
        std::fs::write(world.path("h.csv"), text).expect("a file");
        let run = check(&world, &[]);
        assert_eq!(told(&run, "holidays")[0], expected);
        assert_eq!(run.code, Some(if expected.starts_with("ok") { 0 } else { 2 }));
    }
}

#[test]
fn the_provider_is_asked_only_online_and_only_once_and_nothing_is_placed() {
    let world = World::new();
    world.daily("Ada");
    let before = std::fs::read(world.db()).expect("a file");
    let run = check(&world, &[]);
    assert!(world.fake.journal().is_empty() && told(&run, "online").is_empty());
    for (fault, code, online, clock) in [
        ("", 0, "ok the provider takes the key", "ok "),
        ("date-skew=3600", 0, "ok the provider takes the key", "problem "),
        ("list-status=401", 2, "problem ", ""),
        ("down", 2, "problem ", ""),
    ] {
        world.faults(fault);
        let lists = || world.fake.journal().iter().filter(|e| e.event == Event::List).count();
        let earlier = lists();
        let run = check(&world, &["--online"]);
        assert!(told(&run, "online").concat().starts_with(online), "{fault} {run:?}");
        assert!(told(&run, "provider's clock").concat().starts_with(clock), "{fault} {run:?}");
        let code = if clock.starts_with("problem") { 2 } else { code };
        assert_eq!((run.code, lists() - earlier), (Some(code), 1), "{fault} {run:?}");
    }
    assert_eq!(world.posts().len(), 0);
    assert_eq!(std::fs::read(world.db()).expect("a file"), before, "check changes nothing");
}

#[test]
fn an_assistant_that_does_not_say_that_it_is_a_machine_is_warned_about() {
    let world = World::with_config("welcome_assistant_id = \"hello\"");
    let told_online = || told(&check(&world, &["--online"]), "AI voice");
    let id = "2b0f4c1e-6a55-4c0e-9d3a-0c6f5b1d7e11";
    assert_eq!(
        told_online(),
        [id, "hello"].map(|id| format!("ok assistant {id} says first that it is an AI voice"))
    );
    let prompt = |text: &str| json!({"messages": [{"role": "system", "content": text}]});
    let (ada, machine) = ("Hello, this is Ada.", "You are Ada, an AI voice. Say so first.");
    for (assistant, expected) in [
        (json!({"firstMessage": ada}), "warning assistant hello does not say"),
        (json!({}), "warning assistant hello does not say"),
        (json!({"firstMessage": ada, "model": prompt("Be kind.")}), "warning assistant hello does"),
        (json!({"firstMessage": ada, "model": prompt(machine)}), "ok assistant hello says only"),
        (json!({"firstMessage": "An AI calls."}), "ok assistant hello says first"),
        (json!(null), "warning assistant hello is not known"),
        (json!("a letter"), "warning assistant hello could not be read"),
    ] {
        world.fake.set_assistant("hello", assistant.clone());
        let found = told_online();
        assert!(found[1].starts_with(expected), "{assistant} {found:?}");
        assert_eq!(check(&world, &["--online"]).code, Some(0), "{assistant}");
    }
    assert!(told(&check(&world, &[]), "AI voice").is_empty(), "nobody is asked unless told to");
}

#[test]
fn an_assistant_that_takes_a_mailbox_for_a_person_is_warned_about() {
    let world = World::with_config(
        "[assistants.team]\nsquad_id = \"s-1\"\n[assistants.b]\nassistant_id = \"b-1\"\n",
    );
    let none = "has neither voicemail detection nor a voicemail tool";
    for (assistant, expected) in [
        (json!({}), none),
        (json!({"voicemailDetection": "off"}), none),
        (json!({"voicemailDetection": {"provider": "google"}}), "notices a mailbox"),
        (json!({"model": {"tools": [{"type": "voicemail"}]}}), "notices a mailbox"),
        (json!({"model": {"toolIds": ["t-1", "t-2"]}}), "notices a mailbox"),
        (json!({"model": {"toolIds": ["t-1"]}}), none),
        (json!({"model": {"toolIds": ["lost"]}}), "one of its tools could not be read"),
    ] {
        world.fake.set_assistant("t-1", json!({"id": "t-1", "type": "function"}));
        world.fake.set_assistant("t-2", json!({"id": "t-2", "type": "voicemail"}));
        world.fake.set_assistant("b-1", assistant.clone());
        let squad = json!({"members": [{"assistantId": "b-1"}, {"assistant": assistant}]});
        world.fake.set_assistant("s-1", squad);
        let run = check(&world, &["--online"]);
        let found = told(&run, "voicemail");
        assert_eq!(found.len(), 4, "the general one, b-1 and two members: {found:?}");
        for (line, who) in found[1..].iter().zip([
            "assistant b-1",
            "squad s-1, assistant b-1",
            "squad s-1, assistant number 2",
        ]) {
            assert!(line.contains(who) && line.contains(expected), "{assistant}: {line}");
            assert_eq!(line.starts_with("ok "), expected == "notices a mailbox", "{line}");
        }
        assert_eq!(run.code, Some(0), "a warning stops nobody");
    }
    world.fake.set_assistant("s-1", json!(null));
    let lost = told(&check(&world, &["--online"]), "AI voice").concat();
    assert!(lost.contains("squad s-1 is not known to the provider"), "{lost}");
}

#[test]
fn a_variable_of_the_prompt_that_no_customer_has_is_named() {
    let world = World::with_config("");
    let id = "2b0f4c1e-6a55-4c0e-9d3a-0c6f5b1d7e11";
    let text = "You call {{name}} at {{local_time}}, {{weekday}}. Plan {{ paln }}, streak \
                {{streak}}, {{ customer.number }}, {{last_summary}} {{localtime}} {{zzqq}}";
    let prompt = json!({"messages": [{"role": "system", "content": text}]});
    world.fake.set_assistant(id, json!({"firstMessage": "Hello {{nmae}}", "model": prompt}));
    let warned = || told(&check(&world, &["--online"]), "variables");
    assert!(warned().is_empty(), "without customers there is nothing to compare with");
    world.daily("Ada");
    world.daily("Bob");
    world.sql("UPDATE customers SET variables = '{\"plan\": 1, \"streak\": null}' WHERE id = 2");
    let found = warned();
    assert_eq!(found.len(), 1, "{found:?}");
    for part in [
        "warning assistant 2b0f4c1e",
        "{{paln}} (did you mean {{plan}}?)",
        "{{localtime}} (did you mean {{local_time}}?)",
        "{{nmae}} (did you mean {{name}}?)",
        "{{last_summary}} (set vapi.send_last_summary = true)",
        "{{zzqq}}",
    ] {
        assert!(found[0].contains(part), "{part}: {found:?}");
    }
    for filled in ["{{streak}}", "{{customer", "{{name}},", "{{weekday}}"] {
        assert!(!found[0].contains(filled), "{filled}: {found:?}");
    }
    world.set_config("send_last_summary = true");
    assert!(!warned()[0].contains("last_summary"));
}

#[test]
fn a_webhook_secret_that_is_missing_is_named_where_webhooks_are_expected() {
    let listen = "[web]\nlisten = \"127.0.0.1:0\"\n";
    for (config, says) in [
        (listen.to_string(), None),
        (
            format!("{listen}[do_not_call]\ntool_name = \"stop\""),
            Some("do_not_call.tool_name is set"),
        ),
        (format!("{listen}[webhook]\nalgorithm = \"sha512\""), Some("[webhook] is set")),
        ("[do_not_call]\ntool_name = \"stop\"".to_string(), None),
    ] {
        let found = told(&check(&World::with_config(&config), &[]), "webhook secret").concat();
        match says {
            Some(says) => {
                let all =
                    "warning VAPI_WEBHOOK_SECRET is not set, so every webhook is refused, but ";
                assert_eq!(found, format!("{all}{says}"), "{config}");
            }
            None => assert_eq!(found, "", "{config}"),
        }
    }
}

#[test]
fn a_clock_that_is_behind_what_the_file_has_seen_is_a_problem() {
    let world = World::new();
    world.tick();
    let clock = told(&check(&world, &[]), "clock").concat();
    assert!(clock.starts_with("warning the test clock"), "{clock}");
    let before = std::fs::read(world.db()).expect("the file");
    world.set_clock("2026-02-01T11:30:00Z");
    let run = check(&world, &[]);
    let clock = told(&run, "clock");
    assert_eq!((clock.len(), run.code), (1, Some(2)), "{run:?}");
    assert!(clock[0].starts_with("problem the clock says 2026-02-01"), "{clock:?}");
    assert!(clock[0].contains("set the machine's clock right"), "{clock:?}");
    assert_eq!(std::fs::read(world.db()).expect("the file"), before, "it only looks");
}

#[test]
fn a_clock_that_jumped_ahead_is_a_problem() {
    let world = World::new();
    world.tick();
    world.sql("UPDATE meta SET value = 'the clock is ahead' WHERE key = 'date_disagreed'");
    world.sql("INSERT OR IGNORE INTO meta VALUES ('date_disagreed', 'the clock is ahead')");
    let run = check(&world, &[]);
    assert_eq!(told(&run, "clock"), ["problem the clock is ahead"]);
    assert_eq!(run.code, Some(2));
}

#[test]
fn each_hold_is_a_problem_with_what_lifts_it() {
    let world = World::new();
    assert!(told(&check(&world, &[]), "hold").is_empty());
    for kind in ["clock", "flag"] {
        let held = world.store().write(|tx| holds::hold(tx, kind, "a cause", world.now()));
        held.expect("written");
    }
    let run = check(&world, &[]);
    assert_eq!(
        told(&run, "hold"),
        [
            "problem dialing is held since Mon 2026-02-02 11:30 UTC (clock): a cause; it lifts \
             automatically when the clocks agree again; if the earlier clock was wrong, run \
             `ringonce resume --hold clock --reason WHY`",
            "problem dialing is held since Mon 2026-02-02 11:30 UTC (flag): a cause; when the cause is \
             gone, run `ringonce resume --hold flag --reason WHY`",
        ]
    );
    assert_eq!(run.code, Some(2));
}
