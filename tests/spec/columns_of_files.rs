//! The columns of a customers file: what a person says about them, how dates, countries and checkboxes
//! are written, and the names of variables.

use crate::world::World;

#[test]
fn all_problems_of_a_header_are_named_at_once() {
    let world = World::new();
    let text = "Phone Number,call time,callTime,welcomed,Plan A,plan-a,zone\n";
    let run = world.import(text, &["--map", "email=Mail"]);
    for words in [
        "there is no column \"Mail\"",
        "the columns \"call time\" and \"callTime\" both mean call_time",
        "the columns \"Plan A\" and \"plan-a\" would both be the variable plan_a: rename one",
        "\"welcomed\" looks like welcome_call_completed",
        "there is no column \"phone\": rename the column \"Phone Number\"",
        "there is no column \"timezone\"",
    ] {
        assert!(run.code == Some(2) && run.stderr.contains(words), "{words}: {run:?}");
    }
}

#[test]
fn variables_get_names_that_a_template_can_use_and_the_import_says_so() {
    let world = World::new();
    let text = "phone,timezone,First Name,org.name,Plan-Type,total_sum,1st,city,{{x}}\n\
                '+12125550101,America/New_York,Ada,Analytical Ltd,gold,007,x,,1\n";
    let run = world.imported(text, &[]);
    let words = "into variables: first_name (from \"First Name\"), org_name (from \"org.name\"), \
                 plan_type (from \"Plan-Type\"), total_sum, _1st (from \"1st\"), city, x (from \"{{x}}\")";
    assert!(run.stdout.contains(words), "{run:?}");
    let stored = "{\"_1st\":\"x\",\"first_name\":\"Ada\",\"org_name\":\"Analytical Ltd\",\
                  \"plan_type\":\"gold\",\"total_sum\":\"007\",\"x\":\"1\"}";
    assert_eq!(world.one("SELECT variables FROM customers"), stored);
}

#[test]
fn a_column_says_the_country_of_each_phone() {
    let world = World::new();
    let text = "external_id,phone_code,phone,timezone\n\
                1,44,2079460102,Europe/London\n\
                2,1,2125550101,America/New_York\n\
                3,+44,020 7946 0103,Europe/London\n\
                4,,+12125550104,America/New_York\n\
                5,GB,020 7946 0105,Europe/London\n\
                6,United States,(212) 555-0106,America/New_York\n\
                7,nowhere,+12125550107,America/New_York\n";
    let run = world.import(text, &[]);
    let hint = "people.csv line 2, column phone: has no country: write it as +…, or give \
                --default-country; or --country-column \"phone_code\"";
    assert!(run.code == Some(2) && run.stdout.contains(hint), "{run:?}");
    for flag in ["--country-column", "--calling-code-column"] {
        world.imported(text, &[flag, "Phone Code"]);
        let phones = world.lines("SELECT phone FROM customers ORDER BY id").join(" ");
        let expected = "+442079460102 +12125550101 +442079460103 +12125550104 +442079460105 \
                        +12125550106 +12125550107";
        assert_eq!(phones, expected);
    }
    let bad = "phone_code,phone,timezone\nnowhere,2125550107,America/New_York\n";
    let run = world.import(bad, &["--country-column", "phone_code"]);
    assert!(run.stdout.contains("column phone_code: \"nowhere\" is not a country"), "{run:?}");
}

#[test]
fn a_date_with_two_meanings_is_read_only_as_a_person_says() {
    let text = "external_id,phone,timezone,payment_status,welcome_call_completed,last_call_date,\
                created_at\n\
                ada,+12125550101,America/New_York,Paid,yes,01/02/2026,1/11/2026 9:05am\n";
    let world = World::new();
    let run = world.import(text, &[]);
    for column in ["last_call_date", "created_at"] {
        let place = format!("people.csv line 2, column {column}: ");
        assert!(run.code == Some(2) && run.stdout.contains(&place), "{run:?}");
    }
    assert!(run.stdout.contains("or give --date-format, such as MM/DD/YYYY"), "{run:?}");
    let stored = "SELECT last_call_date || ' ' || created_at FROM customers";
    for (format, expected) in [
        ("MM/DD/YYYY", "2026-01-02 2026-01-11T09:05:00.000Z"),
        ("D/M/YYYY", "2026-02-01 2026-11-01"),
    ] {
        let world = World::new();
        let run = world.import(text, &["--date-format", format]);
        if format.starts_with('D') {
            // 1 November has not come yet.
            assert!(run.stdout.contains("column created_at: 2026-11-01"), "{run:?}");
        } else {
            assert_eq!((run.code, world.one(stored)), (Some(0), expected.to_string()));
        }
    }
    let run = world.import(text, &["--date-format", "MM/YYYY"]);
    assert!(run.code == Some(2) && run.stderr.contains("is not a date format"), "{run:?}");
    let run = world.import(&text.replace("01/02", "13/02"), &["--date-format", "MM/DD/YYYY"]);
    let words = "column last_call_date: \"13/02/2026\" is not a date of the form MM/DD/YYYY";
    assert!(run.stdout.contains(words), "{run:?}");
}

#[test]
fn checkboxes_are_read_as_programs_export_them() {
    for (cell, is_made) in
        [("checked", 1), ("☑", 1), ("x", 1), ("TRUE", 1), ("Y", 1), ("☐", 0), ("", 0)]
    {
        let world = World::new();
        let text = format!(
            "external_id,phone,timezone,welcome_call_completed\nada,+12125550101,Europe/London,{cell}\n"
        );
        world.imported(&text, &[]);
        assert_eq!(world.count("SELECT welcome_call_completed FROM customers"), is_made, "{cell}");
    }
    let text = "phone,timezone,welcome_call_completed\n+12125550101,Europe/London,perhaps\n";
    assert_eq!(World::new().import(text, &[]).code, Some(2));
}

#[test]
fn what_a_person_said_is_kept_for_the_next_time() {
    let world = World::new();
    let text = "Tel,Zone,Land,Plan Status,welcome_call_completed,Last\n\
                2125550101,America/New_York,US,gold,yes,02/01/2026\n";
    let flags = "--map phone=Tel --map timezone=Zone --map last_call_date=Last --country-column Land \
                 --date-format MM/DD/YYYY --save-map columns.toml";
    let mut flags: Vec<&str> = flags.split(' ').collect();
    flags.extend(["--as-variable", "Plan Status"]);
    world.imported(text, &flags);
    let again = world.imported(text, &["--map-file", "columns.toml"]);
    assert!(again.stdout.contains("0 new, 0 changed, 1 unchanged"), "{again:?}");
    let kept = world.import(text, &["--map-file", "columns.toml", "--save-map", "columns.toml"]);
    assert!(kept.code == Some(2) && kept.stderr.contains("is there already"), "{kept:?}");
    std::fs::write(world.path("bad.toml"), "[map]\nfone = \"Tel\"\n").unwrap();
    let bad = world.import(text, &["--map-file", "bad.toml"]);
    assert!(bad.code == Some(2) && bad.stderr.contains("\"fone\" is not a column"), "{bad:?}");
}

#[test]
fn a_map_that_cannot_be_kept_stops_the_import_before_a_row_is_written() {
    let text = "phone,timezone\n+12125550101,Europe/London\n";
    for target in ["there.toml", "no-such-folder/columns.toml"] {
        let world = World::new();
        std::fs::write(world.path("there.toml"), "mine").unwrap();
        let run = world.import(text, &["--save-map", target]);
        assert_ne!(run.code, Some(0), "{run:?}");
        assert!(run.stderr.contains(target), "{run:?}");
        assert_eq!(world.count("SELECT count(*) FROM customers"), 0, "{target}");
        assert_eq!(std::fs::read_to_string(world.path("there.toml")).unwrap(), "mine");
    }
    let world = World::new();
    let run = world.import("phone\n1\n", &["--save-map", "columns.toml"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(!world.path("columns.toml").exists(), "a refused header leaves no map behind");
}

#[test]
fn a_header_has_one_meaning_and_a_column_one_header() {
    let text = "Tel,Zone,Mobile\n+12125550101,Europe/London,+12125550102\n";
    let zone = ["--map", "timezone=Zone"];
    for (more, why) in [
        (["--map", "phone=Tel", "--map", "phone=Mobile"], "--map gives phone twice"),
        (["--map", "phone=Tel", "--map", "email=tel"], "cannot be both"),
        (["--map", "phone=Tel", "--as-variable", "Tel"], "cannot be both phone and a variable"),
    ] {
        let world = World::new();
        let run = world.import(text, &[&zone[..], &more[..]].concat());
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains(why), "{run:?}");
    }
}

#[test]
fn a_misspelt_country_is_reported_in_its_own_column_with_the_nearest_name() {
    let text = "phone,timezone,Land,plan\n\
                2125550101,America/New_York,Untied States Of America,a\n\
                +12125550102,America/New_York,nowhere,b\n\
                020 7946 0103,Europe/London,GBR,c\n";
    let run = World::new().import(text, &["--country-column", "land"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    let said = "people.csv line 2, column Land: \"Untied States Of America\" is not a country";
    assert!(run.stdout.contains(said), "{run:?}");
    assert_eq!(run.stdout.matches("people.csv line").count(), 1, "{run:?}");
}
