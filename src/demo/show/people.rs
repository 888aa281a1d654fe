//! The invented people of the demo: names, zones, and the ones that must not be called. Their
//! numbers are from ranges that no phone has.

use std::fmt::Write;

use chrono::Duration;

use crate::domain::{Instant, instant_text};

/// Zones whose mornings differ; the clocks of four of them change during the demo.
pub const ZONES: [&str; 16] = [
    "America/New_York",
    "Europe/London",
    "Asia/Tokyo",
    "America/Los_Angeles",
    "Europe/Berlin",
    "Asia/Kolkata",
    "America/Chicago",
    "Africa/Lagos",
    "Australia/Adelaide",
    "America/Denver",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Asia/Dubai",
    "America/Phoenix",
    "Europe/Athens",
    "Pacific/Auckland",
];
/// The fewest people, so that every role occurs.
pub const FEWEST: usize = 40;
/// The most people: the number of invented phone numbers.
pub const MOST: usize = 1000;

const NAMES: [&str; 20] = [
    "Ada", "Ben", "Chidi", "Dana", "Elif", "Farid", "Grete", "Hana", "Iván", "Jun", "Kofi", "Lena",
    "Maya", "Nils", "Olga", "Priya", "Quinn", "Rosa", "Sam", "Tara",
];
const FAMILIES: [&str; 7] =
    ["Example", "Invented", "Sample", "Specimen", "Pattern", "Placeholder", "Model"];
const TIMES: [&str; 9] =
    ["07:00", "07:15", "07:30", "08:00", "09:45", "12:00", "17:30", "19:15", "06:45"];

/// A person's special case. The roles repeat every forty people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Has paid, has had the welcome call, and is called every day.
    Daily,
    /// The call of the first day was made before the demo begins.
    AlreadyCalled,
    /// Signed up ten minutes before the demo begins: gets a welcome call, then daily calls.
    Welcome,
    /// Signs up on the second day.
    SignsUp,
    /// Had failed calls before, and is still called.
    InTrouble,
    /// The same person in two rows with one phone.
    Doubled,
    Unpaid,
    Unvalidated,
    Disabled,
    Paused,
    DoNotCall,
}

impl Role {
    fn of(index: usize) -> Role {
        match index % 40 {
            1 | 22 => Role::AlreadyCalled,
            3 | 23 => Role::Welcome,
            5 | 25 | 35 => Role::SignsUp,
            7 => Role::InTrouble,
            9 | 10 => Role::Doubled,
            12 | 32 => Role::Unpaid,
            14 => Role::Unvalidated,
            16 => Role::Disabled,
            18 => Role::Paused,
            20 => Role::DoNotCall,
            _ => Role::Daily,
        }
    }

    /// Why no call ever falls due for this role, in words; `None` = calls fall due.
    pub fn never_due_because(self) -> Option<&'static str> {
        match self {
            Role::Unpaid => Some("have not paid"),
            Role::Unvalidated => Some("phone not validated"),
            Role::Disabled => Some("disabled"),
            Role::Paused => Some("paused"),
            _ => None,
        }
    }

    /// Whether the phone of a person with this role may ring at all.
    pub fn may_be_called(self) -> bool {
        self != Role::DoNotCall && self.never_due_because().is_none()
    }
}

/// One invented person.
#[derive(Clone, Debug)]
pub struct Person {
    pub role: Role,
    pub name: String,
    pub phone: String,
    pub timezone: &'static str,
    pub call_time: &'static str,
}

/// Invents `count` people; the same count always gives the same people.
pub fn invent(count: usize) -> Vec<Person> {
    let mut people: Vec<Person> = (0..count).map(person).collect();
    for index in 1..people.len() {
        let twins = people[index].role == Role::Doubled && people[index - 1].role == Role::Doubled;
        if twins {
            people[index] = people[index - 1].clone();
        }
    }
    people
}

fn person(index: usize) -> Person {
    let name = NAMES[index % NAMES.len()];
    let family = FAMILIES[index / NAMES.len() % FAMILIES.len()];
    // There are a hundred invented numbers in New York and a thousand in London.
    let phone = match index % 10 {
        0..5 if index < 200 => format!("+121255501{:02}", index / 10 * 5 + index % 10),
        _ => format!("+442079460{index:03}"),
    };
    let role = Role::of(index);
    Person {
        role,
        name: format!("{name} {family}"),
        phone,
        // Further west the first day has not begun yet, so its call cannot have been made.
        timezone: match role {
            Role::AlreadyCalled => "Europe/London",
            _ => ZONES[index % ZONES.len()],
        },
        call_time: TIMES[index % TIMES.len()],
    }
}

/// The number of different time zones of the people.
pub fn count_zones(people: &[Person]) -> usize {
    let mut zones: Vec<&str> = people.iter().map(|person| person.timezone).collect();
    zones.sort_unstable();
    zones.dedup();
    zones.len()
}

/// A CSV file for `customers import` with the people whose role `wanted` selects.
pub fn csv(people: &[Person], begins: Instant, wanted: &dyn Fn(Role) -> bool) -> String {
    let mut text = "external_id,name,email,phone,timezone,call_time,payment_status,\
        phone_validated,call_status,welcome_call_completed,last_call_date,created_at,plan\n"
        .to_string();
    for (index, person) in people.iter().enumerate().filter(|(_, p)| wanted(p.role)) {
        let role = person.role;
        let created_at = match role {
            Role::Welcome => begins - Duration::minutes(10),
            Role::SignsUp => begins + Duration::hours(33),
            _ => begins - Duration::days(30),
        };
        let welcomed = !matches!(role, Role::Welcome | Role::SignsUp);
        let last_call_date = match role {
            Role::AlreadyCalled => begins.date_naive().to_string(),
            _ => String::new(),
        };
        let call_status = match role {
            Role::Disabled => "disabled",
            Role::Paused => "paused",
            Role::InTrouble => "failed",
            _ => "completed",
        };
        writeln!(
            text,
            "demo-{index},{},person-{index}@example.com,{},{},{},{},{},{call_status},{},{},{},yoga",
            person.name,
            person.phone,
            person.timezone,
            person.call_time,
            if role == Role::Unpaid { "Pending" } else { "Paid" },
            if role == Role::Unvalidated { "false" } else { "" },
            u8::from(welcomed),
            last_call_date,
            instant_text(created_at),
        )
        .expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_doubled_share_a_number_and_every_role_is_there() {
        for count in [FEWEST, 200, MOST] {
            let people = invent(count);
            assert!(12 <= count_zones(&people));
            let mut phones: Vec<&str> = people.iter().map(|p| p.phone.as_str()).collect();
            phones.sort_unstable();
            phones.dedup();
            let twins = people.iter().filter(|p| p.role == Role::Doubled).count() / 2;
            assert_eq!(phones.len() + twins, count);
            for role in [Role::AlreadyCalled, Role::Welcome, Role::SignsUp, Role::InTrouble] {
                assert!(people.iter().any(|person| person.role == role), "{role:?}");
            }
            assert!(4 < people.iter().filter(|p| !p.role.may_be_called()).count());
        }
    }

    #[test]
    fn every_number_is_one_that_no_phone_has() {
        for person in invent(MOST) {
            let (us, gb) = ("+121255501", "+442079460");
            let rest = person.phone.strip_prefix(us).or(person.phone.strip_prefix(gb));
            let digits = if person.phone.starts_with(us) { 2 } else { 3 };
            assert_eq!(rest.map(str::len), Some(digits), "{}", person.phone);
        }
    }
}
