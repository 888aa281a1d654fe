//! What a cron expression means, and which ones are refused.

use super::*;

fn next(text: &str, after: &str) -> String {
    let after = NaiveDateTime::parse_from_str(after, "%Y-%m-%d %H:%M:%S%.f").expect("a time");
    let cron = Cron::parse(text).unwrap_or_else(|e| panic!("{e}"));
    cron.next_local_after(after).map(|at| at.to_string()).unwrap_or_default()
}

#[test]
fn unix_cron_is_read_as_unix_reads_it() {
    // 2026-11-22 is a Sunday.
    for (text, expected) in [
        ("0 9 * * 1", "2026-11-23 09:00:00"),
        ("0 9 * * 1-5", "2026-11-23 09:00:00"),
        ("0 9 * * 0", "2026-11-29 09:00:00"),
        ("0 9 * * 7", "2026-11-29 09:00:00"),
        ("0 9 * * Fri-Sun", "2026-11-27 09:00:00"),
        ("0 9 * * 5-7", "2026-11-27 09:00:00"),
        ("0 9 * * sunday-TUE", "2026-11-23 09:00:00"),
        ("*/15 * * * *", "2026-11-22 12:15:00"),
        ("5-59/15 * * * *", "2026-11-22 12:05:00"),
        ("0 0 13 * 5", "2026-11-27 00:00:00"),
        ("0 0 13 * *", "2026-12-13 00:00:00"),
        ("0 0 */2 * 1", "2026-11-23 00:00:00"),
        ("0 0 31 2 1", "2027-02-01 00:00:00"),
        ("0 0 29 feb *", "2028-02-29 00:00:00"),
        ("  00 07,19\t*  Jan,DECEMBER * ", "2026-12-01 07:00:00"),
        ("@HOURLY", "2026-11-22 13:00:00"),
        ("@Daily", "2026-11-23 00:00:00"),
        ("@midnight", "2026-11-23 00:00:00"),
        ("@weekly", "2026-11-29 00:00:00"),
        ("@monthly", "2026-12-01 00:00:00"),
        ("@yearly", "2027-01-01 00:00:00"),
        ("@annually", "2027-01-01 00:00:00"),
    ] {
        assert_eq!(next(text, "2026-11-22 12:00:00"), expected, "{text}");
    }
}

#[test]
fn the_next_time_is_strictly_later_also_within_a_second() {
    assert_eq!(next("0 9 * * *", "2026-11-22 08:59:59.5"), "2026-11-22 09:00:00");
    assert_eq!(next("0 9 * * *", "2026-11-22 09:00:00"), "2026-11-23 09:00:00");
    assert_eq!(next("0 9 * * *", "2026-11-22 09:00:00.5"), "2026-11-23 09:00:00");
    assert_eq!(next("0 9 * * *", "2100-12-31 09:00:00"), "");
    assert_eq!(next("0 9 * * *", "9999-12-31 09:00:00"), "");
}

#[test]
fn the_longest_pause_counts_also_after_many_firings_and_across_a_year() {
    for (text, minutes) in [
        ("* * * * *", 1),
        ("*/15 * * * *", 15),
        ("0 9,12 * * *", 21 * 60),
        ("30 8 * * 1-5", 3 * 24 * 60),
        ("* 8-17 * * 1-5", 62 * 60 + 1),
        // From the last minute of April to the first of the next, over 29 February.
        ("* * * 4 *", 336 * 24 * 60 + 1),
        ("0 0 29 2 *", 1461 * 24 * 60),
    ] {
        let cron = Cron::parse(text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(cron.longest_pause(), Duration::minutes(minutes), "{text}");
    }
}

#[test]
fn a_bad_expression_is_refused_in_one_line_that_names_the_field() {
    for (text, field) in [
        ("60 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("*/90 * * * *", "minute"),
        ("5/15 * * * *", "minute"),
        ("1-5, * * * *", "minute"),
        ("+5 * * * *", "minute"),
        ("1--5 * * * *", "minute"),
        ("*/2/3 * * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 22-2 * * *", "hour"),
        ("0 9 0 * *", "day-of-month"),
        ("0 9 L * *", "day-of-month"),
        ("0 9 ? * *", "day-of-month"),
        ("0 0 31 2 *", "day-of-month"),
        ("0 0 30-31 2 *", "day-of-month"),
        ("0 0 31 4,6,9,11 *", "day-of-month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * 01aug *", "month"),
        ("0 0 * jann *", "month"),
        ("0 0 * * 8", "day-of-week"),
        ("0 0 * * SAT-MON", "day-of-week"),
        ("0 0 * * 1#2", "day-of-week"),
        ("0 0 * * ٣", "day-of-week"),
        ("", "cron expression"),
        ("0 9 * *", "cron expression"),
        ("0 9***", "cron expression"),
        ("0 0 9 * * *", "cron expression"),
        ("@reboot", "cron expression"),
        ("@", "cron expression"),
    ] {
        let error = Cron::parse(text).expect_err(text);
        assert_eq!(error.field, field, "{text}");
        let line = error.to_string();
        assert!(line.starts_with(field) && line.lines().count() == 1, "{line}");
    }
    let error = Cron::parse("0 9 * * 1,moon").expect_err("no weekday");
    let line = r#"day-of-week "1,moon": "moon" is not a number from 0 to 7, or a name"#;
    assert_eq!(error.to_string(), line);
}

#[test]
fn no_text_makes_the_reader_panic() {
    let signs = ['*', '/', '-', ',', '0', '7', '9', ' ', 's', 'é', '@', '\n', '\u{0}'];
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..state % 19 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push(signs[(state >> 33) as usize % signs.len()]);
        }
        state = state.wrapping_add(1_442_695_040_888_963_407);
        if let Err(error) = Cron::parse(&text) {
            assert_eq!(error.to_string().lines().count(), 1, "{text:?}");
        }
    }
}
