//! `customers import` in its own process, so that its memory can be measured. Rates are rows per
//! second of processor time, of the user and of the system, on one core.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ringonce::clock;
use rusqlite::params;

use crate::world::{self, Folder, memory_of, processor_times};
use crate::{Figure, Ratio};

const ROWS: usize = 200_000;
const ROUNDS: usize = 3;
/// The rows for the figures of memory.
const SIZES: [usize; 3] = [20_000, ROWS, 1_000_000];
/// Rows a second of one core.
const GOAL: f64 = 50_000.0;
/// Memory is flat if the largest file takes at most this many times the memory of the smallest.
const FLAT: f64 = 1.25;

pub fn figures() -> anyhow::Result<Vec<Figure>> {
    let files = Files::new()?;
    let (mut dry, mut real, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        dry.push(files.import(ROWS, Form::Sorted, &["--dry-run"])?.rate);
        real.push(files.import(ROWS, Form::Sorted, &[])?.rate);
        plain.push(ROWS as f64 / plain_load()?);
    }
    let ratios = real.iter().zip(&plain).map(|(real, plain)| real / plain).collect();
    let (dry, real) = (world::median(dry), world::median(real));
    let figure = |work: &str, rate: f64| Figure {
        work: work.to_string(),
        ours: format!("{rate:.0}/s"),
        plain: String::new(),
        ratio: None,
        goal: Some((">= 50000/s".to_string(), GOAL <= rate)),
    };
    let random = files.import(ROWS, Form::Shuffled, &[])?.rate;
    let beside = files.import_beside()?;
    let people = |flags: &[&str]| {
        let flags = [&["--default-country", "US"], flags].concat();
        files.import(ROWS, Form::People, &flags)
    };
    let (people_dry, people) = (people(&["--dry-run"])?.rate, people(&[])?.rate);
    Ok(vec![
        figure("dry run of 200,000 new rows, phone and zone checked", dry),
        Figure {
            plain: format!("{:.0}/s", world::median(plain)),
            ratio: Some(Ratio::of(ratios)),
            ..figure("import of 200,000 new rows, phone and zone checked", real)
        },
        figure("the same, all keys in random order", random),
        figure("the same, beside 200,000 known customers", beside),
        figure("dry run of random ids, phones with marks, three variables", people_dry),
        figure("import of the same", people),
        files.memory("dry run", &["--dry-run"])?,
        files.memory("import", &[])?,
    ])
}

/// One import: rows a second of processor time, and peak megabytes.
struct Import {
    rate: f64,
    peak: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// Keys in ascending order, phones in E.164.
    Sorted,
    /// The same rows; the external ids, e-mails and phones are in random order.
    Shuffled,
    /// As applications export: random ids, phones with marks, and columns that become variables.
    People,
}

/// The files to import.
struct Files(Folder);

impl Files {
    fn new() -> anyhow::Result<Files> {
        let files = Files(Folder::new()?);
        for rows in SIZES {
            std::fs::write(files.path(rows, Form::Sorted), csv(0..rows, Form::Sorted)?)?;
        }
        for form in [Form::Shuffled, Form::People] {
            std::fs::write(files.path(ROWS, form), csv(0..ROWS, form)?)?;
        }
        Ok(files)
    }

    fn path(&self, rows: usize, form: Form) -> PathBuf {
        self.0.path().join(format!("{rows}-{form:?}.csv"))
    }

    /// Imports a file into a new database.
    fn import(&self, rows: usize, form: Form, flags: &[&str]) -> anyhow::Result<Import> {
        let folder = Folder::new()?;
        import(&self.path(rows, form), &folder.db(), rows, flags)
    }

    /// Rows a second of an import of new customers into a database with as many others.
    fn import_beside(&self) -> anyhow::Result<f64> {
        let folder = Folder::new()?;
        import(&self.path(ROWS, Form::Sorted), &folder.db(), ROWS, &[])?;
        let more = folder.path().join("more.csv");
        std::fs::write(&more, csv(ROWS..2 * ROWS, Form::Sorted)?)?;
        Ok(import(&more, &folder.db(), ROWS, &[])?.rate)
    }

    /// The peak memory for each size of file.
    fn memory(&self, what: &str, flags: &[&str]) -> anyhow::Result<Figure> {
        let mut peaks = Vec::new();
        for rows in SIZES {
            peaks.push(self.import(rows, Form::Sorted, flags)?.peak);
        }
        let [few, _, many] = peaks[..] else { anyhow::bail!("not three sizes") };
        let shown: Vec<String> = peaks.iter().map(|peak| format!("{peak:.0}")).collect();
        Ok(Figure {
            work: format!("peak memory: {what} of 20,000, 200,000, 1,000,000 rows"),
            ours: format!("{} MB", shown.join(", ")),
            plain: String::new(),
            ratio: None,
            goal: Some(("flat".to_string(), many <= few * FLAT)),
        })
    }
}

fn csv(numbers: std::ops::Range<usize>, form: Form) -> anyhow::Result<String> {
    const BEGINS: &str =
        "external_id,email,phone,timezone,payment_status,welcome_call_completed,call_time,name";
    let mut text = match form {
        Form::People => format!("{BEGINS},created_at,First Name,plan,city\n"),
        Form::Sorted | Form::Shuffled => format!("{BEGINS}\n"),
    };
    let zones = ["America/New_York", "Europe/London", "Asia/Tokyo", "Eastern (ET)"];
    let (ids, mails) = match form {
        Form::Sorted => (numbers.clone().collect(), numbers.collect()),
        Form::Shuffled | Form::People => (shuffled(numbers.clone(), 1), shuffled(numbers, 2)),
    };
    for (row, (id, mail)) in std::iter::zip(ids, mails).enumerate() {
        let zone = zones[row % zones.len()];
        let ends = format!("{zone},Paid,1,7:00 am,Ada Example");
        let phone = 2_000_000 + id;
        if form == Form::People {
            let (high, low) = (mixed(id as u64, 3), mixed(id as u64, 4));
            let (exchange, line) = (phone / 10_000, phone % 10_000);
            writeln!(
                text,
                "{high:016x}{low:016x},ada.{mail}@example.com,(212) {exchange}-{line:04},{ends},\
                 2026-02-03T10:00:00Z,Ada,pro,\"Springfield, {row}\""
            )?;
        } else {
            writeln!(text, "bench-{id},a{mail}@example.com,+1212{phone:07},{ends}")?;
        }
    }
    Ok(text)
}

fn shuffled(numbers: std::ops::Range<usize>, seed: u64) -> Vec<usize> {
    let mut shuffled: Vec<usize> = numbers.collect();
    shuffled.sort_by_cached_key(|number| mixed(*number as u64, seed) >> 16);
    shuffled
}

/// A number that shows no order.
fn mixed(number: u64, seed: u64) -> u64 {
    let mixed = (number + (seed << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

fn import(csv: &Path, db: &Path, rows: usize, flags: &[&str]) -> anyhow::Result<Import> {
    let (_, before) = processor_times()?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringonce"))
        .args(["customers", "import"])
        .arg(csv)
        .args(flags)
        .arg("--db")
        .arg(db)
        .stdout(Stdio::null())
        .spawn()?;
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(memory_of(child.id(), "VmHWM").unwrap_or(0.0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        clock::pause(Duration::from_millis(5));
    };
    anyhow::ensure!(status.success(), "the import failed: {status}");
    Ok(Import { rate: rows as f64 / (processor_times()?.1 - before), peak })
}

/// Seconds of processor time of a plain loop that inserts rows without reading or checking them.
fn plain_load() -> anyhow::Result<f64> {
    let folder = Folder::new()?;
    let now = clock::machine_now();
    drop(ringonce::store::Store::open(&folder.db(), now)?);
    let mut conn = world::plain_connection(&folder.db())?;
    let (before, _) = processor_times()?;
    let tx = conn.transaction()?;
    let mut insert = tx.prepare(
        "INSERT INTO customers (external_id, name, email, phone, phone_validated, timezone,
           call_time, payment_status, welcome_call_completed, next_call_scheduled_at,
           created_at, updated_at)
         VALUES (?1, 'Ada Example', ?2, ?3, 1, 'Europe/London', '07:00', 'Paid', 1, ?4, ?4, ?4)",
    )?;
    let now = ringonce::domain::instant_text(now);
    for number in 0..ROWS {
        insert.execute(params![
            format!("bench-{number}"),
            format!("a{number}@example.com"),
            format!("+1212{:07}", 2_000_000 + number),
            now
        ])?;
    }
    drop(insert);
    tx.commit()?;
    Ok(processor_times()?.0 - before)
}
