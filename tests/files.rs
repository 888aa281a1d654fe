//! Copies, snapshots, erasure and the audit, as the binary's user meets them: a real database, a
//! provider on loopback that counts what rings.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use ringonce::demo::core::{FakeCore, Setup};
use ringonce::demo::fake::FakeVapi;
use ringonce::demo::journal::Journal;
use ringonce::domain::parse_instant;
use ringonce::store::{Conn, Store};
use serde_json::Value;

const CONFIG: &str = "\
[vapi]
phone_number_id = \"7d5e8a90-33c1-4f5e-8a1b-52b7c1f0aa22\"
assistant_id = \"2b0f4c1e-6a55-4c0e-9d3a-0c6f5b1d7e11\"
";

const CUSTOMERS: &str = "\
external_id,name,email,phone,timezone,call_time,payment_status,welcome_call_completed,created_at,goal
ada-7,Ada Lovelorn,ada@example.com,+12125550101,America/New_York,07:00,Paid,1,2026-02-01T00:00:00Z,canary-goal
bob-8,Bob Builderson,bob@example.com,+12125550102,America/New_York,07:15,Paid,1,2026-02-01T00:00:00Z,none
cy-9,Cy Newcomer,cy@example.com,+442079460103,Europe/London,09:00,Paid,0,2026-03-02T11:00:00Z,none
";

struct World {
    folder: tempfile::TempDir,
    fake: FakeVapi,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let clock = folder.path().join("clock");
        std::fs::write(&clock, "2026-03-02T11:30:00Z").unwrap();
        let setup = Setup { mix: "answered=1".parse().unwrap(), ..Setup::default() };
        let now = Arc::new(move || {
            let text = std::fs::read_to_string(&clock).unwrap();
            parse_instant(&text).unwrap_or_default()
        });
        let fake = FakeVapi::on_free_port(FakeCore::new(setup, Journal::default()), now).unwrap();
        let world = World { folder, fake };
        std::fs::write(world.path("ringonce.toml"), CONFIG).unwrap();
        std::fs::write(world.path("customers.csv"), CUSTOMERS).unwrap();
        world.ok(&["customers", "import", "customers.csv"]);
        world
    }

    /// A world in which two daily calls and a welcome call were made and ended.
    fn after_a_morning() -> World {
        let world = World::new();
        for time in ["11:30", "11:45", "12:00", "12:15", "12:30", "13:30"] {
            world.at(&format!("2026-03-02T{time}:00Z"));
            world.ok(&["tick"]);
        }
        assert_eq!(world.fake.rings().len(), 3, "Ada, Bob and the welcome of Cy");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn at(&self, instant: &str) {
        std::fs::write(self.path("clock"), instant).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ringonce"))
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("RINGONCE_TEST_CLOCK", self.path("clock"))
            .env("VAPI_API_KEY", "canary-key")
            .env("VAPI_BASE_URL", self.fake.base_url())
            .output()
            .unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", error_of(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", error_of(&output));
        format!("{}{}", String::from_utf8_lossy(&output.stdout), error_of(&output))
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.run(args).stdout).unwrap()
    }

    fn db(&self) -> PathBuf {
        self.path("ringonce.db")
    }

    fn sql(&self, sql: &str) {
        let store = Store::open(&self.db(), parse_instant("2026-03-02T13:30:00Z").unwrap());
        store.unwrap().write(|tx| Ok(tx.execute_batch(sql)?)).unwrap();
    }

    fn look<T>(&self, name: &str, f: impl FnOnce(&Conn) -> anyhow::Result<T>) -> T {
        Store::look(&self.path(name)).unwrap().read(f).unwrap()
    }

    fn one(&self, name: &str, sql: &str) -> String {
        self.look(name, |conn| Ok(conn.query_one(sql, [], |row| row.get(0))?))
    }

    /// Whether any of the database's files holds these bytes.
    fn holds(&self, text: &str) -> bool {
        ["ringonce.db", "ringonce.db-wal"].iter().any(|name| bytes_hold(&self.path(name), text))
    }
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn bytes_hold(path: &Path, text: &str) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_backup_is_whole_private_verified_and_never_overwrites() {
    let world = World::after_a_morning();
    let said = world.ok(&["backup", "copy.db"]);
    assert!(said.contains("3 customers") && said.contains("sha256 "), "{said}");
    assert_eq!(mode(&world.path("copy.db")), 0o600);
    let sum = said.split("sha256 ").nth(1).unwrap().trim();
    let verified = world.json(&["verify", "copy.db", "--json"]);
    assert_eq!(verified["sha256"], sum);
    assert_eq!(verified["attempts"], 3);

    let before = std::fs::read(world.path("copy.db")).unwrap();
    let said = world.refused(1, &["backup", "copy.db"]);
    assert!(said.contains("is there already"), "{said}");
    assert_eq!(std::fs::read(world.path("copy.db")).unwrap(), before);
    let left: Vec<String> = std::fs::read_dir(world.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("copy"))
        .collect();
    assert_eq!(left, ["copy.db"], "neither a part nor a log is left");
}

#[test]
fn a_backup_holds_what_only_the_write_ahead_log_holds() {
    let world = World::new();
    let now = parse_instant("2026-03-02T11:30:00Z").unwrap();
    let open = Store::open(&world.db(), now).unwrap();
    open.write(|tx| {
        tx.execute("UPDATE customers SET name = 'only in the log' WHERE id = 1", [])?;
        Ok(())
    })
    .unwrap();
    world.ok(&["backup", "copy.db"]);
    assert_eq!(world.one("copy.db", "SELECT name FROM customers WHERE id = 1"), "only in the log");
    drop(open);
}

#[test]
fn a_restored_backup_does_not_dial_until_it_is_adopted() {
    let world = World::new();
    world.ok(&["backup", "copy.db"]);
    world.ok(&["tick"]);
    world.at("2026-03-02T12:00:00Z");
    world.ok(&["tick"]);
    let rang = world.fake.rings().len();
    assert!(0 < rang);
    for name in ["ringonce.db-wal", "ringonce.db-shm"] {
        let _ = std::fs::remove_file(world.path(name));
    }
    // Over the live file, which keeps its inode: the copy itself must know that it is one.
    std::fs::copy(world.path("copy.db"), world.db()).unwrap();
    let said = world.refused(3, &["tick"]);
    assert!(said.contains("not armed here"), "{said}");
    assert_eq!(world.fake.rings().len(), rang);
}

#[test]
fn a_folder_of_backups_keeps_the_newest() {
    let world = World::new();
    std::fs::create_dir(world.path("backups")).unwrap();
    std::fs::write(world.path("backups/notes.txt"), "mine").unwrap();
    for hour in 12..16 {
        world.at(&format!("2026-03-02T{hour}:00:00Z"));
        world.ok(&["backup", "backups", "--keep", "2"]);
    }
    let mut names: Vec<String> = std::fs::read_dir(world.path("backups"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let kept = ["notes.txt", "ringonce-2026-03-02T140000Z.db", "ringonce-2026-03-02T150000Z.db"];
    assert_eq!(names, kept);
    world.refused(2, &["backup", "nowhere", "--keep", "2"]);
    world.refused(2, &["backup", "backups"]);
}

#[test]
fn verify_fails_with_one_line_on_anything_that_is_not_whole() {
    let world = World::after_a_morning();
    world.ok(&["backup", "copy.db"]);
    let whole = std::fs::read(world.path("copy.db")).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle..middle + 64].fill(0x5a);
    let broken: [(&str, Vec<u8>); 5] = [
        ("short.db", whole[..whole.len() / 2].to_vec()),
        ("cut.db", whole[..whole.len() - 4096].to_vec()),
        ("empty.db", Vec::new()),
        ("garbage.db", b"this is no database at all, not even a bit of one".repeat(100)),
        ("flipped.db", flipped),
    ];
    for (name, bytes) in broken {
        std::fs::write(world.path(name), bytes).unwrap();
        let output = world.run(&["verify", name]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let said = error_of(&output);
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        assert!(said.contains(name), "{said}");
    }
    world.refused(1, &["verify", "missing.db"]);
    assert!(!world.path("missing.db").exists());
    world.ok(&["verify", "ringonce.db"]);
}

#[test]
fn a_snapshot_hides_everybody_keeps_equal_numbers_equal_and_never_dials() {
    let world = World::after_a_morning();
    world.ok(&["customers", "pause", "ada-7", "--reason", "canary-reason of Ada"]);
    world.sql(
        "UPDATE call_queue SET error_message = 'canary-error +12125550101' WHERE id = 1;
         UPDATE call_attempts SET transcript = 'canary-words', summary = 'canary-summary';
         UPDATE customers SET phone = (SELECT phone FROM customers WHERE id = 1) WHERE id = 2;
         INSERT INTO do_not_call (phone, reason, source, created_at)
           VALUES ('+12125550101', 'canary-dnc', 'cli', '2026-03-02T13:30:00.000Z');
         INSERT INTO webhook_events (vapi_call_id, kind, body, received_at)
           VALUES ('x', 'status-update', 'canary-body', '2026-03-02T13:30:00.000Z');",
    );
    let secret = world.one("ringonce.db", "SELECT value FROM meta WHERE key = 'phone_secret'");
    world.ok(&["snapshot", "shown.db"]);
    let shown = world.path("shown.db");
    assert_eq!(mode(&shown), 0o600);
    let hidden = [
        "2125550101",
        "2125550102",
        "2079460103",
        "Lovelorn",
        "Builderson",
        "Newcomer",
        "ada@",
        "bob@",
        "cy@",
        "ada-7",
        "bob-8",
        "canary",
        &secret,
    ];
    for text in hidden {
        assert!(world.holds(text), "the test is blind to {text}");
        assert!(!bytes_hold(&shown, text), "{text} is in the snapshot");
    }
    let same = "SELECT CAST(count(DISTINCT phone) AS TEXT) FROM customers";
    assert_eq!(world.one("shown.db", same), "2");
    let listed = "SELECT CAST(count(*) AS TEXT) FROM customers JOIN do_not_call USING (phone)";
    assert_eq!(world.one("shown.db", listed), "2", "still on the do-not-call list");
    let times = "SELECT group_concat(timezone || call_time, ' ') FROM customers";
    assert_eq!(world.one("shown.db", times), world.one("ringonce.db", times));
    let states = "SELECT group_concat(state || occasion || created_at, ' ') FROM call_attempts";
    assert_eq!(world.one("shown.db", states), world.one("ringonce.db", states));

    world.ok(&["verify", "shown.db"]);
    world.ok(&["customers", "list", "--db", "shown.db"]);
    let rang = world.fake.rings().len();
    let said = world.refused(3, &["tick", "--db", "shown.db"]);
    assert!(said.contains("not armed"), "{said}");
    assert_eq!(world.fake.rings().len(), rang);
}

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
fn a_welcome_known_only_by_its_flag_is_not_repeated_after_erasure() {
    let world = World::new();
    world.ok(&["customers", "erase", "ada-7", "--reason", "letter"]);
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
    let said = world.ok(&["audit", "--offline"]);
    assert!(said.contains("7 wait for the next scan"), "{said}");
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
