//! The month on paper: each person's calls and their outcomes, computed date by date from the
//! written rules. It shares words with the program, but no code.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, TimeZone, Timelike};
use chrono_tz::Tz;
use ringonce::domain::Instant;
use ringonce::domain::call::Disposition;

use crate::month::FIRST;
use crate::world::at;

/// Nobody is called on this date, in any zone.
pub const FEAST: &str = "2026-03-17";
/// The last date that counts.
pub const LAST: &str = "2026-03-31";
/// The machine is off between these two instants.
pub const CLOSED_FROM: &str = "2026-03-10T12:01:00Z";
pub const CLOSED_UNTIL: &str = "2026-03-12T12:00:00Z";

const ZONES: [&str; 20] = [
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "Pacific/Honolulu",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Africa/Lagos",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Brisbane",
    "Pacific/Auckland",
    "Pacific/Kiritimati",
];

/// One person.
#[derive(Clone, Debug)]
pub struct Plan {
    pub number: usize,
    pub zone: &'static str,
    pub time: NaiveTime,
    pub signed_up: Instant,
    pub welcomed: bool,
    pub paid: bool,
    pub listed: bool,
    pub paused: bool,
    /// Has the number and the call time of the person before.
    pub twin: bool,
}

/// A number that looks random and depends only on its text.
fn mixed(text: &str) -> u64 {
    let mixed = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mixed ^ (mixed >> 29)
}

pub fn plan(number: usize) -> Plan {
    let twin = number % 50 == 31;
    let like = if twin { number - 1 } else { number };
    let minute = mixed(&format!("time {like}")) % 288 * 5;
    // One person in 23 signs up this month, at an hour far from their call time.
    let newcomer = number % 23 == 5 && !twin;
    let day = 1 + (number / 23) as i64 % 7;
    let signed_up = at(FIRST) + Duration::days(day) + Duration::hours(6);
    Plan {
        number,
        zone: ZONES[like % 20],
        time: NaiveTime::from_num_seconds_from_midnight_opt(minute as u32 * 60, 0).expect("a time"),
        signed_up: if newcomer { signed_up } else { at(FIRST) },
        welcomed: !newcomer,
        paid: number % 40 != 7,
        listed: number % 40 == 12,
        paused: number % 40 == 18,
        twin,
    }
}

impl Plan {
    pub fn phone(&self) -> String {
        format!("+44207946{:04}", self.number - usize::from(self.twin))
    }

    /// How an attempt ends, and how long it takes.
    pub fn ending(&self, occasion: &str, attempt_no: i64) -> (Disposition, Duration) {
        use Disposition::*;
        let dice = mixed(&format!("{} {occasion} {attempt_no}", self.number));
        let how = match dice % 100 {
            0..58 => Answered,
            58..73 => NoAnswer,
            73..80 => Busy,
            80..90 => Voicemail,
            90..92 => BadNumber,
            92..94 => Failed,
            94..95 => Unknown,
            // A newcomer's welcome call always rings, which keeps this model short.
            _ if occasion == "welcome" => Answered,
            _ => NeverDialed,
        };
        let seconds = if how == NeverDialed { 0 } else { 5 + dice / 100 % 80 };
        (how, Duration::seconds(seconds as i64))
    }

    fn tz(&self) -> Tz {
        self.zone.parse().expect("a zone")
    }

    fn local(&self, instant: Instant) -> DateTime<Tz> {
        instant.with_timezone(&self.tz())
    }

    /// The instant of a local time: in a fold the earlier one, in a gap the first one after it.
    fn instant(&self, date: NaiveDate, time: NaiveTime) -> Instant {
        let mut wanted = date.and_time(time);
        loop {
            if let Some(found) = self.tz().from_local_datetime(&wanted).earliest() {
                return found.to_utc();
            }
            wanted += Duration::minutes(1);
        }
    }

    fn is_open(&self, instant: Instant) -> bool {
        (8..21).contains(&self.local(instant).hour())
    }

    /// The instant itself if the window is open then, else the next 08:00.
    fn opening(&self, instant: Instant) -> Instant {
        let local = self.local(instant);
        let eight = NaiveTime::from_hms_opt(8, 0, 0).expect("a time");
        match local.hour() {
            0..8 => self.instant(local.date_naive(), eight),
            8..21 => instant,
            _ => self.instant(local.date_naive() + Duration::days(1), eight),
        }
    }
}

/// The provider's text for an ending.
pub fn reason(how: Disposition) -> &'static str {
    match how {
        Disposition::Answered => "assistant-ended-call",
        Disposition::Voicemail => "voicemail",
        Disposition::NoAnswer => "customer-did-not-answer",
        Disposition::Busy => "customer-busy",
        Disposition::BadNumber => "sip-outbound-unallocated-number",
        Disposition::NeverDialed => "call.in-progress.error-vapifault-worker-not-available",
        Disposition::Failed => "pipeline-error-openai-voice-failed",
        Disposition::Unknown => "a-reason-of-next-year",
    }
}

/// The totals of the month.
#[derive(Debug, Default)]
pub struct Totals {
    /// `daily skipped too_late`, and how often it occurs.
    pub items: BTreeMap<String, usize>,
    /// `daily #2 answered`, and how often it occurs.
    pub endings: BTreeMap<String, usize>,
}

/// When an act that is due at this instant really happens.
fn awake(instant: Instant) -> Instant {
    let closed = at(CLOSED_FROM) <= instant && instant < at(CLOSED_UNTIL);
    if closed { at(CLOSED_UNTIL) } else { instant }
}

pub fn month(plans: &[Plan]) -> Totals {
    let mut totals = Totals::default();
    for plan in plans.iter().filter(|plan| plan.paid) {
        person(plan, plans, &mut totals);
    }
    totals
}

fn person(plan: &Plan, plans: &[Plan], totals: &mut Totals) {
    let mut last_ring = None;
    let mut from = plan.signed_up - Duration::milliseconds(1);
    if !plan.welcomed {
        if plan.listed {
            *totals.items.entry("welcome skipped do_not_call".to_string()).or_default() += 1;
            from = plan.signed_up + Duration::minutes(20);
        } else if plan.paused {
            *totals.items.entry("welcome pending paused".to_string()).or_default() += 1;
            return;
        } else {
            let called = plan.opening(plan.signed_up + Duration::minutes(20));
            let (how, _) = plan.ending("welcome", 1);
            *totals.items.entry("welcome completed".to_string()).or_default() += 1;
            *totals.endings.entry(format!("welcome #1 {how}")).or_default() += 1;
            (last_ring, from) = (Some(called), called);
        }
    }
    let mut date = plan.local(from).date_naive();
    while date.to_string().as_str() <= LAST {
        let chosen = plan.instant(date, plan.time);
        if from < chosen {
            let twin_rings = plan.twin && rings(&plans[plan.number - 1], date);
            let said = occasion(plan, date, chosen, twin_rings, &mut last_ring);
            for ending in said.endings {
                *totals.endings.entry(ending).or_default() += 1;
            }
            *totals.items.entry(said.item).or_default() += 1;
        }
        date = date.succ_opt().expect("a date");
    }
}

/// Whether the first twin's call is under way when the second twin's call is judged.
fn rings(first: &Plan, date: NaiveDate) -> bool {
    first.paid && !first.listed && !first.paused && date.to_string() != FEAST
}

/// The result of one date.
struct Said {
    endings: Vec<String>,
    item: String,
}

fn skipped(why: &str) -> Said {
    Said { endings: Vec::new(), item: format!("daily skipped {why}") }
}

fn occasion(
    plan: &Plan,
    date: NaiveDate,
    chosen: Instant,
    twin_rings: bool,
    last_ring: &mut Option<Instant>,
) -> Said {
    let minutes = Duration::minutes;
    let nine = plan.instant(date, NaiveTime::from_hms_opt(21, 0, 0).expect("a time"));
    let mut last = nine.min(chosen + minutes(240)).max(chosen + minutes(30));
    let asked = awake(chosen);
    if last < asked {
        return skipped(if plan.paused { "paused" } else { "too_late" });
    }
    if plan.listed {
        return skipped("do_not_call");
    }
    if twin_rings {
        return skipped("same_phone");
    }
    if plan.paused {
        return skipped("paused");
    }
    let mut at = asked;
    if let Some(ring) = *last_ring
        && at < ring + minutes(60)
    {
        at = ring + minutes(60);
        if last < at {
            return skipped("min_gap");
        }
    }
    if plan.local(at).date_naive().to_string() == FEAST {
        return skipped("holiday");
    }
    if chosen + minutes(30) < at {
        at = awake(plan.opening(at));
        if last < at {
            return skipped("outside_window");
        }
    }
    let mut endings = Vec::new();
    let mut times: BTreeMap<bool, usize> = BTreeMap::new();
    for attempt_no in 1.. {
        let (how, lasts) = plan.ending(&date.to_string(), attempt_no);
        let ended = at + lasts;
        endings.push(format!("daily #{attempt_no} {how}"));
        if how != Disposition::NeverDialed {
            *last_ring = Some(at);
        }
        let allowed = match how {
            Disposition::NeverDialed => 2,
            Disposition::NoAnswer | Disposition::Busy => 1,
            _ => 0,
        };
        let used = times.entry(how == Disposition::NeverDialed).or_default();
        *used += 1;
        if allowed < *used {
            break;
        }
        let wait = if how == Disposition::NeverDialed { 15 } else { 120 };
        let wanted = ended + minutes(wait);
        let eight_pm = plan.instant(date, NaiveTime::from_hms_opt(20, 0, 0).expect("a time"));
        let on_date = plan.local(wanted).date_naive() == date;
        if how == Disposition::NeverDialed {
            if !on_date || last < wanted {
                break;
            }
        } else if !on_date || eight_pm <= wanted {
            break;
        } else {
            last = eight_pm;
        }
        let free = last_ring.map_or(wanted, |ring| wanted.max(ring + minutes(60)));
        at = awake(plan.opening(awake(free)));
        if last < at || !plan.is_open(at) {
            break;
        }
    }
    Said { endings, item: "daily completed".to_string() }
}
