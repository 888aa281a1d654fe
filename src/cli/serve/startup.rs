//! Process setup before a command: new files are private, no core dump can hold the key, and log
//! lines go to stderr.

use std::io::Write;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

/// Makes new files private to their owner and disables core dumps, which would hold the key.
pub fn protect() {
    // At the file size limit a write then fails, which halts dialing; it does not kill us.
    // SAFETY: changes only what one signal does, before any thread is started.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    umask(Mode::RWXG | Mode::RWXO);
    // Lowering a limit does not fail.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Whether the process was started to outlive its terminal, as by `nohup`: SIGHUP is ignored.
pub fn outlives_its_terminal() -> bool {
    // SAFETY: an all-zero `sigaction` is a valid value, and the call only writes into it.
    unsafe {
        let mut set: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut set) == 0
            && set.sa_sigaction == libc::SIG_IGN
    }
}

/// Lets `ringonce … | head` end quietly. Commands that place calls do not use it: they finish their
/// work even if the reader has gone.
pub fn end_when_the_reader_does() {
    // SAFETY: sets a signal back to its default before any thread is started.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Starts logging to stderr by `RUST_LOG`. Libraries that handle keys and phones log only warnings
/// and errors, because their finer levels print those secrets.
pub fn start_log(default_level: &str) {
    let wanted = env_logger::Env::default().default_filter_or(default_level);
    let mut builder = env_logger::Builder::from_env(wanted);
    for library in ["ureq", "ureq_proto", "rustls", "rlibphonenumber"] {
        builder.filter_module(library, log::LevelFilter::Warn);
    }
    // The systemd journal has its own time field, and reads the priority from a `<N>` prefix.
    let to_journal = crate::cli::arguments::configuration::environment("JOURNAL_STREAM").is_some();
    builder.format(move |line, record| {
        let message = crate::present::output::clean(&record.args().to_string());
        if to_journal {
            return writeln!(line, "<{}>{message}", priority(record.level()));
        }
        writeln!(line, "{} {:<5} {message}", line.timestamp_millis(), record.level())
    });
    builder.target(env_logger::Target::Stderr).init();
}

/// The syslog priority of a level.
fn priority(level: log::Level) -> u8 {
    match level {
        log::Level::Error => 3,
        log::Level::Warn => 4,
        log::Level::Info => 6,
        log::Level::Debug | log::Level::Trace => 7,
    }
}
