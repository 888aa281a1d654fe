//! Messages to a person by e-mail, over one encrypted connection each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};

use crate::config::alerts::{Email, Encryption, SmtpServer};
use crate::config::secret::Secret;
use crate::service::outgoing::message::Message;

/// A mail server, and who gets messages from whom.
pub struct Postbox {
    server: SmtpServer,
    login: Option<(String, Secret)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    /// Whether an earlier message still hangs.
    is_busy: Arc<AtomicBool>,
}

impl Postbox {
    /// `None` if no e-mail is sent. Without a password the server is used without a login.
    pub fn of(email: &Email, password: Option<&Secret>) -> Result<Option<Postbox>, String> {
        let (Some(smtp), Some(from)) = (&email.smtp, &email.from) else { return Ok(None) };
        let mailbox = |text: &str| {
            text.parse::<Mailbox>().map_err(|error| format!("alerts.email: {text:?}: {error}"))
        };
        let to = email.recipients().into_iter().map(mailbox).collect::<Result<Vec<_>, _>>()?;
        let user = email.user.clone().unwrap_or_else(|| from.clone());
        let login = password.map(|password| (user, password.clone()));
        let server = SmtpServer::parse(smtp)?;
        let (from, is_busy) = (mailbox(from)?, Arc::default());
        Ok(Some(Postbox { server, login, from, to, is_busy }))
    }

    /// Sends one message. The error is one line for a person.
    pub fn send(&self, message: &Message, patience: Duration) -> Result<(), String> {
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .message_id(None)
            .subject(message.title.clone())
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let mail = mail
            .body(format!("{}\n", message.whole_text()))
            .map_err(|error| format!("the e-mail cannot be written: {error}"))?;
        let transport = self.transport(patience).map_err(|error| one_line(&error))?;
        self.limited(patience, move || {
            transport.send(&mail).map(drop).map_err(|error| one_line(&error))
        })
    }

    /// The library's timeout is one of each step, and a slow server could take many. So another
    /// thread sends, and at most one of them hangs.
    fn limited(
        &self,
        patience: Duration,
        send: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
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

    fn transport(
        &self,
        patience: Duration,
    ) -> Result<SmtpTransport, lettre::transport::smtp::Error> {
        let host = &self.server.host;
        let tls = match self.server.encryption {
            Encryption::None => Tls::None,
            Encryption::Tls => Tls::Wrapper(TlsParameters::new(host.clone())?),
            Encryption::StartTls => Tls::Required(TlsParameters::new(host.clone())?),
        };
        let mut transport = SmtpTransport::builder_dangerous(host)
            .port(self.server.port)
            .tls(tls)
            .timeout(Some(patience));
        if let Some((user, password)) = &self.login {
            let password = password.expose().to_string();
            transport = transport.credentials(Credentials::new(user.clone(), password));
        }
        Ok(transport.build())
    }
}

/// The longest error that is kept, in characters.
const LONGEST_ERROR: usize = 200;

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
    plain.chars().take(LONGEST_ERROR).collect()
}
