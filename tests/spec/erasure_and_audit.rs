//! Erasure and the audit: an erased person is not called again, and two kinds of code compute
//! independently what was due.

use serde_json::Value;

use crate::files::{World, error_of};

#[test]
fn an_erased_customer_leaves_no_byte_and_is_not_welcomed_again() {
    let world = World::after_a_morning();
    assert!(world.holds("Newcomer") && world.holds("+442079460103"));
    let said = world.refused(2, &["customers", "erase", "cy-9", "--reason", "Cy Newcomer asked"]);
    assert!(said.contains("names the person"), "{said}");
    let said = world.ok(&["customers", "erase", "cy-9", "--reason", "letter of 2 March"]);
    assert!(said.contains("erased customer 3: 1 attempts"), "{said}");
    for text in ["Newcomer", "442079460103", "cy@example.com", "cy-9"] {
        assert!(!world.holds(text), "{text} is still in the file");
    }
    let line = "SELECT group_concat(who || ' ' || subject || ' ' || new || ' ' || why)
        FROM journal WHERE new = 'erased'";
    assert_eq!(world.one("ringonce.db", line), "cli customer:3 erased letter of 2 March");

    let rang = world.fake.rings().len();
    world.ok(&["customers", "import", "customers.csv"]);
    for time in ["13:45", "14:00", "18:00"] {
        world.at(&format!("2026-03-02T{time}:00Z"));
        world.ok(&["tick"]);
    }
    assert_eq!(world.fake.rings().len(), rang, "the number was welcomed already");
    let reason = "SELECT status || ' ' || reason FROM call_queue WHERE customer_id = 4";
    assert_eq!(world.one("ringonce.db", reason), "skipped same_phone");
    world.ok(&["audit"]);
}

#[test]
fn an_erasure_beside_a_service_leaves_no_byte_in_the_log() {
    let world = World::after_a_morning();
    // Another process keeps the file open, so SQLite keeps its WAL.
    let beside = rusqlite::Connection::open(world.db()).unwrap();
    let known: i64 =
        beside.query_one("SELECT count(*) FROM customers", [], |row| row.get(0)).unwrap();
    assert_eq!(known, 3);
    world.ok(&["customers", "update", "cy-9", "--name", "Cy Renamed"]);
    let log = || {
        let bytes = std::fs::read(world.path("ringonce.db-wal")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert!(log().contains("Renamed"), "the test looks at the right file");
    world.ok(&["customers", "erase", "cy-9", "--reason", "letter of 2 March"]);
    for text in ["Renamed", "442079460103", "cy@example.com"] {
        assert!(!log().contains(text), "{text} is still in the log");
    }
}

#[test]
fn a_welcome_known_only_by_its_flag_is_not_repeated_after_erasure() {
    let world = World::new();
    world.ok(&["customers", "erase", "ada-7", "--reason", "letter"]);
    // The next positive number may belong to a call that a restored file has not adopted yet.
    assert_eq!(
        world.one("ringonce.db", "SELECT seq || ' ' || state FROM call_attempts"),
        "-1 ended"
    );
    let again = "name,phone,timezone,payment_status,created_at\n\
        Ada,+12125550101,America/New_York,Paid,2026-03-02T11:00:00Z\n";
    std::fs::write(world.path("again.csv"), again).unwrap();
    world.ok(&["customers", "import", "again.csv"]);
    world.at("2026-03-02T15:00:00Z");
    world.ok(&["tick"]);
    let to_ada = world.fake.rings().iter().filter(|ring| ring.number == "+12125550101").count();
    assert_eq!(to_ada, 0);
}

#[test]
fn an_erased_customer_whose_number_had_changed_is_not_called_again_at_the_new_one() {
    let world = World::after_a_morning();
    for (who, phone) in [("cy-9", "+442079460109"), ("ada-7", "+12125550109")] {
        world.ok(&["customers", "update", who, "--phone", phone]);
        world.ok(&["customers", "erase", who, "--reason", "letter of 2 March"]);
    }
    let again = "name,phone,timezone,call_time,payment_status,created_at,welcome_call_completed,\
        next_call_scheduled_at\n\
        Cy,+442079460109,Europe/London,,Paid,2026-03-02T11:00:00Z,0,\n\
        Ada,+12125550109,America/New_York,10:30,Paid,2026-02-01T00:00:00Z,1,\n";
    std::fs::write(world.path("again.csv"), again).unwrap();
    world.ok(&["customers", "import", "again.csv"]);
    let rang = world.fake.rings().len();
    for time in ["14:00", "15:30", "16:30"] {
        world.at(&format!("2026-03-02T{time}:00Z"));
        world.ok(&["tick"]);
    }
    assert_eq!(world.fake.rings().len(), rang, "welcomed, and called today, at another number");
    world.ok(&["audit", "--offline"]);
}

#[test]
fn who_is_erased_during_a_call_and_opts_out_in_it_is_never_called_again() {
    let world = World::new();
    let config = std::fs::read_to_string(world.path("ringonce.toml")).unwrap();
    let config = format!(
        "{config}[do_not_call]\nended_reasons = [\"vonage-disconnected\"]\n\
         [follow]\nstore_transcripts = true\n"
    );
    std::fs::write(world.path("ringonce.toml"), config).unwrap();
    world.fake.set_faults("ended-reason=vonage-disconnected".parse().unwrap());
    world.at("2026-03-02T12:00:00Z");
    world.ok(&["tick"]);
    let state = "SELECT state FROM call_attempts WHERE customer_id = 1";
    assert_eq!(world.one("ringonce.db", state), "placed");
    world.ok(&["customers", "erase", "ada-7", "--reason", "letter"]);
    world.at("2026-03-02T12:30:00Z");
    world.ok(&["tick"]);
    let ended = "SELECT min(state) || ' ' || count(r.attempt_id) FROM call_attempts
        LEFT JOIN call_results AS r ON attempt_id = id WHERE customer_id IS NULL";
    assert_eq!(world.one("ringonce.db", ended), "ended 0", "what was said is not kept");
    let listed = "SELECT group_concat(phone) FROM do_not_call WHERE phone = '+12125550101'";
    assert_eq!(world.one("ringonce.db", listed), "+12125550101");
}

#[test]
fn an_erased_customer_stays_erased_when_an_older_backup_is_restored() {
    let world = World::after_a_morning();
    world.ok(&["backup", "backup.db"]);
    world.ok(&["customers", "erase", "ada-7", "--reason", "letter of 2 March"]);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(world.path(&format!("ringonce.db{ending}")));
    }
    std::fs::copy(world.path("backup.db"), world.db()).unwrap();
    assert!(world.holds("Lovelorn"), "the backup knows Ada");
    world.at("2026-03-03T12:15:00Z");
    world.ok(&["adopt", "--reason", "the disk broke"]);
    let rang = world.fake.rings().len();
    world.ok(&["tick"]);
    let rings: Vec<String> =
        world.fake.rings().into_iter().skip(rang).map(|ring| ring.number).collect();
    assert!(rings.contains(&"+12125550102".to_string()), "Bob is called: {rings:?}");
    assert!(!rings.contains(&"+12125550101".to_string()), "Ada is not: {rings:?}");
    world.refused(2, &["customers", "show", "ada-7"]);
    assert!(!world.holds("Lovelorn"));
    world.ok(&["audit"]);
}

#[test]
fn nobody_is_erased_while_a_call_to_them_is_being_placed() {
    let world = World::new();
    world.sql(
        "INSERT INTO call_attempts (id, seq, customer_id, customer_key, call_type, occasion,
           attempt_no, phone, phone_key, state, created_at, updated_at)
         VALUES ('a', 1, 1, 'k', 'daily', '2026-03-02', 1, '+12125550101', 'h', 'dialing',
           '2026-03-02T11:30:00.000Z', '2026-03-02T11:30:00.000Z')",
    );
    let said = world.refused(1, &["customers", "erase", "ada-7", "--reason", "letter"]);
    assert!(said.contains("being placed"), "{said}");
    assert!(world.holds("Lovelorn"));
}

#[test]
fn the_do_not_call_list_outlives_an_erasure() {
    let world = World::new();
    world.sql(
        "INSERT INTO do_not_call (phone, reason, source, created_at)
           VALUES ('+12125550101', 'asked', 'cli', '2026-03-02T11:30:00.000Z');",
    );
    let output = world.run(&["customers", "erase", "ada-7", "--reason", "letter"]);
    assert!(error_of(&output).contains("stays on the do-not-call list"));
    let listed = "SELECT CAST(count(*) AS TEXT) FROM do_not_call";
    assert_eq!(world.one("ringonce.db", listed), "1");
}

#[test]
fn an_honest_morning_passes_the_audit() {
    let world = World::after_a_morning();
    let report = world.json(&["audit", "--json"]);
    assert_eq!(report["duplicates"], Value::Array(Vec::new()));
    assert_eq!(report["gaps"], Value::Array(Vec::new()));
    assert_eq!(report["provider_calls"], 3);
    assert_eq!(report["called"], 3);
    let said = world.ok(&["audit", "--offline"]);
    assert!(said.contains("0 duplicates, 0 gaps"), "{said}");
}

#[test]
fn days_of_downtime_pauses_and_edits_pass_the_audit() {
    let world = World::after_a_morning();
    world.ok(&["customers", "pause", "bob-8", "--reason", "holiday"]);
    world.at("2026-03-06T12:00:00Z");
    let said = world.refused(1, &["audit", "--offline"]);
    assert!(said.contains("6 gaps"), "{said}");
    world.ok(&["tick"]);
    world.ok(&["customers", "resume", "bob-8", "--reason", "back"]);
    world.ok(&["customers", "update", "ada-7", "--call-time", "06:00"]);
    for day in ["07", "08", "09"] {
        for time in ["10:45", "11:00", "12:00", "13:00", "17:00"] {
            world.at(&format!("2026-03-{day}T{time}:00Z"));
            world.ok(&["tick"]);
        }
    }
    let report = world.json(&["audit", "--json"]);
    assert_eq!(report["gaps"], Value::Array(Vec::new()));
    assert_eq!(report["duplicates"], Value::Array(Vec::new()));
    let skipped = "SELECT CAST(count(*) AS TEXT) FROM call_queue WHERE reason = 'too_late'";
    assert_ne!(world.one("ringonce.db", skipped), "0", "the missed days were told");
}

/// Adds the first call again, at the same number and for another customer.
const ONE_NUMBER: &str = "
    INSERT INTO call_attempts (id, seq, customer_id, customer_key, call_type, occasion,
      attempt_no, phone_key, state, disposition, vapi_call_id, created_at, updated_at)
    SELECT 'second', 900, 3, (SELECT key FROM customers WHERE id = 3), call_type, occasion, 1,
      phone_key, 'ended', 'answered', 'call-2', created_at, updated_at
    FROM call_attempts WHERE customer_id = 1";

#[test]
fn the_audit_names_every_kind_of_damage() {
    const SECOND: &str = "
        INSERT INTO call_attempts (id, seq, customer_id, customer_key, call_type, occasion,
          attempt_no, phone_key, state, disposition, vapi_call_id, created_at, updated_at)
        SELECT 'second', 900, customer_id, customer_key, call_type, occasion, 2, phone_key,
          'ended', 'answered', 'call-2', created_at, updated_at
        FROM call_attempts WHERE customer_id = 1";
    const PAIR: &str = "
        INSERT INTO second_calls SELECT 'call-9', id, customer_key, created_at, 'two calls'
        FROM call_attempts WHERE customer_id = 1";
    let damage = [
        ("duplicate", "customer 1, daily 2026-03-02", SECOND),
        ("duplicate", "customer 3, daily 2026-03-02", ONE_NUMBER),
        ("duplicate", "customer 1, daily 2026-03-02", PAIR),
        (
            "gap",
            "customer 1, daily 2026-03-02",
            "UPDATE customers SET last_call_date = NULL WHERE id = 1",
        ),
        (
            "gap",
            "customer 3, welcome welcome",
            "UPDATE customers SET welcome_call_completed = 0 WHERE id = 3",
        ),
        (
            "gap",
            "customer 2, daily 2026-03-04",
            "DELETE FROM call_queue WHERE customer_id = 2 AND occasion = '2026-03-04'",
        ),
        (
            "gap",
            "customer 1, daily 2026-03-05",
            "UPDATE call_queue SET status = 'processing', reason = NULL
             WHERE customer_id = 1 AND occasion = '2026-03-05'",
        ),
        (
            "gap",
            "customer 1, daily 2026-03-02",
            "UPDATE call_queue SET status = 'failed', reason = 'refused'
             WHERE customer_id = 1 AND occasion = '2026-03-02'",
        ),
    ];
    for (kind, who, sql) in damage {
        let world = World::after_a_morning();
        world.at("2026-03-06T18:00:00Z");
        world.ok(&["tick"]);
        world.ok(&["audit"]);
        world.sql(sql);
        let said = world.refused(1, &["audit", "--offline"]);
        assert!(said.contains(&format!("{kind} {who}")), "{sql}: {said}");
        assert!(!said.contains("2125550"), "no phone is shown: {said}");
    }
}

#[test]
fn calls_of_people_who_share_a_number_pass_the_audit() {
    let world = World::after_a_morning();
    world.sql(ONE_NUMBER);
    world.sql("UPDATE customers SET last_call_date = '2026-03-02' WHERE id = 3");
    world.sql("UPDATE customers SET shared_phone = 1 WHERE id = 3");
    world.refused(1, &["audit", "--offline"]);
    world.sql("UPDATE customers SET shared_phone = 1 WHERE id = 1");
    world.ok(&["audit", "--offline"]);
    world.ok(&["customers", "erase", "cy-9", "--reason", "asked"]);
    world.ok(&["audit", "--offline"]);
    // They shared the number when they were called; only the journal still shows that reason.
    world.ok(&["customers", "update", "ada-7", "--shared-phone", "false"]);
    world.ok(&["audit", "--offline"]);
}

#[test]
fn the_rest_of_a_flag_after_an_erasure_is_not_a_call_to_the_audit() {
    let world = World::after_a_morning();
    // Somebody with Cy's number was welcomed elsewhere, and was erased after Cy's welcome call.
    world.sql(
        "INSERT INTO call_attempts (id, seq, customer_key, call_type, occasion, attempt_no,
           phone_key, state, disposition, created_at, updated_at)
         SELECT 'left', -1, 'of nobody', call_type, occasion, 1, phone_key, 'ended', 'unknown',
           created_at, updated_at
         FROM call_attempts WHERE call_type = 'welcome'",
    );
    world.ok(&["audit", "--offline"]);
    // It is not a call either if the erased person's records are found after it.
    world.sql(
        "INSERT INTO call_attempts (id, seq, customer_key, call_type, occasion, attempt_no,
           phone_key, state, disposition, created_at, updated_at)
         SELECT 'found', 99, customer_key, call_type, occasion, 1, 'another', state, 'answered',
           created_at, updated_at
         FROM call_attempts WHERE id = 'left'",
    );
    world.ok(&["audit", "--offline"]);
}

#[test]
fn the_audit_finds_a_call_that_only_the_provider_knows() {
    let world = World::after_a_morning();
    world.ok(&["backup", "copy.db"]);
    world.at("2026-03-03T12:00:00Z");
    world.ok(&["tick"]);
    // The file of yesterday does not know today's call.
    let said = world.refused(1, &["audit", "--db", "copy.db"]);
    assert!(said.contains("gap customer 1, daily 2026-03-03"), "{said}");
    assert!(said.contains("is not in the file"), "{said}");
}

#[test]
fn the_audit_finds_a_call_that_the_provider_never_had() {
    let world = World::after_a_morning();
    world.ok(&["audit"]);
    world.sql(
        "INSERT INTO call_attempts (id, seq, customer_id, customer_key, call_type, occasion,
           attempt_no, phone_key, state, disposition, vapi_call_id, created_at, updated_at)
         SELECT 'invented', 900, customer_id, customer_key, 'extra',
           'extra:00000000-0000-4000-8000-000000000001', 1, phone_key, 'ended', 'answered',
           'call-2', created_at, updated_at
         FROM call_attempts WHERE customer_id = 1",
    );
    // A call of the last hours may not be in the list yet.
    world.ok(&["audit"]);
    world.at("2026-03-02T23:00:00Z");
    let said = world.refused(1, &["audit"]);
    assert!(said.contains("gap customer 1, extra"), "{said}");
    assert!(said.contains("the provider has no record of it"), "{said}");
    // A key of another account shows no call, so it proves nothing about this one.
    world.fake.set_faults("drops-rows".parse().unwrap());
    let said = world.ok(&["audit"]);
    assert!(said.contains("compared with 0 calls"), "{said}");
}

#[test]
fn a_call_that_is_older_than_the_records_there_is_missed_by_no_audit() {
    let world = World::after_a_morning();
    world.at("2026-03-02T23:00:00Z");
    let tag = |customer: &str| {
        let tag =
            "SELECT substr(call_type, 1, 1) || '-' || id FROM call_attempts WHERE customer_id = ";
        format!("drops-rows:tag={}", world.one("ringonce.db", &format!("{tag}{customer}")))
    };
    // The records begin after Cy's call: a short retention, or a provider that lost older calls.
    world.fake.set_faults(tag("3").parse().unwrap());
    world.ok(&["audit"]);
    world.fake.set_faults(tag("2").parse().unwrap());
    let said = world.refused(1, &["audit"]);
    assert!(said.contains("gap customer 2, daily 2026-03-02"), "{said}");
}

#[test]
fn calls_of_an_old_scheduler_pass_the_audit() {
    let world = World::after_a_morning();
    // Two people at one number, called through an account that the audit does not ask.
    let people = "external_id,phone,timezone\ndee,+12125550104,America/New_York\neve,+12125550104,America/New_York\n";
    std::fs::write(world.path("people.csv"), people).unwrap();
    world.ok(&["customers", "import", "people.csv"]);
    let queue = "customer_id,call_type,scheduled_for,status,processed_at,vapi_call_id\n\
        dee,welcome,2026-03-02T12:40:00Z,completed,2026-03-02T12:40:01Z,old-1\n\
        eve,welcome,2026-03-02T12:50:00Z,completed,2026-03-02T12:50:01Z,old-2\n";
    std::fs::write(world.path("queue.csv"), queue).unwrap();
    world.ok(&["queue", "import", "queue.csv"]);
    world.at("2026-03-02T23:00:00Z");
    world.ok(&["audit"]);
}
