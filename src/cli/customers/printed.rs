//! Prints what an import found and did.

use std::collections::HashSet;

use crate::cli::customers::consequences;
use crate::domain::customer::columns::shown;
use crate::domain::instant_words;
use crate::present::output;
use crate::steps::customers::same_phone_words;
use crate::steps::import::consequences::Consequences;
use crate::steps::import::header::meant_by;
use crate::steps::import::options::Outlook;
use crate::steps::import::report::{ImportOutcome, ImportReport, RowProblem, SamePhone, Sample};

/// The warning for a phone in the form of before a renumbering.
pub const RENUMBERED: &str = "given as before a renumbering: today's form is stored";

/// Prints the report of an import.
pub fn print(file: &str, report: &ImportReport, outlook: &Outlook) -> anyhow::Result<()> {
    print_form(report)?;
    for problem in &report.problems {
        output::line(&describe(file, problem))?;
    }
    let listed = report.problems.iter().map(|p| p.line).collect::<HashSet<_>>().len() as u64;
    if listed < report.bad {
        output::line(&format!("… and {} more bad rows", report.bad - listed))?;
    }
    for warning in &report.warnings {
        output::line(&format!("{}; kept, not dialed", describe(file, warning)))?;
    }
    let listed = report.warnings.len() as u64;
    if listed < report.undialable {
        let more = report.undialable - listed;
        output::line(&format!("… and {more} more that cannot be dialed"))?;
    }
    if !report.is_no_news() {
        print_same_phone(report)?;
    }
    if report.renumbered > 0 {
        let count = report.renumbered;
        output::line(&format!("{count} {RENUMBERED}"))?;
    }
    print_samples("new", report.new, &report.new_samples)?;
    print_samples("changed", report.changed, &report.changed_samples)?;
    // A bad row may be the row of a customer who seems to be missing.
    if report.bad == 0 {
        print_missing(report)?;
        print_returned(report)?;
    }
    if report.is_no_news() {
        if let Some(found) = &report.consequences {
            consequences::print_lasting(found, outlook)?;
        }
        return print_outcome(report);
    }
    if !report.variables.is_empty() {
        let names: Vec<String> =
            report.variables.iter().map(|name| describe_variable(name, report)).collect();
        output::line(&format!("into variables: {}", names.join(", ")))?;
    }
    if !report.ignored.is_empty() {
        output::line(&format!("columns skipped: {}", report.ignored.join(", ")))?;
    }
    if let Some(found) = report.consequences.as_ref().filter(|found| found.customers > 0) {
        consequences::print(found, outlook)?;
        print_old_sign_ups(report, found)?;
    }
    print_outcome(report)
}

fn print_outcome(report: &ImportReport) -> anyhow::Result<()> {
    let outcome = match report.outcome {
        ImportOutcome::Applied => "",
        ImportOutcome::DryRun => " (dry run, nothing was written)",
        ImportOutcome::Refused => " (refused, nothing was written)",
    };
    output::line(&format!("{}{outcome}", report.summary()))
}

/// Names the customers whom a full export would hold.
fn print_missing(report: &ImportReport) -> anyhow::Result<()> {
    for (id, who) in &report.missing_samples {
        output::line(&format!("not in the file: customer {id}, {}", shown(who)))?;
    }
    let more = report.missing.saturating_sub(report.missing_samples.len() as u64);
    if more > 0 {
        output::line(&format!("… and {more} more known customers are not in the file"))?;
    }
    if report.missing_paused > 0 {
        let count = report.missing_paused;
        output::line(&format!("paused, because they are not in the file: {count}"))?;
    }
    Ok(())
}

/// Names the customers who were paused as missing and are back. Whether they are called again is for
/// a person to say.
fn print_returned(report: &ImportReport) -> anyhow::Result<()> {
    for (id, who) in &report.returned_samples {
        output::line(&format!(
            "in the file again, but still paused: customer {id}, {}: \
             `ringonce resume --customer id:{id} --reason …`",
            shown(who)
        ))?;
    }
    let more = report.returned.saturating_sub(report.returned_samples.len() as u64);
    if more > 0 {
        output::line(&format!("… and {more} more are in the file again and still paused"))?;
    }
    Ok(())
}

/// Names the first customers about whom a person must decide.
fn print_old_sign_ups(report: &ImportReport, found: &Consequences) -> anyhow::Result<()> {
    for old in found.old_welcome_samples.iter().filter(|_| report.needs_decision) {
        let (who, since) = (shown(&old.who), instant_words(&old.created_at));
        output::line(&format!("old sign-up: line {}, {who}, of {since}", old.line))?;
    }
    Ok(())
}

fn print_same_phone(report: &ImportReport) -> anyhow::Result<()> {
    for sample in &report.same_phone_samples {
        let who = shown(&sample.who);
        output::line(&format!("line {}, {who}: {}", sample.line, same_phone(sample)))?;
    }
    let more = report.same_phone.saturating_sub(report.same_phone_samples.len() as u64);
    if more > 0 {
        output::line(&format!("… and {more} more rows whose phone somebody else has"))?;
    }
    if report.same_phone == 0 {
        return Ok(());
    }
    output::line(
        "Rows with the same phone get one welcome call, and one daily call a date, together. Where \
         several people answer the phone, set shared_phone to yes in each row.",
    )
}

/// `same phone as customer 1; same phone as line 2`
fn same_phone(sample: &SamePhone) -> String {
    let line = sample.first_line.map(|line| format!("same phone as line {line}"));
    let words: Vec<String> = same_phone_words(&sample.customers).into_iter().chain(line).collect();
    words.join("; ")
}

fn print_samples(kind: &str, count: u64, samples: &[Sample]) -> anyhow::Result<()> {
    for sample in samples {
        let fields = if sample.fields.is_empty() {
            String::new()
        } else {
            format!(": {}", sample.fields.join(", "))
        };
        output::line(&format!("{kind}: line {}, {}{fields}", sample.line, shown(&sample.who)))?;
    }
    let more = count.saturating_sub(samples.len() as u64);
    if more > 0 { output::line(&format!("… and {more} more {kind}")) } else { Ok(()) }
}

/// `customers.csv line 7, column timezone: "Eastern Time" is not an IANA zone; nearest: …`
pub fn describe(file: &str, problem: &RowProblem) -> String {
    let line = problem.line;
    match &problem.column {
        Some(column) => format!("{file} line {line}, column {column}: {}", problem.reason),
        None => format!("{file} line {line}: {}", problem.reason),
    }
}

/// Names the header if a template could not use it, and a column that may have been meant.
fn describe_variable(name: &str, report: &ImportReport) -> String {
    let header =
        report.renamed.iter().find(|(_, renamed)| renamed == name).map(|(header, _)| header);
    match (header, meant_by(header.map_or(name, String::as_str))) {
        (Some(header), _) => format!("{} (from \"{}\")", shown(name), shown(header)),
        (None, Some(field)) => format!("{} (did you mean {field}?)", shown(name)),
        (None, None) => shown(name).into_owned(),
    }
}

/// `read as windows-1252, separated by semicolons`: what is not usual about the file.
fn print_form(report: &ImportReport) -> anyhow::Result<()> {
    let form = &report.form;
    let mut words = Vec::new();
    if form.encoding == "windows-1252" {
        words.push(
            "read as Windows-1252 (Latin-1), because it is not UTF-8: if names look wrong, give \
             --encoding"
                .to_string(),
        );
    } else if form.encoding != "UTF-8" {
        words.push(format!("read as {}", form.encoding));
    }
    let separators = [(';', "semicolons"), ('\t', "tabs"), ('|', "pipes")];
    let separator = separators.iter().find(|(separator, _)| *separator == form.separator);
    words.extend(separator.map(|(_, name)| format!("separated by {name}")));
    if form.is_compressed {
        words.push("decompressed from gzip".to_string());
    }
    if !words.is_empty() {
        output::line(&format!("file: {}", words.join("; ")))?;
    }
    if report.short_rows > 0 {
        output::line(&format!(
            "rows that end before the header does: {}; their missing cells count as empty",
            report.short_rows
        ))?;
    }
    Ok(())
}
