//! Tests every rule of `validate` with a table of configuration texts and problems.

use super::*;
use crate::config::file::parse;

fn problems(text: &str) -> Vec<String> {
    let config = parse("f", text).expect(text).config;
    validate(&config, &|zone| zone == "UTC").iter().map(ConfigProblem::to_string).collect()
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let found = problems(text);
    assert_eq!(found.len(), 1, "{text}: {found:?}");
    assert!(found[0].starts_with(expected), "{text}: {found:?}, expected {expected}");
}

#[test]
fn the_defaults_have_no_problem_and_no_warning() {
    assert_eq!(problems(""), Vec::<String>::new());
    assert_eq!(warnings(&Config::default()), Vec::<String>::new());
}

#[test]
fn scans_that_are_too_rare_give_a_warning() {
    for (scan, look_ahead, expected) in [
        ("* * * * *", 1, None),
        ("*/15 * * * *", 15, None),
        ("*/15 * * * *", 14, Some("schedule.scan: scans may be 15 minutes")),
        ("*/25 * * * *", 20, Some("schedule.scan: scans may be 25 minutes")),
        ("0 6 * * *", 20, Some("schedule.scan: scans may be 1440 minutes")),
        ("0 6 * * 1-5", 720, Some("schedule.scan: scans may be 4320 minutes")),
    ] {
        let text = format!("[schedule]\nscan = '{scan}'\nlook_ahead_minutes = {look_ahead}");
        let found = warnings(&parse("f", &text).expect("a configuration").config);
        let told = found.iter().find(|told| told.starts_with("schedule.scan"));
        match expected {
            None => assert_eq!(told, None, "{scan} {look_ahead}"),
            Some(start) => assert!(told.is_some_and(|told| told.starts_with(start)), "{found:?}"),
        }
    }
}

#[test]
fn every_bad_value_is_named_with_its_key() {
    check("vapi.base_url = 'http://example.com'", "vapi.base_url: \"http://example.com\" must be");
    check("vapi.timeout_secs = 0", "vapi.timeout_secs: 0 is out of range: write 1 to 300");
    check("vapi.daily_calls_per_number = 0", "vapi.daily_calls_per_number: 0");
    check("schedule.scan = '*/15 * * *'", "schedule.scan: ");
    check("schedule.scan = '0 0 30 2 *'", "schedule.scan: ");
    check("schedule.timezone = 'Eastern'", "schedule.timezone: \"Eastern\" is not an IANA zone");
    check("schedule.look_ahead_minutes = 721", "schedule.look_ahead_minutes: 721");
    check("schedule.welcome_delay_minutes = -1", "schedule.welcome_delay_minutes: -1");
    check("schedule.max_lateness_minutes = 1440", "schedule.max_lateness_minutes: 1440");
    check("schedule.grace_minutes = -1", "schedule.grace_minutes: -1");
    check("customers.eligible_payment_status = []", "customers.eligible_payment_status: is empty");
    check("customers.min_gap_hours = 24", "customers.min_gap_hours: 24");
    check("customers.min_gap_any_minutes = -5", "customers.min_gap_any_minutes: -5");
    check("customers.disable_after_failures = 0", "customers.disable_after_failures: 0");
    check("calling_window.start = '8:00'", "calling_window.start: \"8:00\" is not a time of day");
    check("calling_window.end = '25:00'", "calling_window.end: \"25:00\" is not a time of day");
    check("calling_window.end = '08:00'", "calling_window.end: 08:00 is not after the start");
    check(
        "calling_window.preset = 'x'",
        "calling_window.preset: \"x\" is unknown: write one of us",
    );
    check(
        "calling_window.preset = 'us-florda'",
        "calling_window.preset: \"us-florda\" is unknown: did you mean us-florida?",
    );
    check(
        "[calling_window]\npreset = 'uk'\nstart = '07:00'",
        "calling_window.start: cannot be combined with preset",
    );
    check("calling_window.stop_margin_minutes = -1", "calling_window.stop_margin_minutes: -1");
    check("calling_window.days.funday = 'closed'", "calling_window.days.funday: is not a weekday");
    let not_a_span = "calling_window.days.monday: \"9-17\" is not a span";
    check("calling_window.days.monday = '9-17'", not_a_span);
    check("calling_window.days.monday = '17:00-09:00'", "calling_window.days.monday: \"17:00-");
    check("dialing.workers = 0", "dialing.workers: 0 is out of range: write 1 to 64");
    check("dialing.workers = 65", "dialing.workers: 65");
    check("dialing.max_active_calls = 0", "dialing.max_active_calls: 0");
    check("dialing.calls_per_minute = 0", "dialing.calls_per_minute: 0");
    check("dialing.max_attempts = 0", "dialing.max_attempts: 0");
    check("dialing.ramp_minutes = -1", "dialing.ramp_minutes: -1");
    check("dialing.backoff_minutes = []", "dialing.backoff_minutes: is empty");
    check("dialing.backoff_minutes = [15, 0]", "dialing.backoff_minutes: 0");
    check("dialing.priority = ['weekly']", "dialing.priority: \"weekly\" is not a call type");
    check("dialing.priority = ['daily', 'daily']", "dialing.priority: \"daily\" is listed twice");
    check("caps.calls_per_number_per_day = 0", "caps.calls_per_number_per_day: 0");
    check("caps.period_days = 0", "caps.period_days: 0");
    check("breaker.failure_share = 0.0", "breaker.failure_share: 0 is not a share");
    check("breaker.failure_share = nan", "breaker.failure_share: NaN is not a share");
    check("breaker.sample = 0", "breaker.sample: 0");
    check("breaker.probe_after_minutes = 0", "breaker.probe_after_minutes: 0");
    check("retry.busy.daily.times = 11", "retry.busy.daily.times: 11");
    check("retry.busy.welcome.times = 1", "retry.busy.welcome.after_minutes: 0");
    check("retry.no_answer.daily.until = '8pm'", "retry.no_answer.daily.until: \"8pm\"");
    check("holidays.blackout_dates = ['2026-02-30']", "holidays.blackout_dates: \"2026-02-30\"");
    check("follow.requests_per_minute = 0", "follow.requests_per_minute: 0");
    check("follow.alarm_minutes = 0", "follow.alarm_minutes: 0");
    check("follow.line_minutes = 0", "follow.line_minutes: 0");
    check("reconcile.settle_minutes = 0", "reconcile.settle_minutes: 0");
    check("reconcile.poll_seconds = 0", "reconcile.poll_seconds: 0");
    check("reconcile.retention_days = 0", "reconcile.retention_days: 0");
    check("web.listen = '8787'", "web.listen: \"8787\" must be ADDRESS:PORT");
    check("web.ping_url = 'example.com'", "web.ping_url: is not a URL");
}

#[test]
fn all_problems_are_found_at_once() {
    let found = problems("[dialing]\nworkers = 0\nmax_attempts = 0\n[web]\nlisten = 'x'\n");
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn weekdays_take_several_spans_or_closed() {
    let text = "[calling_window.days]\nsunday = 'closed'\nmonday = '09:00-12:00, 13:00-17:00'\n";
    assert_eq!(problems(text), Vec::<String>::new());
}

#[test]
fn risky_values_are_allowed_with_a_warning() {
    for (text, expected) in [
        ("dialing.max_active_calls = 11", "dialing.max_active_calls: 11 is above"),
        ("retry.answered.daily = { after_minutes = 60, times = 1 }", "retry.answered: calls"),
        ("web.listen = '0.0.0.0:8787'", "web.listen: 0.0.0.0:8787 is open"),
        ("reconcile.settle_minutes = 1", "reconcile.settle_minutes: 1 is short"),
    ] {
        assert_eq!(problems(text), Vec::<String>::new(), "{text}");
        let found = warnings(&parse("f", text).unwrap().config);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:?}");
    }
    assert_eq!(warnings(&parse("f", "dialing.max_active_calls = 10").unwrap().config).len(), 0);
}

#[test]
fn a_dial_needs_a_number_and_an_assistant_for_each_type() {
    let keys = |text: &str| -> Vec<String> {
        let config = parse("f", text).unwrap().config;
        missing_for_dialing(&config).into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(keys(""), ["vapi.phone_number_id", "vapi.assistant_id"]);
    assert_eq!(keys("[vapi]\nphone_number_ids = ['n']\nassistant_id = 'a'"), [""; 0]);
    let each = "[vapi]\nphone_number_ids = ['n']\nwelcome_assistant_id = 'w'\n";
    assert_eq!(keys(each), ["vapi.assistant_id"]);
    assert_eq!(keys(&format!("{each}daily_assistant_id = 'd'")), [""; 0]);
    assert_eq!(
        keys("[vapi]\nphone_number_ids = ['…']\nassistant_id = 'a'"),
        ["vapi.phone_number_ids"]
    );
}

#[test]
fn settings_that_can_never_work_give_a_warning() {
    for (text, expected) in [
        (
            "do_not_call.ended_reasons = ['custmer-ended-call']",
            "do_not_call.ended_reasons: \"custmer-ended-call\" is not a known ended reason: did \
             you mean customer-ended-call?",
        ),
        ("breaker.failure_share = 1.0", "breaker.failure_share: no share is above 1, so failures"),
    ] {
        let found = warnings(&parse("f", text).expect(text).config);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:?}");
    }
    let known = "do_not_call.ended_reasons = ['vonage-disconnected']";
    assert_eq!(warnings(&parse("f", known).expect(known).config), Vec::<String>::new());
    let empty = "vapi.phone_number_id = 'n'\nvapi.phone_number_ids = ['n', '']";
    let config = parse("f", empty).expect(empty).config;
    assert_eq!(missing_for_dialing(&config)[0].key, "vapi.phone_number_ids");
}
