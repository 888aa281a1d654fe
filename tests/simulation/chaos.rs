//! Events from outside: customers change, the operator acts, clocks jump, backups are restored, and
//! the provider fails for hours.

use anyhow::Context as _;
use chrono::Duration;
use ringonce::domain::call::AttemptState;
use ringonce::domain::customer::CallStatus;
use ringonce::domain::{Instant, instant_text};
use ringonce::steps::follow::webhook_events::{self, WebhookReport};
use ringonce::steps::import::field_values::Reader;
use ringonce::steps::operate::{self, ActRefused, Word};
use ringonce::steps::readiness::clock_check;
use ringonce::steps::{Context, customers as change};
use ringonce::store::do_not_call::{self, DoNotCallEntry};
use ringonce::store::journal::{Act, By};
use ringonce::store::meta::{breaker, pauses};
use ringonce::store::transaction::Moved;
use ringonce::store::{attempts, customers};

use crate::faults::{Faults, Spell};
use crate::life::Life;
use crate::people::{self, Wish};

const WHO: &str = "operator";

impl Life {
    pub fn chaos(&mut self) -> anyhow::Result<()> {
        if self.quiet {
            self.next_chaos = self.now + Duration::hours(6);
            return self.operator_visits(true);
        }
        let minutes = self.plan.chaos_every.num_minutes() * 2;
        self.next_chaos = self.now + self.dice.seconds(60, minutes * 60);
        if let Some(at) = self.plan.right_key_at {
            if at <= self.now {
                self.find_the_right_key();
            }
            return Ok(());
        }
        if self.plan.new_key_at.is_some_and(|at| at <= self.now) {
            self.take_another_key();
            return Ok(());
        }
        if self.plan.accepted_at.is_some_and(|at| at <= self.now) {
            return self.accept_the_new_file();
        }
        if self.plan.loses_all && self.dice.one_in(12) {
            return self.lose_all();
        }
        if self.plan.by_hand && self.dice.one_in(4) {
            return self.call_by_hand();
        }
        if self.snapshot.as_ref().is_some_and(|snapshot| snapshot.lost_at <= self.now) {
            return if self.plan.set_back { self.set_back() } else { self.restore() };
        }
        if self.paused_all {
            return self.pause_all();
        }
        if self.plan.often_lost && self.dice.one_in(8) {
            return self.lose_soon();
        }
        if self.plan.any_pace && self.dice.one_in(6) {
            return self.ask_by_hand();
        }
        if self.plan.told && self.dice.one_in(6) {
            return self.hear_of_a_call();
        }
        if self.plan.returns && self.dice.one_in(3) {
            return self.come_back();
        }
        match self.dice.below(24) {
            // No process runs: a restored file waits for the provider's lists.
            0 | 1 if self.plan.often_lost && self.process.is_none() => {}
            0 | 1 => self.crash(),
            2..8 if self.plan.edits => self.edit()?,
            8 | 9 if self.plan.spells => self.bad_hours(),
            10 | 11 if self.plan.jumps => self.jump(),
            12 => self.take_snapshot()?,
            13 if self.plan.restores => self.restore()?,
            14 => self.sign_up(false)?,
            15 | 16 if self.plan.webhooks => self.webhooks()?,
            17 if self.plan.edits => self.pause_all()?,
            18 if self.plan.edits => self.erase()?,
            19 => self.ask_for_a_call()?,
            20 => self.start_a_copy()?,
            _ if self.plan.no_operator => {}
            _ => self.operator_visits(false)?,
        }
        Ok(())
    }

    /// A context of a command that works beside the dialer.
    pub fn command(&self) -> anyhow::Result<Context> {
        Context::new(self.store.clone(), self.config.clone(), self.zones.clone())
    }

    pub fn look_again(&mut self) {
        if let Some(process) = &mut self.process {
            process.next_claim = process.next_claim.min(self.now);
            process.next_follow = process.next_follow.min(self.now);
        }
    }

    fn edit(&mut self) -> anyhow::Result<()> {
        if !self.wall_offset.is_zero() || self.people.is_empty() {
            return Ok(());
        }
        self.counts.edits += 1;
        let at = self.dice.below(self.people.len());
        let mut wish = self.people[at].wish().clone();
        let mut phone = None;
        match self.dice.below(10) {
            0..4 => wish = people::wish(&mut self.dice, self.plan.few, self.now),
            4 | 5 => wish.paid = !wish.paid,
            6 => phone = Some(self.unused_phone()),
            7 => return self.opt_out(at),
            _ => wish.paused = !wish.paused,
        }
        self.change(at, wish, phone)
    }

    pub fn unused_phone(&mut self) -> String {
        self.phones_used += 1;
        people::phone(self.phones_used - 1)
    }

    pub fn change(
        &mut self,
        at: usize,
        mut wish: Wish,
        phone: Option<String>,
    ) -> anyhow::Result<()> {
        let was = self.people[at].wish().clone();
        wish.from = self.now;
        if was.eligible() != wish.eligible() || (was.zone, was.time) != (wish.zone, wish.time) {
            let id = self.people[at].id;
            self.loosen(id);
        }
        let (now, zones, id) = (self.now, self.zones.clone(), self.people[at].id);
        let entry = people::entry(&wish, phone.as_deref());
        let cx = self.command()?;
        self.store.write(|tx| {
            let known = customers::by_id(tx, id)?.context("a known customer")?;
            let mut reader = Reader::new(&zones, None);
            let after = change::plan_change(tx, &mut reader, &known, &entry, now)?;
            change::change(tx, &mut reader, &known, &after, By { who: WHO, now })?;
            let known = customers::by_id(tx, id)?.context("a known customer")?;
            if wish.paused {
                change::pause(tx, &known, Act { who: WHO, why: "a test", now })?;
            } else if known.call_status == CallStatus::Paused {
                change::resume(&cx, tx, &known, Act { who: WHO, why: "a test", now })?;
            }
            Ok(())
        })?;
        let person = &mut self.people[at];
        person.wishes.push(wish);
        if let Some(phone) = phone {
            person.phone = phone;
        }
        self.look_again();
        Ok(())
    }

    fn opt_out(&mut self, at: usize) -> anyhow::Result<()> {
        let phone = self.people[at].phone.clone();
        self.list_number(&phone)?;
        self.do_not_call.push(phone);
        Ok(())
    }

    pub fn list_number(&self, phone: &str) -> anyhow::Result<()> {
        let entry = DoNotCallEntry {
            phone: phone.to_string(),
            reason: "asked".to_string(),
            source: WHO.to_string(),
            created_at: self.now,
        };
        let moved = self.store.write(|tx| do_not_call::add(tx, self.store.path(), &entry))?;
        anyhow::ensure!(moved == Moved::Yes || self.do_not_call.contains(&entry.phone));
        Ok(())
    }

    fn bad_hours(&mut self) {
        let spells = [Spell::Unreachable, Spell::Fails, Spell::RefusesKey, Spell::WrongDate];
        let mut spell = *self.dice.pick(&spells);
        if self.plan.any_pace && self.dice.one_in(3) {
            spell = Spell::ListsNothing;
        }
        if spell == Spell::WrongDate && !self.wall_offset.is_zero() {
            return;
        }
        self.vapi.world().spell = spell;
        self.spell_until = self.now + self.dice.seconds(60, 6 * 3600);
    }

    fn jump(&mut self) {
        // A person who adopts a file checks the clock, too.
        let is_wrong_already = !self.wall_offset.is_zero() || self.adopting;
        if is_wrong_already || self.vapi.world().spell == Spell::WrongDate {
            return;
        }
        self.counts.jumps += 1;
        let far = if self.dice.one_in(3) { 400 * 86_400 } else { 2 * 86_400 };
        let seconds = self.dice.seconds(90, far);
        self.wall_offset = if self.dice.one_in(2) { seconds } else { -seconds };
        self.wall_right_at = self.now + self.dice.seconds(60, 5 * 3600);
        self.look_again();
    }

    fn pause_all(&mut self) -> anyhow::Result<()> {
        self.paused_all = !self.paused_all;
        let (paused, now) = (self.paused_all, self.now);
        self.store.write(|tx| match paused {
            true => {
                let pause = pauses::Pause {
                    who: WHO.to_string(),
                    why: "a test".to_string(),
                    since: instant_text(now),
                    ..Default::default()
                };
                pauses::set_pause(tx, "all", &pause)
            }
            false => pauses::lift_pause(tx, "all").map(|_| ()),
        })?;
        self.look_again();
        Ok(())
    }

    /// A person looks up doubts at the provider and resolves them truthfully.
    fn operator_visits(&mut self, thorough: bool) -> anyhow::Result<()> {
        let doubts = self.store.read(|conn| attempts::in_state(conn, AttemptState::InDoubt))?;
        let cx = self.command()?;
        for attempt in doubts {
            if !thorough && self.dice.one_in(3) {
                continue;
            }
            let in_flight = self.process.as_ref().is_some_and(|process| {
                let replies = process.replies.iter().map(|(intent, _)| intent);
                let mut intents = process.intents.iter().map(|(intent, _)| intent).chain(replies);
                intents.any(|intent| intent.attempt.id == attempt.id)
            });
            if in_flight || self.now - attempt.created_at < Duration::minutes(10) {
                continue;
            }
            let call_id = self.vapi.world().of_tag(&attempt.tag()).map(|call| call.id.clone());
            let word = match call_id {
                Some(call_id) => Word::Placed { call_id: Some(call_id) },
                None => Word::NotPlaced,
            };
            self.counts.doubts_left += u64::from(self.resolve(&cx, &attempt, &word)?);
        }
        if thorough {
            self.lift_customer_pauses()?;
        }
        self.operator = true;
        self.look_at_moves()?;
        self.operator = false;
        self.look_again();
        Ok(())
    }

    /// Whether the resolution was accepted. A wrong clock must be refused: it would write wrong due
    /// times, and the item would wait for them.
    fn resolve(
        &self,
        cx: &Context,
        attempt: &attempts::Attempt,
        word: &Word,
    ) -> anyhow::Result<bool> {
        let reading = self.reading();
        let settled = self.store.write(|tx| {
            operate::resolve(
                cx,
                tx,
                attempt,
                word,
                Act { who: WHO, why: "looked it up", now: reading.now },
                &reading,
            )
        });
        let is_wrong = !self.wall_offset.is_zero();
        match settled {
            Ok(_) => {
                anyhow::ensure!(!is_wrong, "a doubt was settled by a wrong clock");
                Ok(true)
            }
            Err(error) => match error.downcast::<ActRefused>()? {
                // A machine that was just started may be refused even if its clock is right.
                ActRefused::WrongClock(_) => Ok(false),
                other => Err(other.into()),
            },
        }
    }

    /// Resumes whom the program paused, and closes the breaker.
    fn lift_customer_pauses(&mut self) -> anyhow::Result<()> {
        let now = self.reading().now;
        let pauses = self.store.read(pauses::pauses)?;
        let cx = self.command()?;
        let wishes_no_call = |id| self.people.iter().any(|p| p.id == id && p.wish().paused);
        self.store.write(|tx| {
            for (scope, _) in pauses {
                let key = scope.strip_prefix("customer:").unwrap_or_default();
                match customers::by_key(tx, key)? {
                    Some(known) if wishes_no_call(known.id) => {}
                    Some(known) => {
                        change::resume(&cx, tx, &known, Act { who: WHO, why: "a test", now })?;
                    }
                    None => drop(pauses::lift_pause(tx, &scope)?),
                }
            }
            breaker::close_breaker(tx, now).map(|_| ())
        })
    }

    /// The provider sends webhooks about calls, in any order and more than once.
    fn webhooks(&mut self) -> anyhow::Result<()> {
        let cx = self.command()?;
        let now: Instant = self.reading().now;
        for _ in 0..10 {
            let call = {
                let world = self.vapi.world();
                let recent = world.calls.len().min(20);
                let Some(back) = world.calls.len().checked_sub(1 + self.dice.below(recent)) else {
                    return Ok(());
                };
                if self.now < world.calls[back].created_at {
                    continue;
                }
                world.told(back)
            };
            let kind = if call.is_ended() { "end-of-call-report" } else { "status-update" };
            let status = call.status.clone().filter(|_| kind == "status-update");
            let told =
                WebhookReport { kind: kind.to_string(), status: status.unwrap_or_default(), call };
            let _copy_is_fine = webhook_events::store(&cx, &told, now)?;
        }
        if self.process.as_ref().is_some_and(|process| process.opened.is_some()) {
            webhook_events::apply(&cx, &self.vapi, now)?;
        }
        self.look_again();
        Ok(())
    }

    /// Ends all faults and troubles.
    pub fn become_quiet(&mut self) -> anyhow::Result<()> {
        self.quiet = true;
        self.accept_the_new_file()?;
        if self.plan.right_key_at.is_some() {
            self.find_the_right_key();
        }
        self.wall_offset = Duration::zero();
        self.plan.chaos_every = Duration::hours(6);
        let settled = self.vapi.world().all_visible_at();
        {
            let mut world = self.vapi.world();
            world.spell = Spell::Fine;
            world.faults =
                Faults { delay: world.faults.delay, lag: world.faults.lag, ..Faults::default() };
        }
        // A restored file waits until the lists show all calls made since its backup.
        self.next_start = self.next_start.min(settled.max(self.now + Duration::minutes(1)));
        self.next_chaos = settled;
        if self.paused_all {
            self.pause_all()?;
        }
        let cx = self.command()?;
        let reading = self.reading();
        cx.store.write(|tx| clock_check::accept_clock(tx, &reading))
    }
}
