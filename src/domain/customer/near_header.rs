//! Finds the known column that a header most probably means, although it is not spelled so.
//!
//! A misnamed column would silently become a variable: the welcome call is made a second time, or
//! the daily calls never begin. So such a header is refused until a person says what it means.

use crate::domain::customer::columns::{Column, letters, plain_header};

/// Names with fewer letters are too short to tell a slip from another word.
const SHORTEST: usize = 4;
/// Names with at least this many letters may have two slips.
const LONG: usize = 9;

/// Words that mean a column. Each text lists the beginnings of words that must all occur; one that
/// begins with `=` must be the whole header.
const MEANINGS: [(Column, &[&str]); 11] = [
    (
        Column::WelcomeCallCompleted,
        &["welcom", "wellcom", "onboard call", "=onboarded", "first call", "intro call"],
    ),
    (
        Column::LastCallDate,
        &["last call", "last dial", "last contact", "called at", "called on", "call date"],
    ),
    (
        Column::NextCallScheduledAt,
        &["next call", "next dial", "next schedul", "call schedul at", "=scheduled_at"],
    ),
    (Column::CallSchedule, &["call schedul", "call cron", "=schedule", "=cron"]),
    (
        Column::CallTime,
        &["call time", "time call", "call hour", "call at", "prefer time", "daily time", "=time"],
    ),
    (
        Column::PaymentStatus,
        &[
            "pay stat",
            "paid",
            "subscription stat",
            "billing stat",
            "plan stat",
            "account stat",
            "customer stat",
            "=payment",
            "=payments",
            "=status",
        ],
    ),
    (
        Column::CallStatus,
        &["call stat", "call paus", "=paused", "=is_paused", "=disabled", "=is_disabled"],
    ),
    (
        Column::PhoneValidated,
        &["phone valid", "phone verif", "number valid", "number verif", "=validated", "=verified"],
    ),
    (Column::SharedPhone, &["phone shar", "number shar", "=shared"]),
    (
        Column::CreatedAt,
        &["created", "creation date", "sign up", "signed up", "signup", "joined", "registered"],
    ),
    (Column::ConsentAt, &["consent date", "consent time", "consented", "=consent"]),
];

/// The column that a header most probably means; `None` = a variable. The file has the columns of
/// `present` under their own names.
pub fn meant(header: &str, present: &[Column]) -> Option<Column> {
    // Words first: by its letters, `last_called` is nearer to `last_call_id`.
    let absent = MEANINGS.iter().filter(|(column, _)| !is_present(*column, present));
    let means = |words: &&str| has_words(header, words);
    let mut meant = absent.filter(|(_, words)| words.iter().any(&means));
    meant.next().map(|(column, _)| *column).or_else(|| {
        let word = letters(header);
        let known = Column::ALL.iter().filter(|column| !column.is_ours());
        let near =
            known.filter_map(|column| Some((slips(&word, &letters(column.as_str()))?, *column)));
        near.min_by_key(|(slips, _)| *slips).map(|(_, column)| column)
    })
}

/// The time of the calls may also stand in the columns of the old export, or in a schedule.
fn is_present(column: Column, present: &[Column]) -> bool {
    let other = match column {
        Column::CallTime => Some(Column::CallTimeHour),
        _ => None,
    };
    present.contains(&column) || other.is_some_and(|other| present.contains(&other))
}

/// How many letters are wrong, missing, extra or exchanged, if that may be a slip: one, or two in a
/// long name.
fn slips(word: &str, known: &str) -> Option<usize> {
    let shortest = word.chars().count().min(known.len());
    let most = match shortest {
        0..SHORTEST => return None,
        SHORTEST..LONG => 1,
        _ => 2,
    };
    // A word such as `game` is not a slip of `name`.
    let is_another = shortest == SHORTEST && word.chars().next() != known.chars().next();
    Some(strsim::osa_distance(word, known)).filter(|slips| !is_another && *slips <= most)
}

fn has_words(header: &str, wanted: &str) -> bool {
    let plain = plain_header(header);
    if let Some(whole) = wanted.strip_prefix('=') {
        return letters(header) == letters(whole);
    }
    let words: Vec<&str> = plain.split(|c: char| !c.is_alphanumeric()).collect();
    let begins = |stem: &str| words.iter().any(|word| word.starts_with(stem));
    let together: String = wanted.split(' ').collect();
    wanted.split(' ').all(begins) || (together.len() > 6 && letters(header).contains(&together))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misnamed_column_is_recognized() {
        for (headers, column) in [
            (
                "welcomed|Welcome Done|is_welcomed|welcomeCall|wellcome_call_completed",
                "welcome_call_completed",
            ),
            ("last_called|lastCalledAt|LAST CALL|last_contacted_on|lastcall", "last_call_date"),
            ("next_call|nextCallAt|next_scheduled", "next_call_scheduled_at"),
            ("call_tme|calltimes|preferred call time|time|CallHour|time_of_call", "call_time"),
            (
                "payment_state|paid|is_paid|status|subscription_status|paymentstatuss",
                "payment_status",
            ),
            ("callstatus2|calls_paused|is_paused", "call_status"),
            ("phone_verified|phone_valid|validated", "phone_validated"),
            ("phone_is_shared|shared_phones", "shared_phone"),
            ("created|signup_date|Signed up|joined_at|created_on", "created_at"),
            ("phonne|phones|hpone", "phone"),
            ("timezones|tiemzone", "timezone"),
            ("exernal_id", "external_id"),
            ("emial", "email"),
            ("nmae", "name"),
        ] {
            for header in headers.split('|') {
                assert_eq!(meant(header, &[]).map(Column::as_str), Some(column), "{header}");
            }
        }
    }

    #[test]
    fn another_word_is_a_variable() {
        for header in [
            "plan",
            "goal",
            "note",
            "favorite_color",
            "First Name",
            "last_name",
            "org.name",
            "game",
            "Plan-Type",
            "total",
            "1st",
            "city",
            "country",
            "state",
            "{{x}}",
            "email_address",
            "age",
            "callback_url",
            "recall",
            "",
            "\u{200b}",
            "language",
            "company",
            "phone_code",
        ] {
            assert_eq!(meant(header, &[Column::Phone]), None, "{header}");
        }
    }

    #[test]
    fn a_column_that_is_there_is_not_looked_for_under_another_name() {
        let present = [Column::WelcomeCallCompleted, Column::CallTimeHour];
        assert_eq!(meant("welcome_message", &present), None);
        assert_eq!(meant("time", &present), None);
        assert_eq!(meant("welcome_message", &[]), Some(Column::WelcomeCallCompleted));
        assert_eq!(meant("wellcome_call_completed", &present), Some(Column::WelcomeCallCompleted));
    }
}
