//! Waiting for other processes, never without an end.

use std::process::Child;
use std::time::Duration;

use ringonce::clock;

use crate::world::{Run, run_of};

/// Waits for what another process does; the limit only ends a test that went wrong.
pub fn until(what: &str, done: impl Fn() -> bool) {
    let started = clock::elapsed();
    while !done() {
        assert!(clock::elapsed() - started < Duration::from_secs(60), "waited in vain: {what}");
        clock::pause(Duration::from_millis(10));
    }
}

/// Asks a service to stop, and waits for its end.
pub fn stop(child: Child) -> Run {
    // SAFETY: sends a signal to our own child.
    let failed = unsafe { libc::kill(libc::pid_t::try_from(child.id()).unwrap(), libc::SIGTERM) };
    assert_eq!(failed, 0);
    end_of(child)
}

/// Waits for a process that ends by itself; one that does not is ended, and the test with it.
pub fn end_of(mut child: Child) -> Run {
    let started = clock::elapsed();
    while child.try_wait().expect("a child of ours").is_none() {
        if Duration::from_secs(120) < clock::elapsed() - started {
            let _ = child.kill();
            panic!("waited in vain for a process to end");
        }
        clock::pause(Duration::from_millis(5));
    }
    run_of(child.wait_with_output().expect("the program ends"))
}
