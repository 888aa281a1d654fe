//! Records the replies to POSTs at once, retries while they cannot be written, and updates the
//! dialer's state from them.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::clock;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::service::change_log::CHANGE;
use crate::service::dialer::passed::Passed;
use crate::service::dialer::posting::Answered;
use crate::service::dialer::{Dialer, ReplyWait};
use crate::steps::breaker::Became;
use crate::steps::dial::intent::Intent;
use crate::steps::dial::record::{self, Recorded};
use crate::steps::readiness::unwritten;
use crate::steps::settle;

impl Dialer<'_> {
    /// Receives the replies that have arrived, after waiting for one as `wait` allows, and records
    /// them.
    pub(super) fn take_replies(
        &mut self,
        receiver: &Receiver<Answered>,
        in_flight: &mut usize,
        wait: ReplyWait,
        done: &mut Passed,
    ) -> anyhow::Result<()> {
        let mut replies = Vec::new();
        match wait {
            ReplyWait::ForOne if 0 < *in_flight => replies.extend(receiver.recv().ok()),
            ReplyWait::AtMost(time) if 0 < *in_flight => {
                replies.extend(receiver.recv_timeout(time).ok())
            }
            _ => {}
        }
        replies.extend(receiver.try_iter());
        *in_flight -= replies.len();
        if replies.is_empty() { Ok(()) } else { self.record(replies, done) }
    }

    /// Records the replies of POSTs in flight when the pass ends with an error. The next start
    /// marks attempts whose outcome could not be written as in doubt.
    pub(super) fn keep_replies(
        &mut self,
        receiver: &Receiver<Answered>,
        mut in_flight: usize,
        done: &mut Passed,
    ) {
        while in_flight > 0 {
            if let Err(error) = self.take_replies(receiver, &mut in_flight, ReplyWait::ForOne, done)
            {
                log::error!(
                    "a reply cannot be written; the next start asks the provider: {error:#}"
                );
            }
        }
    }

    /// Records replies in one commit, or one by one if that fails. Retries what still fails, and
    /// posts nothing in that time. Gives up only after `patience.record` or when the service stops.
    fn record(&mut self, replies: Vec<Answered>, done: &mut Passed) -> anyhow::Result<()> {
        let now = self.service.clock.now()?;
        if let Ok(all) = record::record_all(&self.service.cx, &replies, now) {
            return {
                let recorded = replies.iter().zip(&all);
                recorded.for_each(|((intent, _), recorded)| self.learn(intent, recorded, done));
                Ok(())
            };
        }
        let started = clock::elapsed();
        let mut unwritten = replies;
        // `held`: the text of the hold that is written below.
        let (mut held, mut told) = (None, false);
        loop {
            let Some(error) = self.record_each(&mut unwritten, now, done)? else {
                self.go_on(held.as_deref(), now);
                return Ok(());
            };
            let why = format!("{} outcomes cannot be written: {error:#}", unwritten.len());
            log::error!("dialing halts: {why}");
            self.service.halt(Some(why));
            // The hold informs the next start, if the database accepts at least this write.
            match unwritten::hold(&self.service.cx, &unwritten, &error, now) {
                Ok(written) => held = written.or(held),
                // Logged once, because each round already logs the unwritten outcomes.
                Err(error) if !std::mem::replace(&mut told, true) => {
                    log::error!("the hold cannot be written either: {error:#}");
                }
                Err(_) => {}
            }
            (self.alive)();
            let waited = clock::elapsed().saturating_sub(started);
            if self.patience.record < waited || self.service.stopping() {
                // The attempts stay `dialing` on disk. The next start marks them in doubt and asks
                // the provider, so no call is lost and none is dialed again.
                return Err(error.context("write the outcome of a call"));
            }
            clock::pause(Duration::from_millis(500));
        }
    }

    /// Ends the halt and lifts its hold in the file, because every outcome is written.
    fn go_on(&self, held: Option<&str>, now: Instant) {
        self.service.halt(None);
        log::info!(target: CHANGE, "every outcome is written: dialing continues");
        let lifted = held.map(|words| unwritten::lift_own(&self.service.cx, words, now));
        if let Some(Err(error)) = lifted {
            log::error!("the outcomes are written, but the hold cannot be lifted yet: {error:#}");
        }
    }

    /// Records replies one by one. Failed ones stay in `unwritten`; returns the last error.
    fn record_each(
        &mut self,
        unwritten: &mut Vec<Answered>,
        now: Instant,
        done: &mut Passed,
    ) -> anyhow::Result<Option<anyhow::Error>> {
        let mut left = Vec::new();
        let mut trouble = None;
        for (intent, reply) in unwritten.drain(..) {
            match record::record(&self.service.cx, &intent, &reply, now) {
                Ok(recorded) => self.learn(&intent, &recorded, done),
                Err(error) => {
                    trouble = Some(error);
                    left.push((intent, reply));
                }
            }
        }
        *unwritten = left;
        Ok(trouble)
    }

    /// Updates the process's state from a recorded reply: counts, `proven`, breaker and pace.
    fn learn(&mut self, intent: &Intent, recorded: &Recorded, done: &mut Passed) {
        settle::log_outcome(&intent.attempt, recorded.became);
        match recorded.became {
            AttemptState::Placed => done.succeeded += 1,
            AttemptState::InDoubt => done.in_doubt += 1,
            _ => done.failed += 1,
        }
        // The hold was committed with the attempt, so the next claim sees it.
        if let Some(why) = &recorded.halt {
            log::error!("dialing halts: {why}");
        }
        match recorded.breaker {
            Became::Opened => self.broken = true,
            Became::Closed => self.mended(),
            Became::AsItWas => {}
        }
        self.look_again |= recorded.another_number;
        self.proven |= recorded.became == AttemptState::Placed;
        self.proven &= !self.broken;
    }
}
