//! A page of a list and its records, without the parts that nobody needs from a list. A list of days would fill
//! the memory with transcripts.

use chrono::Duration;
use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::Instant;
use crate::provider::ProviderCall;
use crate::vapi::rows::Record;
use crate::vapi::{values, wire};

/// The longest summary, and the longest results of an assistant, that are kept from a list, in
/// bytes. A longer one is read with the call itself.
const LONGEST_RESULT: usize = 4 * 1024;

/// One page as the provider sent it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub rows: Vec<Row>,
    pub date: Option<Instant>,
    /// The page broke off after these rows, because it was too large or too slow.
    pub cut: Option<Cut>,
}

/// Where a page broke off.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cut {
    /// Before its first byte. The text says why.
    Silent(String),
    /// Inside a row, whose instant may have been read.
    Inside(Option<Instant>),
}

/// One record of a page.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The call, or the mark of a record without a readable id.
    pub call: Result<Box<ProviderCall>, String>,
    /// When it was created, rounded up to the milliseconds of our queries. Rounded down, the next
    /// page would leave out its neighbours.
    pub at: Option<Instant>,
    /// Its instant is finer than a millisecond, so a query cannot name it exactly.
    pub is_fine: bool,
}

impl Row {
    pub fn of(record: Record) -> Row {
        match record {
            Record::Read(value) => Row::read(&value),
            Record::Unreadable(mark) => Row { call: Err(mark), at: None, is_fine: false },
        }
    }

    pub fn read(value: &Value) -> Row {
        let call = wire::read_call(value).map(|call| Box::new(lean(call)));
        let at = created_at(value);
        Row {
            call: call.ok_or_else(|| mark_of(value)),
            at,
            is_fine: at != values::read_instant(&value["createdAt"]),
        }
    }
}

/// The call without long texts.
fn lean(mut call: ProviderCall) -> ProviderCall {
    let is_long = |found: &Option<Value>| {
        found.as_ref().is_some_and(|found| found.to_string().len() > LONGEST_RESULT)
    };
    call.transcript = None;
    // On an account with other uses, most calls of the list do not carry our tags.
    let is_ours = call.tags().next().is_some();
    if call.summary.as_ref().is_some_and(|text| !is_ours || text.len() > LONGEST_RESULT) {
        (call.summary, call.left_out) = (None, true);
    }
    for found in [&mut call.structured_data, &mut call.structured_outputs] {
        if is_long(found) {
            (*found, call.left_out) = (None, true);
        }
    }
    call
}

/// A hash of the row: equal for equal rows, and free of the row's content.
fn mark_of(row: &Value) -> String {
    let hash = Sha256::digest(row.to_string().as_bytes());
    HEXLOWER.encode(&hash[..16])
}

/// When a row was created, rounded up to milliseconds.
pub(super) fn created_at(row: &Value) -> Option<Instant> {
    let at = values::read_instant(&row["createdAt"])?;
    let beyond = at.timestamp_subsec_nanos() % 1_000_000;
    let up = if beyond == 0 { 0 } else { i64::from(1_000_000 - beyond) };
    at.checked_add_signed(Duration::nanoseconds(up))
}
