//! Numbers that a country renumbered: the old form and today's form belong to one subscriber.
//!
//! Each row is a published change of a national numbering plan that maps every old number to
//! exactly one new one. Changes that need more than the digits are not here, such as Metro Manila's
//! of 2019, where the operator decides. Such an old form is not a valid number.

use rlibphonenumber::PHONE_NUMBER_UTIL;

/// One change: `old.0 area old.1 rest` became `new.0 area new.1 rest`.
struct Renumbering {
    /// The calling code and the digits before the area; the digits between area and rest.
    old: (&'static str, &'static str),
    new: (&'static str, &'static str),
    /// The permitted digits at each place of the area.
    area: &'static [&'static str],
    /// The permitted digits at the first places of the rest.
    rest: &'static [&'static str],
    /// The number of digits in the rest.
    len: usize,
    /// A number of today that lost a digit never looks like the old form, so today's form may be
    /// dialed instead of the old one.
    is_certain: bool,
}

const ANY: &str = "0123456789";

const fn change(
    old: &'static str,
    new: &'static str,
    rest: &'static [&'static str],
    len: usize,
) -> Renumbering {
    Renumbering { old: (old, ""), new: (new, ""), area: &[], rest, len, is_certain: true }
}

/// The same, when a lost digit could make one form look like the other.
const fn doubtful(
    old: &'static str,
    new: &'static str,
    rest: &'static [&'static str],
    len: usize,
) -> Renumbering {
    Renumbering { is_certain: false, ..change(old, new, rest, len) }
}

/// A change that added a digit between the area and the rest.
const fn inside(
    code: &'static str,
    area: &'static [&'static str],
    new: &'static str,
    rest: &'static [&'static str],
    len: usize,
) -> Renumbering {
    Renumbering { old: (code, ""), new: (code, new), area, rest, len, is_certain: false }
}

const CHANGES: &[Renumbering] = &[
    // Mexico 2019: the 1 before mobile numbers was dropped.
    change("521", "52", &["23456789"], 10),
    // Argentina: a mobile number is dialed with a 9 from abroad and written without it at home.
    // No fixed line has the digits of a mobile one.
    doubtful("54", "549", &["123"], 10),
    // Brazil 2012–2016: a 9 before mobile numbers of eight digits.
    inside("55", &["123456789", "123456789"], "9", &["6789"], 8),
    // Ivory Coast 2021: two digits by operator. The second digit of a mobile number shows the
    // operator, and the third digit of a fixed one.
    doubtful("225", "22507", &["0456789", "789"], 8),
    doubtful("225", "22505", &["0456789", "456"], 8),
    doubtful("225", "22501", &["0456789", "0123"], 8),
    doubtful("225", "22521", &["23", ANY, "8"], 8),
    doubtful("225", "22525", &["23", ANY, "0"], 8),
    doubtful("225", "22527", &["23", ANY, "12345679"], 8),
    // Benin 2024.
    change("229", "22901", &["24569"], 8),
    // Mauritius 2013, mobile.
    change("230", "2305", &["79"], 7),
    change("230", "2305", &["2", "5"], 7),
    // Nigeria 2023, fixed lines.
    doubtful("234", "23420", &["123456789", "123456789"], 8),
    // Cameroon 2014: mobile, then Camtel.
    doubtful("237", "2376", &["56789"], 8),
    doubtful("237", "2372", &["2", "2"], 8),
    doubtful("237", "2372", &["3", "3"], 8),
    doubtful("237", "2372", &["4", "23"], 8),
    // Gabon 2019: each also without its zero.
    doubtful("24101", "24111", &[ANY], 6),
    doubtful("24102", "24162", &[ANY], 6),
    doubtful("24104", "24174", &[ANY], 6),
    doubtful("24105", "24165", &[ANY], 6),
    doubtful("24106", "24166", &[ANY], 6),
    doubtful("24107", "24177", &[ANY], 6),
    doubtful("2411", "24111", &[ANY], 6),
    doubtful("2412", "24162", &[ANY], 6),
    doubtful("2414", "24174", &[ANY], 6),
    doubtful("2415", "24165", &[ANY], 6),
    doubtful("2416", "24166", &[ANY], 6),
    doubtful("2417", "24177", &[ANY], 6),
    // Egypt 2011, mobile.
    doubtful("2010", "20100", &[ANY], 7),
    doubtful("2011", "20111", &[ANY], 7),
    doubtful("2012", "20122", &[ANY], 7),
    doubtful("2014", "20114", &[ANY], 7),
    doubtful("2016", "20106", &[ANY], 7),
    doubtful("2017", "20127", &[ANY], 7),
    doubtful("2018", "20128", &[ANY], 7),
    doubtful("2019", "20109", &[ANY], 7),
    // Chile 2012–2014: a 2 before fixed lines, Santiago and the other areas.
    inside("56", &["2"], "2", &["23456789"], 7),
    inside("56", &["34567", "1234578"], "2", &["23456789"], 6),
    // Colombia 2021, fixed lines.
    change("57", "5760", &["1245678", "23456789"], 8),
    // Ecuador 2012, mobile.
    doubtful("593", "5939", &["89"], 8),
    // Sint Maarten 2011: from the Antilles' code to North America's.
    change("5995", "17215", &[ANY], 6),
    // Kosovo 2016: from Monaco's and Slovenia's codes to its own.
    change("37744", "38344", &[ANY], 6),
    change("37745", "38345", &[ANY], 6),
    change("38643", "38343", &[ANY], 6),
    change("38649", "38349", &[ANY], 6),
    // Viet Nam 2018: mobile numbers of eleven digits.
    change("84120", "8470", &[ANY], 7),
    change("84121", "8479", &[ANY], 7),
    change("84122", "8477", &[ANY], 7),
    change("84126", "8476", &[ANY], 7),
    change("84128", "8478", &[ANY], 7),
    change("84123", "8483", &[ANY], 7),
    change("84124", "8484", &[ANY], 7),
    change("84125", "8485", &[ANY], 7),
    change("84127", "8481", &[ANY], 7),
    change("84129", "8482", &[ANY], 7),
    change("8416", "843", &["23456789"], 8),
    change("84186", "8456", &[ANY], 7),
    change("84188", "8458", &[ANY], 7),
    change("84199", "8459", &[ANY], 7),
];

/// The other E.164 forms of the same subscriber, from before or after a renumbering. Empty for
/// nearly every number.
pub fn other_forms(e164: &str) -> Vec<String> {
    let mut forms = vec![e164.to_string()];
    let mut at = 0;
    // Two old forms of one number are found through today's form.
    while let Some(form) = forms.get(at).cloned() {
        for change in CHANGES {
            for other in [change.applied(&form), change.undone(&form)].into_iter().flatten() {
                if !forms.contains(&other) {
                    forms.push(other);
                }
            }
        }
        at += 1;
    }
    forms.split_off(1)
}

/// Today's form of a number that is no longer valid, and whether it may be dialed instead.
pub(super) fn today(e164: &str) -> Option<(String, bool)> {
    let is_valid =
        |form: &String| PHONE_NUMBER_UTIL.parse(form, None).is_ok_and(|number| number.is_valid());
    CHANGES.iter().find_map(|change| {
        let form = change.applied(e164).filter(is_valid)?;
        Some((form, change.is_certain))
    })
}

impl Renumbering {
    fn applied(&self, e164: &str) -> Option<String> {
        self.moved(e164, self.old, self.new)
    }

    fn undone(&self, e164: &str) -> Option<String> {
        self.moved(e164, self.new, self.old)
    }

    fn moved(&self, e164: &str, from: (&str, &str), to: (&str, &str)) -> Option<String> {
        let local = e164.strip_prefix('+')?.strip_prefix(from.0)?;
        let (area, local) = local.split_at_checked(self.area.len())?;
        let rest = local.strip_prefix(from.1)?;
        let is_meant = begins(area, self.area) && begins(rest, self.rest);
        (is_meant && rest.len() == self.len).then(|| format!("+{}{area}{}{rest}", to.0, to.1))
    }
}

/// Whether each of the first digits is permitted at its place.
fn begins(digits: &str, places: &[&str]) -> bool {
    places.len() <= digits.len()
        && digits.chars().zip(places).all(|(digit, allowed)| allowed.contains(digit))
}
