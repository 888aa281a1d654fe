//! What `check` says about an existing database: may it dial here, by this clock, does anything hold
//! it, who dials, are its customers somewhere that is known. Only looks.

use super::check::{Finding, State};
use crate::config::Loaded;
use crate::domain::zone_country;
use crate::phones;
use crate::steps::guard;
use crate::store::files::{self, Identity};
use crate::store::meta::{self, Hold};
use crate::store::{Store, places};
use crate::zones::Zones;

/// So many ids are named; the rest is counted.
const NAMED: usize = 5;

pub fn findings(loaded: &Loaded, zones: &Zones) -> Vec<Finding> {
    let problem =
        |error: anyhow::Error| vec![Finding::new("database", State::Problem, format!("{error:#}"))];
    let store = match Store::look(&loaded.db) {
        Ok(store) => store,
        Err(error) => return problem(error),
    };
    look(loaded, zones, &store).unwrap_or_else(problem)
}

fn look(loaded: &Loaded, zones: &Zones, store: &Store) -> anyhow::Result<Vec<Finding>> {
    let mut found = vec![armed(loaded, store)?, dialer(loaded)];
    found.extend(clock(loaded, store)?);
    found.extend(store.read(meta::holds)?.iter().map(hold));
    found.extend(files::foreign_filesystem(&loaded.db).map(|kind| {
        let detail = format!(
            "the database lies on {kind}, whose locks and syncs are not to be relied on: put it on \
             a disk of this machine"
        );
        Finding::new("file system", State::Warning, detail)
    }));
    found.extend(customers(loaded, zones, store)?);
    found.extend(holidays(loaded, store)?);
    Ok(found)
}

fn armed(loaded: &Loaded, store: &Store) -> anyhow::Result<Finding> {
    let here = Identity::of(&loaded.db)?;
    Ok(match guard::not_armed_at(store)? {
        None => {
            let detail = format!("armed here, recognized by {}", here.file.recognized_by());
            Finding::new("file identity", State::Ok, detail)
        }
        Some(why) => Finding::new("file identity", State::Problem, why),
    })
}

/// What speaks against the machine's clock: a start would dial nobody by it.
fn clock(loaded: &Loaded, store: &Store) -> anyhow::Result<Option<Finding>> {
    let reading = loaded.clock.read()?;
    let wrong = store.read(|conn| {
        let behind = guard::behind_mark(conn, reading.now)?;
        Ok(behind.or(guard::wrong_clock(conn, &reading)?))
    })?;
    Ok(wrong.map(|why| Finding::new("clock", State::Problem, why)))
}

fn hold(hold: &Hold) -> Finding {
    let lifts = match hold.kind.as_str() {
        "clock" => "; it lifts by itself when the clocks agree again".to_string(),
        _ if hold.why.contains("--hold") => String::new(),
        kind => format!("; when the cause is gone, run `{}`", guard::lifted_by(kind)),
    };
    let detail = format!("dialing is {}{lifts}", guard::held(hold));
    Finding::new("hold", State::Problem, detail)
}

fn dialer(loaded: &Loaded) -> Finding {
    let detail = match files::lock_holder(&loaded.db) {
        Some(holder) => format!("running: {holder}"),
        None => "none is running".to_string(),
    };
    Finding::new("dialer", State::Ok, detail)
}

/// Ids that share a trouble: the first few, and how many.
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

    fn tell(&self, what: &str) -> Option<Finding> {
        if self.count == 0 {
            return None;
        }
        let ids: Vec<String> = self.first.iter().map(i64::to_string).collect();
        let more = if self.first.len() < self.count { ", …" } else { "" };
        let noun = if self.count == 1 { "customer" } else { "customers" };
        let detail = format!("{} {noun} {what}: id {}{more}", self.count, ids.join(", "));
        Some(Finding::new("customers", State::Warning, detail))
    }
}

fn customers(loaded: &Loaded, zones: &Zones, store: &Store) -> anyhow::Result<Vec<Finding>> {
    let (mut all, mut unknown, mut elsewhere) = (0_usize, Troubled::default(), Troubled::default());
    let only_numbers = loaded.config.dialing.only_numbers.as_ref();
    let mut excluded = 0_usize;
    store.read(|conn| {
        places::each(conn, |id, zone, phone| {
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
    let mut found = vec![Finding::new("customers", State::Ok, format!("{all} known"))];
    found.extend(only_numbers.map(|only| {
        let named = if only.len() == 1 { "1 number" } else { &format!("{} numbers", only.len()) };
        let detail = format!(
            "dialing.only_numbers names {named}: {excluded} of {all} customers are never dialed"
        );
        Finding::new("customers", State::Warning, detail)
    }));
    found.extend(unknown.tell("in no known time zone (never called)"));
    found.extend(elsewhere.tell("with a phone of another country than their time zone's"));
    Ok(found)
}

fn holidays(loaded: &Loaded, store: &Store) -> anyhow::Result<Option<Finding>> {
    let wanted = &loaded.config.holidays;
    let (count, last) = store.read(places::holidays)?;
    Ok(match last {
        Some(last) => {
            let detail = format!("{count} dates without calls are loaded, the last is {last}");
            Some(Finding::new("holidays", State::Ok, detail))
        }
        None if wanted.files.is_empty() && wanted.blackout_dates.is_empty() => None,
        None => {
            let detail = "none are loaded yet: the next start of `run` or `tick` reads them";
            Some(Finding::new("holidays", State::Ok, detail))
        }
    })
}
