//! Copies and snapshots as a user of the program sees them: a real database, and a provider on
//! loopback that counts rings.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use ringonce::demo::fake_vapi::core::{FakeCore, Setup};
use ringonce::demo::fake_vapi::journal::Journal;
use ringonce::demo::fake_vapi::server::FakeVapi;
use ringonce::domain::parse_instant;
use ringonce::store::file::lock::{DialerLock, LockAnswer};
use ringonce::store::{Conn, Store};
use serde_json::Value;

use crate::left_out::{NOBODY, Need, machine_has};

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

/// A folder with a database of three customers, a clock in a file, and a fake provider.
pub struct World {
    folder: tempfile::TempDir,
    pub fake: FakeVapi,
}

impl World {
    pub fn new() -> World {
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
    pub fn after_a_morning() -> World {
        let world = World::new();
        for time in ["11:30", "11:45", "12:00", "12:15", "12:30", "13:30"] {
            world.at(&format!("2026-03-02T{time}:00Z"));
            world.ok(&["tick"]);
        }
        assert_eq!(world.fake.rings().len(), 3, "Ada, Bob and the welcome of Cy");
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn at(&self, instant: &str) {
        std::fs::write(self.path("clock"), instant).unwrap();
    }

    pub fn run(&self, args: &[&str]) -> Output {
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

    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", error_of(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn refused(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", error_of(&output));
        format!("{}{}", String::from_utf8_lossy(&output.stdout), error_of(&output))
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.run(args).stdout).unwrap()
    }

    pub fn db(&self) -> PathBuf {
        self.path("ringonce.db")
    }

    pub fn sql(&self, sql: &str) {
        let store = Store::open(&self.db(), parse_instant("2026-03-02T13:30:00Z").unwrap());
        store.unwrap().write(|tx| Ok(tx.execute_batch(sql)?)).unwrap();
    }

    pub fn look<T>(&self, name: &str, f: impl FnOnce(&Conn) -> anyhow::Result<T>) -> T {
        Store::look(&self.path(name)).unwrap().read(f).unwrap()
    }

    pub fn one(&self, name: &str, sql: &str) -> String {
        self.look(name, |conn| Ok(conn.query_one(sql, [], |row| row.get(0))?))
    }

    /// Whether any of the database's files holds these bytes.
    pub fn holds(&self, text: &str) -> bool {
        ["ringonce.db", "ringonce.db-wal"].iter().any(|name| bytes_hold(&self.path(name), text))
    }
}

pub fn error_of(output: &Output) -> String {
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
    assert!(rang > 0);
    for name in ["ringonce.db-wal", "ringonce.db-shm"] {
        let _ = std::fs::remove_file(world.path(name));
    }
    // It replaces the live file, which keeps its inode, so the copy itself must record that it is
    // one.
    std::fs::copy(world.path("copy.db"), world.db()).unwrap();
    let said = world.refused(3, &["tick"]);
    assert!(said.contains("not armed here"), "{said}");
    assert_eq!(world.fake.rings().len(), rang);
}

#[test]
fn a_file_that_was_moved_says_where_it_was_armed() {
    let world = World::new();
    world.at("2026-03-02T12:00:00Z");
    std::fs::rename(world.db(), world.path("moved.db")).unwrap();
    let said = world.refused(3, &["tick", "--db", "moved.db"]);
    assert!(said.contains("the database was armed at"), "{said}");
    assert!(world.fake.rings().is_empty());
    std::fs::rename(world.path("moved.db"), world.db()).unwrap();
    world.ok(&["tick"]);
    assert_eq!(world.fake.rings().len(), 2, "back where it was armed: Ada, and the welcome of Cy");
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
    // Damages the head of a page: without checksums, SQLite cannot notice every changed bit.
    let middle = flipped.len() / 2 / 4096 * 4096;
    flipped[middle..middle + 64].fill(0x5a);
    let broken: [(&str, Vec<u8>); 5] = [
        ("short.db", whole[..whole.len() / 2].to_vec()),
        ("cut.db", whole[..whole.len() - 4096].to_vec()),
        ("empty.db", Vec::new()),
        ("garbage.db", b"this is not a database, and not a part of one".repeat(100)),
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
         UPDATE call_results SET transcript = 'canary-words', summary = 'canary-summary',
           success_evaluation = 'canary-rubric', structured = '{\"canary-name\": \"canary-value\"}';
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

    let verified = world.json(&["verify", "shown.db", "--json"]);
    assert_eq!(verified["armed_somewhere"], false);
    world.ok(&["customers", "list", "--db", "shown.db"]);
    let rang = world.fake.rings().len();
    let said = world.refused(3, &["tick", "--db", "shown.db"]);
    assert!(said.contains("not armed"), "{said}");
    assert_eq!(world.fake.rings().len(), rang);
}

/// The program sets its umask too, but the mode of the file does not rely on it.
#[test]
fn a_new_database_with_its_log_and_lock_is_for_its_owner_alone_whatever_the_umask() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new.db");
    let now = parse_instant("2026-03-02T12:00:00Z").expect("an instant");
    let store = Store::open(&path, now).expect("a database");
    store.write(|tx| ringonce::store::meta::organization::set_org_id(tx, "org")).expect("a write");
    let lock = DialerLock::take(&path, now).expect("a lock file");
    for ending in ["", "-wal", "-shm", ".lock"] {
        let file = folder.path().join(format!("new.db{ending}"));
        assert_eq!(mode(&file), 0o600, "{ending}");
    }
    assert!(matches!(lock, LockAnswer::Mine(_)));
}

/// A service runs as its own user; a person beside it works as root.
#[test]
fn what_root_makes_beside_a_database_belongs_to_the_owner_of_the_folder() {
    let world = World::new();
    let owner = |name: &str| {
        let about = std::fs::metadata(world.path(name)).expect("the file is there");
        (about.uid(), about.gid())
    };
    if !machine_has(&[Need::Root]) {
        return; // only root can give files away
    }
    let folder = world.path("var");
    std::fs::create_dir(&folder).expect("a folder");
    chown(&folder, Some(NOBODY), Some(NOBODY)).expect("root may");
    let db = ["--db", "var/ringonce.db"];
    let ok = |args: &[&str]| world.ok(&[args, db.as_slice()].concat());
    ok(&["customers", "import", "customers.csv"]);
    ok(&["dnc", "add", "+12125550109", "--reason", "asked"]);
    ok(&["tick"]);
    for ending in ["", ".do-not-call", ".lock"] {
        assert_eq!(owner(&format!("var/ringonce.db{ending}")), (NOBODY, NOBODY), "{ending}");
    }
}
