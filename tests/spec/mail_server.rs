//! A small mail server on loopback that speaks SMTP, plain or over TLS, and keeps every mail. It can
//! refuse.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// One mail.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// The lines of the login, of the sender and of the recipients.
    pub envelope: Vec<String>,
    /// Headers and text.
    pub data: String,
    /// Whether the login and the mail travelled encrypted.
    pub is_encrypted: bool,
}

/// When the encryption begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encrypted {
    Never,
    FromTheFirstByte,
    AfterStartTls,
}

pub struct MailServer {
    /// `127.0.0.1:PORT`
    pub address: String,
    mails: Arc<Mutex<Vec<Mail>>>,
    refusing: Arc<Mutex<Option<String>>>,
}

impl MailServer {
    pub fn new() -> MailServer {
        MailServer::start(Encrypted::Never, None)
    }

    /// A server whose certificate for `name` is signed by a new authority. Returns the authority's
    /// certificate in PEM too.
    pub fn with_tls(when: Encrypted, name: &str) -> (MailServer, String) {
        let mut authority = CertificateParams::new([]).expect("an authority without names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = || KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(authority, key()).expect("an authority");
        let (own, server) = (key(), CertificateParams::new([name.to_string()]).expect("a name"));
        let signed = server.signed_by(&own, &authority).expect("a certificate");
        let own = PrivateKeyDer::try_from(own.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the usual versions")
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], own)
            .expect("a certificate with its key");
        (MailServer::start(when, Some(Arc::new(config))), authority.pem())
    }

    fn start(when: Encrypted, config: Option<Arc<ServerConfig>>) -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let refusing: Arc<Mutex<Option<String>>> = Arc::default();
        let (kept, answer) = (Arc::clone(&mails), Arc::clone(&refusing));
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let refusal: Option<String> = answer.lock().expect("no panic").clone();
                let secured = |stream| {
                    let config = config.clone().expect("a certificate");
                    StreamOwned::new(ServerConnection::new(config).expect("a server"), stream)
                };
                let refusal = refusal.as_deref();
                let _ = match when {
                    Encrypted::Never => Conversation::greet(stream, false, refusal).take(&kept),
                    Encrypted::FromTheFirstByte => {
                        Conversation::greet(secured(stream), true, refusal).take(&kept)
                    }
                    Encrypted::AfterStartTls => {
                        let mut plain = Conversation::greet(stream, false, refusal);
                        plain.offers_tls = true;
                        let ended = plain.take(&kept);
                        if plain.has_agreed_to_tls {
                            let stream = secured(plain.reader.into_inner());
                            Conversation::new(stream, true, refusal).take(&kept)
                        } else {
                            ended
                        }
                    }
                };
            }
        });
        MailServer { address, mails, refusing }
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("no panic").clone()
    }

    /// Answers every sender with this line, or one recipient with `recipient|line`; `None` accepts
    /// again.
    pub fn refuse(&self, line: Option<&str>) {
        *self.refusing.lock().expect("no panic") = line.map(str::to_string);
    }
}

/// One connection, by RFC 5321.
struct Conversation<'a, S: Read + Write> {
    reader: BufReader<S>,
    is_encrypted: bool,
    refusal: Option<&'a str>,
    offers_tls: bool,
    has_agreed_to_tls: bool,
}

impl<'a, S: Read + Write> Conversation<'a, S> {
    fn new(stream: S, is_encrypted: bool, refusal: Option<&'a str>) -> Self {
        let reader = BufReader::new(stream);
        Conversation { reader, is_encrypted, refusal, offers_tls: false, has_agreed_to_tls: false }
    }

    fn greet(stream: S, is_encrypted: bool, refusal: Option<&'a str>) -> Self {
        let mut new = Conversation::new(stream, is_encrypted, refusal);
        // A client that breaks off is noticed at the next line.
        let _ = new.say("220 mail.example.com ESMTP");
        new
    }

    fn say(&mut self, line: &str) -> Option<()> {
        let stream = self.reader.get_mut();
        stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
        stream.flush().ok()
    }

    /// Keeps each mail before it confirms it: the client may end at the confirmation. `None`: the
    /// other side broke off, or encryption begins.
    fn take(&mut self, kept: &Mutex<Vec<Mail>>) -> Option<()> {
        let mut mail = Mail { is_encrypted: self.is_encrypted, ..Mail::default() };
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
            let verb = line.split([' ', '\r']).next().unwrap_or_default().to_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    self.say("250-mail.example.com")?;
                    if self.offers_tls {
                        self.say("250-STARTTLS")?;
                    }
                    self.say("250 AUTH PLAIN LOGIN")?;
                }
                "STARTTLS" if self.offers_tls => {
                    self.say("220 go on")?;
                    self.has_agreed_to_tls = true;
                    return None;
                }
                "AUTH" => {
                    mail.envelope.push(line.trim().to_string());
                    self.say("235 welcome")?;
                }
                "MAIL" | "RCPT" => {
                    mail.envelope.push(line.trim().to_string());
                    let answer = match self.refusal {
                        // A line that begins with a recipient refuses only that one.
                        Some(refusal) => match refusal.split_once('|') {
                            Some((to, answer)) if line.contains(to) => answer,
                            None if verb == "MAIL" => refusal,
                            _ => "250 ok",
                        },
                        None => "250 ok",
                    };
                    self.say(answer)?;
                }
                "DATA" => {
                    self.say("354 go on")?;
                    self.read_data(&mut mail.data)?;
                    let next = Mail { is_encrypted: self.is_encrypted, ..Mail::default() };
                    kept.lock().expect("no panic").push(std::mem::replace(&mut mail, next));
                    self.say("250 kept")?;
                }
                "QUIT" => {
                    return self.say("221 bye");
                }
                _ => self.say("250 ok")?,
            }
        }
    }

    fn read_data(&mut self, data: &mut String) -> Option<()> {
        loop {
            let mut text = String::new();
            self.reader.read_line(&mut text).ok().filter(|bytes| *bytes > 0)?;
            if text == ".\r\n" {
                return Some(());
            }
            data.push_str(&text);
        }
    }
}
