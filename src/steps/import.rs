//! Takes a CSV of customers over: all of it or nothing.
//!
//! The file is read twice. The first pass checks every row and only reads the database; the second
//! writes in one transaction, so the dialer waits for the writing only. Importing a file again
//! changes nothing. Refuses the whole file for one bad row, unless told to leave bad rows out.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use crate::domain::Instant;
use crate::domain::customer::{Customer, mask_phone};
use crate::domain::entry::{Entry, changes};
use crate::domain::fields::shown;
use crate::phones;
use crate::steps::customers::{change, plan_change, plan_new};
use crate::steps::due_since::{Ids, is_due_from_then_on};
use crate::steps::import_file::{Pass, Unusable, file_name};
use crate::steps::import_report::{Outcome, Problem, Report, SamePhone, Sample};
use crate::store::customers::{Found, insert, is_empty, matching, with_room, with_same_phone};
use crate::store::{Conn, Store, Tx, journal};
use crate::zones::Zones;

/// Bytes between two words about the progress.
const PROGRESS_BYTES: u64 = 1 << 18;

/// How a file is taken over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Look only.
    pub dry_run: bool,
    /// Leave bad rows out instead of refusing the file.
    pub skip_bad: bool,
    /// The country of phones that are written without one.
    pub default_country: Option<&'a str>,
}

/// A file whose every row was looked at.
pub struct Checked<'a> {
    path: PathBuf,
    pass: Pass<'a>,
    options: Options<'a>,
    report: Report,
    bad_lines: HashSet<u64>,
}

/// Checks a file against the customers of a store; writes nothing. `progress` is told how many
/// bytes are done.
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
    let mut pass = Pass::open(path, zones, options.default_country)?;
    let mut bad_lines = HashSet::new();
    let mut report =
        store.read(|conn| check_rows(conn, &mut pass, &mut bad_lines, now, progress))?;
    if !options.dry_run && 0 < report.bad && !options.skip_bad {
        report.outcome = Outcome::Refused;
    }
    Ok(Checked { path: path.to_path_buf(), pass, options, report, bad_lines })
}

impl<'a> Checked<'a> {
    /// Whether the file may be written: it was not only to be looked at, and is not refused.
    pub fn may_apply(&self) -> bool {
        !self.options.dry_run && self.report.outcome != Outcome::Refused
    }

    /// What the check found.
    pub fn into_report(self) -> Report {
        self.report
    }

    /// Writes every row that is not bad in one transaction. The bytes of both readings count as
    /// progress.
    pub fn apply(
        self,
        store: &Store,
        zones: &'a Zones,
        now: Instant,
        progress: &mut dyn FnMut(u64),
    ) -> anyhow::Result<Report> {
        let Checked { path, pass: earlier, options, mut report, bad_lines } = self;
        let (digest, bytes) = (earlier.digest(), earlier.bytes_read());
        let mut pass = Pass::open(&path, zones, options.default_country)?;
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
            note(tx, &path, &report, &ids, now)
        })?;
        report.outcome = Outcome::Applied;
        Ok(report)
    }
}

/// Looks at every row; writes nothing.
fn check_rows(
    conn: &Conn,
    pass: &mut Pass<'_>,
    bad_lines: &mut HashSet<u64>,
    now: Instant,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<Report> {
    let nobody_yet = is_empty(conn)?;
    let mut report = Report {
        variables: pass.header.variables().map(str::to_string).collect(),
        ignored: pass.header.ignored().map(|column| column.to_string()).collect(),
        ..Report::default()
    };
    let mut seen = Seen::default();
    let mut told = 0;
    while let Some((line, entry)) = pass.next_line()? {
        let judged = match entry {
            Err(problems) => Err(problems),
            Ok(entry) => match judge(conn, pass, &mut seen, line, &entry, now, nobody_yet)? {
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

/// What a row comes to.
enum Plan {
    New(Box<Customer>),
    /// The known customer and the same customer after the row.
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
    pass: &mut Pass<'_>,
    seen: &mut Seen,
    line: u64,
    entry: &Entry,
    now: Instant,
    nobody_yet: bool,
) -> anyhow::Result<Result<Plan, Problem>> {
    let problem = |column: &str, reason: String| {
        Ok(Err(Problem { line, column: Some(column.to_string()), reason }))
    };
    if let Some((column, first)) = seen.repeated(entry, line) {
        return problem(column, format!("repeats the key of line {first}"));
    }
    if let Some((column, reason)) = entry.contradiction(now) {
        return problem(column, reason);
    }
    match plan(conn, pass, entry, now, nobody_yet)? {
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

/// Finds the customer of a row. The error is how many customers it could be.
fn plan(
    conn: &Conn,
    pass: &mut Pass<'_>,
    entry: &Entry,
    now: Instant,
    nobody_yet: bool,
) -> anyhow::Result<Result<Plan, usize>> {
    let email = entry.email.as_ref().and_then(|email| email.as_deref());
    let phone = entry.phone.as_ref().map_or("", |phone| phone.e164.as_str());
    let found = match nobody_yet {
        true => Found::Nobody,
        false => matching(conn, entry.external_id.as_deref(), email, phone)?,
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

fn count(report: &mut Report, line: u64, entry: &Entry, plan: &Plan) {
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

/// Counts a row whose number a known customer, or an earlier row, has too. `conn`: `None` while
/// nobody is known.
fn count_same_phone(
    report: &mut Report,
    conn: Option<&Conn>,
    seen: &mut Seen,
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

/// Writes every row that is not bad; counts new, changed and unchanged ones, and names the new
/// ones whose calls fall due from now on.
fn apply_rows(
    tx: &Tx<'_>,
    pass: &mut Pass<'_>,
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
        let changed_meanwhile = || anyhow!("line {line} was good a moment ago; import it again");
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
                match change(tx, &mut pass.reader, &pair.0, &pair.1, "import", now)?.is_empty() {
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

fn note(tx: &Tx<'_>, path: &Path, report: &Report, ids: &Ids, now: Instant) -> anyhow::Result<()> {
    let summary = format!("{}{}", report.summary(), ids.told());
    let subject = format!("file:{}", file_name(path));
    let new = Some(summary.as_str());
    let entry = journal::Entry {
        who: "import",
        what: "import",
        subject: &subject,
        new,
        ..Default::default()
    };
    journal::add(tx, now, entry)
}

/// The keys of the rows so far, as hashes, with their lines.
#[derive(Default)]
struct Seen {
    hasher: RandomState,
    keys: HashMap<u64, SeenKey>,
    /// Known customers that a row spoke of.
    customers: HashMap<i64, u64>,
}

/// Where a key stood first.
struct SeenKey {
    line: u64,
    /// Whether a row was known by this key, not only carried it.
    is_own: bool,
    /// Whether every row with this number says that it is shared.
    is_shared: bool,
}

impl Seen {
    /// The first line with the same number, unless that one and all with it say that it is shared.
    fn same_phone(&mut self, after: &Customer, line: u64) -> Option<u64> {
        let hash = self.hasher.hash_one(("phone", after.phone.as_str()));
        let new = SeenKey { line, is_own: false, is_shared: true };
        let seen = self.keys.entry(hash).or_insert(new);
        seen.is_shared &= after.shared_phone;
        (seen.line != line && !seen.is_shared).then_some(seen.line)
    }

    /// The line of an earlier row that speaks of the same customer, and the key that says so.
    ///
    /// Two rows may share an e-mail or a phone while another key tells them apart.
    fn repeated(&mut self, entry: &Entry, line: u64) -> Option<(&'static str, u64)> {
        let own = key_of(entry);
        let email = entry.email.as_ref().and_then(|email| email.as_deref());
        let phone = entry.phone.as_ref().map(|phone| phone.e164.as_str());
        let keys =
            [("external_id", entry.external_id.as_deref()), ("email", email), ("phone", phone)];
        let mut repeated = None;
        for (column, key) in keys {
            let Some(key) = key else { continue };
            let is_own = column == own;
            let new = SeenKey { line, is_own, is_shared: true };
            let seen = self.keys.entry(self.hasher.hash_one((column, key))).or_insert(new);
            if seen.line != line && (is_own || seen.is_own) && repeated.is_none() {
                repeated = Some((column, seen.line));
            }
            seen.is_own |= is_own;
        }
        repeated
    }
}

/// The column by which a row names its customer: external id, else e-mail, else phone.
fn key_of(entry: &Entry) -> &'static str {
    match (&entry.external_id, &entry.email) {
        (Some(_), _) => "external_id",
        (None, Some(Some(_))) => "email",
        (None, _) => "phone",
    }
}

fn who(customer: &Customer) -> String {
    let words = [Some(&customer.name), customer.external_id.as_ref(), customer.email.as_ref()];
    match words.into_iter().flatten().find(|word| !word.is_empty()) {
        Some(word) => shown(word).into_owned(),
        None => mask_phone(&customer.phone),
    }
}
