//! Countries by the names and codes under which people and programs write them.

use std::collections::HashMap;
use std::sync::LazyLock;

use celes::{Country, LookupTable as _};

use crate::domain::customer::columns::nearest;

/// The code of ISO 3166, in capitals, of a country that a text names: by a code of three letters, by
/// an English name in any usual order of its words, or by a word that people use instead. `None`:
/// unknown. Two letters are only looked up among those words: most are a language or a code already.
pub fn named(text: &str) -> Option<&'static str> {
    let known = CODES.get(&letters(text)).copied();
    known.or_else(|| {
        let wanted = words(text);
        let countries = Country::get_countries();
        countries.iter().find(|it| words(it.long_name) == wanted).map(|it| it.alpha2)
    })
}

/// The codes by the letters of what names them. A column of a long file asks once for each row.
static CODES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let countries = Country::get_countries();
    let mut codes = HashMap::new();
    // A later entry replaces an earlier one: another country may have a name as its alias.
    for it in &countries {
        codes.extend(it.aliases.iter().map(|name| (letters(name), it.alpha2)));
    }
    for it in &countries {
        codes.insert(letters(it.long_name), it.alpha2);
        codes.insert(letters(it.long_name.trim_start_matches("The ")), it.alpha2);
    }
    codes.extend(countries.iter().map(|it| (it.alpha3.to_string(), it.alpha2)));
    for (words, code) in MEANT {
        codes.extend(words.split('|').map(|word| (word.to_string(), code)));
    }
    codes
});

/// The name of a country that a misspelt text is near to; `None`: none is near.
pub fn nearest_name(text: &str) -> Option<&'static str> {
    let names: Vec<&str> = Country::get_countries().iter().map(|it| it.long_name).collect();
    nearest(text, names)
}

/// The letters alone, in capitals and without accents: `Côte d'Ivoire` is `COTEDIVOIRE`.
fn letters(text: &str) -> String {
    text.chars().filter_map(plain).collect()
}

/// The words that tell countries apart, sorted: `Korea, Republic of` is `The Republic Of Korea`.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> =
        text.split(|c: char| !c.is_alphabetic() && c != '\'').map(letters).collect();
    words.retain(|word| !matches!(word.as_str(), "" | "THE" | "OF" | "AND"));
    words.sort();
    words
}

/// The plain capital of a letter; the accented ones are those of the names of countries.
fn plain(c: char) -> Option<char> {
    Some(match c {
        'å' | 'Å' | 'ã' | 'Ã' | 'á' | 'Á' => 'A',
        'ç' | 'Ç' => 'C',
        'é' | 'É' | 'è' | 'È' => 'E',
        'í' | 'Í' => 'I',
        'ñ' | 'Ñ' => 'N',
        'ó' | 'Ó' | 'ô' | 'Ô' | 'ö' | 'Ö' => 'O',
        'ü' | 'Ü' => 'U',
        c if c.is_ascii_alphabetic() => c.to_ascii_uppercase(),
        _ => return None,
    })
}

/// Languages, regions, codes of other standards and short names, with the country that is meant.
#[rustfmt::skip]
static MEANT: [(&str, &str); 37] = [
    ("UK|EN|ENG|BRITAIN|WALES|NORTHERNIRELAND|SCT|WLS", "GB"), ("US|USOFA", "US"),
    ("GER|DEUTSCHLAND|D", "DE"), ("F", "FR"), ("E", "ES"), ("I", "IT"), ("POR", "PT"),
    ("NED|HOL", "NL"), ("SUI", "CH"), ("DEN|DA", "DK"), ("SW", "SE"), ("NB|NN", "NO"), ("CS", "CZ"),
    ("GRE|EL", "GR"), ("EIRE|REPUBLICOFIRELAND", "IE"), ("ROM", "RO"), ("BUL", "BG"), ("CRO", "HR"),
    ("SU", "RU"), ("CHI", "CL"), ("JA|JPJP", "JP"), ("ZH|PRC|PEOPLESREPUBLICOFCHINA", "CN"),
    ("KO|KOREA", "KR"), ("HI", "IN"), ("RSA", "ZA"), ("UAE|EMIRATES", "AE"),
    ("HONGKONGSAR|HONGKONGSARCHINA", "HK"), ("MACAUSAR|MACAOSARCHINA", "MO"),
    ("TAIWANPROVINCEOFCHINA", "TW"), ("BOLIVIAPLURINATIONALSTATEOF", "BO"), ("DRCONGO|DRC", "CD"),
    ("CONGOBRAZZAVILLE|REPUBLICOFTHECONGO", "CG"), ("BONAIRESINTEUSTATIUSANDSABA", "BQ"),
    ("BRUNEIDARUSALAM", "BN"), ("KSA", "SA"), ("PALESTINIANTERRITORIES", "PS"),
    ("USVIRGINISLANDS|VIRGINISLANDSUS|VIRGINISLANDS", "VI"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_found_by_the_names_and_codes_that_exports_hold() {
        for (text, code) in [
            ("Nigeria", "NG"),
            ("slovakia", "SK"),
            ("HONG KONG", "HK"),
            ("Hong Kong SAR", "HK"),
            ("Côte d'Ivoire", "CI"),
            ("Cote d’Ivoire", "CI"),
            ("Ivory Coast", "CI"),
            ("Korea, Republic of", "KR"),
            ("South Korea", "KR"),
            ("Tanzania, United Republic of", "TZ"),
            ("Moldova, Republic of", "MD"),
            ("Iran, Islamic Republic of", "IR"),
            ("Viet Nam", "VN"),
            ("Russian Federation", "RU"),
            ("The Netherlands", "NL"),
            ("Bahamas", "BS"),
            ("Trinidad & Tobago", "TT"),
            ("Bosnia and Herzegovina", "BA"),
            ("Curaçao", "CW"),
            ("Réunion", "RE"),
            ("Türkiye", "TR"),
            ("Turkey", "TR"),
            ("United States of America", "US"),
            ("USA", "US"),
            ("NGA", "NG"),
            ("Samoa", "WS"),
            ("United Kingdom", "GB"),
            ("UK", "GB"),
            ("DR Congo", "CD"),
            ("Dominican Republic", "DO"),
            ("Dominica", "DM"),
            ("Niger", "NE"),
            ("Guinea-Bissau", "GW"),
            ("Guinea", "GN"),
        ] {
            assert_eq!(named(text), Some(code), "{text}");
        }
        for text in ["Atlantis", "", "1", "Republic", "United"] {
            assert_eq!(named(text), None, "{text}");
        }
        assert_eq!(nearest_name("Nigera"), Some("Nigeria"));
    }

    #[test]
    fn every_country_is_found_by_its_codes_and_its_name() {
        for country in Country::get_countries() {
            assert_eq!(named(country.alpha3), Some(country.alpha2));
            assert_eq!(named(country.long_name), Some(country.alpha2), "{}", country.long_name);
        }
    }
}
