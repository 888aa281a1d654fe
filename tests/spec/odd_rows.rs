//! A row that cannot be read, because another program wrote it, blocks only whom it concerns. It is
//! named, and everybody else is called.

use ringonce::steps::readiness::quarantine;
use ringonce::store::Store;
use ringonce::web::health;

use crate::world::{Run, World, quick};

/// A text that is not UTF-8.
const BYTES: &str = "CAST(X'4164FF61' AS TEXT)";
/// An instant that the calendar does not have.
pub const NO_DAY: &str = "'2026-02-30T09:00:00.000Z'";
const WORD: &str = "'strange'";
const NAME_OF_ROW_1: &str = "row 1 of customers cannot be read (name is not UTF-8 text)";
const DEEP: &str = "replace(printf('%.900c', 'x'), 'x', '{\"a\":') || '1' || \
     replace(printf('%.900c', 'x'), 'x', '}')";

const CUSTOMER_TEXTS: [&str; 15] = [
    "key",
    "external_id",
    "name",
    "email",
    "phone",
    "phone_validation_error",
    "timezone",
    "call_time",
    "call_schedule",
    "payment_status",
    "call_status",
    "last_call_id",
    "variables",
    "consent_source",
    "consent_text",
];
const ITEM_TEXTS: [&str; 6] =
    ["call_type", "occasion", "status", "reason", "error_message", "vapi_call_id"];
const ATTEMPT_TEXTS: [&str; 14] = [
    "id",
    "customer_key",
    "call_type",
    "occasion",
    "phone",
    "phone_key",
    "state",
    "vapi_call_id",
    "ended_reason",
    "disposition",
    "error_message",
    "phone_number_id",
    "absent_boot_id",
    "updated_at",
];

/// Two customers who are called each day, in one world whose days pass.
pub struct Days {
    pub world: World,
    pub ada: i64,
    day: chrono::NaiveDate,
}

impl Days {
    pub fn new() -> Days {
        let world = World::with(quick(), "[schedule]\nlook_ahead_minutes = 20\n");
        let ada = world.daily("Ada");
        world.daily("Bob");
        let day = crate::world::date("2026-02-02");
        world.tick_at("2026-02-02T12:00:00Z");
        let days = Days { world, ada, day };
        assert_eq!(days.called(), ["Ada", "Bob"]);
        days
    }

    pub fn tick(&self, time: &str) {
        self.world.tick_at(&format!("{}T{time}:00Z", self.day));
    }

    /// The next day, with both calls of the day in the queue.
    pub fn next(&mut self) {
        self.day = self.day.succ_opt().unwrap();
        self.tick("11:45");
    }

    /// Whom a call of this day reached.
    pub fn called(&self) -> Vec<String> {
        let day = self.day;
        self.world.lines(&format!(
            "SELECT (SELECT CAST(name AS TEXT) FROM customers WHERE id = item.customer_id)
             FROM call_queue AS item WHERE occasion = '{day}' AND status = 'completed' ORDER BY 1"
        ))
    }

    pub fn write(&self, statement: &str) {
        self.world.sql(&format!(
            "PRAGMA ignore_check_constraints = 1;
             DROP TRIGGER IF EXISTS customers_instants_as_updated;
             DROP TRIGGER IF EXISTS call_queue_instants_as_updated;
             DROP TRIGGER IF EXISTS do_not_call_phone_as_inserted;
             {statement}"
        ));
    }

    /// The tables of the rows that `status` names.
    pub fn quarantine(&self) -> Vec<String> {
        let store = Store::look(&self.world.db()).unwrap();
        let rows = store.read(|conn| quarantine::found(&store, conn)).unwrap();
        rows.into_iter().map(|row| row.place).collect()
    }

    /// A cell that cannot be read: Bob is called, Ada only after the cell is corrected.
    fn odd_cell(&mut self, table: &str, whose: &str, column: &str, value: &str) {
        self.next();
        let what = format!("{table}.{column} = {value}");
        let kept = format!("DROP TABLE IF EXISTS kept;
             CREATE TABLE kept AS SELECT rowid AS place, {column} AS cell FROM {table} WHERE {whose}");
        self.write(&format!(
            "{kept}; UPDATE {table} SET {column} = {value} WHERE rowid = (SELECT place FROM kept)"
        ));
        self.tick("12:00");
        assert_eq!(self.called(), ["Bob"], "{what}");
        let named = self.quarantine();
        assert!(named.iter().any(|place| place == table), "{what}: {named:?}");
        self.write(&format!(
            "UPDATE {table} SET {column} = (SELECT cell FROM kept)
             WHERE rowid = (SELECT place FROM kept); DROP TABLE kept"
        ));
        self.tick("12:20");
        assert_eq!(self.called(), ["Ada", "Bob"], "{what}: {:?}", self.world.items());
        assert_eq!(self.quarantine(), [""; 0], "{what}");
    }
}

impl Days {
    fn odd_customer(&mut self, column: &str, value: &str) {
        let whose = format!("id = {}", self.ada);
        self.odd_cell("customers", &whose, column, value);
    }
}

#[test]
fn unreadable_text_of_a_customer_blocks_only_this_customer() {
    let mut days = Days::new();
    for column in CUSTOMER_TEXTS {
        days.odd_customer(column, BYTES);
    }
    days.world.assert_no_phone_rang_twice();
}

#[test]
fn unreadable_instants_words_and_variables_of_a_customer_block_only_this_customer() {
    let mut days = Days::new();
    for column in ["created_at", "updated_at", "next_call_scheduled_at"] {
        for value in [BYTES, NO_DAY, "'9999-99-99T99:99:99.999Z'", WORD] {
            days.odd_customer(column, value);
        }
    }
    days.odd_customer("last_call_date", "'2026-02-30'");
    days.odd_customer("call_status", WORD);
    for variables in ["'{\"a\":1e999}'", "'[1]'", "'{\"a\":'", DEEP] {
        days.odd_customer("variables", variables);
    }
    days.world.assert_no_phone_rang_twice();
}

#[test]
fn unreadable_consent_and_eligibility_instants_block_nobody() {
    let mut days = Days::new();
    for column in ["consent_at", "eligible_from"] {
        days.next();
        days.write(&format!("UPDATE customers SET {column} = {BYTES} WHERE id = {}", days.ada));
        days.tick("12:00");
        assert_eq!(days.called(), ["Ada", "Bob"], "{column}");
    }
}

#[test]
fn unreadable_queue_item_blocks_only_its_customer() {
    let mut days = Days::new();
    let open = format!("id = (SELECT max(id) FROM call_queue WHERE customer_id = {})", days.ada);
    for column in ITEM_TEXTS {
        days.odd_cell("call_queue", &open, column, BYTES);
    }
    for column in ["call_type", "status", "reason"] {
        days.odd_cell("call_queue", &open, column, WORD);
    }
    for column in ["scheduled_for", "not_before", "expires_at", "created_at", "processed_at"] {
        for value in [BYTES, NO_DAY, WORD] {
            days.odd_cell("call_queue", &open, column, value);
        }
    }
    days.world.assert_no_phone_rang_twice();
}

#[test]
fn unreadable_attempt_blocks_only_its_customer() {
    let mut days = Days::new();
    let last =
        format!("seq = (SELECT max(seq) FROM call_attempts WHERE customer_id = {})", days.ada);
    for column in ATTEMPT_TEXTS {
        days.odd_cell("call_attempts", &last, column, BYTES);
    }
    for column in ["call_type", "state", "disposition"] {
        days.odd_cell("call_attempts", &last, column, WORD);
    }
    for column in ["created_at", "updated_at", "started_at", "ended_at", "next_poll_at"] {
        days.odd_cell("call_attempts", &last, column, NO_DAY);
    }
    days.world.assert_no_phone_rang_twice();
}

/// Rows that block Ada while they are there, and nobody else.
#[test]
fn unreadable_webhook_pause_or_call_made_elsewhere_blocks_only_whom_it_concerns() {
    let mut days = Days::new();
    let ada = days.ada;
    let key = days.world.one(&format!("SELECT key FROM customers WHERE id = {ada}"));
    let phone = days.world.one(&format!("SELECT phone FROM customers WHERE id = {ada}"));
    let ending = &phone[phone.len() - 7..];
    let event = |body: &str, at: &str| {
        format!(
            "INSERT INTO webhook_events (vapi_call_id, kind, body, received_at) SELECT
               vapi_call_id, 'tool-calls', {body}, {at} FROM call_attempts
             WHERE customer_id = {ada} ORDER BY seq DESC LIMIT 1"
        )
    };
    let pause = |value: &str| format!("INSERT INTO meta VALUES ('pause:customer:{key}', {value})");
    let elsewhere = |at: &str, found: &str| {
        format!(
            "INSERT INTO calls_elsewhere (vapi_call_id, told, ending, kind, created_at, blocks,
               found_at) VALUES ('there', '{phone}', '{ending}', 'outbound', {at}, 1, {found})"
        )
    };
    let fine = "'2026-02-01T09:00:00.000Z'";
    let rows = [
        event(BYTES, fine),
        event("'{\"call\": 5}'", fine),
        event("'{'", fine),
        event("'{}'", NO_DAY),
        pause("'{\"who\": 5}'"),
        pause(BYTES),
        elsewhere(NO_DAY, fine),
        elsewhere(fine, BYTES),
    ];
    for row in rows {
        days.next();
        days.write(&row);
        days.tick("12:00");
        assert_eq!(days.called(), ["Bob"], "{row}");
        assert_eq!(days.quarantine().len(), 1, "{row}");
        days.write(
            "DELETE FROM webhook_events; DELETE FROM calls_elsewhere;
             DELETE FROM meta WHERE key LIKE 'pause:%'",
        );
        days.tick("12:20");
        assert_eq!(days.called(), ["Ada", "Bob"], "{row}");
        assert_eq!(days.quarantine(), [""; 0], "{row}");
    }
}

#[test]
fn unreadable_pause_of_everybody_and_unknown_scope_pause_everybody() {
    for scope in ["all", "type:daily", "type:monthly", "CAST(X'FF' AS TEXT)", "customer:"] {
        let mut days = Days::new();
        days.next();
        let scope = if scope.starts_with("CAST") { scope.into() } else { format!("'{scope}'") };
        days.write(&format!("INSERT INTO meta VALUES ('pause:' || {scope}, '[]')"));
        days.tick("12:00");
        assert_eq!(days.called(), [""; 0], "{scope}");
        assert_eq!(days.quarantine().len(), 1, "{scope}");
    }
}

#[test]
fn unreadable_hold_or_breaker_keeps_everybody_uncalled_until_a_person_resumes() {
    for key in ["hold:flag", "breaker"] {
        let mut days = Days::new();
        days.next();
        days.write(&format!("INSERT INTO meta VALUES ('{key}', '{{')"));
        days.tick("12:00");
        assert_eq!(days.called(), [""; 0], "{key}");
        assert_eq!(days.quarantine(), ["meta"], "{key}");
        let resumed = days.world.command(&["resume", "--reason", "looked at it"]);
        assert_eq!(resumed.code, Some(0), "{key}: {resumed:?}");
        days.tick("12:20");
        assert_eq!(days.called(), ["Ada", "Bob"], "{key}");
        assert_eq!(days.quarantine(), [""; 0], "{key}");
    }
}

#[test]
fn import_does_not_add_a_second_row_for_a_person_whose_row_cannot_be_read() {
    let world = World::new();
    let csv = "external_id,name,phone,timezone,call_time,payment_status,welcome_call_completed\n\
               u1,Ada,+12125550101,America/New_York,07:00,Paid,1\n";
    std::fs::write(world.path("people.csv"), csv).unwrap();
    let import = || world.command(&["customers", "import", "people.csv"]);
    assert_eq!(import().code, Some(0));
    world.sql(&format!("UPDATE customers SET name = {BYTES}"));
    let again = import();
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains(NAME_OF_ROW_1), "{again:?}");
    assert_eq!(world.count("SELECT count(*) FROM customers"), 1);
}

#[test]
fn do_not_call_entry_in_any_state_still_protects_its_number() {
    let mut days = Days::new();
    let phone = days.world.one(&format!("SELECT phone FROM customers WHERE id = {}", days.ada));
    for (phone, reason, at) in [
        (format!("'{phone}'"), BYTES, NO_DAY),
        (format!("'{}'", phone.trim_start_matches('+')), "'x'", NO_DAY),
        (format!("'+44 (0)20 {}'", &phone[5..]), "'x'", NO_DAY),
        (format!("CAST(X'FF' AS TEXT) || '{phone}'"), "'x'", "'x'"),
    ] {
        days.next();
        days.write(&format!("INSERT INTO do_not_call VALUES ({phone}, {reason}, 'x', {at})"));
        days.tick("12:00");
        assert_eq!(days.called(), ["Bob"], "{phone}");
        assert_eq!(days.world.command(&["dnc", "list"]).code, Some(0), "{phone}");
        days.write("DELETE FROM do_not_call");
    }
    days.world.assert_no_phone_rang_twice();
}

#[test]
fn every_view_works_beside_rows_that_cannot_be_read_and_names_them() {
    let mut days = Days::new();
    days.next();
    let ada = days.ada;
    days.write(&format!(
        "UPDATE customers SET name = {BYTES}, variables = '{{\"a\":1e999}}' WHERE id = {ada};
         UPDATE call_queue SET created_at = {NO_DAY} WHERE customer_id = {ada};
         UPDATE call_attempts SET error_message = {BYTES} WHERE customer_id = {ada};
         INSERT INTO do_not_call VALUES ('+442079460999', {BYTES}, {BYTES}, {BYTES});
         INSERT INTO holidays VALUES ('US', '2026-12-25', {BYTES})"
    ));
    let world = &days.world;
    let bob = (ada + 1).to_string();
    let simulate = "simulate --from 2026-02-03 --days 1";
    let explain = format!("explain {bob}");
    let lists = ["customers list", "queue list", "attempts list", "dnc list", "history list"];
    let read = ["status", "status --json", "plan", simulate, &explain].into_iter().chain(lists);
    for (line, code) in read.map(|line| (line, 0)).chain([("audit --offline", 1), ("check", 2)]) {
        let run = world.command(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(run.code, Some(code), "{line}: {run:?}");
    }
    days.tick("12:00");
    let Run { stdout, .. } = days.world.command(&["check"]);
    let check = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for named in ["row 1 of customers: name is not UTF-8", "row 1 of call_attempts", "sqlite3"] {
        assert!(check.contains(named), "{check}");
    }
    let service = days.world.start();
    let causes = health::causes(&service, days.world.now());
    let reasons: Vec<String> = causes.iter().map(|cause| cause.line()).collect();
    let reasons = reasons.join("\n");
    assert!(reasons.contains("row 1 of customers"), "{reasons}");
    let status = days.world.command(&["status"]).stdout;
    assert!(status.contains("row 1 of customers"), "{status}");
    let explained = days.world.command(&["explain", "1"]);
    assert!(explained.stderr.contains(NAME_OF_ROW_1), "{explained:?}");
    assert!(!(status + &stdout + &reasons).contains("Ad\u{fffd}"));
}

#[test]
fn call_under_way_ends_and_frees_its_line_while_its_customer_cannot_be_read() {
    let mut setup = quick();
    setup.timing.talk = chrono::Duration::minutes(5);
    let world = World::with(setup, "");
    let ada = world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.sql(&format!("UPDATE customers SET name = {BYTES} WHERE id = {ada}"));
    world.tick_at("2026-02-02T12:10:00Z");
    assert_eq!(world.count("SELECT count(*) FROM call_attempts WHERE state = 'ended'"), 1);
    assert_eq!(world.holds(), [""; 0]);
}

#[test]
fn doubt_that_is_found_placed_does_not_hold_everybody_while_its_customer_cannot_be_read() {
    let world = World::with_faults("accept-then-close:first=1");
    let ada = world.daily("Ada");
    world.tick_at("2026-02-02T12:00:00Z");
    world.faults("");
    world.customer("Bob").in_zone("America/New_York").at("07:10").paid().welcomed().add();
    world.sql(&format!("UPDATE customers SET name = {BYTES} WHERE id = {ada}"));
    world.tick_at("2026-02-02T12:15:00Z");
    assert_eq!(world.holds(), [""; 0]);
    assert_eq!(world.rings().len(), 2, "{:?}", world.items());
    world.assert_no_phone_rang_twice();
}
