//! What a person is alerted to, how often, and over which channel. A message holds no phone number,
//! name or key, and names the next command.

use std::process::Stdio;

use chrono::Duration;
use ringonce::http::response::Response;
use ringonce::service::outgoing::alerts::{Channel, tell};
use ringonce::service::outgoing::message::{Message, MessageKind};
use serde_json::Value;

use crate::mail_server::MailServer;
use crate::processes::until;
use crate::receiver::{Receiver, loaded};
use crate::world::{Run, World, at, run_of};

const NONE: Duration = Duration::zero();

fn config(url: &str, kind: &str, more: &str) -> String {
    format!("[alerts]\nurl = \"{url}\"\nkind = \"{kind}\"\n{more}")
}

/// A world whose alerts go to the receiver as JSON. Its one customer keeps it from being empty.
fn with_json(receiver: &Receiver, more: &str) -> World {
    let world = World::with_config(&config(&receiver.url, "json", more));
    world.daily("Ada");
    world.tick();
    world
}

/// One look at the causes just after a scan, over every channel. Returns what failed.
fn look(world: &World, patience: Duration) -> Vec<String> {
    let now = ringonce::domain::instant_text(world.now());
    world.sql(&format!(
        "UPDATE meta SET value = '{now}' WHERE key IN ('last_tick_at', 'last_scan_at')"
    ));
    look_only(world, patience)
}

fn look_only(world: &World, patience: Duration) -> Vec<String> {
    let service = world.start();
    let channels = Channel::all(&loaded(world)).expect("good settings");
    let told = channels.iter().map(|channel| {
        tell(&service, channel, patience, std::time::Duration::MAX).expect("a file")
    });
    told.filter_map(Result::err).collect()
}

/// The messages as `kind cause`.
fn heard(receiver: &Receiver) -> Vec<String> {
    let told = receiver.heard();
    let bodies = told.iter().filter(|one| one.answered < 300).map(|one| one.json());
    bodies
        .map(|body| {
            let word = |name: &str| body[name].as_str().unwrap_or("-").to_string();
            format!("{} {}", word("kind"), word("cause"))
        })
        .collect()
}

fn hold(world: &World, kind: &str) {
    let hold = format!(
        "{{\"kind\":\"{kind}\",\"why\":\"+12125550142 of Ada\",\"since\":\"{}\"}}",
        "2026-02-02T11:30:00.000Z"
    );
    world.sql(&format!("INSERT INTO meta VALUES ('hold:{kind}', '{hold}')"));
}

#[test]
fn a_cause_is_told_once_reminded_once_a_day_and_resolved_once() {
    let receiver = Receiver::new();
    let world = with_json(&receiver, "");
    look(&world, NONE);
    assert_eq!(heard(&receiver), [""; 0]);
    hold(&world, "flag");
    for _ in 0..3 {
        look(&world, NONE);
        world.pass(Duration::minutes(5));
    }
    assert_eq!(heard(&receiver), ["problem hold:flag"]);
    let message = receiver.heard()[0].json();
    assert!(message["command"].as_str().unwrap().starts_with("ringonce "), "{message}");
    for personal in ["+1212", "Ada", "sk-"] {
        assert!(!message.to_string().contains(personal), "{message}");
    }
    world.pass(Duration::hours(24));
    look(&world, NONE);
    look(&world, NONE);
    assert_eq!(heard(&receiver), ["problem hold:flag", "reminder hold:flag"]);
    world.sql("DELETE FROM meta WHERE key = 'hold:flag'");
    look(&world, NONE);
    look(&world, NONE);
    assert_eq!(heard(&receiver)[2..], ["resolved hold:flag"]);
    let over = receiver.heard()[2].json();
    assert_eq!(over["command"], "ringonce status");
    let text = over["text"].as_str().unwrap();
    assert!(text.starts_with("this is over: ") && text.contains("; it lasted from "), "{text}");
    // A new process does not repeat what was told.
    hold(&world, "flag");
    look(&world, NONE);
    look(&world, NONE);
    assert_eq!(heard(&receiver)[3..], ["problem hold:flag"]);
}

#[test]
fn a_cause_that_lifts_itself_within_a_minute_wakes_nobody() {
    let receiver = Receiver::new();
    let world = with_json(&receiver, "");
    let minute = Duration::minutes(1);
    hold(&world, "clock");
    look(&world, minute);
    world.pass(Duration::seconds(50));
    world.sql("DELETE FROM meta WHERE key = 'hold:clock'");
    look(&world, minute);
    assert_eq!(heard(&receiver), [""; 0]);
    hold(&world, "clock");
    look(&world, minute);
    world.pass(Duration::seconds(60));
    look(&world, minute);
    assert_eq!(heard(&receiver), ["problem hold:clock"]);
    // A hold that only a person lifts is told at once.
    hold(&world, "flag");
    look(&world, minute);
    assert_eq!(heard(&receiver), ["problem hold:clock", "problem hold:flag"]);
}

#[test]
fn every_cause_of_the_file_is_told() {
    let receiver = Receiver::new();
    let world = with_json(
        &receiver,
        "[customers]\ndisable_after_failures = 2\n[events]\nurl = \"http://127.0.0.1:9/hook\"\n",
    );
    world.customer("Bob").add();
    world.sql(
        "UPDATE customers SET payment_status = 'gone';
         UPDATE customers SET call_status = 'disabled', consecutive_failures = 2 WHERE id = 2;
         INSERT INTO second_calls VALUES ('call-2', 'a-1', 'key-1', '2026-02-02T11:00:00.000Z', '');
         INSERT INTO meta VALUES ('pause:customer:key-1',
           '{\"who\":\"follow\",\"why\":\"x\",\"since\":\"2026-02-02T11:00:00.000Z\"}');
         INSERT INTO call_attempts (id, seq, customer_key, call_type, occasion, attempt_no,
           phone_key, state, created_at, updated_at) VALUES ('a-2', 900, 'key-2', 'daily',
           '2026-02-01', 1, '', 'in_doubt', '2026-02-01T12:00:00.000Z', '2026-02-01T12:00:00.000Z');
         INSERT INTO events (id, type, data, created_at, queued_at, next_at) VALUES ('evt_1',
           'call.ended', '{}', '2026-02-02T09:00:00.000Z', '2026-02-02T09:00:00.000Z',
           '2026-02-02T09:00:00.000Z');",
    );
    world.pass(Duration::hours(2));
    look_only(&world, NONE);
    let mut told = heard(&receiver);
    told.sort();
    assert_eq!(
        told,
        [
            "problem disabled",
            "problem doubt",
            "problem events",
            "problem late_scan",
            "problem nobody_eligible",
            "problem second_call",
        ]
    );
    assert!(receiver.heard().iter().all(|one| one.json()["command"].is_string()));
}

#[test]
fn a_file_that_is_not_armed_tells_nothing() {
    let receiver = Receiver::new();
    let world = with_json(&receiver, "");
    hold(&world, "flag");
    world.sql("UPDATE meta SET value = '/elsewhere/ringonce.db' WHERE key = 'armed_path'");
    look(&world, NONE);
    assert_eq!(heard(&receiver), [""; 0]);
}

#[test]
fn a_channel_that_fails_is_shown_and_loses_nothing() {
    let receiver = Receiver::answering(|n| Response::new(if n < 2 { 500 } else { 200 }));
    let world = with_json(&receiver, "");
    hold(&world, "flag");
    assert_eq!(look(&world, NONE), ["it answered 500"]);
    world.pass(Duration::minutes(1));
    look(&world, NONE);
    let checked = world.command(&["check"]).stdout;
    let says = "alerts by url could not be sent since Mon 2026-02-02 11:30 UTC: it answered 500";
    assert!(checked.contains(says), "{checked}");
    assert_eq!(look(&world, NONE), [""; 0]);
    assert_eq!(heard(&receiver), ["problem hold:flag"]);
    assert!(!world.command(&["check"]).stdout.contains("could not be sent"));
}

#[test]
fn a_channel_that_is_no_longer_configured_does_not_fail() {
    let receiver = Receiver::answering(|_| Response::new(500));
    let world = with_json(&receiver, "");
    hold(&world, "flag");
    look(&world, NONE);
    let says = || world.command(&["check"]).stdout.contains("could not be sent");
    assert!(says());
    world.set_config("");
    assert!(!says());
}

#[test]
fn a_mail_server_that_says_nothing_costs_a_bounded_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let world = World::with_config(&format!(
        "[alerts.email]\nsmtp = \"{}\"\nfrom = \"a@example.com\"\nto = \"b@example.com\"\n",
        silent.local_addr().expect("an address")
    ));
    let channel = Channel::all(&loaded(&world)).expect("good settings").remove(0);
    let message = Message {
        kind: MessageKind::Test,
        cause: None,
        title: "a test".to_string(),
        text: "a test".to_string(),
        command: None,
        at: String::new(),
    };
    let begun = ringonce::clock::elapsed();
    for _ in 0..2 {
        assert!(channel.send(&message, std::time::Duration::from_millis(300)).is_err());
    }
    assert!(ringonce::clock::elapsed() - begun < std::time::Duration::from_secs(5));
}

#[test]
fn each_kind_of_receiver_gets_its_own_form() {
    for kind in ["ntfy", "slack", "discord"] {
        let receiver = Receiver::new();
        let world = World::with_config(&config(&receiver.url, kind, ""));
        world.daily("Ada");
        world.tick();
        hold(&world, "flag");
        look(&world, NONE);
        let body = receiver.heard()[0].body.clone();
        let text = match kind {
            "ntfy" => body,
            "slack" => body_field(&body, "text"),
            _ => body_field(&body, "content"),
        };
        assert!(text.contains("dialing is held (flag), since 2026-02-02 11:30 UTC"), "{text}");
        assert!(text.contains("\nNext: ringonce resume"), "{kind}: {text}");
    }
}

fn body_field(body: &str, name: &str) -> String {
    let body: Value = serde_json::from_str(body).expect("JSON");
    body[name].as_str().expect("a text").to_string()
}

#[test]
fn the_daily_summary_comes_once_a_date_at_its_time() {
    let receiver = Receiver::new();
    let more = "daily_summary = \"18:00\"\n[schedule]\ntimezone = \"America/New_York\"\n";
    let world = with_json(&receiver, more);
    let look_at = |time: &str| {
        world.set_now(at(time));
        look(&world, NONE);
        heard(&receiver).iter().filter(|one| one.starts_with("summary")).count()
    };
    world.tick_at("2026-02-02T12:00:00Z");
    assert_eq!(look_at("2026-02-02T22:59:59.000Z"), 0);
    assert_eq!(look_at("2026-02-02T23:00:00.000Z"), 1);
    assert_eq!(look_at("2026-02-03T04:00:00.000Z"), 1);
    assert_eq!(look_at("2026-02-03T22:00:00.000Z"), 1);
    assert_eq!(look_at("2026-02-03T23:30:00.000Z"), 2);
    let first = receiver.heard().into_iter().find(|one| one.body.contains("summary")).unwrap();
    let text = body_field(&first.body, "text");
    assert!(text.starts_with("1 called, 1 reached, 0 failed, 0 skipped, 0 in doubt"), "{text}");
    assert!(!first.body.contains("Ada"), "{text}");
}

#[test]
fn e_mail_reaches_every_recipient_after_a_login_and_a_refusal_is_named() {
    let server = MailServer::new();
    let config = format!(
        "[alerts.email]\nsmtp = \"{}\"\nfrom = \"ringonce@example.com\"\n\
         to = \"ada@example.com, bob@example.com\"\n",
        server.address
    );
    let world = World::with_config(&config);
    world.daily("Ada");
    let test = |password: Option<&str>| -> Run {
        let mut program = world.program(&["alerts", "test"]);
        if let Some(password) = password {
            program.env("RINGONCE_SMTP_PASSWORD", password);
        }
        run_of(program.output().expect("the program starts"))
    };
    let sent = test(Some("canary-password"));
    assert_eq!((sent.code, sent.stdout.as_str()), (Some(0), "sent by email\n"), "{sent:?}");
    let mail = server.mails().remove(0);
    assert!(mail.envelope[0].starts_with("AUTH PLAIN"), "{mail:?}");
    assert_eq!(mail.envelope[1], "MAIL FROM:<ringonce@example.com>");
    assert_eq!(mail.envelope[2..], ["RCPT TO:<ada@example.com>", "RCPT TO:<bob@example.com>"]);
    assert!(mail.data.contains("Subject: ringonce: a test\r\n"), "{mail:?}");
    assert_eq!(test(None).code, Some(0), "a relay on loopback needs no login");
    server.refuse(Some("550 5.7.1 not from here"));
    let refused = test(Some("canary-password"));
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("email: ") && refused.stderr.contains("not from here"));
    assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
    // What was refused is told when the server accepts again.
    world.tick();
    hold(&world, "flag");
    assert_eq!(look(&world, NONE).len(), 1);
    let before = server.mails().len();
    server.refuse(None);
    assert_eq!(look(&world, NONE), [""; 0]);
    let mail = server.mails()[before].clone();
    assert!(mail.data.contains("dialing is held (flag)"), "{mail:?}");
    assert!(mail.data.contains("Next: ringonce resume"), "{mail:?}");
}

#[test]
fn a_test_without_channels_says_what_to_set_and_a_dead_server_ends_soon() {
    let world = World::new();
    let run = world.command(&["alerts", "test"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("nothing is set in [alerts]"), "{run:?}");
    world.set_config(
        "[alerts]\nurl = \"http://127.0.0.1:9/canary\"\nkind = \"json\"\n[alerts.email]\n\
         smtp = \"127.0.0.1:9\"\nfrom = \"a@example.com\"\nto = \"b@example.com\"\n",
    );
    let run = world.command(&["alerts", "test"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("url: ") && run.stderr.contains("email: "), "{run:?}");
    assert!(!run.stderr.contains("canary"), "{run:?}");
}

#[test]
fn tick_tells_at_its_end() {
    let receiver = Receiver::new();
    let world = with_json(&receiver, "");
    hold(&world, "flag");
    for _ in 0..2 {
        assert_eq!(world.command(&["tick"]).code, Some(3));
    }
    assert_eq!(heard(&receiver), ["problem hold:flag"]);
}

#[test]
fn a_service_whose_file_is_disarmed_tells_it_once_and_ends() {
    let receiver = Receiver::new();
    let world = with_json(&receiver, "");
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock("2026-02-02T12:00:00Z");
    let mut run = world.program(&["run"]);
    let child = run.stderr(Stdio::null()).spawn().expect("run starts");
    until("the service dials", || world.rings().len() == 1);
    std::fs::copy(world.db(), world.path("copy")).expect("a copy");
    std::fs::rename(world.path("copy"), world.db()).expect("the copy in its place");
    let ended = crate::processes::end_of(child);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(heard(&receiver), ["problem stopped"]);
    assert_eq!(receiver.heard()[0].json()["command"], "ringonce check");
    // The next start is refused, and tells nothing: it never dialed.
    assert_eq!(world.command(&["run"]).code, Some(3));
    assert_eq!(heard(&receiver).len(), 1);
}

#[test]
fn a_daily_summary_without_a_channel_is_a_warning_of_check() {
    let world = World::with_config("[alerts]\ndaily_summary = \"18:00\"\n");
    let check = world.command(&["check"]);
    let said = check.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("alerts.daily_summary is set, but no message is sent"), "{check:?}");
}
