//! Assistants per customer: by name, with squads, versions and numbers. They change who speaks, never
//! who is called or how often.

use ringonce::demo::fake_vapi::calls::Order;
use ringonce::provider::ProviderCall;
use serde_json::json;

use crate::made_elsewhere::{accept, listed_call, tick_beside};
use crate::world::{World, nobody_home, quick};

const GENERAL: &str = "2b0f4c1e-6a55-4c0e-9d3a-0c6f5b1d7e11";
const OUR_NUMBER: &str = "7d5e8a90-33c1-4f5e-8a1b-52b7c1f0aa22";
const DUE: &str = "2026-02-02T12:00:00Z";
const NAMED: &str = "welcome_assistant_id = \"hello\"
[assistants.spanish]
assistant_id = \"a-spanish\"
[assistants.pinned]
assistant_id = \"a-pinned\"
assistant_version = \"7\"
phone_number_id = \"n-pinned\"
[assistants.team]
squad_id = \"s-team\"
";

fn named(world: &World, id: i64, assistant: &str) {
    world
        .connection()
        .execute("UPDATE customers SET assistant = ?1 WHERE id = ?2", (assistant, id))
        .unwrap();
}

/// The orders of every call that was placed, by number.
fn orders(world: &World) -> Vec<Order> {
    let posts = world.posts();
    let mut orders: Vec<Order> =
        posts.iter().flat_map(|post| &post.calls).map(|call| call.order.clone()).collect();
    orders.sort_by(|a, b| a.number.cmp(&b.number));
    orders
}

#[test]
fn each_customer_is_spoken_to_by_their_own_assistant() {
    let world = World::with_config(NAMED);
    for (name, assistant) in
        [("Ada", None), ("Bea", Some("spanish")), ("Cy", Some("pinned")), ("Di", Some("team"))]
    {
        let id = world.daily(name);
        if let Some(assistant) = assistant {
            named(&world, id, assistant);
        }
    }
    let new = world.customer("Eve").in_zone("America/New_York").paid().add();
    named(&world, new, "spanish");
    world.tick_at(DUE);
    world.tick_at("2026-02-02T15:00:00Z");
    let orders = orders(&world);
    let spoken: Vec<(&str, Option<&str>, Option<&str>, &str)> = orders
        .iter()
        .map(|order| {
            let (version, squad) = (order.assistant_version.as_deref(), order.squad_id.as_deref());
            (order.assistant_id.as_str(), version, squad, order.phone_number_id.as_str())
        })
        .collect();
    let expected = [
        (GENERAL, None, None, OUR_NUMBER),
        ("a-spanish", None, None, OUR_NUMBER),
        ("a-pinned", Some("7"), None, "n-pinned"),
        ("", None, Some("s-team"), OUR_NUMBER),
        ("a-spanish", None, None, OUR_NUMBER),
    ];
    assert_eq!(spoken, expected);
    // A squad gets the variables and the tag too.
    assert_eq!(orders[3].variables["name"], "Di");
    assert_eq!(orders[3].tag(), orders[3].name.as_deref());
    assert_eq!(
        world.one("SELECT count(*) FROM call_attempts WHERE phone_number_id = 'n-pinned'"),
        "1"
    );
    world.assert_no_phone_rang_twice();
}

#[test]
fn a_squads_call_is_found_by_its_tag_when_the_reply_is_lost() {
    let world = World::with(quick(), NAMED);
    world.faults("accept-then-close");
    let id = world.daily("Di");
    named(&world, id, "team");
    world.tick_at(DUE);
    assert_eq!(world.attempts(), ["Di daily 2026-02-02 #1 in_doubt"]);
    world.faults("");
    world.tick_at("2026-02-02T12:15:00Z");
    assert_eq!(world.attempts(), ["Di daily 2026-02-02 #1 ended answered"]);
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn an_assistant_changes_neither_who_is_called_nor_how_often() {
    let calls = |assistants: &[Option<&str>]| {
        let world = World::with(nobody_home(), NAMED);
        let daily = |name: &str| world.customer(name).in_zone("America/New_York").at("07:00");
        let ids = [
            daily("Ada").paid().welcomed().phone("+442079460150").add(),
            daily("Bob").paid().welcomed().phone("+442079460150").add(),
            daily("Cy").paid().phone("+442079460151").add(),
        ];
        for (at, time) in ["12:00", "13:00", "14:00", "15:00", "16:30"].iter().enumerate() {
            // Another assistant at each pass.
            for (id, shift) in ids.iter().zip(0..) {
                if let Some(name) = assistants[(at + shift) % assistants.len()] {
                    named(&world, *id, name);
                }
            }
            world.tick_at(&format!("2026-02-02T{time}:00Z"));
        }
        world.assert_no_phone_rang_twice();
        (world.attempts(), world.items())
    };
    let plain = calls(&[None]);
    assert!(plain.0.len() > 2, "{plain:?}");
    assert_eq!(calls(&[Some("spanish"), Some("pinned"), Some("team")]), plain);
}

#[test]
fn a_call_by_a_named_assistant_that_the_file_does_not_know_counts_as_made() {
    for (assistant, squad, counts) in [
        (Some("a-spanish"), None, true),
        (None, Some("s-team"), true),
        (Some("a-stranger"), None, false),
    ] {
        let world = World::with_config(NAMED);
        accept(&world);
        let phone = "+442079460177";
        let call = ProviderCall {
            assistant_id: assistant.map(str::to_string),
            squad_id: squad.map(str::to_string),
            ..listed_call(&world, Some(phone))
        };
        tick_beside(&world, &call);
        let blocks = world.count("SELECT count(*) FROM calls_elsewhere WHERE blocks = 1");
        assert_eq!(blocks, i64::from(counts), "{assistant:?} {squad:?}");
    }
}

#[test]
fn nobody_is_called_by_another_assistant_than_the_one_they_name() {
    let world = World::with_config(NAMED);
    let id = world.daily("Ada");
    world.daily("Bob");
    named(&world, id, "spansh");
    world.tick_at(DUE);
    assert_eq!(world.attempts(), ["Bob daily 2026-02-02 #1 ended answered"]);
    assert_eq!(world.items()[0], "Ada daily 2026-02-02 pending held");
    let explained = world.command(&["explain", "1"]);
    let says = "ringonce.toml has no [assistants.spansh]: did you mean spanish?";
    assert!(explained.stdout.contains(says), "{explained:?}");
    let check = world.command(&["check"]);
    let says = "1 customer has the assistant \"spansh\", which ringonce.toml does not name, and so \
                no calls: did you mean spanish?";
    assert!(check.stdout.contains(says) && check.code == Some(2), "{check:?}");
    // As soon as the configuration names it, the call is made.
    world.set_config(&format!("{NAMED}[assistants.spansh]\nassistant_id = \"a-late\"\n"));
    world.tick_at("2026-02-02T12:20:00Z");
    assert_eq!(world.attempts().len(), 2);
    assert_eq!(orders(&world)[0].assistant_id, "a-late");
}

#[test]
fn a_call_that_waited_for_its_assistant_too_long_is_skipped_with_a_reason() {
    let world = World::new();
    let id = world.daily("Ada");
    named(&world, id, "gone");
    for time in ["2026-02-02T12:00:00Z", "2026-02-02T16:30:00Z"] {
        world.tick_at(time);
    }
    assert_eq!(world.items(), ["Ada daily 2026-02-02 skipped held"]);
    assert_eq!(world.posts().len(), 0);
    assert_eq!(world.command(&["audit"]).code, Some(0));
}

#[test]
fn a_number_of_one_assistant_that_is_used_up_rests_and_stops_nobody_else() {
    let world = World::with_config(NAMED);
    let id = world.daily("Ada");
    world.daily("Bob");
    named(&world, id, "pinned");
    world.faults("daily-limit:first=1");
    world.tick_at(DUE);
    world.faults("");
    for minutes in [5, 20] {
        world.tick_at(&format!("2026-02-02T12:{minutes:02}:00Z"));
    }
    let of_pinned = "SELECT count(*) FROM call_attempts WHERE phone_number_id = 'n-pinned'";
    assert_eq!(world.count(of_pinned), 1, "it rests until the day is over");
    assert!(world.attempts().contains(&"Bob daily 2026-02-02 #1 ended answered".to_string()));
    assert_eq!(world.items()[0], "Ada daily 2026-02-02 pending no_line");
}

#[test]
fn unknown_names_are_refused_with_the_nearest_wherever_they_are_written() {
    let world = World::with_config(NAMED);
    let file = world.path("people.csv");
    let rows = |cell: &str| {
        format!(
            "external_id,phone,timezone,assistant\n1,+12125550101,America/New_York,{cell}\n\
             2,+12125550102,America/New_York,\n"
        )
    };
    std::fs::write(&file, rows("Spanich")).unwrap();
    let import = ["customers", "import", "people.csv", "--no-welcome"];
    let refused = world.command(&import);
    let says = "\"Spanich\" is not an assistant of ringonce.toml: did you mean spanish?";
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let line = refused.stdout.lines().find(|line| line.contains(says)).expect("the bad row");
    assert!(line.contains('2') && line.contains("assistant"), "{line}");
    assert_eq!(world.count("SELECT count(*) FROM customers"), 0);

    std::fs::write(&file, rows("spanish")).unwrap();
    assert_eq!(world.command(&import).code, Some(0));
    let names = "SELECT coalesce(assistant, '-') || ' ' || variables FROM customers ORDER BY id";
    assert_eq!(world.lines(names), ["spanish {}", "- {}"]);
    // A blank cell says nothing about a known customer.
    std::fs::write(&file, rows("")).unwrap();
    world.command(&import);
    assert_eq!(world.lines(names)[0], "spanish {}");
    world.command(&[&import[..], &["--clear-blanks"]].concat());
    assert_eq!(world.lines(names)[0], "- {}");

    let refused = world.command(&["customers", "update", "1", "--assistant", "teams"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--assistant: \"teams\"") && refused.stderr.contains("team?"));
    let update = |name: &str| world.command(&["customers", "update", "1", "--assistant", name]);
    assert!(update("team").stdout.contains("changed assistant"));
    let shown = world.command(&["customers", "show", "1", "--json"]).json();
    assert_eq!(shown["assistant"], "team");
    assert!(update("").stdout.contains("changed assistant"));
    assert_eq!(
        world.command(&["customers", "show", "1", "--json"]).json()["assistant"],
        json!(null)
    );

    world.set_config("");
    let refused = update("spanish");
    assert!(refused.stderr.contains("write a table [assistants.NAME]"), "{refused:?}");
}

#[test]
fn the_queue_and_explain_name_the_assistant() {
    let world = World::with_config(NAMED);
    let id = world.daily("Ada");
    world.daily("Bob");
    named(&world, id, "spanish");
    world.tick_at("2026-02-02T11:45:00Z");
    let queue = world.command(&["queue", "list", "--json"]).json();
    let names: Vec<_> =
        queue.as_array().expect("a list").iter().map(|item| &item["assistant"]).collect();
    assert_eq!(names, [&json!("spanish"), &json!(null)]);
    let table = world.command(&["queue", "list"]).stdout;
    assert!(table.contains("1 Ada [spanish]") && !table.contains("Bob ["), "{table}");
    let explained = world.command(&["explain", "1"]).stdout;
    assert!(explained.contains("; assistant spanish"), "{explained}");
    assert_eq!(
        world.command(&["explain", "1", "--json"]).json()["customer"]["assistant"],
        "spanish"
    );
}

#[test]
fn a_table_that_names_nobody_or_two_stops_every_command_with_its_line() {
    for (table, says) in [
        (
            "[assistants.x]\nphone_number_id = \"n\"",
            "assistants.x: has no assistant_id and no squad_id",
        ),
        (
            "[assistants.x]\nassistant_id = \"a\"\nsquad_id = \"s\"",
            "ringonce.toml:8: assistants.x.squad_id",
        ),
        (
            "[assistants.x]\nsquad_id = \"s\"\nassistant_version = \"2\"",
            "ringonce.toml:8: assistants.x.assistant_version: pins",
        ),
        ("[assistants.x]\nasistant_id = \"a\"", "did you mean assistants.NAME.assistant_id?"),
    ] {
        let world = World::new();
        world.set_config(&format!("\n{table}\n"));
        let run = world.command(&["tick"]);
        assert_eq!(run.code, Some(2), "{table}");
        assert!(run.stderr.contains(says), "{table}: {run:?}");
        assert_eq!(run.stderr.trim().lines().count(), 1, "{run:?}");
    }
}
