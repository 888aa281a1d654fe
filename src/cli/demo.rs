//! `demo`: simulates three days in seconds and prints a table of all outcomes.

pub mod fake_vapi;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::cli::arguments::configuration::Settings;
use crate::cli::exit::Exit;
use crate::cli::serve::looking;
use crate::clock;
use crate::config::load::{Overrides, load};
use crate::demo::show;
use crate::demo::show::mishaps::{Mishap, MishapKind};
use crate::demo::show::people::{FEWEST, MOST};
use crate::demo::show::story::{Day, Story};
use crate::demo::show::world::Wanted;
use crate::domain::call::AttemptState;
use crate::present::attempt;
use crate::present::output::{self, Table, Tone, clean, toned};
use crate::zones::Zones;

/// Run three days of calls in seconds, on loopback, with invented people and a fake provider
///
/// The demo runs the real scan, dialer, client and database in a temporary folder. It needs no
/// key, reads no configuration and connects to loopback only. Exits 1 if any phone rang twice.
#[derive(Args)]
pub struct DemoArgs {
    /// Number of invented people
    #[arg(long, value_name = "N", default_value_t = FEWEST as u64)]
    #[arg(value_parser = clap::value_parser!(u64).range(FEWEST as u64..=MOST as u64))]
    pub customers: u64,
    /// Keep the folder with the database, the configuration and the provider's journal
    #[arg(long)]
    pub keep: bool,
    /// Then serve the page of the three days at this address, read-only, until Ctrl-C
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
}

pub fn run(args: &DemoArgs) -> anyhow::Result<Exit> {
    let started = clock::elapsed();
    let folder = Folder::create(args.keep)?;
    let stop = looking::stop_signals()?;
    let wanted = Wanted {
        customers: usize::try_from(args.customers).unwrap_or(FEWEST),
        folder: folder.path.clone(),
        stop,
    };
    let bar = progress_bar();
    let mut calls = 0;
    let told = show::run(&wanted, &mut |now, placed| {
        calls += placed;
        bar.set_message(format!("{}  {calls} calls", now.format("%a %H:%M UTC")));
        bar.inc(1);
    });
    bar.finish_and_clear();
    let story = told?;
    let seconds = clock::elapsed().saturating_sub(started).as_secs_f64();
    if args.keep {
        output::line(&format!("Kept for you to look around: {}", folder.path.display()))?;
        output::line("")?;
    }
    print(&story, seconds)?;
    if let (Some(address), true) = (&args.listen, story.counted.is_clean()) {
        output::line("")?;
        return serve_page(&folder.path, address, &wanted.stop);
    }
    Ok(if story.counted.is_clean() { Exit::Done } else { Exit::Failed })
}

/// Serves the page of the folder's database, at the last instant of the three days.
fn serve_page(folder: &Path, address: &str, stop: &Arc<AtomicBool>) -> anyhow::Result<Exit> {
    let flags = Overrides {
        config: Some(folder.join("ringonce.toml")),
        db: Some(folder.join("ringonce.db")),
        listen: Some(address.to_string()),
    };
    let clock = folder.join("clock").display().to_string();
    let environment = |name: &str| (name == "RINGONCE_TEST_CLOCK").then(|| clock.clone());
    let loaded = load(&flags, &environment)?;
    let settings = Settings { loaded, zones: Zones::load() };
    looking::serve_until_stopped(settings, looking::NOT_DIALING, stop)
}

/// A folder that only its owner may read, removed when the demo ends unless `keep` is set.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn create(keep: bool) -> anyhow::Result<Folder> {
        let name = format!("ringonce-demo-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Folder { path, keep })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            remove(&self.path);
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        log::warn!("{} could not be removed: {error}", path.display());
    }
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}");
    ProgressBar::new(show::TICKS).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn print(story: &Story, seconds: f64) -> anyhow::Result<()> {
    output::line(&format!(
        "{} invented people in {} time zones, {} days, {} ticks 15 minutes apart.",
        story.customers,
        story.zones,
        story.days.len(),
        story.ticks
    ))?;
    output::line("On Sunday the clocks in North America go forward.")?;
    output::line("")?;
    days(story).print()?;
    output::line("")?;
    output::line("Never due, and never called:")?;
    let never = story.never.iter().map(|(why, count)| format!("{count} {why}"));
    output::line(&format!("  {}", never.collect::<Vec<_>>().join(" · ")))?;
    output::line("")?;
    output::line("Went wrong on purpose; nobody was called again for it:")?;
    let mut table = Table::new(&["  when", "what", "became"]);
    for mishap in &story.mishaps {
        let when = format!("  {}", mishap.at.format("%a %H:%M"));
        table.row([when, mishap.trouble.what().to_string(), became(mishap)]);
    }
    table.print()?;
    output::line("")?;
    output::line("What the last two people said:")?;
    for said in &story.said {
        output::line(&format!("  {}, {}", clean(&said.name), said.when))?;
        output::line(&format!("    {}", clean(&said.summary)))?;
        let value = |(name, value): &(String, Value)| {
            format!("{}: {}", clean(name), clean(&attempt::value_text(value)))
        };
        let values: Vec<String> = said.structured.iter().map(value).collect();
        output::line(&format!("    {}", values.join(" · ")))?;
    }
    output::line("")?;
    verdict(story, seconds)
}

/// A table with a column per day and a row per outcome.
fn days(story: &Story) -> Table {
    let names: Vec<String> =
        story.days.iter().map(|day| day.date.format("%a %-d %b").to_string()).collect();
    let mut header = vec!["UTC"];
    header.extend(names.iter().map(String::as_str));
    header.push("all");
    let mut table = Table::new(&header);
    for column in 1..header.len() {
        table = table.align_right(column);
    }
    let mut row = |name: &str, always: bool, value: &dyn Fn(&Day) -> usize| {
        let counts: Vec<usize> = story.days.iter().map(value).collect();
        let all: usize = counts.iter().sum();
        if always || all > 0 {
            let cells = counts.iter().chain([&all]).map(usize::to_string);
            table.row([name.to_string()].into_iter().chain(cells));
        }
    };
    row("due", true, &|day| day.due);
    row("called", true, &|day| day.called);
    row("  reached", true, &|day| day.reached);
    row("  voicemail", false, &|day| day.voicemail);
    row("  nobody answered", false, &|day| day.no_answer);
    row("  no such number", false, &|day| day.bad_number);
    row("  not over yet", false, &|day| day.under_way);
    row("  welcome calls among them", false, &|day| day.welcome);
    row("  tried again 2 hours later", false, &|day| day.retried);
    row("called before we came", false, &|day| day.already);
    let reasons: std::collections::BTreeSet<&str> =
        story.days.iter().flat_map(|day| day.skipped.keys().copied()).collect();
    for reason in reasons {
        let name = format!("skipped: {}", skipped_because(reason));
        row(&name, false, &|day| day.skipped.get(reason).copied().unwrap_or(0));
    }
    row("failed", false, &|day| day.failed);
    row("in doubt, waits for evidence", false, &|day| day.in_doubt);
    row("still waiting", false, &|day| day.waiting);
    table
}

/// A skip reason in plain words; the closed list's own word if it is clear enough.
fn skipped_because(reason: &str) -> String {
    match reason {
        "same_phone" => "phone already called".to_string(),
        "do_not_call" => "do not call".to_string(),
        "min_gap" => "too soon after the last".to_string(),
        other => other.replace('_', " "),
    }
}

fn became(mishap: &Mishap) -> String {
    let Some((at, state)) = mishap.settled else {
        return toned(Tone::Warn, "in doubt, not called again");
    };
    let after = output::duration(at - mishap.at);
    let text = match (state, mishap.trouble) {
        (AttemptState::NotPlaced, _) => {
            format!("absence proven after {after}, called once")
        }
        (_, MishapKind::Killed) => "found by its tag at the next start".to_string(),
        _ => format!("found by its tag {after} later"),
    };
    toned(Tone::Good, &text)
}

fn verdict(story: &Story, seconds: f64) -> anyhow::Result<()> {
    let counted = &story.counted;
    let tone = |count: usize| if count == 0 { Tone::Good } else { Tone::Bad };
    output::line(&format!(
        "{} repeated POSTs · {} rings of people not to be called · all in {seconds:.0} s",
        toned(tone(counted.repeated_posts), &counted.repeated_posts.to_string()),
        toned(tone(counted.forbidden), &counted.forbidden.to_string()),
    ))?;
    output::line(&format!(
        "{} (counted by the fake provider's own journal, {} rings)",
        toned(tone(counted.duplicates), &format!("duplicates {}", counted.duplicates)),
        counted.rings
    ))
}
