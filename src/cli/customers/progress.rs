//! The progress bar of an import: what it does, rows a second, and the time left.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock;
use crate::steps::import::report::Progress;

/// A progress bar; hidden if stderr is not a terminal.
pub struct Bar {
    bar: ProgressBar,
    is_writing: bool,
    /// When the present part of the work began.
    began: Duration,
    /// When the last report came.
    last: Duration,
}

impl Bar {
    pub fn new() -> Bar {
        let now = clock::elapsed();
        let bar = |bar| Bar { bar, is_writing: false, began: now, last: now };
        if !std::io::stderr().is_terminal() {
            return bar(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} %, {eta} left");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        bar(ProgressBar::new(1).with_style(style))
    }

    pub fn show(&mut self, progress: Progress) {
        if self.bar.is_hidden() {
            return;
        }
        let now = clock::elapsed();
        if progress.is_writing && !self.is_writing {
            (self.is_writing, self.began) = (true, self.last);
        }
        self.last = now;
        self.bar.set_message(words(progress, now - self.began));
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// `writing, 82000 rows/s`. The rate is left out until a millisecond has passed.
fn words(progress: Progress, took: Duration) -> String {
    let what = if progress.is_writing { "writing" } else { "checking" };
    match u128::from(progress.rows * 1000).checked_div(took.as_millis()) {
        Some(rate) => format!("{what}, {rate} rows/s"),
        None => what.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_name_the_work_and_its_rows_a_second() {
        let progress = Progress { rows: 41_000, ..Progress::default() };
        assert_eq!(words(progress, Duration::from_millis(500)), "checking, 82000 rows/s");
        let progress = Progress { is_writing: true, ..progress };
        assert_eq!(words(progress, Duration::from_secs(1)), "writing, 41000 rows/s");
        assert_eq!(words(progress, Duration::ZERO), "writing");
    }
}
