//! `customers import` of 200,000 rows, in its own process so that its memory can be measured. Rates
//! are rows per second of processor time on one core.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ringonce::clock;
use rusqlite::params;

use crate::world::{self, Folder, memory_of, processor_times};
use crate::{Figure, Ratio};

const ROWS: usize = 200_000;

pub fn figures() -> anyhow::Result<Vec<Figure>> {
    let (few_took, few_memory) = import(ROWS / 10)?;
    let (took, memory) = import(ROWS)?;
    let plain = plain_load()?;
    let rate = ROWS as f64 / took;
    Ok(vec![
        Figure {
            work: "import of 200,000 CSV rows, phone and zone checked".to_string(),
            ours: format!("{rate:.0}/s"),
            plain: format!("{:.0}/s", ROWS as f64 / plain),
            ratio: Some(Ratio::of(vec![plain / took])),
            goal: Some((">= 50000/s".to_string(), 50_000.0 <= rate)),
        },
        Figure {
            work: "its peak memory (20,000 rows: beside)".to_string(),
            ours: format!("{memory:.0} MB"),
            plain: format!("{few_memory:.0} MB in {few_took:.1} s"),
            ratio: None,
            goal: Some(("flat".to_string(), memory <= few_memory * 1.5)),
        },
    ])
}

fn write_csv(path: &Path, rows: usize) -> anyhow::Result<()> {
    let mut text = String::from(
        "external_id,name,email,phone,timezone,call_time,payment_status,welcome_call_completed\n",
    );
    let zones = ["America/New_York", "Europe/London", "Asia/Tokyo", "Eastern (ET)"];
    for number in 0..rows {
        let zone = zones[number % zones.len()];
        writeln!(
            text,
            "bench-{number},Ada Example,a{number}@example.com,+1212{:07},{zone},7:00 am,Paid,1",
            2_000_000 + number
        )?;
    }
    Ok(std::fs::write(path, text)?)
}

/// Seconds of processor time and peak megabytes of one import into a new database.
fn import(rows: usize) -> anyhow::Result<(f64, f64)> {
    let folder = Folder::new()?;
    let csv = folder.path().join("customers.csv");
    write_csv(&csv, rows)?;
    let (_, before) = processor_times()?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringonce"))
        .args(["customers", "import"])
        .arg(&csv)
        .arg("--db")
        .arg(folder.db())
        .current_dir(folder.path())
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
    Ok((processor_times()?.1 - before, peak))
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
