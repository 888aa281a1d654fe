//! What stopped a customer's calls, and when: pauses, the do-not-call list, holds, the breaker and
//! starts that did not open dialing. Read from the journal; what stands now is read from the file.

use crate::domain::call::{CallType, Reason};
use crate::domain::customer::{CallStatus, Customer};
use crate::domain::{Instant, instant_text, parse_instant, utc_words};
use crate::steps::Context;
use crate::steps::readiness::{hold_words, last_start};
use crate::store::journal::stops::{StopEntry, of_subject};
use crate::store::meta::pauses::Pause;
use crate::store::meta::{breaker, holds, pauses};
use crate::store::{Conn, do_not_call};

/// The kinds of stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    Pause,
    /// The customer's own status: paused, or disabled after failures.
    CallStatus,
    DoNotCall,
    Hold,
    Breaker,
    /// A start that did not open dialing.
    Start,
}

impl StopKind {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            StopKind::Pause => "pause",
            StopKind::CallStatus => "call_status",
            StopKind::DoNotCall => "do_not_call",
            StopKind::Hold => "hold",
            StopKind::Breaker => "breaker",
            StopKind::Start => "start",
        }
    }

    /// Whether only this customer's calls stopped.
    pub fn is_of_the_customer(self) -> bool {
        matches!(self, StopKind::Pause | StopKind::CallStatus | StopKind::DoNotCall)
    }
}

/// Something that stopped calls for a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    pub kind: StopKind,
    /// The scope of a pause, the kind of a hold, or the call status.
    pub scope: String,
    pub who: String,
    pub why: String,
    pub from: Instant,
    /// `None`: it still stands.
    pub until: Option<Instant>,
    /// Who ended it, and why.
    pub ended: Option<(String, String)>,
}

impl Stop {
    pub fn stood_at(&self, at: Instant) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    pub fn stood_between(&self, from: Instant, to: Instant) -> bool {
        self.from <= to && self.until.is_none_or(|until| from < until)
    }

    /// In one line: who stopped what, since when and why.
    pub fn words(&self) -> String {
        let what = match (self.kind, self.scope.split_once(':')) {
            (StopKind::Pause, Some(("type", call_type))) => format!("{call_type} calls are paused"),
            (StopKind::Pause, Some(("customer", _))) => "this customer is paused".to_string(),
            (StopKind::Pause, Some(("number", _))) => "this number is paused".to_string(),
            (StopKind::Pause, _) => "all calls are paused".to_string(),
            (StopKind::CallStatus, _) => format!("this customer is {}", self.scope),
            (StopKind::DoNotCall, _) => "this number is listed".to_string(),
            (StopKind::Hold, _) => format!("dialing is held ({})", self.scope),
            (StopKind::Breaker, _) => "the breaker is open".to_string(),
            (StopKind::Start, _) => "the last start did not open dialing".to_string(),
        };
        let what = if self.until.is_some() { past_tense(&what) } else { what };
        let by = if self.who.is_empty() { String::new() } else { format!(" by {}", self.who) };
        let from = utc_words(self.from);
        let time = match self.until {
            Some(until) => format!("from {from} to {}", utc_words(until)),
            None => format!("since {from}"),
        };
        let by = if self.kind.is_of_the_customer() { by } else { String::new() };
        format!("{what}{by} {time}: {}", self.why)
    }

    /// Whether it stops calls of this type.
    pub fn stops(&self, call_type: CallType) -> bool {
        match (self.kind, self.scope.strip_prefix("type:")) {
            (StopKind::Pause, Some(of)) => of == call_type.as_str(),
            _ => true,
        }
    }

    /// Whether it explains why an occasion ended with this reason.
    pub fn explains(&self, reason: Reason) -> bool {
        match self.kind {
            StopKind::Pause => reason == Reason::Paused,
            StopKind::CallStatus if self.scope == CallStatus::Paused.as_str() => {
                reason == Reason::Paused
            }
            StopKind::CallStatus => reason == Reason::NotEligible,
            StopKind::DoNotCall => reason == Reason::DoNotCall,
            StopKind::Breaker => matches!(reason, Reason::Breaker | Reason::TooLate),
            StopKind::Hold | StopKind::Start => matches!(reason, Reason::Held | Reason::TooLate),
        }
    }
}

/// Every stop that concerns a customer, in the order of their begins.
pub fn stops(cx: &Context, customer: &Customer) -> anyhow::Result<Vec<Stop>> {
    cx.store.read(|conn| {
        let mut found = Vec::new();
        for subject in subjects(cx, customer) {
            begun_and_ended(of_subject(conn, &subject)?, &mut found);
        }
        add_standing(cx, conn, customer, &mut found)?;
        found.sort_by_key(|stop| stop.from);
        Ok(found)
    })
}

/// The pauses that concern a customer, by scope.
pub fn scopes(cx: &Context, customer: &Customer) -> Vec<String> {
    let mut scopes = vec!["all".to_string()];
    scopes.extend(CallType::ALL.iter().map(|call_type| format!("type:{call_type}")));
    scopes.push(format!("customer:{}", customer.key));
    scopes.push(format!("number:{}", cx.installation.phone_key(&customer.phone)));
    scopes
}

fn subjects(cx: &Context, customer: &Customer) -> Vec<String> {
    let mut subjects = scopes(cx, customer);
    let other_forms = do_not_call::forms(&customer.phone).into_iter().skip(1);
    subjects.extend(other_forms.map(|form| format!("number:{}", cx.installation.phone_key(&form))));
    subjects.push(format!("customer:{}", customer.id));
    subjects.push("dialing".to_string());
    subjects
}

fn past_tense(words: &str) -> String {
    words.replacen(" are ", " were ", 1).replacen(" is ", " was ", 1)
}

/// What an entry did.
enum Act {
    /// The scope, and why.
    Began(StopKind, String),
    Ended(StopKind),
}

/// Pairs the entries that began something with those that ended it.
fn begun_and_ended(entries: Vec<StopEntry>, found: &mut Vec<Stop>) {
    let first = found.len();
    for entry in entries {
        for act in acts(&entry) {
            let (kind, scope) = match &act {
                Act::Began(kind, scope) => (*kind, Some(scope.clone())),
                Act::Ended(kind) => (*kind, None),
            };
            let is_same = |stop: &&mut Stop| {
                stop.kind == kind
                    && stop.until.is_none()
                    && (kind != StopKind::Hold || entry.subject.ends_with(&stop.scope))
            };
            let why = entry.why.clone().unwrap_or_default();
            if let Some(open) = found[first..].iter_mut().rev().find(is_same) {
                open.until = Some(entry.at);
                open.ended = Some((entry.who.clone(), why.clone()));
            }
            if let Some(scope) = scope {
                let why = if why.is_empty() { entry.new.clone().unwrap_or_default() } else { why };
                let who = entry.who.clone();
                found.push(Stop {
                    kind,
                    scope,
                    who,
                    why,
                    from: entry.at,
                    until: None,
                    ended: None,
                });
            }
        }
    }
}

fn acts(entry: &StopEntry) -> Vec<Act> {
    let status = |text: &str| {
        let stops = [CallStatus::Paused, CallStatus::Disabled];
        match CallStatus::parse(text).filter(|status| stops.contains(status)) {
            Some(status) => Act::Began(StopKind::CallStatus, status.to_string()),
            None => Act::Ended(StopKind::CallStatus),
        }
    };
    let new = entry.new.as_deref();
    let kind = entry.subject.strip_prefix("dialing:").unwrap_or_default();
    match (entry.what.as_str(), new) {
        ("pause", Some(_)) => vec![Act::Began(StopKind::Pause, entry.subject.clone())],
        ("pause", None) => vec![Act::Ended(StopKind::Pause)],
        ("call_status", Some(new)) => vec![status(new)],
        ("customer", Some("disabled")) => vec![status("disabled")],
        ("customer", _) => {
            let values = entry.facts.values.get("call_status");
            values.map(|(_, new)| status(new)).into_iter().collect()
        }
        ("do not call", Some("added")) => {
            vec![Act::Began(StopKind::DoNotCall, "number".to_string())]
        }
        ("do not call", _) => vec![Act::Ended(StopKind::DoNotCall)],
        ("held", Some(_)) => vec![Act::Began(StopKind::Hold, kind.to_string())],
        ("hold", _) => vec![Act::Ended(StopKind::Hold)],
        ("breaker", Some(_)) => vec![Act::Began(StopKind::Breaker, "dialing".to_string())],
        ("breaker", None) => vec![Act::Ended(StopKind::Breaker)],
        ("start", Some(_)) => vec![Act::Began(StopKind::Start, "dialing".to_string())],
        ("start", None) => vec![Act::Ended(StopKind::Start)],
        _ => Vec::new(),
    }
}

/// Adds what stands now and is not in the journal: an earlier version, another program or a
/// restored list brought it.
fn add_standing(
    cx: &Context,
    conn: &Conn,
    customer: &Customer,
    found: &mut Vec<Stop>,
) -> anyhow::Result<()> {
    let mut add = |kind, scope: &str, (who, why): (&str, &str), since: Option<Instant>| {
        let is_known = |stop: &Stop| {
            stop.kind == kind
                && stop.until.is_none()
                && (stop.scope == scope || !matches!(kind, StopKind::Pause | StopKind::Hold))
        };
        if let Some(from) = since.filter(|_| !found.iter().any(is_known)) {
            let (scope, who, why) = (scope.to_string(), who.to_string(), why.to_string());
            found.push(Stop { kind, scope, who, why, from, until: None, ended: None });
        }
    };
    let scopes = scopes(cx, customer);
    for (scope, Pause { who, why, since, .. }) in pauses::pauses(conn)? {
        if scopes.contains(&scope) {
            add(StopKind::Pause, &scope, (&who, &why), parse_instant(&since));
        }
    }
    if matches!(customer.call_status, CallStatus::Paused | CallStatus::Disabled) {
        let since = customer.eligible_from.unwrap_or(customer.created_at);
        let told = ("", "the journal does not name who set it");
        add(StopKind::CallStatus, customer.call_status.as_str(), told, Some(since));
    }
    for entry in do_not_call::entries_of(conn, cx.store.path(), &customer.phone)? {
        let told = (entry.source.as_str(), entry.reason.as_str());
        add(StopKind::DoNotCall, "number", told, Some(entry.created_at));
    }
    for hold in holds::holds(conn)? {
        let why = format!("{}{}", hold.why, hold_words::what_lifts(&hold));
        add(StopKind::Hold, hold.kind.as_str(), ("", &why), parse_instant(&hold.since));
    }
    if let Some(open) = breaker::breaker(conn)? {
        let told = ("breaker", open.words());
        add(StopKind::Breaker, "dialing", (told.0, &told.1), parse_instant(&open.opened_at));
    }
    if let Some(shut) = last_start::not_dialing(conn)? {
        add(StopKind::Start, "dialing", ("start", &shut.why), parse_instant(&shut.since));
    }
    Ok(())
}

/// The pauses that stood at an instant, as the file held them then.
pub fn pauses_at(stops: &[Stop], at: Instant) -> Vec<(String, Pause)> {
    let of = |stop: &&Stop| stop.kind == StopKind::Pause && stop.stood_at(at);
    let pause = |stop: &Stop| {
        let (who, why) = (stop.who.clone(), stop.why.clone());
        let since = instant_text(stop.from);
        (stop.scope.clone(), Pause { who, why, since, ..Pause::default() })
    };
    stops.iter().filter(of).map(pause).collect()
}
