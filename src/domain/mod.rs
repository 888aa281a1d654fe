//! Floor 0: decides. Values in, values out; no clock, SQL, HTTP, files, environment or logging.

pub mod call;
pub mod cron;
mod cron_words;
pub mod customer;
pub mod disclosure;
pub mod disposition;
pub mod entry;
pub mod fields;
pub mod gate;
pub mod limits;
pub mod recovery;
pub mod retry;
pub mod schedule;
pub mod window;
pub mod zone;
pub mod zone_country;

use chrono::{DateTime, NaiveDateTime, Utc};

/// A point on the UTC time line. Time is always a value handed in by the caller.
pub type Instant = DateTime<Utc>;

/// The one text form of an instant: UTC, fixed width, so that text order is time order.
pub fn instant_text(at: Instant) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A stored instant as a person reads it: `2026-11-22 17:01 UTC`.
pub fn readable(text: &str) -> String {
    parse_instant(text).map_or_else(|| text.to_string(), |at| at.format("%F %H:%M UTC").to_string())
}

/// Reads an RFC 3339 instant with any offset; also the old `2026-11-22 17:01:00+00` of Postgres.
///
/// `None` when the text names no instant. A text without an offset is read as UTC only when it
/// has the Postgres form (`timestamp without time zone`), because that is how the old tables
/// stored it.
pub fn parse_instant(text: &str) -> Option<Instant> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    for form in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        if let Ok(at) = DateTime::parse_from_str(text, form) {
            return Some(at.to_utc());
        }
    }
    for form in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, form) {
            return Some(at.and_utc());
        }
    }
    None
}

/// Declares an enum whose variants are stored as text: variant and text stand side by side, and
/// both directions come from the one list.
macro_rules! text_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of the declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The text used in the database, in JSON and on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// The variant of a text; `None` for a word that is not in the list.
            pub fn parse(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)+ _ => None }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                let text = String::deserialize(from)?;
                $name::parse(&text).ok_or_else(|| {
                    serde::de::Error::custom(format!("{text:?} is no {}", stringify!($name)))
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use text_enum;
