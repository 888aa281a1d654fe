//! What comes back from the POSTs: recorded at once, kept until it can be, and learnt from.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::{Answered, Dialer, Passed, Wait};
use crate::clock;
use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::steps::breaker::Became;
use crate::steps::record::{self, Recorded};
use crate::steps::unwritten;

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
            return {
                all.iter().for_each(|recorded| self.learn(recorded, done));
                Ok(())
            };
        }
        let started = clock::elapsed();
        let mut unwritten = replies;
        // The words of the hold that is written below.
        let mut held = None;
        loop {
            let Some(error) = self.record_each(&mut unwritten, now, done)? else {
                self.go_on(held.as_deref(), now);
                return Ok(());
            };
            let why = format!("{} outcomes cannot be written: {error:#}", unwritten.len());
            log::error!("dialing halts: {why}");
            self.service.halt(Some(why));
            // For the next start, as far as anything can be written.
            match unwritten::hold(&self.service.cx, &unwritten, &error, now) {
                Ok(written) => held = written.or(held),
                Err(error) => log::error!("that dialing halts cannot be written either: {error:#}"),
            }
            (self.alive)();
            let waited = clock::elapsed().saturating_sub(started);
            if self.patience.record < waited || self.service.stopping() {
                // The attempts stay `dialing` on disk, so the next start finds them in doubt and
                // asks the provider: nothing is lost and nothing is dialed again.
                return Err(error.context("write the outcome of a call"));
            }
            clock::pause(Duration::from_millis(500));
        }
    }

    /// Everything is written: the halt is over, and the hold that it left in the file.
    fn go_on(&self, held: Option<&str>, now: Instant) {
        self.service.halt(None);
        let lifted = held.map(|words| unwritten::lift_own(&self.service.cx, words, now));
        if let Some(Err(error)) = lifted {
            log::error!("the outcomes are written, and the hold cannot be lifted yet: {error:#}");
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
                Ok(recorded) => self.learn(&recorded, done),
                Err(error) => {
                    trouble = Some(error);
                    left.push((intent, reply));
                }
            }
        }
        *unwritten = left;
        Ok(trouble)
    }

    /// What a recorded reply means for the process: counts, proof, pace.
    fn learn(&mut self, recorded: &Recorded, done: &mut Passed) {
        match recorded.became {
            AttemptState::Placed => done.succeeded += 1,
            AttemptState::InDoubt => done.in_doubt += 1,
            _ => done.failed += 1,
        }
        // The hold itself was committed with the attempt; the next claim finds it.
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
