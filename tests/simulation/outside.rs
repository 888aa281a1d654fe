//! People sign up, are erased, or ask for an extra call; and somebody starts a copy of the file.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use chrono::Duration;
use ringonce::clock::Reading;
use ringonce::domain::customer::Customer;
use ringonce::steps::import::field_values::Reader;
use ringonce::steps::operate::call_now::{self, CallRefused};
use ringonce::steps::operate::{self, erase};
use ringonce::steps::readiness::armed;
use ringonce::steps::{Context, customers as change, dial, scan};
use ringonce::store::file::identity::{FileId, Identity};
use ringonce::store::journal::{Act, By};
use ringonce::store::meta::installation;
use ringonce::store::{Conn, Store, customers};
use rusqlite::backup::Backup;

use crate::life::Life;
use crate::oracle;
use crate::outbox;
use crate::people::{self, Person};

const WHO: &str = "operator";

/// The machine, path and inode of a file, as the arming gate sees them.
pub fn place(number: usize) -> Identity {
    Identity {
        machine_id: format!("machine-{}", number / 4),
        path: format!("/srv/{}/ringonce.db", number / 2),
        file: FileId {
            inode: number as u64,
            device: 1,
            born: Some(number as i64 + 1),
            file_system: 1,
        },
    }
}

impl Life {
    /// Adds a new customer, sometimes with the number of another customer.
    pub fn sign_up(&mut self, old: bool) -> anyhow::Result<()> {
        let shares = !self.people.is_empty() && self.dice.one_in(25);
        let phone = match shares {
            true => {
                let other = self.dice.below(self.people.len());
                self.people[other].shares_number = true;
                self.people[other].phone.clone()
            }
            false => people::phone(self.phones_used),
        };
        self.phones_used += usize::from(!shares);
        self.sign_up_with(phone, old, shares)
    }

    fn sign_up_with(&mut self, phone: String, old: bool, shares: bool) -> anyhow::Result<()> {
        let mut wish = people::wish(&mut self.dice, self.plan.few, self.now);
        wish.paid = !self.dice.one_in(self.plan.unpaid_in);
        let mut entry = people::entry(&wish, Some(&phone));
        entry.welcome_call_completed = Some(old);
        self.signed_up += 1;
        entry.external_id = Some(format!("app-{}", self.signed_up));
        let (now, zones) = (self.now, self.zones.clone());
        let id = self.store.write(|tx| {
            let mut reader = Reader::new(&zones, None);
            let customer = change::plan_new(&mut reader, &entry, now)?;
            change::create(tx, &mut reader, &customer, By { who: WHO, now })
        })?;
        self.people.push(Person {
            id,
            phone,
            wishes: vec![wish],
            old,
            created_at: now,
            loose_until: now,
            shares_number: shares,
        });
        Ok(())
    }

    fn somebody(&mut self) -> anyhow::Result<Option<(usize, Customer)>> {
        if self.people.is_empty() || !self.wall_offset.is_zero() {
            return Ok(None);
        }
        let at = self.dice.below(self.people.len());
        let id = self.people[at].id;
        let known = self.store.read(|conn| customers::by_id(conn, id))?;
        Ok(Some((at, known.context("a known customer")?)))
    }

    /// Erases a customer; half of them sign up again with the same number.
    pub fn erase(&mut self) -> anyhow::Result<()> {
        let Some((at, customer)) = self.somebody()? else { return Ok(()) };
        self.erase_one(at, &customer, false)
    }

    fn erase_one(&mut self, at: usize, customer: &Customer, returns: bool) -> anyhow::Result<()> {
        let now = self.now;
        let is_dialing = self
            .store
            .read(|conn| ringonce::store::customers::erase::is_dialing(conn, customer.id))?;
        let erased =
            self.store.write(|tx| erase::erase(tx, customer, Act { who: WHO, why: "asked", now }));
        ensure!(
            erased.is_ok() != is_dialing,
            "erased during a dial, or refused without: {erased:?}"
        );
        if erased.is_err() {
            return Ok(());
        }
        self.counts.erased += 1;
        let person = self.people.remove(at);
        if person.old {
            self.book.welcomed.insert(person.phone.clone());
        }
        if returns || self.dice.one_in(2) {
            self.sign_up_with(person.phone, false, true)?;
        }
        self.look_again();
        Ok(())
    }

    /// A customer, mostly the one called last, gets a new number and asks for a call there, or is
    /// erased and signs up again. Earlier calls to the customer or the number still count.
    pub fn come_back(&mut self) -> anyhow::Result<()> {
        let last = self.vapi.world().calls.last().map(|call| call.order.phone.clone());
        let recent = |person: &Person| Some(&person.phone) == last.as_ref();
        let is_old = self.dice.one_in(3);
        let found = if is_old { self.somebody()?.map(|(at, _)| at) } else { None };
        let Some(at) = found.or_else(|| self.people.iter().position(recent)) else {
            return Ok(());
        };
        if !self.wall_offset.is_zero() {
            return Ok(());
        }
        self.counts.returned += 1;
        let id = self.people[at].id;
        if self.dice.one_in(2) {
            let customer = self.store.read(|conn| customers::by_id(conn, id))?;
            return self.erase_one(at, &customer.context("a known customer")?, true);
        }
        let (wish, phone) = (self.people[at].wish().clone(), self.unused_phone());
        self.change(at, wish, Some(phone))?;
        self.ask_for(id)
    }

    /// `call --extra`: an occasion of its own through the same gate.
    pub fn ask_for_a_call(&mut self) -> anyhow::Result<()> {
        let Some((at, _)) = self.somebody()? else { return Ok(()) };
        self.ask_for(self.people[at].id)
    }

    fn ask_for(&mut self, id: i64) -> anyhow::Result<()> {
        let customer = self.store.read(|conn| customers::by_id(conn, id))?;
        let customer = customer.context("a known customer")?;
        let (cx, now) = (self.command()?, self.now);
        match self.store.write(|tx| call_now::queue_extra(&cx, tx, &customer, "asked", now)) {
            Ok(_) => self.counts.extras += 1,
            Err(error) => drop(error.downcast::<CallRefused>()?),
        }
        self.look_again();
        Ok(())
    }

    /// Somebody copies the present file and starts the copy elsewhere with the same key. A claim by
    /// the copy breaks the promise.
    pub fn start_a_copy(&mut self) -> anyhow::Result<()> {
        let mut conn = Conn::open_in_memory()?;
        self.store.read(|from| {
            Backup::new(from, &mut conn)?.run_to_completion(10_000, Default::default(), None)?;
            Ok(())
        })?;
        oracle::watch(&conn)?;
        let copy = Arc::new(Store::over(conn));
        self.counts.copies += 1;
        // The copy is another file, has another path, or is on a clone of the whole machine.
        let (mut here, other) = (place(self.at), place(self.at + 4));
        match self.dice.below(3) {
            0 => here.file = other.file,
            1 => here.path = other.path,
            _ => here.machine_id = other.machine_id,
        }
        let armed = copy.read(installation::armed_identity)?;
        if armed::mismatch(armed.as_ref(), &here).is_some() {
            return Ok(());
        }
        let cx = Context::new(copy, self.config.clone(), self.zones.clone())?;
        let dice = &mut self.dice;
        let mut new_id = || id(dice.roll(), dice.roll());
        // The copy tries for a day, scan by scan.
        for quarter in 0..100 {
            let at = self.now + Duration::minutes(15) * quarter;
            scan::scan(&cx, at)?;
            let claimed = dial::claim(&cx, &mut dial::Pass::default(), 50, at, &mut new_id)?;
            ensure!(claimed.intents.is_empty(), "a copy of the file dialed");
        }
        Ok(())
    }

    /// Arms a new file where it is.
    pub fn arm(&mut self) -> anyhow::Result<()> {
        let here = place(self.at);
        if self.hears {
            outbox::want_all(&self.store)?;
        }
        self.store.write(|tx| installation::arm(tx, &here.armed()))
    }

    /// Writes what `adopt` writes after the provider's records were applied.
    pub fn adopt(&mut self, reading: &Reading) -> anyhow::Result<()> {
        let here = place(self.at);
        self.adopting = false;
        let lifted = self.store.write(|tx| {
            operate::arm(tx, &here, Act { who: WHO, why: "it is here", now: reading.now }, reading)
        })?;
        self.tell(|| format!("adopted, lifted {lifted:?}"));
        Ok(())
    }

    /// No exact call is owed around a change.
    pub fn loosen(&mut self, id: i64) {
        let until = self.now + Duration::hours(50);
        if let Some(person) = self.people.iter_mut().find(|person| person.id == id) {
            person.loose_until = person.loose_until.max(until);
        }
    }
}

/// The id of an attempt, from two rolls.
pub fn id(high: u64, low: u64) -> String {
    let bits = (u128::from(high) << 64) | u128::from(low);
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
}
