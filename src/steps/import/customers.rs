//! Imports a CSV of customers, completely or not at all.
//!
//! The file is read twice. The first pass checks every row and only reads the database. The second
//! pass writes in one transaction, so the dialer waits only for the writing. Importing a file again
//! changes nothing. One bad row refuses the whole file, unless `skip_bad` is set.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use crate::domain::Instant;
use crate::domain::customer::columns::shown;
use crate::domain::customer::entry::{CustomerEntry, changes};
use crate::domain::customer::{Customer, mask_phone};
use crate::phones;
use crate::steps::customers::{change, plan_change, plan_new};
use crate::steps::import::file::{FilePass, Unusable, file_name};
use crate::steps::import::repeated_rows::SeenRows;
use crate::steps::import::repeated_rows::key_of;
use crate::steps::import::report::{ImportOutcome, ImportReport, RowProblem, SamePhone, Sample};
use crate::steps::occasions::first_due::is_due_from_then_on;
use crate::steps::occasions::zone_rules;
use crate::store::customers::{Found, insert, is_empty, matching, with_room, with_same_phone};
use crate::store::journal::facts::{self, EntryFacts, Ids};
use crate::store::journal::{self, By};
use crate::store::{Conn, Store, Tx};
use crate::zones::Zones;

/// Bytes between two progress reports.
const PROGRESS_BYTES: u64 = 1 << 18;

/// How to import a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Check only.
    pub dry_run: bool,
    /// Skip bad rows instead of refusing the file.
    pub skip_bad: bool,
    /// The country of phones without a country code.
    pub default_country: Option<&'a str>,
}

/// A file whose every row was checked.
pub struct Checked<'a> {
    path: PathBuf,
    pass: FilePass<'a>,
    options: Options<'a>,
    report: ImportReport,
    bad_lines: HashSet<u64>,
}

/// Checks a file against the customers of a store, and writes nothing. `progress` receives the
/// bytes done so far.
pub fn check<'a>(
    store: &Store,
    zones: &'a Zones,
    path: &Path,
    options: Options<'a>,
    now: Instant,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<Checked<'a>> {
    if let Some(country) = options.default_country {
        phones::check_country(country).map_err(Unusable)?;
    }
    let mut pass = FilePass::open(path, zones, options.default_country)?;
    let mut bad_lines = HashSet::new();
    let mut report =
        store.read(|conn| check_rows(conn, &mut pass, &mut bad_lines, now, progress))?;
    if !options.dry_run && report.bad > 0 && !options.skip_bad {
        report.outcome = ImportOutcome::Refused;
    }
    Ok(Checked { path: path.to_path_buf(), pass, options, report, bad_lines })
}

impl<'a> Checked<'a> {
    /// Whether the file may be written: this is not a dry run, and the file is not refused.
    pub fn may_apply(&self) -> bool {
        !self.options.dry_run && self.report.outcome != ImportOutcome::Refused
    }

    /// The result of the check.
    pub fn into_report(self) -> ImportReport {
        self.report
    }

    /// Writes every row that is not bad, in one transaction. Progress counts the bytes of both
    /// passes.
    pub fn apply(
        self,
        store: &Store,
        zones: &'a Zones,
        now: Instant,
        progress: &mut dyn FnMut(u64),
    ) -> anyhow::Result<ImportReport> {
        let Checked { path, pass: earlier, options, mut report, bad_lines } = self;
        let (digest, bytes) = (earlier.digest(), earlier.bytes_read());
        let mut pass = FilePass::open(&path, zones, options.default_country)?;
        pass.trust(earlier);
        store.write(|tx| {
            let count = with_room(tx, || {
                apply_rows(tx, &mut pass, &bad_lines, now, &mut |done| progress(bytes + done))
            })?;
            if pass.digest() != digest {
                bail!("{} changed while it was read; import it again", file_name(&path));
            }
            let ids;
            (report.new, report.changed, report.unchanged, ids) = count;
            zone_rules::note_first(tx, zones.version())?;
            note(tx, &path, &report, ids, now)
        })?;
        report.outcome = ImportOutcome::Applied;
        Ok(report)
    }
}

/// Checks every row and writes nothing.
fn check_rows(
    conn: &Conn,
    pass: &mut FilePass<'_>,
    bad_lines: &mut HashSet<u64>,
    now: Instant,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<ImportReport> {
    let nobody_yet = is_empty(conn)?;
    let mut report = ImportReport {
        variables: pass.header.variables().map(str::to_string).collect(),
        ignored: pass.header.ignored().map(|column| column.to_string()).collect(),
        ..ImportReport::default()
    };
    let mut seen = SeenRows { nobody_yet, ..SeenRows::default() };
    let mut told = 0;
    while let Some((line, entry)) = pass.next_line()? {
        let judged = match entry {
            Err(problems) => Err(problems),
            Ok(entry) => match judge(conn, pass, &mut seen, (line, &entry), now)? {
                Err(problem) => Err(vec![problem]),
                Ok(plan) => Ok((entry, plan)),
            },
        };
        match judged {
            Err(problems) => {
                bad_lines.insert(line);
                report.add_bad(problems);
            }
            Ok((entry, plan)) => {
                count(&mut report, line, &entry, &plan);
                let known = if nobody_yet { None } else { Some(conn) };
                count_same_phone(&mut report, known, &mut seen, line, plan.after())?;
            }
        }
        if told + PROGRESS_BYTES < pass.bytes_read() {
            told = pass.bytes_read();
            progress(told);
        }
    }
    report.renumbered = pass.reader.renumbered;
    Ok(report)
}

/// The customer that a row creates or changes.
enum Plan {
    New(Box<Customer>),
    /// The known customer, before and after the row.
    Known(Box<(Customer, Customer)>),
}

impl Plan {
    fn after(&self) -> &Customer {
        match self {
            Plan::New(customer) => customer,
            Plan::Known(pair) => &pair.1,
        }
    }
}

fn judge(
    conn: &Conn,
    pass: &mut FilePass<'_>,
    seen: &mut SeenRows,
    (line, entry): (u64, &CustomerEntry),
    now: Instant,
) -> anyhow::Result<Result<Plan, RowProblem>> {
    let problem = |column: &str, reason: String| {
        Ok(Err(RowProblem { line, column: Some(column.to_string()), reason }))
    };
    if let Some((column, first)) = seen.repeated(entry, line) {
        return problem(column, format!("repeats the key of line {first}"));
    }
    if let Some((column, reason)) = entry.contradiction(now) {
        return problem(column, reason);
    }
    match plan(conn, pass, entry, now, seen.nobody_yet)? {
        Ok(Plan::Known(pair)) => match seen.customers.insert(pair.0.id, line) {
            Some(first) => problem("phone", format!("is the same customer as line {first}")),
            None => Ok(Ok(Plan::Known(pair))),
        },
        Ok(plan) => Ok(Ok(plan)),
        Err(candidates) => problem(
            key_of(entry),
            format!("fits {candidates} known customers: give the external_id of one"),
        ),
    }
}

/// Finds the customer of a row. The inner error is the number of customers that it could be.
fn plan(
    conn: &Conn,
    pass: &mut FilePass<'_>,
    entry: &CustomerEntry,
    now: Instant,
    nobody_yet: bool,
) -> anyhow::Result<Result<Plan, usize>> {
    let email = entry.email.as_ref().and_then(|email| email.as_deref());
    let phone = entry.phone.as_ref().map_or("", |phone| phone.e164.as_str());
    let found = if nobody_yet {
        Found::Nobody
    } else {
        matching(conn, entry.external_id.as_deref(), email, phone)?
    };
    Ok(match found {
        Found::Nobody => Ok(Plan::New(Box::new(plan_new(&mut pass.reader, entry, now)?))),
        Found::One(known) => {
            let after = plan_change(conn, &mut pass.reader, &known, entry, now)?;
            Ok(Plan::Known(Box::new((*known, after))))
        }
        Found::Several(candidates) => Err(candidates.len()),
    })
}

fn count(report: &mut ImportReport, line: u64, entry: &CustomerEntry, plan: &Plan) {
    let after = plan.after();
    match plan {
        Plan::New(customer) => {
            report.add_new(|| Sample { line, who: who(customer), fields: Vec::new() });
        }
        Plan::Known(pair) => {
            let (known, after) = &**pair;
            let fields: Vec<_> = changes(known, after).iter().map(|c| c.field).collect();
            if fields.is_empty() {
                report.unchanged += 1;
            } else {
                report.add_changed(|| Sample { line, who: who(after), fields });
            }
        }
    }
    let reason = entry.phone.as_ref().and_then(|phone| phone.error.as_deref());
    if let (Some(reason), false) = (reason, after.phone_validated) {
        report.add_undialable(line, reason);
    }
}

/// Counts a row whose number a known customer or an earlier row also has. `conn` is `None` while
/// the customer table is empty.
fn count_same_phone(
    report: &mut ImportReport,
    conn: Option<&Conn>,
    seen: &mut SeenRows,
    line: u64,
    after: &Customer,
) -> anyhow::Result<()> {
    let first_line = seen.same_phone(after, line);
    let customers = match conn {
        Some(conn) => with_same_phone(conn, after)?,
        None => Vec::new(),
    };
    if first_line.is_some() || !customers.is_empty() {
        let who = || who(after);
        report.add_same_phone(|| SamePhone { line, who: who(), customers, first_line });
    }
    Ok(())
}

/// Writes every row that is not bad. Returns the counts of new, changed and unchanged customers,
/// and the ids of new customers whose calls fall due from now on.
fn apply_rows(
    tx: &Tx<'_>,
    pass: &mut FilePass<'_>,
    bad_lines: &HashSet<u64>,
    now: Instant,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<(u64, u64, u64, Ids)> {
    let nobody_yet = is_empty(tx)?;
    let (mut new, mut changed, mut unchanged, mut ids) = (0, 0, 0, Ids::default());
    let mut told = 0;
    while let Some((line, entry)) = pass.next_line()? {
        if bad_lines.contains(&line) {
            continue;
        }
        let changed_meanwhile =
            || anyhow!("line {line} changed during the import; import it again");
        let entry = entry.map_err(|_| changed_meanwhile())?;
        match plan(tx, pass, &entry, now, nobody_yet)?.map_err(|_| changed_meanwhile())? {
            Plan::New(customer) => {
                let id = insert(tx, &customer)?;
                if is_due_from_then_on(&mut pass.reader, &customer, now) {
                    ids.add(id);
                }
                new += 1;
            }
            Plan::Known(pair) => {
                match change(tx, &mut pass.reader, &pair.0, &pair.1, By { who: "import", now })?
                    .is_empty()
                {
                    true => unchanged += 1,
                    false => changed += 1,
                }
            }
        }
        if told + PROGRESS_BYTES < pass.bytes_read() {
            told = pass.bytes_read();
            progress(told);
        }
    }
    Ok((new, changed, unchanged, ids))
}

fn note(
    tx: &Tx<'_>,
    path: &Path,
    report: &ImportReport,
    ids: Ids,
    now: Instant,
) -> anyhow::Result<()> {
    let summary = report.summary();
    let subject = format!("file:{}", file_name(path));
    let new = Some(summary.as_str());
    let entry = journal::Entry {
        who: "import",
        what: "import",
        subject: &subject,
        new,
        ..Default::default()
    };
    facts::add(tx, now, entry, &EntryFacts { due_ids: ids, ..EntryFacts::default() })
}

fn who(customer: &Customer) -> String {
    let words = [Some(&customer.name), customer.external_id.as_ref(), customer.email.as_ref()];
    match words.into_iter().flatten().find(|word| !word.is_empty()) {
        Some(word) => shown(word).into_owned(),
        None => mask_phone(&customer.phone),
    }
}
