//! Why a call that falls due now would not be dialed, and what else needs a person. The page,
//! `status`, `check`, the API, the metrics and the health check all show this one list.

pub mod evidence;
pub mod words;

use chrono::Duration;

use crate::domain::Instant;
use crate::domain::call::CallType;
use crate::steps::follow::unended::Overdue;
use crate::steps::readiness::last_start::NotDialing;
use crate::store::meta::breaker::Breaker;
use crate::store::meta::holds::Hold;
use crate::store::meta::pauses::Pause;
use crate::store::meta::unreached::Unreached;
use crate::store::views::callable::Uncallable;

/// No line has been free for long from this time on. Most calls end earlier.
const NO_LINE_FOR: Duration = Duration::minutes(15);

/// What is known about the file, and about the process if it dials.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub now: Instant,
    /// What only the dialing process itself knows.
    pub of_the_process: Vec<Cause>,
    pub not_armed: Option<String>,
    /// Why the dialing user cannot write the file now, in one line.
    pub unwritable: Option<String>,
    pub start_shut: Option<NotDialing>,
    pub holds: Vec<Hold>,
    pub pauses: Vec<(String, Pause)>,
    pub breaker: Option<Breaker>,
    pub unreached: Option<Unreached>,
    pub lines: Lines,
    /// `Some`: there are customers, and none may be called.
    pub uncallable: Option<Uncallable>,
    /// Assistants that customers name and the configuration lacks, and how many wait for each.
    pub unknown_assistants: Vec<(String, i64)>,
    /// Calls made elsewhere whose number nobody can read.
    pub unknown_numbers: usize,
    pub last_tick: Option<Instant>,
    pub last_scan: Option<Instant>,
    pub late_after: Duration,
    pub doubts: usize,
    /// Calls that should have ended.
    pub overdue: Option<Overdue>,
    /// Rows that cannot be read, in one line, and whether one of them stops all calls.
    pub odd_rows: Option<(String, bool)>,
    pub backup_trouble: Option<String>,
    /// Events that the application does not get.
    pub events_trouble: Option<String>,
    /// Channels of alerts that fail, each in one line.
    pub failing_alerts: Vec<String>,
}

/// The lines, and who waits for one.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    pub in_use: usize,
    pub max: usize,
    /// When the newest call on a line began. If all lines are in use, they have been since then.
    pub last_taken: Option<Instant>,
    /// The oldest due instant of an item that waits for a line.
    pub waits_since: Option<Instant>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    DatabaseUnreadable(String),
    Stopping,
    /// This process halted, for example because an outcome cannot be written.
    Halted(String),
    NotArmed(String),
    /// The dialing user may not write a file, or its disk is full.
    Unwritable(String),
    /// The last start did not open dialing.
    StartShut {
        why: String,
        since: String,
    },
    Held(Hold),
    /// A person paused all calls, or every kind of scheduled call.
    Paused(Paused),
    BreakerOpen(Breaker),
    ProviderUnreachable(Unreached),
    NoFreeLine {
        since: Instant,
        in_use: usize,
        lines: usize,
    },
    NobodyEligible(Uncallable),
    FirstTickMissing,
    TickLate {
        minutes: i64,
    },
    ScanLate {
        minutes: i64,
    },
    /// A person should look at these calls. Those that still hold a line lower what can be dialed.
    CallsOverdue(Overdue),
    /// Whom these rows concern is not called; everybody else is.
    /// If `stops_all`, one of them may concern anybody.
    OddRows {
        told: String,
        stops_all: bool,
    },
    /// The customers who name this assistant are not called; everybody else is.
    UnknownAssistant {
        name: String,
        customers: i64,
    },
    /// Calls made elsewhere whose number nobody can read: no welcome call is made.
    UnknownNumbers(usize),
    InDoubt(usize),
    BackupsFail(String),
    /// The application does not get its events.
    EventsUndelivered(String),
    /// A person does not get alerts over one channel.
    AlertsFail(String),
}

/// The pause of all calls, or of one kind of scheduled call while the other is paused too.
#[derive(Clone, Debug, PartialEq)]
pub struct Paused {
    /// The kind of call; `None`: all calls.
    pub kind: Option<String>,
    pub pause: Pause,
}

impl Cause {
    /// The word for programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Cause::DatabaseUnreadable(_) => "database_unreadable",
            Cause::Stopping => "stopping",
            Cause::Halted(_) => "halted",
            Cause::NotArmed(_) => "not_armed",
            Cause::Unwritable(_) => "unwritable",
            Cause::StartShut { .. } => "start_shut",
            Cause::Held(_) => "held",
            Cause::Paused(_) => "paused",
            Cause::BreakerOpen(_) => "breaker_open",
            Cause::ProviderUnreachable(_) => "provider_unreachable",
            Cause::NoFreeLine { .. } => "no_free_line",
            Cause::NobodyEligible(_) => "nobody_eligible",
            Cause::FirstTickMissing => "first_tick_missing",
            Cause::TickLate { .. } => "tick_late",
            Cause::ScanLate { .. } => "scan_late",
            Cause::CallsOverdue(_) => "calls_overdue",
            Cause::OddRows { .. } => "odd_rows",
            Cause::UnknownAssistant { .. } => "unknown_assistant",
            Cause::UnknownNumbers(_) => "unknown_numbers",
            Cause::InDoubt(_) => "in_doubt",
            Cause::BackupsFail(_) => "backups_fail",
            Cause::EventsUndelivered(_) => "events_undelivered",
            Cause::AlertsFail(_) => "alerts_fail",
        }
    }

    /// Whether a call that falls due now would not be dialed.
    pub fn stops_calls(&self) -> bool {
        !matches!(
            self,
            Cause::CallsOverdue(_)
                | Cause::OddRows { stops_all: false, .. }
                | Cause::UnknownAssistant { .. }
                | Cause::UnknownNumbers(_)
                | Cause::InDoubt(_)
                | Cause::BackupsFail(_)
                | Cause::EventsUndelivered(_)
                | Cause::AlertsFail(_)
        )
    }
}

/// The word for the next call while a reason keeps it from being made.
pub fn standstill(causes: &[Cause]) -> Option<&'static str> {
    causes.iter().find(|cause| cause.stops_calls()).map(|cause| match cause {
        Cause::Paused(_) => "paused",
        _ => "held",
    })
}

/// Every reason, in the order in which a person should look at them; empty if all is well.
pub fn causes(evidence: &Evidence) -> Vec<Cause> {
    let mut causes = evidence.of_the_process.clone();
    causes.extend(evidence.not_armed.iter().cloned().map(Cause::NotArmed));
    // A process that could not write says more.
    if !causes.iter().any(|cause| matches!(cause, Cause::Halted(_) | Cause::NotArmed(_))) {
        causes.extend(evidence.unwritable.iter().cloned().map(Cause::Unwritable));
    }
    // A process that waits for its start has halted for the same reason.
    let halted = causes.clone();
    let is_new = |why: &str| !halted.contains(&Cause::Halted(why.to_string()));
    if let Some(shut) = evidence.start_shut.as_ref().filter(|shut| is_new(&shut.why)) {
        let (why, since) = (shut.why.clone(), shut.since.clone());
        causes.push(Cause::StartShut { why, since });
    }
    causes.extend(evidence.holds.iter().cloned().map(Cause::Held));
    causes.extend(paused(&evidence.pauses));
    // A half-open breaker permits the next call.
    let breaker = evidence.breaker.as_ref().filter(|breaker| !breaker.is_half_open(evidence.now));
    causes.extend(breaker.cloned().map(Cause::BreakerOpen));
    // A start reads the list too, and its reason says more.
    let is_shut = |cause: &Cause| matches!(cause, Cause::Halted(_) | Cause::StartShut { .. });
    if !causes.iter().any(is_shut) {
        causes.extend(evidence.unreached.clone().map(Cause::ProviderUnreachable));
    }
    causes.extend(no_free_line(evidence));
    causes.extend(evidence.uncallable.clone().map(Cause::NobodyEligible));
    causes.extend(late(evidence));
    causes.extend(evidence.overdue.clone().map(Cause::CallsOverdue));
    if let Some((told, stops_all)) = evidence.odd_rows.clone() {
        causes.push(Cause::OddRows { told, stops_all });
    }
    let unknown = evidence.unknown_assistants.iter().cloned();
    causes.extend(unknown.map(|(name, customers)| Cause::UnknownAssistant { name, customers }));
    if evidence.unknown_numbers > 0 {
        causes.push(Cause::UnknownNumbers(evidence.unknown_numbers));
    }
    if evidence.doubts > 0 {
        causes.push(Cause::InDoubt(evidence.doubts));
    }
    causes.extend(evidence.backup_trouble.clone().map(Cause::BackupsFail));
    causes.extend(evidence.events_trouble.clone().map(Cause::EventsUndelivered));
    causes.extend(evidence.failing_alerts.iter().cloned().map(Cause::AlertsFail));
    causes
}

/// The pause of everything, or the pauses of both scheduled kinds of calls.
pub fn paused(pauses: &[(String, Pause)]) -> Vec<Cause> {
    let all = pauses.iter().find(|(scope, _)| scope == "all");
    if let Some((_, pause)) = all {
        return vec![Cause::Paused(Paused { kind: None, pause: pause.clone() })];
    }
    let kinds = paused_kinds(pauses);
    let is_paused = |call_type: CallType| {
        kinds.iter().any(|paused| paused.kind.as_deref() == Some(call_type.as_str()))
    };
    // Extra calls are scheduled by nobody.
    if is_paused(CallType::Daily) && is_paused(CallType::Welcome) {
        return kinds.into_iter().map(Cause::Paused).collect();
    }
    Vec::new()
}

/// The pauses of kinds of calls.
pub fn paused_kinds(pauses: &[(String, Pause)]) -> Vec<Paused> {
    let kinds = pauses.iter().filter_map(|(scope, pause)| {
        let kind = scope.strip_prefix("type:")?.to_string();
        Some(Paused { kind: Some(kind), pause: pause.clone() })
    });
    kinds.collect()
}

/// Either every line has been taken for long, or a due item has waited for one for long.
fn no_free_line(evidence: &Evidence) -> Option<Cause> {
    let lines = &evidence.lines;
    let filled_at = lines.last_taken.filter(|_| lines.max <= lines.in_use);
    let since = filled_at.into_iter().chain(lines.waits_since).min()?;
    (NO_LINE_FOR <= evidence.now - since).then_some(Cause::NoFreeLine {
        since,
        in_use: lines.in_use,
        lines: lines.max,
    })
}

/// A tick or a scan that is more than two scan periods old.
fn late(evidence: &Evidence) -> Option<Cause> {
    let Some(last_tick) = evidence.last_tick else { return Some(Cause::FirstTickMissing) };
    let minutes = |at: Instant| {
        let age = evidence.now - at;
        (evidence.late_after < age).then(|| age.num_minutes())
    };
    let tick = minutes(last_tick).map(|minutes| Cause::TickLate { minutes });
    tick.or_else(|| {
        let scan = evidence.last_scan.and_then(minutes);
        scan.map(|minutes| Cause::ScanLate { minutes })
    })
}
