//! What happens before a command: nobody else may read what we write, no key lands in a core
//! dump, and log lines go to stderr.

use std::io::Write;

/// New files are for their owner alone, and a crash leaves no memory image with the key in it.
pub fn protect() {
    #[cfg(unix)]
    // SAFETY: the calls only change limits and a signal of this process, before any thread is
    // started; the struct lives through the call.
    unsafe {
        // A file that may not grow is a failed write, which halts dialing, and no sudden end.
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::umask(0o077);
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
    }
}

/// Whether whoever started the process wants it to go on when the terminal is closed, as `nohup`
/// does.
pub fn outlives_its_terminal() -> bool {
    // SAFETY: an all-zero `sigaction` is a valid value, and the call only writes into it.
    unsafe {
        let mut set: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut set) == 0
            && set.sa_sigaction == libc::SIG_IGN
    }
}

/// `ringonce … | head` ends quietly. Not for commands that place calls: those finish their work
/// whoever reads along.
pub fn end_when_the_reader_does() {
    #[cfg(unix)]
    // SAFETY: sets a signal back to its default before any thread is started.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

/// Log lines on stderr, by `RUST_LOG`. The libraries that see keys and phones stay quiet
/// whatever it says, because their finer levels print them.
pub fn start_log(default_level: &str) {
    let wanted = env_logger::Env::default().default_filter_or(default_level);
    let mut builder = env_logger::Builder::from_env(wanted);
    for library in ["ureq", "ureq_proto", "rustls", "rlibphonenumber"] {
        builder.filter_module(library, log::LevelFilter::Warn);
    }
    // The journal keeps time and priority in fields of its own; it takes the priority from a mark.
    let to_journal = super::environment("JOURNAL_STREAM").is_some();
    builder.format(move |line, record| {
        let message = super::output::clean(&record.args().to_string());
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
