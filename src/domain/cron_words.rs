//! A cron expression in words, for people. Decides nothing.

use crate::domain::cron::Cron;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Numbered from Monday = 1 to Sunday = 7.
const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const ALL_MINUTES: u64 = (1 << 60) - 1;
const ALL_HOURS: u64 = (1 << 24) - 1;
const ALL_DAYS: u64 = ((1 << 31) - 1) << 1;
const ALL_MONTHS: u64 = ((1 << 12) - 1) << 1;
const ALL_WEEKDAYS: u64 = (1 << 7) - 1;
/// More times a day than this are told as minutes and hours.
const MOST_TIMES: usize = 6;

impl Cron {
    /// Such as `every 15 minutes` or `on Monday to Friday at 09:00`.
    pub fn describe(&self) -> String {
        let (minutes, hours) = (numbers(self.sets[0]), numbers(self.sets[1]));
        if minutes.len() * hours.len() <= MOST_TIMES {
            let times = hours.iter().flat_map(|h| minutes.iter().map(move |m| clock(*h, *m)));
            return format!("{} at {}", self.days(), listed(times.collect()));
        }
        let mut words = minute_words(self.sets[0], &minutes);
        if self.sets[1] != ALL_HOURS {
            words += &format!(" of the hours {}", runs(&hours, |n| format!("{n:02}")));
        }
        match self.days().as_str() {
            "every day" => words,
            days => format!("{words}, {days}"),
        }
    }

    /// The same for a rhythm, which takes only the first firing of a date.
    pub fn describe_first_of_day(&self) -> String {
        let first = clock(self.sets[1].trailing_zeros(), self.sets[0].trailing_zeros());
        format!("{} at {first}", self.days())
    }

    fn days(&self) -> String {
        let [_, _, days, months, weekdays] = self.sets;
        let by_date = format!("on the {}", runs(&numbers(days), ordinal));
        // Sunday moves from the front of the week to its end.
        let week = (weekdays & !1) | (weekdays & 1) << 7;
        let by_week = runs(&numbers(week), |n| WEEKDAYS[n as usize - 1].to_string());
        let words = match (days == ALL_DAYS, weekdays == ALL_WEEKDAYS) {
            // Either field is enough, and one of them allows every day.
            (true, _) | (_, true) if self.either_day => "every day".to_string(),
            (true, true) => "every day".to_string(),
            (true, false) => format!("on {by_week}"),
            (false, true) => by_date,
            (false, false) if self.either_day => format!("{by_date} and on every {by_week}"),
            (false, false) => format!("{by_date} when it is {by_week}"),
        };
        if months == ALL_MONTHS {
            return words;
        }
        let months = runs(&numbers(months), |n| MONTHS[n as usize - 1].to_string());
        format!("{words} in {months}")
    }
}

fn minute_words(set: u64, minutes: &[u32]) -> String {
    let step = minutes.get(1).map_or(60, |second| second - minutes[0]);
    let even = minutes[0] == 0 && 60 % step == 0;
    if set == ALL_MINUTES {
        "every minute".to_string()
    } else if even && step < 60 && numbers_by(step) == minutes {
        format!("every {step} minutes")
    } else {
        format!("every hour at minute {}", runs(minutes, |n| n.to_string()))
    }
}

fn numbers_by(step: u32) -> Vec<u32> {
    (0..60).step_by(step as usize).collect()
}

fn numbers(set: u64) -> Vec<u32> {
    (0..64).filter(|n| set & 1 << n != 0).collect()
}

fn clock(hour: u32, minute: u32) -> String {
    format!("{hour:02}:{minute:02}")
}

/// `Monday to Wednesday and Friday`: three or more in a row are told by their ends.
fn runs(numbers: &[u32], name: impl Fn(u32) -> String) -> String {
    let rows = numbers.chunk_by(|a, b| a + 1 == *b);
    let words = rows.flat_map(|row| match row {
        [first, _, .., last] => vec![format!("{} to {}", name(*first), name(*last))],
        few => few.iter().map(|n| name(*n)).collect(),
    });
    listed(words.collect())
}

fn listed(mut words: Vec<String>) -> String {
    let last = words.pop().unwrap_or_default();
    match words.is_empty() {
        true => last,
        false => format!("{} and {last}", words.join(", ")),
    }
}

fn ordinal(n: u32) -> String {
    let ending = match (n % 10, n / 10) {
        (_, 1) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_told_in_words() {
        for (text, words) in [
            ("*/15 * * * *", "every 15 minutes"),
            ("* * * * *", "every minute"),
            ("@hourly", "every hour at minute 0"),
            ("5,20,40 * * * 6,0", "every hour at minute 5, 20 and 40, on Saturday and Sunday"),
            ("*/15 9-17 * * 1-5", "every 15 minutes of the hours 09 to 17, on Monday to Friday"),
            ("@daily", "every day at 00:00"),
            ("30 9,17 * * *", "every day at 09:30 and 17:30"),
            ("0 9 * * 1,3,5", "on Monday, Wednesday and Friday at 09:00"),
            ("0 9 * * fri-sun", "on Friday to Sunday at 09:00"),
            ("0 9 1,15,22,31 * *", "on the 1st, 15th, 22nd and 31st at 09:00"),
            ("0 0 13 * 5", "on the 13th and on every Friday at 00:00"),
            ("0 0 13 1-3 *", "on the 13th in January to March at 00:00"),
            ("0 0 1-31 * 5", "every day at 00:00"),
            ("@yearly", "on the 1st in January at 00:00"),
            ("0 8 */10 * 1", "on the 1st, 11th, 21st and 31st when it is Monday at 08:00"),
        ] {
            let cron = Cron::parse(text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(cron.describe(), words, "{text}");
        }
    }

    #[test]
    fn a_rhythm_is_told_by_its_first_time_of_the_day() {
        let cron = Cron::parse("30 9-17 * * 2").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(cron.describe_first_of_day(), "on Tuesday at 09:30");
    }
}
