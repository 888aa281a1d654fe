//! Reads a file of do-not-call numbers. A file has one number a line, or is a CSV with a header, or
//! has lines of area code and number, as national registries use.
//!
//! A line that is not a number is a bad row, because a number that is not understood would be
//! called.

use std::path::Path;

use crate::domain::customer::columns::{Column, plain_header};
use crate::steps::do_not_call::list::{ListedNumber, ReadNumber, number};
use crate::steps::import::file::Unusable;
use crate::steps::import::report::RowProblem;
use crate::steps::import::sheet::cell::unwrapped;
use crate::steps::import::sheet::csv::{CsvRow, Next};
use crate::steps::import::sheet::{Sheet, file_name};

/// Headers of a phone column, in addition to those of a customers file.
const PHONE_HEADERS: [&str; 10] = [
    "phone_number",
    "phonenumber",
    "number",
    "telephone",
    "telephone_number",
    "tel",
    "mobile",
    "mobile_number",
    "cell",
    "msisdn",
];
const AREA_HEADERS: [&str; 4] = ["area_code", "areacode", "area", "npa"];
/// Words for "no value" in a phone column, so they are not a header.
const NOTHING: [&str; 4] = ["none", "null", "unknown", "nobody"];
/// The digits of an area code with its trunk zero, and of the local number.
const AREA_DIGITS: std::ops::RangeInclusive<usize> = 2..=6;
const LOCAL_DIGITS: std::ops::RangeInclusive<usize> = 4..=8;
/// The country of a three-digit area code and a seven-digit number, if none is given.
const AREA_FORM_COUNTRY: &str = "US";

/// The contents of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    pub numbers: Vec<ListedNumber>,
    /// Numbers written in a form from before a renumbering.
    pub old_forms: usize,
    /// Every bad row.
    pub problems: Vec<RowProblem>,
    /// The line of a header whose only column has an unknown name.
    pub heading: Option<u64>,
}

/// The columns of a file. By default the first cell is the number.
#[derive(Default)]
struct Layout {
    has_header: bool,
    /// The only column has an unknown name.
    is_guessed: bool,
    phone: usize,
    area: Option<usize>,
    reason: Option<usize>,
    /// How many columns the header names.
    columns: usize,
}

/// Reads a file. `reason` is for lines without a reason of their own.
pub fn read_file(
    path: &Path,
    default_country: Option<&str>,
    reason: Option<&str>,
) -> Result<Read, Unusable> {
    let name = file_name(path);
    let unusable = |why: String| Unusable(format!("{name}: {why}"));
    let mut rows = Sheet::open(path, None).and_then(|sheet| sheet.rows()).map_err(unusable)?;
    let (mut read, mut layout) = (Read::default(), None);
    loop {
        let row = match rows.next_row().map_err(|error| unusable(error.to_string()))? {
            Next::End => return Ok(read),
            Next::Bad { line, reason } => {
                read.problems.push(RowProblem { line, column: None, reason: reason.to_string() });
                continue;
            }
            Next::Row(row) if row.is_blank() => continue,
            Next::Row(row) => row,
        };
        let is_first = layout.is_none();
        let layout = layout.get_or_insert_with(|| Layout::of(&row));
        if is_first && layout.has_header {
            read.heading = layout.is_guessed.then_some(row.line);
            continue;
        }
        match layout.listed(&row, default_country, reason) {
            Ok((listed, is_old_form)) => {
                read.numbers.push(listed);
                read.old_forms += usize::from(is_old_form);
            }
            Err((column, reason)) => {
                let column = column.map(|index| layout.name(index));
                read.problems.push(RowProblem { line: row.line, column, reason });
            }
        }
    }
}

type BadNumber = (Option<usize>, String);

impl Layout {
    fn of(row: &CsvRow<'_>) -> Layout {
        let cells: Vec<&str> = (0..row.fields()).map(|i| row.text(i).unwrap_or("")).collect();
        let at = |is_meant: &dyn Fn(&str) -> bool| cells.iter().position(|cell| is_meant(cell));
        let named = |known: &[&str], cell: &str| known.contains(&plain_header(cell).as_str());
        let known = at(&|cell| Column::of_header(cell) == Some(Column::Phone))
            .or_else(|| at(&|cell| named(&PHONE_HEADERS, cell)));
        let is_guessed = known.is_none() && matches!(cells.as_slice(), [only] if is_heading(only));
        let Some(phone) = known.or(is_guessed.then_some(0)) else { return Layout::default() };
        let area = at(&|cell| named(&AREA_HEADERS, cell));
        let reason = at(&|cell| named(&["reason"], cell));
        Layout { has_header: true, is_guessed, phone, area, reason, columns: cells.len() }
    }

    /// The number of a row with its reason, and whether it was in an old form.
    fn listed(
        &self,
        row: &CsvRow<'_>,
        default_country: Option<&str>,
        reason: Option<&str>,
    ) -> Result<(ListedNumber, bool), BadNumber> {
        let cell = |index: usize| {
            if index < row.fields() {
                row.text(index).map_err(|why| (Some(index), why.to_string()))
            } else {
                Ok("")
            }
        };
        if self.has_header && self.columns < row.fields() {
            let why = format!("has {} fields, the header has {}", row.fields(), self.columns);
            return Err((None, why));
        }
        let told = match self.has_header {
            true => {
                let text = unwrapped(cell(self.phone)?, false);
                let text = text.as_ref();
                let area = self.area.map(cell).transpose()?;
                area.and_then(|area| in_area(area, text, default_country))
                    .unwrap_or_else(|| number(text, default_country))
            }
            false => self.without_header(row, cell(0)?, default_country)?,
        };
        let ReadNumber { phone, is_old_form } = told.map_err(|why| (Some(self.phone), why))?;
        let own = match self.has_header {
            true => self.reason.map(cell).transpose()?.filter(|text| !text.is_empty()),
            // Without a header, a word may be anything: what a person says for all goes first.
            false => word_behind_the_number(row).filter(|_| reason.is_none()),
        };
        let reason = own.or(reason).map(str::to_string).ok_or_else(|| {
            (self.reason, "has no reason: give one for all with --reason".to_string())
        })?;
        Ok((ListedNumber { phone, reason }, is_old_form))
    }

    /// A number, or an area code and a number. A second number is an error.
    fn without_header(
        &self,
        row: &CsvRow<'_>,
        first: &str,
        default_country: Option<&str>,
    ) -> Result<Result<ReadNumber, String>, BadNumber> {
        let first = &unwrapped(first, false);
        let second = (1 < row.fields()).then(|| row.text(1).unwrap_or_default());
        let joined = second.and_then(|second| in_area(first, second, default_country));
        if let Some(told) = joined {
            return Ok(told);
        }
        let told = number(first, default_country);
        for index in 1..row.fields() {
            let text = row.text(index).map_err(|why| (Some(index), why.to_string()))?;
            if told.is_ok() && is_digits_only(text) {
                let why = "is a second number in one line: write one a line, or a header line";
                return Err((Some(index), why.to_string()));
            }
        }
        Ok(told)
    }

    /// The column's name in the header, else its position from 1.
    fn name(&self, index: usize) -> String {
        match index {
            at if self.has_header && at == self.phone => "phone".to_string(),
            at if Some(at) == self.reason => "reason".to_string(),
            at => (at + 1).to_string(),
        }
    }
}

/// `212` and `5550101`: one number in two cells. `None` if the cells do not have this form.
/// The first word behind the number of a line without a header: why it is listed.
fn word_behind_the_number<'r>(row: &CsvRow<'r>) -> Option<&'r str> {
    let mut later = (1..row.fields()).filter_map(|index| row.text(index).ok());
    later.find(|text| !text.trim().is_empty() && !is_digits_only(text))
}

fn in_area(area: &str, local: &str, country: Option<&str>) -> Option<Result<ReadNumber, String>> {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let (area_digits, local_digits) = (digits(area), digits(local));
    let is_form = is_digits_only(area)
        && is_digits_only(local)
        && AREA_DIGITS.contains(&area_digits)
        && LOCAL_DIGITS.contains(&local_digits)
        && !area.contains('+');
    let is_american = (area_digits, local_digits) == (3, 7);
    let country = country.or(is_american.then_some(AREA_FORM_COUNTRY));
    (is_form && country.is_some()).then(|| number(&format!("{area} {local}"), country))
}

/// Only digits and phone punctuation. A date is excluded by its separators.
fn is_digits_only(text: &str) -> bool {
    let is_mark = |c: char| " +-.()/".contains(c);
    let is_date = 2 <= text.matches(['-', '/', '.']).count() && text.len() <= 10;
    let are_digits = text.chars().all(|c| c.is_ascii_digit() || is_mark(c));
    are_digits && text.bytes().any(|b| b.is_ascii_digit()) && !is_date
}

/// One cell of words above a column of numbers.
fn is_heading(cell: &str) -> bool {
    let is_word = cell.chars().all(|c| c.is_alphabetic() || " _-.".contains(c));
    let letters = cell.chars().filter(|c| c.is_alphabetic()).count();
    is_word && 3 <= letters && !NOTHING.contains(&plain_header(cell).as_str())
}
