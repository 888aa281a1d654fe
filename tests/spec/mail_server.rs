//! A small mail server on loopback that speaks SMTP and keeps every mail. It can refuse.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One mail.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// The lines of the login, of the sender and of the recipients.
    pub envelope: Vec<String>,
    /// Headers and text.
    pub data: String,
}

pub struct MailServer {
    /// `127.0.0.1:PORT`
    pub address: String,
    mails: Arc<Mutex<Vec<Mail>>>,
    refusing: Arc<Mutex<Option<String>>>,
}

impl MailServer {
    pub fn new() -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let refusing: Arc<Mutex<Option<String>>> = Arc::default();
        let (kept, answer) = (Arc::clone(&mails), Arc::clone(&refusing));
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let refusal: Option<String> = answer.lock().expect("no panic").clone();
                if let Some(mail) = conversation(stream, refusal) {
                    kept.lock().expect("no panic").push(mail);
                }
            }
        });
        MailServer { address, mails, refusing }
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("no panic").clone()
    }

    /// Answers every sender with this line; `None` accepts again.
    pub fn refuse(&self, line: Option<&str>) {
        *self.refusing.lock().expect("no panic") = line.map(str::to_string);
    }
}

/// One connection, by RFC 5321. `None`: it ended without a mail, or the other side broke off.
fn conversation(stream: TcpStream, refusal: Option<String>) -> Option<Mail> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let say = move |line: &str| (&stream).write_all(format!("{line}\r\n").as_bytes()).ok();
    let mut mail = Mail::default();
    let mut kept = None;
    say("220 mail.example.com ESMTP")?;
    loop {
        let mut line = String::new();
        if !reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            return kept;
        }
        let verb = line.split([' ', '\r']).next().unwrap_or_default().to_uppercase();
        match verb.as_str() {
            "EHLO" => {
                say("250-mail.example.com")?;
                say("250 AUTH PLAIN LOGIN")?;
            }
            "AUTH" => {
                mail.envelope.push(line.trim().to_string());
                say("235 welcome")?;
            }
            "MAIL" | "RCPT" => {
                mail.envelope.push(line.trim().to_string());
                say(refusal.as_deref().filter(|_| verb == "MAIL").unwrap_or("250 ok"))?;
            }
            "DATA" => {
                say("354 go on")?;
                loop {
                    let mut text = String::new();
                    reader.read_line(&mut text).ok()?;
                    if text == ".\r\n" {
                        break;
                    }
                    mail.data.push_str(&text);
                }
                kept = Some(std::mem::take(&mut mail));
                say("250 kept")?;
            }
            "QUIT" => {
                say("221 bye");
                return kept;
            }
            _ => {
                say("250 ok")?;
            }
        }
    }
}
