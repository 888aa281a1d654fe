//! A text names one customer or nobody. An ambiguous text is refused with the candidates, and no id
//! is shown for another customer's row.

use ringonce::store::customers::Found;
use ringonce::store::customers::search::find;

use crate::world::{Run, World};

/// Ids 1, 2, 3, 7 and 192; the external ids `id:1`, `7` and `4105`, and numbers that end in 0192,
/// 0105, 0103, 0107 and 4105.
fn five_people() -> World {
    let world = World::new();
    world.customer("Ada").phone("+12125550192").add();
    world.customer("Bob").phone("+442079460105").add();
    world.customer("Cy").phone("+12125550103").add();
    world.customer("Dee").phone("+12125550107").add();
    world.customer("Eve").phone("+12125554105").add();
    world.sql(
        "UPDATE customers SET email = 'ada@example.com' WHERE id = 1;
         UPDATE customers SET external_id = 'id:1' WHERE id = 2;
         UPDATE customers SET external_id = '7' WHERE id = 3;
         UPDATE customers SET id = 7, external_id = '4105' WHERE id = 4;
         UPDATE customers SET id = 192 WHERE id = 5;",
    );
    world
}

fn explained(run: &Run) -> i64 {
    assert_eq!(run.code, Some(0), "{run:?}");
    run.json()["customer"]["id"].as_i64().expect("an id")
}

#[test]
fn a_text_that_names_one_customer_finds_that_customer() {
    let world = five_people();
    let key = format!("key:{}", world.one("SELECT key FROM customers WHERE id = 1"));
    for (text, id) in [
        ("1", 1),
        ("192", 192),
        (" 192 ", 192),
        ("id:7", 7),
        ("ID: 7", 7),
        ("external:7", 3),
        ("external:id:1", 2),
        ("4105", 7),
        (&key, 1),
        ("ada@example.com", 1),
        ("ADA@Example.COM", 1),
        ("email:Ada@example.com", 1),
        ("+12125550192", 1),
        ("+1 (212) 555-0192", 1),
        ("12125550192", 1),
        ("(212) 555-0192", 1),
        ("212.555.0192", 1),
        ("001 212 555 0192", 1),
        ("phone:212 555 0192", 1),
        ("+44 (0)20 7946 0105", 2),
        ("020 7946 0105", 2),
        ("0044 20 7946 0105", 2),
        ("\u{ff0b}\u{ff14}\u{ff14} 20 7946 0105", 2),
    ] {
        let run = world.command(&["explain", text, "--json"]);
        assert_eq!(explained(&run), id, "{text}");
    }
}

#[test]
fn a_text_that_could_name_two_customers_is_refused_with_the_candidates() {
    let world = five_people();
    let key = world.one("SELECT key FROM customers WHERE id = 1");
    for (text, candidates) in [
        ("7", vec!["id:7 (Dee, +1•••••••0107)", "id:3 (Cy, +1•••••••0103)"]),
        ("id:1", vec![&*format!("key:{key} (Ada, +1•••••••0192)"), "id:2 (Bob"]),
        ("0192", vec!["a part of a phone number"]),
        ("phone:0192", vec!["a part of a phone number"]),
        ("+1•••••••0192", vec!["a part of a phone number"]),
        ("…0192", vec!["a part of a phone number"]),
        ("5550192", vec!["a part of a phone number"]),
        ("\u{660}\u{661}\u{669}\u{662}", vec!["a part of a phone number"]),
        ("7946 0105", vec!["a part of a phone number", "id:2 (Bob, +4•••••••0105)"]),
        ("212555", vec![]),
    ] {
        let run = world.command(&["explain", text]);
        assert_eq!(run.code, Some(2), "{text}: {run:?}");
        for candidate in candidates {
            assert!(run.stderr.contains(candidate), "{text}: {run:?}");
        }
        assert!(!run.stderr.contains("+12125550"), "{text}: a whole number is shown: {run:?}");
    }
}

#[test]
fn a_text_that_is_not_a_name_finds_nobody() {
    let world = five_people();
    for text in [
        "",
        "  ",
        "nobody",
        "#12",
        "#1",
        "item 4",
        "item:1",
        "-1",
        "+1",
        "01",
        "1.0",
        "\u{ff11}",
        "\u{661}",
        "99999999999999999999999",
        "id:01",
        "id:",
        "id:ada",
        "external:",
        "email:",
        "phone:",
        "key:1",
        "%",
        "•••••••",
        "ada@",
        "+19995550192",
    ] {
        let found = world.store().read(|conn| find(conn, text)).unwrap();
        assert_eq!(found, Found::Nobody, "{text}");
        let run = world.command(&["explain", "--", text]);
        assert_eq!(run.code, Some(2), "{text}: {run:?}");
    }
}

#[test]
fn every_command_that_takes_a_customer_refuses_a_text_that_could_name_two() {
    let world = five_people();
    let journal = world.one("SELECT count(*) FROM journal");
    for text in ["7", "id:1", "0192", "+1•••••••0192"] {
        for command in [
            vec!["customers", "show", text],
            vec!["customers", "update", text, "--name", "Changed"],
            vec!["customers", "pause", text, "--reason", "asked"],
            vec!["customers", "resume", text, "--reason", "asked"],
            vec!["customers", "erase", text, "--reason", "asked"],
            vec!["pause", "--customer", text, "--reason", "asked"],
            vec!["resume", "--customer", text, "--reason", "asked"],
            vec!["call", text, "--extra", "--reason", "asked"],
            vec!["explain", text],
        ] {
            let run = world.command(&command);
            assert_eq!(run.code, Some(2), "{command:?}: {run:?}");
            assert!(run.stderr.contains("name one of"), "{command:?}: {run:?}");
        }
    }
    assert_eq!(world.count("SELECT count(*) FROM customers WHERE name <> ''"), 5);
    assert_eq!(world.one("SELECT count(*) FROM journal"), journal);
    assert_eq!(world.posts().len(), 0);
}

/// The page shows `…4105` for Eve, which is also the external id of Dee.
#[test]
fn what_cannot_be_taken_back_asks_again_when_digits_are_also_the_end_of_a_number() {
    let world = five_people();
    for command in [
        vec!["customers", "erase", "4105", "--reason", "asked"],
        vec!["call", "4105", "--extra", "--reason", "asked"],
    ] {
        let run = world.command(&command);
        assert_eq!(run.code, Some(2), "{command:?}: {run:?}");
        for candidate in ["id:7 (Dee", "id:192 (Eve, +1•••••••4105)"] {
            assert!(run.stderr.contains(candidate), "{command:?}: {run:?}");
        }
    }
    let erased = world.command(&["customers", "erase", "external:4105", "--reason", "asked"]);
    assert_eq!(erased.code, Some(0), "{erased:?}");
    assert_eq!(world.lines("SELECT id FROM customers ORDER BY id"), ["1", "2", "3", "192"]);
}

#[test]
fn an_external_id_that_looks_like_another_name_is_refused() {
    let world = five_people();
    for id in ["id:1", "ID:1", "external:9", "email:a@example.com", "phone:0192", "key: x"] {
        let add = ["customers", "add", "--external-id", id, "--phone", "+12125550104"];
        let refused = [
            world.command(&[&add[..], &["--timezone", "Europe/London"]].concat()),
            world.command(&["customers", "update", "192", "--external-id", id]),
        ];
        let text = format!("external_id,phone,timezone\n{id},+12125550104,Europe/London\n");
        std::fs::write(world.path("new.csv"), text).unwrap();
        let imported = world.command(&["customers", "import", "new.csv"]);
        for run in refused.iter().chain([&imported]) {
            assert_eq!(run.code, Some(2), "{id}: {run:?}");
            assert!(format!("{run:?}").contains("does not begin with"), "{id}: {run:?}");
        }
    }
    assert_eq!(world.count("SELECT count(*) FROM customers"), 5);
    // Any other colon is allowed.
    let free = world.command(&["customers", "update", "192", "--external-id", "crm:1"]);
    assert_eq!(free.code, Some(0), "{free:?}");
}

/// Customer 70's item is the only one in the file; a tick would queue one for customer 4.
#[test]
fn explain_shows_no_queue_id_that_belongs_to_another_customers_item() {
    let world = World::new();
    world.daily("Ada");
    world.daily("Bob");
    world
        .sql("UPDATE customers SET id = 70 WHERE id = 1; UPDATE customers SET id = 4 WHERE id = 2");
    world.sql("UPDATE customers SET payment_status = 'Pending' WHERE id = 4");
    world.tick_at("2026-02-02T11:45:00Z");
    assert_eq!(world.one("SELECT customer_id FROM call_queue WHERE id = 1"), "70");
    world.sql("UPDATE customers SET payment_status = 'Paid' WHERE id = 4");
    let at = "2026-02-02T11:50:00Z";
    let told = world.command(&["explain", "4", "--at", at, "--json"]).json();
    assert_eq!(told["occasions"][0]["occasion"], "2026-02-02", "{told}");
    assert_eq!(told["occasions"][0]["queue_id"], serde_json::Value::Null, "{told}");
    let text = world.command(&["explain", "4", "--at", at]).stdout;
    assert!(text.contains("(not queued yet)"), "{text}");
    // The existing item is named by its id in the file.
    let other = world.command(&["explain", "70", "--at", at, "--json"]).json();
    assert_eq!(other["occasions"][0]["queue_id"], 1, "{other}");
}

#[test]
fn a_list_says_of_which_kind_its_ids_are() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    let listed = world.command(&["queue", "list"]).stdout;
    assert!(listed.starts_with("ITEM"), "{listed}");
    world.tick_at("2026-02-02T12:00:00Z");
    let listed = world.command(&["attempts", "list"]).stdout;
    assert!(listed.starts_with("ATTEMPT"), "{listed}");
    // An id of an item or a customer is not the beginning of an attempt's id.
    for short in ["0", "01", "0192"] {
        let word = ["attempts", "resolve", short, "--not-placed", "--reason", "no ring"];
        let run = world.command(&word);
        assert_eq!(run.code, Some(2), "{short}: {run:?}");
        assert!(run.stderr.contains("at least 8 characters"), "{short}: {run:?}");
    }
    let run = world.command(&["queue", "cancel", "id:1", "--reason", "x"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("item"), "{run:?}");
}
