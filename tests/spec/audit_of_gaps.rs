//! Gaps that an audit finds. Nothing runs any more, an item is over only by its status, or a first
//! occasion was hidden from the scan.

use crate::files::{World, error_of};

/// The output of an audit without the provider, and whether it was clean.
fn audit(world: &World) -> (bool, String) {
    let output = world.run(&["audit", "--offline"]);
    (
        output.status.success(),
        String::from_utf8(output.stdout.clone()).unwrap() + &error_of(&output),
    )
}

fn configure(world: &World, more: &str) {
    let config = std::fs::read_to_string(world.path("ringonce.toml")).unwrap();
    std::fs::write(world.path("ringonce.toml"), config + more).unwrap();
}

fn assert_clean(world: &World) {
    let (is_clean, said) = audit(world);
    assert!(is_clean, "{said}");
}

#[test]
fn a_scheduler_that_died_is_a_gap_until_it_runs_again() {
    let world = World::after_a_morning();
    // Cy's call of 09:00 may be made until 13:00, and then two scans have to pass.
    for (at, is_clean) in [("03T09:30", true), ("03T13:25", true), ("03T13:40", false)] {
        world.at(&format!("2026-03-{at}:00Z"));
        assert_eq!(audit(&world).0, is_clean, "{at}: {}", audit(&world).1);
    }
    world.at("2026-03-08T12:00:00Z");
    let said = world.refused(1, &["audit", "--offline"]);
    let gap = "gap customer 1, daily 2026-03-03: it fell due at 2026-03-03T12:00:00.000Z and has \
               no result: no scan has run since 2026-03-02T13:30:00.000Z; start `ringonce run`, or \
               run `ringonce tick`";
    assert!(said.contains(gap), "{said}");
    assert!(said.contains("gap customer 2, daily 2026-03-07"), "{said}");
    assert!(!said.contains("2026-03-08: it fell"), "today's may still be called: {said}");
    world.ok(&["tick"]);
    assert_clean(&world);
}

#[test]
fn what_was_queued_and_then_left_is_a_gap_too() {
    let world = World::new();
    configure(&world, "[calling_window]\nstart = \"20:00\"\n");
    world.at("2026-03-02T11:45:00Z");
    world.ok(&["tick"]);
    for (at, is_clean) in [("15:59", true), ("16:10", true), ("16:40", false)] {
        world.at(&format!("2026-03-02T{at}:00Z"));
        assert_eq!(audit(&world).0, is_clean, "{at}: {}", audit(&world).1);
    }
    let said = world.refused(1, &["audit", "--offline"]);
    let gap = "is open though its time ended at 2026-03-02T16:00:00.000Z: no scan has run since";
    assert!(said.contains(gap), "{said}");
    // Cy's welcome call waits for the window and has no last instant. No scan has looked at it
    // since.
    assert!(said.contains("gap customer 3, welcome welcome: item 1 waits since"), "{said}");
    world.ok(&["tick"]);
    assert_clean(&world);
}

#[test]
fn a_database_that_was_never_scanned_is_a_gap_when_its_calls_have_gone_by() {
    let world = World::new();
    for (at, is_clean) in [("11:40", true), ("12:30", true), ("15:50", true), ("16:40", false)] {
        world.at(&format!("2026-03-02T{at}:00Z"));
        assert_eq!(audit(&world).0, is_clean, "{at}: {}", audit(&world).1);
    }
    let said = world.refused(1, &["audit", "--offline"]);
    assert!(said.contains("no scan has ever run; start `ringonce run`"), "{said}");
    assert!(said.contains("gap customer 3, welcome welcome"), "{said}");
}

#[test]
fn scans_that_rest_by_their_own_cron_are_not_dead() {
    let world = World::new();
    // Scans on working days only; 7 March 2026 is a Saturday.
    configure(&world, "[schedule]\nscan = \"*/15 8-18 * * 1-5\"\n");
    world.sql("UPDATE customers SET payment_status = 'Pending' WHERE id <> 1");
    world.at("2026-03-06T18:45:00Z");
    world.ok(&["tick"]);
    world.at("2026-03-08T23:00:00Z");
    assert_clean(&world);
    world.at("2026-03-09T08:30:00Z");
    assert!(!audit(&world).0, "two scans should have run on Monday");
}

#[test]
fn an_end_without_a_call_and_without_a_reason_is_none() {
    const OF_ADA: &str = "WHERE customer_id = 1 AND occasion = '2026-03-04'";
    let ends = [
        ("status = 'completed', vapi_call_id = NULL", "is completed, but the ledger has no call"),
        ("status = 'completed'", "is completed, but the ledger has no call"),
        ("status = 'failed', reason = NULL", "is failed without a reason and without a call"),
    ];
    for (end, what) in ends {
        let world = World::after_a_morning();
        for day in ["04", "05"] {
            world.at(&format!("2026-03-{day}T12:00:00Z"));
            world.ok(&["tick"]);
        }
        world.sql(&format!(
            "DROP TRIGGER call_attempts_refuse_delete; DELETE FROM call_attempts {OF_ADA}"
        ));
        world.sql(&format!("UPDATE call_queue SET {end} {OF_ADA}"));
        // Ada's flag has a later date, which proves nothing about this one.
        let said = world.refused(1, &["audit", "--offline"]);
        assert!(said.contains("gap customer 1, daily 2026-03-04: item"), "{end}: {said}");
        assert!(said.contains(what), "{end}: {said}");
        world.sql(&format!("UPDATE call_queue SET reason = 'cancelled' {OF_ADA}"));
        assert_clean(&world);
    }
}

#[test]
fn a_first_occasion_that_was_hidden_from_the_scan_is_a_gap() {
    let hidden =
        "UPDATE customers SET next_call_scheduled_at = '2026-03-03T12:00:00.000Z' WHERE id = ";
    for by_hand in [false, true] {
        let world = World::new();
        let id = if by_hand { 4 } else { 1 };
        if by_hand {
            let add = "customers add --phone +12125550104 --timezone America/New_York --call-time \
                       07:00 --payment-status Paid --welcome-call-completed true";
            world.ok(&add.split_whitespace().collect::<Vec<_>>());
        }
        world.sql(&format!("{hidden}{id}"));
        for time in ["02T11:45", "02T12:00", "02T16:15", "03T11:45", "03T12:00"] {
            world.at(&format!("2026-03-{time}:00Z"));
            world.ok(&["tick"]);
        }
        let said = world.refused(1, &["audit", "--offline"]);
        let gap = format!("gap customer {id}, daily 2026-03-02: it fell due at");
        assert!(said.contains(&gap), "{said}");
        assert!(said.contains("1 gaps"), "of the others nothing was hidden: {said}");
    }
}

#[test]
fn a_first_call_that_the_file_of_customers_puts_off_is_not_a_gap() {
    let world = World::new();
    // dee is to be called later, and eve was called today already. fay has no daily calls until the
    // web application sets a time. gus is edited before the first call.
    let people = "external_id,phone,timezone,call_time,payment_status,welcome_call_completed,\
        last_call_date,next_call_scheduled_at,created_at\n\
        dee,+12125550104,America/New_York,07:00,Paid,1,,2026-03-04T12:00:00Z,2026-02-01T00:00:00Z\n\
        eve,+12125550105,America/New_York,07:00,Paid,1,2026-03-02,,2026-02-01T00:00:00Z\n\
        fay,+12125550106,America/New_York,,Paid,1,,,2026-02-01T00:00:00Z\n\
        gus,+12125550107,America/New_York,07:00,Paid,1,,,2026-02-01T00:00:00Z\n";
    std::fs::write(world.path("people.csv"), people).unwrap();
    world.ok(&["customers", "import", "people.csv"]);
    let add = "customers add --phone +12125550108 --timezone America/New_York --call-time 07:00 \
               --payment-status Paid --welcome-call-completed true \
               --next-call-scheduled-at 2026-03-04T12:00:00Z";
    world.ok(&add.split_whitespace().collect::<Vec<_>>());
    world.ok(&["customers", "update", "gus", "--next-call-scheduled-at", "2026-03-05T12:00:00Z"]);
    for day in ["02", "03", "04", "05"] {
        if day == "04" {
            let told = "UPDATE customers SET call_time = '07:30' WHERE external_id = 'fay'";
            world.sql(told);
        }
        for time in ["11:45", "12:00", "12:30", "16:45"] {
            world.at(&format!("2026-03-{day}T{time}:00Z"));
            world.ok(&["tick"]);
            assert_clean(&world);
        }
    }
    let called = "SELECT group_concat(occasion, ' ') FROM call_queue WHERE customer_id = ";
    for (id, dates) in [
        (4, "2026-03-04 2026-03-05"),
        (5, "2026-03-03 2026-03-04 2026-03-05"),
        (6, "2026-03-04 2026-03-05"),
        (7, "2026-03-05"),
        (8, "2026-03-04 2026-03-05"),
    ] {
        assert_eq!(world.one("ringonce.db", &format!("{called}{id}")), dates, "customer {id}");
    }
}

#[test]
fn an_old_queue_row_without_an_id_or_a_reason_is_an_end() {
    let world = World::new();
    let queue = "customer_id,call_type,scheduled_for,status,processed_at\n\
        ada-7,daily,2026-02-27T12:00:00Z,completed,2026-02-27T12:00:01Z\n\
        ada-7,daily,2026-02-28T12:00:00Z,failed,2026-02-28T12:00:01Z\n";
    std::fs::write(world.path("queue.csv"), queue).unwrap();
    world.ok(&["queue", "import", "queue.csv"]);
    assert_clean(&world);
    // For a call that was made here, the flag alone proves nothing.
    world.sql(
        "INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for, status, created_at)
         VALUES (1, 'daily', '2026-02-26', '2026-02-26T12:00:00Z', 'completed',
           '2026-03-02T11:30:01Z')",
    );
    assert!(!audit(&world).0);
}

#[test]
fn calls_that_the_list_lacks_are_shown_with_the_providers_answer() {
    let world = World::after_a_morning();
    world.at("2026-03-02T23:00:00Z");
    assert_eq!(world.json(&["audit", "--json"])["list_lacks"], serde_json::Value::Null);
    // The list is empty, but each call is found by its id.
    world.fake.set_faults("list-empty".parse().unwrap());
    let said = world.ok(&["audit"]);
    let holes = "the list lacks 3 calls of the ledger; 3 of them are known by id, so the list is \
                 not evidence";
    assert!(said.contains("compared with 0 calls") && said.contains(holes), "{said}");
    assert_eq!(world.json(&["audit", "--json"])["list_lacks"]["known_by_id"], 3);
    // No call is found at all: the key is another account's, or all calls are gone.
    world.fake.set_faults("drops-rows".parse().unwrap());
    let said = world.ok(&["audit"]);
    assert!(said.contains("lacks 3 calls of the ledger; 3 are not known by id either"), "{said}");
    // One call is too young to count as missing.
    world.at("2026-03-02T13:35:00Z");
    let tag =
        "SELECT substr(call_type, 1, 1) || '-' || id FROM call_attempts WHERE customer_id = 2";
    let fault = format!("drops-rows:tag={}", world.one("ringonce.db", tag));
    world.fake.set_faults(fault.parse().unwrap());
    let said = world.ok(&["audit"]);
    assert!(said.contains("lacks 1 calls of the ledger; 1 are not known by id either"), "{said}");
}

#[test]
fn an_adoption_beyond_the_records_names_the_gap_and_the_audit_reads_no_further_back() {
    let world = World::after_a_morning();
    world.ok(&["backup", "backup.db"]);
    for time in ["11:45", "12:00", "12:15", "12:30"] {
        world.at(&format!("2026-03-03T{time}:00Z"));
        world.ok(&["tick"]);
    }
    for ending in ["", "-wal", "-shm", ".seq"] {
        let _ = std::fs::remove_file(world.path(&format!("ringonce.db{ending}")));
    }
    std::fs::rename(world.path("backup.db"), world.db()).unwrap();
    // The records begin at 12:10, between the calls to Ada and Bob.
    world.at("2026-03-17T12:10:00Z");
    let said = world.ok(&["adopt", "--reason", "the disk broke"]);
    let gap = "calls between 2026-03-02T13:30:00.000Z and 2026-03-03T12:10:00.000Z stay unknown";
    assert!(said.contains("adopted 1,") && said.contains(gap), "{said}");
    world.ok(&["tick"]);
    world.ok(&["audit"]);
    let said = world.ok(&["adopt", "--reason", "again"]);
    assert!(!said.contains("stay unknown"), "{said}");
}

#[test]
fn a_daily_date_at_the_instant_that_ends_the_wait_for_the_welcome_call_is_not_a_gap() {
    let world = World::new();
    // It is six in the morning. The welcome call waits for the window, which begins at the daily
    // time.
    let who = ["customers", "add", "--name", "Dee", "--phone", "+12125550104"];
    let when =
        ["--timezone", "America/New_York", "--call-time", "08:00", "--payment-status", "Paid"];
    world.ok(&[&who[..], &when[..]].concat());
    for time in ["11:45", "12:00", "13:00", "13:15", "18:00"] {
        world.at(&format!("2026-03-02T{time}:00Z"));
        world.ok(&["tick"]);
    }
    let ended = "SELECT processed_at FROM call_queue WHERE customer_id = 4";
    assert_eq!(world.one("ringonce.db", ended), "2026-03-02T13:00:00.000Z");
    assert_clean(&world);
}

/// A morning of three calls. The provider accepts the daily call of customer 1 and never shows it.
fn with_a_call_that_is_never_listed(reply: &str) -> World {
    let world = World::new();
    world.fake.set_faults(reply.parse().unwrap());
    for time in ["11:45", "12:00"] {
        world.at(&format!("2026-03-02T{time}:00Z"));
        world.ok(&["tick"]);
    }
    let tag =
        "SELECT substr(call_type, 1, 1) || '-' || id FROM call_attempts WHERE customer_id = 1";
    let hidden = format!("drops-rows:tag={}", world.one("ringonce.db", tag));
    world.fake.set_faults(hidden.parse().unwrap());
    world
}

#[test]
fn a_placed_call_that_the_provider_never_lists_is_named_by_status_and_audit_also_offline() {
    let world = with_a_call_that_is_never_listed("");
    let status = || world.json(&["status", "--json"])["unlisted_calls"].clone();
    for time in ["12:15", "12:30", "13:30"] {
        world.at(&format!("2026-03-02T{time}:00Z"));
        world.ok(&["tick"]);
        assert_eq!(status(), serde_json::Value::Null, "too young to be missed");
    }
    world.ok(&["audit", "--offline"]);
    for time in ["14:15", "14:30"] {
        world.at(&format!("2026-03-02T{time}:00Z"));
        world.ok(&["tick"]);
    }
    assert_eq!(status()["calls"], 1);
    let said = world.ok(&["status"]);
    assert!(said.contains("1 placed call is missing from the provider's complete list"), "{said}");
    let said = world.refused(1, &["audit", "--offline"]);
    assert!(said.contains("gap customer 1, daily 2026-03-02"), "{said}");
    assert!(said.contains("complete lists of the provider lack its call"), "{said}");
    // With the provider's list, the call is named once.
    let said = world.refused(1, &["audit"]);
    assert_eq!(said.matches("customer 1").count(), 1, "{said}");
    assert!(said.contains("the provider has no record of it"), "{said}");
    // The list shows the call after all.
    world.fake.set_faults("".parse().unwrap());
    world.at("2026-03-02T14:45:00Z");
    world.ok(&["tick"]);
    assert_eq!(status(), serde_json::Value::Null);
    assert_clean(&world);
}

#[test]
fn a_placed_call_without_an_id_that_the_list_lacks_is_a_gap() {
    let world = with_a_call_that_is_never_listed("reply-empty");
    world.at("2026-03-02T23:00:00Z");
    let said = world.refused(1, &["audit"]);
    assert!(said.contains("customer 1, daily 2026-03-02"), "{said}");
    assert!(said.contains("no call in the provider's list has its tag"), "{said}");
    assert!(!said.contains("customer 3, welcome"), "{said}");
}

#[test]
fn gaps_of_one_cause_are_one_line_with_their_count() {
    let world = World::after_a_morning();
    // Nothing runs for two days.
    world.at("2026-03-04T23:00:00Z");
    let said = world.refused(1, &["audit", "--offline"]);
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("gap")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    let report = world.json(&["audit", "--offline", "--json"]);
    let gaps = report["gaps"].as_array().unwrap().len();
    assert_eq!(report["gaps"][0]["cause"], "no_result", "{report}");
    assert!(lines[0].contains(&format!("({gaps} gaps of this cause; gap customer ")), "{said}");
    assert!(said.contains(&format!("0 duplicates, {gaps} gaps")), "{said}");
}

#[test]
fn erasing_people_who_were_never_called_leaves_the_audit_clean() {
    let world = World::after_a_morning();
    let add = |phone: &str, more: &str| {
        let line = format!("customers add --phone {phone} --timezone America/New_York {more}");
        world.ok(&line.split_whitespace().collect::<Vec<_>>());
    };
    add("+12125550121", "--payment-status Paid");
    add("+12125550122", "--call-time 18:00 --payment-status Paid");
    add("+12125550123", "--call-time 09:00 --payment-status Pending");
    add(
        "+12125550124",
        "--call-time 09:00 --payment-status Paid --welcome-call-completed true --last-call-date \
         2026-03-01",
    );
    world.at("2026-03-02T14:00:00Z");
    world.ok(&["tick"]);
    for phone in ["+12125550121", "+12125550122", "+12125550123", "+12125550124"] {
        world.ok(&["customers", "erase", phone, "--reason", "asked for it"]);
        for arguments in [&["audit"][..], &["audit", "--offline"]] {
            let said = world.ok(arguments);
            assert!(said.contains("0 duplicates, 0 gaps"), "{phone}: {said}");
            assert!(!said.contains("a customer that is gone"), "{phone}: {said}");
        }
    }
}
