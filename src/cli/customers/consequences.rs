//! Prints whom an import leads to call, when, and whom not.

use crate::domain::customer::columns::shown;
use crate::domain::{Instant, instant_text, instant_words};
use crate::present::csv;
use crate::present::output::{self, Table, Tone, clean, toned};
use crate::steps::customers::census::{Census, by_count};
use crate::steps::import::consequences::Consequences;
use crate::steps::import::consequences::outcome::{RowOutcome, Tally};
use crate::steps::import::options::Outlook;
use crate::steps::readiness::health::words::unknown_numbers;
use crate::zones::Zones;

/// At most this many statuses and countries have a row of the table.
const GROUPS_SHOWN: usize = 12;

/// Prints a table of who is called, and one line for each consequence that the file has.
pub fn print(found: &Consequences, outlook: &Outlook) -> anyhow::Result<()> {
    table(found).print()?;
    for line in lines(found, outlook) {
        output::line(&line)?;
    }
    Ok(())
}

fn table(found: &Consequences) -> Table {
    let header = ["WHO", "CUSTOMERS", "WELCOME CALL", "DAILY CALLS", "NOT CALLED"];
    let mut table = Table::new(&header);
    for column in 1..header.len() {
        table = table.align_right(column);
    }
    let mut row = |who: String, tally: &Tally| {
        let counts = [tally.customers, tally.welcome, tally.daily, tally.not_called];
        table.row(std::iter::once(who).chain(counts.map(|count| count.to_string())));
    };
    row("everybody".to_string(), &found.all);
    for (kind, groups) in [("status", &found.by_status), ("country", &found.by_country)] {
        let mut groups: Vec<(&String, &Tally)> = groups.iter().collect();
        groups.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.customers));
        for (name, tally) in groups.iter().take(GROUPS_SHOWN) {
            row(format!("{kind} {}", clean(&shown(name))), tally);
        }
        let mut others = Tally::default();
        for (_, tally) in groups.iter().skip(GROUPS_SHOWN) {
            others.customers += tally.customers;
            others.welcome += tally.welcome;
            others.daily += tally.daily;
            others.not_called += tally.not_called;
        }
        if others.customers > 0 {
            row(format!("other {kind}"), &others);
        }
    }
    for (hour, count) in &found.daily_by_hour {
        row(
            format!("daily at {hour}"),
            &Tally { customers: *count, daily: *count, ..Tally::default() },
        );
    }
    for (why, count) in &found.not_called {
        let tally = Tally { customers: *count, not_called: *count, ..Tally::default() };
        row(format!("not called: {why}"), &tally);
    }
    table
}

/// The header of the table of rows.
pub const ROW_COLUMNS: [&str; 10] = [
    "line",
    "customer",
    "change",
    "payment_status",
    "country",
    "timezone",
    "welcome_call",
    "daily_call",
    "not_called",
    "same_phone",
];

/// One row of a file with what it leads to, as a line of CSV.
pub fn row_line(row: &RowOutcome, zones: &Zones) -> String {
    let local = |at: Instant| match zones.get(&row.timezone) {
        Some(zone) => output::local_time(at, &zone),
        None => instant_text(at),
    };
    let daily = row.outcome.daily.map(|time| match time {
        Some(time) => time.format("%H:%M").to_string(),
        None => "by schedule".to_string(),
    });
    let same = row.same_phone.as_ref().map(|(customers, line)| {
        let customers = customers.iter().map(|id| format!("customer {id}"));
        let words: Vec<String> = customers.chain(line.map(|line| format!("line {line}"))).collect();
        words.join("; ")
    });
    csv::line([
        row.line.to_string(),
        csv::cell(&row.who),
        row.change.to_string(),
        csv::cell(&row.payment_status),
        row.country.clone().unwrap_or_default(),
        row.timezone.clone(),
        row.outcome.welcome.map(local).unwrap_or_default(),
        daily.unwrap_or_default(),
        row.outcome.not_called.unwrap_or_default().to_string(),
        same.unwrap_or_default(),
    ])
}

/// Prints only what a person should hear again, although the file brought nothing new.
pub fn print_lasting(found: &Consequences, outlook: &Outlook) -> anyhow::Result<()> {
    for line in recomputed(found).into_iter().chain(warnings(found, outlook)) {
        output::line(&line)?;
    }
    Ok(())
}

/// Next calls that the file names wrongly.
fn recomputed(found: &Consequences) -> Option<String> {
    let count = found.next_call_recomputed;
    let line =
        format!("next call computed again, because it disagreed with the call time: {count}");
    (count > 0).then_some(line)
}

fn warnings(found: &Consequences, outlook: &Outlook) -> Vec<String> {
    let census = census(found, outlook);
    let calls = found.unknown_numbers;
    let unknown = (calls > 0).then(|| unknown_numbers(calls));
    let warnings = [unknown, census.few_eligible(), census.odd_times()].into_iter().flatten();
    warnings.map(|why| toned(Tone::Warn, &format!("warning: {why}"))).collect()
}

fn lines(found: &Consequences, outlook: &Outlook) -> Vec<String> {
    let mut lines = vec![welcome(found), daily(found)];
    add(
        &mut lines,
        found.welcome_marked,
        format!("welcome call counts as made: {} (--no-welcome)", found.welcome_marked),
    );
    add(
        &mut lines,
        found.not_eligible.values().sum(),
        format!("not called because of their payment status: {}", counted(&found.not_eligible)),
    );
    add(
        &mut lines,
        found.without_call_time,
        format!("no daily calls, because no call time is set: {}", found.without_call_time),
    );
    add(
        &mut lines,
        found.daily_calls_end,
        toned(
            Tone::Warn,
            &format!("daily calls end for known customers: {}", found.daily_calls_end),
        ),
    );
    lines.extend(recomputed(found));
    add(
        &mut lines,
        found.known_numbers,
        format!("numbers that a known customer also has: {}", found.known_numbers),
    );
    add(
        &mut lines,
        found.countries.values().sum(),
        format!("countries: {}", counted(&found.countries)),
    );
    lines.extend(warnings(found, outlook));
    lines
}

fn add(lines: &mut Vec<String>, count: u64, what: String) {
    if count > 0 {
        lines.push(what);
    }
}

fn welcome(found: &Consequences) -> String {
    let mut line = format!("welcome calls: {}", found.welcome_calls);
    if let (Some(from), Some(until)) = (&found.welcome_from, &found.welcome_until) {
        line += &format!(", from {} until about {}", instant_words(from), instant_words(until));
    }
    if found.old_welcome_calls > 0 {
        line += &format!("; {} signed up more than a day ago", found.old_welcome_calls);
    }
    if found.without_created_at > 0 {
        line += &format!("; {} have no created_at and count as new", found.without_created_at);
    }
    line
}

/// `daily calls: 3; by local hour: 07:00 2, 08:00 1`
fn daily(found: &Consequences) -> String {
    let hours: Vec<String> =
        found.daily_by_hour.iter().map(|(hour, count)| format!("{hour} {count}")).collect();
    match hours.is_empty() {
        true => "daily calls: 0".to_string(),
        false => format!("daily calls: {}; by local hour: {}", found.daily_calls, hours.join(", ")),
    }
}

/// `2 "active", 1 "trialing"`
fn counted(counts: &std::collections::BTreeMap<String, u64>) -> String {
    let counts = by_count(counts.iter().map(|(word, count)| (word.clone(), signed(*count))));
    let words: Vec<String> =
        counts.iter().map(|c| format!("{} \"{}\"", c.count, clean(&shown(&c.word)))).collect();
    words.join(", ")
}

fn census(found: &Consequences, outlook: &Outlook) -> Census {
    let counts = found.not_eligible.iter().map(|(word, count)| (word.clone(), signed(*count)));
    Census {
        known: signed(found.customers),
        eligible: signed(found.eligible),
        not_eligible: by_count(counts),
        at_midnight: signed(found.at_midnight),
        outside_window: signed(found.outside_window),
        eligible_statuses: outlook.rules.eligible_payment_status.clone(),
        is_strict: outlook.rules.strict,
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
