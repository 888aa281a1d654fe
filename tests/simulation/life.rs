//! One life: a file, its processes one after the other, a provider, and all events. The seed
//! decides the order of the phases.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{bail, ensure};
use chrono::{Duration, DurationRound};
use ringonce::clock::Reading;
use ringonce::config::settings::Config;
use ringonce::domain::Instant;
use ringonce::domain::call::CallType;
use ringonce::steps::Context;
use ringonce::steps::audit::report::Cause;
use ringonce::steps::audit::{self, calls};
use ringonce::steps::readiness::{armed, restart};
use ringonce::store::meta::installation;
use ringonce::store::{Store, attempts};
use ringonce::zones::Zones;

use crate::calls::Call;
use crate::dice::Dice;
use crate::faults::Spell;
use crate::lost::Snapshot;
use crate::oracle::{self, Book};
use crate::outbox;
use crate::outside::place;
use crate::people::Person;
use crate::plan::{Counts, Plan};
use crate::process::Process;
use crate::vapi::SimVapi;

/// Faults are off for this long at the end, so that everything comes to rest.
const TAIL: Duration = Duration::hours(48);

pub struct Life {
    pub hears: bool,
    pub plan: Plan,
    pub dice: Dice,
    pub now: Instant,
    pub zones: Arc<Zones>,
    pub config: Config,
    pub vapi: SimVapi,
    pub store: Arc<Store>,
    pub process: Option<Process>,
    pub next_start: Instant,
    pub adopting: bool,
    pub people: Vec<Person>,
    pub do_not_call: Vec<String>,
    pub phones_used: usize,
    pub signed_up: usize,
    /// The number of the file's present place; see `outside::place`.
    pub at: usize,
    pub snapshot: Option<Snapshot>,
    pub book: Book,
    pub counts: Counts,
    /// The error of the wall clock.
    pub wall_offset: Duration,
    pub wall_right_at: Instant,
    pub spell_until: Instant,
    pub next_chaos: Instant,
    pub boot: u32,
    pub booted_at: Instant,
    pub quiet: bool,
    /// Whether the operator settles attempts in this step.
    pub operator: bool,
    pub paused_all: bool,
    pub trace: bool,
}

impl Life {
    /// `hears`: an application hears the events.
    pub fn new(seed: u64, zones: &Arc<Zones>, hears: bool) -> anyhow::Result<Life> {
        let plan = Plan::new(seed);
        let now = plan.begins;
        let store = Arc::new(Store::in_memory(now)?);
        store.read(oracle::watch)?;
        Ok(Life {
            hears,
            dice: Dice::new(seed),
            now,
            zones: zones.clone(),
            config: plan.config(),
            vapi: SimVapi::new(seed, now, plan.faults.clone()),
            store,
            process: None,
            next_start: now + Duration::minutes(2),
            adopting: false,
            people: Vec::new(),
            do_not_call: Vec::new(),
            phones_used: 0,
            signed_up: 0,
            at: 0,
            snapshot: None,
            book: Book::default(),
            counts: Counts::default(),
            wall_offset: Duration::zero(),
            wall_right_at: now,
            spell_until: now,
            next_chaos: now + plan.chaos_every,
            boot: 0,
            booted_at: now,
            quiet: false,
            operator: false,
            paused_all: false,
            trace: std::env::var_os("SIM_TRACE").is_some(),
            plan,
        })
    }

    /// Runs the whole life. An error is a broken promise.
    pub fn live(&mut self) -> anyhow::Result<()> {
        self.arm()?;
        for _ in 0..self.plan.customers {
            let old = !self.dice.one_in(5);
            self.sign_up(old)?;
        }
        let end = self.plan.begins + Duration::days(self.plan.days);
        while self.now < end {
            self.step()?;
        }
        self.become_quiet()?;
        while self.now < end + TAIL {
            self.step()?;
        }
        self.judge()
    }

    fn judge(&mut self) -> anyhow::Result<()> {
        self.audit()?;
        let world = self.vapi.world();
        self.counts.posts = world.posts;
        self.counts.posted_what = world.posted_what;
        self.counts.faulted = world.faulted;
        self.counts.hidden = world.hidden;
        self.counts.rings = self.book.rings;
        self.counts.doubled = self.book.doubled;
        self.counts.customer_days = (self.people.len() as i64 * (self.plan.days + 2)) as u64;
        if self.hears {
            self.store.read(outbox::is_complete)?;
            outbox::deliver(&self.store, &mut Dice::new(self.plan.customers as u64), self.now)?;
        }
        self.store.read(|conn| {
            oracle::at_rest(conn, &world, self.now)?;
            let until = self.now - Duration::hours(26);
            for person in &self.people {
                oracle::nothing_lost(conn, person, self.plan.begins, until)?;
            }
            Ok(())
        })
    }

    /// The program's own audit, at rest and with the provider's list, may report only what the
    /// provider did by itself.
    fn audit(&self) -> anyhow::Result<()> {
        let cx = self.command()?;
        let mut report = audit::audit(&cx, self.now)?;
        let since = self.plan.begins - Duration::days(2);
        let compared = calls::compare(&cx, &self.vapi, (since, self.now), &mut report)?;
        ensure!(compared.is_ok(), "the list at rest could not be read: {compared:?}");
        let world = self.vapi.world();
        // A call that no list had shown yet could not stop the file from making its own.
        let ours = self.store.read(installation::installation)?.id;
        let is_theirs = |call: &&Call| call.is_double || call.is_from_elsewhere(&ours);
        let doubles = world.calls.iter().filter(is_theirs).map(|call| &call.id);
        let doubles: HashSet<&str> = doubles.map(String::as_str).collect();
        let words = |what: &str| -> Vec<String> {
            let words = what.split(|c: char| !c.is_alphanumeric() && c != '-');
            words.map(str::to_string).collect()
        };
        let is_told = |what: &str| words(what).iter().any(|word| doubles.contains(word.as_str()));
        report.duplicates.retain(|finding| !is_told(&finding.what));
        // The provider lost the tag of a call, and its reply named no call: the audit says so.
        let unknowable = world.calls.iter().filter(|call| call.cannot_be_known(world.account));
        let unknowable: HashSet<&str> = unknowable.map(Call::attempt_id).collect();
        report.gaps.retain(|finding| {
            let attempt = finding.attempt.as_deref().unwrap_or_default();
            finding.cause != Cause::UnknownThere || !unknowable.contains(attempt)
        });
        if let Some(finding) = report.duplicates.iter().chain(&report.gaps).next() {
            self.tell_the_ledger(finding.customer);
            bail!("AUDIT: {finding:?}");
        }
        Ok(())
    }

    /// For a person who replays a seed: the calls at the number of a customer, their items, and
    /// their journal entries.
    fn tell_the_ledger(&self, customer: Option<i64>) {
        for sql in [
            "SELECT concat_ws(' ', id, seq, customer_id, customer_key, call_type, occasion,
               attempt_no, state, disposition, vapi_call_id, created_at, error_message)
             FROM call_attempts WHERE phone_key IN
               (SELECT phone_key FROM call_attempts WHERE customer_id IS ?1) ORDER BY seq",
            "SELECT concat_ws(' ', 'item', id, call_type, occasion, status, reason, scheduled_for)
             FROM call_queue WHERE customer_id = ?1 ORDER BY id",
            "SELECT concat_ws(' ', 'journal', at, who, what, old, new, why)
             FROM journal WHERE subject = 'customer:' || ?1 ORDER BY id",
        ] {
            let rows = self.store.read(|conn| {
                let mut statement = conn.prepare(sql)?;
                let rows = statement.query_map([customer], |row| row.get::<_, String>(0))?;
                Ok(rows.collect::<Result<Vec<_>, _>>()?)
            });
            for row in rows.unwrap_or_default() {
                self.tell(|| row.clone());
            }
        }
    }

    /// Both clocks as the process sees them.
    pub fn reading(&self) -> Reading {
        Reading {
            now: self.now + self.wall_offset,
            monotonic_ms: (self.now - self.booted_at).num_milliseconds(),
            boot_id: format!("boot-{}", self.boot),
        }
    }

    pub fn pass_time(&mut self, time: Duration) -> anyhow::Result<()> {
        self.now += time.max(Duration::milliseconds(1));
        self.vapi.world().set_now(self.now);
        self.look_at_phones()
    }

    fn look_at_phones(&mut self) -> anyhow::Result<()> {
        let mut world = self.vapi.world();
        if let Some(tag) = &world.repeated {
            bail!("the attempt {tag} was posted twice");
        }
        while let Some(index) = world.fresh.pop() {
            self.book.enter(&world, index)?;
        }
        Ok(())
    }

    /// One atomic phase, or the passing of time to the next one.
    fn step(&mut self) -> anyhow::Result<()> {
        self.counts.steps += 1;
        if self.next_chaos <= self.now {
            self.chaos()?;
            return self.look_at_moves();
        }
        self.end_spells();
        let Some(process) = &self.process else {
            if self.next_start <= self.now {
                return self.start();
            }
            let wait = self.next_start.min(self.next_chaos) - self.now;
            return self.pass_time(wait);
        };
        let acts = process.acts(self.now, self.plan.ticks);
        if acts.is_empty() {
            return self.idle();
        }
        let act = *self.dice.pick(&acts);
        self.tell(|| format!("{act:?}"));
        self.act(act)?;
        self.look_at_phones()?;
        self.look_at_moves()?;
        let busy = self.process.as_ref().is_some_and(|process| process.in_flight() > 0);
        if !self.quiet && busy && self.dice.one_in(self.plan.crash_in) {
            self.crash();
        }
        let time = Duration::milliseconds(1 + self.dice.below(40) as i64);
        self.pass_time(time)
    }

    /// Prints a trace for a person who replays a seed.
    pub fn tell(&self, what: impl Fn() -> String) {
        if self.trace {
            eprintln!("{} {}", self.now, what());
        }
    }

    fn idle(&mut self) -> anyhow::Result<()> {
        let process = self.process.as_ref().expect("asked before");
        if self.plan.ticks && process.scanned {
            // The single pass ended in order; the system's cron starts the next one.
            restart::end(&process.cx, &self.reading());
            self.process = None;
            let quarter = self.now.duration_trunc(Duration::minutes(15))?;
            self.next_start = quarter + Duration::minutes(15);
            return Ok(());
        }
        let wakes_at = process.wakes_at(self.plan.ticks).min(self.next_chaos);
        let wait = wakes_at - self.now;
        self.pass_time(wait)
    }

    pub fn start(&mut self) -> anyhow::Result<()> {
        let armed = self.store.read(installation::armed_identity)?;
        let unlike = armed::mismatch(armed.as_ref(), &place(self.at));
        ensure!(unlike.is_some() == self.adopting, "armed at the wrong place: {unlike:?}");
        let mut cx = Context::new(self.store.clone(), self.config.clone(), self.zones.clone())?;
        if !self.plan.ticks {
            cx.recheck_after = self.plan.recheck;
        }
        restart::begin(&cx, &self.reading())?;
        self.process = Some(Process::new(cx, self.adopting, self.now));
        Ok(())
    }

    /// Ends the process and drops everything that it held in memory.
    pub fn crash(&mut self) {
        self.process = None;
        self.counts.crashes += 1;
        let rest = match self.dice.below(40) {
            0 => self.dice.seconds(3600, 40 * 3600),
            1..4 => self.dice.seconds(300, 7200),
            _ => self.dice.seconds(1, 60),
        };
        // A file that is to be adopted waits until the provider's lists are up to date.
        let not_before = if self.adopting { self.next_start } else { self.now };
        self.next_start = not_before.max(self.now + rest);
        if self.wall_offset.is_zero() && self.dice.one_in(3) {
            self.boot += 1;
            self.booted_at = self.now;
        }
    }

    /// Checks the moves that need evidence, each against the provider's truth.
    pub fn look_at_moves(&mut self) -> anyhow::Result<()> {
        for (what, subject, became) in oracle::noted(&self.store)? {
            match what.as_str() {
                "flag" => bail!("a flag of customer {subject} was taken back"),
                "disabled" => self.loosen(subject.parse()?),
                _ => self.judge_move(&what, &subject, &became)?,
            }
        }
        Ok(())
    }

    fn judge_move(&self, was: &str, id: &str, became: &str) -> anyhow::Result<()> {
        let world = self.vapi.world();
        let exists = CallType::ALL
            .iter()
            .any(|call_type| world.of_tag(&attempts::tag(*call_type, id)).is_some());
        if became == "placed" {
            ensure!(exists, "attempt {id} went from {was} to placed, but no call exists");
            return Ok(());
        }
        ensure!(!exists, "attempt {id} went from {was} to {became}, but its call exists");
        let settled_by_rule = self.plan.redial || self.operator;
        ensure!(
            was == "dialing" || settled_by_rule,
            "attempt {id} left {was} for {became} without evidence"
        );
        Ok(())
    }

    fn end_spells(&mut self) {
        if self.spell_until <= self.now {
            self.vapi.world().spell = Spell::Fine;
        }
        if self.wall_right_at <= self.now {
            self.wall_offset = Duration::zero();
        }
    }
}
