//! The kinds of holds. A hold stops all dialing from a file until its cause is gone or a person
//! lifts it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The cause of a hold. The texts are those of `ringonce resume --hold KIND`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum HoldKind {
    /// A made call could not be proven in its customer's flags.
    Flag,
    /// This machine's clock cannot be trusted.
    Clock,
    /// An outcome, or a call of the provider's list, could not be written.
    Record,
    /// Another dialer uses a copy of this database.
    Foreign,
    /// The key belongs to another account, or the account refuses calls.
    Account,
    /// A kind that this version does not write. It holds all the same.
    Other(String),
}

impl HoldKind {
    /// The kinds that this version writes.
    pub const ALL: [HoldKind; 5] =
        [HoldKind::Flag, HoldKind::Clock, HoldKind::Record, HoldKind::Foreign, HoldKind::Account];

    pub fn as_str(&self) -> &str {
        match self {
            HoldKind::Flag => "flag",
            HoldKind::Clock => "clock",
            HoldKind::Record => "record",
            HoldKind::Foreign => "foreign",
            HoldKind::Account => "account",
            HoldKind::Other(kind) => kind,
        }
    }
}

impl From<&str> for HoldKind {
    fn from(text: &str) -> HoldKind {
        let known = HoldKind::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.unwrap_or_else(|| HoldKind::Other(text.to_string()))
    }
}

impl From<String> for HoldKind {
    fn from(text: String) -> HoldKind {
        HoldKind::from(text.as_str())
    }
}

impl From<HoldKind> for String {
    fn from(kind: HoldKind) -> String {
        kind.as_str().to_string()
    }
}

impl fmt::Display for HoldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
