//! Random cron expressions, generated with their meaning, against a plain walk in time.

use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use ringonce::domain::calendar::cron::Cron;

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).expect("a date")
}

/// A small generator with a fixed seed, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, most: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) as u32 % (most + 1)
    }
}

/// The text of one field, and the numbers that it means.
fn field(dice: &mut Dice, min: u32, max: u32, names: &[&str]) -> (String, Vec<u32>) {
    let span = max - min;
    if dice.up_to(2) == 0 {
        return ("*".to_string(), (min..=max).collect());
    }
    let (mut texts, mut numbers) = (Vec::new(), Vec::new());
    for _ in 0..=dice.up_to(2) {
        let low = min + dice.up_to(span);
        let high = low + dice.up_to(max - low);
        let step = 1 + dice.up_to(span.min(9));
        let named = |n: u32| match names.get((n - min) as usize) {
            Some(name) if n.is_multiple_of(2) => name.to_string(),
            _ => n.to_string(),
        };
        let (text, from, to, by) = match dice.up_to(4) {
            0 => (format!("*/{step}"), min, max, step),
            1 => (format!("{}-{}", named(low), named(high)), low, high, 1),
            2 => (format!("{}-{}/{step}", named(low), named(high)), low, high, step),
            _ => (named(low), low, low, 1),
        };
        texts.push(text);
        numbers.extend((from..=to).step_by(by as usize));
    }
    (texts.join(","), numbers)
}

#[test]
fn cron_agrees_with_a_walk_over_dates_and_minutes() {
    let mut dice = Dice(2026);
    let months =
        ["jan", "FEB", "mar", "apr", "May", "jun", "jul", "aug", "sep", "oct", "nov", "Dec"];
    let week = ["sun", "Mon", "tue", "WED", "thu", "fri", "sat"];
    let (mut compared, mut never) = (0, 0);
    for _ in 0..600 {
        let (minute, minutes) = field(&mut dice, 0, 59, &[]);
        let (hour, hours) = field(&mut dice, 0, 23, &[]);
        let (dom, days) = field(&mut dice, 1, 31, &[]);
        let (month, in_months) = field(&mut dice, 1, 12, &months);
        let (dow, weekdays) = field(&mut dice, 0, 6, &week);
        let either = !dom.starts_with('*') && !dow.starts_with('*');
        let fires_on = |date: NaiveDate| {
            let by_date = days.contains(&date.day());
            let by_week = weekdays.contains(&date.weekday().num_days_from_sunday());
            let day = if either { by_date || by_week } else { by_date && by_week };
            day && in_months.contains(&date.month())
        };
        let fires = |at: NaiveDateTime| {
            hours.contains(&at.hour()) && minutes.contains(&at.minute()) && fires_on(at.date())
        };
        let text = format!("{minute} {hour} {dom} {month} {dow}");
        let Ok(cron) = Cron::parse(&text) else {
            never += 1;
            let all = day(2024, 1, 1).iter_days().take(28 * 366);
            assert_eq!(all.filter(|date| fires_on(*date)).count(), 0, "{text}");
            continue;
        };
        for _ in 0..4 {
            let start = day(2024, 1, 1) + Duration::days(dice.up_to(2500).into());
            let start =
                start.and_time(NaiveTime::MIN) + Duration::seconds(dice.up_to(86_399).into());
            let first = start.with_second(0).expect("a minute") + Duration::minutes(1);
            let today = (0..1440).map(|n| first + Duration::minutes(n));
            let later = (first.date().iter_days().skip(1).take(40 * 366))
                .filter(|date| fires_on(*date))
                .take(1)
                .flat_map(|date| {
                    (0..1440).map(move |n| date.and_time(NaiveTime::MIN) + Duration::minutes(n))
                });
            let today = today.filter(|at| at.date() == first.date());
            let expected = today.chain(later).find(|at| fires(*at));
            assert_eq!(cron.next_local_after(start), expected, "{text} after {start}");
            compared += 1;
        }
    }
    assert!(compared > 2_000, "{compared} compared, {never} refused");
}
