//! Numbers that are never called: the format of a file, and the phones that an entry protects.

use crate::world::World;

const NOON: &str = "2026-02-02T12:00:00Z";

/// Writes a file and imports it.
fn import(world: &World, text: &str, more: &[&str]) -> crate::world::Run {
    std::fs::write(world.path("list.txt"), text).expect("written");
    world.command(&[&["dnc", "import", "list.txt", "--reason", "asked"], more].concat())
}

fn listed(world: &World) -> Vec<String> {
    world.lines("SELECT phone FROM do_not_call ORDER BY phone")
}

/// A customer with a daily call at noon UTC, with any number.
fn daily(world: &World, name: &str, phone: &str) {
    let add = ["customers", "add", "--external-id", name, "--name", name, "--phone", phone];
    let more = ["--timezone", "Africa/Abidjan", "--call-time", "12:00", "--payment-status", "Paid"];
    let run = world.command(&[&add[..], &more, &["--welcome-call-completed", "true"]].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
}

fn called(world: &World) -> Vec<String> {
    world.rings().into_iter().map(|ring| ring.number).collect()
}

#[test]
fn a_line_of_a_do_not_call_file_that_is_not_a_number_refuses_the_file() {
    for (text, country, bad) in [
        ("+12125550101\n2026-01-01\n", None, "list.txt line 2, column 1: "),
        (
            "2026-01-01,+12125550103\n",
            None,
            "list.txt line 1, column 1: is not a phone number: is a date",
        ),
        ("20260101\n", Some("US"), "no such number"),
        ("31.12.2026\n", Some("NO"), "is a date"),
        ("212\n", Some("US"), "line 1, column 1: "),
        ("030\n", Some("DE"), "line 1, column 1: "),
        ("+15555550101\n", None, "no such number"),
        ("+1212\n", None, "no such number"),
        ("2125550101\n", None, "has no country"),
        ("491713920012\n", Some("DE"), "two readings"),
        ("+49 30 23125014/15\n", None, "two numbers"),
        ("+12125550101,+12125550102\n", None, "a second number in one line"),
        ("phone,reason\n+12125550101,asked\n212,moved\n", Some("US"), "line 3, column phone: "),
        ("area_code,number\n212,5550101\n212,555010\n", None, "line 3, column phone: "),
        ("hello\nn/a\n", Some("US"), "line 2, column phone: "),
    ] {
        let world = World::new();
        let country = country.map_or(vec![], |country| vec!["--default-country", country]);
        let run = import(&world, text, &country);
        assert_eq!(run.code, Some(2), "{text}: {run:?}");
        assert!(run.stdout.contains(bad), "{text}: {run:?}");
        assert!(run.stderr.contains("nothing was written"), "{run:?}");
        assert!(!run.stdout.contains("added"), "{run:?}");
        assert!(!world.db().exists() || listed(&world).is_empty(), "{text}");
    }
}

#[test]
fn bad_lines_of_a_do_not_call_file_are_left_out_when_that_is_asked_for() {
    let world = World::new();
    let run = import(&world, "+12125550101\n2026-01-01\n+12125550102\n", &["--skip-bad"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("line 2, column 1"), "{run:?}");
    assert!(run.stdout.contains("2 added, 0 were on the list already, 1 bad"), "{run:?}");
    assert_eq!(listed(&world), ["+12125550101", "+12125550102"]);
}

#[test]
fn area_code_and_number_in_two_columns_are_one_number() {
    for (text, country, expected) in [
        ("212,5550101\n212,5550102\n", None, ["+12125550101", "+12125550102"]),
        ("212;5550101\n212;555-0102\n", Some("US"), ["+12125550101", "+12125550102"]),
        ("020\t79460101\n20\t79460102\n", Some("GB"), ["+442079460101", "+442079460102"]),
        ("Area Code,Number\n212,5550101\n212,5550102\n", None, ["+12125550101", "+12125550102"]),
        (
            "212,5550101,A,2026-01-01\n212,5550102,A,2026-01-02\n",
            None,
            ["+12125550101", "+12125550102"],
        ),
        (
            "Name,Phone,Reason\nAda,2125550101,\nBob,2125550102,moved\n",
            Some("US"),
            ["+12125550101", "+12125550102"],
        ),
        ("Telephone\n+12125550101\n+12125550102\n", None, ["+12125550101", "+12125550102"]),
        ("Rufnummer\n+12125550101\n+12125550102\n", None, ["+12125550101", "+12125550102"]),
    ] {
        let world = World::new();
        let country = country.map_or(vec![], |country| vec!["--default-country", country]);
        let run = import(&world, text, &country);
        assert_eq!(run.code, Some(0), "{text}: {run:?}");
        assert_eq!(listed(&world), expected, "{text}");
        let is_told = run.stdout.contains("line 1 is read as the header");
        assert_eq!(is_told, text.starts_with("Rufnummer"), "{run:?}");
    }
}

#[test]
fn an_entry_in_a_form_of_before_a_renumbering_protects_the_number_of_today() {
    let world = World::new();
    for (name, phone) in [
        ("mx", "+525512345678"),
        ("ar", "+5491123456789"),
        ("br", "+5511987654321"),
        ("ci", "+2250707123456"),
        ("bj", "+2290197123456"),
        ("cm", "+237699123456"),
        ("vn", "+84391234567"),
        ("ga", "+24177123456"),
        ("us", "+12125550101"),
    ] {
        daily(&world, name, phone);
    }
    let old = "+5215512345678\n+54 11 15 2345-6789\n+55 11 8765 4321\n+225 07 12 34 56\n\
               +229 97 12 34 56\n+237 99 12 34 56\n+84 169 123 4567\n+241 07 12 34 56\n";
    let run = import(&world, old, &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("8 added"), "{run:?}");
    let plan = world.command(&["plan", "--days", "1"]).stdout;
    assert_eq!(plan.matches("do_not_call").count(), 8, "{plan}");
    let explained = world.command(&["explain", "ga"]).stdout;
    assert!(explained.contains("do_not_call"), "{explained}");
    world.tick_at(NOON);
    assert_eq!(called(&world), ["+12125550101"], "{:?}", world.items());
}

#[test]
fn a_customer_in_an_old_form_is_protected_by_an_entry_of_today_and_of_before() {
    for phone in ["+24177123456", "+24107123456", "+2417123456"] {
        let world = World::new();
        daily(&world, "ga", "+24107123456");
        let add = world.command(&["dnc", "add", phone, "--reason", "asked"]);
        assert_eq!(add.code, Some(0), "{add:?}");
        world.tick_at(NOON);
        assert!(called(&world).is_empty(), "{phone}");
    }
}

#[test]
fn a_removal_takes_every_form_of_a_number_off() {
    let world = World::new();
    daily(&world, "ga", "+24177123456");
    for phone in ["+24107123456", "+24177123456", "+2417123456"] {
        assert_eq!(world.command(&["dnc", "add", phone, "--reason", "asked"]).code, Some(0));
    }
    let remove = ["dnc", "remove", "+24177123456", "--reason", "came back"];
    assert_eq!(world.command(&remove).code, Some(0));
    assert_eq!(world.command(&["dnc", "list"]).stdout, "the list is empty\n");
    world.tick_at(NOON);
    assert_eq!(called(&world), ["+24177123456"]);
}

#[test]
fn one_number_that_is_added_by_hand_follows_the_rules_of_a_file() {
    let world = World::new();
    let add =
        |words: &[&str]| world.command(&[&["dnc", "add"], words, &["--reason", "asked"]].concat());
    for (words, why) in [
        (&["+1 555 555 0101"][..], "no such number"),
        (&["+1212"], "no such number"),
        (&["2026-01-01", "--default-country", "DE"], "is a date"),
        (&["491713920012", "--default-country", "DE"], "two readings"),
        (&["+49 30 23125014/15"], "two numbers"),
    ] {
        let run = add(words);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains(why), "{run:?}");
    }
    let run = add(&["+225 07 12 34 56"]);
    assert!(run.stdout.contains("before a renumbering"), "{run:?}");
    assert_eq!(listed(&world), ["+2250707123456"]);
    let remove = ["dnc", "remove", "+225 07 12 34 56", "--reason", "came back"];
    assert_eq!(world.command(&remove).code, Some(0));
    assert!(listed(&world).is_empty());
}

#[test]
fn an_entry_of_an_older_version_that_is_not_a_number_can_be_removed() {
    let world = World::new();
    world.command(&["dnc", "add", "+12125550101", "--reason", "asked"]);
    world
        .sql("INSERT INTO do_not_call VALUES ('+1212', 'file', 'cli', '2026-02-01T00:00:00.000Z')");
    let run = world.command(&["dnc", "remove", "+1212", "--reason", "an area code"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(listed(&world), ["+12125550101"]);
}

#[test]
fn a_customers_file_with_a_phone_of_two_readings_or_two_phones_is_refused_and_shows_both() {
    let world = World::new();
    let rows = "external_id,phone,timezone\n\
                a,491713920012,Europe/Berlin\n\
                b,+49 30 23125014/15,Europe/Berlin\n\
                c,0171 3920015,Europe/Berlin\n";
    std::fs::write(world.path("customers.csv"), rows).expect("written");
    let import = ["customers", "import", "customers.csv", "--default-country", "DE"];
    let run = world.command(&import);
    assert_eq!(run.code, Some(2), "{run:?}");
    for part in [
        "line 2, column phone: has two readings",
        "+491713920012",
        "+49491713920012",
        "line 3, column phone: holds two numbers, \"+49 30 23125014\" and \"15\"",
    ] {
        assert!(run.stdout.contains(part), "{run:?}");
    }
    let add = ["customers", "add", "--phone", "491713920012", "--timezone", "Europe/Berlin"];
    let run = world.command(&[&add[..], &["--default-country", "DE"]].concat());
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("two readings"), "{run:?}");
}

#[test]
fn an_import_says_how_many_phones_became_todays_form() {
    let world = World::new();
    let rows = "external_id,phone,timezone\n\
                mx,+52 1 55 1234 5678,America/Mexico_City\n\
                br,+55 11 8765 4321,America/Sao_Paulo\n";
    std::fs::write(world.path("customers.csv"), rows).expect("written");
    let run = world.command(&["customers", "import", "customers.csv"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("1 given as before a renumbering"), "{run:?}");
    assert!(run.stdout.contains("line 3, column phone: written as before"), "{run:?}");
    let phones = world.lines("SELECT phone || ' ' || phone_validated FROM customers ORDER BY id");
    assert_eq!(phones, ["+525512345678 1", "+551187654321 0"]);
}

#[test]
fn a_word_behind_a_number_is_its_reason_unless_one_is_given_for_all() {
    let world = World::new();
    std::fs::write(world.path("list.csv"), "212,5550101,asked\n+12125550102,moved away\n").unwrap();
    let reasons =
        "SELECT group_concat(reason) FROM (SELECT reason FROM do_not_call ORDER BY phone)";
    let run = world.command(&["dnc", "import", "list.csv"]);
    assert_eq!((run.code, world.one(reasons).as_str()), (Some(0), "asked,moved away"), "{run:?}");
    world.sql("DELETE FROM do_not_call");
    std::fs::remove_file(world.path("ringonce.db.do-not-call")).unwrap();
    let run = world.command(&["dnc", "import", "list.csv", "--reason", "registry"]);
    assert_eq!((run.code, world.one(reasons).as_str()), (Some(0), "registry,registry"), "{run:?}");
}
