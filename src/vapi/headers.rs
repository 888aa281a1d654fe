//! Dates and waits in the headers of the provider's answers.

use chrono::DateTime;
use ureq::http::HeaderMap;

use crate::domain::Instant;

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn http_date(text: &str) -> Option<Instant> {
    Some(DateTime::parse_from_rfc2822(text.trim()).ok()?.to_utc())
}

pub(super) fn date_of(headers: &HeaderMap) -> Option<Instant> {
    http_date(header(headers, "date")?)
}

/// `Retry-After` in seconds; a date in it counts from the provider's own `Date`.
pub(super) fn retry_after(headers: &HeaderMap, date: Option<Instant>) -> Option<u64> {
    let text = header(headers, "retry-after")?.trim();
    text.parse().ok().or_else(|| {
        let wait = http_date(text)?.signed_duration_since(date?);
        Some(wait.num_seconds().max(0).unsigned_abs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", value.parse().unwrap());
            retry_after(&headers, http_date("Sun, 22 Nov 2026 17:00:00 GMT"))
        };
        assert_eq!(read("30"), Some(30));
        assert_eq!(read("Sun, 22 Nov 2026 17:01:30 GMT"), Some(90));
        assert_eq!(read("Sun, 22 Nov 2026 16:00:00 GMT"), Some(0));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }
}
