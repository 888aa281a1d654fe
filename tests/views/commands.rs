//! The commands through the real program: output, exit codes, and no change where none is allowed.

use std::path::PathBuf;
use std::sync::Arc;

use assert_cmd::Command;
use ringonce::demo::fake_vapi::core::{FakeCore, Setup};
use ringonce::demo::fake_vapi::journal::Journal;
use ringonce::demo::fake_vapi::server::FakeVapi;
use ringonce::store::Store;
use ringonce::store::file::lock::{DialerLock, LockAnswer};

use crate::world::at;

const CUSTOMERS: &str = "\
external_id,name,phone,timezone,call_time,payment_status,welcome_call_completed,created_at
a1,Ada Example,+12125550101,America/New_York,07:00,Paid,1,2026-02-01T00:00:00Z
b2,Bob Example,+12125550102,America/New_York,07:15,Paid,1,2026-02-01T00:00:00Z
";

pub const CONFIG: &str = "\
[vapi]
phone_number_id = '7d5e8a90-33c1-4f5e-8a1b-52b7c1f0aa22'
assistant_id = '2b0f4c1e-6a55-4c0e-9d3a-0c6f5b1d7e11'
";

/// A folder with two customers, a fake provider, and a clock file.
pub struct Here {
    folder: tempfile::TempDir,
    pub fake: FakeVapi,
}

#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Here {
    pub fn new() -> Here {
        let folder = crate::inner_loop::folder();
        let clock_file = folder.path().join("clock");
        std::fs::write(&clock_file, "2026-03-02T11:30:00Z").unwrap();
        std::fs::write(folder.path().join("ringonce.toml"), CONFIG).unwrap();
        std::fs::write(folder.path().join("customers.csv"), CUSTOMERS).unwrap();
        let clock = Arc::new(move || at(&std::fs::read_to_string(&clock_file).unwrap()));
        let core = FakeCore::new(Setup::default(), Journal::default());
        let fake = FakeVapi::on_free_port(core, clock).unwrap();
        let here = Here { folder, fake };
        assert_eq!(here.run(&["customers", "import", "customers.csv"]).code, 0);
        here
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn set_clock(&self, now: &str) {
        // The fake reads the clock at any time, so it must never see a half-written file.
        std::fs::write(self.path("clock.new"), now).unwrap();
        std::fs::rename(self.path("clock.new"), self.path("clock")).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        let mut command = Command::cargo_bin("ringonce").unwrap();
        command.current_dir(self.folder.path()).env_clear().args(arguments);
        command.env("PATH", "/usr/bin:/bin").env("VAPI_API_KEY", "key");
        command.env("VAPI_BASE_URL", self.fake.base_url());
        command.env("RINGONCE_TEST_CLOCK", self.path("clock"));
        let output = command.output().unwrap();
        Run {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn attempts_show_whole_numbers_only_when_they_are_asked_for_and_that_is_noted() {
    let here = Here::new();
    here.set_clock("2026-03-02T12:00:00Z");
    assert_eq!(here.run(&["tick"]).code, 0);
    for extra in [vec![], vec!["--json"]] {
        let list = |more: &[&str]| here.run(&[&["attempts", "list"], &extra[..], more].concat());
        let (masked, whole) = (list(&[]), list(&["--reveal"]));
        assert!(!masked.stdout.contains("+12125550101"), "{}", masked.stdout);
        assert!(whole.stdout.contains("+12125550101"), "{}{}", whole.stdout, whole.stderr);
    }
    let conn = rusqlite::Connection::open(here.path("ringonce.db")).unwrap();
    let noted = "SELECT count(*) FROM journal WHERE what = 'reveal' AND subject = 'attempts'";
    assert_eq!(conn.query_one(noted, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
}

#[test]
fn a_call_by_hand_rings_once_and_then_says_why_not() {
    let here = Here::new();
    let early = here.run(&["call", "a1"]);
    assert_eq!(early.code, 1, "{}", early.stderr);
    assert!(early.stderr.contains("not due until"), "{}", early.stderr);
    here.set_clock("2026-03-02T12:00:00Z");
    let placed = here.run(&["call", "a1"]);
    assert_eq!(placed.code, 0, "{}", placed.stderr);
    assert!(placed.stdout.starts_with("placed item"), "{}", placed.stdout);
    let again = here.run(&["call", "a1"]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("made already"), "{}", again.stderr);
    assert_eq!(here.run(&["tick"]).code, 0);
    assert_eq!(here.fake.rings().len(), 1, "the tick finds it called");
}

#[test]
fn a_call_by_hand_dials_its_own_item_and_no_other() {
    let here = Here::new();
    here.set_clock("2026-03-02T12:20:00Z");
    assert_eq!(here.run(&["call", "b2"]).code, 0);
    assert_eq!(here.fake.rings().len(), 1);
    let listed = here.run(&["queue", "list", "--json"]);
    let items: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(items[0]["customer_name"], "Ada Example", "{items}");
    assert_eq!(items[0]["status"], "pending");
}

#[test]
fn beside_a_running_dialer_a_call_is_queued_and_not_dialed_here() {
    let here = Here::new();
    here.set_clock("2026-03-02T15:00:00Z");
    let lock = DialerLock::take(&here.path("ringonce.db"), at("2026-03-02T15:00:00Z")).unwrap();
    assert!(matches!(lock, LockAnswer::Mine(_)));
    let queued = here.run(&["call", "a1", "--extra", "--reason", "asked"]);
    assert_eq!(queued.code, 0, "{}", queued.stderr);
    assert!(queued.stdout.starts_with("queued item"), "{}", queued.stdout);
    assert_eq!(here.fake.rings().len(), 0);
}

#[test]
fn a_holiday_file_that_cannot_be_read_refuses_to_dial() {
    let here = Here::new();
    here.set_clock("2026-03-02T12:00:00Z");
    let config = format!("{CONFIG}[holidays]\nfiles = ['gone.csv']\n");
    std::fs::write(here.path("ringonce.toml"), config).unwrap();
    let refused = here.run(&["tick"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("gone.csv"), "{}", refused.stderr);
    assert_eq!(here.fake.rings().len(), 0);
}

#[test]
fn a_dry_run_of_dedupe_shows_what_would_move_and_changes_nothing() {
    let here = Here::new();
    let db = here.path("ringonce.db");
    let script = "DROP INDEX call_queue_once; DROP INDEX unique_customer_call_active;
        INSERT INTO call_queue (customer_id, call_type, occasion, scheduled_for, created_at,
          updated_at) SELECT 1, 'daily', '2026-03-02', '2026-03-02T12:00:00.000Z',
          '2026-03-02T11:0' || value || ':00.000Z', '2026-03-02T11:00:00.000Z'
        FROM json_each('[1,2,3,4]');";
    let conn = ringonce::store::Conn::open(&db).unwrap();
    conn.execute_batch(script).unwrap();
    conn.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
    drop(conn);
    let before = std::fs::read(&db).unwrap();
    let dry = here.run(&["queue", "dedupe", "--dry-run"]);
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.stdout.contains("3 rows of 1 groups would move"), "{}", dry.stdout);
    assert_eq!(std::fs::read(&db).unwrap(), before);
    let done = here.run(&["queue", "dedupe"]);
    assert!(done.stdout.contains("3 rows of 1 groups moved"), "{}", done.stdout);
    assert!(here.run(&["queue", "dedupe"]).stdout.contains("no duplicates"));
    let left = Store::look(&db).unwrap();
    let items = left.read(|conn| ringonce::store::views::items_of_customer(conn, 1)).unwrap();
    assert_eq!(items.len(), 1);
}

#[test]
fn commands_that_look_work_on_a_copy_and_create_nothing() {
    let here = Here::new();
    std::fs::copy(here.path("ringonce.db"), here.path("copy.db")).unwrap();
    // If a reader of the import closed last, its rows are still in the WAL.
    if here.path("ringonce.db-wal").exists() {
        std::fs::copy(here.path("ringonce.db-wal"), here.path("copy.db-wal")).unwrap();
    }
    for arguments in [
        vec!["status"],
        vec!["status", "--json"],
        vec!["queue", "list"],
        vec!["explain", "a1"],
        vec!["plan", "--days", "3"],
        vec!["simulate", "--days", "2"],
        vec!["dnc", "list"],
        vec!["queue", "dedupe", "--dry-run"],
    ] {
        let on_copy = [arguments.clone(), vec!["--db", "copy.db"]].concat();
        let run = here.run(&on_copy);
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.stderr);
        assert!(!run.stdout.contains("2125550101"), "{arguments:?} shows a phone");
        let on_nothing = [arguments.clone(), vec!["--db", "nothing.db"]].concat();
        let run = here.run(&on_nothing);
        assert_ne!(run.code, 0, "{arguments:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{arguments:?}: {}", run.stderr);
        assert!(!here.path("nothing.db").exists(), "{arguments:?} created a file");
    }
    let status = here.run(&["status", "--db", "copy.db"]);
    assert!(status.stdout.contains("not armed here"), "{}", status.stdout);
}

#[test]
fn the_plan_says_each_customers_rhythm_and_its_lines_fit_a_window() {
    let here = Here::new();
    let rhythm = ["--call-schedule", "30 9 * * 1-5"];
    let updated = here.run(&[&["customers", "update", "b2"], &rhythm[..]].concat());
    assert_eq!(updated.code, 0, "{}", updated.stderr);
    let plan = here.run(&["plan", "--days", "1"]).stdout;
    for (line, words) in [
        (1, "  1 Ada Example  daily, every day at 07:00"),
        (2, "  2 Bob Example  daily, 30 9 * * 1-5"),
    ] {
        assert!(plan.lines().nth(line).is_some_and(|line| line.ends_with(words)), "{plan}");
    }
    assert!(plan.lines().all(|line| line.len() <= 90), "{plan}");
    let json = here.run(&["plan", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["rhythm"], "every day at 07:00", "{json}");
    assert_eq!(json[1]["rhythm"], "30 9 * * 1-5", "{json}");
}

#[test]
fn explain_shows_the_next_three_instants_of_a_cron_rhythm() {
    let here = Here::new();
    let rhythm = ["--call-schedule", "30 9 * * 1-5"];
    let updated = here.run(&[&["customers", "update", "b2"], &rhythm[..]].concat());
    assert_eq!(updated.code, 0, "{}", updated.stderr);
    let explained = here.run(&["explain", "b2"]).stdout;
    let wanted = "30 9 * * 1-5 (next: Mon 2 Mar 09:30, Tue 3 Mar 09:30, Wed 4 Mar 09:30);";
    assert!(explained.lines().any(|line| line.starts_with(wanted)), "{explained}");
}

#[test]
fn status_names_whom_a_pause_means() {
    let here = Here::new();
    for (what, words) in [
        (vec![], "paused       all calls by cli"),
        (vec!["--type", "daily"], "paused       daily calls by cli"),
        (vec!["--customer", "b2"], "paused       customer 2 Bob Example by cli"),
        (vec!["--number", "+12125550101"], "paused       one number by cli"),
    ] {
        let act = |verb: &str| here.run(&[&[verb, "--reason", "x"], &what[..]].concat()).code;
        assert_eq!(act("pause"), 0, "{what:?}");
        let status = here.run(&["status"]).stdout;
        assert!(status.contains(words), "{what:?}: {status}");
        assert_eq!(act("resume"), 0, "{what:?}");
        assert!(!here.run(&["status"]).stdout.contains("paused"), "{what:?}");
    }
}

#[test]
fn between_a_restored_backup_and_the_next_start_the_list_shows_what_that_start_makes() {
    let here = Here::new();
    let (db, side) = (here.path("ringonce.db"), here.path("ringonce.db.do-not-call"));
    assert_eq!(here.run(&["dnc", "add", "+12125550103", "--reason", "early"]).code, 0);
    assert_eq!(here.run(&["backup", "old.db"]).code, 0);
    here.set_clock("2026-03-02T11:40:00Z");
    assert_eq!(here.run(&["dnc", "remove", "+12125550103", "--reason", "came back"]).code, 0);
    assert_eq!(here.run(&["dnc", "add", "+12125550101", "--reason", "asked late"]).code, 0);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(here.path(&format!("ringonce.db{ending}")));
    }
    std::fs::copy(here.path("old.db"), &db).unwrap();
    let before = (std::fs::read(&db).unwrap(), std::fs::read(&side).unwrap());
    let list = here.run(&["dnc", "list"]).stdout;
    assert!(list.contains("asked late") && !list.contains("early"), "{list}");
    let plan = |who: &str| here.run(&["explain", who, "--at", "2026-03-02T12:16:00Z"]).stdout;
    for (who, listed) in [("a1", true), ("b2", false)] {
        assert_eq!(plan(who).contains("no: do_not_call"), listed, "{}", plan(who));
    }
    let plan = here.run(&["plan"]).stdout;
    for (name, listed) in [("Ada", true), ("Bob", false)] {
        let line = plan.lines().find(|line| line.contains(name)).expect("a line");
        assert_eq!(line.ends_with("do_not_call"), listed, "{plan}");
    }
    let simulated = here.run(&["simulate", "--json"]).stdout;
    let simulated: serde_json::Value = serde_json::from_str(&simulated).unwrap();
    assert_eq!(simulated["calls"], 1, "{simulated}");
    let after = (std::fs::read(&db).unwrap(), std::fs::read(&side).unwrap());
    assert!(before == after, "looking wrote");
    let twice = here.run(&["dnc", "remove", "+12125550103", "--reason", "again"]);
    assert_eq!(twice.code, 2, "{}{}", twice.stdout, twice.stderr);
    assert_eq!(std::fs::read(&side).unwrap(), before.1, "a removal of nothing leaves no line");
    let removed = here.run(&["dnc", "remove", "+12125550101", "--reason", "came back"]);
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    assert_eq!(here.run(&["dnc", "list"]).stdout, "the list is empty\n");
}

#[test]
fn a_number_that_another_program_wrote_after_its_removal_is_not_taken_off_by_a_start() {
    let here = Here::new();
    for (what, time) in [("add", "11:30"), ("remove", "11:31")] {
        here.set_clock(&format!("2026-03-02T{time}:00Z"));
        assert_eq!(here.run(&["dnc", what, "+12125550101", "--reason", "asked"]).code, 0);
    }
    let conn = rusqlite::Connection::open(here.path("ringonce.db")).unwrap();
    let by_hand = "INSERT INTO do_not_call VALUES ('+12125550101', 'by hand', 'sqlite3', ?1)";
    for written_at in ["2026-03-02T11:32:00.000Z", "yesterday"] {
        conn.execute("DELETE FROM do_not_call", []).unwrap();
        conn.execute(by_hand, [written_at]).unwrap();
        here.set_clock("2026-03-02T12:05:00Z");
        let list = here.run(&["dnc", "list"]).stdout;
        assert!(list.contains("by hand"), "{written_at}: {list}");
        here.run(&["tick"]);
        let rings = here.fake.rings();
        assert!(rings.iter().all(|ring| ring.number != "+12125550101"), "{written_at}: {rings:?}");
    }
}

#[test]
fn wrong_words_are_answered_with_the_right_ones() {
    let here = Here::new();
    for (arguments, wanted) in [
        (vec!["queue", "list", "--status", "pendin"], "did you mean pending?"),
        (vec!["queue", "list", "--type", "dayly"], "did you mean daily?"),
        (vec!["queue", "cancel", "99", "--reason", "x"], "there is no item 99"),
        (vec!["explain", "nobody"], "there is no customer"),
        (vec!["explain", "a1", "--at", "noon"], "is not a time"),
        (vec!["plan", "--days", "0"], "give 1 to 366"),
        (vec!["simulate", "--from", "soon"], "is not a time"),
        (vec!["simulate", "--from", "2026-03-01"], "2026-03-01 is in the past: a simulation"),
        (vec!["simulate", "--calls-per-minute", "0"], "give 1 or more"),
        (vec!["simulate", "--max-active-calls", "0"], "give 1 or more"),
        (vec!["dnc", "add", "hello", "--reason", "x"], "is not a phone number"),
        (vec!["dnc", "add", "+12125550101", "--reason", " "], "--reason is empty"),
        (vec!["dnc", "remove", "+12125550199", "--reason", "x"], "is not on the list"),
        (vec!["dnc", "import", "gone.csv"], "gone.csv"),
        (vec!["queue", "import", "gone.csv"], "gone.csv"),
        (vec!["call", "a1", "--extra"], "--reason"),
    ] {
        let run = here.run(&arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(wanted), "{arguments:?}: {}", run.stderr);
    }
}
