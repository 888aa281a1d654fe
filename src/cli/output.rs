//! What every command prints with: tables that fit the window, JSON, times in words, masked
//! phones. Refuses control characters in what others wrote: a name must not steer a terminal.

use std::io::{ErrorKind, IsTerminal, Write};

use anyhow::Context;
use chrono::{Duration, FixedOffset};
use serde::Serialize;

use crate::domain::customer::mask_phone;
use crate::domain::zone::Zone;
use crate::domain::{Instant, utc_words};

/// What a word in a table means, shown as its colour on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Warn,
    Bad,
    Dim,
}

// A toned text carries its tone in characters without width, so that columns still line up; they
// become colours, or nothing, when the text is printed.
const TONES: [(Tone, char, &str); 4] = [
    (Tone::Good, '\u{2061}', "\u{1b}[32m"),
    (Tone::Warn, '\u{2062}', "\u{1b}[33m"),
    (Tone::Bad, '\u{2063}', "\u{1b}[31m"),
    (Tone::Dim, '\u{2064}', "\u{1b}[2m"),
];
const TONE_END: char = '\u{2060}';
const COLOUR_END: &str = "\u{1b}[0m";
const BOLD: &str = "\u{1b}[1m";

/// The text with a meaning, for a cell or a line.
pub fn toned(tone: Tone, text: &str) -> String {
    let start = TONES.iter().find(|(known, _, _)| *known == tone).map_or('\0', |entry| entry.1);
    format!("{start}{}{TONE_END}", clean(text))
}

/// Text of others on one line: control characters become blanks or go, marks of ours go.
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => cleaned.push(' '),
            // Also what turns the reading direction: it could make a line say something else.
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

    /// Numbers read better so; columns count from 0.
    pub fn align_right(mut self, column: usize) -> Table {
        if let Some(column) = self.inner.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
        self
    }

    /// Adds a row. Text of others goes through `clean` or `toned` first.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.inner.add_row(cells.into_iter().collect::<Vec<_>>());
    }

    pub fn is_empty(&self) -> bool {
        self.inner.row_count() == 0
    }

    /// The table as text: wrapped to `width` columns where that is given.
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

/// Marks become colours. A mark whose end stands on another line becomes nothing.
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

/// One line on stdout; `toned` parts become colours where they are wanted.
pub fn line(text: &str) -> anyhow::Result<()> {
    bytes(format!("{}\n", with_colour(text, colours_wanted())).as_bytes())
}

/// One value as indented JSON on stdout.
pub fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("write JSON")?;
    bytes(format!("{text}\n").as_bytes())
}

/// Bytes on stdout. A reader that has gone is no error: it had what it wanted.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("write to stdout")
        }
        _ => Ok(()),
    }
}

/// Colours only on a terminal, and never against `NO_COLOR`.
fn colours_wanted() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// Columns of the window; `None` when the output goes elsewhere and lines stay whole.
fn window_width() -> Option<u16> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let from_environment = || std::env::var("COLUMNS").ok()?.parse().ok();
    asked_width().or_else(from_environment).filter(|width| 20 <= *width)
}

#[cfg(unix)]
fn asked_width() -> Option<u16> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is a valid, writable winsize for the length of the call.
    let failed = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    Some(size.ws_col).filter(|columns| failed == 0 && *columns != 0)
}

#[cfg(not(unix))]
fn asked_width() -> Option<u16> {
    None
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

/// For people: `Sun 2026-11-22 07:00` as a clock on the wall there shows it.
pub fn local_time(at: Instant, zone: &Zone) -> String {
    zone.local(at).format("%a %Y-%m-%d %H:%M").to_string()
}

/// The same, in UTC where the zone is not known.
pub fn local_or_utc(at: Instant, zone: Option<&Zone>) -> String {
    match zone {
        Some(zone) => local_time(at, zone),
        None => utc_words(at),
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
