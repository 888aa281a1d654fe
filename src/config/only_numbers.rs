//! Checks `dialing.only_numbers`: a number that is not in the stored form would match no customer.

use crate::config::error::ConfigProblem;
use crate::config::settings::Dialing;
use crate::phones;

/// Every entry that is not a number in the stored form, with the form to write.
pub fn problems(dialing: &Dialing) -> Vec<ConfigProblem> {
    let Some(numbers) = &dialing.only_numbers else { return Vec::new() };
    let problem = |what: String| ConfigProblem { key: "dialing.only_numbers".to_string(), what };
    if numbers.is_empty() {
        let what = "is empty, so nobody would be called: name a number, or delete the key";
        return vec![problem(what.to_string())];
    }
    numbers.iter().filter_map(|text| refused(text)).map(problem).collect()
}

fn refused(text: &str) -> Option<String> {
    match phones::parse(text, None) {
        Err(why) => Some(format!("{text:?} {why}; write it as +12125550101")),
        Ok(phone) => match phone.error {
            Some(why) => Some(format!("{text:?} cannot be dialed: {why}")),
            None if phone.e164 == text => None,
            None => Some(format!("{text:?} is not in the form E.164: write {:?}", phone.e164)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(numbers: &[&str]) -> String {
        let only_numbers = Some(numbers.iter().map(|text| text.to_string()).collect());
        let problems = problems(&Dialing { only_numbers, ..Dialing::default() });
        problems.iter().map(ConfigProblem::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_number_in_another_form_is_refused_with_the_form_to_write() {
        assert_eq!(problems(&Dialing::default()), []);
        assert_eq!(told(&["+12125550101", "+442079460102"]), "");
        for (text, part) in [
            ("+1 212 555 0101", "write \"+12125550101\""),
            ("+44 (0)20 7946 0102", "write \"+442079460102\""),
            ("212 555 0101", "has no country"),
            ("12125550101", "has no country"),
            ("Ada", "letters"),
            ("", "is empty"),
            ("+1 555 555 0101", "cannot be dialed"),
        ] {
            let told = told(&["+12125550101", text]);
            assert!(told.starts_with("dialing.only_numbers: ") && told.contains(part), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
        assert!(told(&[]).contains("nobody would be called"));
    }
}
