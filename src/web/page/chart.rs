//! Bars of calls, stacked by how the calls ended, as SVG without script and inline style. A table
//! below has the same numbers for readers who cannot see the picture.

use maud::{Markup, Render, html};

use crate::domain::call::{AttemptState, Disposition};
use crate::store::views::page::Minute;
use crate::web::page::html::table;

/// The kinds of bars from the bottom up: the class of the style sheet, and the words.
const KINDS: [(&str, &str); 5] = [
    ("answered", "answered"),
    ("voicemail", "voicemail"),
    ("missed", "no answer, busy"),
    ("broken", "failed"),
    ("open", "under way, in doubt"),
];

/// How many calls of each kind.
pub type Stack = [i64; 5];

// Sizes in the units of the picture's `viewBox`; the three margins hold the labels.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 34.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// Adds the calls of a minute to a stack. Charts leave out calls that never rang.
pub fn add(stack: &mut Stack, minute: &Minute) {
    let kind = match (minute.state, minute.disposition) {
        (AttemptState::NotPlaced, _) => return,
        (AttemptState::Dialing | AttemptState::InDoubt | AttemptState::Placed, _) => 4,
        (AttemptState::Ended, Some(Disposition::Answered)) => 0,
        (AttemptState::Ended, Some(Disposition::Voicemail)) => 1,
        (AttemptState::Ended, Some(Disposition::NoAnswer | Disposition::Busy)) => 2,
        (AttemptState::Ended, _) => 3,
    };
    stack[kind] += minute.calls;
}

/// A coordinate with one decimal place.
pub fn unit(value: f64) -> String {
    format!("{value:.1}")
}

/// The picture, its legend and its table. `bars` are labels and stacks. Every `every`-th label is
/// written below its bar, and `marked` is the bar of now.
pub fn chart(title: &str, bars: &[(String, Stack)], every: usize, marked: Option<usize>) -> Markup {
    let totals = bars.iter().map(|(_, stack)| stack.iter().sum::<i64>());
    let highest = totals.clone().max().unwrap_or(0);
    let step = step_for(highest);
    let top = (highest.max(1) + step - 1) / step * step;
    let y_of = |value: i64| HEIGHT - BOTTOM - value as f64 / top as f64 * (HEIGHT - BOTTOM - TOP);
    let slot = (WIDTH - LEFT) / bars.len().max(1) as f64;
    let label = format!("{title}: {} calls. The table below has the numbers.", totals.sum::<i64>());
    html! {
        figure.chart {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
                @for tick in (0..=top).step_by(usize::try_from(step).unwrap_or(1)) {
                    @let y = unit(y_of(tick));
                    line.grid x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
                    text.tick x=(LEFT - 8.0) y=(unit(y_of(tick) + 3.5)) text-anchor="end" { (tick) }
                }
                @for (index, (label, stack)) in bars.iter().enumerate() {
                    @let x = LEFT + slot * index as f64;
                    @if marked == Some(index) {
                        rect.now x=(unit(x)) y=(TOP) width=(unit(slot))
                            height=(unit(HEIGHT - BOTTOM - TOP)) {}
                    }
                    (bar(label, stack, (x + slot * 0.16, slot * 0.68), &y_of))
                    @if index % every == 0 {
                        // A small screen has room for every other label only.
                        text.tick.minor[!(index / every).is_multiple_of(2)] x=(unit(x + slot / 2.0))
                            y=(unit(HEIGHT - 7.0)) text-anchor="middle" { (label) }
                    }
                }
            }
            figcaption { ul.legend {
                @for (kind, (class, words)) in KINDS.iter().enumerate() {
                    @let calls: i64 = bars.iter().map(|(_, stack)| stack[kind]).sum();
                    li { span.key.(class) {} (words) " " b { (calls) } }
                }
            } }
        }
        (as_table(title, bars))
    }
}

/// One bar. `span` is its left edge and its width.
fn bar(label: &str, stack: &Stack, span: (f64, f64), y_of: &dyn Fn(i64) -> f64) -> Markup {
    let below = |kind: usize| stack[..kind].iter().sum::<i64>();
    html! {
        @for (kind, (class, words)) in KINDS.iter().enumerate().filter(|(kind, _)| stack[*kind] > 0) {
            @let (low, high) = (y_of(below(kind)), y_of(below(kind + 1)));
            rect.(class) x=(unit(span.0)) y=(unit(high)) width=(unit(span.1))
                height=(unit((low - high - 0.6).max(0.8))) rx="1.5" {
                title { (label) ": " (stack[kind]) " " (words) }
            }
        }
    }
}

fn as_table(title: &str, bars: &[(String, Stack)]) -> Markup {
    let header = std::array::from_fn(|n| if n == 0 { "When" } else { KINDS[n - 1].1 });
    let rows = bars.iter().filter(|(_, stack)| stack.iter().any(|calls| *calls > 0));
    let mut rows = rows
        .map(|(label, stack)| {
            std::array::from_fn::<_, 6, _>(|n| match n {
                0 => label.render(),
                _ => stack[n - 1].render(),
            })
        })
        .peekable();
    html! {
        @if rows.peek().is_some() {
            details {
                summary { (title) " as a table" }
                (table(title, header, rows, ""))
            }
        }
    }
}

/// The distance of the grid's lines: 1, 2 or 5 times a power of ten, so that there are at most four.
fn step_for(highest: i64) -> i64 {
    let mut step = 1;
    let mut factors = [2, 5, 10].iter().cycle();
    let mut base = 1;
    while highest > step * 4 {
        let factor = factors.next().copied().unwrap_or(10);
        step = base * factor;
        if factor == 10 {
            base *= 10;
        }
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_instant;

    #[test]
    fn the_grid_has_at_most_four_lines_at_round_numbers() {
        for (highest, expected) in
            [(0, 1), (4, 1), (5, 2), (8, 2), (9, 5), (21, 10), (41, 20), (81, 50), (400, 100)]
        {
            assert_eq!(step_for(highest), expected, "{highest}");
        }
    }

    #[test]
    fn a_call_counts_in_the_bar_of_its_ending() {
        let minute = |state, disposition| Minute {
            at: parse_instant("2026-11-22T12:00:00Z").unwrap(),
            state,
            disposition,
            calls: 2,
        };
        let mut stack = Stack::default();
        add(&mut stack, &minute(AttemptState::Ended, Some(Disposition::Answered)));
        add(&mut stack, &minute(AttemptState::Ended, Some(Disposition::Busy)));
        add(&mut stack, &minute(AttemptState::InDoubt, None));
        add(&mut stack, &minute(AttemptState::NotPlaced, None));
        assert_eq!(stack, [2, 0, 2, 0, 2]);
        let html = chart("Today", &[("7".to_string(), stack)], 1, Some(0)).into_string();
        assert!(html.contains("Today: 6 calls") && html.contains("7: 2 answered"), "{html}");
    }
}
