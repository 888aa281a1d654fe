//! The alarms of now: the reasons that every view shows, as far as a person must act, and counts of
//! people whom a person must look at. The words of the reasons may name somebody, so an alarm has
//! words of its own.

use crate::domain::alarm::Alarm;
use crate::domain::hold::HoldKind;
use crate::steps::readiness::health::Cause;

/// What the list of reasons does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Also while the breaker is half open: otherwise each probe would end the alarm.
    pub breaker_is_open: bool,
    /// Doubts that the provider's records have not settled in time.
    pub doubts: i64,
    /// Customers who were disabled after failed occasions.
    pub disabled: i64,
    /// Customers who are paused because a second call of theirs was seen.
    pub second_calls: i64,
}

/// Every alarm.
pub fn alarms(causes: &[Cause], counts: Counts) -> Vec<Alarm> {
    let mut found: Vec<Alarm> = Vec::new();
    for alarm in causes.iter().filter_map(of_cause) {
        // Several assistants that are not configured are one message.
        if found.iter().all(|known| known.key != alarm.key) {
            found.push(alarm);
        }
    }
    let mut add = |count: i64, key: &str, [one, many]: [&str; 2], command: &str| {
        if count > 0 {
            let what = if count == 1 { format!("1 {one}") } else { format!("{count} {many}") };
            let (key, command) = (key.to_string(), command.to_string());
            found.push(Alarm { key, what, command, lifts_itself: false });
        }
    };
    let doubts = ["call is in doubt", "calls are in doubt"];
    add(counts.doubts, "doubt", doubts, "ringonce attempts list --state in_doubt");
    let second = [
        "customer is paused because a phone may have rung twice",
        "customers are paused because a phone may have rung twice",
    ];
    add(counts.second_calls, "second_call", second, "ringonce audit");
    let disabled = [
        "customer is disabled after failed occasions",
        "customers are disabled after failed occasions",
    ];
    let list = "ringonce customers list --status disabled";
    add(counts.disabled, "disabled", disabled, list);
    if counts.breaker_is_open {
        found.push(Alarm {
            key: "breaker".to_string(),
            what: "the breaker is open: the provider refuses calls, or most calls fail".to_string(),
            command: "ringonce status".to_string(),
            lifts_itself: false,
        });
    }
    found
}

/// `None`: a person did it, another alarm says it, or it is not for this channel.
fn of_cause(cause: &Cause) -> Option<Alarm> {
    let (key, what) = match cause {
        Cause::Held(hold) => {
            let what = format!("dialing is held ({})", hold.kind);
            return Some(alarm(&format!("hold:{}", hold.kind), &what, cause));
        }
        Cause::Halted(_) => ("halted", "the service has halted dialing"),
        Cause::StartShut { .. } => ("start_shut", "the last start did not open dialing"),
        Cause::DatabaseUnreadable(_) => ("database_unreadable", "the database cannot be read"),
        Cause::Unwritable(_) => ("unwritable", "the database cannot be written"),
        Cause::ProviderUnreachable(_) => ("provider_unreachable", "requests to the provider fail"),
        Cause::NoFreeLine { .. } => ("no_free_line", "no line has been free for long"),
        Cause::NobodyEligible(_) => ("nobody_eligible", "no customer may be called"),
        Cause::TickLate { .. } | Cause::ScanLate { .. } => {
            ("late_scan", "no scan or tick ran for two periods: due calls are not made")
        }
        Cause::CallsOverdue(_) => ("calls_overdue", "calls have not ended for long"),
        Cause::OddRows { stops_all: true, .. } => {
            ("odd_rows_stop_all", "a do-not-call entry that cannot be read stops all calls")
        }
        Cause::OddRows { .. } => {
            ("odd_rows", "rows cannot be read: whom they concern is not called")
        }
        Cause::UnknownAssistant { .. } => {
            ("unknown_assistant", "customers wait for an assistant that is not configured")
        }
        Cause::UnknownNumbers(_) => {
            ("unknown_numbers", "calls without a readable number stop all welcome calls")
        }
        Cause::BackupsFail(_) => ("backup", "backups fail or are late"),
        Cause::EventsUndelivered(_) => ("events", "your application does not get its events"),
        Cause::AlertsFail(_)
        | Cause::BreakerOpen(_)
        | Cause::FirstTickMissing
        | Cause::InDoubt(_)
        | Cause::NotArmed(_)
        | Cause::Paused(_)
        | Cause::Stopping => return None,
    };
    Some(alarm(key, what, cause))
}

fn alarm(key: &str, what: &str, cause: &Cause) -> Alarm {
    let lifts_itself = match cause {
        Cause::Held(hold) => matches!(hold.kind, HoldKind::Clock | HoldKind::Other(_)),
        _ => matches!(
            cause,
            Cause::StartShut { .. }
                | Cause::DatabaseUnreadable(_)
                | Cause::ProviderUnreachable(_)
                | Cause::NoFreeLine { .. }
        ),
    };
    let (key, what) = (key.to_string(), what.to_string());
    Alarm { key, what, command: cause.next(), lifts_itself }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::meta::holds::Hold;

    #[test]
    fn every_alarm_has_its_own_key_a_command_and_no_word_of_its_cause() {
        let said = || "+12125550142 of Ada".to_string();
        let hold = |kind| Hold { kind, why: said(), since: said() };
        let causes = [
            Cause::Held(hold(HoldKind::Flag)),
            Cause::Held(hold(HoldKind::Clock)),
            Cause::Halted(said()),
            Cause::StartShut { why: said(), since: said() },
            Cause::DatabaseUnreadable(said()),
            Cause::TickLate { minutes: 90 },
            Cause::OddRows { told: said(), stops_all: false },
            Cause::OddRows { told: said(), stops_all: true },
            Cause::UnknownAssistant { name: said(), customers: 1 },
            Cause::UnknownAssistant { name: "other".to_string(), customers: 2 },
            Cause::Unwritable(said()),
            Cause::UnknownNumbers(2),
            Cause::BackupsFail(said()),
            Cause::EventsUndelivered(said()),
            Cause::AlertsFail(said()),
            Cause::Stopping,
            Cause::FirstTickMissing,
            Cause::InDoubt(1),
            Cause::NotArmed(said()),
        ];
        let counts = Counts { breaker_is_open: true, doubts: 2, disabled: 1, second_calls: 1 };
        let found = alarms(&causes, counts);
        let keys: std::collections::BTreeSet<&str> =
            found.iter().map(|alarm| alarm.key.as_str()).collect();
        assert_eq!((keys.len(), found.len()), (17, 17), "{found:?}");
        for alarm in &found {
            assert!(alarm.command.starts_with("ringonce "), "{alarm:?}");
            assert!(!format!("{alarm:?}").contains("Ada"), "{alarm:?}");
        }
        assert!(found.iter().any(|alarm| alarm.what == "2 calls are in doubt"));
        assert_eq!(alarms(&[], Counts::default()), []);
    }
}
