//! The fake's answers about its calls: lists, single calls and deletions. Faults change only the
//! answers, never the stored calls.

use chrono::Duration;

use crate::demo::fake_vapi::answers::{FakeReply, FakeTold, Query, refused, tell};
use crate::demo::fake_vapi::calls::{FakeCall, Record, Said};
use crate::demo::fake_vapi::core::FakeCore;
use crate::demo::fake_vapi::fault_draw::{Striking, hash, unit};
use crate::demo::fake_vapi::faults::{FaultKind, On};
use crate::demo::fake_vapi::journal::{Event, FakeEntry};
use crate::domain::Instant;

impl FakeCore {
    /// `GET /call`
    pub fn list(&mut self, query: &Query, authorized: bool, now: Instant) -> FakeTold<Vec<Record>> {
        use FaultKind::*;
        self.advance(now);
        let striking = self.roulette.strike(On::List, None);
        let refused_with = |kind| striking.get(kind).map(|fault| refused(fault.status()));
        let failed = refused_with(Down)
            .or((!authorized).then(|| refused(401)))
            .or(refused_with(ListStatus))
            .or(striking.has(ListCut).then_some(FakeReply::Cut));
        self.write_read(Event::List, None, &striking, now);
        let what = failed.map_or_else(|| Ok(self.page(query, &striking, now)), Err);
        tell(what, &striking, now)
    }

    /// A page of calls, newest first as from the real provider, changed by faults.
    fn page(&self, query: &Query, striking: &Striking, now: Instant) -> Vec<Record> {
        use FaultKind::*;
        let span = |kind| striking.get(kind).map_or(Duration::zero(), |fault| fault.span());
        let as_of = now - span(ListStale);
        let newest = as_of - span(ListLag);
        let limit = if striking.has(ListIgnoresLimit) { 100 } else { query.limit };
        let limit =
            striking.get(ListLowLimit).map_or(limit, |low| limit.min(low.number() as usize));
        let start = match query.from.or(query.after) {
            Some(from) if self.sorted => self.calls.partition_point(|c| c.created_at < from),
            _ => 0,
        };
        let mut chosen: Vec<&FakeCall> = self.calls[start..]
            .iter()
            .filter(|call| !call.deleted && call.created_at <= newest)
            .filter(|call| query.takes(call.created_at))
            .collect();
        if striking.has(ListEmpty) {
            chosen.clear();
        }
        chosen.reverse();
        // A stable sort keeps calls of the same millisecond in reverse order of acceptance.
        chosen.sort_by_key(|call| std::cmp::Reverse(call.created_at));
        let told = chosen.into_iter().filter_map(|call| self.told(call, striking, as_of));
        let mut rows: Vec<Record> = told.take(limit).collect();
        if striking.has(ListUnsorted) {
            rows.sort_by_key(|row| hash(self.setup.seed, row.id.as_deref().unwrap_or_default()));
        }
        if striking.has(ListRepeats) {
            rows = rows.iter().flat_map(|row| [row.clone(), row.clone()]).take(limit).collect();
        }
        rows
    }

    /// The call's record as changed by faults; `None` if a fault hides it.
    fn told(&self, call: &FakeCall, striking: &Striking, now: Instant) -> Option<Record> {
        let row_fault = |kind| striking.get(kind).filter(|fault| fault.concerns(call.order.tag()));
        if let Some(fault) = row_fault(FaultKind::DropsRows)
            && unit(hash(self.setup.seed, &call.id)) < fault.number()
        {
            return None;
        }
        let mut record = call.record(now, &self.setup.org_id);
        if let Some(fault) = row_fault(FaultKind::OtherOrg) {
            record.org_id = fault.text().to_string();
        }
        let text = |kind| row_fault(kind).map(|fault| fault.text().to_string());
        let span = |kind| row_fault(kind).map_or(Duration::zero(), |fault| fault.span());
        let (lag, outputs_lag) = (span(FaultKind::AnalysisLag), span(FaultKind::OutputsLag));
        let is_within = |lag| record.ended_at.is_some_and(|ended| now < ended + lag);
        record.said = Said {
            field: text(FaultKind::Reports),
            output: text(FaultKind::ReportsOutput),
            value: text(FaultKind::ReportsValue),
            tool: text(FaultKind::CallsTool),
            transcript_bytes: row_fault(FaultKind::LongTranscript)
                .map(|fault| fault.number() as usize),
            lags: is_within(lag),
            outputs_lag: is_within(outputs_lag),
        };
        if let Some(fault) = row_fault(FaultKind::Strips) {
            let strips = |carrier: &str| fault.text() == carrier || fault.text() == "all";
            if strips("metadata") {
                record.order.metadata.clear();
            }
            if strips("name") {
                record.order.name = None;
            }
            if strips("external-id") {
                record.order.external_id = None;
            }
        }
        Some(record)
    }

    /// `GET /call/{id}`
    pub fn get(&mut self, id: &str, authorized: bool, now: Instant) -> FakeTold<Record> {
        use FaultKind::*;
        self.advance(now);
        let call = self.by_id.get(id).map(|index| self.calls[*index].clone());
        let tag = call.as_ref().and_then(|call| call.order.tag());
        let striking = self.roulette.strike(On::Get, tag);
        self.write_read(Event::Get, Some(id), &striking, now);
        let refused_with = |kind| striking.get(kind).map(|fault| refused(fault.status()));
        let failed =
            refused_with(Down).or((!authorized).then(|| refused(401))).or(refused_with(GetStatus));
        let lag = striking.get(Get404).map_or(Duration::zero(), |fault| fault.span());
        let found = call
            .filter(|call| !call.deleted && call.created_at + lag <= now)
            .and_then(|call| self.told(&call, &striking, now));
        let what = match (failed, found) {
            (Some(reply), _) => Err(reply),
            (None, None) => Err(refused(404)),
            (None, Some(mut record)) => {
                if striking.has(StatusBackwards) {
                    record.status = "queued".to_string();
                    record.ended_reason = None;
                    record.ended_at = None;
                    record.started_at = None;
                }
                Ok(record)
            }
        };
        tell(what, &striking, now)
    }

    /// `GET /call/{id}/mono-recording`: whether the call has a recording that may be heard.
    pub fn recording(&mut self, id: &str, authorized: bool, now: Instant) -> Result<(), FakeReply> {
        self.advance(now);
        let call = self.by_id.get(id).map(|index| self.calls[*index].clone());
        let striking = self.roulette.strike(On::Get, call.as_ref().and_then(|c| c.order.tag()));
        if let Some(fault) = striking.get(FaultKind::Down) {
            return Err(refused(fault.status()));
        }
        if !authorized {
            return Err(refused(401));
        }
        let is_there = call
            .is_some_and(|call| !call.deleted && call.answered_at.is_some() && call.is_over(now));
        let may_be_heard = is_there && !striking.has(FaultKind::NoRecording);
        if may_be_heard { Ok(()) } else { Err(refused(404)) }
    }

    /// The record that a webhook would report about a call now; `None`: there is no such call.
    /// This is not a read: neither the journal nor a fault on requests counts it.
    pub fn push(&mut self, id: &str, now: Instant) -> Option<Record> {
        self.advance(now);
        let call = self.calls.get(*self.by_id.get(id)?)?;
        let striking = self.roulette.about_rows();
        self.told(call, &striking, now)
    }

    /// `DELETE /call/{id}`: cancels a call in the queue, so that it never rings. Of any other call
    /// it deletes only the record.
    pub fn delete(&mut self, id: &str, authorized: bool, now: Instant) -> FakeTold<Record> {
        self.advance(now);
        let striking = Striking::default();
        let index = self.by_id.get(id).copied().filter(|index| !self.calls[*index].deleted);
        let what = match index {
            _ if !authorized => Err(refused(401)),
            None => Err(refused(404)),
            Some(index) => {
                let cancels = self.calls[index].waits_in_queue(now);
                let event = if cancels { Event::Cancel } else { Event::Delete };
                let entry = FakeEntry::new(now, event).about_call(&self.calls[index]);
                if !self.journal.add(entry) {
                    return tell(Err(refused(503)), &striking, now);
                }
                let call = &mut self.calls[index];
                if cancels {
                    call.cancelled_at = Some(now);
                } else {
                    call.deleted = true;
                }
                Ok(call.record(now, &self.setup.org_id))
            }
        };
        tell(what, &striking, now)
    }

    fn write_read(&mut self, event: Event, id: Option<&str>, striking: &Striking, now: Instant) {
        let mut entry = FakeEntry::new(now, event);
        entry.call_id = id.map(str::to_string);
        entry.fault = striking.text();
        // A read causes no ring, so a failed write hides nothing.
        let _ = self.journal.add(entry);
    }
}
