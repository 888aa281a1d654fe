//! Messages to a person by e-mail, over one encrypted connection each.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};

use crate::config::alerts::{Email, Encryption, SmtpServer};
use crate::config::secret::Secret;
use crate::service::outgoing::message::{Delivery, Message};

/// A mail server, and who gets messages from whom.
pub struct Postbox {
    server: SmtpServer,
    login: Option<(String, Secret)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    ca_file: Option<PathBuf>,
    /// Whether an earlier message still hangs.
    is_busy: Arc<AtomicBool>,
}

impl Postbox {
    /// `None` if no e-mail is sent. Without a password the server is used without a login.
    pub fn of(email: &Email, password: Option<&Secret>) -> Result<Option<Postbox>, String> {
        let (Some(server), Some(from)) = (email.server(), &email.from) else { return Ok(None) };
        let mailbox = |text: &str| {
            text.parse::<Mailbox>().map_err(|error| format!("alerts.email: {text:?}: {error}"))
        };
        let to = email.recipients().into_iter().map(mailbox).collect::<Result<Vec<_>, _>>()?;
        let user = email.user.clone().unwrap_or_else(|| from.clone());
        let login = password.map(|password| (user, password.clone()));
        let (server, from, is_busy) = (server?, mailbox(from)?, Arc::default());
        Ok(Some(Postbox { server, login, from, to, ca_file: email.ca_file.clone(), is_busy }))
    }

    /// Sends one message. The error is one line for a person. A recipient whom the server refuses
    /// keeps it from nobody else.
    pub fn send(&self, message: &Message, patience: Duration) -> Result<Delivery, String> {
        let all = self.mail(message, &self.to)?;
        let mut each = Vec::new();
        for to in &self.to {
            each.push((to.email.to_string(), self.mail(message, std::slice::from_ref(to))?));
        }
        let transport = self.transport(patience)?;
        self.limited(patience, move || match transport.send(&all) {
            Ok(_) => Ok(Delivery::Whole),
            // Nobody has the mail yet: the server refused it before its text.
            Err(error) if error.is_permanent() && each.len() > 1 => {
                send_each(&transport, &each).map_err(|_| one_line(&error))
            }
            Err(error) => Err(one_line(&error)),
        })
    }

    fn mail(&self, message: &Message, to: &[Mailbox]) -> Result<lettre::Message, String> {
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .message_id(None)
            .subject(message.title.clone())
            .header(ContentType::TEXT_PLAIN);
        for to in to {
            mail = mail.to(to.clone());
        }
        mail.body(format!("{}\n", message.whole_text()))
            .map_err(|error| format!("the e-mail cannot be written: {error}"))
    }

    /// The library's timeout is one of each step, and a slow server could take many. So another
    /// thread sends, and at most one of them hangs.
    fn limited(
        &self,
        patience: Duration,
        send: impl FnOnce() -> Result<Delivery, String> + Send + 'static,
    ) -> Result<Delivery, String> {
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return Err("the mail server still holds an earlier message".to_string());
        }
        let (done, answer) = mpsc::channel();
        let is_busy = Arc::clone(&self.is_busy);
        let sender = std::thread::Builder::new().name("e-mail".to_string()).spawn(move || {
            let sent = send();
            is_busy.store(false, Ordering::Release);
            // Nobody may be waiting any more.
            let _ = done.send(sent);
        });
        if let Err(error) = sender {
            self.is_busy.store(false, Ordering::Release);
            return Err(format!("the e-mail cannot be sent: {error}"));
        }
        answer.recv_timeout(patience).unwrap_or_else(|_| Err("timeout".to_string()))
    }

    /// Whom the connection trusts. The file is read again for each message, so that a renewed one
    /// needs no restart.
    fn tls(&self) -> Result<Tls, String> {
        let parameters = || {
            let mut parameters = TlsParameters::builder(self.server.host.clone());
            if let Some(file) = &self.ca_file {
                parameters = parameters.add_root_certificate(authorities(file)?);
            }
            parameters.build().map_err(|error| match &self.ca_file {
                Some(file) => format!("{}: {}", file.display(), one_line(&error)),
                None => one_line(&error),
            })
        };
        Ok(match self.server.encryption {
            Encryption::None => Tls::None,
            Encryption::Tls => Tls::Wrapper(parameters()?),
            Encryption::StartTls => Tls::Required(parameters()?),
        })
    }

    /// Whether the settings can be used, as far as that is known without the network.
    pub fn check(&self) -> Result<(), String> {
        self.tls().map(drop)
    }

    fn transport(&self, patience: Duration) -> Result<SmtpTransport, String> {
        let mut transport = SmtpTransport::builder_dangerous(&self.server.host)
            .port(self.server.port)
            .tls(self.tls()?)
            .timeout(Some(patience));
        if let Some((user, password)) = &self.login {
            let password = password.expose().to_string();
            transport = transport.credentials(Credentials::new(user.clone(), password));
        }
        Ok(transport.build())
    }
}

/// Sends each recipient a mail of their own. The error: nobody got one.
fn send_each(
    transport: &SmtpTransport,
    mails: &[(String, lettre::Message)],
) -> Result<Delivery, ()> {
    let refused: Vec<String> = mails
        .iter()
        .filter_map(|(to, mail)| {
            let error = transport.send(mail).err()?;
            Some(format!("{to}: {}", one_line(&error)))
        })
        .collect();
    match refused.len() {
        0 => Ok(Delivery::Whole),
        some if some < mails.len() => Ok(Delivery::WithoutSome(refused.join("; "))),
        _ => Err(()),
    }
}

/// The certificates of a PEM file.
fn authorities(file: &Path) -> Result<Certificate, String> {
    let bad = |why: &str| {
        format!(
            "alerts.email.ca_file: {} {why}; name a PEM file with the authority's certificate",
            file.display()
        )
    };
    let pem = std::fs::read(file).map_err(|error| bad(&format!("cannot be read ({error})")))?;
    let begin = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(begin.len()).any(|part| part == begin) {
        return Err(bad("holds no certificate"));
    }
    Certificate::from_pem(&pem).map_err(|_| bad("holds a damaged certificate"))
}

/// The longest error that is kept, in characters.
const LONGEST_ERROR: usize = 200;

/// The word of the TLS library for a certificate that no known authority signed. Only a hint depends
/// on it.
const UNKNOWN_AUTHORITY: &str = "UnknownIssuer";

/// The error and its causes. The library's errors hold no password.
fn one_line(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = plain.chars().take(LONGEST_ERROR).collect();
    if plain.contains(UNKNOWN_AUTHORITY) {
        format!("{short}; name the authority of its certificate in alerts.email.ca_file")
    } else {
        short
    }
}
