//! Process setup before a command: new files are private, no core dump can hold the key, and log
//! lines go to stderr.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

use crate::clock;
use crate::service::change_log::CHANGE;

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
    let repeated = Repetitions::default();
    builder.format(move |line, record| {
        let message = crate::present::output::clean(&record.args().to_string());
        let is_trouble = record.level() <= log::Level::Warn && record.target() != CHANGE;
        let message = match is_trouble.then(|| repeated.turn(&message, clock::elapsed())) {
            None | Some(Some(0)) => message,
            Some(Some(times)) => format!("{message} ({times} more times since it was logged last)"),
            Some(None) => return Ok(()),
        };
        if to_journal {
            return writeln!(line, "<{}>{message}", priority(record.level()));
        }
        writeln!(line, "{} {:<5} {message}", line.timestamp_millis(), record.level())
    });
    builder.target(env_logger::Target::Stderr).init();
}

/// The same warning is logged at most once in this time.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(300);
/// So many texts are remembered, to limit the memory.
const REMEMBERED: usize = 1000;

/// The warnings that were logged lately: a lasting cause must not fill the log.
#[derive(Default)]
struct Repetitions(Mutex<HashMap<String, (Duration, u64)>>);

impl Repetitions {
    /// How often this text was left out; `None`: it is left out now.
    fn turn(&self, text: &str, now: Duration) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, left_out)) = said.get_mut(text) {
            if now < *at + SAID_AGAIN_AFTER {
                *left_out += 1;
                return None;
            }
            let times = *left_out;
            (*at, *left_out) = (now, 0);
            return Some(times);
        }
        if REMEMBERED <= said.len() {
            said.retain(|_, (at, _)| now < *at + SAID_AGAIN_AFTER);
        }
        if said.len() < REMEMBERED {
            said.insert(text.to_string(), (now, 0));
        }
        Some(0)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_warning_is_logged_once_in_five_minutes_and_the_others_are_counted() {
        let said = Repetitions::default();
        let turns: Vec<Option<u64>> =
            [0, 1, 299, 300, 301].map(|second| said.turn("a", Duration::from_secs(second))).into();
        assert_eq!(turns, [Some(0), None, None, Some(2), None]);
        assert_eq!(said.turn("b", Duration::from_secs(2)), Some(0));
    }
}
