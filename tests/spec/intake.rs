//! An import refuses columns and values that would call people wrongly, and shows its consequences.
//! The other commands report customers whom nobody will call.

use serde_json::Value;

use crate::world::World;

const HEADER: &str = "external_id,name,phone,timezone,call_time,payment_status,\
                      welcome_call_completed";

/// The import exits 2, says this on either output, and writes nobody.
fn refused(text: &str, more: &[&str], words: &[&str]) {
    let world = World::new();
    let run = world.import(text, more);
    assert_eq!(run.code, Some(2), "{text}: {run:?}");
    let said = format!("{}{}", run.stdout, run.stderr);
    for word in words {
        assert!(said.contains(word), "{word} is missing: {said}");
    }
    assert_eq!(world.count("SELECT count(*) FROM customers"), 0, "{text}");
}

/// Rows of customers with numbers of their own, all with these last cells.
fn rows(count: usize, cells: &str) -> String {
    let row = |n: usize| format!("c{n},Ada {n},+121255501{n:02},America/New_York,{cells}\n");
    (0..count).map(row).collect()
}

fn findings(world: &World, item: &str) -> Vec<String> {
    let run = world.command(&["check", "--json"]);
    let found: Vec<Value> = serde_json::from_value(run.json()).expect("a list");
    let of_item = found.iter().filter(|finding| finding["item"] == item);
    of_item.filter_map(|finding| Some(finding["detail"].as_str()?.to_string())).collect()
}

#[test]
fn a_misnamed_column_is_refused_with_the_column_that_was_meant() {
    for (misnamed, column) in [
        ("welcomed", "welcome_call_completed"),
        ("welcome_done", "welcome_call_completed"),
        ("lastCalledAt", "last_call_date"),
        ("next call", "next_call_scheduled_at"),
        ("signup_date", "created_at"),
        ("paused", "call_status"),
    ] {
        let file = format!(
            "phone,timezone,call_time,payment_status,{misnamed}\n\
             +12125550101,America/New_York,07:00,Paid,yes\n"
        );
        let map = format!(
            "people.csv line 1: \"{misnamed}\" looks like {column}: give --map {column}=\"{misnamed}\""
        );
        refused(&file, &[], &[&map, &format!("--as-variable \"{misnamed}\"")]);
    }
    for (misnamed, column) in [("call_tme", "call_time"), ("paymentState", "payment_status")] {
        let file = format!("phone,timezone,{misnamed}\n+12125550101,America/New_York,x\n");
        refused(&file, &[], &[&format!("\"{misnamed}\" looks like {column}")]);
    }
}

#[test]
fn a_person_says_what_a_header_means() {
    let world = World::new();
    let file = "Telephone,Zone,When,Paid,welcomed,Phone\n\
                +12125550101,America/New_York,07:00,Paid,yes,black\n";
    let map = "--map phone=Telephone --map timezone=zone --map call_time=When --map \
               payment_status=paid --as-variable welcomed --as-variable phone";
    let run = world.imported(file, &map.split(' ').collect::<Vec<_>>());
    assert!(run.stdout.contains("into variables: welcomed"), "{run:?}");
    let stored = "SELECT phone || call_time || payment_status || welcome_call_completed || variables \
                  FROM customers";
    let variables = "+1212555010107:00Paid0{\"Phone\":\"black\",\"welcomed\":\"yes\"}";
    assert_eq!(world.one(stored), variables);
    for (flags, words) in [
        (["--map", "phone=Phne"], "there is no column \"Phne\": did you mean \"phone\"?"),
        (["--map", "phne=phone"], "--map \"phne\" is not a column: did you mean phone?"),
        (["--map", "phone"], "--map \"phone\" names no header: write COLUMN=HEADER"),
        (["--as-variable", "plan"], "there is no column \"plan\""),
    ] {
        refused("phone,timezone\n+12125550101,Europe/London\n", &flags, &[words]);
    }
    let twice = "phone,timezone,call time,callTime\n+12125550101,Europe/London,07:00,08:00\n";
    refused(twice, &[], &["the columns \"call time\" and \"callTime\" both mean call_time"]);
}

#[test]
fn a_header_is_known_with_any_case_space_and_invisible_character() {
    for header in [
        "externalId,phone,timezone,callTime,paymentStatus,welcomeCallCompleted",
        "EXTERNAL ID,Phone\u{a0},Time Zone,call\u{a0}time,PaymentStatus,welcome-call-completed",
        "external_id\u{200b},\u{2060}phone,timezone,call_time\u{feff},payment_status,\
         welcome_call_completed\u{ad}",
    ] {
        let world = World::new();
        let file = format!("{header}\nada,+12125550101,America/New_York,07:00,Paid,yes\n");
        let run = world.imported(&file, &[]);
        assert!(!run.stdout.contains("into variables"), "{run:?}");
        let stored = "SELECT external_id || call_time || payment_status || welcome_call_completed \
                      FROM customers";
        assert_eq!(world.one(stored), "ada07:00Paid1", "{header}");
    }
}

#[test]
fn a_blank_cell_says_nothing_in_any_column_until_asked_to_erase() {
    let world = World::new();
    let header = "external_id,name,phone,timezone,call_time,payment_status,email,plan\n";
    let full = "ada,Ada,+12125550101,America/New_York,07:30,Paid,ada@example.com,gold\n";
    world.imported(&format!("{header}{full}"), &[]);
    let stored = "SELECT name || phone || timezone || coalesce(call_time, '-') || payment_status \
                  || coalesce(email, '-') || variables FROM customers";
    let before = world.one(stored);
    for blanks in ["ada,,+12125550101,America/New_York,,,,\n", "ada,,,,,,,\n"] {
        let run = world.imported(&format!("{header}{blanks}"), &[]);
        assert!(run.stdout.contains("0 new, 0 changed, 1 unchanged, 0 bad"), "{run:?}");
        assert_eq!(world.one(stored), before);
    }
    let blanks = "ada,,+12125550101,America/New_York,,,,\n";
    let run = world.imported(&format!("{header}{blanks}"), &["--clear-blanks"]);
    assert!(run.stdout.contains("daily calls end for known customers: 1"), "{run:?}");
    assert_eq!(world.one(stored), "+12125550101America/New_York-Paid-{\"plan\":\"\"}");
    refused(
        &format!("{header}bea,,,Europe/London,,,,\n"),
        &[],
        &["line 2, column phone: is empty"],
    );
}

#[test]
fn an_impossible_time_is_a_bad_row_with_line_and_column() {
    for (column, cell, why) in [
        ("created_at", "2027-02-02T10:00:00Z", "is in the future: nobody signed up then"),
        ("created_at", "2026-02-30T10:00:00Z", "is not an instant"),
        ("created_at", "2026-13-01 10:00:00", "is not an instant"),
        ("last_call_date", "2026-02-03", "2026-02-03 is in the future: no call was made then"),
        ("last_call_date", "2026-02-30", "is not a date"),
        ("next_call_scheduled_at", "2026-02-03 07:00:00", "has no offset"),
        ("next_call_scheduled_at", "2026-02-03T07:00", "is not an instant"),
        ("next_call_scheduled_at", "2026-02-30T07:00:00-05:00", "is not an instant"),
        ("call_schedule", "\"0 9,18 * * *\"", "fires several times a day, at 09:00, 18:00"),
        ("call_schedule", "*/30 9 * * *", "at 09:00, 09:30: a customer gets at most one call"),
        ("call_schedule", "@hourly", "at 00:00, 01:00 and 22 more times"),
    ] {
        let file = format!("phone,timezone,{column}\n+12125550101,America/New_York,{cell}\n");
        let place = format!("people.csv line 2, column {column}: ");
        refused(&file, &[], &[&place, why]);
    }
}

#[test]
fn a_date_of_today_is_judged_on_the_customers_own_clock() {
    let world = World::new();
    // 23:30 on 2 February in London, 08:30 on 3 February in Tokyo.
    world.set_clock("2026-02-02T23:30:00Z");
    let row =
        |zone: &str| format!("phone,timezone,last_call_date\n+12125550101,{zone},2026-02-03\n");
    assert_eq!(world.import(&row("Europe/London"), &[]).code, Some(2));
    world.imported(&row("Asia/Tokyo"), &[]);
}

#[test]
fn a_next_call_that_disagrees_with_the_call_time_is_computed_again_and_counted() {
    let world = World::new();
    // 07:00 in New York, written as 07:00 UTC; put off until the 5th; and right.
    let file = "external_id,phone,timezone,call_time,payment_status,welcome_call_completed,\
                next_call_scheduled_at\n\
                ada,+12125550101,America/New_York,07:00,Paid,yes,2026-02-03T07:00:00Z\n\
                bea,+12125550102,America/New_York,07:00,Paid,yes,2026-02-05T09:00:00-05:00\n\
                cy,+12125550103,America/New_York,07:00,Paid,yes,2026-02-06T07:00:00-05:00\n";
    let counted = "next call computed again, because it disagreed with the call time: 2";
    for (more, summary) in [(&["--dry-run"][..], "3 new"), (&[], "3 new"), (&[], "3 unchanged")] {
        let run = world.imported(file, more);
        assert!(run.stdout.contains(counted) && run.stdout.contains(summary), "{run:?}");
    }
    let next = "SELECT group_concat(substr(next_call_scheduled_at, 1, 16), ' ') FROM customers";
    assert_eq!(world.one(next), "2026-02-03T12:00 2026-02-05T12:00 2026-02-06T12:00");
}

#[test]
fn an_import_says_whom_it_leads_to_call_before_and_after_it_writes() {
    let world = World::new();
    world
        .imported(&format!("{HEADER}\nx1,Xia,+12125550150,America/New_York,09:00,Paid,yes\n"), &[]);
    let file = format!(
        "{HEADER},created_at\n\
         a,Ada,+12125550101,America/New_York,07:00,Paid,yes,2026-01-01T00:00:00Z\n\
         b,Bob,+442079460102,Europe/London,07:30,Paid,no,2026-02-02T11:25:00Z\n\
         c,Cy,+12125550103,America/New_York,08:00,active,yes,2026-01-01T00:00:00Z\n\
         d,Di,+12125550104,America/New_York,,Paid,yes,2026-01-01T00:00:00Z\n\
         e,Eve,+12125550150,America/New_York,00:00,Paid,yes,2026-01-01T00:00:00Z\n\
         x1,,+12125550150,America/New_York,,Cancelled,,\n"
    );
    for more in [&["--dry-run"][..], &[]] {
        let run = world.imported(&file, more);
        for line in [
            "welcome calls: 1, from Mon 2026-02-02 11:45 UTC until about Mon 2026-02-02 11:45 UTC",
            "daily calls: 3; by local hour: 00:00 1, 07:00 2",
            "not called because of their payment status: 1 \"Cancelled\", 1 \"active\"",
            "no daily calls, because no call time is set: 1",
            "daily calls end for known customers: 1",
            "numbers that a known customer also has: 1",
            "countries: 5 \"US\", 1 \"GB\"",
            "warning: 3 customers have a call time outside the calling window, 1 of them 00:00",
        ] {
            assert!(run.stdout.contains(line), "{line} is missing: {}", run.stdout);
        }
    }
}

#[test]
fn everybody_who_is_not_eligible_is_reported_by_each_command_that_is_asked() {
    let world = World::new();
    let cells = "07:00,active,yes";
    let file = format!(
        "{HEADER}\n{}z,Zoe,+12125550199,America/New_York,07:00,trialing,yes\n",
        rows(2, cells)
    );
    let words = "none of 3 customers is eligible, so nobody is called: the payment status excludes 2 \
                 \"active\", 1 \"trialing\"; eligible is \"Paid\" \
                 (customers.eligible_payment_status)";
    let run = world.imported(&file, &["--dry-run"]);
    assert!(run.stdout.contains(words), "{run:?}");
    world.imported(&file, &[]);
    for command in [&["status"][..], &["plan"], &["audit", "--offline"]] {
        let run = world.command(command);
        assert!(run.stdout.contains(words), "{command:?}: {run:?}");
    }
    let tick = world.command(&["tick"]);
    assert!(tick.code == Some(0) && tick.stderr.contains(words), "{tick:?}");
    assert!(findings(&world, "eligibility").contains(&words.to_string()));
    let status = world.command(&["status", "--json"]).json();
    assert_eq!(status["customers"]["eligible"], 0);
    assert_eq!(status["customers"]["not_eligible"][0]["word"], "active");

    let paid = format!("{HEADER}\n{}", rows(2, "07:00,Paid,yes"));
    world.imported(&paid, &[]);
    let status = world.command(&["status"]);
    assert!(!status.stdout.contains("eligible"), "most are eligible: {status:?}");
}

#[test]
fn a_status_that_is_not_text_hides_no_other_customer() {
    let world = World::new();
    world.daily("Ada");
    let bea = world.customer("Bea").add();
    world.sql(&format!(
        "UPDATE customers SET payment_status = CAST(x'ff' AS TEXT), call_time = NULL WHERE id = {bea}"
    ));
    let status = world.command(&["status", "--json"]).json();
    assert_eq!(
        (&status["customers"]["known"], &status["customers"]["eligible"]),
        (&2.into(), &1.into())
    );
    world.set_clock("2026-02-02T12:00:00Z");
    assert_eq!(world.command(&["tick"]).code, Some(0));
    assert_eq!(world.rings().len(), 1);
}

#[test]
fn call_times_outside_the_window_are_counted_wherever_somebody_looks() {
    let world = World::new();
    let times = ["00:00:00", "12:00 am", "03:15", "07:00"];
    let row = |(n, time): (usize, &&str)| {
        format!("c{n},Ada,+1212555010{n},America/New_York,{time},Paid,yes\n")
    };
    let file: String = times.iter().enumerate().map(row).collect();
    // 07:00 is before the window of 08:00 as well.
    let words = "4 customers have a call time outside the calling window, 2 of them 00:00";
    let run = world.imported(&format!("{HEADER}\n{file}"), &[]);
    assert!(run.stdout.contains(words), "{run:?}");
    assert!(world.command(&["status"]).stdout.contains(words));
    assert!(findings(&world, "call times").iter().any(|told| told.contains(words)));
    assert!(world.command(&["tick"]).stderr.contains(words));
}

#[test]
fn a_first_import_of_old_sign_ups_asks_before_it_welcomes_them() {
    let file = |count: usize, created_at: &str| {
        let cells = format!("07:00,Paid,,{created_at}");
        format!("{HEADER},created_at\n{}", rows(count, &cells))
    };
    let old = file(12, "2026-01-05T12:00:00Z");
    let words = [
        "12 customers who signed up more than a day ago would get a welcome call (lines 2, 3, 4, 5, \
         6, …)",
        "--welcome-existing",
        "--no-welcome",
        "old sign-up: line 2, Ada 0, of Mon 2026-01-05 12:00 UTC",
    ];
    refused(&old, &[], &words);
    refused(&old, &["--dry-run"], &words);
    let flags = "SELECT sum(welcome_call_completed) FROM customers";
    for (more, marked) in [("--welcome-existing", 0), ("--no-welcome", 12)] {
        let world = World::new();
        world.imported(&old, &[more]);
        assert_eq!(world.count(flags), marked, "{more}");
        // They are known now, so nobody is asked again.
        world.imported(&old, &[]);
        assert_eq!(world.count(flags), marked, "{more}");
    }
    for harmless in [file(9, "2026-01-05T12:00:00Z"), file(12, "2026-02-02T00:00:00Z")] {
        World::new().imported(&harmless, &[]);
    }
    let welcomed = old.replace("Paid,,", "Paid,yes,");
    World::new().imported(&welcomed, &[]);
}

#[test]
fn nobody_is_welcomed_after_no_welcome() {
    let world = World::new();
    let file = format!("{HEADER},created_at\n{}", rows(12, ",Paid,,2026-01-05T12:00:00Z"));
    world.imported(&file, &["--no-welcome"]);
    assert_eq!(world.tick_at("2026-02-02T15:00:00Z").processed, 0);
    assert_eq!(world.rings().len(), 0);
    let journal = world.one("SELECT why FROM journal WHERE what = 'import'");
    assert_eq!(journal, "--no-welcome: 12 welcome calls count as made");
}

#[test]
fn a_country_that_does_not_exist_stops_the_holidays_with_the_nearest_code() {
    for (code, advice) in [
        ("UK", "did you mean GB?"),
        ("EN", "did you mean GB?"),
        ("ja", "did you mean JP?"),
        ("XX", "write a code of ISO 3166, such as US, or *"),
        ("GBR", "write two letters, such as GB, or *"),
    ] {
        let world = World::with_config("[holidays]\nfiles = [\"days.csv\"]\n");
        let file = format!("country,date,name\n{code},2026-12-25,Christmas\n");
        std::fs::write(world.path("days.csv"), file).expect("written");
        let words = format!("line 2: \"{code}\" is not a country code: {advice}");
        for command in ["check", "tick"] {
            let run = world.command(&[command]);
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(run.code == Some(2) && said.contains(&words), "{run:?}");
        }
    }
}

#[test]
fn a_cancelled_event_is_a_day_with_calls() {
    let world = World::with_config("[holidays]\nfiles = [\"days.ics\"]\n");
    let event = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20260202\nSTATUS:CANCELLED\n\
                 END:VEVENT\nEND:VCALENDAR\n";
    std::fs::write(world.path("days.ics"), event).expect("written");
    world.daily("Ada");
    world.set_clock("2026-02-02T12:00:00Z");
    assert_eq!(world.command(&["tick"]).code, Some(0));
    assert_eq!(world.rings().len(), 1, "{:?}", world.items());
}

#[test]
fn two_sources_of_one_secret_are_an_error_that_names_both() {
    let world = World::new();
    std::fs::write(world.path("key"), "invented-key-of-a-file").expect("written");
    for name in ["VAPI_API_KEY", "VAPI_WEBHOOK_SECRET", "RINGONCE_API_TOKEN"] {
        for command in ["check", "status", "tick"] {
            let mut program = world.program(&[command]);
            program.env(name, "canary-1234567890123").env(format!("{name}_FILE"), "key");
            let run = program.output().expect("the program starts");
            let said = String::from_utf8_lossy(&run.stderr);
            let words = format!("{name} and {name}_FILE are both set");
            assert!(run.status.code() == Some(2) && said.contains(&words), "{said}");
            assert!(!said.contains("canary"), "{said}");
        }
    }
}
