//! Tables, marks, words for time.

use chrono::DateTime;

use super::*;

fn at(text: &str) -> Instant {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn table() -> Table {
    let mut table = Table::new(&["STATE", "N", "NAME"]).align_right(1);
    table.row([toned(Tone::Good, "placed"), "7".to_string(), "Ada Example".to_string()]);
    table.row([toned(Tone::Bad, "in_doubt"), "12".to_string(), "Bo".to_string()]);
    table
}

#[test]
fn columns_line_up_and_colours_take_no_room() {
    let plain = table().render(None, false);
    assert_eq!(plain, "STATE      N  NAME\nplaced     7  Ada Example\nin_doubt  12  Bo");

    let coloured = table().render(None, true);
    assert!(coloured.contains("\u{1b}[32mplaced\u{1b}[0m     7"), "{coloured:?}");
    let stripped = anstream::adapter::strip_str(&coloured).to_string();
    assert_eq!(stripped, plain);
}

#[test]
fn a_table_fits_the_window() {
    let mut table = Table::new(&["NAME", "WHY"]);
    table.row(["Ada".to_string(), toned(Tone::Warn, &"waits for a free line ".repeat(5))]);
    for colour in [false, true] {
        let text = self::table().render(Some(24), colour);
        assert!(text.lines().count() < 20, "{text}");
    }
    let text = table.render(Some(40), true);
    for line in text.lines() {
        let visible = anstream::adapter::strip_str(line).to_string();
        assert!(visible.chars().count() <= 40, "{visible:?}");
        assert!(!visible.contains(|c| matches!(c, '\u{2060}'..='\u{2064}')), "{visible:?}");
    }
    assert!(2 < text.lines().count(), "{text}");
}

#[test]
fn text_of_others_cannot_steer_the_terminal_or_break_the_line() {
    assert_eq!(clean("Eve\u{1b}[2J\nnext\u{202e}row\u{7}\u{2063}"), "Eve[2J nextrow");
    assert_eq!(clean("Zoë 日本 O'Neil"), "Zoë 日本 O'Neil");
}

#[test]
fn distances_in_time_are_shown_in_words() {
    let now = at("2026-11-22T12:00:00Z");
    for (then, expected) in [
        ("2026-11-22T12:00:00.900Z", "now"),
        ("2026-11-22T12:00:45Z", "in 45 s"),
        ("2026-11-22T12:12:59Z", "in 12 min"),
        ("2026-11-22T09:00:00Z", "3 h ago"),
        ("2026-11-24T11:59:59Z", "in 47 h"),
        ("2026-11-24T12:00:00Z", "in 2 d"),
        ("2026-11-12T12:00:00Z", "10 d ago"),
    ] {
        assert_eq!(relative(at(then), now), expected, "{then}");
    }
}

#[test]
fn an_instant_is_shown_on_the_customers_wall_clock() {
    let new_york = Zone::new("America/New_York", -5 * 3600, Vec::new());
    let instant = at("2026-11-22T02:30:00Z");
    assert_eq!(local_time(instant, &new_york), "Sat 2026-11-21 21:30");
    assert_eq!(local_rfc3339(instant, &new_york), "2026-11-21T21:30:00-05:00");
    assert_eq!(local_rfc3339(instant, &Zone::utc()), "2026-11-22T02:30:00Z");
}

#[test]
fn a_phone_is_masked_unless_revealed() {
    let masked = phone("+12125550101", false);
    assert!(masked.starts_with("+1•") && masked.ends_with("•0101"), "{masked}");
    assert_eq!(phone("+12125550101", true), "+12125550101");
}
