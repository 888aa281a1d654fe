//! Who asks: the holder of the one token of the environment, or of a named token with its role.

use crate::domain::role::Role;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::steps::operate::tokens;
use crate::store::meta;
use crate::web::access::{Session, bearer};
use crate::web::front::Front;

/// Who asks, and what they may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// `None`: the token of the environment has no name.
    pub name: Option<String>,
    pub role: Role,
}

impl Caller {
    fn unnamed() -> Caller {
        Caller { name: None, role: Role::Operator }
    }

    fn of(token: meta::tokens::NamedToken) -> Caller {
        Caller { name: Some(token.name), role: token.role }
    }

    /// Refuses an act that the role may not do.
    pub fn check(&self, needed: Role) -> Result<(), Problem> {
        if needed <= self.role {
            return Ok(());
        }
        let name = self.name.as_deref().unwrap_or("this token");
        let detail = format!(
            "{name} has the role {}, and this needs the role {needed}: ask somebody who has it",
            self.role
        );
        Err(Problem { field: Some("role".to_string()), ..Problem::new(403, detail) })
    }
}

/// Whether any token opens the page.
pub fn is_open(front: &Front) -> anyhow::Result<bool> {
    Ok(front.keys.has_token() || front.cx().store.read(meta::tokens::any)?)
}

/// The holder of the bearer token of a request.
pub fn of_bearer(front: &Front, request: &Request) -> anyhow::Result<Option<Caller>> {
    bearer(request).map_or(Ok(None), |token| of_token(front, token))
}

/// The holder of a token that was typed or sent.
pub fn of_token(front: &Front, token: &str) -> anyhow::Result<Option<Caller>> {
    if front.keys.is_token(token) {
        return Ok(Some(Caller::unnamed()));
    }
    let holder = front.cx().store.read(|conn| tokens::holder(conn, token))?;
    Ok(holder.map(Caller::of))
}

/// The holder of a session, if its token is still in use.
pub fn of_session(front: &Front, session: &Session) -> anyhow::Result<Option<Caller>> {
    match &session.token {
        None => Ok(Some(Caller::unnamed())),
        Some(hash) => {
            let holder = front.cx().store.read(|conn| meta::tokens::by_hash(conn, hash))?;
            Ok(holder.map(Caller::of))
        }
    }
}
