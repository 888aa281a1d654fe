//! Reads the provider's records: one call, or one page of a list. Any answer except a whole one
//! proves nothing about a call.

use std::io::{BufReader, Read};

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use crate::domain::Instant;
use crate::provider::ReadError;
use crate::vapi::headers::date_of;
use crate::vapi::paging::row::{Cut, Page, Row};
use crate::vapi::paging::window::Window;
use crate::vapi::reply::scrub;
use crate::vapi::rows::{self, Broken, LONGEST_IN_A_LIST};
use crate::vapi::values::LONGEST_TRANSCRIPT;

/// In bytes. A page of calls may hold a hundred transcripts. It is read in parts, so it takes time
/// and no memory; a larger page breaks off.
const LARGEST_PAGE: u64 = 64 * 1024 * 1024;
/// In bytes. One call, however long it was; or the calls of one instant, which no time divides.
const LARGEST_CALL: u64 = 1024 * 1024 * 1024;
/// Answers of a gateway to a page that takes the provider too long, or is too large for it.
const TOO_MUCH: [u16; 3] = [413, 504, 524];

/// The settings of one GET.
pub(super) struct Get<'v> {
    pub base_url: &'v str,
    pub key: &'v str,
    pub settings: ureq::config::Config,
}

impl Get<'_> {
    /// One GET, whatever its status is.
    pub fn ask(&self, path: &str) -> Result<Response<ureq::Body>, ureq::Error> {
        let connector = DefaultConnector::default();
        let agent = Agent::with_parts(self.settings.clone(), connector, DefaultResolver::default());
        agent
            .get(format!("{}{path}", self.base_url))
            .header("Authorization", format!("Bearer {}", self.key))
            .header("Accept", "application/json")
            .header("Connection", "close")
            .call()
    }

    /// Opens the answer to one GET. Any status except 200 is an error, which proves nothing about a
    /// call.
    fn open(&self, path: &str) -> Result<(Response<ureq::Body>, Option<Instant>), NotRead> {
        let response = self.ask(path).map_err(|error| self.not_read(&error))?;
        let date = date_of(response.headers());
        match response.status().as_u16() {
            200 => Ok((response, date)),
            404 => Err(NotRead::Because(ReadError::NotFound)),
            status @ (401 | 403) => {
                let why = format!("it answered {status}");
                Err(NotRead::Because(ReadError::Unauthorized(why)))
            }
            status if TOO_MUCH.contains(&status) => {
                Err(NotRead::TooMuch(format!("it answered {status}")))
            }
            status => Err(NotRead::Because(self.unavailable(&format!("it answered {status}")))),
        }
    }

    fn unavailable(&self, what: &str) -> ReadError {
        ReadError::Unavailable(scrub(what, self.key))
    }

    fn not_read(&self, error: &ureq::Error) -> NotRead {
        use ureq::Timeout::{Connect, Resolve};
        let why = scrub(&error.to_string(), self.key);
        match error {
            ureq::Error::Timeout(Connect | Resolve) => {
                NotRead::Because(ReadError::Unavailable(why))
            }
            ureq::Error::Timeout(_) | ureq::Error::BodyExceedsLimit(_) => NotRead::TooMuch(why),
            _ => NotRead::Because(ReadError::Unavailable(why)),
        }
    }

    /// The error of an answer that broke off or is not JSON.
    fn broken(&self, broken: Broken) -> NotRead {
        let what = match broken {
            Broken::Io(error, _) => return self.not_read(&ureq::Error::from(error)),
            Broken::NotAList => "its answer is not a list",
            Broken::NotJson => "its answer is not JSON",
        };
        NotRead::Because(ReadError::Unavailable(what.to_string()))
    }

    /// One GET of one value.
    pub fn value(&self, path: &str) -> Result<(Value, Option<Instant>), ReadError> {
        let (response, date) = self.open(path)?;
        let mut body = BufReader::new(body(response, LARGEST_CALL));
        let value =
            rows::one(&mut body, LONGEST_TRANSCRIPT).map_err(|broken| self.broken(broken))?;
        Ok((value, date))
    }

    pub fn page(&self, window: &Window) -> Result<Page, ReadError> {
        let (response, date) = match self.open(&format!("/call?{}", window.query())) {
            Ok(opened) => opened,
            Err(NotRead::TooMuch(why)) => {
                return Ok(Page { cut: Some(Cut::Silent(why)), ..Page::default() });
            }
            // `NotFound` is about one call; a missing list means a wrong address.
            Err(NotRead::Because(ReadError::NotFound)) => {
                let why = "it has no list of calls; check vapi.base_url";
                return Err(ReadError::Unavailable(why.to_string()));
            }
            Err(NotRead::Because(error)) => return Err(error),
        };
        let mut page = Page { date, ..Page::default() };
        let is_one_instant = window.to == Some(window.from);
        let largest = if is_one_instant { LARGEST_CALL } else { LARGEST_PAGE };
        let mut body = BufReader::new(body(response, largest));
        let read =
            rows::each(&mut body, LONGEST_IN_A_LIST, &mut |row| page.rows.push(Row::of(row)));
        let Err(broken) = read else { return Ok(page) };
        let at = match &broken {
            Broken::Io(_, Some(begun)) => Row::read(begun).at,
            _ => None,
        };
        match self.broken(broken) {
            NotRead::TooMuch(_) => Ok(Page { cut: Some(Cut::Inside(at)), ..page }),
            NotRead::Because(error) => Err(error),
        }
    }
}

/// Why an answer to a GET was not read.
enum NotRead {
    Because(ReadError),
    /// It was too large, or came too slowly.
    TooMuch(String),
}

impl From<NotRead> for ReadError {
    fn from(not_read: NotRead) -> ReadError {
        match not_read {
            NotRead::Because(error) => error,
            NotRead::TooMuch(why) => ReadError::Unavailable(why),
        }
    }
}

fn body(response: Response<ureq::Body>, limit: u64) -> impl Read {
    response.into_body().into_with_config().limit(limit).reader()
}
