//! Reads words of files and flags: column names, booleans, dates, e-mails, old zone labels.
//!
//! Nothing is guessed: an unknown word is `None` or an error, never a default.

use std::borrow::Cow;

use chrono::NaiveDate;

use crate::domain::text_enum;

text_enum! {
    /// The known columns of a customer in files and flags. Any other column is a variable.
    pub enum Column {
        ExternalId = "external_id",
        Name = "name",
        Email = "email",
        Phone = "phone",
        Timezone = "timezone",
        CallTime = "call_time",
        CallSchedule = "call_schedule",
        PaymentStatus = "payment_status",
        PhoneValidated = "phone_validated",
        CallStatus = "call_status",
        WelcomeCallCompleted = "welcome_call_completed",
        LastCallDate = "last_call_date",
        NextCallScheduledAt = "next_call_scheduled_at",
        CreatedAt = "created_at",
        LastCallId = "last_call_id",
        TotalCallsMade = "total_calls_made",
        ConsecutiveFailures = "consecutive_failures",
        SharedPhone = "shared_phone",
        ConsentAt = "consent_at",
        ConsentSource = "consent_source",
        ConsentText = "consent_text",
        /// A name from `[assistants]`.
        Assistant = "assistant",
        /// A JSON object, as in the `customers` table.
        Variables = "variables",
        /// The id of the old export; becomes the external id when none is given.
        Id = "id",
        CallTimeHour = "call_time_hour",
        CallTimeMinute = "call_time_minute",
        /// Only ringonce sets this column and the next three; their values are skipped.
        Key = "key",
        PhoneValidationError = "phone_validation_error",
        EligibleFrom = "eligible_from",
        UpdatedAt = "updated_at",
    }
}

impl Column {
    /// The column of a header, however it is written: case, spaces, punctuation and invisible
    /// characters do not count, and `callTime` is `call_time`. `None` = a variable.
    pub fn of_header(header: &str) -> Option<Column> {
        let letters = letters(header);
        Column::ALL.iter().find(|column| self::letters(column.as_str()) == letters).copied()
    }

    /// Whether a file's value is skipped, because only ringonce sets the column.
    pub fn is_ours(self) -> bool {
        use Column::*;
        matches!(self, Key | PhoneValidationError | EligibleFrom | UpdatedAt)
    }
}

/// `Call Time` and `callTime` as `call_time`: the form in which headers are compared.
pub fn plain_header(header: &str) -> String {
    let mut plain = String::with_capacity(header.len());
    let mut before = None;
    for character in header.chars().filter(|character| !is_invisible(*character)) {
        let starts_word = before.is_some_and(char::is_lowercase) && character.is_uppercase();
        if starts_word {
            plain.push('_');
        }
        match character {
            '-' => plain.push('_'),
            _ if character.is_whitespace() => plain.push('_'),
            _ => plain.extend(character.to_lowercase()),
        }
        before = Some(character);
    }
    plain.trim_matches('_').to_string()
}

/// The letters and digits of a header, in lower case.
pub fn letters(header: &str) -> String {
    plain_header(header).chars().filter(|character| character.is_alphanumeric()).collect()
}

/// A header as a name that a template can use: `First Name` is first_name. A name that a template
/// can use already stays as it is.
pub fn variable_name(header: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_';
    let is_name = |text: &str| {
        text.chars().all(is_plain)
            && !text.starts_with(|c: char| c.is_numeric())
            && !text.is_empty()
    };
    if is_name(header) {
        return header.to_string();
    }
    let mut name = String::with_capacity(header.len());
    for character in plain_header(header).chars() {
        match character {
            c if is_plain(c) && c != '_' => name.push(c),
            _ if name.ends_with('_') => {}
            _ => name.push('_'),
        }
    }
    let name = name.trim_matches('_');
    match name.chars().next() {
        None => "variable".to_string(),
        Some(first) if first.is_numeric() => format!("_{name}"),
        Some(_) => name.to_string(),
    }
}

/// Characters that take no room on a screen. Spreadsheets and web pages leave them in cells.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}')
        || character.is_control()
}

/// Reads true/false, t/f, 1/0, yes/no, y/n, on/off, checked/unchecked in any case, and the marks of
/// a checkbox.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    let text = text.trim_end_matches('\u{FE0F}');
    let known = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if known(&["true", "t", "1", "yes", "y", "on", "checked", "x", "☑", "✓", "✔", "✅"]) {
        Ok(true)
    } else if known(&["false", "f", "0", "no", "n", "off", "unchecked", "☐"]) {
        Ok(false)
    } else {
        Err(format!("\"{}\" is not yes or no: write true or false", shown(text)))
    }
}

/// Reads a date, also unpadded (`2026-3-1`). A time of day after it is dropped.
pub fn parse_date(text: &str) -> Result<NaiveDate, String> {
    let date = text.split([' ', 'T']).next().unwrap_or(text);
    NaiveDate::parse_from_str(date, "%Y-%m-%d")
        .ok()
        .filter(|date| (1970..=9999).contains(&chrono::Datelike::year(date)))
        .ok_or_else(|| format!("\"{}\" is not a date: write 2026-11-22", shown(text)))
}

/// The zone of a display label of the old application. `None` for any other text.
pub fn zone_of_label(label: &str) -> Option<&'static str> {
    Some(match label {
        "Eastern (ET)" => "America/New_York",
        "Central (CT)" => "America/Chicago",
        "Mountain (MT)" => "America/Denver",
        "Arizona (MST)" => "America/Phoenix",
        "Pacific (PT)" => "America/Los_Angeles",
        "Alaska (AKT)" => "America/Anchorage",
        "Hawaii (HT)" | "Hawaii (HST)" => "Pacific/Honolulu",
        "Atlantic (AT)" => "America/Halifax",
        "Newfoundland (NT)" => "America/St_Johns",
        "London (GMT)" | "London (BST)" => "Europe/London",
        "Paris (CET)" => "Europe/Paris",
        "Berlin (CET)" => "Europe/Berlin",
        "Madrid (CET)" => "Europe/Madrid",
        "Rome (CET)" => "Europe/Rome",
        "Athens (EET)" => "Europe/Athens",
        "Moscow (MSK)" => "Europe/Moscow",
        "Dubai (GST)" => "Asia/Dubai",
        "India (IST)" => "Asia/Kolkata",
        "Singapore (SGT)" => "Asia/Singapore",
        "Hong Kong (HKT)" => "Asia/Hong_Kong",
        "China (CST)" => "Asia/Shanghai",
        "Tokyo (JST)" | "Japan (JST)" => "Asia/Tokyo",
        "Seoul (KST)" | "Korea (KST)" => "Asia/Seoul",
        "Perth (AWST)" => "Australia/Perth",
        "Brisbane (AEST)" => "Australia/Brisbane",
        "Sydney (AEST)" => "Australia/Sydney",
        "Melbourne (AEST)" => "Australia/Melbourne",
        "Auckland (NZST)" => "Pacific/Auckland",
        _ => return None,
    })
}

/// The address in lower case, so that one mailbox is one key. Refuses other text.
pub fn parse_email(text: &str) -> Result<String, String> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '<' | '>');
    let parts = text.split_once('@').filter(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains('@') && !text.contains(bad)
    });
    match parts {
        Some(_) => Ok(text.to_lowercase()),
        None => Err(format!("\"{}\" is not an e-mail address", shown(text))),
    }
}

/// The text made safe for a terminal and short: control characters replaced, the end cut off.
pub fn shown(text: &str) -> Cow<'_, str> {
    const CHARACTERS_MAX: usize = 60;
    let hidden =
        |c: char| c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    if text.len() <= CHARACTERS_MAX && !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown: String =
        text.chars().take(CHARACTERS_MAX).map(|c| if hidden(c) { '\u{FFFD}' } else { c }).collect();
    if CHARACTERS_MAX < text.chars().count() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

/// The candidate that a person most probably meant; `None` when nothing is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain_header(word);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let plain = plain_header(candidate);
        let inside = plain.len().min(word.len()) >= 3
            && (plain.contains(word.as_str()) || word.contains(plain.as_str()));
        let squeezed = plain.replace('_', "") == word.replace('_', "");
        let distance = match (squeezed, inside) {
            (true, _) => 0,
            (_, true) => 1,
            _ => strsim::osa_distance(&word, &plain),
        };
        let near = distance <= 1 || distance * 3 <= word.chars().count();
        if near && best.is_none_or(|(known, _)| distance < known) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_a_closed_list_of_words() {
        for text in
            ["true", "TRUE", "t", "1", "yes", "Yes", "Y", "on", "checked", "x", "X", "☑", "✔️"]
        {
            assert_eq!(parse_bool(text), Ok(true), "{text}");
        }
        for text in ["false", "F", "0", "no", "N", "off", "Unchecked", "☐"] {
            assert_eq!(parse_bool(text), Ok(false), "{text}");
        }
        for text in ["", "2", "ja", "oui", "☒", "✗", "-", "true "] {
            assert!(parse_bool(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_get_one_canonical_form_and_impossible_ones_are_refused() {
        for text in ["2026-03-01", "2026-3-1", "2026-03-01 00:00:00+00", "2026-03-01T00:00:00Z"] {
            assert_eq!(parse_date(text).unwrap().to_string(), "2026-03-01", "{text}");
        }
        for text in ["2026-02-30", "01.03.2026", "3/1/2026", "46082", "0000-01-01", "tomorrow"] {
            assert!(parse_date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_email_is_one_key_in_any_case() {
        assert_eq!(parse_email("Ada@Example.COM").as_deref(), Ok("ada@example.com"));
        for text in ["ada", "@example.com", "ada@", "a b@example.com", "a@b@c", "a@x.com,b@x.com"] {
            assert!(parse_email(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_header_is_known_however_it_is_written() {
        assert_eq!(Column::of_header(" Call Time "), Some(Column::CallTime));
        assert_eq!(Column::of_header("PHONE"), Some(Column::Phone));
        assert_eq!(Column::of_header("favourite_tea"), None);
        for header in [
            "callTime",
            "CallTime",
            "CALLTIME",
            "call\u{a0}time",
            "call_time\u{200b}",
            "\u{feff}call.time",
            "call\u{2009}\u{ad}time ",
            "call\ttime",
        ] {
            assert_eq!(Column::of_header(header), Some(Column::CallTime), "{header:?}");
        }
        assert_eq!(Column::of_header("externalID"), Some(Column::ExternalId));
        assert_eq!(Column::of_header("\u{200b}"), None);
    }

    #[test]
    fn a_variable_has_a_name_that_a_template_can_use() {
        for (header, name) in [
            ("First Name", "first_name"),
            ("org.name", "org_name"),
            ("Plan-Type", "plan_type"),
            ("total", "total"),
            ("planType", "planType"),
            ("1st", "_1st"),
            ("{{x}}", "x"),
            ("email_address", "email_address"),
            ("Größe (cm)", "größe_cm"),
            ("What's your goal?", "what_s_your_goal"),
            ("🎉", "variable"),
        ] {
            assert_eq!(variable_name(header), name, "{header}");
            assert_eq!(variable_name(name), name, "a name stays");
        }
    }

    #[test]
    fn the_nearest_word_is_near_or_none() {
        let headers = ["phone_number", "time zone", "plan"];
        assert_eq!(nearest("phone", headers), Some("phone_number"));
        assert_eq!(nearest("timezone", headers), Some("time zone"));
        assert_eq!(nearest("email", headers), None);
    }

    #[test]
    fn what_is_shown_is_short_and_cannot_steer_a_terminal() {
        assert_eq!(shown("Ada"), "Ada");
        assert_eq!(shown("a\u{1b}[2Jb"), "a\u{FFFD}[2Jb");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 61);
    }
}
