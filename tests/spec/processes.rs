//! Waiting for other processes, always with a limit.

use std::process::Child;
use std::time::Duration;

use ringonce::clock;
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{Run, run_of};

/// Waits for the effect of another process; the limit only ends a failing test.
pub fn until(what: &str, done: impl Fn() -> bool) {
    let started = clock::elapsed();
    while !done() {
        assert!(clock::elapsed() - started < Duration::from_secs(60), "waited in vain: {what}");
        clock::pause(Duration::from_millis(10));
    }
}

/// Asks a service to stop, and waits for its end.
pub fn stop(child: Child) -> Run {
    signal(&child, Signal::TERM);
    end_of(child)
}

pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits for a process that ends by itself. A process that does not end is killed, and the test
/// fails.
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
