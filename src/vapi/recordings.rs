//! The URL of a call's recording. Recordings are private: the provider redirects to a URL that
//! expires soon, so it is asked for when a person wants to listen, and never stored.

use ureq::http::Uri;

use crate::provider::ReadError;
use crate::vapi::headers::header;
use crate::vapi::reply::scrub;
use crate::vapi::values::path_segment;
use crate::vapi::{Vapi, on_loopback};

/// The longest URL that is passed on, in bytes. Signed URLs have some hundreds.
const LONGEST_URL: usize = 4096;

impl Vapi {
    pub(super) fn recording_once(&self, call_id: &str) -> Result<String, ReadError> {
        let path = format!("/call/{}/mono-recording", path_segment(call_id));
        let unavailable = |what: &str| Err(ReadError::Unavailable(scrub(what, &self.key.0)));
        let response = match self.reader().ask(&path) {
            Ok(response) => response,
            Err(error) => return unavailable(&error.to_string()),
        };
        match response.status().as_u16() {
            301 | 302 | 303 | 307 | 308 => {
                match header(response.headers(), "location").filter(|url| self.may_lead_to(url)) {
                    Some(url) => Ok(url.to_string()),
                    None => unavailable("it redirects to no https address"),
                }
            }
            404 => Err(ReadError::NotFound),
            status @ (401 | 403) => Err(ReadError::Unauthorized(format!("it answered {status}"))),
            status => unavailable(&format!("it answered {status}")),
        }
    }

    /// Whether a person's browser may be sent there: https, or loopback where the provider is.
    fn may_lead_to(&self, url: &str) -> bool {
        let Ok(uri) = url.parse::<Uri>() else { return false };
        let is_private = uri.scheme_str() == Some("https")
            || (uri.scheme_str() == Some("http")
                && on_loopback(url)
                && on_loopback(&self.base_url));
        is_private && url.len() <= LONGEST_URL && uri.host().is_some_and(|host| !host.is_empty())
    }
}
