//! Checks of an existing database: the right to dial here, the clock, holds, the running dialer,
//! and the customers' zones. Only reads.

use crate::cli::setup::check::assistants;
use crate::cli::setup::check::finding::{CheckFinding, State};
use crate::config::load::LoadedConfig;
use crate::config::timetable::Timetable;
use crate::domain::calendar::zone_country;
use crate::domain::hold::HoldKind;
use crate::phones;
use crate::steps::customers::census;
use crate::steps::readiness::health::{Cause, evidence};
use crate::steps::readiness::quarantine;
use crate::steps::readiness::{armed, clock_check};
use crate::steps::rules;
use crate::store::Store;
use crate::store::file::identity::Identity;
use crate::store::file::{lock, side_files};
use crate::store::meta::{holds, scan_inputs};
use crate::store::views::locations;
use crate::zones::Zones;

/// At most this many ids are printed; the rest are counted.
const NAMED: usize = 5;
/// Each has its own correction.
const ODD_ROWS_NAMED: usize = 20;

pub fn findings(loaded: &LoadedConfig, zones: &Zones) -> Vec<CheckFinding> {
    let problem = |error: anyhow::Error| {
        vec![CheckFinding::new("database", State::Problem, format!("{error:#}"))]
    };
    let store = match Store::look(&loaded.db) {
        Ok(store) => store,
        Err(error) => return problem(error),
    };
    look(loaded, zones, &store).unwrap_or_else(problem)
}

fn look(loaded: &LoadedConfig, zones: &Zones, store: &Store) -> anyhow::Result<Vec<CheckFinding>> {
    let mut found = vec![armed(loaded, store)?, dialer(loaded)];
    found.extend(clock(loaded, store)?);
    found.extend(causes(loaded, zones, store)?);
    found.extend(side_files::foreign_filesystem(&loaded.db).map(|kind| {
        let detail = format!(
            "the database is on {kind}, whose locks and syncs are not reliable: put it on \
             a disk of this machine"
        );
        CheckFinding::new("file system", State::Warning, detail)
    }));
    found.extend(odd_rows(loaded, store)?);
    found.extend(zone_rules(zones, store)?);
    found.extend(customers(loaded, zones, store)?);
    found.extend(assistants::unknown_names(loaded, store)?);
    found.extend(callable(loaded, store)?);
    found.extend(holidays(loaded, store)?);
    Ok(found)
}

fn armed(loaded: &LoadedConfig, store: &Store) -> anyhow::Result<CheckFinding> {
    let here = Identity::of(&loaded.db)?;
    Ok(match armed::not_armed_at(store)? {
        None => {
            let detail = format!("armed here, recognized by {}", here.file.recognized_by());
            CheckFinding::new("file identity", State::Ok, detail)
        }
        Some(why) => CheckFinding::new("file identity", State::Problem, why),
    })
}

/// Reports a machine clock by which a start would refuse to dial.
fn clock(loaded: &LoadedConfig, store: &Store) -> anyhow::Result<Option<CheckFinding>> {
    let reading = loaded.clock.read()?;
    let wrong = store.read(|conn| {
        let behind = clock_check::behind_mark(conn, reading.now)?;
        Ok(behind.or(clock_check::wrong_clock(conn, &reading)?))
    })?;
    Ok(wrong.map(|why| CheckFinding::new("clock", State::Problem, why)))
}

/// Every other reason why a due call would not be dialed. A file that no dialer has used yet is
/// not late.
fn causes(
    loaded: &LoadedConfig,
    zones: &Zones,
    store: &Store,
) -> anyhow::Result<Vec<CheckFinding>> {
    let now = loaded.clock.now()?;
    // Values that cannot be read are reported with the configuration.
    let Ok(timetable) = Timetable::of(&loaded.config, zones) else { return Ok(Vec::new()) };
    let config = (&loaded.config, &timetable);
    let causes = evidence::causes_of(store, config, Vec::new(), now)?;
    let is_held = store.read(|conn| holds::is_held(conn, &HoldKind::Clock))?;
    let rules = rules(&loaded.config).ok();
    let census = rules.map(|rules| store.read(|conn| census::take(conn, &rules))).transpose()?;
    let none_by_status = census.is_some_and(|census| census.eligible == 0);
    // Without a stored hold, the finding about the clock says it already. The findings about
    // customers name the payment statuses.
    let is_told = |cause: &Cause| match cause {
        Cause::Held(hold) => hold.kind != HoldKind::Clock || is_held,
        Cause::NobodyEligible(_) => !none_by_status,
        _ => true,
    };
    Ok(causes.iter().filter(|cause| is_told(cause)).filter_map(finding).collect())
}

fn finding(cause: &Cause) -> Option<CheckFinding> {
    let (item, state) = match cause {
        // They have findings of their own.
        Cause::NotArmed(_)
        | Cause::Unwritable(_)
        | Cause::FirstTickMissing
        | Cause::OddRows { .. } => {
            return None;
        }
        Cause::Held(_) => {
            let detail = format!("dialing is {}", cause.line());
            return Some(CheckFinding::new("hold", State::Problem, detail));
        }
        Cause::BreakerOpen(_) => ("breaker", State::Problem),
        Cause::StartShut { .. } => ("dialing", State::Problem),
        Cause::Paused(_) => ("pause", State::Warning),
        Cause::ProviderUnreachable(_) => ("provider", State::Problem),
        Cause::NobodyEligible(_) => ("eligibility", State::Warning),
        Cause::UnknownNumbers(_) => ("calls made elsewhere", State::Problem),
        Cause::InDoubt(_) => ("doubts", State::Warning),
        Cause::BackupsFail(_) => ("backups", State::Warning),
        Cause::EventsUndelivered(_) => ("events", State::Warning),
        Cause::AlertsFail(_) => ("alerts", State::Warning),
        _ => ("dialing", State::Warning),
    };
    Some(CheckFinding::new(item, state, cause.line()))
}

fn dialer(loaded: &LoadedConfig) -> CheckFinding {
    let detail = match lock::lock_holder(&loaded.db) {
        Some(holder) => format!("running: {holder}"),
        None => "none is running".to_string(),
    };
    CheckFinding::new("dialer", State::Ok, detail)
}

/// Every row that cannot be read, the first few with the command that corrects them.
fn odd_rows(loaded: &LoadedConfig, store: &Store) -> anyhow::Result<Vec<CheckFinding>> {
    let rows = store.read(|conn| quarantine::all(store, conn))?;
    let finding = |detail: String| CheckFinding::new("unreadable row", State::Problem, detail);
    let mut found: Vec<CheckFinding> = Vec::new();
    for row in rows.iter().take(ODD_ROWS_NAMED) {
        let whom = match row.customer_id {
            Some(id) => format!("customer {id} is not called"),
            None => "nobody whom it may concern is called".to_string(),
        };
        let correct = quarantine::how_to_correct(row, &loaded.db);
        found.push(finding(format!("{}: {whom}; {correct}", row.words())));
    }
    let more = rows.len().saturating_sub(ODD_ROWS_NAMED);
    if more > 0 {
        found.push(finding(format!(
            "{more} more rows cannot be read: `ringonce audit --offline --json` names them"
        )));
    }
    Ok(found)
}

/// Reports stored instants that other zone rules gave.
fn zone_rules(zones: &Zones, store: &Store) -> anyhow::Result<Option<CheckFinding>> {
    let known = store.read(scan_inputs::zone_rules)?.filter(|known| *known != zones.version());
    Ok(known.map(|known| {
        let detail = format!(
            "the stored call times were computed with IANA {known}; the next scan computes them \
             again"
        );
        CheckFinding::new("time zones", State::Ok, detail)
    }))
}

/// Customers that share a problem: the first few ids, and the count.
#[derive(Default)]
struct Troubled {
    first: Vec<i64>,
    count: usize,
}

impl Troubled {
    fn add(&mut self, id: i64) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(id);
        }
    }

    fn tell(&self, what: &str) -> Option<CheckFinding> {
        if self.count == 0 {
            return None;
        }
        let ids: Vec<String> = self.first.iter().map(i64::to_string).collect();
        let more = if self.first.len() < self.count { ", …" } else { "" };
        let noun = if self.count == 1 { "customer" } else { "customers" };
        let detail = format!("{} {noun} {what}: id {}{more}", self.count, ids.join(", "));
        Some(CheckFinding::new("customers", State::Warning, detail))
    }
}

fn customers(
    loaded: &LoadedConfig,
    zones: &Zones,
    store: &Store,
) -> anyhow::Result<Vec<CheckFinding>> {
    let (mut all, mut unknown, mut elsewhere) = (0_usize, Troubled::default(), Troubled::default());
    let only_numbers = loaded.config.dialing.only_numbers.as_ref();
    let mut excluded = 0_usize;
    store.read(|conn| {
        locations::each(conn, |id, zone, phone| {
            all += 1;
            let is_named = |only: &Vec<String>| only.iter().any(|number| number == phone);
            excluded += usize::from(only_numbers.is_some_and(|only| !is_named(only)));
            if zones.get(zone).is_none() {
                return unknown.add(id);
            }
            let countries = (zone_country::country_of(zone), phones::country_of(phone));
            if let (Some(zone), Some(phone)) = countries
                && zone != phone
            {
                elsewhere.add(id);
            }
        })
    })?;
    let mut found = vec![CheckFinding::new("customers", State::Ok, format!("{all} known"))];
    found.extend(only_numbers.map(|only| {
        let named = if only.len() == 1 { "1 number" } else { &format!("{} numbers", only.len()) };
        let detail = format!(
            "dialing.only_numbers names {named}: {excluded} of {all} customers are never dialed"
        );
        CheckFinding::new("customers", State::Warning, detail)
    }));
    found.extend(unknown.tell("in an unknown time zone (never called)"));
    found.extend(elsewhere.tell("with a phone of another country than their time zone's"));
    Ok(found)
}

/// Reports payment statuses that exclude most customers, and call times that few people choose.
fn callable(loaded: &LoadedConfig, store: &Store) -> anyhow::Result<Vec<CheckFinding>> {
    // Rules that cannot be read are reported with the configuration.
    let Ok(rules) = rules(&loaded.config) else { return Ok(Vec::new()) };
    let census = store.read(|conn| census::take(conn, &rules))?;
    let warning = |item, what| CheckFinding::new(item, State::Warning, what);
    let few = census.few_eligible().map(|what| warning("eligibility", what));
    let odd = census.odd_times().map(|what| warning("call times", what));
    Ok(few.into_iter().chain(odd).collect())
}

fn holidays(loaded: &LoadedConfig, store: &Store) -> anyhow::Result<Option<CheckFinding>> {
    let wanted = &loaded.config.holidays;
    let (count, last) = store.read(locations::holidays)?;
    Ok(match last {
        Some(last) => {
            let detail = format!("{count} dates without calls are loaded, the last is {last}");
            Some(CheckFinding::new("holidays", State::Ok, detail))
        }
        None if wanted.files.is_empty() && wanted.blackout_dates.is_empty() => None,
        None => {
            let detail = "none are loaded yet: the next start of `run` or `tick` reads them";
            Some(CheckFinding::new("holidays", State::Ok, detail))
        }
    })
}
