//! The receivers of docs/integrating.md, run as they stand: they accept a real event once and
//! refuse a forged one.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use ringonce::service::outgoing::post;

use crate::left_out::{Need, machine_has};
use crate::processes::until;
use crate::receiver::SECRET;
use crate::world::{World, run_of};

const PAGE: &str = include_str!("../../docs/integrating.md");

fn block(language: &str) -> String {
    let after = PAGE.split(&format!("```{language}\n")).nth(1).expect("a receiver of the page");
    let code = after.split("```").next().expect("its end").to_string();
    assert!(code.lines().count() <= 15, "{language}: {} lines", code.lines().count());
    code
}

fn is_a_receiver(language: &str, interpreter: &'static str) {
    if !machine_has(&[Need::Tool(interpreter)]) {
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let url = format!("http://127.0.0.1:{port}/hook");
    let world = World::with_config(&format!("[events]\nurl = \"{url}\"\n"));
    let file = world.path("receiver");
    std::fs::write(&file, block(language)).expect("written");
    let mut receiver = Command::new(interpreter)
        .arg(&file)
        .env("PORT", port.to_string())
        .env("RINGONCE_EVENTS_SECRET", SECRET)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let forged = || post::post(&url, &[], b"{\"type\":\"test\"}", Duration::from_secs(5));
    until("the receiver listens", || forged() == Err("it answered 401".to_string()));
    let headers = |signature: &str| {
        [
            ("webhook-id", "evt_1".to_string()),
            ("webhook-timestamp", "1".to_string()),
            ("webhook-signature", signature.to_string()),
        ]
    };
    for signature in ["", "v1,", "v1,AAAA", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "é"]
    {
        let refused = post::post(&url, &headers(signature), b"{}", Duration::from_secs(5));
        assert!(refused.is_err(), "{language}: {signature}");
    }
    // By the system's clock, which the receiver compares.
    let mut program = world.program(&["events", "test"]);
    program.env("RINGONCE_EVENTS_SECRET", SECRET).env_remove("RINGONCE_TEST_CLOCK");
    let sent = run_of(program.output().expect("the program starts"));
    receiver.kill().expect("it is ours");
    let said = receiver.wait_with_output().expect("its output");
    assert_eq!(sent.code, Some(0), "{sent:?} {said:?}");
    let printed = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(printed.contains("test") && printed.lines().count() == 1, "{said:?}");
}

#[test]
fn the_receiver_in_javascript_accepts_real_events_and_refuses_forged_ones() {
    is_a_receiver("js", "node");
}

#[test]
fn the_receiver_in_python_accepts_real_events_and_refuses_forged_ones() {
    is_a_receiver("python", "python3");
}
