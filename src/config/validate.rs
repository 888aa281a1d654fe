//! Checks the values of a configuration. It returns every problem, so that one run of `check` names
//! them all.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use chrono::{NaiveDate, NaiveTime};

use crate::config::address::{BaseUrl, listens_on_loopback};
use crate::config::assistants::{self, is_id};
use crate::config::base_path;
use crate::config::error::ConfigProblem;
use crate::config::retry::RetryTimes;
use crate::config::settings::{Config, WindowSettings};
use crate::domain::calendar::cron::Cron;
use crate::domain::call::{CallType, Disposition};
use crate::domain::customer::columns::nearest;
use crate::domain::disposition::{disposition, nearest_ended_reason};

/// The values that `calling_window.preset` may have.
pub const WINDOW_PRESETS: &[&str] = &["us-federal", "us-florida", "uk", "ca", "au", "fr"];

/// The keys that `calling_window.days` may have, in the order of the week.
pub const WEEKDAYS: &[&str] =
    &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Concurrent calls that a new account at the provider may have.
pub const USUAL_LINE_LIMIT: usize = 10;

/// In minutes. With a shorter settle time the promise about calls in doubt does not hold.
const SETTLE_MINUTES: i64 = 15;

const DAY_MINUTES: i64 = 24 * 60;

/// Every problem of the values. `known_zone` checks whether a zone name can be loaded.
pub fn validate(config: &Config, known_zone: &dyn Fn(&str) -> bool) -> Vec<ConfigProblem> {
    let mut judge = Judge { problems: Vec::new() };
    provider(&mut judge, config);
    schedule(&mut judge, config, known_zone);
    customers(&mut judge, config);
    window(&mut judge, config);
    dialing(&mut judge, config);
    limits(&mut judge, config);
    retries(&mut judge, config);
    rest(&mut judge, config);
    judge.problems.extend(assistants::problems(&config.assistants));
    judge.problems.extend(config.backup.problems());
    judge.problems.extend(crate::config::only_numbers::problems(&config.dialing));
    judge.problems.extend(config.results.problems());
    judge.problems.extend(config.webhook.problems());
    if let Some(what) = base_path::problem(&config.web) {
        judge.problem("web.base_path", what);
    }
    judge.problems.extend(config.events.problems());
    judge.problems.extend(config.alerts.problems());
    judge.problems
}

/// Missing or wrong ids of the provider. They stop only a dial; reading commands work without them.
pub fn missing_for_dialing(config: &Config) -> Vec<ConfigProblem> {
    let mut judge = Judge { problems: Vec::new() };
    let vapi = &config.vapi;
    let is_id = |id: &String| is_id(id);
    let advice = "copy the id from the provider's dashboard";

    if vapi.phone_number_ids.is_empty() {
        judge.problem("vapi.phone_number_id", format!("is not set: {advice}"));
    }
    for id in vapi.phone_number_ids.iter().filter(|id| !is_id(id)) {
        let is_the_one = vapi.phone_number_id.as_ref() == Some(id);
        let key = if is_the_one { "vapi.phone_number_id" } else { "vapi.phone_number_ids" };
        judge.problem(key, format!("{id:?} is not an id: {advice}"));
    }
    let assistants = [
        ("vapi.welcome_assistant_id", &vapi.welcome_assistant_id),
        ("vapi.daily_assistant_id", &vapi.daily_assistant_id),
        ("vapi.assistant_id", &vapi.assistant_id),
    ];
    for (key, id) in assistants {
        if let Some(id) = id.as_ref().filter(|id| !is_id(id)) {
            judge.problem(key, format!("{id:?} is not an id: {advice}"));
        }
    }
    let covered = vapi.welcome_assistant_id.is_some() && vapi.daily_assistant_id.is_some();
    if vapi.assistant_id.is_none() && !covered {
        judge.problem("vapi.assistant_id", format!("is not set: {advice}"));
    }
    judge.problems
}

/// Warnings about values that are allowed but risky.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let lines = config.dialing.max_active_calls;
    if USUAL_LINE_LIMIT < lines {
        warnings.push(format!(
            "dialing.max_active_calls: {lines} is above the {USUAL_LINE_LIMIT} concurrent calls \
             of a new account: make sure that yours allows them"
        ));
    }
    if config.reconcile.settle_minutes < SETTLE_MINUTES {
        warnings.push(format!(
            "reconcile.settle_minutes: {} is short: absence counts as proven only after \
             {SETTLE_MINUTES} minutes",
            config.reconcile.settle_minutes
        ));
    }
    let pause = Cron::parse(&config.schedule.scan).map_or(0, |c| c.longest_pause().num_minutes());
    let seen_ahead = config.schedule.look_ahead_minutes;
    if seen_ahead < pause {
        warnings.push(format!(
            "schedule.scan: scans may be {pause} minutes apart, but one looks only {seen_ahead} \
             ahead, so calls are late or missed: raise schedule.look_ahead_minutes"
        ));
    }
    let retry = &config.retry;
    let risky =
        [("answered", &retry.answered), ("failed", &retry.failed), ("unknown", &retry.unknown)];
    for (name, rules) in risky {
        if [&rules.daily, &rules.welcome, &rules.extra].iter().any(|rule| rule.times > 0) {
            warnings.push(format!("retry.{name}: calls people again who may have been reached"));
        }
    }
    if config.breaker.failure_share == 1.0 {
        warnings.push(
            "breaker.failure_share: no share is above 1, so failures alone never open it"
                .to_string(),
        );
    }
    let is_unknown = |reason: &&String| disposition(Some(reason)) == Disposition::Unknown;
    for reason in config.do_not_call.ended_reasons.iter().filter(is_unknown) {
        let hint = match nearest_ended_reason(reason) {
            Some(near) => format!("did you mean {near}?"),
            None => "it adds a number only if the provider sends exactly this text".to_string(),
        };
        let what = "is not a known ended reason";
        warnings.push(format!("do_not_call.ended_reasons: {reason:?} {what}: {hint}"));
    }
    if let Some(listen) = &config.web.listen
        && listens_on_loopback(listen) == Ok(false)
    {
        warnings.push(format!(
            "web.listen: {listen} is open to the network without TLS: listen on 127.0.0.1 and put \
             a reverse proxy in front"
        ));
    }
    warnings
}

struct Judge {
    problems: Vec<ConfigProblem>,
}

impl Judge {
    fn problem(&mut self, key: &str, what: impl Into<String>) {
        self.problems.push(ConfigProblem { key: key.to_string(), what: what.into() });
    }

    fn range(&mut self, key: &str, value: impl TryInto<i64>, allowed: RangeInclusive<i64>) {
        let value = value.try_into().unwrap_or(i64::MAX);
        if !allowed.contains(&value) {
            let (low, high) = (allowed.start(), allowed.end());
            self.problem(key, format!("{value} is out of range: write {low} to {high}"));
        }
    }

    /// Reads a time of day; notes a problem when it cannot.
    fn time(&mut self, key: &str, text: &str) -> Option<NaiveTime> {
        let time = time_of_day(text);
        if time.is_none() {
            self.problem(key, format!("{text:?} is not a time of day: write 00:00 to 23:59"));
        }
        time
    }
}

/// `HH:MM` with two digits each.
fn time_of_day(text: &str) -> Option<NaiveTime> {
    if text.len() != 5 {
        return None;
    }
    NaiveTime::parse_from_str(text, "%H:%M").ok()
}

fn provider(judge: &mut Judge, config: &Config) {
    if let Err(what) = BaseUrl::parse(&config.vapi.base_url) {
        judge.problem("vapi.base_url", format!("{:?} {what}", config.vapi.base_url));
    }
    judge.range("vapi.timeout_secs", config.vapi.timeout_secs, 1..=300);
    if let Some(cap) = config.vapi.daily_calls_per_number {
        judge.range("vapi.daily_calls_per_number", cap, 1..=1_000_000);
    }
}

fn schedule(judge: &mut Judge, config: &Config, known_zone: &dyn Fn(&str) -> bool) {
    let schedule = &config.schedule;
    if let Err(error) = Cron::parse(&schedule.scan) {
        judge.problem("schedule.scan", error.to_string());
    }
    if !known_zone(&schedule.timezone) {
        judge.problem(
            "schedule.timezone",
            format!("{:?} is not an IANA zone: write UTC or Area/City", schedule.timezone),
        );
    }
    judge.range("schedule.look_ahead_minutes", schedule.look_ahead_minutes, 0..=720);
    judge.range("schedule.welcome_delay_minutes", schedule.welcome_delay_minutes, 0..=10_080);
    judge.range("schedule.max_lateness_minutes", schedule.max_lateness_minutes, 1..=1_439);
    judge.range("schedule.grace_minutes", schedule.grace_minutes, 0..=1_439);
}

fn customers(judge: &mut Judge, config: &Config) {
    let customers = &config.customers;
    if customers.eligible_payment_status.iter().all(|status| status.trim().is_empty()) {
        judge.problem(
            "customers.eligible_payment_status",
            "is empty, so nobody would be called: write [\"Paid\"]",
        );
    }
    judge.range("customers.min_gap_hours", customers.min_gap_hours, 0..=23);
    judge.range("customers.min_gap_any_minutes", customers.min_gap_any_minutes, 0..=DAY_MINUTES);
    judge.range("customers.disable_after_failures", customers.disable_after_failures, 1..=1_000);
}

fn window(judge: &mut Judge, config: &Config) {
    let window = &config.calling_window;
    let start = judge.time("calling_window.start", &window.start);
    let end = judge.time("calling_window.end", &window.end);
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        judge.problem(
            "calling_window.end",
            format!("{} is not after the start {}", window.end, window.start),
        );
    }
    if let Some(preset) = &window.preset
        && !WINDOW_PRESETS.contains(&preset.as_str())
    {
        let what = format!("{preset:?} is unknown: {}", one_of(preset, WINDOW_PRESETS));
        judge.problem("calling_window.preset", what);
    }
    let usual = WindowSettings::default();
    for (key, hours, usual) in
        [("start", &window.start, usual.start), ("end", &window.end, usual.end)]
    {
        if window.preset.is_some() && *hours != usual {
            let key = format!("calling_window.{key}");
            judge.problem(&key, "cannot be combined with preset: remove one of them");
        }
    }
    judge.range("calling_window.stop_margin_minutes", window.stop_margin_minutes, 0..=720);
    for (day, hours) in &window.days {
        let key = format!("calling_window.days.{day}");
        if !WEEKDAYS.contains(&day.as_str()) {
            judge.problem(&key, format!("is not a weekday: {}", one_of(day, WEEKDAYS)));
        } else if hours != "closed" && !hours.split(',').all(is_span) {
            judge.problem(
                &key,
                format!("{hours:?} is not a span of hours: write \"09:00-17:00\" or \"closed\""),
            );
        }
    }
}

/// The advice on a wrong word: the nearest known word, or all of them.
fn one_of(text: &str, words: &[&str]) -> String {
    match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("write one of {}", words.join(", ")),
    }
}

/// Whether the text is like `09:00-17:00`, with the start before the end.
fn is_span(text: &str) -> bool {
    let Some((start, end)) = text.split_once('-') else { return false };
    match (time_of_day(start.trim()), time_of_day(end.trim())) {
        (Some(start), Some(end)) => start < end,
        _ => false,
    }
}

fn dialing(judge: &mut Judge, config: &Config) {
    let dialing = &config.dialing;
    judge.range("dialing.workers", dialing.workers, 1..=64);
    judge.range("dialing.max_active_calls", dialing.max_active_calls, 1..=10_000);
    judge.range("dialing.calls_per_minute", dialing.calls_per_minute, 1..=100_000);
    judge.range("dialing.max_attempts", dialing.max_attempts, 1..=10);
    judge.range("dialing.ramp_minutes", dialing.ramp_minutes, 0..=DAY_MINUTES);
    if dialing.backoff_minutes.is_empty() {
        judge.problem("dialing.backoff_minutes", "is empty: write [15, 30, 45]");
    }
    for minutes in &dialing.backoff_minutes {
        judge.range("dialing.backoff_minutes", *minutes, 1..=DAY_MINUTES);
    }
    let types: Vec<&str> = CallType::ALL.iter().map(|call_type| call_type.as_str()).collect();
    let mut seen = BTreeSet::new();
    for name in &dialing.priority {
        if !types.contains(&name.as_str()) {
            let what = format!("{name:?} is not a call type: {}", one_of(name, &types));
            judge.problem("dialing.priority", what);
        } else if !seen.insert(name) {
            judge.problem("dialing.priority", format!("{name:?} is listed twice"));
        }
    }
}

fn limits(judge: &mut Judge, config: &Config) {
    let caps = &config.caps;
    for (key, cap) in [
        ("caps.calls_per_number_per_day", caps.calls_per_number_per_day),
        ("caps.calls_per_number_per_period", caps.calls_per_number_per_period),
        ("caps.extra_calls_per_day", caps.extra_calls_per_day),
    ] {
        if let Some(cap) = cap {
            judge.range(key, cap, 1..=1_000_000);
        }
    }
    if let Some(days) = caps.period_days {
        judge.range("caps.period_days", days, 1..=366);
    }
    let breaker = &config.breaker;
    if !(0.0 < breaker.failure_share && breaker.failure_share <= 1.0) {
        judge.problem(
            "breaker.failure_share",
            format!("{} is not a share: write a number above 0, at most 1", breaker.failure_share),
        );
    }
    judge.range("breaker.sample", breaker.sample, 1..=10_000);
    judge.range("breaker.probe_after_minutes", breaker.probe_after_minutes, 1..=DAY_MINUTES);
}

fn retries(judge: &mut Judge, config: &Config) {
    let retry = &config.retry;
    let by_disposition = [
        ("no_answer", &retry.no_answer),
        ("busy", &retry.busy),
        ("voicemail", &retry.voicemail),
        ("answered", &retry.answered),
        ("bad_number", &retry.bad_number),
        ("never_dialed", &retry.never_dialed),
        ("failed", &retry.failed),
        ("unknown", &retry.unknown),
    ];
    for (disposition, rules) in by_disposition {
        for (call_type, rule) in
            [("daily", &rules.daily), ("welcome", &rules.welcome), ("extra", &rules.extra)]
        {
            retry_rule(judge, &format!("retry.{disposition}.{call_type}"), rule);
        }
    }
}

fn retry_rule(judge: &mut Judge, key: &str, rule: &RetryTimes) {
    judge.range(&format!("{key}.times"), rule.times, 0..=10);
    if rule.times > 0 {
        judge.range(&format!("{key}.after_minutes"), rule.after_minutes, 1..=DAY_MINUTES);
    }
    if let Some(until) = &rule.until {
        judge.time(&format!("{key}.until"), until);
    }
}

fn rest(judge: &mut Judge, config: &Config) {
    for date in &config.holidays.blackout_dates {
        if date.len() != 10 || NaiveDate::parse_from_str(date, "%Y-%m-%d").is_err() {
            judge.problem(
                "holidays.blackout_dates",
                format!("{date:?} is not a date: write it as 2026-12-25"),
            );
        }
    }
    judge.range("follow.requests_per_minute", config.follow.requests_per_minute, 1..=10_000);
    judge.range("follow.alarm_minutes", config.follow.alarm_minutes, 1..=DAY_MINUTES);
    judge.range("follow.line_minutes", config.follow.line_minutes, 1..=DAY_MINUTES);
    judge.range("reconcile.settle_minutes", config.reconcile.settle_minutes, 1..=DAY_MINUTES);
    judge.range("reconcile.poll_seconds", config.reconcile.poll_seconds, 1..=3_600);
    judge.range("reconcile.retention_days", config.reconcile.retention_days, 1..=365);
    if let Some(listen) = &config.web.listen
        && let Err(what) = listens_on_loopback(listen)
    {
        judge.problem("web.listen", format!("{listen:?} {what}"));
    }
    if let Some(url) = &config.web.ping_url
        && !url.starts_with("https://")
        && !url.starts_with("http://")
    {
        judge.problem("web.ping_url", "is not a URL: write https://…");
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
