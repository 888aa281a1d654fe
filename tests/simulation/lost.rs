//! Events that a file does not know. It is lost and an older one is restored, its key becomes
//! another account's, or another system made its calls. A person may also ask the provider.

use std::sync::Arc;

use anyhow::Context as _;
use chrono::Duration;
use ringonce::clock::Reading;
use ringonce::domain::Instant;
use ringonce::domain::call::CallType;
use ringonce::domain::start::{Acceptance, Asking, Clocks, Shut, VISIBLE_AFTER};
use ringonce::steps::import::field_values::Reader;
use ringonce::steps::readiness::clock_check::{self, Heard};
use ringonce::steps::{customers as change, reconcile};
use ringonce::store::journal::By;
use ringonce::store::meta::{installation, organization, pauses};
use ringonce::store::{Conn, Store, customers};
use rusqlite::backup::Backup;

use crate::life::Life;
use crate::oracle;
use crate::outside::place;
use crate::people::{self, Person};

const WHO: &str = "operator";

/// A backup of the file, with the people as they were then.
pub struct Snapshot {
    conn: Conn,
    people: Vec<Person>,
    taken_at: Instant,
    /// When the file itself will be lost.
    pub lost_at: Instant,
}

impl Life {
    pub fn take_snapshot(&mut self) -> anyhow::Result<()> {
        if self.store.read(organization::org_id)?.is_none() {
            // Before the first call the file does not know its account, and there is not much to
            // lose.
            return Ok(());
        }
        let mut conn = Conn::open_in_memory()?;
        self.store.read(|from| {
            Backup::new(from, &mut conn)?.run_to_completion(10_000, Default::default(), None)?;
            Ok(())
        })?;
        let lost_at = self.now + Duration::days(400);
        self.snapshot =
            Some(Snapshot { conn, people: self.people.clone(), taken_at: self.now, lost_at });
        Ok(())
    }

    /// Takes a backup, soon after which the file is lost. The restored file does not know the acts
    /// in between.
    pub fn lose_soon(&mut self) -> anyhow::Result<()> {
        self.take_snapshot()?;
        let soonest = if self.plan.set_back { 1500 } else { 60 };
        let lost_at = self.now + self.dice.seconds(soonest, 4 * 3600);
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.lost_at = lost_at;
            self.next_chaos = lost_at;
        }
        Ok(())
    }

    /// The file or its machine is lost. A person adopts a backup or a copy, here or elsewhere, when
    /// the provider's lists are up to date. A copy in the place of the lost file looks armed, so
    /// nobody has to adopt it.
    pub fn restore(&mut self) -> anyhow::Result<()> {
        let Some(snapshot) = self.snapshot.take() else { return Ok(()) };
        let hours = if self.plan.often_lost && self.dice.one_in(2) { 1 } else { 20 };
        let wait = self.dice.seconds(60, hours * 3600);
        self.put_back(snapshot, wait)?;
        let looks_armed = self.store.read(installation::armed_identity)?.as_ref()
            == Some(&place(self.at).armed());
        self.begin_elsewhere(wait);
        if looks_armed && self.plan.often_lost && self.dice.one_in(3) {
            self.adopting = false;
            self.at -= 1;
            if self.dice.one_in(2) {
                let hours = self.dice.seconds(3600, 6 * 3600);
                self.plan.right_key_at = Some(self.next_start + hours);
                self.next_chaos = self.next_start + hours;
                self.vapi.world().account = 1;
            }
        }
        Ok(())
    }

    /// Sets the whole disk back, as the snapshot of a virtual machine does. The file and everything
    /// beside it are old, and the file is where it was armed. The machine starts at once, while
    /// the provider's lists lag. The snapshot is not young: its last orderly end must be as old as
    /// the program requires.
    pub fn set_back(&mut self) -> anyhow::Result<()> {
        let Some(snapshot) = self.snapshot.take() else { return Ok(()) };
        let just_now = self.now - Duration::minutes(5);
        let newest = self.vapi.world().calls.last().map(|call| call.posted_at);
        let is_busy = newest.is_some_and(|at| just_now < at);
        // The best moment is just after a call that no list shows yet.
        if !is_busy && !self.paused_all && self.now < snapshot.taken_at + Duration::hours(26) {
            self.next_chaos = self.now + Duration::minutes(3);
            self.snapshot = Some(snapshot);
            return Ok(());
        }
        let is_young = self.now < snapshot.taken_at + Duration::minutes(25);
        let is_of_here =
            installation::armed_identity(&snapshot.conn)?.as_ref() == Some(&place(self.at).armed());
        if self.adopting || is_young || !is_of_here {
            return Ok(());
        }
        let boots_in = self.dice.seconds(10, 600);
        self.put_back(snapshot, boots_in)?;
        self.counts.set_back += 1;
        self.wall_offset = Duration::zero();
        self.boot += 1;
        self.booted_at = self.now;
        self.next_start = self.now + boots_in;
        Ok(())
    }

    /// Puts the file and its people back. People who asked not to be called ask again.
    fn put_back(&mut self, snapshot: Snapshot, wait: Duration) -> anyhow::Result<()> {
        self.process = None;
        self.counts.restores += 1;
        // A person who was erased since then is a customer again, with the flags of then.
        self.book.welcomed.clear();
        self.book.told.clear();
        oracle::watch(&snapshot.conn)?;
        self.store = Arc::new(Store::over(snapshot.conn));
        let lost = std::mem::replace(&mut self.people, snapshot.people);
        let now = self.now;
        for person in &mut self.people {
            let same = lost.iter().any(|p| p.id == person.id && p.wish() == person.wish());
            if !same {
                person.loose_until = now + wait + Duration::hours(50);
            }
        }
        for phone in self.do_not_call.clone() {
            self.list_number(&phone)?;
        }
        self.paused_all = self.store.read(pauses::pauses)?.iter().any(|(scope, _)| scope == "all");
        Ok(())
    }

    /// The operator notices that nothing is dialed, and why.
    pub fn find_the_right_key(&mut self) {
        self.plan.right_key_at = None;
        self.vapi.world().account = 0;
        self.process = None;
        self.next_start = self.now + Duration::minutes(1);
    }

    /// The file is on another machine, or is another file here. A person adopts it when the
    /// provider's lists are up to date.
    fn begin_elsewhere(&mut self, wait: Duration) {
        self.process = None;
        self.adopting = true;
        self.at += 1;
        self.wall_offset = Duration::zero();
        self.boot += 1;
        self.booted_at = self.now;
        self.next_start = self.vapi.world().all_visible_at().max(self.now + wait);
    }

    /// A person accepts another account's key with the file. Its records hold none of the calls
    /// until now.
    pub fn take_another_key(&mut self) {
        self.plan.new_key_at = None;
        self.vapi.world().account = 1;
        self.snapshot = None;
        let wait = self.dice.seconds(60, 3600);
        self.begin_elsewhere(wait);
        // Earlier, nothing distinguishes the accounts. The first call would then hold dialing until
        // the person accepts the account once more.
        let newest = self.vapi.world().calls.iter().map(|call| call.created_at).max();
        let told_apart_at = newest.map(|at| at + VISIBLE_AFTER + Duration::minutes(1));
        self.next_start = self.next_start.max(told_apart_at.unwrap_or(self.now));
    }

    /// Runs `reconcile` several times in a row, as a person does who waits for an answer. Beside a
    /// dialing process, active calls are left alone.
    pub fn ask_by_hand(&mut self) -> anyhow::Result<()> {
        let may_be_put_back = self.plan.often_lost && self.process.is_none();
        if self.adopting || may_be_put_back {
            return Ok(());
        }
        for _ in 0..1 + self.dice.below(4) {
            let is_alone = self.process.is_none();
            let asking = if is_alone {
                Asking::Start(Acceptance::Nothing)
            } else {
                Asking::Beside { dialing_since: None }
            };
            let (cx, reading) = (self.command()?, self.reading());
            reconcile::read_back(&cx)?;
            match self.ask_once(&reading, asking) {
                Ok(()) => {}
                Err(error) => drop(error.downcast::<Shut>()?),
            }
            let time = self.dice.seconds(5, 60);
            self.pass_time(time)?;
        }
        self.look_again();
        Ok(())
    }

    fn ask_once(&self, reading: &Reading, asking: Asking) -> anyhow::Result<()> {
        let cx = self.command()?;
        let answer = reconcile::ask(&cx, &self.vapi, reading, asking)?;
        let heard = Heard::of(answer.date());
        if clock_check::watch_clock(&cx, reading, heard, reading.now)? == Clocks::Agree {
            reconcile::load(&cx, &answer, reading)?;
            self.vapi.world().taken_in(answer.from);
        }
        Ok(())
    }

    /// The export of another system says that it made a call that is waiting here.
    pub fn hear_of_a_call(&mut self) -> anyhow::Result<()> {
        if !self.wall_offset.is_zero() {
            return Ok(());
        }
        let waiting: Vec<(i64, String)> = self.store.read(|conn| {
            let sql = "SELECT customer_id, occasion FROM call_queue
                 WHERE status = 'pending' AND attempts = 0 AND call_type <> 'extra'";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(found.collect::<Result<_, _>>()?)
        })?;
        if waiting.is_empty() {
            return Ok(());
        }
        let (id, occasion) = self.dice.pick(&waiting).clone();
        let Some(person) = self.people.iter().find(|person| person.id == id) else {
            return Ok(());
        };
        let mut entry = people::entry(person.wish(), None);
        let date = occasion.parse().ok();
        entry.last_call_date = date;
        entry.welcome_call_completed = date.is_none().then_some(true);
        let call_type = if date.is_none() { CallType::Welcome } else { CallType::Daily };
        let (now, zones) = (self.now, self.zones.clone());
        let key = self.store.write(|tx| {
            let known = customers::by_id(tx, id)?.context("a known customer")?;
            let mut reader = Reader::new(&zones, None);
            let after = change::plan_change(tx, &mut reader, &known, &entry, now)?;
            change::change(tx, &mut reader, &known, &after, By { who: WHO, now })?;
            Ok(known.key)
        })?;
        self.book.told.insert((key, call_type, occasion));
        self.loosen(id);
        self.look_again();
        Ok(())
    }
}
