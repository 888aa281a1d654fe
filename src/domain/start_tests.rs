//! Tests of the decision of a start: which evidence shuts it, and in which order.

use super::*;
use crate::domain::parse_instant;

const ADOPTS: Acceptance = Acceptance::Adoption { unreadable_rows: false };

fn noon() -> Instant {
    parse_instant("2026-02-02T12:00:00.000Z").expect("an instant")
}

fn in_order(asking: Asking) -> Evidence {
    let loaded = Loaded { missed: None, called_elsewhere: 0, wait: None };
    let records = Records {
        account: Account::Ours,
        gap: None,
        missed: None,
        unknown: 0,
        unreadable_rows: 0,
        loaded: Some(loaded),
    };
    Evidence { now: noon(), asking, clocks: Clocks::Agree, records: Ok(records) }
}

/// The reason after one change, for a start without and with an adoption, and beside a dialer.
fn reasons(change: impl Fn(&mut Records, &mut Loaded)) -> [Option<Shut>; 3] {
    let beside = Asking::Beside { dialing_since: None };
    [Asking::Start(Acceptance::Nothing), Asking::Start(ADOPTS), beside].map(|asking| {
        let mut evidence = in_order(asking);
        let records = evidence.records.as_mut().expect("records");
        let mut loaded = records.loaded.take().expect("loaded");
        change(records, &mut loaded);
        records.loaded = Some(loaded);
        may_dial(&evidence).err()
    })
}

fn missed(minutes_ago: i64) -> Missed {
    Missed { given: 9, given_at: noon() - Duration::minutes(minutes_ago), known: 7 }
}

#[test]
fn a_start_in_order_dials() {
    assert_eq!(reasons(|_, _| ()), [None, None, None]);
}

#[test]
fn a_clock_that_is_not_trusted_shuts_before_anything_else_is_judged() {
    let mut evidence = in_order(Asking::Start(ADOPTS));
    evidence.clocks = Clocks::Unproven;
    assert_eq!(may_dial(&evidence), Err(Shut::ClockUnproven));
    evidence.clocks = Clocks::Disagree("an hour apart".to_string());
    assert!(may_dial(&evidence).unwrap_err().is_of_the_clock());
    let unreadable = Shut::Unreadable("no answer".to_string());
    evidence.records = Err(unreadable.clone());
    assert!(may_dial(&evidence).unwrap_err().is_of_the_clock());
    evidence.clocks = Clocks::Agree;
    assert_eq!(may_dial(&evidence), Err(unreadable));
}

#[test]
fn another_account_is_accepted_only_by_an_adoption() {
    let other = |records: &mut Records, _: &mut Loaded| records.account = Account::Another;
    assert_eq!(reasons(other), [Some(Shut::OtherAccount), None, Some(Shut::OtherAccount)]);
    let unshown = |records: &mut Records, _: &mut Loaded| records.account = Account::Unshown;
    let shut = Some(Shut::AccountUnshown);
    assert_eq!(reasons(unshown), [shut.clone(), None, shut]);
}

#[test]
fn a_gap_and_a_database_that_never_dialed_need_a_person_at_a_start() {
    let (last_good, oldest) = (noon() - Duration::days(40), noon() - Duration::days(14));
    let gap = Gap { last_good, oldest, retention_days: 14 };
    let [start, adopted, beside] = reasons(|records, _| records.gap = Some(gap));
    assert!(start.expect("shut").needs_a_person());
    assert_eq!((adopted, beside), (None, None));
    let [start, adopted, beside] = reasons(|_, loaded| loaded.called_elsewhere = 2);
    assert_eq!(start, Some(Shut::CalledElsewhere { customers: 2 }));
    assert_eq!((adopted, beside), (None, None));
}

#[test]
fn a_hole_before_the_newest_call_keeps_the_list_from_being_loaded() {
    for (unknown, minutes_ago, is_shut) in
        [(1, 5, true), (2, 5, false), (0, 15, false), (0, 14, true)]
    {
        let [start, adopted, beside] = reasons(|records, _| {
            (records.missed, records.unknown) = (Some(missed(minutes_ago)), unknown);
        });
        let seen = [start, adopted].map(|why| why.is_some_and(|why| why.is_behind()));
        assert_eq!(seen, [is_shut; 2], "{unknown} unknown, {minutes_ago} minutes ago");
        assert_eq!(beside, None);
    }
}

#[test]
fn numbers_that_are_still_missing_after_loading_wait_and_a_person_may_accept_old_ones() {
    for (minutes_ago, adopted_is_shut) in [(5, true), (20, false)] {
        let seen = reasons(|_, loaded| loaded.missed = Some(missed(minutes_ago)));
        let seen = seen.map(|why| why.is_some_and(|why| why.is_behind()));
        assert_eq!(seen, [true, adopted_is_shut, true], "{minutes_ago} minutes ago");
    }
}

#[test]
fn unreadable_rows_are_accepted_only_by_name_and_hide_no_other_reason() {
    let unreadable = |records: &mut Records, _: &mut Loaded| records.unreadable_rows = 3;
    assert_eq!(reasons(unreadable), [(); 3].map(|()| Some(Shut::UnreadableRows(3))));
    let mut evidence = in_order(Asking::Start(Acceptance::Adoption { unreadable_rows: true }));
    let records = evidence.records.as_mut().expect("records");
    records.loaded.as_mut().expect("loaded").missed = Some(missed(5));
    for (rows, is_shut) in [(3, false), (2, false), (1, true)] {
        evidence.records.as_mut().expect("records").unreadable_rows = rows;
        assert_eq!(may_dial(&evidence).is_err(), is_shut, "{rows} rows for two missing calls");
    }
}

#[test]
fn an_unclean_end_is_waited_for_by_everybody() {
    for rebooted in [false, true] {
        let wait = Wait { until: noon(), rebooted };
        let seen = reasons(|_, loaded| loaded.wait = Some(wait));
        assert!(seen.iter().all(|why| why.as_ref().is_some_and(Shut::waits_for_the_list)));
    }
}
