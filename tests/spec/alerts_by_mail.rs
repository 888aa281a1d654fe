//! Alerts by e-mail, over the encryption that a real mail server demands. A server that cannot prove
//! who it is gets neither the password nor the message.

use crate::mail_server::{Encrypted, MailServer};
use crate::world::{Run, World, run_of};

const PASSWORD: &str = "canary-password";

/// A world that sends mail to this server by name or number, with more keys of `[alerts.email]`.
fn world(host: &str, server: &MailServer, more: &str) -> World {
    let port = server.address.rsplit(':').next().expect("a port");
    World::with_config(&format!(
        "[alerts.email]\nsmtp = \"{host}:{port}\"\nfrom = \"ringonce@example.com\"\n\
         to = \"ada@example.com\"\n{more}"
    ))
}

fn run(world: &World, arguments: &[&str]) -> Run {
    let mut program = world.program(arguments);
    let run = run_of(
        program.env("RINGONCE_SMTP_PASSWORD", PASSWORD).output().expect("the program starts"),
    );
    assert!(!format!("{run:?}").contains("canary"), "{run:?}");
    run
}

#[test]
fn a_mail_over_tls_reaches_a_server_that_an_authority_of_ones_own_vouches_for() {
    for (when, word) in
        [(Encrypted::FromTheFirstByte, "tls"), (Encrypted::AfterStartTls, "starttls")]
    {
        let (server, authority) = MailServer::with_tls(when, "localhost");
        let keys = format!("encryption = \"{word}\"\nca_file = \"ca.pem\"\n");
        let world = world("localhost", &server, &keys);
        std::fs::write(world.path("ca.pem"), authority).expect("written");
        let checked = run(&world, &["check"]);
        assert!(checked.stdout.contains("by email: `ringonce alerts test`"), "{checked:?}");
        let sent = run(&world, &["alerts", "test"]);
        assert_eq!((sent.code, sent.stdout.as_str()), (Some(0), "sent by email\n"), "{sent:?}");
        let mails = server.mails();
        assert_eq!(mails.len(), 1, "{word}");
        assert!(mails[0].is_encrypted, "{word}: {mails:?}");
        assert!(mails[0].envelope[0].starts_with("AUTH PLAIN"), "{word}: {mails:?}");
        assert!(mails[0].data.contains("Subject: ringonce: a test\r\n"), "{word}: {mails:?}");
    }
}

#[test]
fn a_server_without_a_trusted_certificate_of_its_name_gets_nothing() {
    for when in [Encrypted::FromTheFirstByte, Encrypted::AfterStartTls] {
        let word = if when == Encrypted::AfterStartTls { "starttls" } else { "tls" };
        let encryption = format!("encryption = \"{word}\"\n");
        let (server, authority) = MailServer::with_tls(when, "mail.example.com");
        let unknown = world("localhost", &server, &encryption);
        let refused = run(&unknown, &["alerts", "test"]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("UnknownIssuer"), "{refused:?}");
        assert!(refused.stderr.contains("alerts.email.ca_file"), "{refused:?}");
        let other = world("localhost", &server, &format!("{encryption}ca_file = \"ca.pem\"\n"));
        std::fs::write(other.path("ca.pem"), authority).expect("written");
        let refused = run(&other, &["alerts", "test"]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("mail.example.com"), "{refused:?}");
        assert_eq!(server.mails().len(), 0, "{word}");
    }
}

#[test]
fn a_server_that_offers_no_encryption_gets_neither_the_password_nor_the_message() {
    let server = MailServer::new();
    for word in ["tls", "starttls"] {
        let world = world("127.0.0.1", &server, &format!("encryption = \"{word}\"\n"));
        let refused = run(&world, &["alerts", "test"]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("was not sent by email"), "{refused:?}");
    }
    assert_eq!(server.mails().len(), 0);
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_is_a_problem_of_check_and_stops_no_other_channel() {
    let receiver = crate::receiver::Receiver::new();
    let (server, _) = MailServer::with_tls(Encrypted::FromTheFirstByte, "localhost");
    let keys = "encryption = \"tls\"\nca_file = \"ca.pem\"\n";
    let world = world("localhost", &server, keys);
    let url = format!("[alerts]\nurl = \"{}\"\nkind = \"json\"\n", receiver.url);
    let both = std::fs::read_to_string(world.path("ringonce.toml")).expect("a configuration");
    std::fs::write(world.path("ringonce.toml"), format!("{both}\n{url}")).expect("written");
    for (content, says) in [
        (None, "cannot be read"),
        (Some("no certificate"), "holds no certificate"),
        (Some("-----BEGIN CERTIFICATE-----\n?\n"), "holds a damaged certificate"),
    ] {
        if let Some(content) = content {
            std::fs::write(world.path("ca.pem"), content).expect("written");
        }
        let checked = run(&world, &["check"]);
        assert_eq!(checked.code, Some(2), "{checked:?}");
        assert!(checked.stdout.contains("alerts.email.ca_file"), "{checked:?}");
        assert!(checked.stdout.contains(says), "{checked:?}");
        let before = receiver.heard().len();
        let tested = run(&world, &["alerts", "test"]);
        assert_eq!((tested.code, tested.stdout.as_str()), (Some(1), "sent by url\n"));
        assert!(tested.stderr.contains(says), "{tested:?}");
        assert_eq!(receiver.heard().len(), before + 1);
    }
}

#[test]
fn a_refused_recipient_keeps_no_other_from_the_message_and_is_named() {
    let server = MailServer::new();
    let port = server.address.rsplit(':').next().expect("a port");
    let world = World::with_config(&format!(
        "[alerts.email]\nsmtp = \"127.0.0.1:{port}\"\nfrom = \"ringonce@example.com\"\n\
         to = \"ada@example.com, bob@example.com, cy@example.com\"\nencryption = \"none\"\n"
    ));
    server.refuse(Some("bob@example.com|550 no such user"));
    let sent = run(&world, &["alerts", "test"]);
    assert_eq!(sent.code, Some(1), "{sent:?}");
    assert!(sent.stderr.contains("refused for bob@example.com: "), "{sent:?}");
    assert!(sent.stderr.contains("no such user"), "{sent:?}");
    let envelopes: String = server.mails().iter().map(|mail| mail.envelope.join(" ")).collect();
    for (to, gets) in [("ada@", true), ("bob@", false), ("cy@", true)] {
        assert_eq!(envelopes.contains(to), gets, "{to}: {envelopes}");
    }
    // An alarm: the others get it once, and the views name the refused one.
    world.command(&["pause", "--reason", "busy"]);
    world.sql("INSERT INTO meta VALUES ('hold:flag', '{\"kind\":\"flag\",\"why\":\"x\",\"since\":\"2026-02-02T11:00:00.000Z\"}')");
    for _ in 0..2 {
        run(&world, &["tick"]);
    }
    let about = |to: &str| {
        let mails = server.mails();
        mails.iter().filter(|mail| mail.envelope.iter().any(|line| line.contains(to))).count()
    };
    let once = about("ada@");
    assert!(once > 1, "{:?}", server.mails());
    run(&world, &["tick"]);
    assert_eq!(about("ada@"), once);
    let status = run(&world, &["status"]);
    assert!(status.stdout.contains("refused for bob@example.com"), "{status:?}");
}
