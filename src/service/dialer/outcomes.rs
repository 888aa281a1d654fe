//! What comes back from the POSTs: recorded at once, kept until it can be, and learnt from.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::{Answered, Dialer, EQUAL_REFUSALS, Passed, Wait};
use crate::clock;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::steps::record::{self, Recorded};
use crate::store::meta;

impl Dialer<'_> {
    /// Takes the replies that are there, waiting for one with `wait`, and records them.
    pub(super) fn take_replies(
        &mut self,
        receiver: &Receiver<Answered>,
        in_flight: &mut usize,
        wait: Wait,
        done: &mut Passed,
    ) -> anyhow::Result<()> {
        let mut replies = Vec::new();
        match wait {
            Wait::ForOne if 0 < *in_flight => replies.extend(receiver.recv().ok()),
            Wait::AtMost(time) if 0 < *in_flight => {
                replies.extend(receiver.recv_timeout(time).ok())
            }
            _ => {}
        }
        replies.extend(receiver.try_iter());
        *in_flight -= replies.len();
        if replies.is_empty() { Ok(()) } else { self.record(replies, done) }
    }

    /// The pass ends with an error while POSTs are under way: their replies are still kept where
    /// that is possible. What cannot be written is found in doubt at the next start.
    pub(super) fn keep_replies(
        &mut self,
        receiver: &Receiver<Answered>,
        mut in_flight: usize,
        done: &mut Passed,
    ) {
        while 0 < in_flight {
            if let Err(error) = self.take_replies(receiver, &mut in_flight, Wait::ForOne, done) {
                log::error!(
                    "a reply is lost with its process, and asked for at the next: {error:#}"
                );
            }
        }
    }

    /// Records replies together, or one by one when together fails; tries on when that fails
    /// too, and nothing is posted meanwhile. Never gives a reply up while its patience lasts.
    fn record(&mut self, replies: Vec<Answered>, done: &mut Passed) -> anyhow::Result<()> {
        let now = self.service.clock.now()?;
        if let Ok(all) = record::record_all(&self.service.cx, &replies, now) {
            return all.into_iter().try_for_each(|recorded| self.learn(recorded, now, done));
        }
        let started = clock::elapsed();
        let mut unwritten = replies;
        loop {
            let Some(error) = self.record_each(&mut unwritten, now, done)? else {
                self.service.halt(None);
                return Ok(());
            };
            let why = format!("{} outcomes cannot be written: {error:#}", unwritten.len());
            log::error!("dialing halts: {why}");
            self.service.halt(Some(why));
            let waited = clock::elapsed().saturating_sub(started);
            if self.patience.record < waited || self.service.stopping() {
                // The attempts stay `dialing` on disk, so the next start finds them in doubt and
                // asks the provider: nothing is lost and nothing is dialed again.
                return Err(error.context("write the outcome of a call"));
            }
            clock::pause(Duration::from_millis(500));
        }
    }

    /// Records what can be recorded; what cannot stays in `unwritten`, with the last error.
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
                Ok(recorded) => self.learn(recorded, now, done)?,
                Err(error) => {
                    trouble = Some(error);
                    left.push((intent, reply));
                }
            }
        }
        *unwritten = left;
        Ok(trouble)
    }

    /// What a recorded reply means for the process: counts, proof, breaker, halt.
    fn learn(&mut self, recorded: Recorded, now: Instant, done: &mut Passed) -> anyhow::Result<()> {
        let accepted = recorded.became == AttemptState::Placed;
        match recorded.became {
            AttemptState::Placed => done.succeeded += 1,
            AttemptState::InDoubt => done.in_doubt += 1,
            _ => done.failed += 1,
        }
        // The hold itself was committed with the attempt; the next claim finds it.
        if let Some(why) = &recorded.halt {
            log::error!("dialing halts: {why}");
        }
        if accepted && !self.proven {
            self.proven = true;
            if self.service.cx.store.write(meta::close_breaker)? {
                self.pace.recovered(clock::elapsed());
            }
        }
        let probed = std::mem::take(&mut self.probing);
        if recorded.breaker_opened {
            self.proven = false;
            self.recent.clear();
            return Ok(());
        }
        if probed && !accepted {
            return self.open_breaker("the probe failed too", now);
        }
        self.count_refusal(recorded.request_refused, now)?;
        self.count_result(accepted, now)
    }

    fn count_refusal(&mut self, refusal: Option<String>, now: Instant) -> anyhow::Result<()> {
        let Some(text) = refusal else {
            self.refused = (String::new(), 0);
            return Ok(());
        };
        let times = if self.refused.0 == text { self.refused.1 + 1 } else { 1 };
        self.refused = (text, times);
        if EQUAL_REFUSALS <= times {
            let why = format!("{times} equal refusals in a row: {}", self.refused.0);
            self.open_breaker(&why, now)?;
            self.refused = (String::new(), 0);
        }
        Ok(())
    }

    fn count_result(&mut self, accepted: bool, now: Instant) -> anyhow::Result<()> {
        let breaker = &self.service.cx.config.breaker;
        self.recent.push_back(accepted);
        while breaker.sample < self.recent.len() {
            self.recent.pop_front();
        }
        let failures = self.recent.iter().filter(|accepted| !**accepted).count();
        let share = failures as f64 / breaker.sample.max(1) as f64;
        if breaker.sample <= self.recent.len() && breaker.failure_share < share {
            let why = format!("{failures} of the last {} calls failed", self.recent.len());
            self.open_breaker(&why, now)?;
        }
        Ok(())
    }

    pub(super) fn open_breaker(&mut self, why: &str, now: Instant) -> anyhow::Result<()> {
        self.proven = false;
        self.recent.clear();
        let cx = &self.service.cx;
        cx.store.write(|tx| record::open_breaker(cx, tx, why, None, now))
    }
}
