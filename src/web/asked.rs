//! A request on its way: what was asked, by whom, and in which session.

use crate::domain::Instant;
use crate::domain::role::Role;
use crate::http::problem::Problem;
use crate::http::request::{Request, percent_decode};
use crate::steps::import::field_values::Reader;
use crate::store::journal::{self, By};
use crate::web::access::Session;
use crate::web::caller::Caller;

use crate::web::front::Front;

/// The access that a route requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Any request; the route itself checks the sender if it must.
    Open,
    /// A request with the token.
    Token,
    /// The same, or a session; others see the form to sign in.
    Page,
    /// A form of a page of this session.
    Form,
}

/// A request on its way.
pub struct Asked<'a> {
    pub front: &'a Front,
    pub request: &'a Request,
    pub now: Instant,
    /// `None`: it came with the token itself, or openly.
    pub session: Option<Session>,
    /// `None`: an open route asks nobody who they are.
    pub caller: Option<Caller>,
    /// The part of the path that matches the braces of the route.
    pub place: Option<String>,
    pub(crate) form: Vec<(String, String)>,
}

impl Asked<'_> {
    /// A field of the form; empty when it was not sent.
    pub fn form(&self, name: &str) -> &str {
        self.form.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.trim())
    }

    /// A field of the form; `None` when it was not sent.
    pub fn sent(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(n, _)| n == name).map(|(_, value)| value.trim())
    }

    /// Every value of a field that a form may send several times.
    pub fn every<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.form.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.trim())
    }

    /// The one reader of customers' fields, with the assistants of the configuration.
    pub fn reader<'a>(&'a self, default_country: Option<&'a str>) -> Reader<'a> {
        let cx = self.front.cx();
        Reader::new(&cx.zones, default_country).with_assistants(cx.config.assistants.keys())
    }

    /// Notes in the journal that the caller looks at what is hidden.
    pub fn note_reveal(&self, subject: &str, part: Option<&str>) -> anyhow::Result<()> {
        let by = By { who: self.who(), now: self.now };
        self.front.cx().store.write(|tx| journal::note_reveal(tx, by, subject, part))
    }

    /// The actor in the journal.
    pub fn who(&self) -> &str {
        let name = self.caller.as_ref().and_then(|caller| caller.name.as_deref());
        name.unwrap_or(if self.is_api() { "api" } else { "page" })
    }

    /// What the caller may do here: nobody acts on a page that is read-only.
    pub fn role(&self) -> Role {
        match (self.front.read_only, &self.caller) {
            (None, Some(caller)) => caller.role,
            _ => Role::Viewer,
        }
    }

    /// Refuses an act that the caller's role may not do.
    pub fn needs(&self, role: Role) -> Result<(), Problem> {
        self.caller.as_ref().map_or(Ok(()), |caller| caller.check(role))
    }

    /// A value of the query; `None` when it is not there or empty.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.request.query_value(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// The mark for the forms of this session; empty when the visitor came with the token itself.
    pub fn mark(&self) -> String {
        self.session.as_ref().map_or(String::new(), |session| self.front.keys.form_mark(session))
    }

    /// Whether a program asked, not a page's form.
    pub fn is_api(&self) -> bool {
        self.request.path.starts_with("/api/")
    }

    /// The part of the path that matches the braces of the route.
    pub fn named(&self) -> &str {
        self.place.as_deref().unwrap_or_default()
    }
}

/// The fields of a form; nothing when the body is something else.
pub(crate) fn form(request: &Request) -> anyhow::Result<Vec<(String, String)>> {
    let kind = request.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Ok(Vec::new());
    }
    let unreadable = || Problem::new(400, "the form cannot be read");
    let text = std::str::from_utf8(&request.body).map_err(|_| unreadable())?;
    let mut fields = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text| percent_decode(text, true).map_err(|_| unreadable());
        fields.push((decoded(name)?, decoded(value)?));
    }
    Ok(fields)
}
