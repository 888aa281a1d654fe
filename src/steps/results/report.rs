//! The figures of a span of dates: what fell due, what was called, and what came of it. The command
//! line, the API and the page show the figures of this one function.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate};
use serde::Serialize;

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{CallType, ItemStatus, Reason};
use crate::store::Conn;
use crate::store::views::page::Span;
use crate::store::views::report::{self, ReportedOccasion};
use crate::zones::Zones;

/// The longest span of a report, in days.
pub const LONGEST: i64 = 3_660;

/// How a report is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportBy {
    Day,
    Week,
    Month,
    Type,
    Disposition,
}

impl ReportBy {
    pub const ALL: &'static [ReportBy] =
        &[ReportBy::Day, ReportBy::Week, ReportBy::Month, ReportBy::Type, ReportBy::Disposition];

    pub fn as_str(self) -> &'static str {
        match self {
            ReportBy::Day => "day",
            ReportBy::Week => "week",
            ReportBy::Month => "month",
            ReportBy::Type => "type",
            ReportBy::Disposition => "disposition",
        }
    }

    pub fn parse(word: &str) -> Option<ReportBy> {
        ReportBy::ALL.iter().copied().find(|by| by.as_str() == word)
    }
}

/// The requested span: both dates are included.
#[derive(Clone, Copy, Debug)]
pub struct ReportOf {
    pub from: NaiveDate,
    pub to: NaiveDate,
    pub by: ReportBy,
}

/// The figures of one row. `due` is the sum of called, already called, skipped, failed, in doubt
/// and waiting.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    pub due: i64,
    /// Occasions with at least one call.
    pub called: i64,
    /// Occasions in which a person answered.
    pub reached: i64,
    /// Completed without a call, because the call was made elsewhere.
    pub already_called: i64,
    /// By reason.
    pub skipped: BTreeMap<&'static str, i64>,
    pub failed: i64,
    pub in_doubt: i64,
    pub waiting: i64,
    /// Calls, with those of a retry.
    pub calls: i64,
    pub minutes: f64,
    /// Of the calls whose duration the provider reported; `None` without one.
    pub average_seconds: Option<f64>,
    /// US dollars, as the provider reported them.
    pub cost: f64,
    #[serde(skip)]
    seconds: f64,
    #[serde(skip)]
    timed: i64,
}

/// One row: a date, a week, a month, a type or a disposition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportRow {
    pub key: String,
    #[serde(flatten)]
    pub figures: Figures,
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub from: String,
    pub to: String,
    pub by: &'static str,
    pub rows: Vec<ReportRow>,
    pub total: Figures,
    /// Rows that cannot be read and are not counted. They are named with everything else that
    /// cannot be read.
    #[serde(skip)]
    pub left_out: u64,
}

/// Counts the occasions of the span. An occasion belongs to the customer's local date on which it
/// fell due, also when the call was made later. `home` counts for customers who no longer exist.
pub fn report(
    conn: &Conn,
    zones: &Zones,
    home: &Zone,
    wanted: ReportOf,
    now: Instant,
) -> anyhow::Result<Report> {
    let mut rows: BTreeMap<String, Figures> = BTreeMap::new();
    let mut total = Figures::default();
    let left_out = report::occasions(conn, span(wanted.from, wanted.to), &mut |occasion| {
        let zone = occasion.timezone.as_deref().and_then(|name| zones.get(name));
        let date = date_of(&occasion, zone.as_deref().unwrap_or(home));
        let is_open = occasion.status.is_some_and(ItemStatus::is_active);
        let is_due = !is_open || 0 < occasion.calls || occasion.scheduled_for <= now;
        if is_due && wanted.from <= date && date <= wanted.to {
            add(rows.entry(key(wanted.by, &occasion, date)).or_default(), &occasion);
            add(&mut total, &occasion);
        }
    })?;
    let finished = |(key, figures)| ReportRow { key, figures: finish(figures) };
    Ok(Report {
        from: wanted.from.to_string(),
        to: wanted.to.to_string(),
        by: wanted.by.as_str(),
        rows: rows.into_iter().map(finished).collect(),
        total: finish(total),
        left_out,
    })
}

/// Every instant that may belong to a local date of the span.
pub fn span(from: NaiveDate, to: NaiveDate) -> Span {
    let at = |date: NaiveDate| date.and_time(chrono::NaiveTime::MIN).and_utc();
    let before = from.checked_sub_days(Days::new(1)).unwrap_or(from);
    let after = to.checked_add_days(Days::new(2)).unwrap_or(to);
    Span { from: at(before), to: at(after) }
}

fn date_of(occasion: &ReportedOccasion, zone: &Zone) -> NaiveDate {
    let named = (occasion.call_type == CallType::Daily).then(|| occasion.occasion.parse().ok());
    named.flatten().unwrap_or_else(|| zone.date(occasion.scheduled_for))
}

fn key(by: ReportBy, occasion: &ReportedOccasion, date: NaiveDate) -> String {
    match by {
        ReportBy::Day => date.to_string(),
        ReportBy::Week => {
            let week = date.iso_week();
            format!("{}-W{:02}", week.year(), week.week())
        }
        ReportBy::Month => date.format("%Y-%m").to_string(),
        ReportBy::Type => occasion.call_type.as_str().to_string(),
        ReportBy::Disposition => match occasion.disposition {
            Some(disposition) => disposition.as_str().to_string(),
            None if 0 < occasion.calls => "under_way".to_string(),
            None => "not_called".to_string(),
        },
    }
}

fn add(figures: &mut Figures, occasion: &ReportedOccasion) {
    figures.due += 1;
    figures.calls += occasion.calls;
    figures.seconds += occasion.seconds;
    figures.timed += occasion.timed;
    figures.cost += occasion.cost;
    if 0 < occasion.calls {
        figures.called += 1;
        figures.reached += i64::from(occasion.reached);
        return;
    }
    if occasion.is_in_doubt {
        figures.in_doubt += 1;
        return;
    }
    match (occasion.status, occasion.reason) {
        (Some(ItemStatus::Completed), _) => figures.already_called += 1,
        (Some(ItemStatus::Skipped), reason) => {
            *figures.skipped.entry(reason.map_or("", Reason::as_str)).or_default() += 1;
        }
        (Some(ItemStatus::Failed), Some(Reason::InDoubt)) => figures.in_doubt += 1,
        (Some(ItemStatus::Failed) | None, _) => figures.failed += 1,
        _ => figures.waiting += 1,
    }
}

/// Rounds the sums: minutes to hundredths, seconds to tenths, dollars to hundredths of a cent.
fn finish(mut figures: Figures) -> Figures {
    let round = |value: f64, parts: f64| (value * parts).round() / parts;
    figures.minutes = round(figures.seconds / 60.0, 100.0);
    figures.average_seconds =
        (0 < figures.timed).then(|| round(figures.seconds / figures.timed as f64, 10.0));
    figures.cost = round(figures.cost, 10_000.0);
    figures
}
