//! Bars of calls, stacked by what became of them, as SVG: no script, no inline style. The same
//! numbers stand below as a table, for whoever cannot see a picture.

use crate::domain::call::{AttemptState, Disposition};
use crate::store::web_views::Minute;
use crate::web::page::html::{esc, table};

/// The kinds of bars from the bottom up: class of the style sheet, and words.
const KINDS: [(&str, &str); 5] = [
    ("answered", "answered"),
    ("voicemail", "voicemail"),
    ("missed", "no answer, busy"),
    ("broken", "failed"),
    ("open", "under way, in doubt"),
];

/// How many calls of each kind.
pub type Stack = [i64; 5];

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 34.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// Adds the calls of a minute to a stack. Calls that never rang stand in no chart.
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

/// The picture, its legend and its table. `bars` are label and stack; every `every`-th label is
/// written below; `marked` is the bar of now.
pub fn chart(title: &str, bars: &[(String, Stack)], every: usize, marked: Option<usize>) -> String {
    let total: i64 = bars.iter().map(|(_, stack)| stack.iter().sum::<i64>()).sum();
    let highest = bars.iter().map(|(_, stack)| stack.iter().sum::<i64>()).max().unwrap_or(0);
    let step = step_for(highest);
    let top = (highest.max(1) + step - 1) / step * step;
    let mut svg = format!(
        "<figure class=\"chart\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{}: {total} calls. The table below has the numbers.\">",
        esc(title)
    );
    let y_of = |value: f64| HEIGHT - BOTTOM - value / top as f64 * (HEIGHT - BOTTOM - TOP);
    for tick in (0..=top).step_by(usize::try_from(step).unwrap_or(1)) {
        let y = y_of(tick as f64);
        svg.push_str(&format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
            LEFT - 8.0,
            y + 3.5
        ));
    }
    let slot = (WIDTH - LEFT) / bars.len().max(1) as f64;
    for (index, (label, stack)) in bars.iter().enumerate() {
        let x = LEFT + slot * index as f64;
        if marked == Some(index) {
            svg.push_str(&format!(
                "<rect class=\"now\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{slot:.1}\" \
                 height=\"{:.1}\"/>",
                HEIGHT - BOTTOM - TOP
            ));
        }
        svg.push_str(&bar(label, stack, x + slot * 0.16, slot * 0.68, &y_of));
        if index % every == 0 {
            // On a small screen there is room for every other label only.
            let class = if (index / every).is_multiple_of(2) { "tick" } else { "tick minor" };
            svg.push_str(&format!(
                "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x + slot / 2.0,
                HEIGHT - 7.0,
                esc(label)
            ));
        }
    }
    svg.push_str("</svg><figcaption>");
    svg.push_str(&legend(bars));
    svg.push_str("</figcaption></figure>");
    svg.push_str(&as_table(title, bars));
    svg
}

fn bar(label: &str, stack: &Stack, x: f64, width: f64, y_of: &dyn Fn(f64) -> f64) -> String {
    let mut svg = String::new();
    let mut below = 0;
    for (kind, calls) in stack.iter().enumerate().filter(|(_, calls)| 0 < **calls) {
        let (low, high) = (y_of(below as f64), y_of((below + calls) as f64));
        let (class, words) = KINDS[kind];
        svg.push_str(&format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{high:.1}\" width=\"{width:.1}\" \
             height=\"{:.1}\" rx=\"1.5\"><title>{}: {calls} {words}</title></rect>",
            (low - high - 0.6).max(0.8),
            esc(label)
        ));
        below += calls;
    }
    svg
}

fn legend(bars: &[(String, Stack)]) -> String {
    let mut html = String::from("<ul class=\"legend\">");
    for (kind, (class, words)) in KINDS.iter().enumerate() {
        let calls: i64 = bars.iter().map(|(_, stack)| stack[kind]).sum();
        html.push_str(&format!(
            "<li><span class=\"key {class}\"></span>{words} <b>{calls}</b></li>"
        ));
    }
    html.push_str("</ul>");
    html
}

fn as_table(title: &str, bars: &[(String, Stack)]) -> String {
    let rows: Vec<Vec<String>> = bars
        .iter()
        .filter(|(_, stack)| stack.iter().any(|calls| 0 < *calls))
        .map(|(label, stack)| {
            let mut cells = vec![esc(label)];
            cells.extend(stack.iter().map(i64::to_string));
            cells
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut header = vec!["When"];
    header.extend(KINDS.iter().map(|(_, words)| *words));
    format!(
        "<details><summary>{} as a table</summary>{}</details>",
        esc(title),
        table(title, &header, &rows, "")
    )
}

/// The distance of the grid's lines: 1, 2 or 5 with noughts, so that there are at most four.
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
    fn a_call_stands_in_the_bar_of_what_became_of_it() {
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
        let html = chart("Today", &[("7".to_string(), stack)], 1, Some(0));
        assert!(html.contains("Today: 6 calls") && html.contains("7: 2 answered"), "{html}");
    }
}
