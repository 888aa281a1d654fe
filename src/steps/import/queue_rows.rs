//! Parses an export of the old call_queue into checked rows. Every bad row has its line and column.

use std::borrow::Cow;
use std::path::Path;

use crate::domain::call::CallType;
use crate::domain::customer::columns::{nearest, plain_header, shown};
use crate::domain::{Instant, parse_instant};
use crate::steps::import::file::Unusable;
use crate::steps::import::report::RowProblem;
use crate::steps::import::sheet::cell;
use crate::steps::import::sheet::csv::{CsvRow, Next};
use crate::steps::import::sheet::{Sheet, file_name};

/// The known columns; others are ignored.
const COLUMNS: [&str; 13] = [
    "id",
    "customer_id",
    "call_type",
    "scheduled_for",
    "status",
    "attempts",
    "max_attempts",
    "error_message",
    "vapi_call_id",
    "created_at",
    "updated_at",
    "processed_at",
    "occasion",
];
/// The required columns.
const NEEDED: [&str; 4] = ["customer_id", "call_type", "scheduled_for", "status"];

/// The state of an old row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldStatus {
    Waiting,
    Retrying,
    /// It is unknown whether the phone rang.
    Processing,
    Completed,
    Failed,
    /// Skipped, cancelled or expired.
    Over,
}

/// The old status words, including ours.
const STATUSES: [(&str, OldStatus); 14] = [
    ("pending", OldStatus::Waiting),
    ("queued", OldStatus::Waiting),
    ("scheduled", OldStatus::Waiting),
    ("retrying", OldStatus::Retrying),
    ("processing", OldStatus::Processing),
    ("in_progress", OldStatus::Processing),
    ("calling", OldStatus::Processing),
    ("completed", OldStatus::Completed),
    ("failed", OldStatus::Failed),
    ("skipped", OldStatus::Over),
    ("cancelled", OldStatus::Over),
    ("canceled", OldStatus::Over),
    ("expired", OldStatus::Over),
    ("disabled", OldStatus::Over),
];

/// One row of the old queue.
#[derive(Clone, Debug, PartialEq)]
pub struct OldRow {
    pub line: u64,
    /// The old `customers.id`, our external id.
    pub customer: String,
    pub call_type: CallType,
    pub scheduled_for: Instant,
    pub status: OldStatus,
    pub attempts: i64,
    pub max_attempts: Option<i64>,
    pub error_message: Option<String>,
    pub vapi_call_id: Option<String>,
    pub created_at: Option<Instant>,
    pub processed_at: Option<Instant>,
}

/// Every row of the file, and every problem. The error: the file cannot be read as a queue at all.
pub fn read(path: &Path) -> Result<(Vec<OldRow>, Vec<RowProblem>), Unusable> {
    let name = file_name(path);
    let unusable = |why: String| Unusable(format!("{name}: {why}"));
    let mut rows = Sheet::open(path, None).and_then(|sheet| sheet.rows()).map_err(unusable)?;
    let mut header: Option<Vec<String>> = None;
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    loop {
        let row = match rows.next_row().map_err(|error| unusable(error.to_string()))? {
            Next::End => break,
            Next::Bad { line, reason } => {
                problems.push(RowProblem { line, column: None, reason: reason.to_string() });
                continue;
            }
            Next::Row(row) if row.is_blank() => continue,
            Next::Row(row) => row,
        };
        match &header {
            None => header = Some(read_header(&row).map_err(|why| unusable(why.clone()))?),
            Some(header) => match read_row(header, &row) {
                Ok(row) => found.push(row),
                Err((column, reason)) => {
                    let column = column.map(str::to_string);
                    problems.push(RowProblem { line: row.line, column, reason });
                }
            },
        }
    }
    match header {
        Some(_) => Ok((found, problems)),
        None => Err(unusable("is empty; it needs a header line".to_string())),
    }
}

fn read_header(row: &CsvRow<'_>) -> Result<Vec<String>, String> {
    let names: Vec<String> =
        (0..row.fields()).map(|i| plain_header(row.text(i).unwrap_or_default())).collect();
    for column in COLUMNS {
        if 1 < names.iter().filter(|name| *name == column).count() {
            return Err(format!("line 1: two columns are named \"{column}\""));
        }
    }
    for needed in NEEDED {
        if !names.iter().any(|name| name == needed) {
            let others = names.iter().map(String::as_str).filter(|name| !COLUMNS.contains(name));
            return Err(match nearest(needed, others) {
                Some(near) => {
                    format!("line 1: there is no column \"{needed}\": rename \"{}\"", shown(near))
                }
                None => format!("line 1: there is no column \"{needed}\""),
            });
        }
    }
    Ok(names)
}

type BadRow = (Option<&'static str>, String);

fn read_row(header: &[String], row: &CsvRow<'_>) -> Result<OldRow, BadRow> {
    if row.fields() != header.len() {
        let why = format!("has {} fields, the header has {}", row.fields(), header.len());
        return Err((None, why));
    }
    let cell = |column: &'static str| -> Result<Option<Cow<'_, str>>, BadRow> {
        let Some(at) = header.iter().position(|name| name == column) else { return Ok(None) };
        let text = row.text(at).map_err(|why| (Some(column), why.to_string()))?;
        // Postgres exports NULL as an empty cell, or as \N.
        Ok(Some(cell::value(text, true)).filter(|text| !text.is_empty()))
    };
    let needed = |column| match cell(column)? {
        Some(text) => Ok(text),
        None => Err((Some(column), "is empty".to_string())),
    };
    let instant = |column: &'static str| -> Result<Option<Instant>, BadRow> {
        cell(column)?.map(|text| read_instant(column, &text)).transpose()
    };
    let count = |column: &'static str| -> Result<Option<i64>, BadRow> {
        cell(column)?.map(|text| read_count(column, &text)).transpose()
    };
    Ok(OldRow {
        line: row.line,
        customer: needed("customer_id")?.to_string(),
        call_type: read_type(&needed("call_type")?)?,
        scheduled_for: read_instant("scheduled_for", &needed("scheduled_for")?)?,
        status: read_status(&needed("status")?)?,
        attempts: count("attempts")?.unwrap_or(0),
        max_attempts: count("max_attempts")?.filter(|max| 0 < *max),
        error_message: cell("error_message")?.map(Cow::into_owned),
        vapi_call_id: cell("vapi_call_id")?.map(Cow::into_owned),
        created_at: instant("created_at")?,
        processed_at: instant("processed_at")?.or(instant("updated_at")?),
    })
}

fn read_instant(column: &'static str, text: &str) -> Result<Instant, BadRow> {
    parse_instant(text)
        .ok_or_else(|| (Some(column), format!("\"{}\" is not an instant", shown(text))))
}

fn read_count(column: &'static str, text: &str) -> Result<i64, BadRow> {
    text.parse().ok().filter(|count| (0..=1000).contains(count)).ok_or_else(|| {
        let why = format!("\"{}\" is not a whole number from 0 to 1000", shown(text));
        (Some(column), why)
    })
}

fn read_type(text: &str) -> Result<CallType, BadRow> {
    let plain = plain_header(text);
    match plain.strip_suffix("_call").unwrap_or(&plain) {
        "welcome" => Ok(CallType::Welcome),
        "daily" => Ok(CallType::Daily),
        _ => Err((
            Some("call_type"),
            format!("\"{}\" is not a call type: write welcome or daily", shown(text)),
        )),
    }
}

fn read_status(text: &str) -> Result<OldStatus, BadRow> {
    let plain = plain_header(text);
    let known = STATUSES.iter().find(|(word, _)| *word == plain);
    known.map(|(_, status)| *status).ok_or_else(|| {
        let near = nearest(&plain, STATUSES.iter().map(|(word, _)| *word));
        let hint = near.map(|near| format!("; nearest: {near}")).unwrap_or_default();
        (Some("status"), format!("\"{}\" is not a status{hint}", shown(text)))
    })
}
