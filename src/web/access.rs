//! Authentication: by the token as bearer, or by a session cookie issued for it. Compares in
//! constant time. The cookie never holds the token, and a form needs its session's mark.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::secret::Secret;
use crate::domain::Instant;
use crate::http::request::Request;

/// The name of the session cookie.
const COOKIE: &str = "ringonce_session";
/// The lifetime of a session in seconds: a working day.
const SESSION_SECONDS: i64 = 12 * 3600;

/// The token's digest if one is set, and the key that signs sessions and forms. The key is derived from the token
/// and the process. All sessions end with the process, so signed-out ones are kept in memory.
pub struct Keys {
    token: Option<[u8; 32]>,
    signing: [u8; 32],
    /// Signed-out sessions that have not yet expired, with the Unix second of their expiry.
    left: Mutex<BTreeMap<String, i64>>,
}

/// A session whose signature was verified, or a new one.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The cookie's value.
    value: String,
    /// The hash of the named token that opened it; `None`: the token of the environment did.
    pub token: Option<String>,
}

impl Keys {
    /// `process`: a text that nobody can guess, different in each process.
    pub fn new(token: Option<&Secret>, process: &str) -> Keys {
        let token = token.map(|token| token.expose().as_bytes());
        let signing = Sha256::new()
            .chain_update(b"ringonce session\0")
            .chain_update(process)
            .chain_update(b"\0")
            .chain_update(token.unwrap_or_default());
        Keys {
            token: token.map(|token| Sha256::digest(token).into()),
            signing: signing.finalize().into(),
            left: Mutex::default(),
        }
    }

    /// Whether the given text is the token.
    pub fn is_token(&self, given: &str) -> bool {
        let given = Sha256::digest(given.as_bytes());
        self.token.is_some_and(|token| given.as_slice().ct_eq(token.as_slice()).into())
    }

    /// Whether a token of the environment is set.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Creates a session; `nonce` makes two sessions of the same second differ. `token`: the hash of
    /// the named token that opens it.
    pub fn session(&self, now: Instant, nonce: &str, token: Option<&str>) -> Session {
        let told =
            format!("{}.{nonce}.{}", now.timestamp() + SESSION_SECONDS, token.unwrap_or_default());
        let value = format!("{told}.{}", self.sign("session", &told));
        Session { value, token: token.map(str::to_string) }
    }

    /// The session of a request; `None` if it has none, or if it is forged, expired or signed out.
    pub fn session_of(&self, request: &Request, now: Instant) -> Option<Session> {
        let cookies = request.header("cookie")?;
        let value = cookies
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == COOKIE).then_some(value))?;
        let (told, signature) = value.rsplit_once('.')?;
        let right = self.sign("session", told);
        let is_right: bool = right.as_bytes().ct_eq(signature.as_bytes()).into();
        let (ends, rest) = told.split_once('.')?;
        let ends: i64 = ends.parse().ok()?;
        let token = rest.split_once('.').map(|(_, hash)| hash).filter(|hash| !hash.is_empty());
        let lasts = now.timestamp() < ends && ends <= now.timestamp() + SESSION_SECONDS;
        let goes_on = is_right && lasts && !self.left().contains_key(value);
        goes_on.then(|| Session { value: value.to_string(), token: token.map(str::to_string) })
    }

    /// Ends a session permanently, so that copies of its cookie are refused too.
    pub fn sign_out(&self, session: &Session, now: Instant) {
        let mut left = self.left();
        left.retain(|_, ends| now.timestamp() < *ends);
        // An upper bound: no valid session expires later than one that begins now.
        left.insert(session.value.clone(), now.timestamp() + SESSION_SECONDS);
    }

    fn left(&self) -> MutexGuard<'_, BTreeMap<String, i64>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mark in every form of this session, which protects against forged requests.
    pub fn form_mark(&self, session: &Session) -> String {
        self.sign("form", &session.value)
    }

    /// Whether a form came from a page of this session.
    pub fn is_form_mark(&self, session: &Session, given: &str) -> bool {
        self.form_mark(session).as_bytes().ct_eq(given.as_bytes()).into()
    }

    fn sign(&self, purpose: &str, text: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.signing).expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        mac.update(text.as_bytes());
        HEXLOWER.encode(&mac.finalize().into_bytes())
    }
}

impl Session {
    /// The header that sets the cookie. `Secure` if the proxy reports that the request used TLS.
    pub fn cookie(&self, request: &Request) -> String {
        let secure = if came_by_tls(request) { "; Secure" } else { "" };
        format!(
            "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={SESSION_SECONDS}{secure}",
            self.value
        )
    }
}

/// The header that deletes the cookie.
pub fn no_cookie() -> String {
    format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
}

fn came_by_tls(request: &Request) -> bool {
    request.header("x-forwarded-proto").is_some_and(|by| by.eq_ignore_ascii_case("https"))
}

/// The bearer token of a request, right or wrong.
pub fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the request carries any bearer token, right or wrong.
pub fn shows_bearer(request: &Request) -> bool {
    let scheme = request.header("authorization").and_then(|text| text.split_whitespace().next());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
}

/// Whether the browser reports that another site caused the request.
pub fn is_from_another_site(request: &Request) -> bool {
    request.header("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;
    use crate::domain::parse_instant;
    use crate::http::request::parse_head;

    fn request(headers: &str) -> Request {
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let peer = "127.0.0.1:1".parse().unwrap();
        parse_head(head.as_bytes()).unwrap().with_body(Vec::new(), peer)
    }

    fn now() -> Instant {
        parse_instant("2026-11-22T17:00:00Z").unwrap()
    }

    #[test]
    fn only_the_token_itself_is_the_token() {
        let keys = Keys::new(Some(&Secret::new("open-sesame")), "p1");
        for (header, expected) in [
            ("Authorization: Bearer open-sesame\r\n", true),
            ("authorization: bearer  open-sesame \r\n", true),
            ("Authorization: Bearer open-sesam\r\n", false),
            ("Authorization: Basic open-sesame\r\n", false),
            ("Authorization: open-sesame\r\n", false),
            ("", false),
        ] {
            let sent = request(header);
            let is_token = bearer(&sent).is_some_and(|token| keys.is_token(token));
            assert_eq!(is_token, expected, "{header}");
        }
    }

    #[test]
    fn a_session_lasts_a_working_day_and_cannot_be_forged_or_carried_to_another_token() {
        let keys = Keys::new(Some(&Secret::new("open-sesame")), "p1");
        let session = keys.session(now(), "n1", None);
        let sent = request(&format!("Cookie: a=b; {COOKIE}={}\r\n", session.value));
        assert_eq!(keys.session_of(&sent, now()), Some(session.clone()));
        assert_eq!(keys.session_of(&sent, now() + Duration::hours(12)), None);
        for other in [("other", "p1"), ("open-sesame", "p2")] {
            let keys = Keys::new(Some(&Secret::new(other.0)), other.1);
            assert_eq!(keys.session_of(&sent, now()), None, "{other:?}");
        }
        let later = session.value.replacen("17", "18", 1);
        let forged = request(&format!("Cookie: {COOKIE}={later}\r\n"));
        assert_eq!(keys.session_of(&forged, now()), None);
        assert!(!session.value.contains("sesame"));
    }

    #[test]
    fn a_session_that_was_signed_out_is_over_and_the_others_go_on() {
        let keys = Keys::new(Some(&Secret::new("open-sesame")), "p1");
        let (mine, yours) = (keys.session(now(), "n1", None), keys.session(now(), "n2", None));
        let sent = |session: &Session| request(&format!("Cookie: {COOKIE}={}\r\n", session.value));
        keys.sign_out(&mine, now());
        assert_eq!(keys.session_of(&sent(&mine), now()), None);
        assert_eq!(keys.session_of(&sent(&yours), now()), Some(yours.clone()));
        keys.sign_out(&yours, now() + Duration::hours(12));
        assert_eq!(keys.left().len(), 1, "an expired session is not kept");
    }

    #[test]
    fn a_form_counts_only_in_the_session_that_it_was_made_for() {
        let keys = Keys::new(Some(&Secret::new("open-sesame")), "p1");
        let (mine, yours) = (keys.session(now(), "n1", None), keys.session(now(), "n2", None));
        assert!(keys.is_form_mark(&mine, &keys.form_mark(&mine)));
        assert!(!keys.is_form_mark(&mine, &keys.form_mark(&yours)));
        assert!(!keys.is_form_mark(&mine, ""));
    }

    #[test]
    fn the_cookie_is_kept_from_scripts_and_other_sites() {
        let keys = Keys::new(Some(&Secret::new("open-sesame")), "p1");
        let cookie =
            keys.session(now(), "n1", None).cookie(&request("X-Forwarded-Proto: https\r\n"));
        for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Secure"] {
            assert!(cookie.contains(part), "{cookie}");
        }
    }
}
