//! The short ways to read a phone give what the long way gives.

use super::*;

#[test]
fn the_short_way_for_plain_forms_agrees_with_the_long_one() {
    const MARKS: [&str; 12] = [" ", "-", ".", "(", ")", ") ", " (", "  ", "/", " - ", "0", "(0) "];
    let numbers = [
        ("+1", "2125550101", Some("US")),
        ("", "2125550101", Some("CA")),
        ("+1", "6477000100", None),
        ("+44", "2079460101", Some("US")),
        ("+44", "7400123456", None),
        ("+49", "15112345678", Some("DE")),
        ("+33", "612345678", Some("FR")),
        ("+81", "312345678", None),
        ("+91", "9876543210", Some("IN")),
        ("", "1234567890", Some("US")),
        ("+34", "612345678", None),
        ("+45", "32123456", None),
    ];
    let (mut random, mut short) = (7_u64, 0);
    let mut draw = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % below
    };
    for turn in 0..12_000 {
        let (plus, digits, country) = numbers[turn % numbers.len()];
        let mut text = digits.to_string();
        for _ in 0..draw(4) {
            let at = draw(text.len() + 1);
            text.insert_str(at, MARKS[draw(MARKS.len())]);
        }
        let text = format!("{plus}{}{text}", ["", " ", "-"][draw(3)]);
        if plain_forms::e164(&text, country).is_some() {
            assert_eq!(parse(&text, country), parse_any(&text, country), "{text}");
            short += 1;
        }
    }
    assert!(2000 < short, "only {short} texts took the short way");
    for (text, country) in [
        ("(212) 555-0101", Some("US")),
        ("212.555.0101", Some("US")),
        ("+1 (212) 555-0101", None),
        ("+44 20 7946 0101", None),
        ("+91 98765 43210", None),
    ] {
        assert!(plain_forms::e164(text, country).is_some(), "{text}");
    }
    // A range, a second number, a table of floats, and brackets that are not an area code.
    for text in [
        "+49 30 23125014-15",
        "+49 6221 54 062215",
        "+12125550101.0",
        "+44 20 7946 (0101)",
        "+44 (0)20 7946 0101",
        "+44 20  7946 0101",
        "+44 20 7946/0101",
        "2125550101)",
    ] {
        assert_eq!(plain_forms::e164(text, Some("US")), None, "{text}");
    }
}

#[test]
fn the_likely_number_of_the_usual_forms_is_the_right_one() {
    for (text, country) in [
        ("+55 11 91234-5678", None),
        ("030 2312 5014", Some("DE")),
        ("(02) 9374 4000", Some("AU")),
        ("(212) 555-0101", Some("US")),
        ("07400 123456", Some("GB")),
    ] {
        let parsed = parse(text, country).unwrap();
        assert_eq!(likely(text, country), Some(parsed.e164), "{text}");
    }
}
