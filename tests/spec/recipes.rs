//! The recipes of the guide, each run as it is printed on a file of its shape, and the table and the
//! CSV of consequences.

use std::path::Path;

use crate::world::{Run, World};

/// The command that the guide prints for an export, without the name of the program.
fn recipe(export: &str) -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/integrating.md");
    let guide = std::fs::read_to_string(guide).expect("the guide");
    let mark = format!("<!-- recipe: {export} -->\n```sh\n");
    let rest = guide.split(&mark).nth(1).unwrap_or_else(|| panic!("no recipe of {export}"));
    let command = rest.split("```").next().expect("a command").replace("\\\n", " ");
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for character in command.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' | '\n' if !quoted => words.extend(Some(std::mem::take(&mut word))),
            _ => word.push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    assert_eq!(words.remove(0), "ringonce");
    words
}

fn follow(world: &World, export: &str, more: &[&str]) -> Run {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/exports").join(export);
    std::fs::copy(from, world.path(export)).expect("copied");
    let words = recipe(export);
    let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let run = world.command(&words);
    assert_eq!(run.code, Some(0), "{words:?}: {run:?}");
    run
}

fn people(world: &World) -> String {
    let sql = "SELECT coalesce(external_id, '-') || ' ' || name || ' ' || phone || ' ' || \
               coalesce(call_time, '-') || ' ' || payment_status || ' ' || welcome_call_completed \
               FROM customers ORDER BY id";
    world.lines(sql).join("\n")
}

#[test]
fn each_recipe_reads_an_export_of_its_shape() {
    for (export, expected) in [
        (
            "stripe.csv",
            "cus_Nf1 Ada Example +12125550101 09:00 active 0\n\
             cus_Nf2 Bob Example +12125550102 10:30 canceled 0\n\
             cus_Nf3 Zoë Müller +442079460103 12:00 trialing 0",
        ),
        (
            "airtable.csv",
            "- Ada Example +12125550101 09:30 Paid 1\n- Bob Example +12125550102 - Paid 0",
        ),
        (
            "google-sheets.csv",
            "00123 Ada Example +12125550101 09:30 Paid 1\n\
             00124 Bob Example +442079460102 10:00 Unpaid 0",
        ),
        (
            "hubspot.csv",
            "50101 Ada +12125550101 - Paid 0\n50102 Zoë +442079460102 - Paid 0\n\
             50103 Cy +493023125014 - Churned 0",
        ),
        (
            "customers.csv",
            "1 Ada Example +12125550101 09:30 Paid 1\n2 Bob Example +442079460102 12:00 Paid 0\n\
             3 Cy Example +12125550103 09:00 Cancelled 1",
        ),
    ] {
        let world = World::new();
        let preview = follow(&world, export, &["--dry-run"]);
        assert!(preview.stdout.contains("dry run, nothing was written"), "{export}: {preview:?}");
        follow(&world, export, &[]);
        assert_eq!(people(&world), expected, "{export}");
        let again = follow(&world, export, &[]);
        assert!(again.stdout.contains("0 new, 0 changed"), "{export}: {again:?}");
    }
}

#[test]
fn consequences_are_a_table_that_a_founder_reads() {
    let world = World::new();
    let run = follow(&world, "hubspot.csv", &["--dry-run"]);
    let lines: Vec<String> = run
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for expected in [
        "WHO CUSTOMERS WELCOME CALL DAILY CALLS NOT CALLED",
        "everybody 3 2 0 1",
        "status Paid 2 2 0 0",
        "status Churned 1 0 0 1",
        "country US 1 1 0 0",
        "country DE 1 0 0 1",
        "not called: payment status 1 0 0 1",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {}", run.stdout);
    }
    let run = follow(&world, "google-sheets.csv", &["--dry-run"]);
    assert!(run.stdout.contains("daily at 09:00"), "{run:?}");
}

#[test]
fn each_row_with_its_calls_is_written_as_csv_on_request() {
    let world = World::new();
    let text = "external_id,name,phone,timezone,call_time,payment_status,welcome_call_completed\n\
                a,Ada,+12125550101,America/New_York,09:00,Paid,no\n\
                b,Bob,+12125550101,America/New_York,,Paid,yes\n\
                c,=Cy,+442079460103,Europe/London,12:00,Cancelled,yes\n\
                d,Di,+442079460104,Europe/London,12:00,Paid,yes\n";
    std::fs::write(world.path("people.csv"), text).unwrap();
    let import = ["customers", "import", "people.csv", "--dry-run", "--csv"];
    let run = world.command(&import);
    let expected = "line,customer,change,payment_status,country,timezone,welcome_call,daily_call,\
                    not_called,same_phone\n\
                    2,Ada,new,Paid,US,America/New_York,Mon 2026-02-02 08:00,09:00,,\n\
                    3,Bob,new,Paid,US,America/New_York,,,no call time,line 2\n\
                    4,'=Cy,new,Cancelled,GB,Europe/London,,,payment status,\n\
                    5,Di,new,Paid,GB,Europe/London,,12:00,,\n";
    assert_eq!(run.stdout, expected, "{run:?}");
    let run = world.command(&[&import[..], &["rows.csv"]].concat());
    assert!(run.stdout.contains("4 new"), "{run:?}");
    assert_eq!(std::fs::read_to_string(world.path("rows.csv")).unwrap(), expected);
    assert_eq!(world.count("SELECT count(*) FROM customers"), 0);
    let run = world.command(&["customers", "import", "people.csv", "--csv"]);
    assert_eq!(run.code, Some(2), "only before anything is written: {run:?}");
}

#[test]
fn a_row_whose_number_another_row_is_called_at_counts_as_not_called() {
    let world = World::new();
    let rows = "external_id,phone,timezone,call_time,payment_status,welcome_call_completed\n\
                a,+12125550101,America/New_York,09:00,Paid,no\n\
                b,+12125550101,America/New_York,10:00,Paid,no\n\
                c,+12125550102,America/New_York,09:00,Cancelled,no\n\
                d,+12125550102,America/New_York,10:00,Paid,no\n\
                e,+442079460103,Europe/London,12:00,Paid,yes\n\
                f,+442079460103,Europe/London,,Paid,no\n";
    std::fs::write(world.path("people.csv"), rows).unwrap();
    let calls = |flags: &[&str]| {
        let command =
            [&["customers", "import", "people.csv", "--dry-run", "--csv"], flags].concat();
        let run = world.command(&command);
        let lines: Vec<String> = run.stdout.lines().skip(1).map(str::to_string).collect();
        lines
            .iter()
            .map(|line| line.split(',').skip(6).collect::<Vec<_>>().join(","))
            .collect::<Vec<_>>()
    };
    let expected = [
        "Mon 2026-02-02 08:00,09:00,,",
        ",,same phone,line 2",
        ",,payment status,",
        "Mon 2026-02-02 08:00,10:00,,line 4",
        ",12:00,,",
        ",,same phone,line 6",
    ];
    assert_eq!(calls(&[]), expected);
    let told = world.imported(rows, &[]);
    assert!(told.stdout.contains("not called: same phone"), "{told:?}");
    assert!(told.stdout.contains("welcome calls: 2") && told.stdout.contains("daily calls: 3"));
    // Every night the same: of two known customers one is called, whatever the order of the rows.
    let night = calls(&[]);
    let who: Vec<bool> = night.iter().map(|line| line.contains("same phone,")).collect();
    assert_eq!(who, [false, true, false, false, false, true], "{night:?}");
    // A known customer who is not in the file takes the calls of the number too.
    let sign_up = "external_id,phone,timezone,call_time,payment_status\n\
                   new,+442079460103,Europe/London,08:00,Paid\n";
    let told = world.imported(sign_up, &["--dry-run"]);
    let expected = ["not called: same phone", "welcome calls: 0", "daily calls: 0"];
    assert!(expected.iter().all(|line| told.stdout.contains(line)), "{told:?}");
}

#[test]
fn a_row_whose_number_is_on_the_do_not_call_list_counts_as_not_called() {
    let world = World::new();
    world.command(&["dnc", "add", "+12125550101", "--reason", "asked"]);
    let rows = "external_id,phone,timezone,call_time,payment_status\n\
                a,+12125550101,America/New_York,09:00,Paid\n\
                b,+12125550102,America/New_York,10:00,Paid\n";
    let told = world.imported(rows, &["--dry-run"]);
    let words = ["not called: do-not-call list", "welcome calls: 1", "daily calls: 1; by"];
    assert!(words.iter().all(|line| told.stdout.contains(line)), "{told:?}");
}
