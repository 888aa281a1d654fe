//! The result of an import, for a person and as JSON. It contains no phone number.

use serde::Serialize;

use crate::steps::import::consequences::Consequences;
pub use crate::steps::import::consequences::outcome::SamePhone;
use crate::steps::import::sheet::SheetForm;

/// At most this many problems and samples are kept; all are counted.
const PROBLEMS_MAX: usize = 1_000;
pub(crate) const SAMPLES_MAX: usize = 5;

/// One problem of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowProblem {
    /// The line where the row starts.
    pub line: u64,
    /// `None`: the row as a whole.
    pub column: Option<String>,
    pub reason: String,
}

/// A row that would be imported, as an example.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    pub line: u64,
    /// Name, external id or e-mail, whichever exists.
    pub who: String,
    /// The fields that change; empty for a new customer.
    pub fields: Vec<&'static str>,
}

/// The outcome for the whole file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// Every row that is not bad is committed.
    Applied,
    /// Checked only.
    #[default]
    DryRun,
    /// The file has bad rows, so nothing was written.
    Refused,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct ImportReport {
    pub outcome: ImportOutcome,
    pub new: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub bad: u64,
    /// Why rows are bad; the first thousand.
    pub problems: Vec<RowProblem>,
    /// Customers that are kept although their number cannot be dialed.
    pub undialable: u64,
    /// Why they cannot be dialed; the first thousand.
    pub warnings: Vec<RowProblem>,
    /// Rows whose number another customer or an earlier row also has.
    pub same_phone: u64,
    pub same_phone_samples: Vec<SamePhone>,
    /// Numbers written in a form from before a renumbering, and stored in today's form.
    pub renumbered: u64,
    pub new_samples: Vec<Sample>,
    pub changed_samples: Vec<Sample>,
    /// The calls that the file leads to; `None`: not computed.
    pub consequences: Option<Consequences>,
    /// Nothing is written until a person decides whether old sign-ups are welcomed.
    pub needs_decision: bool,
    /// Columns that go into `variables`.
    pub variables: Vec<String>,
    /// Those whose header a template could not use, each header with its variable.
    pub renamed: Vec<(String, String)>,
    pub form: SheetForm,
    /// Known customers who may be called and are not in the file.
    pub missing: u64,
    /// The first of them: the id, and the name, external id or e-mail.
    pub missing_samples: Vec<(i64, String)>,
    /// Of those, customers whom this import paused.
    pub missing_paused: u64,
    /// The file lacks most customers, so a person must say that they are to be paused.
    pub missing_needs_word: bool,
    /// Customers whom an import paused because its file lacked them, and who are in this file.
    pub returned: u64,
    /// The first of them: the id, and the name, external id or e-mail.
    pub returned_samples: Vec<(i64, String)>,
    /// Rows that end before the header does; their missing cells count as empty.
    pub short_rows: u64,
    /// Columns that are ignored, because only ringonce sets them.
    pub ignored: Vec<String>,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The rows are being written; otherwise they are checked.
    pub is_writing: bool,
    /// Rows that were checked, or rows that were written.
    pub rows: u64,
    /// The part that is done, of `total`.
    pub done: u64,
    pub total: u64,
}

impl ImportReport {
    /// Counts one bad row with all of its problems.
    pub fn add_bad(&mut self, problems: Vec<RowProblem>) {
        self.bad += 1;
        let room = PROBLEMS_MAX.saturating_sub(self.problems.len());
        self.problems.extend(problems.into_iter().take(room));
    }

    /// Counts one customer whose number cannot be dialed. `is_news`: the row changes something.
    pub fn add_undialable(&mut self, line: u64, reason: &str, is_news: bool) {
        self.undialable += 1;
        if is_news && self.warnings.len() < PROBLEMS_MAX {
            let column = Some("phone".to_string());
            self.warnings.push(RowProblem { line, column, reason: reason.to_string() });
        }
    }

    /// Counts one row whose number somebody else also has.
    pub fn add_returned(&mut self, id: i64, who: String) {
        self.returned += 1;
        if self.returned_samples.len() < SAMPLES_MAX {
            self.returned_samples.push((id, who));
        }
    }

    pub fn add_same_phone(&mut self, sample: &SamePhone) {
        self.same_phone += 1;
        if self.same_phone_samples.len() < SAMPLES_MAX {
            self.same_phone_samples.push(sample.clone());
        }
    }

    /// Counts one new customer.
    pub fn add_new(&mut self, sample: impl FnOnce() -> Sample) {
        self.new += 1;
        if self.new_samples.len() < SAMPLES_MAX {
            self.new_samples.push(sample());
        }
    }

    /// Counts one customer that changes.
    pub fn add_changed(&mut self, sample: impl FnOnce() -> Sample) {
        self.changed += 1;
        if self.changed_samples.len() < SAMPLES_MAX {
            self.changed_samples.push(sample());
        }
    }

    /// Whether the file brought nothing that was not known.
    pub fn is_no_news(&self) -> bool {
        self.new + self.changed + self.bad == 0 && 0 < self.unchanged
    }

    /// `4 new, 1 changed, 0 unchanged, 2 bad`
    pub fn summary(&self) -> String {
        format!(
            "{} new, {} changed, {} unchanged, {} bad",
            self.new, self.changed, self.unchanged, self.bad
        )
    }
}
