//! Checks that a webhook comes from the provider, by the plain secret, a bearer, or the HMAC
//! credential in each of its documented variants. Compares in constant time. An error names the
//! reason and holds no secret.

use std::fmt;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::config::secret::Secret;
use crate::config::webhook::Webhook;
use crate::config::webhook::{Algorithm, Encoding};
use crate::domain::{Instant, parse_instant};

/// A signed message is accepted for at most this long before and after its timestamp.
const REPLAY_WINDOW_MS: i64 = 5 * 60 * 1000;
/// Timestamps from this on are milliseconds; in seconds it would be the year 5138.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// A webhook as received.
pub struct Sent<'a> {
    /// Looks a header up by its name, in any case.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    pub method: &'a str,
    pub body: &'a [u8],
}

/// Why a webhook is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disbelief {
    NothingShown,
    WrongSecret,
    WrongSignature,
    /// A part of the signed text is missing.
    PartMissing,
    OldTimestamp,
}

impl fmt::Display for Disbelief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Disbelief::NothingShown => "it carries no secret, no bearer and no signature",
            Disbelief::WrongSecret => "its secret is wrong",
            Disbelief::WrongSignature => "its signature is wrong",
            Disbelief::PartMissing => "it is signed, but its timestamp or message id is missing",
            Disbelief::OldTimestamp => {
                "its timestamp is not a time within five minutes of this clock"
            }
        })
    }
}

/// Checks webhooks with the configured rules and the secret.
pub struct Believer {
    rules: Webhook,
    secret: Secret,
    /// The key of the signature.
    key: Vec<u8>,
}

impl Believer {
    /// The error names the fault of the secret.
    pub fn new(rules: &Webhook, secret: Secret) -> Result<Believer, String> {
        let key = match rules.secret_is_base64 {
            false => secret.expose().as_bytes().to_vec(),
            true => {
                let text = secret.expose();
                decoded(text.strip_prefix("whsec_").unwrap_or(text)).ok_or(
                    "VAPI_WEBHOOK_SECRET is not base64, but webhook.secret_is_base64 is true: \
                     change one of them",
                )?
            }
        };
        if secret.expose().is_empty() || key.is_empty() {
            return Err("VAPI_WEBHOOK_SECRET is empty: set the secret".to_string());
        }
        Ok(Believer { rules: rules.clone(), secret, key })
    }

    /// Whether the sender knows the secret. A wrong secret takes the same time as a right one.
    pub fn judge(&self, sent: &Sent<'_>, now: Instant) -> Result<(), Disbelief> {
        let plain = (sent.header)("x-vapi-secret").map(|given| self.is_secret(given.trim()));
        let bearer = self.bearer(sent).map(|given| self.is_secret(&given));
        if plain == Some(true) || bearer == Some(true) {
            return Ok(());
        }
        match (sent.header)(&self.rules.signature_header) {
            Some(signature) => self.judge_signature(&signature, sent, now),
            None if plain.is_some() || bearer.is_some() => Err(Disbelief::WrongSecret),
            None => Err(Disbelief::NothingShown),
        }
    }

    /// Compares digests, so that the time does not reveal even the secret's length.
    fn is_secret(&self, given: &str) -> bool {
        let right = Sha256::digest(self.secret.expose().as_bytes());
        Sha256::digest(given.as_bytes()).ct_eq(&right).into()
    }

    fn bearer(&self, sent: &Sent<'_>) -> Option<String> {
        let name = self.rules.bearer_header.as_deref();
        let given = (sent.header)(name.unwrap_or("authorization"))?;
        let given = given.trim();
        let token = match given.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim()),
            // In its own header, a credential may omit the word `Bearer`.
            _ => name.map(|_| given),
        };
        token.map(str::to_string)
    }

    fn judge_signature(
        &self,
        signature: &str,
        sent: &Sent<'_>,
        now: Instant,
    ) -> Result<(), Disbelief> {
        let stamp = (sent.header)(&self.rules.timestamp_header).map(|text| text.trim().to_string());
        let payload = self.payload(sent, stamp.as_deref()).ok_or(Disbelief::PartMissing)?;
        let right = self.mac(&payload);
        // The header holds several signatures while the provider changes its secret.
        let is_right = signature.split_whitespace().fold(false, |found, one| {
            found | self.read_signature(one).is_some_and(|given| given.ct_eq(&right).into())
        });
        if !is_right {
            return Err(Disbelief::WrongSignature);
        }
        match stamp {
            Some(stamp) if self.rules.signs_time() && !is_fresh(&stamp, now) => {
                Err(Disbelief::OldTimestamp)
            }
            _ => Ok(()),
        }
    }

    /// The signed text; `None` when a part of it is missing.
    fn payload(&self, sent: &Sent<'_>, stamp: Option<&str>) -> Option<Vec<u8>> {
        let mut payload = Vec::with_capacity(sent.body.len() + 64);
        let mut rest = self.rules.payload();
        while let Some(start) = rest.find('{') {
            payload.extend_from_slice(&rest.as_bytes()[..start]);
            let end = start + rest[start..].find('}')? + 1;
            match &rest[start..end] {
                "{body}" => payload.extend_from_slice(sent.body),
                "{timestamp}" => payload.extend_from_slice(stamp?.as_bytes()),
                "{method}" => payload.extend_from_slice(sent.method.as_bytes()),
                "{url}" => payload.extend_from_slice(self.rules.url.as_deref()?.as_bytes()),
                _ => {
                    let id = (sent.header)(&self.rules.message_id_header)?;
                    payload.extend_from_slice(id.trim().as_bytes());
                }
            }
            rest = &rest[end..];
        }
        payload.extend_from_slice(rest.as_bytes());
        Some(payload)
    }

    fn mac(&self, payload: &[u8]) -> Vec<u8> {
        let long = "HMAC takes a key of any length";
        match self.rules.algorithm {
            Algorithm::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(&self.key).expect(long);
                mac.chain_update(payload).finalize().into_bytes().to_vec()
            }
            Algorithm::Sha512 => {
                let mac = Hmac::<Sha512>::new_from_slice(&self.key).expect(long);
                mac.chain_update(payload).finalize().into_bytes().to_vec()
            }
            Algorithm::Sha1 => {
                let mac = Hmac::<Sha1>::new_from_slice(&self.key).expect(long);
                mac.chain_update(payload).finalize().into_bytes().to_vec()
            }
        }
    }

    /// The bytes of a signature. A prefix that names the algorithm needs no configuration.
    fn read_signature(&self, text: &str) -> Option<Vec<u8>> {
        let usual = match self.rules.algorithm {
            Algorithm::Sha256 => "sha256=",
            Algorithm::Sha512 => "sha512=",
            Algorithm::Sha1 => "sha1=",
        };
        let bare = [self.rules.signature_prefix.as_str(), usual]
            .into_iter()
            .filter(|prefix| !prefix.is_empty())
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        match self.rules.signature_encoding {
            Encoding::Hex => HEXLOWER_PERMISSIVE.decode(bare.as_bytes()).ok(),
            Encoding::Base64 => decoded(bare),
        }
    }
}

fn is_fresh(stamp: &str, now: Instant) -> bool {
    let at_ms = match stamp.parse::<i64>() {
        Ok(at) if at < FIRST_MILLISECONDS => at.checked_mul(1000),
        Ok(at) => Some(at),
        Err(_) => parse_instant(stamp).map(|at| at.timestamp_millis()),
    };
    let apart = at_ms.and_then(|at| now.timestamp_millis().checked_sub(at)?.checked_abs());
    apart.is_some_and(|apart| apart <= REPLAY_WINDOW_MS)
}

/// Base64 in either alphabet, with or without its padding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let encoding = if text.contains(['-', '_']) { BASE64URL_NOPAD } else { BASE64_NOPAD };
    encoding.decode(text.trim_end_matches('=').as_bytes()).ok()
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
