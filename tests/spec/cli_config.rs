//! Configuration, arguments and first steps, through the real program.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

const SECRETS: [&str; 3] = ["VAPI_API_KEY", "VAPI_WEBHOOK_SECRET", "RINGONCE_API_TOKEN"];

/// The program in an empty folder, without any of our environment variables.
struct Here {
    folder: tempfile::TempDir,
}

/// The result of one run.
#[derive(Debug)]
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Here {
    fn new() -> Here {
        Here { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn with_config(text: &str) -> Here {
        let here = Here::new();
        fs::write(here.path("ringonce.toml"), text).unwrap();
        here
    }

    fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
        let mut command = Command::cargo_bin("ringonce").unwrap();
        command.current_dir(self.folder.path()).env_clear().args(arguments);
        command.env("PATH", "/usr/bin:/bin").envs(variables.iter().copied());
        let output = command.output().unwrap();
        Run {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(&[], arguments)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn wrong_arguments_exit_2_with_the_nearest_right_one() {
    let here = Here::new();
    for (arguments, expected) in [
        (vec!["chekc"], "did you mean check?"),
        (vec!["check", "--jsn"], "did you mean --json?"),
        (vec!["completions", "basch"], "did you mean bash?"),
        (vec!["check", "surplus"], "surplus"),
        (vec!["--db"], "--db"),
        (vec![], "Usage"),
    ] {
        let run = here.run(&arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        let is_short = run.stderr.lines().count() == 1 || arguments.is_empty();
        assert!(is_short, "{arguments:?}: {run:?}");
        assert!(run.stdout.is_empty() && run.stderr.contains(expected), "{arguments:?}: {run:?}");
    }
    assert_eq!(here.names(), [""; 0]);
}

#[test]
fn help_and_version_exit_0_and_the_help_names_the_exit_codes() {
    let here = Here::new();
    let help = here.run(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("4  another dialer holds the lock"), "{help:?}");
    assert!(help.stdout.contains("VAPI_API_KEY"), "{help:?}");
    let version = here.run(&["--version"]);
    assert_eq!((version.code, version.stdout.starts_with("ringonce ")), (0, true));
}

#[test]
fn an_unknown_key_is_a_problem_with_its_line_and_the_nearest_key() {
    let here = Here::with_config("[dialing]\nworkrs = 3\n");
    let run = here.run(&["check"]);
    assert_eq!(run.code, 2);
    let expected = "ringonce.toml:2:1: unknown key dialing.workrs: did you mean dialing.workers?";
    assert_eq!(run.stderr, format!("ringonce: {expected}\n"));
    assert_eq!(run.stdout, "");
}

#[test]
fn every_bad_value_is_named_in_one_check() {
    let here = Here::with_config(
        "[schedule]\nscan = '*/15 * * *'\ntimezone = 'Mars/Olympus'\n[dialing]\nworkers = 0\n\
         [calling_window]\nstart = '9 am'\n",
    );
    let run = here.run(&["check"]);
    assert_eq!(run.code, 2);
    for expected in [
        "ringonce.toml:2: schedule.scan: ",
        "ringonce.toml:3: schedule.timezone: \"Mars/Olympus\" is not an IANA zone",
        "ringonce.toml:5: dialing.workers: 0 is out of range",
        "ringonce.toml:7: calling_window.start: \"9 am\" is not a time of day",
    ] {
        assert!(run.stdout.contains(expected), "{expected}: {}", run.stdout);
    }
    assert_eq!(run.stderr, "ringonce: 7 problems: see the list above\n");
}

#[test]
fn a_named_configuration_that_is_missing_or_no_text_is_a_problem() {
    let here = Here::new();
    fs::write(here.path("binary.toml"), b"\xff\xfe").unwrap();
    for (file, expected) in [("none.toml", "No such file"), ("binary.toml", "UTF-8")] {
        let run = here.run(&["--config", file, "check"]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(file) && run.stderr.contains(expected), "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    }
}

#[test]
fn a_test_clock_is_refused_unless_the_provider_is_on_loopback() {
    let here = Here::new();
    fs::write(here.path("clock"), "2026-11-22T12:00:00Z").unwrap();
    let clock = ("RINGONCE_TEST_CLOCK", "clock");
    for url in ["https://api.vapi.ai", "https://127.0.0.1.example.com"] {
        let run = here.run_with(&[clock, ("VAPI_BASE_URL", url)], &["check"]);
        assert_eq!(run.code, 2);
        assert!(run.stderr.contains("not on loopback"), "{url}: {run:?}");
    }
    let local = ("VAPI_BASE_URL", "http://127.0.0.1:9");
    let run = here.run_with(&[clock, local], &["check"]);
    assert!(run.stdout.contains("the test clock clock says 2026-11-22T12:00:00.000Z"), "{run:?}");
    let gone = ("RINGONCE_TEST_CLOCK", "gone");
    let run = here.run_with(&[gone, local], &["check"]);
    assert_eq!((run.code, run.stderr.contains("read the test clock gone")), (2, true), "{run:?}");
}

#[test]
fn a_file_that_is_not_a_database_is_a_problem_and_stays_as_it_is() {
    let here = Here::new();
    fs::write(here.path("notes.db"), "not a database").unwrap();
    let run = here.run(&["--db", "notes.db", "check"]);
    assert_eq!(run.code, 2);
    assert!(run.stdout.contains("notes.db is not an SQLite database"), "{run:?}");
    assert_eq!(fs::read_to_string(here.path("notes.db")).unwrap(), "not a database");
}

#[test]
fn no_output_shows_a_secret_from_wherever_it_came() {
    let here = Here::with_config("[vapi]\nphone_number_id = 'n'\nassistant_id = 'a'\n");
    fs::write(here.path("key"), "canary-in-file\n").unwrap();
    let from_variables: Vec<(&str, &str)> = SECRETS.map(|name| (name, "canary-7e1")).to_vec();
    let from_files = vec![("VAPI_API_KEY_FILE", "key"), ("RUST_LOG", "trace")];
    let broken = vec![("VAPI_API_KEY", "canary with blanks")];
    for variables in [&from_variables, &from_files, &broken] {
        for arguments in [vec!["check"], vec!["check", "--json"], vec!["--help"]] {
            let run = here.run_with(variables, &arguments);
            assert!(!format!("{run:?}").contains("canary"), "{arguments:?}: {run:?}");
        }
    }
    let in_config = Here::with_config("[vapi]\napi_key = 'canary-in-config'\n");
    let run = in_config.run(&["check"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("VAPI_API_KEY"), "{run:?}");
    assert!(!format!("{run:?}").contains("canary"), "{run:?}");
}

#[test]
fn no_log_line_shows_a_phone_however_much_is_logged() {
    let here = Here::with_config("[vapi]\nphone_number_id = 'n'\nassistant_id = 'a'\n");
    let chatty = [("RUST_LOG", "trace"), ("VAPI_API_KEY", "k")];
    let rows = "phone,timezone\n+1 212 555 0101,America/New_York\n+44 20 7946,Europe/London\n";
    fs::write(here.path("people.csv"), rows).unwrap();
    for arguments in [
        &["customers", "import", "people.csv"][..],
        &["dnc", "add", "+1 212 555 0101", "--reason", "asked"],
        &["explain", "+12125550101"],
        &["check"],
    ] {
        let run = here.run_with(&chatty, arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
        for digits in ["2125550101", "207946"] {
            assert!(!format!("{run:?}").contains(digits), "{arguments:?}: {run:?}");
        }
    }
}

#[test]
fn init_writes_a_file_that_check_accepts() {
    let here = Here::new();
    let run = here.run(&["init", "--phone-number-id", "n-1", "--assistant-id", "a-1"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.ends_with("next: set VAPI_API_KEY, then type: ringonce check\n"), "{run:?}");
    assert_eq!(mode(&here.path("ringonce.toml")), 0o600);

    let without_key = here.run(&["check"]);
    assert_eq!(without_key.code, 2);
    assert!(without_key.stdout.contains("VAPI_API_KEY: is not set"), "{without_key:?}");
    let with_key = here.run_with(&[("VAPI_API_KEY", "k")], &["check"]);
    assert_eq!(with_key.code, 0, "{with_key:?}");
    assert_eq!(here.names(), ["ringonce.toml"], "check creates nothing");
}

#[test]
fn init_leaves_an_existing_file_as_it_is() {
    let here = Here::with_config("# mine\n");
    let run = here.run(&["init"]);
    assert_eq!(run.code, 2);
    assert_eq!(
        run.stderr,
        "ringonce: ringonce.toml exists and is left as it is: type ringonce check\n"
    );
    assert_eq!(fs::read_to_string(here.path("ringonce.toml")).unwrap(), "# mine\n");
}

#[test]
fn check_prints_json_that_says_the_same() {
    let here = Here::with_config("[dialing]\nmax_active_calls = 12\n");
    let run = here.run(&["check", "--json"]);
    let findings: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let states: Vec<&str> =
        findings.as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert!(states.contains(&"ok") && states.contains(&"warning") && states.contains(&"problem"));
    assert!(run.stdout.contains("12 is above the 10 concurrent calls"), "{run:?}");
}

#[test]
fn completions_and_manual_pages_know_the_commands() {
    let here = Here::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = here.run(&["completions", shell]);
        assert_eq!((run.code, run.stdout.contains("check")), (0, true), "{shell}");
    }
    let page = here.run(&["man"]);
    assert_eq!((page.code, page.stdout.contains(".SH NAME")), (0, true));
    assert_eq!(here.run(&["man", "--dir", "pages/man1"]).code, 0);
    for name in ["ringonce.1", "ringonce-check.1", "ringonce-init.1"] {
        assert!(here.path("pages/man1").join(name).exists(), "{name}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_not_an_error() {
    use std::process::{Command, Stdio};
    let program = assert_cmd::cargo::cargo_bin("ringonce");
    let mut child = Command::new(program)
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_limit_of_zero_is_refused() {
    let here = Here::new();
    for list in [["customers", "list"], ["queue", "list"], ["attempts", "list"]] {
        for limit in ["0", "18446744073709551615"] {
            let run = here.run(&[list[0], list[1], "--limit", limit]);
            assert_eq!(run.code, 2, "{run:?}");
            assert!(run.stderr.contains("not valid for --limit"), "{run:?}");
        }
    }
}

#[test]
fn an_error_that_cannot_be_printed_keeps_its_exit_code() {
    let here = Here::new();
    for arguments in [&["nosuch"][..], &["queue", "cancel", "1", "--reason", "x"], &["tick"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("ringonce"));
        command.current_dir(here.folder.path()).env_clear().args(arguments).stderr(full);
        assert_eq!(command.status().unwrap().code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_configuration_that_cannot_be_written_whole_is_not_left_behind() {
    let here = Here::new();
    let program = assert_cmd::cargo::cargo_bin("ringonce");
    let mut command = std::process::Command::new("/bin/sh");
    command.current_dir(here.folder.path()).args(["-c", "ulimit -f 0; exec \"$0\" init"]);
    let output = command.arg(program).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(here.names(), Vec::<String>::new());
    assert_eq!(here.run(&["init"]).code, 0);
}

#[test]
fn a_database_in_memory_is_refused_because_it_would_forget_who_was_called() {
    let here = Here::new();
    fs::write(here.path("new.csv"), "phone,timezone\n+12125550101,America/New_York\n").unwrap();
    for command in [vec!["customers", "import", "new.csv"], vec!["status"]] {
        let run = here.run(&[&["--db", ":memory:"], &command[..]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
        assert_eq!(run.stderr.trim_end().lines().count(), 1, "{run:?}");
        assert!(run.stderr.contains("name a file with --db"), "{run:?}");
    }
    assert_eq!(here.names(), ["new.csv"]);
}

#[test]
fn a_payment_status_that_is_eligible_but_for_its_capitals_gives_a_warning() {
    let here = Here::new();
    let rows = "phone,timezone,payment_status\n\
        +12125550101,America/New_York,paid\n+12125550102,America/New_York,Paid\n\
        +12125550103,America/New_York,Partner\n";
    fs::write(here.path("new.csv"), rows).unwrap();
    let run = here.run(&["customers", "import", "new.csv"]);
    assert_eq!(run.code, 0, "{run:?}");
    let told = "1 customer has the payment status \"paid\", which is not eligible: is it \"Paid\"?";
    assert!(run.stderr.contains(told) && run.stderr.matches("eligible").count() == 1, "{run:?}");
    let run = here.run(&["customers", "update", "2", "--payment-status", "PAID"]);
    assert!(run.stderr.contains("\"PAID\"") && run.stderr.contains(told), "{run:?}");
    for id in ["1", "2"] {
        here.run(&["customers", "update", id, "--payment-status", "Paid"]);
    }
    let run = here.run(&["customers", "update", "3", "--payment-status", "Pending"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
}

#[test]
fn short_token_is_refused_where_it_would_be_served_and_by_check() {
    let here = Here::with_config("[vapi]\nphone_number_id = \"n\"\nassistant_id = \"a\"\n");
    let base = ("VAPI_BASE_URL", "http://127.0.0.1:9");
    let with = |token, arguments: &[&str]| {
        let key = ("VAPI_API_KEY", "key");
        here.run_with(&[key, base, ("RINGONCE_API_TOKEN", token)], arguments)
    };
    let short = "fifteen-letters";
    for arguments in [&["run", "--listen", "127.0.0.1:0"][..], &["check"]] {
        let run = with(short, arguments);
        assert_eq!(run.code, 2, "{run:?}");
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains("openssl rand -hex 24") && !said.contains(short), "{run:?}");
    }
    assert!(!here.names().contains(&"ringonce.db".to_string()), "nothing was opened");
    assert_eq!(with("sixteen--letters", &["check"]).code, 0);
    // Without a page the token is not used, so its length does not matter.
    assert_ne!(with(short, &["tick"]).code, 2);
}

#[test]
fn webhook_settings_that_could_not_work_are_refused_with_their_line() {
    let here = Here::with_config("[webhook]\nalgorithm = \"sha256\"\npayload_format = \"{url}\"\n");
    let run = here.run(&["check"]);
    assert_eq!(run.code, 2, "{run:?}");
    for part in ["ringonce.toml:3: webhook.payload_format", "{body}", "webhook.url: is not set"] {
        assert!(run.stdout.contains(part), "{part}: {run:?}");
    }
}

#[test]
fn an_invalid_provider_address_is_named_as_such_also_under_a_test_clock() {
    let here = Here::with_config("[vapi]\nbase_url = \"htp:/127.0.0.1\"\n");
    let clock = here.path("clock");
    fs::write(&clock, "2026-11-22T12:00:00Z").unwrap();
    let clock = clock.display().to_string();
    for words in [&["check"][..], &["status"], &["tick"]] {
        let run = here.run_with(&[("RINGONCE_TEST_CLOCK", &clock)], words);
        assert_eq!(run.code, 2, "{words:?}: {run:?}");
        let named = "ringonce.toml:2: vapi.base_url: \"htp:/127.0.0.1\" must";
        assert!(run.stderr.contains(named), "{words:?}: {run:?}");
        assert!(!run.stderr.contains("loopback: unset"), "{words:?}: {run:?}");
        let variables = [("RINGONCE_TEST_CLOCK", &*clock), ("VAPI_BASE_URL", "127.0.0.1:8788")];
        let run = here.run_with(&variables, words);
        assert!(run.stderr.contains("VAPI_BASE_URL: \"127.0.0.1:8788\" must"), "{run:?}");
    }
    let elsewhere = [("RINGONCE_TEST_CLOCK", &*clock), ("VAPI_BASE_URL", "https://api.vapi.ai")];
    let run = here.run_with(&elsewhere, &["check"]);
    assert!(run.code == 2 && run.stderr.contains("is not on loopback"), "{run:?}");
}
