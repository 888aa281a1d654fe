//! Tests that cannot run on this machine are reported. No test is left out silently.
//!
//! A test names what it needs and returns when the machine lacks it:
//!
//! ```text
//! fn a_mounted_file_is_refused() {
//!     if !left_out::machine_has(&[Need::MountNamespaces]) {
//!         return;
//!     }
//!     …
//! }
//! ```
//!
//! `machine_has` tries each need once and records the first one that is missing. For anything
//! that `Need` does not know, call `record("what is lacking")` and return. Either way one line
//! `left out: TEST: WHAT IS LACKING` goes to stderr, past the capture of the test harness.
//! `scripts/check` names a file in `CHECK_LEFT_OUT`; the same fact is appended there, and the
//! gate's last line counts it. Use the same words for the same lack, because that line groups
//! by them. Another test binary includes this file with
//! `#[path = "../spec/left_out.rs"] #[allow(dead_code)] mod left_out;`.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use Need::{LoopDevices, MountNamespaces, OtherUser, Root, Tool};

/// A user who owns nothing.
pub const NOBODY: u32 = 65534;

/// A property of the machine that a test depends on.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    Root,
    /// Starting a program as `NOBODY`.
    OtherUser,
    /// `unshare -m`, and a mount inside it.
    MountNamespaces,
    /// `losetup`, which attaches a file.
    LoopDevices,
    /// A program in the PATH or in a folder of system programs, such as `mkfs.ext4`.
    Tool(&'static str),
}

impl Need {
    fn words(self) -> &'static str {
        match self {
            Root => "root",
            OtherUser => "the right to become another user",
            MountNamespaces => "mount namespaces",
            LoopDevices => "loop devices",
            Tool(name) => name,
        }
    }

    pub fn is_met(self) -> bool {
        match self {
            Root => rustix::process::geteuid().is_root(),
            OtherUser => runs(Command::new("/bin/true").uid(NOBODY).gid(NOBODY)),
            MountNamespaces => {
                let mount = "mount --bind /tmp /tmp";
                runs(Command::new("unshare").args(["-m", "sh", "-c", mount]))
            }
            LoopDevices => Root.is_met() && a_loop_device_can_be_attached(),
            Tool(name) => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                std::env::split_paths(&path)
                    .chain(["/usr/sbin", "/sbin"].map(Into::into))
                    .any(|folder| folder.join(name).is_file())
            }
        }
    }
}

/// Whether the machine has all of it. If not, the calling test is recorded as left out.
#[track_caller]
pub fn machine_has(needs: &[Need]) -> bool {
    let missing = needs.iter().find(|need| !need.is_met());
    if let Some(need) = missing {
        record(need.words());
    }
    missing.is_none()
}

/// Records that the calling test is left out, and what the machine lacks for it.
#[track_caller]
pub fn record(lacking: &str) {
    let thread = std::thread::current();
    // The harness names a test's thread after the test, unless it runs one test at a time.
    let test = match thread.name() {
        Some(name) if name != "main" => name.to_string(),
        _ => std::panic::Location::caller().to_string(),
    };
    let mut stderr = std::io::stderr();
    let _ = stderr.write_all(format!("left out: {test}: {lacking}\n").as_bytes());
    if let Some(file) = std::env::var_os("CHECK_LEFT_OUT") {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .expect("open the file that CHECK_LEFT_OUT names");
        // One write, so that concurrent tests do not mix their lines.
        file.write_all(format!("{lacking}\t{test}\n").as_bytes()).expect("record what is left out");
    }
}

fn runs(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn a_loop_device_can_be_attached() -> bool {
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return false };
    if file.write_all(&[0; 64 * 1024]).is_err() {
        return false;
    }
    let attach = Command::new("losetup").args(["--find", "--show"]).arg(file.path()).output();
    let Ok(attached) = attach else { return false };
    let device = String::from_utf8_lossy(&attached.stdout).trim().to_string();
    attached.status.success() && runs(Command::new("losetup").args(["--detach", &device]))
}

/// The gate's output for these records, each `lacking<TAB>test`.
fn last_line(records: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("left out");
    std::fs::write(&file, records).expect("write the records");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lib/left-out.sh");
    let mut bash = Command::new("bash");
    bash.args(["-c", ". \"$0\" && last_line \"$1\"", script]).arg(file);
    let told = bash.output().expect("bash starts");
    assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
    String::from_utf8(told.stdout).expect("text")
}

#[test]
fn the_gate_ends_with_one_line_that_counts_and_names_what_was_left_out() {
    assert_eq!(last_line(""), "check: everything passed, nothing left out\n");
    let records = "strace\tkills before a chosen system call\nroot\tspec::a_test\n\
                   strace\tpower cuts\nroot\tspec::another_test\nroot\tspec::a_test\n";
    assert_eq!(
        last_line(records),
        "check: everything passed, 4 left out: \
         strace (kills before a chosen system call, power cuts), root (2 tests)\n"
    );
    assert_eq!(
        last_line("loop devices\tfiles::a\n"),
        "check: everything passed, 1 left out: loop devices (1 test)\n"
    );
}

#[test]
fn a_test_that_is_left_out_is_recorded_with_its_name_and_what_is_lacking() {
    // In a process of its own, because the environment belongs to the whole process.
    if std::env::var_os("RECORD_ONE").is_some() {
        assert!(!machine_has(&[Tool("a-tool-that-does-not-exist"), Root]));
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("left out");
    let name = "left_out::a_test_that_is_left_out_is_recorded_with_its_name_and_what_is_lacking";
    let mut again = Command::new(std::env::current_exe().expect("this program"));
    again.args(["--exact", name]).env("RECORD_ONE", "1").env("CHECK_LEFT_OUT", &file);
    let run = again.output().expect("this program starts again");
    assert!(run.status.success(), "{run:?}");
    let told = String::from_utf8(run.stderr).expect("text");
    assert!(told.starts_with("left out: ") && told.ends_with(": a-tool-that-does-not-exist\n"));
    let record = std::fs::read_to_string(&file).expect("the record");
    assert!(record.starts_with("a-tool-that-does-not-exist\t"), "{record}");
    assert_eq!(record.lines().count(), 1, "{record}");
    assert!(machine_has(&[Tool("sh")]));
}
