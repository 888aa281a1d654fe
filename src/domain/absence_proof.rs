//! The controls under which a call that is absent from the provider's list was never placed.

use chrono::Duration;

use crate::domain::Instant;

/// How many complete listings without the call are needed.
pub const CLEAN_READS: i64 = 3;

/// One complete reading of the provider's records, judged for one doubt.
#[derive(Clone, Debug)]
pub struct Controls {
    /// Every page was read and every row could be understood.
    pub complete: bool,
    /// The listing began well before the doubt, and the provider still keeps records of that time.
    pub covers_the_doubt: bool,
    /// The account that answered is the one that our calls belong to.
    pub same_org: bool,
    /// No call in the answer bears the tag of the doubt. A call that bears it with another id or
    /// number cannot settle the doubt; a person must look at it.
    pub tag_not_shown: bool,
    /// No call without tags in the answer could be the one in doubt.
    pub no_stranger: bool,
    /// A call that we know was placed is in the answer, or was read by its id.
    pub known_call_visible: bool,
    /// A call of ours that was dialed after the doubt was known is in the answer.
    pub later_call_visible: bool,
}

impl Controls {
    /// The first control that fails, in words; `None` when this reading counts.
    pub fn missing(&self) -> Option<&'static str> {
        if !self.complete {
            return Some("the provider's list could not be read completely");
        }
        if !self.covers_the_doubt {
            return Some("the provider's records do not reach back to it");
        }
        if !self.same_org {
            return Some("the list is not known to be that of our calls' account");
        }
        if !self.tag_not_shown {
            return Some("a call in the list carries its tag, but does not match it");
        }
        if !self.no_stranger {
            return Some("a call to this number carries no tag, and may be it");
        }
        if !self.known_call_visible {
            return Some("no known call of ours is visible in the list");
        }
        if !self.later_call_visible {
            return Some("no later call of ours is visible yet");
        }
        None
    }
}

/// The clean readings so far.
#[derive(Clone, Debug)]
pub struct Absence {
    /// Includes the present reading.
    pub clean_reads: i64,
    pub first_read_at: Instant,
    pub now: Instant,
    /// Elapsed on the monotonic clock since the first clean reading of the same boot.
    pub monotonic_elapsed: Duration,
}

/// Whether absence is proven: enough clean readings over enough time on both clocks. Time alone
/// proves nothing.
pub fn absence_is_proven(absence: &Absence, settle: Duration) -> bool {
    CLEAN_READS <= absence.clean_reads
        && settle <= absence.now - absence.first_read_at
        && settle <= absence.monotonic_elapsed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absence(clean_reads: i64, wall_minutes: i64, monotonic_minutes: i64) -> Absence {
        let first_read_at = crate::domain::parse_instant("2026-03-02T08:00:00Z").unwrap();
        Absence {
            clean_reads,
            first_read_at,
            now: first_read_at + Duration::minutes(wall_minutes),
            monotonic_elapsed: Duration::minutes(monotonic_minutes),
        }
    }

    #[test]
    fn absence_needs_three_clean_reads_over_the_settle_time_on_both_clocks() {
        let settle = Duration::minutes(15);
        assert!(absence_is_proven(&absence(3, 15, 15), settle));
        assert!(!absence_is_proven(&absence(2, 60, 60), settle), "too few reads");
        assert!(!absence_is_proven(&absence(9, 14, 60), settle), "too short on the wall clock");
        assert!(!absence_is_proven(&absence(9, 60, 14), settle), "the wall clock was moved");
    }

    #[test]
    fn a_reading_counts_only_under_every_control() {
        let all = Controls {
            complete: true,
            covers_the_doubt: true,
            same_org: true,
            tag_not_shown: true,
            no_stranger: true,
            known_call_visible: true,
            later_call_visible: true,
        };
        assert_eq!(all.missing(), None);
        for broken in [
            Controls { complete: false, ..all.clone() },
            Controls { covers_the_doubt: false, ..all.clone() },
            Controls { same_org: false, ..all.clone() },
            Controls { tag_not_shown: false, ..all.clone() },
            Controls { no_stranger: false, ..all.clone() },
            Controls { known_call_visible: false, ..all.clone() },
            Controls { later_call_visible: false, ..all.clone() },
        ] {
            assert!(broken.missing().is_some(), "{broken:?}");
        }
    }
}
