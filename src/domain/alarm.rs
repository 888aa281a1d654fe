//! What a person is alerted to, and which message each alarm needs now.

use std::collections::BTreeMap;

use chrono::Duration;

use crate::domain::Instant;

/// A person is reminded of an alarm that lasts after this time.
const REMINDED_AFTER: Duration = Duration::hours(24);

/// Something that needs a person. Its texts hold no phone number, name or key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The same as long as the cause lasts.
    pub key: String,
    pub what: String,
    /// The next command.
    pub command: String,
    /// It often ends without a person, so no message is sent at once.
    pub lifts_itself: bool,
}

/// What a channel has sent about an alarm.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Told {
    pub since: Instant,
    /// The last message; `None`: none yet, because the alarm is too young.
    pub at: Option<Instant>,
    pub what: String,
}

/// What to do about one alarm for one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Remember since when it lasts.
    Begin,
    /// Send the first message.
    Alert,
    Remind,
    /// Send that it is over, and forget it.
    Resolve,
    /// Forget it: no message was sent.
    Forget,
}

/// What each alarm needs. One that may lift itself is reported once it has lasted for `patience`;
/// the others are reported at once.
pub fn needs(
    alarms: &[Alarm],
    told: &BTreeMap<String, Told>,
    patience: Duration,
    now: Instant,
) -> Vec<(String, Need)> {
    let mut needs = Vec::new();
    for Alarm { key, lifts_itself, .. } in alarms {
        let patience = if *lifts_itself { patience } else { Duration::zero() };
        let need = match told.get(key) {
            Some(Told { at: Some(at), .. }) if REMINDED_AFTER <= now - *at => Need::Remind,
            Some(Told { at: Some(_), .. }) => continue,
            Some(Told { at: None, since, .. }) if now - *since < patience => continue,
            None if patience > Duration::zero() => Need::Begin,
            _ => Need::Alert,
        };
        needs.push((key.clone(), need));
    }
    let is_over = |key: &String| alarms.iter().all(|alarm| alarm.key != *key);
    for (key, told) in told.iter().filter(|(key, _)| is_over(key)) {
        let need = if told.at.is_some() { Need::Resolve } else { Need::Forget };
        needs.push((key.clone(), need));
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_instant;

    #[test]
    fn an_alarm_is_told_once_reminded_daily_and_resolved_once() {
        let start = parse_instant("2026-11-22T12:00:00Z").unwrap();
        let at = |minutes: i64| start + Duration::minutes(minutes);
        let alarms = [Alarm {
            key: "breaker".to_string(),
            what: "the breaker is open".to_string(),
            command: "ringonce status".to_string(),
            lifts_itself: true,
        }];
        let firm = [Alarm { lifts_itself: false, ..alarms[0].clone() }];
        let told = |since, at| {
            let told = Told { since, at, what: String::new() };
            BTreeMap::from([("breaker".to_string(), told)])
        };
        let minute = Duration::minutes(1);
        let need = |alarms: &[Alarm], told: &BTreeMap<String, Told>, patience, now| {
            needs(alarms, told, patience, now).into_iter().map(|(_, need)| need).next()
        };
        let (here, gone, none) = (&alarms[..], &alarms[..0], BTreeMap::new());
        for (alarms, told, patience, now, expected) in [
            (here, &none, minute, start, Some(Need::Begin)),
            (here, &none, Duration::zero(), start, Some(Need::Alert)),
            (here, &told(start, None), minute, start, None),
            (here, &told(start, None), minute, at(1), Some(Need::Alert)),
            (here, &told(start, Some(at(1))), minute, at(2), None),
            (here, &told(start, Some(at(1))), minute, at(24 * 60), None),
            (here, &told(start, Some(at(1))), minute, at(24 * 60 + 1), Some(Need::Remind)),
            (gone, &told(start, Some(at(1))), minute, at(2), Some(Need::Resolve)),
            (gone, &told(start, None), minute, at(1), Some(Need::Forget)),
            (gone, &none, minute, at(2), None),
            (&firm[..], &none, minute, start, Some(Need::Alert)),
        ] {
            assert_eq!(need(alarms, told, patience, now), expected, "{told:?} {now}");
        }
    }
}
