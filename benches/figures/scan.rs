//! The due scan: 500 customers of a million are due; it reads them and writes their items.

use ringonce::clock;
use ringonce::steps::scan;

use crate::world::{self, Crowd, Folder, median, timed};
use crate::{Figure, Ratio, plain};

const DUE: usize = 500;
const ROUNDS: usize = 15;

pub fn figures() -> anyhow::Result<Vec<Figure>> {
    let small = measure(10_000)?;
    let large = measure(1_000_000)?;
    let flat = large.0 / small.0;
    Ok(vec![
        Figure {
            work: "scan, 500 of 1,000,000 due, with their insertion".to_string(),
            ours: format!("{:.2} ms", large.0 * 1e3),
            plain: format!("{:.2} ms", large.1 * 1e3),
            ratio: Some(large.3),
            goal: Some(("<= 1.2".to_string(), large.3.median <= 1.2)),
        },
        Figure {
            work: "the same of 10,000 customers".to_string(),
            ours: format!("{:.2} ms", small.0 * 1e3),
            plain: format!("{:.2} ms", small.1 * 1e3),
            ratio: Some(small.3),
            goal: Some((format!("flat: {flat:.2} x"), flat <= 1.3)),
        },
        Figure {
            work: "scan of 1,000,000 with nothing due".to_string(),
            ours: format!("{:.2} ms", large.2 * 1e3),
            plain: String::new(),
            ratio: None,
            goal: None,
        },
    ])
}

/// Medians in seconds (ours, plain, ours with nothing due), and the ratio of ours to plain of
/// neighbouring runs.
fn measure(customers: usize) -> anyhow::Result<(f64, f64, f64, Ratio)> {
    let folder = Folder::new()?;
    let now = clock::machine_now();
    let due_from = now - chrono::Duration::minutes(5);
    let crowd =
        Crowd { customers, due: DUE, due_from, due_every: chrono::Duration::milliseconds(100) };
    world::fill(&folder.db(), crowd, now)?;
    let cx = world::context(&folder.db(), 1, now)?;
    let mut conn = world::plain_connection(&folder.db())?;
    let (mut ours, mut theirs, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        conn.execute_batch("DELETE FROM call_queue; PRAGMA wal_checkpoint(TRUNCATE)")?;
        let (plain_took, queued) = timed(|| Ok(plain::scan(&mut conn, now)?))?;
        anyhow::ensure!(queued == DUE, "the plain loop queued {queued}");
        conn.execute_batch("DELETE FROM call_queue; PRAGMA wal_checkpoint(TRUNCATE)")?;
        let (took, scanned) = timed(|| scan::scan(&cx, now))?;
        anyhow::ensure!(scanned.queued == DUE, "the scan queued {}", scanned.queued);
        let (nothing, scanned) = timed(|| scan::scan(&cx, now))?;
        anyhow::ensure!(scanned.queued == 0, "the scan queued again");
        // The first round warms up both sides.
        if round > 0 {
            theirs.push(plain_took);
            ours.push(took);
            ratios.push(took / plain_took);
            idle.push(nothing);
        }
    }
    Ok((median(ours), median(theirs), median(idle), Ratio::of(ratios)))
}
