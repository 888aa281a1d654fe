//! Lateness of dialing beside a receiver of events that hangs, and without events, in turns. Each event
//! of each call is tried and never answered.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringonce::clock;

use crate::process::{configuration, end, fake, late_by, ringonce, wait_for_posts};
use crate::world::{self, Crowd, Folder, quantile};
use crate::{Figure, Ratio};

/// Calls of a round, one each fiftieth of a second.
const CALLS: usize = 200;
const ROUNDS: usize = 5;
/// From the start of `run` to the first call.
const STARTS_WITHIN: chrono::Duration = chrono::Duration::seconds(3);

pub fn figures() -> anyhow::Result<Vec<Figure>> {
    let hanging = Hanging::start()?;
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let without = late("")?;
        let with = late(&format!("[events]\nurl = \"http://{}/hook\"\n", hanging.address))?;
        ratios.push(quantile(&with, 0.99) / quantile(&without, 0.99).max(1.0));
        alone.extend(without);
        beside.extend(with);
    }
    anyhow::ensure!(hanging.connections() > 0, "no event was sent");
    for late in [&mut alone, &mut beside] {
        late.sort_by(f64::total_cmp);
    }
    let told =
        |late: &[f64]| format!("{:.0} ms, {:.0} ms", quantile(late, 0.5), quantile(late, 0.99));
    let ratio = Ratio::of(ratios);
    Ok(vec![Figure {
        work: "run: lateness beside a receiver that hangs, p50, p99 (plain: without events)"
            .to_string(),
        ours: told(&beside),
        plain: told(&alone),
        ratio: Some(ratio),
        goal: Some(("p99 <= 100 ms".to_string(), quantile(&beside, 0.99) <= 100.0)),
    }])
}

/// The lateness of each call of one `run`.
fn late(events: &str) -> anyhow::Result<Vec<f64>> {
    let folder = Folder::new()?;
    let now = clock::machine_now();
    let (due_from, due_every) = (now + STARTS_WITHIN, chrono::Duration::milliseconds(20));
    let crowd = Crowd { customers: CALLS, due: CALLS, due_from, due_every };
    world::fill(&folder.db(), crowd, now)?;
    let fake = fake()?;
    let text = format!("{}{events}", configuration(&fake));
    std::fs::write(folder.path().join("ringonce.toml"), text)?;
    let mut command = ringonce(&folder);
    command.arg("run").env("RINGONCE_EVENTS_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let mut run: Child = command.stderr(Stdio::null()).spawn()?;
    let posts = wait_for_posts(&mut run, &fake, CALLS, Duration::from_secs(60));
    end(&mut run)?;
    posts?;
    late_by(&folder, &fake, 0)
}

/// A server that takes every connection and never answers.
struct Hanging {
    address: String,
    taken: Arc<Mutex<Vec<TcpStream>>>,
}

impl Hanging {
    fn start() -> anyhow::Result<Hanging> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let taken: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let kept = Arc::clone(&taken);
        // It ends with this process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                kept.lock().expect("no panic").push(stream);
            }
        });
        Ok(Hanging { address, taken })
    }

    fn connections(&self) -> usize {
        self.taken.lock().expect("no panic").len()
    }
}
