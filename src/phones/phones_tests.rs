//! Tests which texts are accepted, which are kept but not dialed, and which are refused.

use std::collections::BTreeSet;

use super::*;

#[test]
fn every_spelling_of_one_number_becomes_the_same_e164() {
    for (text, country) in [
        ("+12125550101", None),
        (" +1 (212) 555-0101 ", None),
        ("+1\u{a0}212\u{a0}555\u{a0}0101", None),
        ("\u{202a}+1 212 555 0101\u{202c}", None),
        ("\u{ff0b}\u{ff11}\u{ff12}\u{ff11}\u{ff12}5550101", None),
        ("+\u{661}\u{662}\u{661}\u{662}\u{665}\u{665}\u{665}\u{660}\u{661}\u{660}\u{661}", None),
        ("tel:+1-212-555-0101", None),
        ("(+1) 212.555.0101", None),
        ("+1 212\u{2011}555\u{2013}0101", None),
        ("212 555 0101", Some("US")),
        ("12125550101", Some("us")),
        ("1-212-555-0101", Some("CA")),
        ("001 1 212 555 0101", Some("SG")),
    ] {
        let phone = parse(text, country).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((phone.e164.as_str(), phone.valid), ("+12125550101", true), "{text}");
    }
}

#[test]
fn a_lost_zero_and_a_trunk_zero_give_the_same_british_number() {
    for text in ["020 7946 0101", "20 7946 0101", "442079460101", "+44 (0)20 7946 0101"] {
        let phone = parse(text, Some("GB")).unwrap();
        assert_eq!((phone.e164.as_str(), phone.valid), ("+442079460101", true), "{text}");
    }
}

#[test]
fn the_short_way_for_e164_agrees_with_the_library() {
    let mut short = 0;
    for code in PLAIN_COUNTRY_CODES {
        // Samples of the numbering plan, with a step that is coprime to its blocks.
        for national in (20_000_000..9_999_999_999_u64).step_by(9_999_991) {
            let text = format!("+{code}{national}");
            let Some(number) = read_e164(&text) else { continue };
            let read = judge(&number, false);
            if read.valid {
                let parsed = PHONE_NUMBER_UTIL.parse(&text, None);
                assert_eq!(Ok(read), parsed.map(|number| judge(&number, false)), "{text}");
                short += 1;
            }
        }
    }
    assert!(1000 < short, "only {short} numbers took the short way");
}

#[test]
fn the_country_comes_from_the_number() {
    for (number, expected) in [
        ("+12125550101", Some("US")),
        ("+442079460101", Some("GB")),
        ("+15555550101", None),
        ("nobody", None),
    ] {
        assert_eq!(country_of(number).as_deref(), expected, "{number}");
    }
}

#[test]
fn a_text_that_is_not_a_phone_is_refused_with_the_reason() {
    for (text, country, part) in [
        ("", None, "is empty"),
        (" \u{200b} ", Some("US"), "is empty"),
        ("n/a", Some("US"), "letters"),
        ("1-800-FLOWERS", Some("US"), "letters"),
        ("1.41556E+10", Some("US"), "spreadsheet"),
        ("1,2125550101e10", Some("US"), "spreadsheet"),
        ("12125550101.0", Some("US"), "spreadsheet"),
        ("+12125550101 / +12125550102", None, "two numbers"),
        ("212 555 0101", None, "no country"),
        ("12125550101", None, "no country"),
        ("+9991234567", None, "unknown country code"),
        ("+1 212 555 0101 \u{1F4DE}", None, "character"),
        ("*67 212 555 0101", Some("US"), "character"),
        ("212 555 0101", Some("Narnia"), "not a country code"),
        ("212 555 0101", Some("ZZ"), "not a country code"),
        ("5", Some("US"), "few digits"),
    ] {
        let error = parse(text, country).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
    assert!(parse(&"1".repeat(1 << 20), Some("US")).unwrap_err().contains("too long"));
}

#[test]
fn a_number_that_cannot_be_dialed_is_kept_but_not_valid() {
    for (text, part) in [
        ("+1 555 555 0101", "no such number"),
        ("+1 212 555 010", "no such number"),
        ("+1 900 555 0101", "premium"),
        ("+1 212 555 0101 ext. 12", "extension"),
        ("+1 212 555 0101x7", "extension"),
        ("+1 212 555 0101,,7", "extension"),
    ] {
        let phone = parse(text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(!phone.valid, "{text}");
        assert!(phone.error.as_deref().unwrap_or("").contains(part), "{text}: {phone:?}");
    }
    let with_extension = parse("+1 212 555 0101 ext. 12", None).unwrap();
    assert_eq!(with_extension.e164, "+12125550101");
}

#[test]
fn a_text_with_two_valid_readings_is_refused_and_shows_both() {
    for (text, country, readings) in [
        ("491713920012", "DE", ["+49491713920012", "+491713920012"]),
        ("49 171 3920013", "DE", ["+49491713920013", "+491713920013"]),
        ("(49) 171-3920014", "DE", ["+49491713920014", "+491713920014"]),
        ("4917604069012", "DE", ["+494917604069012", "+4917604069012"]),
        ("3906123456", "IT", ["+393906123456", "+3906123456"]),
        ("0066 8 1234 5678", "JP", ["+810066812345678", "+66812345678"]),
    ] {
        let error = parse(text, Some(country)).expect_err(text);
        assert!(error.contains("two readings"), "{text}: {error}");
        assert!(readings.iter().all(|reading| error.contains(reading)), "{text}: {error}");
    }
}

#[test]
fn the_only_valid_reading_is_taken() {
    for (text, country, expected) in [
        ("12125550101", "US", "+12125550101"),
        ("1 (212) 555-0101", "CA", "+12125550101"),
        ("0171 3920012", "DE", "+491713920012"),
        ("0049 171 3920012", "DE", "+491713920012"),
        ("+49 171 3920012", "DE", "+491713920012"),
        ("442079460101", "GB", "+442079460101"),
        ("44 (0)20 7946 0101", "GB", "+442079460101"),
        ("919876543210", "IN", "+919876543210"),
        ("9198765432", "IN", "+919198765432"),
        ("5511987654321", "BR", "+5511987654321"),
        ("5491123456789", "AR", "+5491123456789"),
        ("525512345678", "MX", "+525512345678"),
        ("819012345678", "JP", "+819012345678"),
        ("0044 20 7946 0101", "US", "+442079460101"),
        ("011 44 20 7946 0101", "US", "+442079460101"),
    ] {
        let phone = parse(text, Some(country)).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((phone.e164.as_str(), phone.valid), (expected, true), "{text} in {country}");
    }
}

/// Checks the result for a text of plain digits in a country against both of its readings.
fn check_readings(country: &str, code: i32, text: &str) -> Option<bool> {
    let meant = [format!("+{text}"), format!("+{code}{text}")].map(|reading| {
        let number = PHONE_NUMBER_UTIL.parse(&reading, None).ok()?;
        let e164 = number.format_as(PhoneNumberFormat::E164).into_owned();
        number.is_valid().then_some(e164)
    });
    let is_two = matches!(&meant, [Some(one), Some(other)] if one != other);
    match parse(text, Some(country)) {
        Err(error) if is_two => {
            let shown = meant.iter().flatten().all(|reading| error.contains(reading));
            assert!(error.contains("two readings") && shown, "{country} {text}: {error}");
            Some(false)
        }
        Ok(phone) if is_two || phone.valid => {
            let is_old = meant == [None, None] && phone.today.is_some();
            let is_meant = !is_two && (is_old || meant.contains(&Some(phone.e164.clone())));
            assert!(is_meant, "{country} {text}: {phone:?}, not {meant:?}");
            Some(true)
        }
        _ => None,
    }
}

/// The texts are example numbers of every country and kind, their neighbours, and random digits,
/// all with the calling code and without the plus.
#[test]
fn no_country_takes_a_number_without_plus_for_a_third_one() {
    use PhoneNumberType::*;
    let (mut taken, mut refused) = (0, BTreeSet::new());
    for region in PHONE_NUMBER_UTIL.get_supported_regions() {
        let code = PHONE_NUMBER_UTIL.get_country_code_for_region(region).unwrap();
        let mut texts = Vec::new();
        for kind in [FixedLine, Mobile, TollFree, SharedCost, VoIP, PersonalNumber, UAN] {
            let example = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind);
            let Ok(example) = example else { continue };
            let national = example.get_national_significant_number();
            let (first, width) = (national.parse::<u64>().unwrap(), national.len());
            texts.extend((0..2).map(|step| format!("{code}{:0width$}", first + step * 7919)));
        }
        let mut digits = 9_999_991_u64;
        for length in (5..11).cycle().take(30) {
            digits = digits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            texts.push(format!("{code}{:0length$}", (digits >> 20) % 10_u64.pow(length as u32)));
        }
        for text in texts {
            match check_readings(&region.as_region_str(), code, &text) {
                Some(true) => taken += 1,
                Some(false) => drop(refused.insert(region.as_region_str().to_string())),
                None => {}
            }
        }
    }
    assert!(2500 < taken && 8 <= refused.len(), "{taken} taken, refused in {refused:?}");
}

#[test]
fn two_numbers_in_a_cell_are_refused_and_both_are_shown() {
    for (text, country, right) in [
        ("+49 30 23125014/15", None, "15"),
        ("+49 30 23125014 / 15", None, "15"),
        ("+49 30 23125 014 / 015", None, "015"),
        ("+49 30 23125014-15", None, "15"),
        ("+49 30 23125014 - 15", None, "15"),
        ("+49 30 23125014 – 23125015", None, "23125015"),
        ("+49 30 23125014;15", None, "15"),
        ("+49 30 23125014,15", None, "15"),
        ("+49 30 23125014, 15", None, "15"),
        ("+49 30 23125014  15", None, "15"),
        ("+49 30 23125014\t15", None, "15"),
        ("+49 30 23125014\n+49 30 23125015", None, "+49 30 23125015"),
        ("+49 30 23125014 (15)", None, "(15)"),
        ("030 23125014 030 23125015", Some("DE"), "030 23125015"),
        ("0171 3920012 0171 3920013", Some("DE"), "0171 3920013"),
        ("+43 1 71100/15", None, "15"),
        ("+12125550101 / +12125550102", None, "+12125550102"),
        ("+12125550101+12125550102", None, "+12125550102"),
        ("+12125550101 +12125550102", None, "+12125550102"),
        ("+12125550101|+12125550102", None, "+12125550102"),
        ("+12125550101 or +12125550102", None, "+12125550102"),
        ("+12125550101 und 0102", None, "0102"),
        ("+12125550101 & 0102", None, "0102"),
        ("+12125550101;5550102", None, "5550102"),
        ("+12125550101#5550102", None, "5550102"),
        ("+1 212 555-0101/0102", None, "0102"),
        ("+1 212 555-0101/2", None, "2"),
        ("(212) 555-0101 (212) 555-0102", Some("US"), "(212) 555-0102"),
        ("212-555-0101 212-555-0102", Some("US"), "212-555-0102"),
        ("2125550101 2125550102", Some("US"), "2125550102"),
        ("555-0101 / 555-0102", Some("US"), "555-0102"),
        ("020 7946 0101 / 020 7946 0102", Some("GB"), "020 7946 0102"),
        ("01 23 45 67 89 / 06 12 34 56 78", Some("FR"), "06 12 34 56 78"),
        ("06 12 34 56 78 - 06 12 34 56 79", Some("FR"), "06 12 34 56 79"),
        ("+12125550101 ext. 5 / +12125550102", None, "5 / +12125550102"),
    ] {
        let error = parse(text, country).expect_err(text);
        assert!(error.contains("two numbers"), "{text}: {error}");
        assert!(error.contains(&format!("and \"{right}\"")), "{text}: {error}");
    }
}

#[test]
fn a_legal_spelling_of_one_number_does_not_count_as_two() {
    for (text, country, expected) in [
        ("+44 (0)20 7946 0101", None, "+442079460101"),
        ("+44(0)20-7946-0101", None, "+442079460101"),
        ("(020) 7946 0101", Some("GB"), "+442079460101"),
        ("212/555-0101", Some("US"), "+12125550101"),
        ("(212)  555-0101", Some("US"), "+12125550101"),
        ("(212) 555 - 0101", Some("US"), "+12125550101"),
        ("212.555.0101", Some("US"), "+12125550101"),
        ("1-212-555-0101", Some("US"), "+12125550101"),
        ("030/23125014", Some("DE"), "+493023125014"),
        ("030 / 231 25 014", Some("DE"), "+493023125014"),
        ("+49 (30) 23125014", None, "+493023125014"),
        ("+49 (0) 30 / 23125014", None, "+493023125014"),
        ("+49 30 - 23125014", None, "+493023125014"),
        ("030 - 231 - 25014", Some("DE"), "+493023125014"),
        // Direct lines and switchboards.
        ("+49 30 23125-14", None, "+49302312514"),
        ("+49 30 23125-0", None, "+4930231250"),
        ("+49 30 23125 - 0", None, "+4930231250"),
        ("+49 30 23125/0", None, "+4930231250"),
        ("+43 1 711 00-0", None, "+431711000"),
        ("06221/54-0", Some("DE"), "+496221540"),
        ("+33 1 23 45 67 89", None, "+33123456789"),
        ("01.23.45.67.89", Some("FR"), "+33123456789"),
        ("+39 06 1234 5678", None, "+390612345678"),
    ] {
        let phone = parse(text, country).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(phone.e164, expected, "{text}");
        assert!(phone.valid, "{text}: {phone:?}");
    }
}

#[test]
fn a_date_is_no_number_although_some_country_has_its_digits() {
    for (text, country) in [
        ("2026-01-01", Some("DE")),
        ("31.12.2026", Some("NO")),
        ("31-12-2026", Some("DK")),
        ("12/31/2026", Some("US")),
        ("2026-01-01", None),
    ] {
        assert!(parse(text, country).expect_err(text).contains("is a date"), "{text}");
    }
}

#[test]
fn old_and_new_forms_of_a_renumbered_number_know_each_other() {
    for (old, new) in [
        ("+5215512345678", "+525512345678"),
        ("+541123456789", "+5491123456789"),
        ("+551187654321", "+5511987654321"),
        ("+22507123456", "+2250707123456"),
        ("+22505123456", "+2250505123456"),
        ("+22541123456", "+2250141123456"),
        ("+22520212345", "+2252720212345"),
        ("+22522012345", "+2252522012345"),
        ("+22997123456", "+2290197123456"),
        ("+23414612345", "+2342014612345"),
        ("+2307123456", "+23057123456"),
        ("+23799123456", "+237699123456"),
        ("+24107123456", "+24177123456"),
        ("+2417123456", "+24107123456"),
        ("+20101234567", "+201001234567"),
        ("+5627123456", "+56227123456"),
        ("+5632212345", "+56322212345"),
        ("+5714123456", "+576014123456"),
        ("+59399123456", "+593999123456"),
        ("+5995201234", "+17215201234"),
        ("+37744123456", "+38344123456"),
        ("+841691234567", "+84391234567"),
        ("+841201234567", "+84701234567"),
    ] {
        assert!(other_forms(old).contains(&new.to_string()), "{old}: {:?}", other_forms(old));
        assert!(other_forms(new).contains(&old.to_string()), "{new}: {:?}", other_forms(new));
    }
    for number in ["+12125550101", "+442079460101", "+491713920012", "+551123456789"] {
        assert!(other_forms(number).is_empty(), "{number}: {:?}", other_forms(number));
    }
}

/// Otherwise a do-not-call entry would stop the calls of a stranger.
#[test]
fn an_old_form_is_nobody_elses_number_today() {
    // Both forms are in use there, or the library still knows the old one.
    const KNOWN: [&str; 4] = ["+54", "+241", "+377", "+386"];
    let mut walked = 0;
    for region in PHONE_NUMBER_UTIL.get_supported_regions() {
        for kind in [PhoneNumberType::FixedLine, PhoneNumberType::Mobile] {
            let example = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind);
            let Ok(mut number) = example else { continue };
            for _ in 0..200 {
                let e164 = number.format_as(PhoneNumberFormat::E164).into_owned();
                number.national_number += 35_153;
                let forms = other_forms(&e164);
                let parsed = || PHONE_NUMBER_UTIL.parse(&e164, None);
                if forms.is_empty() || !parsed().is_ok_and(|number| number.is_valid()) {
                    continue;
                }
                for form in forms {
                    walked += 1;
                    let is_valid = PHONE_NUMBER_UTIL.parse(&form, None).is_ok_and(|n| n.is_valid());
                    let is_known = KNOWN.iter().any(|code| form.starts_with(code));
                    // Brazil: eight digits that begin with 7 belonged to a network that has ended.
                    let is_ended = form.starts_with("+55") && form.as_bytes()[5] == b'7';
                    let is_kosovo = form.starts_with("+383") || e164.starts_with("+383");
                    assert!(!is_valid || is_known || is_ended || is_kosovo, "{e164}: {form}");
                }
            }
        }
    }
    assert!(500 < walked, "{walked}");
}

#[test]
fn an_old_form_is_dialed_as_todays_only_where_it_cannot_be_a_number_that_lost_a_digit() {
    for (old, today) in [
        ("+52 1 55 1234 5678", "+525512345678"),
        ("+229 97 12 34 56", "+2290197123456"),
        ("+84 120 123 4567", "+84701234567"),
    ] {
        let phone = parse(old, None).unwrap();
        assert_eq!((phone.e164.as_str(), phone.valid), (today, true), "{old}: {phone:?}");
        assert_eq!(phone.today.as_deref(), Some(today));
    }
    for (old, today) in [
        ("+55 11 8765 4321", "+5511987654321"),
        ("+225 07 12 34 56", "+2250707123456"),
        ("+593 99 123 456", "+593999123456"),
    ] {
        let phone = parse(old, None).unwrap();
        assert!(!phone.valid && phone.exists, "{old}: {phone:?}");
        assert_eq!(phone.e164, old.replace(' ', ""), "it is kept as it was told");
        assert!(phone.error.as_deref().is_some_and(|why| why.contains("renumbering")), "{phone:?}");
        assert_eq!(phone.today.as_deref(), Some(today));
    }
    let local = parse("97 12 34 56", Some("BJ")).unwrap();
    assert_eq!(local.today.as_deref(), Some("+2290197123456"));
    assert_eq!(parse("5215512345678", Some("MX")).unwrap().e164, "+525512345678");
}
