//! Maps the provider's ended reason to a disposition, our small class of how a call ended.
//!
//! Exact texts come first, then prefixes; any other text is `unknown`. Only an exact text maps to
//! `never_dialed`, because that class permits another attempt; a prefix does not prove silence.

use crate::domain::call::Disposition;
use crate::domain::customer::columns::nearest;

/// Somebody answered the call, however it went on.
const ANSWERED: [&str; 25] = [
    "assistant-ended-call",
    "assistant-ended-call-after-message-spoken",
    "assistant-ended-call-with-hangup-task",
    "assistant-forwarded-call",
    "assistant-said-end-call-phrase",
    "call.ending.hook-executed-say",
    "call.ending.hook-executed-transfer",
    "call.forwarding.no-answer",
    "call.forwarding.operator-busy",
    "call.in-progress.error-assistant-did-not-receive-customer-audio",
    "call.in-progress.error-transfer-failed",
    "call.in-progress.error-warm-transfer-assistant-cancelled",
    "call.in-progress.error-warm-transfer-max-duration",
    "call.in-progress.error-warm-transfer-microphone-timeout",
    "call.in-progress.error-warm-transfer-silence-timeout",
    "call.in-progress.sip-completed-call",
    "call.in-progress.twilio-completed-call",
    "customer-ended-call",
    "customer-ended-call-after-warm-transfer-attempt",
    "customer-ended-call-before-warm-transfer",
    "customer-ended-call-during-transfer",
    "exceeded-max-duration",
    "silence-timed-out",
    "vonage-completed",
    "vonage-disconnected",
];

const NO_ANSWER: [&str; 3] = [
    "call.in-progress.error-providerfault-outbound-sip-408-request-timeout",
    "call.in-progress.error-providerfault-outbound-sip-480-temporarily-unavailable",
    "customer-did-not-answer",
];

const BAD_NUMBER: [&str; 2] =
    ["sip-outbound-unallocated-number", "twilio-reported-customer-misdialed"];

/// Never dialed, and every other call of this account would end the same way.
const ACCOUNT_WIDE: [&str; 6] = [
    "call.start.error-subscription-concurrency-limit-reached",
    "call.start.error-subscription-frozen",
    "call.start.error-subscription-insufficient-credits",
    "call.start.error-subscription-upgrade-failed",
    "call.start.error-subscription-wallet-does-not-exist",
    "call.start.error-vapi-number-outbound-daily-limit",
];

/// The provider proves that it never dialed.
const NEVER_DIALED: [&str; 19] = [
    "assistant-not-found",
    "call-start-error-neither-assistant-nor-server-set",
    "call.in-progress.error-vapifault-transport-never-connected",
    "call.in-progress.error-vapifault-worker-not-available",
    "call.start.assistant-version-error-validation",
    "call.start.error-enterprise-feature-not-available-recording-consent",
    "call.start.error-fraud-check-failed",
    "call.start.error-get-assistant",
    "call.start.error-get-customer",
    "call.start.error-get-phone-number",
    "call.start.error-get-resources-validation",
    "call.start.error-get-transport",
    "call.start.error-vapi-number-international",
    "call.start.error-vapifault-database-error",
    "call.start.error-vapifault-get-org",
    "call.start.error-vapifault-get-subscription",
    "call.start.error-vapifault-worker-not-available",
    "call.start.squad-version-error-validation",
    "scheduled-call-deleted",
];

/// A phone may have rung, and it is unknown what was heard. Texts of inbound and web calls are here
/// too: on a call that we placed they show a fault and do not prove silence. Calls cancelled by
/// hand and deleted records also belong here.
const FAILED: [&str; 23] = [
    "assistant-join-timed-out",
    "assistant-not-valid",
    "assistant-request-failed",
    "assistant-request-returned-error",
    "assistant-request-returned-forwarding-phone-number",
    "assistant-request-returned-invalid-assistant",
    "assistant-request-returned-no-assistant",
    "assistant-request-returned-unspeakable-error",
    "call-deleted",
    "call.ringing.error-sip-inbound-call-failed-to-connect",
    "call.ringing.hook-executed-say",
    "call.ringing.hook-executed-transfer",
    "call.ringing.sip-inbound-caller-hungup-before-call-connect",
    "customer-did-not-give-microphone-permission",
    "manually-canceled",
    "phone-call-provider-bypass-enabled-but-no-call-received",
    "phone-call-provider-closed-websocket",
    "sip-outbound-carrier-released-call",
    "twilio-failed-to-connect-call",
    "vonage-failed-to-connect-call",
    "vonage-rejected",
    // The provider's pages say that it is "retried automatically", but not by whom.
    "worker-shutdown",
    "call.in-progress.error-sip-inbound-call-failed-to-connect",
];

/// Prefixes of error families. `in-progress` does not prove an answer.
const FAILED_PREFIXES: [&str; 2] = ["call.in-progress.error-", "pipeline-error-"];

/// The known reason that a person probably meant; `None` when none is near.
pub fn nearest_ended_reason(text: &str) -> Option<&'static str> {
    let voicemail: &[&str] = &["voicemail", "customer-busy"];
    let known =
        [voicemail, &ANSWERED, &NO_ANSWER, &BAD_NUMBER, &NEVER_DIALED, &ACCOUNT_WIDE, &FAILED];
    nearest(text, known.into_iter().flatten().copied())
}

/// How a call ended. `None` (the provider named no reason) and a new text are `unknown`.
pub fn disposition(reason: Option<&str>) -> Disposition {
    let Some(reason) = reason else { return Disposition::Unknown };
    let exact: [(&[&str], Disposition); 8] = [
        (&ANSWERED, Disposition::Answered),
        (&["voicemail"], Disposition::Voicemail),
        (&NO_ANSWER, Disposition::NoAnswer),
        (&["customer-busy"], Disposition::Busy),
        (&BAD_NUMBER, Disposition::BadNumber),
        (&NEVER_DIALED, Disposition::NeverDialed),
        (&ACCOUNT_WIDE, Disposition::NeverDialed),
        (&FAILED, Disposition::Failed),
    ];
    if let Some((_, found)) = exact.iter().find(|(texts, _)| texts.contains(&reason)) {
        return *found;
    }
    if FAILED_PREFIXES.iter().any(|prefix| reason.starts_with(prefix)) {
        Disposition::Failed
    } else {
        Disposition::Unknown
    }
}

/// Whether the reason stops every call of this account: credits, wallet, subscription, concurrency
/// or daily limit. Dialing then stops for all customers.
pub fn is_account_wide(reason: &str) -> bool {
    ACCOUNT_WIDE.contains(&reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reason that was known when the table was written: text, group, whether it rang.
    fn known_reasons() -> Vec<serde_json::Value> {
        serde_json::from_str(include_str!("../../tests/data/ended_reasons.json"))
            .expect("a JSON list of reasons")
    }

    #[test]
    fn every_known_reason_has_the_disposition_of_its_group() {
        let reasons = known_reasons();
        assert_eq!(reasons.len(), 604);
        for row in &reasons {
            let [reason, group, rang] =
                ["reason", "group", "rang"].map(|key| row[key].as_str().expect("a text"));
            let expected = match (group, rang) {
                ("answered", _) => Disposition::Answered,
                ("voicemail", _) => Disposition::Voicemail,
                ("no_answer", _) => Disposition::NoAnswer,
                ("busy", _) => Disposition::Busy,
                ("bad_number", _) => Disposition::BadNumber,
                ("never_dialed", "no") => Disposition::NeverDialed,
                _ => Disposition::Failed,
            };
            assert_eq!(disposition(Some(reason)), expected, "{reason}");
        }
    }

    #[test]
    fn a_text_of_the_table_is_a_known_reason() {
        let reasons = known_reasons();
        let lists: [&[&str]; 6] =
            [&ANSWERED, &NO_ANSWER, &BAD_NUMBER, &ACCOUNT_WIDE, &NEVER_DIALED, &FAILED];
        for text in lists.concat() {
            assert!(reasons.iter().any(|row| row["reason"] == *text), "{text}");
        }
    }

    #[test]
    fn a_new_reason_is_unknown_and_never_a_proof_of_silence() {
        for (reason, expected) in [
            ("call.start.error-new-limit", Disposition::Unknown),
            ("call.start.error-", Disposition::Unknown),
            ("call.start.error-get-assistant-2", Disposition::Unknown),
            ("assistant-not-found ", Disposition::Unknown),
            ("Voicemail", Disposition::Unknown),
            ("customer-ended-call-happily", Disposition::Unknown),
            ("", Disposition::Unknown),
            ("pipeline-error-new-voice-failed", Disposition::Failed),
            ("call.in-progress.error-vapifault-new", Disposition::Failed),
        ] {
            assert_eq!(disposition(Some(reason)), expected, "{reason:?}");
        }
        assert_eq!(disposition(None), Disposition::Unknown);
    }

    #[test]
    fn account_wide_endings_were_never_dialed_and_concern_money_or_limits() {
        let wide: Vec<String> = known_reasons()
            .iter()
            .map(|row| row["reason"].as_str().expect("a text").to_string())
            .filter(|reason| is_account_wide(reason))
            .collect();
        assert_eq!(wide.len(), 6);
        for reason in &wide {
            assert_eq!(disposition(Some(reason)), Disposition::NeverDialed);
            assert!(reason.contains("subscription") || reason.contains("limit"), "{reason}");
        }
        assert!(!is_account_wide("call.start.error-get-customer"));
        assert!(!is_account_wide("voicemail"));
    }
}
