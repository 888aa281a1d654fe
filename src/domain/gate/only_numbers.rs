//! The only numbers that may be dialed while `dialing.only_numbers` is set.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Numbers in E.164.
#[derive(Clone, PartialEq, Eq)]
pub struct OnlyNumbers(BTreeSet<String>);

impl OnlyNumbers {
    pub fn new(numbers: impl IntoIterator<Item = String>) -> OnlyNumbers {
        OnlyNumbers(numbers.into_iter().collect())
    }

    pub fn allow(&self, phone: &str) -> bool {
        self.0.contains(phone)
    }
}

/// Shows a count and a hash, never a number, because the text of the rules is stored.
impl fmt::Debug for OnlyNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        write!(f, "OnlyNumbers({}, {:x})", self.0.len(), hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_the_rules_tells_two_lists_apart_and_holds_no_number() {
        let list = |numbers: &[&str]| OnlyNumbers::new(numbers.iter().map(|n| n.to_string()));
        let text = format!("{:?}", list(&["+12125550101", "+442079460102"]));
        assert!(!text.contains("0101"), "{text}");
        assert_eq!(text, format!("{:?}", list(&["+442079460102", "+12125550101"])));
        assert_ne!(text, format!("{:?}", list(&["+12125550101", "+442079460103"])));
    }
}
