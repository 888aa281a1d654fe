//! Output of every command: tables that fit the window, JSON, times in words, masked phones.
//! Removes control characters from foreign text, so that a name cannot control the terminal.

use std::io::{ErrorKind, IsTerminal, Write};

use anyhow::Context;
use chrono::{Duration, FixedOffset};
use serde::Serialize;
use terminal_size::{Width, terminal_size_of};

use crate::domain::calendar::zone::Zone;
use crate::domain::customer::mask_phone;
use crate::domain::{Instant, utc_words};

/// The meaning of a word in a table, shown as a colour on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Warn,
    Bad,
    Dim,
}

// A toned text carries its tone in zero-width characters, so that columns still line up. Printing
// replaces these marks by colours, or removes them.
const TONES: [(Tone, char, &str); 4] = [
    (Tone::Good, '\u{2061}', "\u{1b}[32m"),
    (Tone::Warn, '\u{2062}', "\u{1b}[33m"),
    (Tone::Bad, '\u{2063}', "\u{1b}[31m"),
    (Tone::Dim, '\u{2064}', "\u{1b}[2m"),
];
const TONE_END: char = '\u{2060}';
const COLOUR_END: &str = "\u{1b}[0m";
const BOLD: &str = "\u{1b}[1m";

/// Marks a text with a tone, for a cell or a line.
pub fn toned(tone: Tone, text: &str) -> String {
    let start = TONES.iter().find(|(known, _, _)| *known == tone).map_or('\0', |entry| entry.1);
    format!("{start}{}{TONE_END}", clean(text))
}

/// Puts foreign text on one line: control characters become blanks or go, and our own marks go.
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => cleaned.push(' '),
            // Also marks of the reading direction: they could change how a line reads.
            '\u{2060}'..='\u{2069}' | '\u{202a}'..='\u{202e}' => {}
            c if c.is_control() => {}
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// Rows under a header, without frames.
pub struct Table {
    inner: comfy_table::Table,
}

impl Table {
    pub fn new(header: &[&str]) -> Table {
        let mut inner = comfy_table::Table::new();
        inner.load_style(comfy_table::presets::NOTHING);
        inner.set_header(header.to_vec());
        for column in inner.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Table { inner }
    }

    /// Aligns a column of numbers to the right; columns count from 0.
    pub fn align_right(mut self, column: usize) -> Table {
        if let Some(column) = self.inner.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
        self
    }

    /// Adds a row. The caller passes foreign text through `clean` or `toned` first.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.inner.add_row(cells.into_iter().collect::<Vec<_>>());
    }

    pub fn is_empty(&self) -> bool {
        self.inner.row_count() == 0
    }

    /// Renders the table as text, wrapped to `width` columns if given.
    pub fn render(mut self, width: Option<u16>, colour: bool) -> String {
        if let Some(width) = width {
            self.inner.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
            self.inner.set_width(width);
        }
        let text = self.inner.trim_fmt();
        let mut lines = text.lines();
        let mut rendered = match lines.next() {
            Some(header) if colour => format!("{BOLD}{header}{COLOUR_END}"),
            Some(header) => header.to_string(),
            None => String::new(),
        };
        for line in lines {
            rendered.push('\n');
            rendered.push_str(&with_colour(line, colour));
        }
        rendered
    }

    pub fn print(self) -> anyhow::Result<()> {
        let text = self.render(window_width(), colours_wanted());
        bytes(format!("{text}\n").as_bytes())
    }
}

/// Replaces marks by colours, or removes them. A mark that ends on another line is removed.
fn with_colour(line: &str, colour: bool) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(|c| matches!(c, '\u{2060}'..='\u{2064}')) {
        let mark = rest[at..].chars().next().unwrap_or(TONE_END);
        out.push_str(&rest[..at]);
        rest = &rest[at + mark.len_utf8()..];
        let start = TONES.iter().find(|(_, known, _)| *known == mark).map(|entry| entry.2);
        if let (Some(start), Some(end), true) = (start, rest.find(TONE_END), colour) {
            out.push_str(start);
            out.push_str(&rest[..end]);
            out.push_str(COLOUR_END);
            rest = &rest[end + TONE_END.len_utf8()..];
        }
    }
    out.push_str(rest);
    out
}

/// Prints one line on stdout; `toned` parts become colours if colours are wanted.
pub fn line(text: &str) -> anyhow::Result<()> {
    bytes(format!("{}\n", with_colour(text, colours_wanted())).as_bytes())
}

/// Prints one value as indented JSON on stdout.
pub fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("write JSON")?;
    bytes(format!("{text}\n").as_bytes())
}

/// Prints bytes on stdout. A closed pipe is not an error: its reader has read enough.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("write to stdout")
        }
        _ => Ok(()),
    }
}

/// Whether to print colours: only on a terminal, and never if `NO_COLOR` is set.
fn colours_wanted() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// Columns of the window; `None` if stdout is not a terminal, so that lines stay whole.
fn window_width() -> Option<u16> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let from_environment = || std::env::var("COLUMNS").ok()?.parse().ok();
    let of_terminal = terminal_size_of(std::io::stdout()).map(|(Width(columns), _)| columns);
    of_terminal.or_else(from_environment).filter(|width| 20 <= *width)
}

/// How far away an instant is: `in 12 min`, `3 h ago`, `now`.
pub fn relative(at: Instant, now: Instant) -> String {
    let distance = at - now;
    let words = duration(distance.abs());
    match distance.num_seconds() {
        0 => "now".to_string(),
        1.. => format!("in {words}"),
        _ => format!("{words} ago"),
    }
}

/// A length of time in its largest unit: `45 s`, `12 min`, `3 h`, `2 d`. Never rounds up.
pub fn duration(length: Duration) -> String {
    let seconds = length.num_seconds();
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// For people: `Sun 2026-11-22 07:00`, the local time in the zone.
pub fn local_time(at: Instant, zone: &Zone) -> String {
    zone.local(at).format("%a %Y-%m-%d %H:%M").to_string()
}

/// The same, in UTC if the zone is not known.
pub fn local_or_utc(at: Instant, zone: Option<&Zone>) -> String {
    match zone {
        Some(zone) => local_time(at, zone),
        None => utc_words(at),
    }
}

/// What tells a local time from UTC: `UTC`, `UTC-5` or `UTC+5:30`.
pub fn offset(at: Instant, zone: &Zone) -> String {
    let minutes = zone.offset_secs(at) / 60;
    let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
    let sign = if minutes < 0 { '-' } else { '+' };
    match (hours, rest) {
        (0, 0) => "UTC".to_string(),
        (_, 0) => format!("UTC{sign}{hours}"),
        _ => format!("UTC{sign}{hours}:{rest:02}"),
    }
}

/// For programs: RFC 3339 with the zone's offset, to the second.
pub fn local_rfc3339(at: Instant, zone: &Zone) -> String {
    match FixedOffset::east_opt(zone.offset_secs(at)) {
        Some(offset) => {
            at.with_timezone(&offset).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        }
        None => crate::domain::instant_text(at),
    }
}

/// A phone as it may be shown: masked, unless the operator asked to reveal it.
pub fn phone(phone: &str, reveal: bool) -> String {
    if reveal { clean(phone) } else { mask_phone(&clean(phone)) }
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
