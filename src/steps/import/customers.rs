//! Imports a CSV of customers, completely or not at all.
//!
//! The file is read twice. The first pass checks every row and only reads the database. The second
//! pass writes in one transaction, so the dialer waits only for the writing. Importing a file again
//! changes nothing. One bad row refuses the whole file, unless `skip_bad` is set.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use crate::domain::Instant;
use crate::domain::customer::entry::{CustomerEntry, changes};

use crate::phones;
use crate::steps::customers::change;
use crate::steps::import::consequences::outcome::{RowSink, who};
use crate::steps::import::consequences::same_phone::{self, Undecided};
use crate::steps::import::consequences::{Counter, Row};
use crate::steps::import::field_values::Reader;
use crate::steps::import::file::{FilePass, RowBits, Unusable};
use crate::steps::import::header::Header;
use crate::steps::import::missing::{self, Missing};
pub use crate::steps::import::options::Options;
use crate::steps::import::options::{PauseMissing, Welcome};
use crate::steps::import::repeated_rows::SeenRows;
use crate::steps::import::repeated_rows::key_of;
use crate::steps::import::report::{
    ImportOutcome, ImportReport, Progress, RowProblem, SAMPLES_MAX, SamePhone, Sample,
};
use crate::steps::import::row_plan::{Plan, Unplanned, Whom, plan};
use crate::steps::import::sheet::{Sheet, file_name};
use crate::steps::occasions::first_due::is_due_from_then_on;
use crate::steps::occasions::zone_rules;
use crate::store::attempts::history;
use crate::store::customers::bulk::{Inserter, with_room};
use crate::store::customers::{by_id, is_empty};
use crate::store::journal::facts::{self, EntryFacts, Ids};
use crate::store::journal::{self, By};
use crate::store::views::callable;
use crate::store::{Conn, Store, Tx, View, do_not_call};
use crate::zones::Zones;

/// Writing a row takes about this many times as long as checking it.
const WRITING: u64 = 2;

/// A file whose every row was checked.
pub struct Checked<'a> {
    sheet: Sheet,
    path: PathBuf,
    pass: FilePass<'a>,
    options: Options<'a>,
    report: ImportReport,
    bad_rows: RowBits,
    missing: Vec<i64>,
}

/// Checks a file against the customers of a store, and writes nothing.
pub fn check<'a>(
    store: &Store,
    zones: &'a Zones,
    path: &Path,
    options: Options<'a>,
    now: Instant,
    progress: &mut dyn FnMut(Progress),
) -> anyhow::Result<Checked<'a>> {
    if let Some(country) = options.default_country {
        phones::check_country(country).map_err(Unusable)?;
    }
    let name = file_name(path);
    let sheet = Sheet::open(path, options.encoding);
    let sheet = sheet.map_err(|why| Unusable(format!("{name}: {why}")))?;
    let mut pass = FilePass::open((&sheet, &name), zones, &options)?;
    let mut bad_rows = RowBits::default();
    let total = sheet.bytes() * if options.dry_run { 1 } else { 1 + WRITING };
    let progress = &mut |(done, rows)| {
        progress(Progress { is_writing: false, rows, done, total });
    };
    let (mut report, missing, is_first) = store.read(|conn| {
        let (report, missing) =
            check_rows(conn, &mut pass, &options, &mut bad_rows, (now, progress))?;
        Ok((report, missing, history::has_no_call(conn)?))
    })?;
    report.missing_needs_word = missing.needs_word(options.pause_missing);
    let consequences = report.consequences.as_ref();
    report.needs_decision =
        consequences.is_some_and(|found| found.needs_decision(&options, is_first));
    let needs_word = report.needs_decision || report.missing_needs_word;
    if !options.dry_run && (needs_word || (report.bad > 0 && !options.skip_bad)) {
        report.outcome = ImportOutcome::Refused;
    }
    report.form = sheet.form(&pass.rows);
    Ok(Checked {
        sheet,
        path: path.to_path_buf(),
        pass,
        options,
        report,
        bad_rows,
        missing: missing.ids,
    })
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

    /// Writes every row that is not bad, in one transaction.
    pub fn apply(
        self,
        store: &Store,
        zones: &'a Zones,
        now: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> anyhow::Result<ImportReport> {
        let Checked { sheet, path, pass: earlier, options, mut report, bad_rows, missing } = self;
        let (digest, size) = (earlier.digest(), sheet.bytes());
        let progress = &mut |(bytes, rows)| {
            let (done, total) = (size + WRITING * bytes, size + WRITING * size);
            progress(Progress { is_writing: true, rows, done, total });
        };
        let mut pass = FilePass::open((&sheet, &file_name(&path)), zones, &options)?;
        pass.trust(earlier);
        store.write(|tx| {
            let count =
                with_room(tx, || apply_rows(tx, &mut pass, &options, &bad_rows, (now, progress)))?;
            if pass.digest() != digest {
                bail!("{} changed while it was read; import it again", file_name(&path));
            }
            let ids;
            (report.new, report.changed, report.unchanged, ids) = count;
            if options.pause_missing != PauseMissing::No {
                report.missing_paused = missing::pause(tx, &missing, &file_name(&path), now)?;
            }
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
    options: &Options<'_>,
    bad_rows: &mut RowBits,
    (now, progress): (Instant, &mut dyn FnMut((u64, u64))),
) -> anyhow::Result<(ImportReport, Missing)> {
    let nobody_yet = is_empty(conn)?;
    let mut report = ImportReport {
        variables: pass.header.variables().map(|(name, _)| name.to_string()).collect(),
        renamed: renamed(&pass.header),
        ignored: pass.header.ignored().map(|column| column.to_string()).collect(),
        ..ImportReport::default()
    };
    let mut seen = SeenRows::new(nobody_yet);
    let (mut counter, mut undecided) = (Counter::default(), Vec::new());
    counter.found.unknown_numbers = callable::calls_of_unknown_number(conn)?;
    let has_list = do_not_call::is_any_stored(conn)?;
    let mut view = View::new(conn)?;
    while let Some((line, entry)) = pass.next_line()? {
        let judged = match entry {
            Err(problems) => Err(problems),
            Ok(entry) => match judge(conn, pass, &mut seen, (line, &entry), (options, now))? {
                Err(problem) => Err(vec![problem]),
                Ok(plan) => Ok((entry, plan)),
            },
        };
        bad_rows.push(judged.is_err());
        match judged {
            Err(problems) => report.add_bad(problems),
            Ok((entry, plan)) => {
                count(&mut report, line, &entry, &plan);
                let known = if nobody_yet { None } else { Some(conn) };
                if let Some(customer) = plan.known()
                    && missing::is_still_paused(conn, customer)?
                {
                    report.add_returned(customer.id, who(customer));
                }
                let rules = options.outlook.map(|outlook| &outlook.rules);
                let same = same_phone::count(&mut report, known, &mut seen, (line, &plan), rules)?;
                let is_listed = has_list && do_not_call::is_stored(conn, &plan.after().phone)?;
                let read =
                    ReadRow { line, entry: &entry, plan: &plan, same: same.as_ref(), is_listed };
                look_ahead((&mut counter, &mut undecided), &mut pass.reader, options, read, now);
            }
        }
        if let Some(news) = pass.news() {
            progress(news);
            view.renew()?;
        }
    }
    report.renumbered = pass.reader.renumbered;
    report.short_rows = pass.short_rows;
    if let Some(outlook) = options.outlook {
        for row in undecided {
            row.decide(&mut seen, |row| {
                counter.add(outlook, &mut pass.reader, row, now);
            })?;
        }
        report.consequences = Some(counter.finish(outlook));
    }
    let missing = Missing::from(conn, &seen)?;
    report.missing = missing.ids.len() as u64;
    for id in missing.ids.iter().take(SAMPLES_MAX) {
        report.missing_samples.extend(by_id(conn, *id)?.map(|customer| (*id, who(&customer))));
    }
    Ok((report, missing))
}

/// The headers that became variables of another name.
fn renamed(header: &Header) -> Vec<(String, String)> {
    let renamed = header.variables().filter(|(name, header)| name != header);
    renamed.map(|(name, header)| (header.to_string(), name.to_string())).collect()
}

/// A row that is not bad, and what is known about its number.
struct ReadRow<'r> {
    line: u64,
    entry: &'r CustomerEntry,
    plan: &'r Plan,
    same: Option<&'r SamePhone>,
    is_listed: bool,
}

/// Counts what a row leads to.
fn look_ahead(
    (counter, undecided_rows): (&mut Counter, &mut Vec<Undecided>),
    reader: &mut Reader<'_>,
    options: &Options<'_>,
    read: ReadRow<'_>,
    now: Instant,
) {
    let ReadRow { line, entry, plan, same: same_phone, is_listed } = read;
    let shares = same_phone.is_some_and(|same| !same.customers.is_empty());
    counter.found.known_numbers += u64::from(shares);
    let Some(outlook) = options.outlook else { return };
    let after = plan.after();
    let row = Row {
        known: plan.known(),
        after,
        has_created_at: entry.created_at.is_some(),
        line,
        who: &|| who(after),
        same_phone,
        is_listed,
    };
    let is_marked = plan.is_new() && options.welcome == Welcome::Nobody;
    let counts_as_made = is_marked && entry.welcome_call_completed != Some(true);
    counter.found.welcome_marked += u64::from(counts_as_made);
    counter.found.next_call_recomputed += u64::from(plan.next_call_recomputed);
    let outcome = match Undecided::of(&row) {
        Some(undecided) => {
            undecided_rows.push(undecided);
            Counter::default().add(outlook, reader, &row, now)
        }
        None => counter.add(outlook, reader, &row, now),
    };
    if let Some(RowSink(take)) = options.rows {
        take(counter.row(&row, outcome));
    }
}

fn judge(
    conn: &Conn,
    pass: &mut FilePass<'_>,
    seen: &mut SeenRows,
    (line, entry): (u64, &CustomerEntry),
    (options, now): (&Options<'_>, Instant),
) -> anyhow::Result<Result<Plan, RowProblem>> {
    let problem = |column: &str, reason: String| {
        Ok(Err(RowProblem { line, column: Some(column.to_string()), reason }))
    };
    if let Some((column, first)) = seen.repeated(entry, line)? {
        return problem(column, format!("repeats the key of line {first}"));
    }
    let plan = match plan(conn, pass, entry, (options, now), seen.nobody_yet)? {
        Ok(plan) => plan,
        Err(Unplanned::Blank(column)) => {
            return problem(column, "is empty: a new customer needs it".to_string());
        }
        Err(Unplanned::Several(candidates)) => {
            let reason = format!("fits {candidates} known customers: give the external_id of one");
            return problem(key_of(entry), reason);
        }
    };
    let zone = pass.reader.zone(&plan.after().timezone);
    if let Some((column, reason)) = entry.contradiction(zone.as_deref(), now) {
        return problem(column, reason);
    }
    let earlier = match plan.known() {
        Some(known) => seen.same_customer(known.id, line)?,
        None => None,
    };
    match earlier {
        Some(first) => problem("phone", format!("is the same customer as line {first}")),
        None => Ok(Ok(plan)),
    }
}

fn count(report: &mut ImportReport, line: u64, entry: &CustomerEntry, plan: &Plan) {
    let after = plan.after();
    let mut is_news = true;
    match &plan.whom {
        Whom::New(customer) => {
            report.add_new(|| Sample { line, who: who(customer), fields: Vec::new() });
        }
        Whom::Known(pair) => {
            let (known, after) = &**pair;
            let fields: Vec<_> = changes(known, after).iter().map(|c| c.field).collect();
            if fields.is_empty() {
                (report.unchanged, is_news) = (report.unchanged + 1, false);
            } else {
                report.add_changed(|| Sample { line, who: who(after), fields });
            }
        }
    }
    let reason = entry.phone.as_ref().and_then(|phone| phone.error.as_deref());
    if let (Some(reason), false) = (reason, after.phone_validated) {
        report.add_undialable(line, reason, is_news);
    }
}

/// Writes every row that is not bad. Returns the counts of new, changed and unchanged customers,
/// and the ids of new customers whose calls fall due from now on.
fn apply_rows(
    tx: &Tx<'_>,
    pass: &mut FilePass<'_>,
    options: &Options<'_>,
    bad_rows: &RowBits,
    (now, progress): (Instant, &mut dyn FnMut((u64, u64))),
) -> anyhow::Result<(u64, u64, u64, Ids)> {
    let nobody_yet = is_empty(tx)?;
    let (mut new, mut changed, mut unchanged) = (0, 0, 0);
    let mut inserter = Inserter::new(tx, now)?;
    for row in 0.. {
        let Some((line, entry)) = pass.next_line()? else { break };
        if bad_rows.get(row) {
            continue;
        }
        let changed_meanwhile =
            || anyhow!("line {line} changed during the import; import it again");
        let entry = entry.map_err(|_| changed_meanwhile())?;
        let plan = plan(tx, pass, &entry, (options, now), nobody_yet)?;
        match plan.map_err(|_| changed_meanwhile())?.whom {
            Whom::New(customer) => {
                let is_due = is_due_from_then_on(&mut pass.reader, &customer, now);
                inserter.add(customer, is_due)?;
                new += 1;
            }
            Whom::Known(pair) => {
                match change(tx, &mut pass.reader, &pair.0, &pair.1, By { who: "import", now })?
                    .is_empty()
                {
                    true => unchanged += 1,
                    false => changed += 1,
                }
            }
        }
        if let Some(news) = pass.news() {
            progress(news);
        }
    }
    Ok((new, changed, unchanged, inserter.finish()?))
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
    let marked = report.consequences.as_ref().map_or(0, |found| found.welcome_marked);
    let marked =
        (marked > 0).then(|| format!("--no-welcome: {marked} welcome calls count as made"));
    let entry = journal::Entry {
        who: "import",
        what: "import",
        subject: &subject,
        new,
        why: marked.as_deref(),
        ..Default::default()
    };
    facts::add(tx, now, entry, &EntryFacts { due_ids: ids, ..EntryFacts::default() })
}
