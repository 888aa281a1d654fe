//! The whole output of each command with its exit code, as a person reads it. A change appears as a
//! difference to a file; `BLESS=1 cargo test --test spec golden` writes the files again.

use std::path::PathBuf;

use crate::world::{Run, World};

/// The commands in the order of a morning, each with the name of its file.
const MORNING: [(&str, &[&str]); 39] = [
    ("customers_import_preview", &["customers", "import", "customers.csv", "--dry-run"]),
    ("customers_import", &["customers", "import", "customers.csv"]),
    ("customers_import_again", &["customers", "import", "customers.csv"]),
    ("customers_import_bad", &["customers", "import", "bad.csv"]),
    ("customers_list", &["customers", "list"]),
    ("customers_show", &["customers", "show", "ada"]),
    ("customers_update", &["customers", "update", "bob", "--call-time", "7:30 am"]),
    ("customers_update_bad_zone", &["customers", "update", "bob", "--timezone", "EST"]),
    ("customers_pause", &["customers", "pause", "cy", "--reason", "on holiday"]),
    ("dnc_add", &["dnc", "add", "+12125550104", "--reason", "asked for it"]),
    ("dnc_import", &["dnc", "import", "never.csv", "--reason", "national list"]),
    ("dnc_import_bad", &["dnc", "import", "never_bad.csv", "--reason", "national list"]),
    ("dnc_import_help", &["dnc", "import", "--help"]),
    ("dnc_list", &["dnc", "list"]),
    ("plan", &["plan", "--days", "2"]),
    ("explain_before", &["explain", "ada"]),
    ("tick", &["tick"]),
    ("tick_json", &["tick", "--json"]),
    ("queue_list", &["queue", "list"]),
    ("queue_dedupe", &["queue", "dedupe", "--dry-run"]),
    ("queue_cancel_done", &["queue", "cancel", "1", "--reason", "too late"]),
    ("attempts_list", &["attempts", "list"]),
    ("attempts_resolve_nothing", &["attempts", "resolve", "none", "--placed", "--reason", "x"]),
    ("explain_after", &["explain", "ada"]),
    ("call_again", &["call", "ada", "--type", "daily"]),
    ("pause", &["pause", "--type", "welcome", "--reason", "new assistant"]),
    ("resume", &["resume", "--type", "welcome", "--reason", "it works"]),
    ("status", &["status"]),
    ("reconcile", &["reconcile"]),
    ("audit", &["audit"]),
    ("simulate", &["simulate", "--from", "2026-02-03", "--days", "2"]),
    ("backup", &["backup", "copy.db"]),
    ("tick_on_a_copy", &["tick", "--db", "copy.db"]),
    ("init_twice", &["init"]),
    ("unknown_command", &["tock"]),
    ("unknown_option", &["queue", "list", "--stat", "pending"]),
    ("missing_argument", &["pause", "--type", "welcome"]),
    ("fake_vapi_for_all", &["fake-vapi", "--listen", "0.0.0.0:8788"]),
    ("erase", &["customers", "erase", "bob", "--reason", "letter of 2 February"]),
];

const CUSTOMERS: &str = "\
external_id,name,phone,timezone,call_time,payment_status,welcome_call_completed,created_at
ada,Ada Example,+12125550101,America/New_York,7am,Paid,yes,2026-01-05T12:00:00Z
bob,Bob Example,+442079460102,London (GMT),early,Paid,yes,2026-01-05T12:00:00Z
cy,Cy Example,+12125550103,Pacific (PT),mid-morning,Paid,yes,2026-01-05T12:00:00Z
di,Di Example,+12125550104,Eastern (ET),07:00,Paid,yes,2026-01-05T12:00:00Z
eve,Eve Example,+12125550105,Asia/Kolkata,,Pending,no,2026-02-02T11:00:00Z
";

const BAD: &str = "\
external_id,phone,timezone,call_time
fay,1.41556E+10,America/New_York,07:00
gus,+12125550107,Eastern Time,07:00
hal,+12125550108,America/New_York,25:00
";

/// Numbers of no customer; the second is written as before a renumbering.
const NEVER: &str = "\
phone,reason
+12125550198,
+225 07 12 34 56,moved
";

const NEVER_BAD: &str = "\
212,5550198
2026-01-01,+12125550199
212
";

#[test]
fn every_command_says_what_it_said_before() {
    let world = World::new();
    std::fs::write(world.path("customers.csv"), CUSTOMERS).expect("written");
    std::fs::write(world.path("bad.csv"), BAD).expect("written");
    std::fs::write(world.path("never.csv"), NEVER).expect("written");
    std::fs::write(world.path("never_bad.csv"), NEVER_BAD).expect("written");
    let mut wrong = Vec::new();
    for (name, arguments) in MORNING {
        if name == "tick" {
            world.set_clock("2026-02-02T12:00:00Z");
        }
        let said = shown(&world, arguments, &world.command(arguments));
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/golden")
            .join(format!("{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &said).expect("written");
        }
        let wanted = std::fs::read_to_string(&file).unwrap_or_default();
        if said != wanted {
            wrong.push(format!("{name}:\n{said}\ninstead of\n{wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The command, both outputs and the exit code, without the parts that differ between runs.
fn shown(world: &World, arguments: &[&str], run: &Run) -> String {
    let text = format!(
        "$ ringonce {}\n{}{}exit {}\n",
        arguments.join(" "),
        run.stdout,
        run.stderr,
        run.code.map_or("by a signal".to_string(), |code| code.to_string())
    );
    let folder = world.path("").display().to_string();
    let folder = folder.trim_end_matches('/');
    let text = text.replace(folder, "FOLDER").replace(&world.fake.base_url(), "http://FAKE");
    // Log lines are left out: they have the machine's own time and are for a service's operator.
    let is_log = |line: &&str| [" WARN ", " ERROR "].iter().any(|level| line.contains(level));
    // A process that ends while a reader closes leaves its WAL behind.
    let text = text.replace(" + 0 B log", " + 0 KiB log");
    text.lines().filter(|line| !is_log(line)).map(|line| without_numbers(line) + "\n").collect()
}

/// Replaces ids, checksums, sizes and run times, which differ between runs.
fn without_numbers(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let run = rest.find(|c: char| !(c.is_ascii_hexdigit() || c == '-')).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(run);
        let is_id = word.len() == 36 && word.matches('-').count() == 4;
        let is_time = [" ms", " KiB", " bytes"].iter().any(|unit| tail.starts_with(unit))
            || line.contains("execution_time_ms");
        let is_number = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
        shown.push_str(match word {
            _ if is_id => "ID",
            _ if word.len() == 64 => "CHECKSUM",
            _ if is_time && is_number => "N",
            word => word,
        });
        let next = tail.chars().next().map_or(0, char::len_utf8);
        shown.push_str(&tail[..next]);
        rest = &tail[next..];
    }
    shown
}
