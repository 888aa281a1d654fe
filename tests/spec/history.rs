//! `history`: a person sees the calls that were made elsewhere and marks those that do not count.
//! Also covered: what remains of such a call in older files, snapshots, audits and after an
//! erasure.

use ringonce::provider::ProviderCall;

use crate::made_elsewhere::{ADA, accept, add_ada, call_from_elsewhere, listed_call, tick_beside};
use crate::world::World;

/// Ends Ada's welcome call by a call from another database, and returns that call's id.
fn ended_elsewhere(world: &World) -> String {
    accept(world);
    add_ada(world);
    world.set_clock("2026-02-02T15:00:00Z");
    let id = call_from_elsewhere(world, ADA);
    world.pass(chrono::Duration::minutes(1));
    world.tick();
    assert_eq!(world.items(), ["Ada welcome welcome completed already_called"]);
    id
}

#[test]
fn the_list_shows_what_was_found_and_hides_the_number() {
    let world = World::new();
    assert_eq!(world.command(&["history", "list"]).stdout, "no calls were made elsewhere\n");
    let id = ended_elsewhere(&world);
    let run = world.command(&["history", "list"]);
    for part in [id.as_str(), "+1•••••••0101", "welcome, daily 2026-02-02", "10:00"] {
        assert!(run.stdout.contains(part), "{part}: {run:?}");
    }
    assert!(!run.stdout.contains(ADA));
    let listed = world.command(&["history", "list", "--json"]).json();
    let call = &listed[0];
    assert_eq!(call["at"], "2026-02-02T15:00:00.000Z", "{listed}");
    assert_eq!(call["customers"], serde_json::json!([1]));
    assert_eq!(call["installation_id"], "another database");
    assert_eq!(call["blocks"], serde_json::json!(["welcome", "daily 2026-02-02"]));
    let revealed = world.command(&["history", "list", "--reveal"]);
    assert!(revealed.stdout.contains(ADA), "{revealed:?}");
    assert_eq!(world.count("SELECT count(*) FROM journal WHERE what = 'reveal'"), 1);
}

#[test]
fn an_ignored_call_reopens_the_items_that_only_it_had_ended() {
    let world = World::new();
    let id = ended_elsewhere(&world);
    let told = world.one("SELECT error_message FROM call_queue");
    assert!(told.contains(&format!("ringonce history ignore {id} --reason WHY")), "{told}");
    let run = world.command(&["history", "ignore", &id, "--reason", "a test of our own"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(world.items(), ["Ada welcome welcome pending"]);
    let noted = "SELECT subject || ' ' || new || ' ' || why FROM journal WHERE what = 'history'";
    assert_eq!(world.one(noted), format!("call:{id} ignored a test of our own"));
    let listed = world.command(&["history", "list", "--json"]).json();
    assert_eq!(listed[0]["ignored"]["why"], "a test of our own");
    assert_eq!(listed[0]["blocks"], serde_json::json!([]));
    world.tick();
    assert_eq!(world.attempts(), ["Ada welcome welcome #1 ended answered"]);
    let again = world.command(&["history", "ignore", &id, "--reason", "once more"]);
    assert!(again.code == Some(0) && again.stdout.contains("before"), "{again:?}");
    for (id, reason, code) in [("nobody's", "x", 2), (id.as_str(), " ", 2)] {
        let run = world.command(&["history", "ignore", id, "--reason", reason]);
        assert_eq!(run.code, Some(code), "{run:?}");
    }
}

#[test]
fn what_another_call_blocks_too_stays_over_and_a_later_call_blocks_again() {
    let world = World::new();
    let first = ended_elsewhere(&world);
    let second = call_from_elsewhere(&world, ADA);
    world.tick();
    let ignore = |id: &str| {
        let run = world.command(&["history", "ignore", id, "--reason", "a test"]);
        assert_eq!(run.code, Some(0), "{run:?}");
    };
    ignore(&first);
    assert_eq!(world.items(), ["Ada welcome welcome completed already_called"]);
    assert_eq!(world.one("SELECT vapi_call_id FROM call_queue"), second);
    ignore(&second);
    assert_eq!(world.items(), ["Ada welcome welcome pending"]);
    call_from_elsewhere(&world, ADA);
    world.tick();
    assert_eq!(world.items(), ["Ada welcome welcome completed already_called"]);
    assert!(world.attempts().is_empty());
}

#[test]
fn a_daily_call_whose_time_is_over_is_not_opened_again() {
    let world = World::new();
    accept(&world);
    let ada = world.customer("Ada").phone(ADA).in_zone("America/New_York").at("07:00");
    ada.paid().welcomed().add();
    let id = call_from_elsewhere(&world, ADA);
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed already_called"]);
    world.set_clock("2026-02-02T20:00:00Z");
    world.command(&["history", "ignore", &id, "--reason", "a test"]);
    assert_eq!(world.items(), ["Ada daily 2026-02-02 completed already_called"]);
}

#[test]
fn explain_plan_and_simulate_answer_as_the_dialer_does() {
    let world = World::new();
    accept(&world);
    add_ada(&world);
    world.set_clock("2026-02-02T13:05:00Z");
    let id = call_from_elsewhere(&world, ADA);
    world.sql("UPDATE meta SET value = '2026-02-02T13:00:00.000Z' WHERE key = 'last_scan_at'");
    let reconciled = world.command(&["reconcile"]);
    assert_eq!(reconciled.code, Some(0), "{reconciled:?}");
    let explained = world.command(&["explain", "1", "--json"]).json();
    assert_eq!(explained["verdict"], "already_called", "{explained}");
    let rules = explained["occasions"][0]["rules"].to_string();
    assert!(rules.contains(&format!("history ignore {id}")), "{rules}");
    assert_eq!(explained["next_call_at"], "2026-02-03T12:00:00.000Z", "{explained}");
    let planned = world.command(&["plan", "--days", "2", "--json"]).json().to_string();
    assert!(planned.contains("already_called"), "{planned}");
    let simulated = ["simulate", "--from", "2026-02-02", "--days", "1", "--json"];
    let simulated = world.command(&simulated).json();
    assert_eq!(simulated["calls"], 0, "{simulated}");
    world.tick();
    assert_eq!(world.items(), ["Ada welcome welcome completed already_called"]);
    assert!(world.attempts().is_empty());
}

#[test]
fn the_audit_names_calls_made_elsewhere_and_reports_a_second_ring_of_a_date() {
    let world = World::new();
    accept(&world);
    let ada = world.customer("Ada").phone(ADA).in_zone("America/New_York").at("07:00");
    ada.paid().welcomed().add();
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(world.rings().len(), 1);
    world.set_clock("2026-02-02T19:00:00Z");
    let id = call_from_elsewhere(&world, ADA);
    // The audit reads the provider's list first, and then the file.
    for _ in 0..2 {
        let audit = world.command(&["audit", "--json"]);
        let report = audit.json();
        assert_eq!(audit.code, Some(1), "{report}");
        assert_eq!(report["elsewhere"][0]["call_id"], id.as_str(), "{report}");
        assert_eq!(report["duplicates"].as_array().unwrap().len(), 1, "{report}");
        assert!(report["duplicates"][0]["what"].as_str().unwrap().contains(&id));
        world.tick();
    }
    let told = world.command(&["audit", "--offline"]);
    assert!(told.stdout.contains(&format!("made elsewhere: call {id}")), "{told:?}");
    world.command(&["history", "ignore", &id, "--reason", "a test"]);
    assert_eq!(world.command(&["audit"]).code, Some(0));
}

#[test]
fn an_erased_number_is_gone_from_the_history_and_still_protects_a_returning_customer() {
    let world = World::new();
    accept(&world);
    add_ada(&world);
    world.set_clock("2026-02-02T15:00:00Z");
    tick_beside(&world, &listed_call(&world, Some("212 555 0101")));
    let run = world.command(&["customers", "erase", "1", "--reason", "asked"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let told = "SELECT coalesce(told, '') || ending FROM calls_elsewhere";
    assert_eq!(world.one(told), "erased");
    add_ada(&world);
    world.tick();
    assert_eq!(world.items()[1], "Ada welcome welcome completed already_called");
}

#[test]
fn a_snapshot_shows_no_number_of_a_call_made_elsewhere_and_decides_the_same() {
    let world = World::new();
    accept(&world);
    add_ada(&world);
    world.set_clock("2026-02-02T15:00:00Z");
    tick_beside(&world, &listed_call(&world, Some("212 555 0101")));
    let id = "call-by-hand";
    world.command(&["history", "ignore", id, "--reason", "Ada Lovelace told us"]);
    world.sql("UPDATE calls_elsewhere SET ignored_at = NULL");
    let run = world.command(&["snapshot", "snapshot.db"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let bytes = std::fs::read(world.path("snapshot.db")).unwrap();
    for secret in ["555 0101", "5550101", "Lovelace"] {
        assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{secret}");
    }
    let explained = world.command(&["explain", "1", "--json", "--db", "snapshot.db"]).json();
    assert!(explained.to_string().contains("history ignore call-by-hand"), "{explained}");
}

/// Makes the file look as version 1 left it.
fn make_older(world: &World) {
    world.sql("DROP TABLE events");
    world.sql(
        "DROP TABLE calls_elsewhere; DROP TABLE journal_facts; DROP TABLE quarantine;
         DROP TABLE kept_list; DROP TABLE unlisted_calls; DROP INDEX call_attempts_closed;
         DROP INDEX customers_by_status_and_time; DELETE FROM meta WHERE key = 'read_whole_of';
         DROP INDEX customers_paused; DROP INDEX customers_by_assistant;
         ALTER TABLE customers DROP COLUMN assistant;
         ALTER TABLE customers DROP COLUMN source_as_of",
    );
    world.sql("PRAGMA user_version = 1");
}

#[test]
fn an_older_file_can_be_read_as_it_is() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    make_older(&world);
    for command in [
        vec!["history", "list"],
        vec!["explain", "1"],
        vec!["plan", "--days", "2"],
        vec!["simulate", "--from", "2026-02-03", "--days", "1"],
        vec!["audit"],
        vec!["status"],
        vec!["customers", "list", "--json"],
        vec!["queue", "list", "--status", "all"],
        vec!["check"],
        vec!["snapshot", "snapshot.db"],
        vec!["explain", "1", "--db", "snapshot.db"],
        vec!["backup", "backup.db"],
        vec!["verify", "backup.db"],
    ] {
        let run = world.command(&command);
        assert_eq!(run.code, Some(0), "{command:?}: {run:?}");
    }
    assert_eq!(world.one("PRAGMA user_version"), "1", "nothing was written");
}

#[test]
fn an_older_file_is_migrated_and_reads_all_that_the_provider_keeps() {
    let world = World::new();
    world.daily("Eve");
    world.tick_at("2026-02-02T12:00:00Z");
    call_from_elsewhere(&world, ADA);
    world.set_clock("2026-02-02T15:00:00Z");
    world.tick();
    make_older(&world);
    let before = world.attempts();
    add_ada(&world);
    world.tick_at("2026-02-02T16:00:00Z");
    assert_eq!(world.one("PRAGMA user_version"), "4");
    assert_eq!(world.one("SELECT count(*) FROM customers WHERE assistant IS NULL"), "2");
    assert_eq!(world.attempts(), before);
    let welcome = "Ada welcome welcome completed already_called".to_string();
    assert!(world.items().contains(&welcome), "{:?}", world.items());
}

#[test]
fn an_assistant_that_is_configured_later_makes_its_earlier_calls_count() {
    let world = World::new();
    accept(&world);
    add_ada(&world);
    world.set_clock("2026-02-02T14:00:00Z");
    let assistant_id = Some("spanish".to_string());
    let call = ProviderCall { assistant_id, ..listed_call(&world, Some(ADA)) };
    tick_beside(&world, &call);
    assert_eq!(world.items(), ["Ada welcome welcome pending min_gap"]);
    world.set_config("daily_assistant_id = \"spanish\"\n");
    world.tick_at("2026-02-02T15:00:01Z");
    assert_eq!(world.items()[0], "Ada welcome welcome completed already_called");
}

/// An import from another program names the call.
fn name_in_the_ledger(world: &World, call_id: &str) {
    world.sql(&format!(
        "INSERT INTO call_attempts (id, seq, customer_key, call_type, occasion, attempt_no, phone_key,
           state, disposition, vapi_call_id, created_at, updated_at) VALUES ('x', -1, 'x', 'extra',
           'extra:x', 1, '', 'ended', 'answered', '{call_id}', '2026-02-03T05:30:00.000Z',
           '2026-02-03T05:30:00.000Z')"
    ));
}

#[test]
fn our_own_call_blocks_nothing_once_its_id_is_known() {
    for is_known in [true, false] {
        let world = World::new();
        accept(&world);
        let ada = world.customer("Ada").phone(ADA).in_zone("America/New_York").at("07:00");
        ada.paid().welcomed().add();
        // It is 00:30 there, on the date of the daily call.
        world.set_clock("2026-02-03T05:30:00Z");
        let call = listed_call(&world, Some(ADA));
        tick_beside(&world, &call);
        if is_known {
            name_in_the_ledger(&world, &call.id);
        }
        let listed = world.command(&["history", "list", "--json"]).json();
        assert_eq!(listed.as_array().unwrap().len(), usize::from(!is_known));
        world.tick_at("2026-02-03T12:00:00Z");
        assert_eq!(world.rings().len(), usize::from(is_known), "{:?}", world.items());
    }
}
