//! The catalogue of the fake provider's faults, with a text form for each. Parsing refuses unknown
//! names and values.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which requests a fault can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Post,
    List,
    Get,
    /// Lists and single reads.
    Read,
    /// Messages to the webhook.
    Push,
    Any,
}

/// The value that a fault takes after `NAME=`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Takes {
    Nothing,
    /// A number, with the default if none is given.
    Number(f64),
    /// A text, with the default if none is given.
    Text(&'static str),
}

/// Declares every fault once: variant, name, requests, value and the line of `--list-faults`.
macro_rules! catalogue {
    ($($variant:ident = $name:literal, $on:ident, $takes:expr, $help:literal;)+) => {
        #[doc = "A way to go wrong. `FaultKind::help` says what each does."]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FaultKind { $(#[doc = $help] $variant,)+ }

        impl FaultKind {
            pub const ALL: &'static [FaultKind] = &[$(FaultKind::$variant,)+];

            pub fn name(self) -> &'static str {
                match self { $(FaultKind::$variant => $name,)+ }
            }

            pub fn on(self) -> On {
                match self { $(FaultKind::$variant => On::$on,)+ }
            }

            pub fn takes(self) -> Takes {
                match self { $(FaultKind::$variant => { use Takes::*; $takes },)+ }
            }

            pub fn help(self) -> &'static str {
                match self { $(FaultKind::$variant => $help,)+ }
            }
        }
    };
}

catalogue! {
    AcceptThenClose = "accept-then-close", Post, Nothing, "the call is placed; the connection is closed without an answer";
    AcceptThenReset = "accept-then-reset", Post, Nothing, "the call is placed; the connection is reset";
    AcceptThenHang = "accept-then-hang", Post, Number(60.0), "the call is placed; no answer for SECONDS, then closed";
    CloseBeforeAccept = "close-before-accept", Post, Nothing, "no call; the connection is closed without an answer";
    ResetBeforeAccept = "reset-before-accept", Post, Nothing, "no call; the connection is reset";
    HangBeforeAccept = "hang-before-accept", Post, Number(60.0), "no call; no answer for SECONDS, then closed";
    DelayedAccept = "delayed-accept", Post, Number(60.0), "closed without an answer; the call appears and rings SECONDS later";
    Status = "status", Post, Number(500.0), "no call; this status with the provider's JSON";
    StatusHtml = "status-html", Post, Number(502.0), "no call; this status with an HTML page";
    AcceptStatus = "accept-status", Post, Number(500.0), "the call is placed; this status with the provider's JSON";
    AcceptStatusHtml = "accept-status-html", Post, Number(502.0), "the call is placed; this status with an HTML page";
    RateLimit = "rate-limit", Post, Number(30.0), "no call; 429 with Retry-After: SECONDS (status=429 has none)";
    DailyLimit = "daily-limit", Post, Nothing, "no call; the 400 of a number that has used up its day";
    ReplyEmpty = "reply-empty", Post, Nothing, "the call is placed; 201 without a body";
    ReplyTruncated = "reply-truncated", Post, Nothing, "the call is placed; 201 whose body breaks off";
    ReplyHtml = "reply-html", Post, Nothing, "the call is placed; 201 with an HTML page";
    ReplyHuge = "reply-huge", Post, Number(50.0), "the call is placed; 201 followed by MEGABYTES of spaces";
    ReplyDrip = "reply-drip", Post, Number(1.0), "the call is placed; 201 whose body comes one byte each SECONDS";
    ReplyNoId = "reply-no-id", Post, Nothing, "the call is placed; 201 without an id";
    ReplyArray = "reply-array", Post, Nothing, "the call is placed; 201 with the call in an array";
    ConcurrencyBlocked = "concurrency-blocked", Post, Nothing, "the call is placed; 201 that says concurrencyBlocked";
    Redirect = "redirect", Post, Number(302.0), "no call; this 3xx to the same address";
    RedirectTo = "redirect-to", Post, Text("http://127.0.0.1:9/call"), "no call; 307 to this address";
    Twice = "twice", Post, Nothing, "two calls, and two rings, for one POST";
    RingTwice = "ring-twice", Post, Nothing, "one call that rings twice";
    RingAfter = "ring-after", Post, Number(2940.0), "the call waits SECONDS in the provider's queue before it rings";
    NeverDialed = "never-dialed", Post, Text("call.start.error-subscription-concurrency-limit-reached"), "the call is placed and ends at once with this reason; nothing rings";
    EndedReason = "ended-reason", Post, Text("an-invented-reason"), "the call rings and ends with this reason";
    ListLag = "list-lag", List, Number(60.0), "a call is listed only SECONDS after it was created";
    ListStale = "list-stale", List, Number(3600.0), "the list is as it was SECONDS ago (with every=2: each second list)";
    ListUnsorted = "list-unsorted", List, Nothing, "the rows of a page are shuffled";
    ListRepeats = "list-repeats", List, Nothing, "rows come twice";
    ListIgnoresLimit = "list-ignores-limit", List, Nothing, "never more than 100 rows, whatever was asked, and never fewer";
    ListLowLimit = "list-low-limit", List, Number(100.0), "never more than ROWS, whatever was asked";
    ListCut = "list-cut", List, Nothing, "the page breaks off";
    ListStatus = "list-status", List, Number(503.0), "this status instead of a page";
    ListEmpty = "list-empty", List, Nothing, "an empty page, as from another account";
    DropsRows = "drops-rows", Read, Number(1.0), "this SHARE of the calls is missing from every list and read";
    Strips = "strips", Read, Text("metadata"), "calls come back without `metadata`, `name`, `external-id` or `all` of them";
    OtherOrg = "other-org", Read, Text("00000000-0000-4000-8000-00000000dead"), "calls come back with this orgId";
    Reports = "reports", Read, Text("opt_out"), "ended calls come back with this field true in their analysis";
    ReportsOutput = "reports-output", Read, Text("Opt out"), "ended calls come back with a structured output of this name whose result is true";
    CallsTool = "calls-tool", Read, Text("stop_calling"), "ended calls come back with a use of this tool in their messages";
    ReportsValue = "reports-value", Read, Text("Mood=good"), "ended calls come back with a structured output NAME=VALUE; the value is JSON or text";
    LongTranscript = "long-transcript", Read, Number(5e6), "transcripts of ended calls are this many BYTES long";
    OutputsLag = "outputs-lag", Read, Number(60.0), "structured outputs come SECONDS after the end";
    AnalysisLag = "analysis-lag", Read, Number(30.0), "analysis, structured outputs and messages come SECONDS after the end";
    Get404 = "get-404", Get, Number(30.0), "404 for a call until SECONDS after it was created";
    GetStatus = "get-status", Get, Number(503.0), "this status instead of the call";
    NoRecording = "no-recording", Get, Nothing, "404 for the recording of a call";
    StatusBackwards = "status-backwards", Get, Nothing, "the call is reported as `queued`, whatever its status";
    WebhookLost = "webhook-lost", Push, Nothing, "a message to --webhook is never sent";
    WebhookDoubled = "webhook-doubled", Push, Nothing, "a message to --webhook is sent twice";
    WebhookShuffled = "webhook-shuffled", Push, Number(20.0), "each message to --webhook is sent up to SECONDS later, so their order changes";
    Down = "down", Any, Number(503.0), "this status for every request; no call";
    Latency = "latency", Any, Number(1000.0), "MILLISECONDS of real time before the answer";
    DateSkew = "date-skew", Any, Number(86400.0), "the Date header is SECONDS ahead (negative: behind)";
    NoDate = "no-date", Any, Nothing, "no Date header";
}

impl FaultKind {
    fn parse(name: &str) -> Option<FaultKind> {
        FaultKind::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether the fault can hit a request of this kind.
    pub(crate) fn hits(self, request: On) -> bool {
        let read = matches!(request, On::List | On::Get);
        self.on() == request
            || (self.on() == On::Any && request != On::Push)
            || (self.on() == On::Read && read)
    }

    /// Whether the fault is about single calls, not about a request; `tag` then selects the calls.
    pub fn is_about_rows(self) -> bool {
        self.on() == On::Read
    }
}

/// One fault and its conditions, which must all hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fault {
    pub kind: FaultKind,
    number: f64,
    text: String,
    /// Only each N-th request.
    pub(crate) every: Option<u64>,
    /// Only the first N requests.
    pub(crate) first: Option<u64>,
    /// This share of the requests, by seed.
    pub(crate) share: Option<f64>,
    /// Only tags that contain this text.
    tag: Option<String>,
}

impl Fault {
    /// A fault without conditions, with its default value.
    pub fn always(kind: FaultKind) -> Fault {
        let (number, text) = match kind.takes() {
            Takes::Nothing => (0.0, String::new()),
            Takes::Number(number) => (number, String::new()),
            Takes::Text(text) => (0.0, text.to_string()),
        };
        Fault { kind, number, text, every: None, first: None, share: None, tag: None }
    }

    pub fn number(&self) -> f64 {
        self.number
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number as a status code.
    pub fn status(&self) -> u16 {
        self.number as u16
    }

    /// The number of seconds as a span of the fake's clock.
    pub fn span(&self) -> chrono::Duration {
        chrono::Duration::milliseconds((self.number * 1000.0) as i64)
    }

    /// The number of seconds as real time.
    pub fn real_time(&self) -> std::time::Duration {
        std::time::Duration::from_millis((self.number.max(0.0) * 1000.0) as u64)
    }

    /// Whether the fault concerns this tag. Without a condition it concerns every tag.
    pub fn concerns(&self, tag: Option<&str>) -> bool {
        match &self.tag {
            None => true,
            Some(wanted) => tag.is_some_and(|tag| tag.contains(wanted)),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    /// `NAME[=VALUE][:every=N][:first=N][:share=0.1][:tag=TEXT]`
    fn from_str(text: &str) -> Result<Fault, String> {
        let mut rest = text.trim();
        let mut conditions = Vec::new();
        // From the right, because a value (an address) may hold colons itself.
        while let Some((before, last)) = rest.rsplit_once(':') {
            let Some((name, value)) = last.split_once('=') else { break };
            if !["every", "first", "share", "tag"].contains(&name) {
                break;
            }
            conditions.push((name, value));
            rest = before;
        }
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (rest, None),
        };
        let kind = FaultKind::parse(name)
            .ok_or_else(|| format!("there is no fault `{name}`; --list-faults names them all"))?;
        let mut fault = Fault::always(kind);
        match (kind.takes(), value) {
            (_, None) => {}
            (Takes::Nothing, Some(_)) => return Err(format!("the fault `{name}` takes no value")),
            (Takes::Number(_), Some(value)) => fault.number = number(name, value)?,
            (Takes::Text(_), Some(value)) => fault.text = value.to_string(),
        }
        fault.check_value()?;
        for (name, value) in conditions {
            match name {
                "every" => fault.every = Some(count(name, value, 1.0)?),
                "first" => fault.first = Some(count(name, value, 0.0)?),
                "share" => fault.share = Some(share(name, number(name, value)?)?),
                _ => fault.tag = Some(value.to_string()),
            }
        }
        Ok(fault)
    }
}

impl Fault {
    fn check_value(&self) -> Result<(), String> {
        use FaultKind::*;
        let status = matches!(
            self.kind,
            Status | StatusHtml | AcceptStatus | AcceptStatusHtml | ListStatus | GetStatus | Down
        );
        let name = self.kind.name();
        if status && !(400.0..600.0).contains(&self.number) {
            return Err(format!("the fault `{name}` needs a status from 400 to 599"));
        }
        if self.kind == Redirect && !(300.0..400.0).contains(&self.number) {
            return Err(format!("the fault `{name}` needs a status from 300 to 399"));
        }
        if self.kind == DropsRows {
            share(name, self.number)?;
        }
        if self.number < 0.0 && self.kind != DateSkew {
            return Err(format!("the fault `{name}` needs a number that is not below 0"));
        }
        let carriers = ["metadata", "name", "external-id", "all"];
        if self.kind == Strips && !carriers.contains(&self.text.as_str()) {
            return Err(format!("the fault `{name}` needs one of {}", carriers.join(", ")));
        }
        if self.text.chars().any(char::is_control) || self.number.abs() > 1e9 {
            return Err(format!("the value of the fault `{name}` is out of range"));
        }
        Ok(())
    }
}

fn number(name: &str, value: &str) -> Result<f64, String> {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(format!("`{name}` needs a number, not `{value}`")),
    }
}

fn count(name: &str, value: &str, least: f64) -> Result<u64, String> {
    let number = number(name, value)?;
    if least <= number && number <= 1e9 && number.fract() == 0.0 {
        Ok(number as u64)
    } else {
        Err(format!("`{name}` needs a whole number from {least}, not `{value}`"))
    }
}

fn share(name: &str, share: f64) -> Result<f64, String> {
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(format!("`{name}` needs a share from 0 to 1, not `{share}`"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        match self.kind.takes() {
            Takes::Nothing => {}
            Takes::Number(_) => write!(f, "={}", self.number)?,
            Takes::Text(_) => write!(f, "={}", self.text)?,
        }
        let every = self.every.map(|n| format!(":every={n}"));
        let first = self.first.map(|n| format!(":first={n}"));
        let share = self.share.map(|n| format!(":share={n}"));
        let tag = self.tag.as_ref().map(|text| format!(":tag={text}"));
        [every, first, share, tag].into_iter().flatten().try_for_each(|part| f.write_str(&part))
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> String {
        fault.to_string()
    }
}

impl TryFrom<String> for Fault {
    type Error = String;

    fn try_from(text: String) -> Result<Fault, String> {
        text.parse()
    }
}

/// The active faults. Their JSON is an array of text forms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>);

impl FromStr for Faults {
    type Err = String;

    /// Parses text forms with spaces between them.
    fn from_str(text: &str) -> Result<Faults, String> {
        text.split_whitespace().map(str::parse).collect::<Result<_, _>>().map(Faults)
    }
}
