//! Sends the fake's webhooks to a server on loopback, as the provider sends them: each message
//! once, without a retry. Faults lose, double and shuffle them.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::config::address::BaseUrl;
use crate::demo::fake_vapi::core::FakeCore;
use crate::demo::fake_vapi::fault_draw::{hash, unit};
use crate::demo::fake_vapi::faults::{FaultKind, On};
use crate::demo::fake_vapi::pushed;
use crate::domain::Instant;

/// The time that one message may take. The provider gives a receiver 20 seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The receiver of the webhooks, as `--webhook` names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    host: String,
    address: SocketAddr,
    path: String,
}

impl FromStr for Receiver {
    type Err = String;

    fn from_str(text: &str) -> Result<Receiver, String> {
        let url = BaseUrl::parse(text)?;
        let port = url.port.unwrap_or(80);
        let found = (url.host.as_str(), port).to_socket_addrs().ok().and_then(|mut all| all.next());
        match found {
            Some(address) if !url.https && address.ip().to_canonical().is_loopback() => {
                let path = if url.path.is_empty() { "/".to_string() } else { url.path.clone() };
                Ok(Receiver { host: format!("{}:{port}", url.host), address, path })
            }
            _ => Err("must be http:// on loopback, such as http://127.0.0.1:8787/webhooks/vapi"
                .to_string()),
        }
    }
}

/// What was sent about one call.
#[derive(Debug, Default)]
struct Sent {
    statuses: Vec<String>,
    tools: bool,
    report: bool,
}

/// The messages that were sent, and those that are due.
#[derive(Debug)]
pub struct Webhooks {
    receiver: Receiver,
    secret: Option<String>,
    /// Calls of the core that were looked at for the first time.
    seen: usize,
    /// Calls that may have another message.
    open: Vec<String>,
    sent: HashMap<String, Sent>,
    /// Messages that wait for their instant.
    waiting: Vec<(Instant, Value)>,
    count: u64,
}

impl Webhooks {
    /// Messages about calls that are over already were sent by the process before.
    pub fn new(
        receiver: Receiver,
        secret: Option<String>,
        core: &FakeCore,
        now: Instant,
    ) -> Webhooks {
        let calls = core.calls();
        let open = calls.iter().filter(|call| !call.is_over(now)).map(|call| call.id.clone());
        Webhooks {
            receiver,
            secret,
            seen: calls.len(),
            open: open.collect(),
            sent: HashMap::new(),
            waiting: Vec::new(),
            count: 0,
        }
    }

    /// Takes the messages that are due now, in the order in which they are sent.
    pub fn due(&mut self, core: &mut FakeCore, now: Instant) -> Vec<Value> {
        let fresh: Vec<String> = core.calls()[self.seen..].iter().map(|c| c.id.clone()).collect();
        self.seen += fresh.len();
        self.open.extend(fresh);
        for id in std::mem::take(&mut self.open) {
            let Some(record) = core.push(&id, now) else { continue };
            let sent = self.sent.entry(id.clone()).or_default();
            let mut messages = Vec::new();
            if !sent.statuses.contains(&record.status) {
                sent.statuses.push(record.status.clone());
                messages.push(pushed::status_update(&record));
            }
            if !sent.tools
                && let Some(message) = pushed::tools_used(&record)
            {
                sent.tools = true;
                messages.push(message);
            }
            // The report is sent after the provider has analysed the call.
            let lags = record.said.lags || record.said.outputs_lag;
            if !sent.report
                && !lags
                && let Some(message) = pushed::report(&record)
            {
                sent.report = true;
                messages.push(message);
            }
            let tag = record.order.tag().map(str::to_string);
            if sent.report {
                self.sent.remove(&id);
            } else {
                self.open.push(id);
            }
            for message in messages {
                self.plan(core, message, tag.as_deref(), now);
            }
        }
        let (due, later) = std::mem::take(&mut self.waiting).into_iter().partition(|m| m.0 <= now);
        self.waiting = later;
        let mut due: Vec<(Instant, Value)> = due;
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().map(|(_, message)| message).collect()
    }

    /// Lets a message wait for its instant, by faults: once, twice or never.
    fn plan(&mut self, core: &mut FakeCore, message: Value, tag: Option<&str>, now: Instant) {
        let striking = core.roulette.strike(On::Push, tag);
        if striking.has(FaultKind::WebhookLost) {
            return;
        }
        let longest = striking.get(FaultKind::WebhookShuffled).map_or(0.0, |fault| fault.number());
        for _ in 0..1 + usize::from(striking.has(FaultKind::WebhookDoubled)) {
            self.count += 1;
            let wait = longest * 1000.0 * unit(hash(self.count, "webhook"));
            let at = now + chrono::Duration::milliseconds(wait as i64);
            self.waiting.push((at, message.clone()));
        }
    }

    /// Sends one message. The error is for the log; the provider does not repeat a message either.
    pub fn send(&self, message: &Value) -> io::Result<u16> {
        let body = message.to_string();
        let secret = self.secret.as_ref().map(|secret| format!("X-Vapi-Secret: {secret}\r\n"));
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{}Content-Length: \
             {}\r\nConnection: close\r\n\r\n",
            self.receiver.path,
            self.receiver.host,
            secret.unwrap_or_default(),
            body.len()
        );
        let mut stream = TcpStream::connect_timeout(&self.receiver.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        let status = String::from_utf8_lossy(&answer[9..]).parse();
        status.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no HTTP status"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_go_to_loopback_only() {
        for (url, is_good) in [
            ("http://127.0.0.1:8787/webhooks/vapi", true),
            ("http://[::1]:8787/webhooks/vapi", true),
            ("http://127.0.0.1", true),
            ("https://127.0.0.1:8787/webhooks/vapi", false),
            ("https://example.com/webhooks/vapi", false),
            ("http://10.0.0.1/webhooks/vapi", false),
            ("127.0.0.1:8787", false),
        ] {
            assert_eq!(url.parse::<Receiver>().is_ok(), is_good, "{url}");
        }
    }
}
